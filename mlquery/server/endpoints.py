"""Turns a request into checked fields: the JSON or the query string is read, and then the rules of the endpoint hold.

Rules come in MLflow's order, with its wording. What an endpoint does with its fields is not known here, except that
`forwarded` passes them on to the backend.

**Source**: `mlflow.server.handlers._get_request_message` of MLflow 3.17 and the checks of its handlers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from json.scanner import py_make_scanner  # type: ignore[attr-defined] # the stub lacks it
from typing import Any, Final

import attrs

from mlquery.errors import invalid_parameter
from mlquery.server.errors import MalformedRequestError, RequestError
from mlquery.server.proto_json import Field, Fields, Message
from mlquery.server.service import Service
from mlquery.store.validation import invalid_value, missing_value

Rule = Callable[[str, Any], str | None]
"""Says what is wrong with the value of a field, None if nothing is."""

_SEARCHES: Final = frozenset(
    (
        *("search", "search-datasets", "list", "artifacts", "directories", "get-latest-versions"),
        *("get-history", "get-history-bulk", "get-history-bulk-interval"),
    )
)
"""The last parts of the paths of endpoints whose work grows with what is stored."""
_LARGE: Final = 1_000_000  # characters of JSON
_SEE: Final = " See the API docs for more information about request parameters."


@attrs.frozen(eq=False)
class Endpoint:
    """An endpoint of the REST API.

    Attributes:
        method: The HTTP method.
        path: Where it is, below the prefix of the API; `{name}` stands for a field.
        message: The fields that a request can have.
        answer: What it does; returns the JSON value of the answer.
        rules: What the values of fields, as they stand in the request, must be.
        family: The calls that it belongs to where a dialect's endpoint may lack them all.
    """

    method: str
    path: str
    message: Message
    answer: Callable[[Service, Fields], Any]
    rules: Mapping[str, tuple[Rule, ...]] = attrs.field(factory=dict)
    family: str | None = None

    @property
    def is_search(self) -> bool:
        """Tell whether it may look through everything that is stored."""
        return self.path.rpartition("/")[2] in _SEARCHES


def forwarded(
    call: Callable[..., Any], *names: str, body: Callable[[Service, Any], Any] = lambda service, found: {}
) -> Callable[[Service, Fields], Any]:
    """Return the `answer` of an endpoint that passes its fields on to a call of the backend.

    Args:
        call: A method of `Backend`, which is looked up by its name at each request.
        names: The fields that are its arguments, in order.
        body: Makes the JSON value of what it returns; by default an empty object.
    """
    name = call.__name__

    def answer(service: Service, fields: Fields) -> Any:
        return body(service, getattr(service.backend, name)(*(fields[field] for field in names)))

    return answer


def fields_in_body(
    endpoint: Endpoint, content_type: str | None, body: bytes, service: Service, path: Mapping[str, str]
) -> Fields:
    """Return the fields of a request whose body is JSON; those in the path of the URL count more."""
    if endpoint.method in ("POST", "PUT"):
        _require_json(content_type)
    fields_by_name = endpoint.message.fields_by_name
    is_in_path = endpoint.method == "DELETE" and path.keys() >= fields_by_name.keys()
    return _checked_fields(endpoint, {} if is_in_path else _object(body), service, path)


def fields_in_query(
    endpoint: Endpoint, query: Mapping[str, list[str]], service: Service, path: Mapping[str, str]
) -> Fields:
    """Return the fields of a request whose arguments are in the URL; names that are no field are passed over."""
    known = endpoint.message.fields_by_name
    raw = {name: _argument(field, query[name]) for name, field in known.items() if name in query}
    return _checked_fields(endpoint, raw, service, path)


def _argument(field: Field, values: list[str]) -> Any:
    if field.is_list:
        return values
    return _boolean(values[0]) if isinstance(field.default, bool) else values[0]


def _checked_fields(endpoint: Endpoint, raw: dict[str, Any], service: Service, path: Mapping[str, str]) -> Fields:
    fields, fits = endpoint.message.read(raw)
    if not fits and service.answers:
        raise MalformedRequestError("The request is invalid.")
    for name, rules in endpoint.rules.items():
        if name in raw or required in rules:
            value = raw.get(name)
            if value is None and name == "run_id":
                value = raw.get("run_uuid")
            _obey(rules, name, value, fits)
    fields.update(path)
    return fields


def _obey(rules: tuple[Rule, ...], name: str, value: Any, fits: bool) -> None:
    for rule in rules:
        if fits and rule in _TYPE_RULES:
            continue
        problem = rule(name, value)
        if problem is not None:
            raise invalid_parameter(problem + _SEE)


def _require_json(content_type: str | None) -> None:
    if content_type is None:
        raise RequestError("Bad Request. Content-Type header is missing.")
    if content_type.split(";")[0] != "application/json":
        raise RequestError("Bad Request. Content-Type must be one of ['application/json'].")


def _object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body, an empty one for no body; old clients encode it twice."""
    value = loaded_json(body) if body else None
    if isinstance(value, str):
        value = loaded_json(value)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(f"Bad Request. The body must be a JSON object, not {_kind(value)}.")
    return value


def loaded_json(content: str | bytes) -> Any:
    """Return the value that a body has as JSON.

    Raises:
        RequestError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(content, cls=_PatientDecoder if len(content) > _LARGE else None)
    except (ValueError, RecursionError):
        raise RequestError("Bad Request. The body is not JSON.") from None


class _PatientDecoder(json.JSONDecoder):
    """Decodes in Python: the decoder in C keeps all other threads waiting until it has read the last byte."""

    def __init__(self) -> None:
        super().__init__()
        self.scan_once = py_make_scanner(self)


def _kind(value: Any) -> str:
    return "an array" if isinstance(value, list) else "a number" if isinstance(value, int | float) else "a string"


def _boolean(string: str) -> bool:
    if string.lower() not in ("true", "false"):
        raise invalid_parameter(f"Invalid boolean value: {string}, must be 'true' or 'false'.")
    return string.lower() == "true"


# Rules


def _wrong(name: str, value: Any) -> str:
    """Return MLflow's words about a value of the wrong type or size."""
    return invalid_value(name, value, f" Hint: Value was of type '{type(value).__name__}'.").message


def required(name: str, value: Any) -> str | None:
    """Demand a value that is not empty."""
    return missing_value(name).message if value is None or value == "" else None


def _of_type(kind: type) -> Rule:
    """Return the rule that demands a value of a type."""
    return lambda name, value: None if isinstance(value, kind) else _wrong(name, value)


def _readable_as(kind: type[int] | type[float]) -> Rule:
    """Return the rule that demands a value that can be read as a number of some kind."""
    return lambda name, value: _wrong(name, value) if _read(kind, value) is None else None


a_string: Final = _of_type(str)
a_list: Final = _of_type(list)
a_boolean: Final = _of_type(bool)
an_integer: Final = _readable_as(int)
a_number: Final = _readable_as(float)


def strings(name: str, value: Any) -> str | None:
    """Demand a list of strings."""
    return None if isinstance(value, list) and all(isinstance(one, str) for one in value) else _wrong(name, value)


def between(low: int, high: int, message: str | None = None) -> Rule:
    """Return the rule that demands an integer from `low` to `high`."""

    def rule(name: str, value: Any) -> str | None:
        number = _read(int, value)
        if number is not None and low <= number <= high:
            return None
        return message or _wrong(name, value)

    return rule


def each_with(*keys: str) -> Rule:
    """Return the rule that demands objects in which some keys are not empty."""

    def rule(name: str, value: Any) -> str | None:
        for place, item in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(item, dict):
                return _wrong(name, value)
            for key in keys:
                if item.get(key) in (None, ""):
                    return missing_value(f"{name}[{place}].{key}").message
        return None

    return rule


def _read(kind: type[int] | type[float], value: Any) -> float | None:
    try:
        return kind(value)
    except (ValueError, TypeError, OverflowError):
        return None


_TYPE_RULES: Final = (a_string, a_list, strings, an_integer, a_number, a_boolean)
