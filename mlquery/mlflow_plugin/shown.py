"""What MLflow's own UI needs of a store: empty lists where it asks for what is not kept, and refusals in one line.

Anywhere else, code that asks for such things is told that they are not kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from mlflow.store.entities.paged_list import PagedList

from mlquery.errors import QueryError, StoreError
from mlquery.mlflow_plugin.schemes import UI_VARIABLE

_LISTS: Final[dict[str, Callable[[], Any]]] = {
    **dict.fromkeys(("search_traces",), lambda: ([], None)),
    **dict.fromkeys(("query_trace_metrics", "search_datasets"), lambda: PagedList([], None)),
    **dict.fromkeys(("list_scorers", "list_scorers_across_experiments"), list),
    **dict.fromkeys(("list_gateway_endpoints", "list_endpoint_bindings"), list),
}
"""The methods by which the UI fills its pages about what is not kept, and what makes their empty answers."""


def is_shown() -> bool:
    """Tell whether this process is MLflow's UI on a store."""
    return UI_VARIABLE in os.environ


def empty_list(name: str) -> Any:
    """Return the empty answer of a method to the UI; None to any other caller, and where a list is no answer."""
    return _LISTS[name]() if name in _LISTS and is_shown() else None


def wording(error: QueryError | StoreError) -> str:
    """Return the message of an error, in one line and without the query for the UI, which shows both side by side."""
    if not isinstance(error, QueryError) or not is_shown():
        return error.message
    parts = (
        f"{one.message}; instead: {one.suggestion}" if one.suggestion else one.message for one in error.diagnostics
    )
    return ". ".join(parts)
