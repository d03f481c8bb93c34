"""Times searches of MLflow's own database where it is: SQLite and PostgreSQL, beside MLflow and beside loading first.

Every database has the same runs with five params, five metrics and three tags each, written run after run into the
schema that MLflow makes. SQLite has no statistics, as MLflow leaves it. PostgreSQL has them, as its autovacuum does,
and is measured without them too, as it is for some minutes after it was filled. A page is the first 1,000 runs with
all their data.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from harness import OWN, Figure, Plan, Report, leave_out, measure, shown
from pages import QUADRATIC
from systems import mlflow_databases, mlflow_sql, mlquery_store
from workbench import Workbench, command
from workload import Query

import mlquery
from mlquery.conformance.servers import NoServerError, started

SIZES = (10_000, 100_000, 1_000_000)
TARGET = "a database searched in place"
FILTERED = Query("filter, order by a metric", "metrics.auc > 0.8", ("metrics.loss ASC",))
ORDERED = Query("order by a metric", "", ("metrics.loss ASC",))
NEWEST = Query("filter, newest first", "params.opt = 'adam' AND metrics.auc > 0.9")
QUERIES = (FILTERED, ORDERED, NEWEST)
LOADED = "mlquery, loaded first"
SQLITE, POSTGRES, NEW_POSTGRES = "SQLite", "PostgreSQL", "PostgreSQL without statistics"
_SLOW = Plan(rounds=7, budget=6.0)
_MOST_IN_SQLITE = 100_000
_MOST_WITHOUT_STATISTICS = 100_000
_MOST_IN_MEMORY = 100_000

Search = Callable[[Query], Any]


def engines(bench: Workbench, report: Report) -> None:
    """Measure pages on both databases."""
    runs = mlflow_databases.lean(bench.runs)
    if bench.size <= _MOST_IN_SQLITE:
        path = mlflow_databases.sqlite_file(runs, bench.folder)
        url = f"sqlite:///{path}"
        _pages(bench, report, SQLITE, url, f"sqlite:///{mlflow_sql.analyzed(path)}")
        _load_then_search(report, SQLITE, bench.size, url)
    try:
        with started("postgres") as server:
            url = server.new_database()
            mlflow_databases.fill_postgres(runs, url)
            _pages(bench, report, POSTGRES, url, None)
            if bench.size <= _MOST_IN_MEMORY:
                _load_then_search(report, POSTGRES, bench.size, url)
            server.drop_database(url)
            if bench.size <= _MOST_WITHOUT_STATISTICS:
                url = server.new_database()
                mlflow_databases.fill_postgres(runs, url, has_statistics=False)
                _pages(bench, report, NEW_POSTGRES, url, None)
                server.drop_database(url)
    except NoServerError as error:
        print(f"  no PostgreSQL: {error}", flush=True)
    _judge(report, bench.size)


def _pages(bench: Workbench, report: Report, name: str, url: str, analyzed: str | None) -> None:
    """Measure the queries on one database; `analyzed` is a copy for which MLflow has statistics."""
    with _searches(url, analyzed, bench.size) as searches:
        for query in QUERIES:
            systems = {system: _touched(search, query) for system, search in searches.items()}
            case = f"{name}: {query.name}"
            if analyzed and query is ORDERED and bench.size > 10_000:
                del systems["MLflow"]
                leave_out(report, case, bench.size, "MLflow", QUADRATIC)
            measure(report, case, bench.size, systems, ids=mlquery_store.run_ids, plan=_SLOW)
    for line in explained(url, FILTERED):
        print(f"    {line[:150]}", flush=True)


@contextmanager
def _searches(url: str, analyzed: str | None, size: int) -> Iterator[dict[str, Search]]:
    client = mlquery.connect(url, dialect="oss")
    stores = {"MLflow": mlflow_databases.store(url)}
    if analyzed:
        stores["MLflow, ANALYZE"] = mlflow_databases.store(analyzed)
    yield {OWN: lambda query: _page(client, query)} | {
        system: partial(mlflow_sql.page, store) for system, store in stores.items()
    }
    client.close()
    for store in stores.values():
        store.engine.dispose()


def _page(client: Any, query: Query) -> Any:
    return client.search_runs(mlflow_sql.ALL, query.filter_string, 1, query.limit, list(query.order_by))


def _touched(search: Search, query: Query) -> Callable[[], Any]:
    return lambda: mlquery_store.touched(search(query))


def _load_then_search(report: Report, name: str, size: int, url: str) -> None:
    """Measure once what a page takes whose runs are loaded before: what `--load` does."""
    case = f"{name}: {FILTERED.name}"
    start = time.perf_counter()
    is_file = url.startswith("sqlite")
    loaded = mlquery.load(url) if is_file else mlquery.connect(url, dialect="oss").load()
    found = mlquery_store.page(loaded, FILTERED)
    seconds = time.perf_counter() - start
    assert found
    report.figures.append(Figure(case, size, LOADED, round(seconds * 1000), round(seconds * 1000), 1))
    print(f"  {size:>9,} {case}: {LOADED} {shown(seconds * 1000)} ms", flush=True)


def explained(url: str, query: Query) -> list[str]:
    """Return the plan of the database for the statement that finds the ids of a page, line by line."""
    from mlquery.language.matrix import MATRIX
    from mlquery.query.in_place import RunSearch

    asked = (mlflow_sql.ALL, query.filter_string, 1, query.limit, list(query.order_by))
    search = RunSearch(*asked, dialect=MATRIX.dialect("oss"))
    with mlquery.connect(url, dialect="oss") as client, search.planned() as plan:
        source: Any = client.source
        return list(source.described(source.statement(plan, query.limit)))


def _judge(report: Report, size: int) -> None:
    filtered = f"{{}}: {FILTERED.name}"
    if size == 100_000:
        for system in ("MLflow", "MLflow, ANALYZE"):
            report.at_least(TARGET, filtered.format(SQLITE), size, system, 10)
        for name in (POSTGRES, NEW_POSTGRES):
            report.at_least(TARGET, filtered.format(name), size, "MLflow", 10)
        report.within(TARGET, filtered.format(SQLITE), size, 1_000)
    if size == 1_000_000:
        report.within(TARGET, filtered.format(POSTGRES), size, 3_000)


if __name__ == "__main__":
    command("engines", engines, SIZES)
