"""Find out which of several errors in one search MLflow meets first: that one gives the code that a server answers.

**Source**: MLflow 3.17 `_search_runs`, `_search_experiments`, `search_registered_models` and `search_model_versions` of
the stores on SQL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlquery.errors import Diagnostic, Stage
from mlquery.language.plan import Entity

_ORDER_FIRST: tuple[Stage, ...] = ("reading", "ordering", "comparing", "paging", "running")
_FILTER_FIRST: tuple[Stage, ...] = ("reading", "comparing", "ordering", "paging", "running")
_STAGES: dict[Entity, tuple[Stage, ...]] = {
    Entity.RUN: _ORDER_FIRST,
    Entity.EXPERIMENT: _FILTER_FIRST,
    Entity.REGISTERED_MODEL: ("reading", "ordering", "paging", "comparing", "running"),
    Entity.MODEL_VERSION: _FILTER_FIRST,
}
_INDEX = re.compile(r"order_by\[(\d+)\]")


def by_precedence(entity: Entity, errors: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return errors as they were found, but the one that gives the code first if the first one has another code."""
    stages = _STAGES[entity]
    decisive = min(errors, key=lambda error: (stages.index(error.stage), _entry(error)))
    if decisive.error_code == errors[0].error_code:
        return list(errors)
    return [decisive, *(error for error in errors if error is not decisive)]


def _entry(error: Diagnostic) -> int:
    match = _INDEX.fullmatch(error.argument)
    return int(match[1]) if match else 0
