"""Search registered models and model versions. A registry is small, so the reference engine tests every entity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from mlquery.engine.reference import select
from mlquery.entities import PagedList, ViewType
from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.errors import invalid_parameter
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.language.plan import Entity, Plan
from mlquery.query.page_tokens import PageToken, read_token
from mlquery.query.search import OnWarning, read_query, warn_caller
from mlquery.registry.registry import Registry

_Item = TypeVar("_Item")

MOST_MODELS = 1000
MOST_VERSIONS = 200_000


def search_registered_models(
    registry: Registry,
    filter_string: str | None = None,
    max_results: int = 100,
    order_by: Sequence[str] | None = None,
    page_token: str | bytes | None = None,
    *,
    dialect: str | Dialect = "oss",
    on_warning: OnWarning = warn_caller,
) -> PagedList[RegisteredModel]:
    """Return one page of the registered models that a filter finds, by default sorted by name.

    Raises:
        QueryError: the filter, the order or the page token is not valid in the dialect.
        StoreError: `max_results` is over 1000.

    Source: MLflow 3.17 `SqlAlchemyStore.search_registered_models`.
    """
    if not isinstance(max_results, int):
        raise invalid_parameter(f"Invalid value for max_results. It must be an integer, but got {max_results}")
    _require_at_most(MOST_MODELS, max_results)
    found = _read(Entity.REGISTERED_MODEL, filter_string, order_by, dialect, on_warning)
    return _page(registry.models(), found, read_token(page_token), max_results)


def search_model_versions(
    registry: Registry,
    filter_string: str | None = None,
    max_results: int = 10_000,
    order_by: Sequence[str] | None = None,
    page_token: str | bytes | None = None,
    *,
    dialect: str | Dialect = "oss",
    on_warning: OnWarning = warn_caller,
) -> PagedList[ModelVersion]:
    """Return one page of the versions that a filter finds, by default those that changed last first.

    Raises:
        QueryError: the filter, the order or the page token is not valid in the dialect.
        StoreError: `max_results` is not between 1 and 200,000.

    Source: MLflow 3.17 `SqlAlchemyStore.search_model_versions`.
    """
    if not isinstance(max_results, int) or max_results < 1:
        message = f"Invalid value for max_results. It must be a positive integer, but got {max_results}"
        raise invalid_parameter(message)
    _require_at_most(MOST_VERSIONS, max_results)
    found = _read(Entity.MODEL_VERSION, filter_string, order_by, dialect, on_warning)
    return _page(registry.versions(), found, read_token(page_token), max_results)


def _require_at_most(most: int, max_results: int) -> None:
    if max_results > most:
        raise invalid_parameter(
            f"Invalid value for request parameter max_results. It must be at most {most}, but got value {max_results}"
        )


def _read(
    entity: Entity,
    filter_string: str | None,
    order_by: Sequence[str] | None,
    dialect: str | Dialect,
    on_warning: OnWarning,
) -> Plan:
    resolved = read_query(entity, filter_string, order_by, ViewType.ACTIVE_ONLY, MATRIX.dialect(dialect))
    on_warning(resolved.warnings)
    return resolved.plan


def _page(items: Sequence[_Item], plan: Plan, token: PageToken, max_results: int) -> PagedList[_Item]:
    """Return one page. As in MLflow, one row more than the page has is selected.

    For `max_results` below 1, which MLflow accepts for registered models, this has the same odd results.
    """
    asked = max_results + 1
    rows: list[Any] = select(items, plan)[token.offset :]
    rows = rows if asked < 0 else rows[:asked]
    next_token = str(PageToken(token.offset + max_results)) if len(rows) == asked else None
    return PagedList([items[row] for row in rows[:max_results]], next_token)
