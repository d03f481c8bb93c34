"""Turns cases into messages of the protocol over standard input and output, and the replies to them into results.

A message is one JSON object. It contains the calls and the search of a case, with every default filled in, and nothing
of what the case expects. `conformance/IMPLEMENTING.md` describes the protocol; processes are not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import attrs

from mlquery.conformance.execution import CALL_WORDS, Result, batch, outcome_disagreements, without_span_of_ids
from mlquery.conformance.fixtures import FIRST_TIME
from mlquery.conformance.suite import Case, Expectation, Problem, StoreContents, Table
from mlquery.store.entity_fields import without_nan

VERSION = 1
"""The version of the protocol, which a program repeats in its reply to `start`."""

_RESULTS = ("pages", "error", "skipped", "errored")


class ProtocolError(ValueError):
    """A reply that violates the protocol; the message says how."""


@attrs.frozen
class Introduction:
    """What a program reports about itself when it starts; `tweaks` are its known deviations."""

    name: str
    product_version: str = ""
    language: str = ""
    dialects: tuple[str, ...] = ()
    known_deviations: tuple[str, ...] = ()


@attrs.frozen
class Reply:
    """A reply to `run`: the result of the case, or the reason why there is none."""

    result: Result = attrs.field(factory=Result)
    ids: Mapping[str, str] = attrs.field(factory=dict)
    calls: tuple[Table, ...] = ()
    has_warnings: bool = False
    skipped: str | None = None
    errored: str | None = None


def read_introduction(message: Mapping[str, Any]) -> Introduction:
    """Return the content of a reply to `start`.

    Raises:
        ProtocolError: it violates the protocol, or has another version.
    """
    if message.get("version") != VERSION:
        raise ProtocolError(f"the program speaks version {message.get('version')!r:.40} of the protocol, not {VERSION}")
    strings = [_checked(message.get(key, ""), str, key) for key in ("name", "product_version", "language")]
    lists = [tuple(_strings(message.get(key, []), key)) for key in ("dialects", "tweaks")]
    return Introduction(*strings, *lists)


def run_message(seq: int, case: Case, contents: StoreContents) -> dict[str, Any]:
    """Return the message that runs one case."""
    search = {
        name: getattr(case, name)
        for name in ("entity", "filter", "order_by", "view", "max_results", "page_token", "walk", "experiment_ids")
    }
    calls = [message for call in case.calls for message in _call_messages(call)]
    message_of_case = {"id": case.id, "title": case.title, "features": case.features, "calls": calls, "search": search}
    return {"cmd": "run", "seq": seq, "case": message_of_case, "store": store_message(contents)}


def store_message(contents: StoreContents) -> dict[str, Any]:
    """Return the contents of a store, with every default filled in."""
    return {
        "name": contents.name,
        "experiments": [_experiment(table) for table in contents.experiments],
        "runs": [_run(table, contents) for table in contents.runs],
        "models": [{"description": None, "tags": {}, **table} for table in contents.models],
        "versions": [_version(table) for table in contents.versions],
    }


def _experiment(table: Table) -> dict[str, Any]:
    created = table.get("creation_time", FIRST_TIME)
    missing = {"name": table["id"], "tags": {}, "artifact_location": None, "deleted": False}
    return {**missing, "creation_time": created, "last_update_time": created, **table}


def _run(table: Table, contents: StoreContents) -> dict[str, Any]:
    home = contents.experiments[0]["id"]
    missing = {"experiment": home, "run_name": table["id"], "status": "RUNNING", "end_time": None, "deleted": False}
    datasets = [{"context": None, **dataset} for dataset in table.get("datasets", ())]
    points = list(_points(table.get("metrics", {})))
    return {**missing, "params": {}, "tags": {}, **table, "metrics": points, "datasets": datasets}


def _version(table: Table) -> dict[str, Any]:
    return {"run_id": None, "description": None, "tags": {}, "deleted": False, **table}


def _points(metrics: Table) -> Iterator[dict[str, Any]]:
    """Yield the points in the order in which they are logged: single values first."""
    for key, points in sorted(metrics.items(), key=lambda metric: isinstance(metric[1], list)):
        for point in points if isinstance(points, list) else [{"value": points}]:
            yield _point(key, point["value"], point.get("time", 1), point.get("step", 0))


def _point(key: str, value: float, timestamp: int, step: int) -> dict[str, Any]:
    return {"key": key, "value": without_nan(value), "timestamp": timestamp, "step": step}


def _call_messages(call: Table) -> Iterator[dict[str, Any]]:
    """Yield one message for each repetition of a call, without the result or the error that is expected."""
    for number in range(1, call.get("times", 1) + 1):
        arguments = {key: _numbered(value, number) for key, value in call.items() if key not in CALL_WORDS}
        if call["call"] == "log_batch":
            arguments = batch(_MESSAGES, **arguments)
        message_of_case = {"call": call["call"], "arguments": arguments, "as": call.get("as")}
        yield {**message_of_case, "returns": "returns" in call, "may_fail": "fails" in call}


def _numbered(value: Any, number: int) -> Any:
    match value:
        case str():
            return value.replace("${n}", str(number))
        case list():
            return [_numbered(part, number) for part in value]
        case dict():
            return {key: _numbered(part, number) for key, part in value.items()}
    return without_nan(value)


def _pair(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": value}


_MESSAGES = SimpleNamespace(Metric=_point, Param=_pair, RunTag=_pair)
"""What `log_batch` takes, as messages in place of entities."""


def read_reply(message: Mapping[str, Any], case: Case) -> Reply:
    """Return the content of a reply to `run`.

    Raises:
        ProtocolError: it violates the protocol.
    """
    given = [name for name in _RESULTS if name in message]
    if len(given) != 1:
        raise ProtocolError(f"the reply has {' and '.join(given) or 'none'} of {', '.join(_RESULTS)}, not one")
    for name in ("skipped", "errored"):
        if name in message:
            return Reply(**{name: _checked(message[name], str, name)})
    also = _checked(message.get("also", []), list, "also")
    problems = [message["error"], *also] if "error" in message else []
    result = Result(
        tuple(tuple(_strings(page, "a page")) for page in _checked(message.get("pages", []), list, "pages")),
        tuple(_problem(_checked(problem, dict, "error")) for problem in problems),
        tuple(_strings(message.get("warns", []), "warns")),
    )
    ids = _checked(message.get("ids", {}), dict, "ids")
    calls = _checked(message.get("calls", []), list, "calls")
    return Reply(
        result,
        {f"{case.entity}.{name}": _checked(identifier, str, f"the id of {name}") for name, identifier in ids.items()},
        tuple(_checked(call or {}, dict, "a call") for call in calls),
        "warns" in message,
    )


def _checked(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        raise ProtocolError(f"{what} is {value!r:.80}, not a {kind.__name__}")
    return value


def _strings(value: Any, what: str) -> list[str]:
    return [_checked(part, str, f"a part of {what}") for part in _checked(value, list, what)]


def _problem(table: Table) -> Problem:
    code = _checked(table.get("error_code"), str, "error_code")
    span = table.get("span")
    ends = None if span is None else tuple(_checked(end, int, "an end of span") for end in _checked(span, list, "span"))
    strings = {name: table.get(name) for name in ("code", "feature", "argument")}
    return Problem(code, **strings, span=ends)


def disagreements_with(reply: Reply, case: Case, expected: Expectation) -> list[str]:
    """Return every difference between a reply and what the case expects; details that the reply omits are ignored.

    Raises:
        ProtocolError: the reply lacks ids that the case needs.
    """
    _require_ids(reply, case, expected)
    found = list(_wrong_calls(reply, case)) or outcome_disagreements(case, expected, reply.result, reply.ids)
    if found:
        return found
    for wanted, actual in zip(expected.problems, reply.result.problems, strict=False):
        found += _wrong_details(wanted, without_span_of_ids(actual, case))
    if reply.has_warnings and set(expected.warns) != set(reply.result.warns):
        found.append(f"expected warnings of {sorted(expected.warns)}, not {sorted(reply.result.warns)}")
    return found


def _wrong_details(wanted: Problem, actual: Problem) -> Iterator[str]:
    for name, value in attrs.asdict(actual).items():
        if value is not None and value != getattr(wanted, name):
            yield f"expected {name} {getattr(wanted, name)}, not {value}"


def _wrong_calls(reply: Reply, case: Case) -> Iterator[str]:
    """Yield unexpected results and errors of calls; after one that is refused no others are made."""
    created = [call for call in case.calls for _ in range(call.get("times", 1))]
    actual = [*reply.calls, *[{}] * (0 if reply.result.problems else len(created) - len(reply.calls))]
    for call, result in zip(created, actual, strict=False):
        if "fails" in call and call["fails"] != result.get("error_code"):
            yield f"{call['call']} did not fail with {call['fails']}, but {result.get('error_code', 'succeeded')}"
        if "returns" in call and not reply.result.problems and call["returns"] != result.get("returned"):
            yield f"{call['call']} returned {result.get('returned')}"


def _require_ids(reply: Reply, case: Case, expected: Expectation) -> None:
    missing = [name for row in expected.tied for name in row.names if f"{case.entity}.{name}" not in reply.ids]
    if missing and not reply.result.problems:
        raise ProtocolError(f"the reply lacks the ids of {', '.join(missing)}, which order these rows")
