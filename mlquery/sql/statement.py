"""A statement: SQL text and the values that are bound in it. No value of a query is ever part of the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs


@attrs.frozen
class Statement:
    """SQL with named parameters, written as the dialect writes them, and their values."""

    text: str
    parameters: Mapping[str, Any] = attrs.field(factory=dict)

    def __str__(self) -> str:
        """Return the text and, below it, one line for each parameter."""
        return "\n".join([self.text, *(f"  {name} = {value!r}" for name, value in self.parameters.items())])


class Parameters:
    """Collects the values of one statement and names them in their order: p0, p1 and so on.

    Args:
        bind: Returns how a named parameter is written in the text.
    """

    def __init__(self, bind: Callable[[str], str]) -> None:
        self.values: dict[str, Any] = {}
        self._bind = bind

    def add(self, value: Any) -> str:
        """Return how a value is written in the text."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return self._bind(name)
