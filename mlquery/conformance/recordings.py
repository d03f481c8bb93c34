"""Turns the results of a server into plain data that can be stored and compared later.

A result is a list of pages of names, the string `"error CODE"`, or another string that says why there is none. If the
order depends on ids, which no two stores share, the result has `by_id` beside the `pages`: the names that were found,
in the order of their ids.
"""

from __future__ import annotations

from typing import Any

from mlquery.conformance.execution import Result, Session, outcome_disagreements, rank_of_id
from mlquery.conformance.suite import Case, Expectation, Problem

Recorded = Any
_ERROR = "error "


def record_of(case: Case, result: Result, session: Session) -> Recorded:
    """Return a result as data."""
    if result.problems:
        return f"{_ERROR}{result.problems[0].error_code}"
    pages = [list(page) for page in result.pages]
    if not any(expected.tied for expected in case.expect.values()):
        return pages
    found = {name for page in pages for name in page}
    return {"pages": pages, "by_id": sorted(found, key=lambda name: rank_of_id(session.ids[f"{case.entity}.{name}"]))}


def record_disagreements(case: Case, expected: Expectation, recorded: Recorded) -> list[str]:
    """Return how a recorded result differs from an expectation."""
    if isinstance(recorded, str):
        if not recorded.startswith(_ERROR):
            return [recorded]
        result = Result(problems=(Problem(recorded.removeprefix(_ERROR)),))
        return outcome_disagreements(case, expected, result, {})
    pages, by_id = (recorded["pages"], recorded["by_id"]) if isinstance(recorded, dict) else (recorded, [])
    unfound = [name for tied in expected.tied for name in tied.names if name not in by_id]
    ids = {f"{case.entity}.{name}": str(number) for number, name in enumerate([*by_id, *unfound])}
    return outcome_disagreements(case, expected, Result(tuple(map(tuple, pages))), ids)
