"""What runner and implementation say to each other over standard input and output: messages from cases, and answers.

A message is one JSON object. It holds all that a case asks, with every default filled in, and nothing of what the case
expects. `conformance/IMPLEMENTING.md` describes the protocol for implementations; nothing is known here of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from mlquery.conformance.execution import CALL_WORDS, Answer, outcome_disagreements, without_span_of_ids
from mlquery.conformance.fixtures import FIRST_TIME
from mlquery.conformance.suite import Case, Expectation, Problem, StoreContents, Table, Tied

VERSION = 1
"""Of the protocol; an implementation that cannot speak it says so in its answer to `start`."""

_ANSWERS = ("pages", "error", "skipped", "errored")


class Unfit(ValueError):
    """An answer that is not as the protocol says; the text tells how."""


@attrs.frozen
class Introduction:
    """What a program says of itself when it is started; `tweaks` are the ways in which it departs on purpose."""

    name: str
    product_version: str = ""
    language: str = ""
    dialects: tuple[str, ...] = ()
    tweaks: tuple[str, ...] = ()


@attrs.frozen
class Reply:
    """An answer to `run`: an answer to the case, or the reason why there is none."""

    answer: Answer = attrs.field(factory=Answer)
    ids: Mapping[str, str] = attrs.field(factory=dict)
    calls: tuple[Table, ...] = ()
    tells_warnings: bool = False
    skipped: str | None = None
    errored: str | None = None


def read_introduction(message: Mapping[str, Any]) -> Introduction:
    """Return what an answer to `start` says.

    Raises:
        Unfit: it is not as the protocol says, or of another version of it.
    """
    if message.get("version") != VERSION:
        raise Unfit(f"the program speaks version {message.get('version')!r:.40} of the protocol, not {VERSION}")
    texts = [_typed(message.get(key, ""), str, key) for key in ("name", "product_version", "language")]
    lists = [tuple(_texts(message.get(key, []), key)) for key in ("dialects", "tweaks")]
    return Introduction(*texts, *lists)


def run_message(seq: int, case: Case, contents: StoreContents) -> dict[str, Any]:
    """Return the message that asks for one case."""
    search = {
        name: getattr(case, name)
        for name in ("entity", "filter", "order_by", "view", "max_results", "page_token", "walk", "experiment_ids")
    }
    calls = [message for call in case.calls for message in _call_messages(call)]
    asked = {"id": case.id, "title": case.title, "features": case.features, "calls": calls, "search": search}
    return {"cmd": "run", "seq": seq, "case": asked, "store": store_message(contents)}


def store_message(contents: StoreContents) -> dict[str, Any]:
    """Return what a store holds, with every default written out."""
    return {
        "name": contents.name,
        "experiments": [_experiment(table) for table in contents.experiments],
        "runs": [_run(table, contents) for table in contents.runs],
        "models": [{"description": None, "tags": {}, **table} for table in contents.models],
        "versions": [_version(table) for table in contents.versions],
    }


def _experiment(table: Table) -> dict[str, Any]:
    made = table.get("creation_time", FIRST_TIME)
    missing = {"name": table["id"], "tags": {}, "artifact_location": None, "deleted": False}
    return {**missing, "creation_time": made, "last_update_time": made, **table}


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
    for key, value in metrics.items():
        if not isinstance(value, list):
            yield _point(key, value)
    for key, points in metrics.items():
        for point in points if isinstance(points, list) else ():
            yield _point(key, point["value"], point.get("time", 1), point.get("step", 0))


def _point(key: str, value: float, timestamp: int = 1, step: int = 0) -> dict[str, Any]:
    return {"key": key, "value": _plain(value), "timestamp": timestamp, "step": step}


def _plain(value: Any) -> Any:
    """Return a value for JSON, which has no NaN and no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _call_messages(call: Table) -> Iterator[dict[str, Any]]:
    """Yield one message for each time that a call is made; what it has to return or fail with stays here."""
    for number in range(1, call.get("times", 1) + 1):
        arguments = {key: _numbered(value, number) for key, value in call.items() if key not in CALL_WORDS}
        if call["call"] == "log_batch":
            arguments = _batch(**arguments)
        asked = {"call": call["call"], "arguments": arguments, "as": call.get("as")}
        yield {**asked, "returns": "returns" in call, "may_fail": "fails" in call}


def _numbered(value: Any, number: int) -> Any:
    match value:
        case str():
            return value.replace("${n}", str(number))
        case list():
            return [_numbered(part, number) for part in value]
        case dict():
            return {key: _numbered(part, number) for key, part in value.items()}
    return _plain(value)


def _batch(
    run_id: str, metrics: Any = (), points: Mapping[str, int] | None = None, params: Any = (), tags: Any = ()
) -> dict[str, Any]:
    logged = [_point(key, value) for key, value in metrics]
    logged += [_point(key, float(step), 1, step) for key, count in (points or {}).items() for step in range(count)]
    texts = {"params": params, "tags": tags}
    pairs = {name: [{"key": key, "value": value} for key, value in written] for name, written in texts.items()}
    return {"run_id": run_id, "metrics": logged, **pairs}


def read_reply(message: Mapping[str, Any], case: Case) -> Reply:
    """Return what an answer to `run` says.

    Raises:
        Unfit: it is not as the protocol says.
    """
    given = [name for name in _ANSWERS if name in message]
    if len(given) != 1:
        raise Unfit(f"the answer has {' and '.join(given) or 'none'} of {', '.join(_ANSWERS)}, not one")
    for name in ("skipped", "errored"):
        if name in message:
            return Reply(**{name: _typed(message[name], str, name)})
    also = _typed(message.get("also", []), list, "also")
    problems = [message["error"], *also] if "error" in message else []
    answer = Answer(
        tuple(tuple(_texts(page, "a page")) for page in _typed(message.get("pages", []), list, "pages")),
        tuple(_problem(_typed(problem, dict, "error")) for problem in problems),
        tuple(_texts(message.get("warns", []), "warns")),
    )
    ids = _typed(message.get("ids", {}), dict, "ids")
    calls = _typed(message.get("calls", []), list, "calls")
    return Reply(
        answer,
        {f"{case.entity}.{name}": _typed(identifier, str, f"the id of {name}") for name, identifier in ids.items()},
        tuple(_typed(call or {}, dict, "a call") for call in calls),
        "warns" in message,
    )


def _typed(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        raise Unfit(f"{what} is {value!r:.80}, which is no {kind.__name__}")
    return value


def _texts(value: Any, what: str) -> list[str]:
    return [_typed(part, str, f"a part of {what}") for part in _typed(value, list, what)]


def _problem(table: Table) -> Problem:
    code = _typed(table.get("error_code"), str, "error_code")
    span = table.get("span")
    ends = None if span is None else tuple(_typed(end, int, "an end of span") for end in _typed(span, list, "span"))
    texts = {name: table.get(name) for name in ("code", "feature", "argument")}
    return Problem(code, **texts, span=ends)


def disagreements_with(reply: Reply, case: Case, expected: Expectation) -> list[str]:
    """Return every way in which a reply is not what the case expects. Of details, those that the reply tells count.

    Raises:
        Unfit: the reply lacks ids that the case needs.
    """
    _require_ids(reply, case, expected)
    found = list(_wrong_calls(reply, case)) or outcome_disagreements(case, expected, reply.answer, reply)
    if found:
        return found
    for wanted, told in zip(expected.problems, reply.answer.problems, strict=False):
        found += _wrong_details(wanted, without_span_of_ids(told, case))
    if reply.tells_warnings and set(expected.warns) != set(reply.answer.warns):
        found.append(f"expected warnings of {sorted(expected.warns)}, not {sorted(reply.answer.warns)}")
    return found


def _wrong_details(wanted: Problem, told: Problem) -> Iterator[str]:
    for name, value in attrs.asdict(told).items():
        if value is not None and value != getattr(wanted, name):
            yield f"expected {name} {getattr(wanted, name)}, not {value}"


def _wrong_calls(reply: Reply, case: Case) -> Iterator[str]:
    """Yield what calls returned, or failed with, that they should not have."""
    made = [call for call in case.calls for _ in range(call.get("times", 1))]
    told = [*reply.calls, *[{}] * (len(made) - len(reply.calls))]
    for call, answer in zip(made, told, strict=False):
        if "fails" in call and call["fails"] != answer.get("error_code"):
            yield f"{call['call']} did not fail with {call['fails']}, but {answer.get('error_code', 'went on')}"
        if "returns" in call and not reply.answer.problems and call["returns"] != answer.get("returned"):
            yield f"{call['call']} returned {answer.get('returned')}"


def _require_ids(reply: Reply, case: Case, expected: Expectation) -> None:
    tied = [row for page in (expected.rows or (), *(expected.pages or ())) for row in page if isinstance(row, Tied)]
    missing = [name for row in tied for name in row.names if f"{case.entity}.{name}" not in reply.ids]
    if missing and not reply.answer.problems:
        raise Unfit(f"the answer lacks the ids of {', '.join(missing)}, which put these rows in order")
