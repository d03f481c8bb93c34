"""Columns that are computed from a table and kept until the next change; what they mean is not known here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final

_MOST_CELLS: Final = 1 << 23


class DerivedColumns:
    """Computed columns by what they are of; those that were asked for last stay, up to `_MOST_CELLS` cells."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._columns: OrderedDict[Hashable, Any] = OrderedDict()

    def renew(self, version: int) -> None:
        """Forget what was computed at another version of the store."""
        if version != self._version:
            self._version = version
            self._columns.clear()

    def get(self, name: Hashable, size: int, compute: Callable[[], Any]) -> Any:
        """Return a column of `size` rows, computed now if it is not kept."""
        if name not in self._columns:
            self._columns[name] = compute()
        self._columns.move_to_end(name)
        while len(self._columns) > 1 and len(self._columns) * size > _MOST_CELLS:
            self._columns.popitem(last=False)
        return self._columns[name]
