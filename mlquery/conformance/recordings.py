"""Turns the results of a server into plain data that can be stored and compared later.

A result is a list of pages of names, the string `"error CODE"`, or another string that says why there is none. If the
order depends on ids, which no two stores share, the result has `by_id` beside the `pages`: the names that were found,
in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from mlquery.conformance.execution import Result, Session, outcome_disagreements, rank_of_id
from mlquery.conformance.suite import Case, Expectation, Problem, Tied

Recorded = Any
_ERROR = "error "


def record_of(case: Case, result: Result, session: Session) -> Recorded:
    """Return a result as data."""
    if result.problems:
        return f"{_ERROR}{result.problems[0].error_code}"
    pages = [list(page) for page in result.pages]
    if not any(map(_leaves_order_to_ids, case.expect.values())):
        return pages
    found = {name for page in pages for name in page}
    return {"pages": pages, "by_id": sorted(found, key=lambda name: rank_of_id(session.ids[f"{case.entity}.{name}"]))}


def record_disagreements(case: Case, expected: Expectation, recorded: Recorded) -> list[str]:
    """Return how a recorded result differs from an expectation."""
    if isinstance(recorded, str):
        if not recorded.startswith(_ERROR):
            return [recorded]
        result = Result(problems=(Problem(recorded.removeprefix(_ERROR)),))
        return outcome_disagreements(case, expected, result, _RecordedIds())
    pages, by_id = (recorded["pages"], recorded["by_id"]) if isinstance(recorded, dict) else (recorded, [])
    ids = {f"{case.entity}.{name}": str(number) for number, name in enumerate([*by_id, *_unfound(expected, by_id)])}
    return outcome_disagreements(case, expected, Result(tuple(map(tuple, pages))), _RecordedIds(ids))


@attrs.frozen
class _RecordedIds:
    """The order of the ids of a session that is over."""

    ids: Mapping[str, str] = attrs.field(factory=dict)


def _tied(expected: Expectation) -> Iterable[Tied]:
    rows = [*(expected.rows or ()), *(row for page in expected.pages or () for row in page)]
    return (row for row in rows if isinstance(row, Tied))


def _leaves_order_to_ids(expected: Expectation) -> bool:
    return any(True for _ in _tied(expected))


def _unfound(expected: Expectation, found: list[str]) -> list[str]:
    return [name for tied in _tied(expected) for name in tied.names if name not in found]
