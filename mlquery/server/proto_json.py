"""Turns the JSON of a request into the fields of a message, as protobuf's JSON reader does with MLflow's messages.

A message is a table of fields. What does not fit a field ends the reading there: the fields before it are kept, the
rest is left out, and the caller is told. Which fields an endpoint needs and what they are for is not known here.

**Source**: `google.protobuf.json_format.ParseDict` with unknown fields ignored, and MLflow's `service.proto`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import attrs

from mlquery.errors import StoreError, invalid_parameter

_INT32: Final = 1 << 31
_INT64: Final = 1 << 63
_EXTENSION: Final = re.compile(r"\[[a-zA-Z0-9._]*\]$")


class MisfitError(Exception):
    """A value that does not fit its field."""


class UnknownNameError(Exception):
    """A name that an enumeration does not have; the field is left out."""


class Fields(dict[str, Any]):
    """The fields of a request by name. Indexing gives the default of a field that is absent, `get` gives None."""

    __slots__ = ("message",)

    def __init__(self, message: Message) -> None:
        super().__init__()
        self.message = message

    def __missing__(self, name: str) -> Any:
        field = self.message.fields_by_name[name]
        if field.is_list:
            return []
        return Fields(field.message) if field.message is not None else field.default


@attrs.frozen(eq=False)
class Field:
    """A field of a message: how a JSON value becomes its value, or the message that it holds."""

    name: str
    read: Callable[[Any], Any]
    default: Any = None
    is_list: bool = False
    message: Message | None = None


class Message:
    """The fields that a request, or a part of one, can have."""

    def __init__(self, *fields: Field) -> None:
        self.fields_by_name: Final = {field.name: field for field in fields}
        self._fields_by_spelling: Final = {_camel(field.name): field for field in fields} | self.fields_by_name

    def read(self, data: Mapping[str, Any]) -> tuple[Fields, bool]:
        """Return the fields of a JSON object, and whether all of it fitted."""
        fields = Fields(self)
        try:
            self.read_into(fields, data)
        except MisfitError:
            return fields, False
        return fields, True

    def read_into(self, fields: Fields, data: Any) -> None:
        """Add the fields of a JSON object; raise MisfitError at the first that does not fit."""
        if not isinstance(data, dict):
            self._require_no_field(data)
            return
        find = self._fields_by_spelling.get
        for spelling, value in data.items():
            field = find(spelling)
            if field is None:
                _require_no_extension(spelling)
                continue
            if field.name in fields:
                raise _twice(field.name)
            if value is None:
                continue
            if field.is_list:
                _read_list(fields, field, value)
            elif field.message is not None:
                part = fields[field.name] = Fields(field.message)
                field.message.read_into(part, value)
            else:
                try:
                    fields[field.name] = field.read(value)
                except UnknownNameError:
                    continue

    def _require_no_field(self, data: Any) -> None:
        """Pass over strings that name no field, as protobuf does where it takes a list or a string for an object."""
        if not isinstance(data, list | str):
            raise MisfitError(data)
        for name in data:
            if not isinstance(name, str) or name in self._fields_by_spelling:
                raise MisfitError(data)
            _require_no_extension(name)


def _require_no_extension(name: str) -> None:
    if _EXTENSION.match(name):
        raise MisfitError(name)


def _read_list(fields: Fields, field: Field, value: Any) -> None:
    items: list[Any] = []
    fields[field.name] = items
    if not isinstance(value, list):
        raise MisfitError(value)
    message, read = field.message, field.read
    for item in value:
        if message is not None:
            part = Fields(message)
            items.append(part)  # before it is read: what fitted of it is kept
            message.read_into(part, item)
        elif item is None:
            raise MisfitError(item)
        else:
            items.append(read(item))


def string(name: str, *, repeated: bool = False) -> Field:
    """Return a field that holds a string, or strings."""
    return Field(name, _string, "", repeated)


def int32(name: str, default: int = 0) -> Field:
    """Return a field that holds an integer of 32 bits."""
    return Field(name, lambda value: _integer(value, _INT32), default)


def int64(name: str, default: int = 0) -> Field:
    """Return a field that holds an integer of 64 bits; in JSON it may be a string."""
    return Field(name, lambda value: _integer(value, _INT64), default)


def double(name: str) -> Field:
    """Return a field that holds a number; in JSON it may be a string, and NaN and Infinity must be."""
    return Field(name, _double, 0.0)


def boolean(name: str, default: bool = False) -> Field:
    """Return a field that holds true or false."""
    return Field(name, _boolean, default)


def enum(name: str, numbers: Mapping[str, int], default: int) -> Field:
    """Return a field that holds the number of one of some names; in JSON it may be the number."""
    return Field(name, lambda value: _number_of(value, numbers), default)


def part(name: str, *fields: Field) -> Field:
    """Return a field that holds a message."""
    return Field(name, lambda value: value, None, message=Message(*fields))


def parts(name: str, *fields: Field) -> Field:
    """Return a field that holds messages."""
    return Field(name, lambda value: value, None, is_list=True, message=Message(*fields))


def _string(value: Any) -> str:
    if type(value) is not str:
        raise MisfitError(value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise MisfitError(value) from None
    return value


def _integer(value: Any, limit: int) -> int:
    number = value if type(value) is int else _as_integer(value)
    if not -limit <= number < limit:
        raise MisfitError(value)
    return number


def _as_integer(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, str) and " " in value):
        raise MisfitError(value)
    if isinstance(value, str):
        with suppress(ValueError):
            return int(value)
    try:
        number = float(value)
    except (ValueError, TypeError):
        raise MisfitError(value) from None
    if not number.is_integer():  # infinity and NaN are none either
        raise MisfitError(value)
    return int(number)


def _double(value: Any) -> float:
    if value == "nan" or (isinstance(value, float) and not math.isfinite(value)):
        raise MisfitError(value)
    try:
        return float(value)
    except (ValueError, TypeError, OverflowError):
        raise MisfitError(value) from None


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise MisfitError(value)
    return value


def _number_of(value: Any, numbers: Mapping[str, int]) -> int:
    if isinstance(value, str) and value in numbers:
        return numbers[value]
    try:
        number = int(value)
    except ValueError:
        raise (UnknownNameError if isinstance(value, str) else MisfitError)(value) from None
    except (TypeError, OverflowError):
        raise MisfitError(value) from None
    if number not in numbers.values():
        raise MisfitError(value)
    return number


def _twice(name: str) -> StoreError:
    return invalid_parameter(f"Request specifies both '{name}' and '{_camel(name)}'; provide only one of them.")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
