"""The one error of loading: a source that cannot be read, in one sentence that names it and says what is wrong.

Callers of `load` see this error and no other: not those of the operating system, of sqlite3 or of a decoder.
"""

from __future__ import annotations

from mlquery.errors import INVALID_PARAMETER_VALUE, StoreError


class SourceError(StoreError):
    """A file or folder that holds no readable MLflow tracking data; `source` is what was asked for."""

    def __init__(self, source: str, problem: str, error_code: str = INVALID_PARAMETER_VALUE) -> None:
        super().__init__(f"{source!r} {problem}", error_code)
        self.args = (source, problem, error_code)  # what pickle and copy call the constructor with
        self.source = source
        self.problem = problem
