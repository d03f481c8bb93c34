"""mlquery: a workload in its store, loaded through the calls of its loaders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workload import ABSENT, EXPERIMENTS, Query, Workload, artifact_root

from mlquery.query.search import search_rows, search_runs
from mlquery.store import Store

ALL = list(EXPERIMENTS)


def load(runs: Workload) -> Store:
    """Return a store with the runs of a workload."""
    store = empty_store()
    load_into(store, runs)
    return store


def empty_store() -> Store:
    """Return a store with the experiments of every workload and no runs."""
    store = Store()
    load_experiments(store)
    return store


def load_experiments(store: Store) -> None:
    """Add the experiments of every workload."""
    for number in EXPERIMENTS:
        store.load_experiment(number, f"experiment {number}", artifact_location=artifact_root(number))


def load_into(store: Store, runs: Workload) -> None:
    """Add the runs of a workload."""
    metrics = [
        (key, metric.values.tolist(), (metric.states != ABSENT).tolist()) for key, metric in runs.metrics.items()
    ]
    params = [(key, column.codes.tolist(), column.table) for key, column in runs.params.items()]
    tags = [(key, column.codes.tolist(), column.table) for key, column in runs.all_tags().items()]
    columns = (runs.run_ids, runs.experiments, runs.users, runs.statuses, runs.start_times.tolist(), runs.run_names)
    ends = runs.end_times.tolist()
    for row, (run_id, experiment, user, status, start, name) in enumerate(zip(*columns, strict=True)):
        store.load_run(
            run_id,
            experiment,
            user_id=user,
            status=status,
            start_time=start,
            end_time=None if ends[row] < 0 else ends[row],
            artifact_uri=f"{artifact_root(experiment)}/{run_id}/artifacts",
            run_name=name,
            metrics={key: (values[row], start, 1) for key, values, there in metrics if there[row]},
            params={key: table[codes[row]] for key, codes, table in params},
            tags={key: table[codes[row]] for key, codes, table in tags},
        )


def page(store: Store, query: Query) -> list[Any]:
    return search_runs(store, ALL, query.filter_string, 1, query.limit, list(query.order_by))


def rows(store: Store, query: Query) -> Sequence[int]:
    return search_rows(store, ALL, query.filter_string, 1, query.limit, list(query.order_by))[0]


def frame(store: Store, query: Query, limit: int = 100_000) -> Any:
    from mlquery.query.dataframe import search_frame

    return search_frame(store, ALL, query.filter_string, 1, limit, list(query.order_by))


def all_pages(search: Any, query: Query, size: int = 1000) -> list[str]:
    """Return the run ids of all pages that `search(query, size, token)` gives, having touched the data of every run."""
    found: list[str] = []
    token = None
    while True:
        got = touched(search(query, size, token))
        found += [run.info.run_id for run in got]
        token = got.token
        if not token:
            return found


def next_page(store: Store, query: Query, size: int, token: str | None) -> Any:
    return search_runs(store, ALL, query.filter_string, 1, size, list(query.order_by), token)


def touched(found: Any) -> Any:
    """Return runs after reading the data of every one, as a caller would."""
    total = 0
    for run in found:
        data = run.data
        total += len(run.info.run_id) + len(data.metrics) + len(data.params) + len(data.tags)
    return found


def run_ids(found: Any) -> list[str]:
    return [run.info.run_id for run in found]
