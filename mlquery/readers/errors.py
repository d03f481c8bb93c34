"""Defines the one error that loading raises, instead of those of the operating system, sqlite3 and decoders."""

from __future__ import annotations

from mlquery.errors import INVALID_PARAMETER_VALUE, StoreError


class SourceError(StoreError):
    """A source without readable MLflow tracking data; `problem` completes a sentence about `source`."""

    def __init__(self, source: str, problem: str, error_code: str = INVALID_PARAMETER_VALUE) -> None:
        super().__init__(f"{source!r} {problem}", error_code)
        self.args = (source, problem, error_code)  # what pickle and copy call the constructor with
        self.source = source
        self.problem = problem
