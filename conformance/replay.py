"""Replay the conformance cases on the MLflow that is installed, of whatever release, and say where they disagree.

    python conformance/replay.py [--dialect NAME] [--answers FILE] [CASE ...]

Each store of the suite is made on a new database of MLflow's (SQLAlchemy on SQLite) by MLflow's own client. Rows,
order, acceptance and error codes are compared with what the cases say of a dialect, by default `oss`. With `--answers`,
MLflow's answers are written to a file as JSON, and not compared. `mlquery conformance --target sqlite:` compares more,
and needs the release that mlquery speaks to.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow

from mlquery.conformance.execution import MismatchError, Result, Session, outcome_disagreements, run_case
from mlquery.conformance.mlflow_session import UnsentError
from mlquery.conformance.recordings import Recorded, record_of
from mlquery.conformance.suite import Case, Suite, load_suite
from mlquery.conformance.targets import SuiteTarget, opened


class Replay:
    """MLflow on databases of its own, asked cases for what they say of a dialect."""

    def __init__(self, suite: Suite, stores: SuiteTarget, dialect: str = "oss") -> None:
        self.suite = suite
        self._stores = stores
        self._dialect = dialect

    def answer(self, case: Case) -> tuple[Result, Session]:
        """Return what MLflow answers to a case, and the session it was asked in.

        Raises:
            MismatchError: a call of the case did something else.
            UnsentError: the client of this release has no such call.
        """
        with warnings.catch_warnings(), self._stores.session(case) as session:
            warnings.simplefilter("ignore")  # that a call will go some day is no part of its answer
            return run_case(case, session), session

    def disagreements(self, case: Case) -> list[str]:
        """Return how MLflow's answer differs from what the case expects of it."""
        try:
            answer, session = self.answer(case)
        except (MismatchError, UnsentError) as mismatch:
            return [str(mismatch)]
        return outcome_disagreements(case, case.expect[self._dialect], answer, session.ids)

    def answers(self, cases: list[Case]) -> dict[str, Recorded]:
        """Return what MLflow answers to each case, as data."""
        found: dict[str, Recorded] = {}
        for case in cases:
            try:
                found[case.id] = record_of(case, *self.answer(case))
            except (MismatchError, UnsentError) as mismatch:
                found[case.id] = str(mismatch)
        return found


@contextmanager
def replaying(suite: Suite, dialect: str = "oss") -> Iterator[Replay]:
    """Give a replay on new databases, which are gone in the end."""
    with opened("sqlite:", suite) as stores:
        yield Replay(suite, stores, dialect)


def main(arguments: list[str]) -> int:
    """Replay the named cases, or all of them, and return the exit code: 1 if MLflow disagrees with any."""
    parser = argparse.ArgumentParser(description="Replay conformance cases on the MLflow that is installed.")
    parser.add_argument("cases", metavar="CASE", nargs="*", help="default: all")
    parser.add_argument("--dialect", default="oss", help="whose expectations to compare with; default: oss")
    parser.add_argument("--answers", metavar="FILE", type=Path, help="write the answers there and compare nothing")
    options = parser.parse_args(arguments)
    suite = load_suite()
    chosen = [case for case in suite.cases if not options.cases or case.id in options.cases]
    place = options.answers and options.answers.absolute()
    disagreeing = 0
    with replaying(suite, options.dialect) as replay:
        if place:
            recorded = {"mlflow": mlflow.__version__, "answers": replay.answers(chosen)}
            place.write_text(json.dumps(recorded), encoding="utf-8")
            return 0
        for case in chosen:
            found = replay.disagreements(case)
            disagreeing += bool(found)
            for line in found:
                print(f"{case.topic}: {case.id}: {line}")
    print(f"MLflow {mlflow.__version__}: {len(chosen) - disagreeing} of {len(chosen)} cases agree")
    return 1 if disagreeing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
