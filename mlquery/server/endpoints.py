"""Turns a request into a call: the JSON or the query string is read into fields, and the fields are checked.

Rules come in MLflow's order, with its wording. What a call does with its fields is not known here.

**Source**: `mlflow.server.handlers._get_request_message` of MLflow 3.17 and the checks of its handlers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from mlquery.errors import invalid_parameter
from mlquery.server.errors import MalformedRequestError, RequestError
from mlquery.server.proto_json import Given, Message
from mlquery.server.service import Service
from mlquery.store.validation import invalid_value, missing_value

Rule = Callable[[str, Any], str | None]
"""Says what is wrong with the value of a field, None if nothing is."""

_SEE: Final = " See the API docs for more information about request parameters."


@attrs.frozen(eq=False)
class Call:
    """A call of the REST API.

    Attributes:
        method: The HTTP method.
        path: Where it is, below the prefix of the API; `{name}` stands for a field.
        message: The fields it can have.
        answer: What it does; returns the JSON value of the answer.
        rules: What the values of fields, as they stand in the request, must be.
        family: The calls that it belongs to where a dialect's endpoint may lack them all.
    """

    method: str
    path: str
    message: Message
    answer: Callable[[Service, Given], Any]
    rules: Mapping[str, tuple[Rule, ...]] = attrs.field(factory=dict)
    family: str | None = None


def given_in_body(
    call: Call, content_type: str | None, body: bytes, service: Service, path: Mapping[str, str]
) -> Given:
    """Return the fields of a call whose arguments are JSON; those in the path of the URL count more."""
    if call.method in ("POST", "PUT"):
        _require_json(content_type)
    given = _given(call, _object(body), service)
    given.update(path)
    return given


def given_in_query(call: Call, query: Mapping[str, list[str]], service: Service, path: Mapping[str, str]) -> Given:
    """Return the fields of a call whose arguments are in the URL; names that are no field are passed over."""
    raw: dict[str, Any] = {}
    for name, field in call.message.fields_by_name.items():
        if name in query:
            values = query[name]
            raw[name] = values if field.is_list else _flag_of(values[0]) if field.is_flag else values[0]
    given = _given(call, raw, service)
    given.update(path)
    return given


def _given(call: Call, raw: dict[str, Any], service: Service) -> Given:
    given, fits = call.message.read(raw)
    if not fits and service.answers:
        raise MalformedRequestError("The request is invalid.")
    for name, rules in call.rules.items():
        if name in raw or needed in rules:
            value = raw.get(name)
            if value is None and name == "run_id":
                value = raw.get("run_uuid")
            _obey(rules, name, value, fits)
    return given


def _obey(rules: tuple[Rule, ...], name: str, value: Any, fits: bool) -> None:
    for rule in rules:
        if fits and rule in _ABOUT_TYPES:
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
    value = _loaded(body) if body else None
    if isinstance(value, str):
        value = _loaded(value)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(f"Bad Request. The body must be a JSON object, not {_kind(value)}.")
    return value


def _loaded(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError("Bad Request. The body is not JSON.") from None


def _kind(value: Any) -> str:
    return "an array" if isinstance(value, list) else "a number" if isinstance(value, int | float) else "a text"


def _flag_of(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise invalid_parameter(f"Invalid boolean value: {text}, must be 'true' or 'false'.")
    return text.lower() == "true"


# Rules


def wrong(name: str, value: Any) -> str:
    """Return MLflow's words about a value of the wrong type or size."""
    return invalid_value(name, value, f" Hint: Value was of type '{type(value).__name__}'.").message


def needed(name: str, value: Any) -> str | None:
    """Demand a value that is not empty."""
    return missing_value(name).message if value is None or value == "" else None


def a_text(name: str, value: Any) -> str | None:
    """Demand a text."""
    return None if isinstance(value, str) else wrong(name, value)


def a_list(name: str, value: Any) -> str | None:
    """Demand a list."""
    return None if isinstance(value, list) else wrong(name, value)


def texts(name: str, value: Any) -> str | None:
    """Demand a list of texts."""
    return None if isinstance(value, list) and all(isinstance(one, str) for one in value) else wrong(name, value)


def a_whole(name: str, value: Any) -> str | None:
    """Demand a number that can be read as a whole one."""
    return wrong(name, value) if _read(int, value) is None else None


def a_number(name: str, value: Any) -> str | None:
    """Demand a number."""
    return wrong(name, value) if _read(float, value) is None else None


def between(low: int, high: int, message: str | None = None) -> Rule:
    """Return the rule that demands a whole number from `low` to `high`."""

    def rule(name: str, value: Any) -> str | None:
        number = _read(int, value)
        if number is not None and low <= number <= high:
            return None
        return message or wrong(name, value)

    return rule


def each_with(*keys: str) -> Rule:
    """Return the rule that demands objects in which some keys are not empty."""

    def rule(name: str, value: Any) -> str | None:
        for place, item in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(item, dict):
                return wrong(name, value)
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


_ABOUT_TYPES: Final = (a_text, a_list, texts, a_whole, a_number)
