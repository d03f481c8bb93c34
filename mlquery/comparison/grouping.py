"""Puts runs that agree in some fields into groups, and names the groups so that no two have the same name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.comparison.fields import PARAM, Field
from mlquery.errors import invalid_parameter

_PLAIN: Final = re.compile(r"[\w.+\-/: ]*[\w.+\-/]")
_PREFIXES: Final = ("params.", "tags.", "metrics.")
ALL: Final = "all runs"


@attrs.frozen(eq=False)
class Groups:
    """Runs in groups, in the order of their first runs.

    Attributes:
        fields: The fields in which the runs of a group agree.
        codes: The group of each run, (n,).
        labels: The name of each group.
        rows: The places of the runs of each group.
    """

    fields: tuple[Field, ...]
    codes: npt.NDArray[np.int64]
    labels: tuple[str, ...]
    rows: tuple[npt.NDArray[np.int64], ...]


def field_named(fields: Sequence[Field], name: str) -> Field:
    """Return the field of a name: that of a column, or the key of a param.

    Raises:
        StoreError: no run has it.
    """
    found = find_field(fields, name)
    if found is not None:
        return found
    known = [field.name for field in fields]
    close = get_close_matches(name, [*known, *(field.key for field in fields if field.kind == PARAM)], 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise invalid_parameter(f"none of the runs has the field {name!r}{hint}")


def find_field(fields: Sequence[Field], name: str) -> Field | None:
    """Return the field of a name, None if no run has it."""
    by_name = {field.name: field for field in fields}
    return by_name.get(name) or by_name.get(f"params.{name}")


def group_runs(fields: Sequence[Field], size: int, group_by: Iterable[str] | None, ignore: Iterable[str]) -> Groups:
    """Return the groups of `size` runs: by the named fields, or by all params but those to ignore."""
    if group_by is not None:
        chosen = tuple(field_named(fields, name) for name in group_by)
    else:
        left_out = {id(find_field(fields, name)) for name in ignore}
        chosen = tuple(field for field in fields if field.kind == PARAM and id(field) not in left_out)
    codes, first = agreeing(chosen, size)
    differing = [field for field in chosen if field.differs]
    labels = tuple(_label(differing, row) for row in first)
    order = np.argsort(codes, kind="stable")
    rows = tuple(np.split(order, np.cumsum(np.bincount(codes, minlength=len(first)))[:-1])) if size else ()
    return Groups(chosen, codes, labels, rows)


def agreeing(fields: Sequence[Field], size: int) -> tuple[npt.NDArray[np.int64], list[int]]:
    """Return the code of each run, equal where all fields are, and the first run of each code."""
    codes = np.zeros(size, np.int64)
    for field in fields:
        seen: dict[tuple[int, Any], int] = {}
        values = [value if has else None for value, has in zip(_comparable(field), field.present.tolist(), strict=True)]
        codes = np.array(
            [seen.setdefault(pair, len(seen)) for pair in zip(codes.tolist(), values, strict=True)], np.int64
        )
    _, first = np.unique(codes, return_index=True)
    return codes, first.tolist()


def _comparable(field: Field) -> list[Any]:
    """Return values of which NaN equals NaN."""
    return [value if value == value else "NaN" for value in field.values.tolist()]


def _label(fields: Sequence[Field], row: int) -> str:
    return ", ".join(_item(field, row) for field in fields) or ALL


def _item(field: Field, row: int) -> str:
    is_clear = field.kind == PARAM and not field.key.startswith(_PREFIXES)
    key = _quoted(field.key if is_clear else field.name)
    if not field.present[row]:
        return f"no {key}"
    value = field.values[row]
    return f"{key}={_quoted(value if isinstance(value, str) else repr(value.item()))}"


def _quoted(string: str) -> str:
    """Return a string that is told from the label around it."""
    return string if _PLAIN.fullmatch(string) else json.dumps(string, ensure_ascii=False)
