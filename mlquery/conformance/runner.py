"""Runs the cases of a suite on a target in one dialect, and returns the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from mlquery.conformance.applicability import Applicability
from mlquery.conformance.execution import MismatchError, Result, Session, outcome_disagreements, run_case
from mlquery.conformance.inprocess import Conditions, Sessions
from mlquery.conformance.known_deviations import NONE, KnownDeviations
from mlquery.conformance.mlflow_session import MlflowSession, UnansweredError, UnsentError
from mlquery.conformance.namespacing import NamespacedSession, UnownedEntityError
from mlquery.conformance.readback import Described, described, described_experiment, differences, read_back, with_names
from mlquery.conformance.remote_target import FixtureError
from mlquery.conformance.report import Outcome, Report, Row, new_report, outcome_of_match, row_of, undocumented
from mlquery.conformance.suite import Case, Suite, chosen
from mlquery.conformance.targets import SuiteTarget
from mlquery.language.matrix import Dialect

_REGISTRY = ("registered_model", "model_version")
_MOST_DETAILS = 20
_TIMES = ("start_time", "end_time")
_NOT_SEARCHED = ("history of ", "datasets")


@attrs.define
class Runner:
    """Runs a suite on a target in a dialect.

    `results` has the result of each case that was run. `includes_silent` says whether to run cases for which no source
    says what the dialect does.
    """

    target: SuiteTarget
    suite: Suite
    dialect: Dialect
    known_deviations: KnownDeviations = NONE
    includes_silent: bool = False
    results: dict[str, Result] = attrs.field(factory=dict)
    applicability: Applicability = attrs.field(init=False)
    _stable: Conditions = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Share the stores that decide on applicability between all cases."""
        self.applicability = Applicability(Sessions(self.suite.stores))
        self._stable = attrs.evolve(self.target.conditions, has_one_user="user" in self.dialect.service)

    def conditions(self, case: Case) -> Conditions:
        """Return the conditions under which a case runs on the target."""
        return attrs.evolve(self._stable, missing=tuple(self.target.refused(case.store)))

    def report(self, names: Sequence[str] = (), progress: Callable[[int, int], None] = lambda *_: None) -> Report:
        """Run the cases of the given ids and topics, all of them by default, and return the report."""
        cases = chosen(self.suite, names)
        rows = []
        for number, case in enumerate(cases):
            progress(number, len(cases))
            rows.append(self._row(case))
        progress(len(cases), len(cases))
        if not names or "values" in names:
            rows += self._values({row.case for row in rows if row.outcome not in ("skipped", "errored")})
        target, declared = self.target, self.known_deviations.declared
        return new_report(target.name, target.product, target.version, self.dialect.name, rows, declared)

    def _row(self, case: Case) -> Row:
        if (reason := self._reason_to_skip(case)) is not None:
            return row_of(case, "skipped", [reason])
        try:
            if (reason := self.applicability.reason_to_skip(case, self.dialect, self.conditions(case))) is not None:
                return row_of(case, "skipped", [reason])
            with self.target.session(case) as session:
                result = self.known_deviations.with_mlflow_error_codes(
                    run_case(self.known_deviations.prepared(case), session)
                )
                self.results[case.id] = result
                found = self._disagreements(case, result, session)
        except (UnownedEntityError, UnsentError) as unsent:
            return row_of(case, "skipped", [str(unsent)])
        except MismatchError as mismatch:
            return row_of(case, "fail", [str(mismatch)])
        except (FixtureError, UnansweredError) as error:
            return row_of(case, "errored", [str(error)])
        except Exception as error:
            return row_of(case, "errored", [f"{type(error).__name__}: {error}"])
        return row_of(
            case, "fail" if found else outcome_of_match(case.expect[self.dialect.name]), found[:_MOST_DETAILS]
        )

    def _reason_to_skip(self, case: Case) -> str | None:
        if (reason := self.known_deviations.reason_to_skip(case)) is not None:
            return reason
        if not self.includes_silent and (reason := undocumented(case, self.dialect.name)) is not None:
            return reason
        if not self.target.has_registry and (self.suite.stores[case.store].models or case.entity in _REGISTRY):
            return "the target has no model registry"
        return None

    def _disagreements(self, case: Case, result: Result, session: Session) -> list[str]:
        expected = self.conditions(case).expected(case, self.dialect)
        found = outcome_disagreements(case, expected, result, session.ids)
        return found or list(self._value_differences(case, session))

    def _value_differences(self, case: Case, session: Session) -> Iterator[str]:
        """Yield the unexpected values of runs and experiments that were found."""
        seen = _seen(session)
        if not seen:
            return
        needs_emulation = bool(case.calls) or case.entity == "experiment"
        wanted = self._values_after(case) if needs_emulation else self._values_read_back(case.store)
        for name, identifier in session.ids.items():
            if identifier in seen and name in wanted:
                given = with_names(seen[identifier], session.ids)
                yield from differences(name, wanted[name], _searched(given, case), self._same)

    def _same(self, key: str, expected: Any, found: Any) -> bool:
        is_written_by_the_service = self._stable.has_one_user and key == "tag mlflow.user"
        return is_written_by_the_service or self.known_deviations.same(key, expected, found)

    def _values_read_back(self, store: str) -> dict[str, Described]:
        """Return the values that a search should give of every run: those that the server gives of a single run."""
        values_read_back = self.target.values_read_back(store)
        return {f"run.{name}": _searched(values) for name, values in values_read_back.items()}

    def _values_after(self, case: Case) -> dict[str, Described]:
        """Return the values on mlquery, after the same calls, of everything that the case can find."""
        _, session = self.applicability.result(case, self.dialect, self.conditions(case))
        client, wanted = _client(session), {}
        for key, identifier in session.ids.items():
            if key.startswith("run."):
                wanted[key] = _searched(with_names(described(client.get_run(identifier)), session.ids), case)
            if key.startswith("experiment."):
                wanted[key] = described_experiment(client.get_experiment(identifier))
        return wanted

    def _values(self, searched_cases: set[str]) -> Iterator[Row]:
        """Yield a row for each store that was searched, which compares its runs with what was written."""
        cases = {case.store: case for case in self.suite.cases if case.id in searched_cases and not case.calls}
        for store, case in sorted(cases.items()):
            title = f"Every run of the store {store} reads back as it was written"
            session = self.applicability.session(case, self.dialect, self.conditions(case))
            wanted = read_back(self.suite.stores[store], _client(session), session.ids)
            outcome: Outcome = "pass"
            try:
                given = self.target.values_read_back(store)
                found = [f"{name} cannot be created: {why}" for name, why in self.target.refused(store).items()]
                found += [d for name in wanted for d in differences(name, wanted[name], given[name], self._same)]
                outcome = "fail" if found else "pass"
            except Exception as error:
                found, outcome = [f"{type(error).__name__}: {error}"], "errored"
            yield Row(f"values.{store}", "values", title, (), outcome, tuple(found[:_MOST_DETAILS]))


def _searched(values: Described, case: Case | None = None) -> Described:
    """Return the values that a search gives, without times that depend on when a call was made."""
    left_out = _TIMES if case is not None and case.calls else ()
    return {k: v for k, v in values.items() if k not in left_out and not k.startswith(_NOT_SEARCHED)}


def _seen(session: Session) -> dict[str, Any]:
    inner = session.inner if isinstance(session, NamespacedSession) else session
    assert isinstance(inner, MlflowSession)
    return inner.seen


def _client(session: Session) -> Any:
    return session.inner.client if isinstance(session, NamespacedSession) else session.client
