"""What can go wrong between a plan and a database: it cannot be asked, or what holds the runs does not answer."""

from __future__ import annotations

from typing import Final

from mlquery.errors import INTERNAL_ERROR, INVALID_PARAMETER_VALUE, StoreError
from mlquery.language.plan import FieldRef, Kind

INSTEAD: Final = "load the runs first (--load, or load() of the client)"


class SourceUnavailableError(StoreError):
    """A database, folder or cluster does not answer, or is not what its address says.

    Args:
        name: The source in the message, without a password.
        problem: What is wrong, as the end of a sentence about it.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}", INTERNAL_ERROR)
        self.problem = problem


class ChangedError(SourceUnavailableError):
    """What was read changed meanwhile, so that it is no one state of the source; to read again may help."""


class OlderSchemaError(SourceUnavailableError):
    """A database without the tables or with the schema of a release before those that are searched in place."""


class NotAskableError(StoreError):
    """A query that cannot be answered exactly where the runs are.

    Args:
        what: The field or the feature.
        reason: Why it cannot be asked, as a clause.
        field: The field, if it is about one.
    """

    def __init__(self, what: str, reason: str, field: FieldRef | None = None) -> None:
        self.problem = f"{what} cannot be searched in place: {reason}"
        super().__init__(f"{self.problem}; instead: {INSTEAD}", INVALID_PARAMETER_VALUE)
        self.what = what
        self.reason = reason
        self.field = field


def field_error(field: FieldRef, reason: str) -> NotAskableError:
    """Return the error about a field, for a reason."""
    return NotAskableError(name_of(field), reason, field)


def name_of(field: FieldRef) -> str:
    """Return how a user writes a field."""
    if field.function is not None:
        step = "" if field.step is None else f", {field.step}"
        return f"{field.function.value}(metrics.{field.key}{step})"
    return f"attributes.{field.key}" if field.kind is Kind.ATTRIBUTE else f"{field.kind.value}s.{field.key}"
