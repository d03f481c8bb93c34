"""Runs a case on an implementation, and compares the result with what the case expects.

The implementation is a `Session`: a client with the methods of `MlflowClient`, on one store. Neither implementations
nor dialects are known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs

from mlquery.conformance.suite import Case, Expectation, Problem, Row, Table

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_MOST_PAGES = 100
CALL_WORDS = {"call", "as", "fails", "returns", "times"}
"""The keys of a table of `calls` that are not arguments of the call."""


class MismatchError(Exception):
    """A call did not do what the case expects of it."""


class Session(Protocol):
    """One implementation with one store; `ids` has the id of everything that a case can name (`run.x` …)."""

    ids: dict[str, str]

    @property
    def client(self) -> Any:
        """The client that makes the calls."""

    @property
    def entities(self) -> Any:
        """The module of the client's entities."""

    def page(self, case: Case, filter_string: str, ids: list[str], token: str | None) -> tuple[list[str], str | None]:
        """Return the ids on one page of the case's search, and the token of the next page."""

    def problems(self, error: Exception) -> tuple[Problem, ...]:
        """Return the problems that a refusal reports; raise any other error again."""


@attrs.frozen
class Result:
    """The result of a case: pages of rows, as names of the case, or problems; and the features warned about."""

    pages: tuple[tuple[str, ...], ...] = ()
    problems: tuple[Problem, ...] = ()
    warns: tuple[str, ...] = ()


def run_case(case: Case, session: Session) -> Result:
    """Make the calls of a case, then its search, and return the result."""
    try:
        for call in case.calls:
            _perform(call, session)
        pages = tuple(_pages(case, session))
    except MismatchError:
        raise
    except Exception as error:
        return Result(problems=session.problems(error))
    names = {identifier: name for name, identifier in ids_of(case.entity, session.ids).items()}
    return Result(tuple(tuple(names.get(i, f"unknown {i}") for i in page) for page in pages))


def ids_of(kind: str, ids: Mapping[str, str]) -> dict[str, str]:
    """Return the ids of the entities of one kind ("run", "experiment" …), by the names that cases give them."""
    prefix = f"{kind}."
    return {key.removeprefix(prefix): identifier for key, identifier in ids.items() if key.startswith(prefix)}


def filled(string: str, ids: Mapping[str, str], number: int = 0) -> str:
    """Return a string with `${run.x}` and `${experiment.x}` replaced by ids and `${n}` by `number`, the repetition."""
    return _PLACEHOLDER.sub(lambda m: str(number) if m[1] == "n" else ids[m[1]], string)


def _pages(case: Case, session: Session) -> Iterator[list[str]]:
    string = filled(case.filter, session.ids)
    known = list(ids_of("experiment", session.ids).values())
    ids = known if case.experiment_ids is None else [filled(i, session.ids) for i in case.experiment_ids]
    token = case.page_token
    for _ in range(_MOST_PAGES):
        page, token = session.page(case, string, ids, token)
        yield page
        if not (case.walk and token):
            return
    raise MismatchError("the pages do not end")


def _perform(call: Table, session: Session) -> None:
    arguments = {key: value for key, value in call.items() if key not in CALL_WORDS}
    for number in range(1, call.get("times", 1) + 1):
        ready = _ready(arguments, session, number)
        if call["call"] == "log_batch":
            ready = batch(session.entities, **ready)
        if "fails" in call:
            _fail(call, ready, session)
            continue
        result = getattr(session.client, call["call"])(**ready)
        if "returns" in call and _plain(result) != _ready(call["returns"], session, number):
            raise MismatchError(f"{call['call']} returned {_plain(result)}")
        if "as" in call:
            session.ids[call["as"]] = id_of(result)


def _fail(call: Table, arguments: Mapping[str, Any], session: Session) -> None:
    try:
        getattr(session.client, call["call"])(**arguments)
    except Exception as error:
        code = session.problems(error)[0].error_code
        if code != call["fails"]:
            raise MismatchError(f"{call['call']} failed with {code}, not with {call['fails']}") from error
        return
    raise MismatchError(f"{call['call']} did not fail with {call['fails']}")


def id_of(result: Any) -> str:
    """Return the id of an entity that a call created or a search found; an id is returned as it is."""
    if hasattr(result, "latest_versions"):
        return str(result.name)
    if hasattr(result, "version"):
        return f"{result.name}/{result.version}"
    identifier: str = result if isinstance(result, str) else getattr(result, "experiment_id", "") or result.info.run_id
    return identifier


def _plain(result: Any) -> Any:
    """Return what a case can compare: names of experiments, data of runs, values of points, paths of files."""
    if isinstance(result, list):
        return [_plain(part) for part in result]
    if hasattr(result, "data"):
        return {"metrics": result.data.metrics, "params": result.data.params}
    for attribute in ("value", "path", "name"):
        if hasattr(result, attribute):
            return getattr(result, attribute)
    return result


def _ready(value: Any, session: Session, number: int) -> Any:
    match value:
        case str():
            return filled(value, session.ids, number)
        case list():
            return [_ready(part, session, number) for part in value]
        case dict():
            return {key: _ready(part, session, number) for key, part in value.items()}
    return value


def batch(
    entities: Any,
    run_id: str,
    metrics: Iterable[tuple[str, float]] = (),
    points: Mapping[str, int] | None = None,
    params: Iterable[tuple[str, str]] = (),
    tags: Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Return the arguments of `log_batch`; `points` has the number of points of a metric, at steps 0, 1 and so on."""
    logged = [entities.Metric(key, value, 1, 0) for key, value in metrics]
    logged += [entities.Metric(k, float(step), 1, step) for k, count in (points or {}).items() for step in range(count)]
    return {
        "run_id": run_id,
        "metrics": logged,
        "params": [entities.Param(key, value) for key, value in params],
        "tags": [entities.RunTag(key, value) for key, value in tags],
    }


def disagreements(case: Case, expected: Expectation, result: Result, ids: Mapping[str, str]) -> list[str]:
    """Return every difference between a result, with all its details, and the expected one."""
    found = outcome_disagreements(case, expected, result, ids)
    given = tuple(without_span_of_ids(problem, case) for problem in result.problems)
    if not found and expected.problems != given:
        found = [f"expected {_listed(expected.problems)}, not {_listed(given)}"]
    if expected.warns != result.warns:
        found.append(f"expected warnings of {_listed(expected.warns)}, not {_listed(result.warns)}")
    return found


def without_span_of_ids(problem: Problem, case: Case) -> Problem:
    """Return a problem without its span if that depends on the length of an id."""
    first = case.filter.find("${")
    if problem.argument != "filter_string" or first < 0 or problem.span is None or problem.span[1] <= first:
        return problem
    return attrs.evolve(problem, span=None)


def outcome_disagreements(case: Case, expected: Expectation, result: Result, ids: Mapping[str, str]) -> list[str]:
    """Return the differences of a result in rows, order, acceptance or error code; other details are ignored.

    Rows that only their ids order are expected in the order of `ids`, which has them by name (`run.x` …).
    """
    wanted, given = (problems[:1] for problems in (expected.problems, result.problems))
    if wanted or given:
        codes = [_listed(p.error_code for p in problems) for problems in (wanted, given)]
        return [] if codes[0] == codes[1] else [f"expected error {codes[0]}, not {codes[1]} {list(result.pages) or ''}"]
    if expected.pages is not None:
        pages = tuple(_names(page, case, ids) for page in expected.pages)
        return [] if pages == result.pages else [f"expected pages {_listed(pages)}, not {_listed(result.pages)}"]
    rows, found = _names(expected.rows or (), case, ids), tuple(row for page in result.pages for row in page)
    if rows != found:
        return [f"expected rows {_listed(rows)}, not {_listed(found)}"]
    is_even = all(len(page) == case.max_results for page in result.pages[:-1])
    return [] if is_even else [f"pages of {_listed(map(len, result.pages))} rows, not of {case.max_results}"]


def _names(rows: Sequence[Row], case: Case, ids: Mapping[str, str]) -> tuple[str, ...]:
    def rank(name: str) -> tuple[int, str]:
        return rank_of_id(ids[f"{case.entity}.{name}"])

    names: list[str] = []
    for row in rows:
        names += [row] if isinstance(row, str) else sorted(row.names, key=rank, reverse=row.descending)
    return tuple(names)


def rank_of_id(identifier: str) -> tuple[int, str]:
    """Return the sort key of ids of one kind: their number, or the string."""
    return (int(identifier), "") if identifier.isdecimal() else (0, identifier)


def _listed(things: Iterable[Any]) -> str:
    return ", ".join(map(str, things)) or "nothing"
