"""Turns the results of a target into a new column of the support matrix: cells, and the results that no cell explains.

mlquery runs, under the conditions of the target, every case of a line of the matrix, once with "yes" in the cell and
once with "no". The state that reproduces more of the target's results is written; if both reproduce as many, the cell
keeps the state that the dialect declares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import attrs

from mlquery.conformance.execution import Result
from mlquery.conformance.report import Report
from mlquery.conformance.runner import Runner
from mlquery.conformance.suite import Case
from mlquery.language.features import State
from mlquery.language.matrix import MATRIX, Dialect, Matrix

_STATES: tuple[State, ...] = ("yes", "no")


@attrs.define
class Column:
    """The cells found so far, in the column of the runner's dialect.

    `exercised` has the cases of each line of the matrix for which the target gave a result.
    """

    runner: Runner
    matrix: Matrix = MATRIX
    exercised: dict[str, list[Case]] = attrs.field(factory=dict)
    _agreeing: dict[str, bool] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        """Group the cases by the lines of the matrix."""
        for feature in self.matrix.features:
            cases = [case for case in self.observed if feature.id in case.features]
            if cases:
                self.exercised[feature.id] = cases

    @property
    def observed(self) -> list[Case]:
        """Return the cases for which the target gave a result."""
        return [case for case in self.runner.suite.cases if case.id in self.runner.results]

    @property
    def states(self) -> dict[str, State]:
        """Return the state of each cell that was exercised."""
        name = self.runner.dialect.name
        return {feature: self.matrix.feature(feature).cells[name].state for feature in self.exercised}

    def fit(self) -> None:
        """Change the cell that explains the most additional results, until none explains more."""
        while True:
            gain, matrix = max(self._changes(), key=lambda change: change[0], default=(0, self.matrix))
            if gain <= 0:
                return
            self.matrix = matrix
            self._agreeing.clear()

    def _changes(self) -> Iterator[tuple[int, Matrix]]:
        """Yield how many more results another state of each cell explains, and the matrix with that state."""
        name = self.runner.dialect.name
        for feature, cases in self.exercised.items():
            explained = sum(map(self.explains, cases))
            cell = self.matrix.feature(feature).cells[name]
            for state in _STATES if explained < len(cases) else ():
                if state != cell.state:
                    matrix = self.matrix.with_cell(feature, name, attrs.evolve(cell, state=state))
                    dialect = _with_data(matrix.dialect(name))
                    yield sum(self._agrees(case, dialect) for case in cases) - explained, matrix

    def explains(self, case: Case) -> bool:
        """Tell whether the cells reproduce the target's result of a case."""
        if case.id not in self._agreeing:
            dialect = _with_data(self.matrix.dialect(self.runner.dialect.name))
            self._agreeing[case.id] = self._agrees(case, dialect)
        return self._agreeing[case.id]

    def _agrees(self, case: Case, dialect: Dialect) -> bool:
        try:
            result, _ = self.runner.applicability.result(case, dialect, self.runner.conditions(case))
        except Exception:  # the dialect refuses a call that the case needs
            return False
        return _compared(case, result) == _compared(case, self.runner.results[case.id])


def _with_data(dialect: Dialect) -> Dialect:
    """Return a dialect with the data that its behaviours need, taken from the first dialect that has any."""
    columns = MATRIX.dialects.values()
    return attrs.evolve(
        dialect,
        job_statuses=dialect.job_statuses or next(column.job_statuses for column in columns if column.job_statuses),
        write_limits=dialect.write_limits or next(column.write_limits for column in columns if column.write_limits),
    )


def _compared(case: Case, result: Result) -> object:
    """Return what is compared of a result; rows that only their ids order may come in any order."""
    if result.problems:
        return result.problems[0].error_code
    if any(expected.tied for expected in case.expect.values()):
        return tuple(sorted(row for page in result.pages for row in page))
    return result.pages


def recorded(runner: Runner, report: Report) -> str:
    """Return the column of a target as TOML, as described in `conformance/README.md`."""
    column = Column(runner)
    column.fit()
    return "\n".join([*_head(report), "", *_cells(column), "", *_answers(column)]).rstrip("\n") + "\n"


def _head(report: Report) -> Iterator[str]:
    name = report.product.lower().replace(" ", "-")
    yield f"# What {report.product} {report.version} answered to {len(report.rows)} cases of the suite {report.suite}."
    yield f"[dialect.{_quoted(name)}]"
    yield f"base = {_quoted(report.dialect)}"
    yield f"title = {_quoted(f'{report.product} {report.version}'.strip())}"
    yield f"summary = {_quoted(f'Recorded from {report.target}.')}"
    yield f'defaults = {{ source = {_quoted(name)}, date = {_quoted(report.date[:10])}, confidence = "measured" }}'


def _cells(column: Column) -> Iterator[str]:
    name = column.runner.dialect.name
    yield "[cells]"
    for feature, state in column.states.items():
        declared = MATRIX.feature(feature).cells[name].state
        yield f"{_quoted(feature)} = {_quoted(state)}" + (f"  # {name}: {declared}" if state != declared else "")


def _answers(column: Column) -> Iterator[str]:
    """Yield the results that no cell explains."""
    for case in column.observed:
        if not column.explains(case):
            result = column.runner.results[case.id]
            yield f"[answers.{_quoted(case.id)}]"
            if result.problems:
                yield f"error = {{ error_code = {_quoted(result.problems[0].error_code)} }}"
            else:
                pages = result.pages if case.walk else result.pages[:1]
                yield f"pages = {_quoted(pages)}"


def _quoted(value: str | tuple[tuple[str, ...], ...]) -> str:
    """Return a string, or arrays of strings, as TOML; JSON writes them alike."""
    return json.dumps(value, ensure_ascii=False)
