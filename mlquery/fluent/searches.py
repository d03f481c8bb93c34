"""`search_runs` as a script calls it: experiments by id, by name or all, and a DataFrame or a list as the answer."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

from mlquery.entities import Run, ViewType
from mlquery.errors import invalid_parameter
from mlquery.fluent.experiments import search_experiments
from mlquery.fluent.session import client, experiment_id
from mlquery.query.page_tokens import all_pages

if TYPE_CHECKING:
    from mlquery.query.dataframe import DataFrame

_logger = logging.getLogger("mlquery.fluent")
_MAX_RESULTS = 100_000
_PAGE = 10_000


@overload
def search_runs(
    experiment_ids: list[str] | str | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = _MAX_RESULTS,
    order_by: list[str] | None = None,
    output_format: Literal["pandas"] = "pandas",
    search_all_experiments: bool = False,
    experiment_names: list[str] | str | None = None,
) -> DataFrame: ...


@overload
def search_runs(
    experiment_ids: list[str] | str | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = _MAX_RESULTS,
    order_by: list[str] | None = None,
    *,
    output_format: Literal["list"],
    search_all_experiments: bool = False,
    experiment_names: list[str] | str | None = None,
) -> list[Run]: ...


def search_runs(
    experiment_ids: list[str] | str | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = _MAX_RESULTS,
    order_by: list[str] | None = None,
    output_format: Literal["pandas", "list"] = "pandas",
    search_all_experiments: bool = False,
    experiment_names: list[str] | str | None = None,
) -> DataFrame | list[Run]:
    """Return the runs that match a filter, by default those of the active experiment, as a DataFrame.

    Args:
        experiment_ids: Where to search; a single id needs no list.
        filter_string: The filter; empty accepts every run.
        run_view_type: A number of `ViewType`.
        max_results: The most runs to return; None for all of them.
        order_by: Order terms.
        output_format: "pandas", or "list" for a list of `Run`.
        search_all_experiments: Whether to search all active experiments when neither ids nor names are given.
        experiment_names: Where to search, by name; a single name needs no list. Names that do not exist are logged.

    Raises:
        QueryError: The dialect refuses the query.
        StoreError: Both ids and names are given.
        ValueError: The output format is unknown.

    **Source**: `mlflow.search_runs` of MLflow 3.17, which takes a bare string as a name for a list of its letters.
    """
    if experiment_ids and experiment_names:
        raise invalid_parameter("Only experiment_ids or experiment_names can be used, but not both")
    ids = _experiments(experiment_ids, experiment_names, search_all_experiments)
    query = (filter_string, run_view_type, max_results, order_by)
    if output_format == "list":
        return _runs(ids, *query)
    if output_format != "pandas":
        raise ValueError(f"Unsupported output format: {output_format}. Supported string values are 'pandas' or 'list'")
    if not ids:
        from mlquery.query.dataframe import runs_frame

        return runs_frame(client().store, ())
    return client().backend.search_frame(ids, *query)


def _experiments(
    experiment_ids: list[str] | str | None, experiment_names: list[str] | str | None, every: bool
) -> list[str]:
    """Return the ids of the experiments to search."""
    if experiment_ids:
        return [experiment_ids] if isinstance(experiment_ids, str) else experiment_ids
    if experiment_names:
        names = [experiment_names] if isinstance(experiment_names, str) else experiment_names
        return [found for name in names if name is not None for found in _id_of(name)]
    if every:
        return [experiment.experiment_id for experiment in search_experiments()]
    return [experiment_id()]


def _id_of(name: str) -> list[str]:
    experiment = client().get_experiment_by_name(name)
    if experiment is None:
        _logger.warning("Cannot retrieve experiment by name %s", name)
        return []
    return [experiment.experiment_id]


def _runs(ids: list[str], filter_string: str, run_view_type: int, max_results: int | None, order_by: Any) -> list[Run]:
    """Return the runs of all pages, up to `max_results`; nothing written meanwhile gets in between."""
    search = partial(client().search_runs, ids, filter_string, run_view_type, order_by=order_by)
    with client().store.lock:
        return list(all_pages(search, _PAGE, max_results)) if ids else []
