"""Decides which sources an assistant may read, and opens one for a call; how that is done is given from outside."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import attrs

from mlquery.errors import invalid_parameter
from mlquery.language.matrix import MATRIX, Dialect

if TYPE_CHECKING:
    from mlquery.backend import Backend

Open = Callable[[str, Dialect], AbstractContextManager["Backend"]]
"""Opens a source for reading, in a dialect."""


@attrs.frozen
class Sources:
    """The sources that may be read, and the dialect of queries unless a call names another.

    Attributes:
        open: Opens a source.
        shown: Returns a source as messages name it, without a password.
        allowed: The sources that may be read; any if empty.
        dialect: The dialect of queries.
    """

    open: Open
    shown: Callable[[str], str]
    allowed: tuple[str, ...]
    dialect: Dialect

    def opened(self, source: str | None, dialect: str | None = None) -> AbstractContextManager[Backend]:
        """Return what answers about a source while it is open; without a name it is the only one.

        Raises:
            StoreError: no source is named, it may not be read, or it cannot be.
            ValueError: there is no such dialect.
        """
        return self.open(self.named(source), self.dialect_named(dialect))

    def named(self, source: str | None) -> str:
        """Return the source that a call means.

        Raises:
            StoreError: no source is named, or it may not be read.
        """
        names = {name: allowed for allowed in self.allowed for name in (allowed, self.shown(allowed))}
        if not names:
            if source is None:
                raise invalid_parameter("no source is named; instead: source='the path or the URI of one'")
            return source
        if source is None and len(self.allowed) == 1:
            return self.allowed[0]
        if source not in names:
            problem = "no source is named" if source is None else f"the source {self.shown(source)!r} may not be read"
            raise invalid_parameter(f"{problem}; sources are {', '.join(map(self.shown, self.allowed))}")
        return names[source]

    def dialect_named(self, dialect: str | None) -> Dialect:
        """Return the dialect that a call names, or that of the server.

        Raises:
            ValueError: there is no such dialect.
        """
        return self.dialect if dialect is None else MATRIX.dialect(dialect)
