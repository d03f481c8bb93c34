"""Ask a target every case of a suite in one dialect, and make the report of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from mlquery.conformance.applicability import Conditions, Rehearsals
from mlquery.conformance.execution import Answer, MismatchError, Session, ask, outcome_disagreements
from mlquery.conformance.known_deviations import NONE, Tweaks
from mlquery.conformance.mlflow_session import MlflowSession, UnansweredError, UnsentError
from mlquery.conformance.namespacing import ForeignEntityError, Guest
from mlquery.conformance.readback import Described, described, described_experiment, differences, read_back, with_names
from mlquery.conformance.remote_target import FixtureError
from mlquery.conformance.report import Outcome, Report, Row, met, new_report, row_of, unsaid
from mlquery.conformance.suite import Case, Suite, chosen
from mlquery.conformance.targets import Target
from mlquery.language.matrix import Dialect

_REGISTRY = ("registered_model", "model_version")
_MOST_DETAILS = 20
_TIMES = ("start_time", "end_time")
_NOT_SEARCHED = ("history of ", "datasets")


@attrs.define
class Runner:
    """What a run of the suite needs; `answers` holds what was said to each case that was asked.

    `asks_silent` says whether cases are asked about which no source says what the dialect answers.
    """

    target: Target
    suite: Suite
    dialect: Dialect
    tweaks: Tweaks = NONE
    asks_silent: bool = False
    answers: dict[str, Answer] = attrs.field(factory=dict)
    rehearsals: Rehearsals = attrs.field(init=False)
    _stable: Conditions = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Keep what the rehearsals build for the whole run."""
        self.rehearsals = Rehearsals(self.suite)
        self._stable = attrs.evolve(self.target.conditions, has_one_user="user" in self.dialect.service)

    def conditions(self, case: Case) -> Conditions:
        """Return the conditions under which the target is asked a case."""
        return attrs.evolve(self._stable, missing=tuple(self.target.refused(case.store)))

    def report(self, names: Sequence[str] = (), progress: Callable[[int, int], None] = lambda *_: None) -> Report:
        """Ask the cases of the given ids and topics, all of them by default, and return what became of them."""
        cases = chosen(self.suite, names)
        rows = []
        for number, case in enumerate(cases):
            progress(number, len(cases))
            rows.append(self._row(case))
        progress(len(cases), len(cases))
        if not names or "values" in names:
            rows += self._values({row.case for row in rows if row.outcome not in ("skipped", "errored")})
        target, declared = self.target, self.tweaks.declared
        return new_report(target.name, target.product, target.version, self.dialect.name, rows, declared)

    def _row(self, case: Case) -> Row:
        if (reason := self._reason_against(case)) is not None:
            return row_of(case, "skipped", [reason])
        try:
            if (reason := self.rehearsals.reason_against(case, self.dialect, self.conditions(case))) is not None:
                return row_of(case, "skipped", [reason])
            with self.target.session(case) as session:
                answer = self.tweaks.understood(ask(self.tweaks.asked(case), session))
                self.answers[case.id] = answer
                found = self._disagreements(case, answer, session)
        except (ForeignEntityError, UnsentError) as unasked:
            return row_of(case, "skipped", [str(unasked)])
        except MismatchError as mismatch:
            return row_of(case, "fail", [str(mismatch)])
        except (FixtureError, UnansweredError) as error:
            return row_of(case, "errored", [str(error)])
        except Exception as error:
            return row_of(case, "errored", [f"{type(error).__name__}: {error}"])
        return row_of(case, "fail" if found else met(case.expect[self.dialect.name]), found[:_MOST_DETAILS])

    def _reason_against(self, case: Case) -> str | None:
        if (reason := self.tweaks.reason_against(case)) is not None:
            return reason
        if not self.asks_silent and (reason := unsaid(case, self.dialect.name)) is not None:
            return reason
        if not self.target.has_registry and (self.suite.stores[case.store].models or case.entity in _REGISTRY):
            return "the target serves no model registry"
        return None

    def _disagreements(self, case: Case, answer: Answer, session: Session) -> list[str]:
        expected = self.conditions(case).expected(case, self.dialect)
        found = outcome_disagreements(case, expected, answer, session)
        return found or list(self._value_differences(case, session))

    def _value_differences(self, case: Case, session: Session) -> Iterator[str]:
        """Yield what the runs and experiments that were found hold and should not."""
        seen = _seen(session)
        if not seen:
            return
        is_rehearsed = bool(case.calls) or case.entity == "experiment"
        wanted = self._rehearsed(case) if is_rehearsed else self._kept(case.store)
        for name, identifier in session.ids.items():
            if identifier in seen and name in wanted:
                given = with_names(seen[identifier], session.ids)
                yield from differences(name, wanted[name], _searched(given, case), self._same)

    def _same(self, key: str, expected: Any, found: Any) -> bool:
        is_written_by_the_service = self._stable.has_one_user and key == "tag mlflow.user"
        return is_written_by_the_service or self.tweaks.same(key, expected, found)

    def _kept(self, store: str) -> dict[str, Described]:
        """Return what a search should say of every run: what the server says of it when it is asked alone."""
        kept = self.target.kept(store)
        return {f"run.{name}": _searched(values) for name, values in kept.items()}

    def _rehearsed(self, case: Case) -> dict[str, Described]:
        """Return what everything that the case can find holds on mlquery after the same calls."""
        _, session = self.rehearsals.answer(case, self.dialect, self.conditions(case))
        client, wanted = _client(session), {}
        for key, identifier in session.ids.items():
            if key.startswith("run."):
                wanted[key] = _searched(with_names(described(client.get_run(identifier)), session.ids), case)
            if key.startswith("experiment."):
                wanted[key] = described_experiment(client.get_experiment(identifier))
        return wanted

    def _values(self, asked: set[str]) -> Iterator[Row]:
        """Yield a row for each store that was searched: whether its runs read back as they were written."""
        cases = {case.store: case for case in self.suite.cases if case.id in asked and not case.calls}
        for store, case in sorted(cases.items()):
            title = f"Every run of the store {store} reads back as it was written"
            session = self.rehearsals.session(case, self.dialect, self.conditions(case))
            wanted = read_back(self.suite.stores[store], _client(session), session.ids)
            outcome: Outcome = "pass"
            try:
                given = self.target.kept(store)
                found = [f"{name} cannot be made: {why}" for name, why in self.target.refused(store).items()]
                found += [d for name in wanted for d in differences(name, wanted[name], given[name], self._same)]
                outcome = "fail" if found else "pass"
            except Exception as error:
                found, outcome = [f"{type(error).__name__}: {error}"], "errored"
            yield Row(f"values.{store}", "values", title, (), outcome, tuple(found[:_MOST_DETAILS]))


def _searched(values: Described, case: Case | None = None) -> Described:
    """Return what a search tells of these values, and without times that depend on when a call was made."""
    left_out = _TIMES if case is not None and case.calls else ()
    return {k: v for k, v in values.items() if k not in left_out and not k.startswith(_NOT_SEARCHED)}


def _seen(session: Session) -> dict[str, Any]:
    inner = session.inner if isinstance(session, Guest) else session
    assert isinstance(inner, MlflowSession)
    return inner.seen


def _client(session: Session) -> Any:
    return session.inner.client if isinstance(session, Guest) else session.client
