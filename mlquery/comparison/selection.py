"""Turns what a caller calls runs (a filter, ids, a page, a frame, entities) and a source into a store and run ids.

After this there is one path: nothing above knows where runs came from. What is compared about them is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from mlquery.backend.service import registry_of
from mlquery.comparison import loading
from mlquery.comparison.remote import RemoteRuns, is_remote
from mlquery.entities import ViewType
from mlquery.entities.registry import ModelVersion
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.query.page_tokens import all_pages
from mlquery.query.reading import OnWarning
from mlquery.query.search import search_experiments, search_rows
from mlquery.store import Store

DEFAULT_DIALECT: Final = "oss"
_PAGE: Final = 1000
_SHOWN: Final = 3
_SHORTEST: Final = 4  # characters of an abbreviated id
_NEEDS_SOURCE: Final = "{} need a source: compare(…, source=source), {}"
_SOURCES: Final = "where source is a Store, a Client or an mlflow.MlflowClient"


@attrs.frozen(eq=False)
class Selection:
    """Runs of a store.

    Attributes:
        load_points: Makes all points of a metric be in the store; raises StoreError if nobody has them.
        versions: Returns registered versions, those of other runs too; logged models are in the store after it.
    """

    store: Store
    run_ids: tuple[str, ...]
    load_points: Callable[[str], None]
    versions: Callable[[], list[ModelVersion]]

    def of(self, run_ids: Iterable[str]) -> Selection:
        """Return other runs of the same store, each once and in this order.

        Raises:
            StoreError: there is no run of an id.
        """
        chosen = tuple(dict.fromkeys(run_ids))
        with self.store.lock:
            unknown = [run_id for run_id in chosen if run_id not in self.store.runs.row_of]
        if unknown:
            more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
            message = f"there is no run with the id {', '.join(map(repr, unknown[:_SHOWN]))}{more}"
            raise StoreError(message, RESOURCE_DOES_NOT_EXIST)
        return attrs.evolve(self, run_ids=chosen)


@attrs.frozen(eq=False)
class Search:
    """How a filter is read and where: arguments as of `compare`."""

    experiment_ids: Sequence[str] | None
    dialect: str | Dialect
    order_by: Sequence[str] | None
    max_runs: int | None
    on_warning: OnWarning


def dialect_of(given: str | Dialect | None, source: Any) -> Dialect:
    """Return the dialect that is given, else that of the source, else that of open-source MLflow."""
    own = getattr(source, "dialect", None)
    return MATRIX.dialect(given or (own if isinstance(own, str | Dialect) else None) or DEFAULT_DIALECT)


def run_named(store: Store, run_ids: Sequence[str], name: str, what: str = "the run") -> str:
    """Return the id of one of some runs, of which its id, its name or the beginning of its id is given.

    Raises:
        StoreError: it is none of them, or may be several.
    """
    with store.lock:
        if name in store.runs.row_of and name in run_ids:
            return name
        names = store.runs.strings.cells["run_name"].at([store.runs.row_of[run_id] for run_id in run_ids])
    found = [run_id for run_id, own in zip(run_ids, names, strict=True) if own == name]
    if not found and len(name) >= _SHORTEST:
        found = [run_id for run_id in run_ids if run_id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise StoreError(
            f"{what} {name!r} is none of the runs; instead: the id of one of them", RESOURCE_DOES_NOT_EXIST
        )
    candidates = f"{', '.join(found[:_SHOWN])}{', …' * (len(found) > _SHOWN)}"
    raise invalid_parameter(f"{what} {name!r} may be one of {len(found)} runs: {candidates}")


def select(runs: Any, source: Any, search: Search) -> Selection:
    """Return the runs that a caller means.

    Raises:
        QueryError: the filter or the order is not valid in the dialect.
        StoreError: a run is unknown, there is no source where one is needed, or more than `max_runs` are found.
    """
    found = _selected(runs, source, search)
    if search.max_runs is not None and len(found.run_ids) > search.max_runs:
        raise invalid_parameter(
            f"{len(found.run_ids):,} runs were found, more than max_runs={search.max_runs:,}; "
            f"instead: a filter that finds fewer, or max_runs={len(found.run_ids)}"
        )
    return found


def _selected(runs: Any, source: Any, search: Search) -> Selection:
    if hasattr(runs, "selection"):
        return runs.selection if source is None else _from(source).of(runs.run_ids)
    if isinstance(runs, str):
        return _found(runs, source, search)
    if isinstance(runs, Mapping):
        raise invalid_parameter(f"runs must be a filter, ids, or runs, not {type(runs).__name__}")
    if is_frame(runs):
        return _alone(loading.store_of_frame(runs)) if source is None else _by_id(runs["run_id"], source)
    given = list(runs)
    if any(hasattr(one, "info") for one in given):
        if source is None:
            return _alone(loading.store_of_runs(given))
        given = [one.info.run_id if hasattr(one, "info") else one for one in given]
    return _by_id(given, source)


def is_frame(runs: Any) -> bool:
    """Tell whether runs are a DataFrame of `search_runs`; pandas is not imported for it."""
    if not hasattr(runs, "columns"):
        return False
    if "run_id" not in runs.columns:
        raise invalid_parameter("a DataFrame of runs needs the column run_id, as mlflow.search_runs returns it")
    return True


def _by_id(run_ids: Iterable[Any], source: Any) -> Selection:
    ids = list(run_ids)
    wrong = next((one for one in ids if not isinstance(one, str)), None)
    if wrong is not None:
        raise invalid_parameter(f"a run is given by its id, which is a string, not {type(wrong).__name__}")
    if source is None and not ids:
        return _alone(Store())
    if source is None:
        raise invalid_parameter(_NEEDS_SOURCE.format("run ids", _SOURCES))
    if is_remote(source):
        return _remote(RemoteRuns.of_ids(source, ids))
    return _from(source).of(ids)


def _found(filter_string: str, source: Any, search: Search) -> Selection:
    if source is None:
        raise invalid_parameter(_NEEDS_SOURCE.format("filters", _SOURCES))
    if is_remote(source):
        return _remote(RemoteRuns.found(source, filter_string, search.experiment_ids, search.order_by, search.max_runs))
    whole = _from(source)
    store = whole.store
    with store.lock:
        ids = list(_all_experiments(store)) if search.experiment_ids is None else search.experiment_ids
        rows, _ = search_rows(
            store,
            *(ids, filter_string, ViewType.ACTIVE_ONLY, None, search.order_by),
            dialect=search.dialect,
            on_warning=search.on_warning,
        )
        return attrs.evolve(whole, run_ids=tuple(store.runs.ids[row] for row in rows))


def _all_experiments(store: Store) -> Iterator[str]:
    def page(max_results: int, page_token: str | None) -> Any:
        return search_experiments(store, ViewType.ACTIVE_ONLY, max_results, page_token=page_token)

    return (experiment.experiment_id for experiment in all_pages(page, _PAGE))


def _from(source: Any) -> Selection:
    """Return no runs of a store, a client of ours or a comparison."""
    if hasattr(source, "selection"):
        found: Selection = source.selection
        return found
    store = source if isinstance(source, Store) else getattr(source, "store", None)
    if not isinstance(store, Store):
        raise invalid_parameter(f"{type(source).__name__} is not a source, {_SOURCES}")
    backend = getattr(source, "backend", None)
    registry = registry_of(store) if backend is None else backend.registry
    return Selection(store, (), _nothing_to_load, registry.versions)


def _nothing_to_load(key: str) -> None:
    """Leave a store as it is: it has all points."""


def _remote(found: RemoteRuns) -> Selection:
    return Selection(found.store, found.run_ids, found.load_points, found.versions)


def _alone(store: Store) -> Selection:
    return Selection(store, tuple(store.runs.ids), _refuse_points, list)


def _refuse_points(key: str) -> None:
    raise invalid_parameter(
        f"runs that are given without a source have the last value of {key!r} only, not its points; "
        f"instead: compare(…, source=source), {_SOURCES}"
    )
