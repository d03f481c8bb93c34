"""The conformance suite: cases in TOML, run on mlquery in every dialect and on both engines.

The files are in `conformance/` of a checkout and travel in the wheel; their README describes the format for
implementations of any kind. What real MLflow answers is checked by `conformance/replay.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from mlquery.conformance.answers import disagreements
from mlquery.conformance.inprocess import ENGINES, Sessions, answer
from mlquery.conformance.suite import Case, Suite, load_suite
from mlquery.language.matrix import MATRIX, Dialect

__all__ = ["Case", "Outcome", "Suite", "load_suite", "run"]


@attrs.frozen
class Outcome:
    """What became of one case in one dialect on one engine."""

    case: Case
    dialect: str
    engine: str
    disagreements: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Tell whether the answer was the expected one."""
        return not self.disagreements

    def __str__(self) -> str:
        """Name the case and say what was wrong with the answer."""
        verdict = "; ".join(self.disagreements) or "passed"
        return f"{self.case.topic}: {self.case.id} in {self.dialect} on {self.engine}: {verdict}"


def run(
    dialects: Iterable[str] | None = None,
    engines: Iterable[str] | None = None,
    *,
    suite: Suite | None = None,
) -> list[Outcome]:
    """Run every case and return what became of each.

    Args:
        dialects: Names of dialects; by default all of them.
        engines: "reference", "columnar" or both, the default.
        suite: The cases; by default those that ship with mlquery.

    Raises:
        ValueError: there is no dialect or no engine of that name.
    """
    suite = load_suite() if suite is None else suite
    chosen = [MATRIX.dialect(name) for name in (MATRIX.dialects if dialects is None else dialects)]
    names = list(ENGINES if engines is None else engines)
    if unknown := set(names) - set(ENGINES):
        raise ValueError(f"no engine is called {', '.join(map(repr, unknown))}; there are {', '.join(ENGINES)}")
    sessions = Sessions(dict(suite.stores))
    return [outcome(case, dialect, engine, sessions) for case in suite.cases for dialect in chosen for engine in names]


def outcome(case: Case, dialect: Dialect, engine: str, sessions: Sessions) -> Outcome:
    """Run one case; whatever goes wrong is part of the outcome."""
    session = sessions.session(case, dialect, engine)
    try:
        found = disagreements(case, case.expect[dialect.name], answer(case, session), session)
    except Exception as error:
        found = [f"{type(error).__name__}: {error}"]
    return Outcome(case, dialect.name, engine, tuple(found))
