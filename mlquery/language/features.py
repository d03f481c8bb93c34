"""The parts of the support matrix: uses, patterns over uses, cells, features and fields. Independent of any dialect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from mlquery.errors import INVALID_PARAMETER_VALUE

State = Literal["yes", "no", "silent"]


@attrs.frozen
class Use:
    """What a part of a query or a call does; None for properties that it does not have."""

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
    """A set of uses: each property in `wanted` has one of the listed values."""

    wanted: tuple[tuple[str, tuple[Any, ...]], ...]

    def matches(self, use: Use) -> bool:
        """Tell whether the use belongs to the set."""
        return all(getattr(use, name) in values for name, values in self.wanted)


@attrs.frozen
class Cell:
    """What one dialect does with one feature, and how that is known.

    `message` names the template of the service's message and `verbatim` says whether that wording was observed. A
    refusal has the `error_code`. The first of the `exceptions` that matches a use replaces the cell.
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
        """Return what the cell says, without how that is known."""
        return self.state, self.error_code, tuple((pattern, cell.decision) for pattern, cell in self.exceptions)

    def for_use(self, use: Use) -> Cell:
        """Return the cell that applies to a use: an exception or the cell itself."""
        return next((cell for pattern, cell in self.exceptions if pattern.matches(use)), self)


@attrs.frozen
class Feature:
    """One row of the matrix. `page` is the wording of the Azure page for rows that it has."""

    id: str
    title: str
    uses: tuple[Pattern, ...]
    cells: Mapping[str, Cell]
    page: str | None = None
    footnote: int | None = None
    instead: str | None = None
    note: str | None = None

    def matches(self, use: Use) -> bool:
        """Tell whether the feature applies to a use."""
        return any(pattern.matches(use) for pattern in self.uses)

    def is_alike(self, dialects: Iterable[str]) -> bool:
        """Tell whether the feature is the same in some dialects, regardless of its sources."""
        return len({self.cells[name].decision for name in dialects}) < 2

    @property
    def is_behaviour(self) -> bool:
        """Tell whether the feature describes a behaviour, rather than what is supported."""
        return all(("clause", ("behaviour",)) in pattern.wanted for pattern in self.uses)


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most similar to an unknown one, if any is."""
    from difflib import get_close_matches  # only mistakes need it

    return next(iter(get_close_matches(word.lower(), list(known), 1)), None)


@attrs.frozen
class Field:
    """A searchable attribute: its type, its aliases, the clauses that accept it, and where its values are stored."""

    entity: str
    key: str
    type: Literal["string", "number", "integer"]
    clauses: tuple[str, ...] = ("filter", "order")
    filter_aliases: tuple[str, ...] = ()
    order_aliases: tuple[str, ...] = ()
    filters_as: tuple[str, str] | None = None
    stored_as: str | None = None
