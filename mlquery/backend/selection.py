"""Chooses experiments by names and ids, and reads the runs that a search finds on all of its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mlquery.entities import PagedList, Run, ViewType
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError

if TYPE_CHECKING:
    from mlquery.backend.backend import Backend

T = TypeVar("T")
_PAGE = 1000  # runs per search, as in MLflow's client
_PAGE_IN_PLACE = 50_000  # where every search asks others


def chosen_experiment_ids(
    backend: Backend, names: Sequence[str], ids: Sequence[str], view: int, where: str
) -> list[str]:
    """Return the ids of experiments that are chosen by names and ids, or of all that a view shows.

    Raises:
        StoreError: there is no such experiment in the source, which messages call `where`.
    """
    if not names and not ids:
        return [experiment.experiment_id for experiment in all_results(partial(backend.search_experiments, view))]
    known = [backend.get_experiment(experiment_id).experiment_id for experiment_id in ids]
    for name in names:
        experiment = backend.get_experiment_by_name(name)
        if experiment is None:
            raise StoreError(f"{where} has no experiment named {name!r}", RESOURCE_DOES_NOT_EXIST)
        known.append(experiment.experiment_id)
    return known


def found_runs(
    backend: Backend,
    experiment_ids: Sequence[str],
    filter_string: str,
    view: int = ViewType.ACTIVE_ONLY,
    order_by: Sequence[str] = (),
    limit: int | None = None,
    *,
    is_streamed: bool = False,
) -> Iterator[Run]:
    """Yield the runs of a search without logged models, at most `limit`; page by page if that is how they are shown."""
    from mlquery.query.page_tokens import all_pages

    def search(max_results: int, page_token: str | None) -> PagedList[Run]:
        page = (experiment_ids, filter_string, view, max_results, order_by, page_token)
        return backend.search_runs(*page, read=lambda store, rows: store.runs.runs_at(rows))

    return all_pages(search, _PAGE_IN_PLACE if backend.is_in_place and not is_streamed else _PAGE, limit)


def all_results(search: Callable[..., PagedList[T]]) -> list[T]:
    """Return what a search finds on all of its pages."""
    from mlquery.query.page_tokens import all_pages

    return list(all_pages(search, _PAGE))


def count_found(backend: Backend, experiment_ids: Sequence[str], filter_string: str, view: int) -> int | None:
    """Return how many runs a search finds, of which none is read; None where all would have to be."""
    from mlquery.query.search import count_runs

    if backend.is_in_place:
        in_place: Any = backend
        if not in_place.source.counts:
            return None
        found: int = in_place.count_runs(experiment_ids, filter_string, view)
        return found
    return count_runs(backend.store, experiment_ids, filter_string, view, dialect=backend.dialect)
