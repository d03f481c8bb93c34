"""The conformance suite: cases in TOML, run on mlquery in every dialect and on every engine that is wanted.

The files are in `conformance/` of a checkout and travel in the wheel; their README describes the format for
implementations of any kind. `conformance/replay.py` compares the suite with real MLflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from mlquery.conformance.engines import SuiteEngine, opened
from mlquery.conformance.execution import disagreements
from mlquery.conformance.inprocess import ENGINES, Sessions, result_of, store_key
from mlquery.conformance.report import Report, Row, new_report, outcome_of_match, row_of
from mlquery.conformance.suite import Case, Suite, load_suite
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.sql.errors import NotAskableError

__all__ = ["Case", "Outcome", "Suite", "load_suite", "reports_of", "run"]

NO_ENGINE: Final = "registered models and their versions are searched without an engine"
_SEARCHED: Final = ("run", "experiment")


@attrs.frozen
class Outcome:
    """The result of one case in one dialect on one engine.

    Attributes:
        disagreements: How the result differs from the expected one.
        not_askable: Why the engine does not answer the query; then there is no result.
        searches: How often the engine was asked; a query that is refused does not reach it.
    """

    case: Case
    dialect: str
    engine: str
    disagreements: tuple[str, ...] = ()
    not_askable: str = ""
    searches: int = 0

    @property
    def passed(self) -> bool:
        """Tell whether the result was the expected one."""
        return not (self.disagreements or self.not_askable)

    @property
    def failed(self) -> bool:
        """Tell whether the result was another one than expected."""
        return bool(self.disagreements)

    def __str__(self) -> str:
        """Name the case and list the disagreements."""
        verdict = "; ".join(self.disagreements) or (
            f"not askable: {self.not_askable}" if self.not_askable else "passed"
        )
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
        engines: Names of engines, see `engines.ENGINE_NAMES`; by default "reference" and "columnar".
        suite: The cases; by default those that ship with mlquery.

    Raises:
        ValueError: a dialect or an engine is unknown.
        StoreError: an engine cannot be had here.
    """
    suite = load_suite() if suite is None else suite
    chosen = [MATRIX.dialect(name) for name in (MATRIX.main_dialects if dialects is None else dialects)]
    with opened(ENGINES if engines is None else engines) as found:
        sessions = Sessions(suite.stores, {engine.name: engine.rows for engine in found})
        jobs = [(case, dialect, engine) for case in suite.cases for dialect in chosen for engine in found]
        outcomes = {id(job): _outcome_of(*job, sessions) for job in sorted(jobs, key=_place)}
        return [outcomes[id(job)] for job in jobs]


def _place(job: tuple[Case, Dialect, SuiteEngine]) -> tuple[str, ...]:
    """Return when to run a case: those of one store one after the other, so that it is seldom copied to an engine."""
    case, dialect, engine = job
    return ("" if engine.is_in_memory else engine.name, *map(str, store_key(case, dialect)), str(bool(case.calls)))


def _outcome_of(case: Case, dialect: Dialect, engine: SuiteEngine, sessions: Sessions) -> Outcome:
    if case.entity not in _SEARCHED and not engine.is_in_memory:
        return Outcome(case, dialect.name, engine.name, not_askable=NO_ENGINE)
    before = engine.asked
    found = outcome(case, dialect, engine.name, sessions)
    return attrs.evolve(found, searches=engine.asked - before)


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
        reasons = [f"not askable on {o.engine}: {o.not_askable}" for o in same if o.not_askable]
        if details or len(reasons) < len(same):
            rows.append(row_of(case, "fail" if details else outcome_of_match(case.expect[dialect]), details))
        else:
            rows.append(row_of(case, "skipped", reasons))
    return rows


def outcome(case: Case, dialect: Dialect, engine: str, sessions: Sessions) -> Outcome:
    """Run one case; an exception is part of the outcome."""
    session = sessions.session(case, dialect, engine)
    try:
        found = disagreements(case, case.expect[dialect.name], result_of(case, session), session.ids)
    except NotAskableError as refusal:
        return Outcome(case, dialect.name, engine, not_askable=f"{refusal.what}: {refusal.reason}")
    except Exception as error:
        found = [f"{type(error).__name__}: {error}"]
    return Outcome(case, dialect.name, engine, tuple(found))
