"""Search registered models and model versions. A registry is small, so the reference engine tests every entity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from mlquery.engine.reference import select
from mlquery.entities import PagedList, ViewType
from mlquery.errors import invalid_parameter
from mlquery.language.matrix import Dialect
from mlquery.language.plan import Entity
from mlquery.query.page_tokens import PageToken
from mlquery.query.reading import OnWarning, read_search

_Item = TypeVar("_Item")

MOST_MODELS = 1000
MOST_VERSIONS = 200_000


def search_registry(
    items: Sequence[_Item],
    entity: Entity,
    filter_string: str | None,
    max_results: int,
    order_by: Sequence[str] | None,
    page_token: str | bytes | None,
    *,
    dialect: Dialect,
    on_warning: OnWarning,
) -> PagedList[_Item]:
    """Return one page of the registered models, or of the model versions, that a filter finds.

    As in MLflow, one row more than the page has is selected. For `max_results` below 1, which MLflow accepts for
    registered models, this has the same odd results.

    Raises:
        QueryError: the filter, the order or the page token is not valid in the dialect.
        StoreError: `max_results` is over 1000 for models, or not between 1 and 200,000 for versions.

    Source: MLflow 3.17 `SqlAlchemyStore.search_registered_models` and `search_model_versions`.
    """
    _require_max_results(entity, max_results)
    resolved, token, _ = read_search(entity, filter_string, order_by, ViewType.ACTIVE_ONLY, page_token, dialect)
    on_warning(resolved.warnings)
    offset, asked = token.offset, max_results + 1
    rows: list[Any] = select(items, resolved.plan)[offset:]
    rows = rows if asked < 0 else rows[:asked]
    next_token = str(PageToken(offset + max_results)) if len(rows) == asked else None
    return PagedList([items[row] for row in rows[:max_results]], next_token)


def _require_max_results(entity: Entity, max_results: int) -> None:
    of_models = entity is Entity.REGISTERED_MODEL
    if not isinstance(max_results, int) or (max_results < 1 and not of_models):
        kind = "an integer" if of_models else "a positive integer"
        raise invalid_parameter(f"Invalid value for max_results. It must be {kind}, but got {max_results}")
    most = MOST_MODELS if of_models else MOST_VERSIONS
    if max_results > most:
        raise invalid_parameter(
            f"Invalid value for request parameter max_results. It must be at most {most}, but got value {max_results}"
        )
