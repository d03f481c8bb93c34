"""Find out which lines of the matrix, and which of their exceptions, each conformance case touches."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import attrs

from mlquery.conformance.inprocess import Sessions, result_of
from mlquery.conformance.suite import Case, Suite
from mlquery.language.features import Cell, Feature, Use
from mlquery.language.matrix import Dialect, Matrix, Verdict
from mlquery.query import reading

Place = tuple[str, str, int | None]
"""A feature, a dialect, and the number of the exception of the cell; None for the cell itself."""


class Recording(Dialect):
    """A dialect that remembers the uses it was asked about."""

    @cached_property
    def asked(self) -> list[Use]:
        return []

    def verdict(self, use: Use) -> Verdict | None:
        self.asked.append(use)
        return super().verdict(use)


def recording(dialect: Dialect) -> Recording:
    """Return a copy of a dialect that remembers."""
    return Recording(**{field.name: getattr(dialect, field.name) for field in attrs.fields(Dialect)})


def places_touched(suite: Suite, matrix: Matrix) -> dict[str, set[Place]]:
    """Return what each case touches, by the id of the case."""
    sessions = Sessions(suite.stores)
    dialects = {name: recording(dialect) for name, dialect in matrix.dialects.items()}
    touched: dict[str, set[Place]] = {case.id: set() for case in suite.cases}
    for case in suite.cases:
        for name, dialect in dialects.items():
            session = sessions.session(case, dialect, "columnar")
            dialect.asked.clear()  # filling a store asks too
            reading._resolve.cache_clear()
            result_of(case, session)
            touched[case.id] |= {place for use in dialect.asked for place in places_of(use, name, matrix.features)}
    reading._resolve.cache_clear()
    return touched


def places_of(use: Use, dialect: str, features: tuple[Feature, ...]) -> Iterator[Place]:
    """Yield the cells and exceptions that decide about a use."""
    for feature in features:
        if feature.matches(use):
            yield feature.id, dialect, exception_of(feature.cells[dialect], use)


def exception_of(cell: Cell, use: Use) -> int | None:
    """Return the number of the exception that decides about a use in place of the cell."""
    return next((number for number, (pattern, _) in enumerate(cell.exceptions) if pattern.matches(use)), None)


def all_places(matrix: Matrix) -> Iterator[Place]:
    """Yield every cell of the matrix and every exception."""
    for feature in matrix.features:
        for dialect in matrix.dialects:
            for number in (None, *range(len(feature.cells[dialect].exceptions))):
                yield feature.id, dialect, number


def asks_alike(case: Case) -> tuple[object, ...]:
    """Return everything that a case asks, without what it is called and what it expects."""
    silent = {"id", "title", "topic", "source", "cites", "expect", "features"}
    return tuple(repr(getattr(case, field.name)) for field in attrs.fields(Case) if field.name not in silent)
