"""Looks on while statements are run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mlquery.sql.session import Session
from mlquery.sql.statement import Statement


@contextmanager
def statements_run() -> Iterator[list[Statement]]:
    """Give a list that gains each statement that any session runs meanwhile."""
    found: list[Statement] = []
    rows = Session.rows

    def kept(session: Session, statement: Statement) -> list[tuple[Any, ...]]:
        found.append(statement)
        return rows(session, statement)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "rows", kept)
        yield found
