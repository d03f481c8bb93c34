"""What the support matrix is made of: uses, patterns over uses, cells, features and fields. Dialects are not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from mlquery.errors import INVALID_PARAMETER_VALUE

State = Literal["yes", "no", "silent"]


@attrs.frozen
class Use:
    """What a piece of a query or a call does; None where that says nothing."""

    entity: str
    clause: str
    kind: str | None = None
    op: str | None = None
    key: str | None = None
    type: str | None = None
    value: str | None = None
    quoted: bool = False
    spelling: str | None = None
    layout: str | None = None


@attrs.frozen
class Pattern:
    """A set of uses: every named property has one of the listed values."""

    wanted: tuple[tuple[str, tuple[Any, ...]], ...]

    def matches(self, use: Use) -> bool:
        """Tell whether the use belongs to the set."""
        return all(getattr(use, name) in values for name, values in self.wanted)


@attrs.frozen
class Cell:
    """What one dialect does with one feature, and how that is known.

    `message` is the template of the service's answer and `verbatim` tells whether that wording was observed. A refusal
    has the `error_code`. The first of the `exceptions` that matches a use decides in place of the cell.
    """

    state: State
    source: str
    date: str
    confidence: str
    note: str | None = None
    message: str | None = None
    verbatim: bool = False
    error_code: str = INVALID_PARAMETER_VALUE
    exceptions: tuple[tuple[Pattern, Cell], ...] = ()

    @property
    def decision(self) -> tuple[Any, ...]:
        """Return what the cell says, apart from how that is known."""
        return self.state, self.error_code, tuple((pattern, cell.decision) for pattern, cell in self.exceptions)

    def for_use(self, use: Use) -> Cell:
        """Return the cell that decides about a use: an exception or the cell itself."""
        return next((cell for pattern, cell in self.exceptions if pattern.matches(use)), self)


@attrs.frozen
class Feature:
    """One line of the matrix. `page` is the wording of the Azure page where the line stands there."""

    id: str
    title: str
    uses: tuple[Pattern, ...]
    cells: Mapping[str, Cell]
    page: str | None = None
    footnote: int | None = None
    instead: str | None = None
    note: str | None = None

    def matches(self, use: Use) -> bool:
        """Tell whether the feature says anything about a use."""
        return any(pattern.matches(use) for pattern in self.uses)

    def is_alike(self, dialects: Iterable[str]) -> bool:
        """Tell whether the feature says the same of some dialects, whatever it rests on."""
        return len({self.cells[name].decision for name in dialects}) < 2

    @property
    def is_behaviour(self) -> bool:
        """Tell whether the feature changes a meaning and refuses nothing."""
        return all(("clause", ("behaviour",)) in pattern.wanted for pattern in self.uses)


@attrs.frozen
class Field:
    """An attribute of what is searched: its type, its other names, the clauses that know it, where its values are."""

    entity: str
    key: str
    type: Literal["string", "number", "integer"]
    clauses: tuple[str, ...] = ("filter", "order")
    filter_aliases: tuple[str, ...] = ()
    order_aliases: tuple[str, ...] = ()
    filters_as: tuple[str, str] | None = None
    stored_as: str | None = None
