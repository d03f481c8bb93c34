"""The conformance suite: cases in TOML, run on mlquery in every dialect and on both engines.

The files are in `conformance/` of a checkout and travel in the wheel; their README describes the format for
implementations of any kind. `conformance/replay.py` compares the suite with real MLflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from mlquery.conformance.execution import disagreements
from mlquery.conformance.inprocess import ENGINES, Sessions, result_of
from mlquery.conformance.report import Report, Row, new_report, outcome_of_match, row_of
from mlquery.conformance.suite import Case, Suite, load_suite
from mlquery.language.matrix import MATRIX, Dialect

__all__ = ["Case", "Outcome", "Suite", "load_suite", "reports_of", "run"]


@attrs.frozen
class Outcome:
    """The result of one case in one dialect on one engine."""

    case: Case
    dialect: str
    engine: str
    disagreements: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Tell whether the result was the expected one."""
        return not self.disagreements

    def __str__(self) -> str:
        """Name the case and list the disagreements."""
        verdict = "; ".join(self.disagreements) or "passed"
        return f"{self.case.topic}: {self.case.id} in {self.dialect} on {self.engine}: {verdict}"


def run(
    dialects: Iterable[str] | None = None,
    engines: Iterable[str] | None = None,
    *,
    suite: Suite | None = None,
) -> list[Outcome]:
    """Run every case and return the outcomes.

    Args:
        dialects: Names of dialects; by default all but those of older releases.
        engines: "reference", "columnar" or both, the default.
        suite: The cases; by default those that ship with mlquery.

    Raises:
        ValueError: a dialect or an engine is unknown.
    """
    suite = load_suite() if suite is None else suite
    chosen = [MATRIX.dialect(name) for name in (MATRIX.main_dialects if dialects is None else dialects)]
    names = list(ENGINES if engines is None else engines)
    if unknown := set(names) - set(ENGINES):
        raise ValueError(f"unknown engine {', '.join(map(repr, unknown))}; use {' or '.join(ENGINES)}")
    sessions = Sessions(suite.stores)
    return [outcome(case, dialect, engine, sessions) for case in suite.cases for dialect in chosen for engine in names]


def reports_of(outcomes: Sequence[Outcome], version: str) -> list[Report]:
    """Return the report of each dialect; a case fails if it fails on any engine."""
    return [
        new_report("in-process", "mlquery", version, dialect, _rows(o for o in outcomes if o.dialect == dialect))
        for dialect in dict.fromkeys(o.dialect for o in outcomes)
    ]


def _rows(outcomes: Iterable[Outcome]) -> list[Row]:
    by_case: dict[str, list[Outcome]] = {}
    for found in outcomes:
        by_case.setdefault(found.case.id, []).append(found)
    rows = []
    for same in by_case.values():
        case, dialect = same[0].case, same[0].dialect
        details = [f"{o.engine}: {disagreement}" for o in same for disagreement in o.disagreements]
        rows.append(row_of(case, "fail" if details else outcome_of_match(case.expect[dialect]), details))
    return rows


def outcome(case: Case, dialect: Dialect, engine: str, sessions: Sessions) -> Outcome:
    """Run one case; an exception is part of the outcome."""
    session = sessions.session(case, dialect, engine)
    try:
        found = disagreements(case, case.expect[dialect.name], result_of(case, session), session.ids)
    except Exception as error:
        found = [f"{type(error).__name__}: {error}"]
    return Outcome(case, dialect.name, engine, tuple(found))
