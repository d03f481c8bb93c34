"""Searches a server in the extended language, over HTTP: top ten, and what random searches cost in requests.

The server is mlquery's, in the dialects of MLflow and of Azure, in the same process; MLflow's client asks it. The
random searches are trees of up to eight clauses about plain keys, two thirds of them for the first 5 to 100 runs, half
of them in MLflow's order. Azure cannot be asked for eight of the nineteen kinds of clauses.
"""

from __future__ import annotations

import random
import time
from statistics import median
from typing import Any

import attrs
from harness import OWN, Figure, Report, shown
from workbench import Workbench, command

TARGET = "search servers"
SIZES = (10_000, 100_000)
_SEARCHES = 300
_CLIENT = "MLflow's client, every page"
_EXPERIMENT = "1"
_CLAUSES = (
    *("metrics.auc > 0.9", "metrics.auc < 0.2", "metrics.loss BETWEEN 0.1 AND 0.3", "metrics.rare > 0.5"),
    *("params.model = 'b'", "params.model IN ('a', 'c')", "params.model LIKE 'd%'", "params.depth = '7'"),
    *("tags.team = 'x'", "tags.team != 'y'", "tags.team LIKE 'z%'", "tags.note IS NOT NULL"),
    *("status = 'FAILED'", "status IN ('RUNNING', 'KILLED')", "attributes.start_time > 1700050000000"),
    *("NOT metrics.auc > 0.5", "NOT params.model = 'a'", "metrics.rare IS NULL", "params.model RLIKE '^[ab]$'"),
)
_ORDERS: tuple[list[str], ...] = (
    [],
    [],
    [],
    [],
    [],
    ["metrics.auc DESC"],
    ["metrics.loss"],
    ["metrics.rare DESC"],
    ["start_time ASC"],
    ["params.depth"],
)


def new_store(size: int) -> Any:
    """Return a store with runs whose metrics do not depend on their age."""
    from mlquery import Store
    from mlquery.entities import RunInfo

    rng, store = random.Random(size), Store(seed=1)
    store.load_experiment(_EXPERIMENT, "served")
    infos, params, tags, metrics = [], [], [], []
    for number in range(size):
        started = 1_700_000_000_000 + number * 1000
        status = rng.choice(["FINISHED"] * 7 + ["FAILED", "RUNNING", "KILLED"])
        run_id = f"{rng.getrandbits(128):032x}"
        infos.append(RunInfo(run_id, _EXPERIMENT, "ann", status, started, started + 500, "active", "s3://b", "run"))
        params.append({"model": rng.choice("abcdefgh"), "depth": str(rng.randrange(40))})
        tags.append({"team": rng.choice("xyzuvw")} | ({"note": "n"} if rng.random() < 0.05 else {}))
        logged = {"auc": rng.random(), "loss": rng.random()} | ({"rare": rng.random()} if rng.random() < 0.01 else {})
        metrics.append({key: (value, started, 0) for key, value in logged.items()})
    store.load_runs(infos, params, tags, metrics, [()] * size)
    return store


def remote(bench: Workbench, report: Report) -> None:
    """Measure one size."""
    from mlquery.server.testing import running_server

    store = new_store(bench.size)
    for dialect in ("oss", "azure"):
        with running_server(store, dialect) as server:
            _top_ten(report, server, store, dialect, bench.size)
            if bench.size == min(SIZES):
                _random_searches(report, server, store, dialect)


def _top_ten(report: Report, server: Any, store: Any, dialect: str, size: int) -> None:
    import mlflow

    import mlquery

    case, source = f"{dialect}: top 10 by a metric", mlquery.connect(server.tracking_uri).source
    plan = _planned("", ["metrics.auc DESC"])
    expected = _expected(store, plan, 10)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        assert expected == source.ids(plan, 10)
        times.append((time.perf_counter() - start) * 1000)
    calls = source.last_cost.taken  # type: ignore[attr-defined]
    report.figures.append(Figure(case, size, OWN, median(times), min(times), len(times)))
    report.judge(TARGET, "<= 10 calls", case, size, f"{calls} calls", "<= 10 calls", 10 / calls)
    if dialect == "azure" and size == max(SIZES):
        start = time.perf_counter()
        found = mlflow.MlflowClient(server.tracking_uri)
        assert expected == _best_of_all(found)
        taken = (time.perf_counter() - start) * 1000
        report.figures.append(Figure(case, size, _CLIENT, taken, taken, 1))
        report.at_least(TARGET, case, size, _CLIENT, 10)


def _best_of_all(client: Any) -> list[str]:
    runs: list[Any] = []
    token = None
    while token is None or token:
        page = client.search_runs([_EXPERIMENT], max_results=1000, page_token=token)
        runs += page
        token = page.token or ""
    best = sorted(runs, key=lambda run: -run.data.metrics["auc"])[:10]
    return [run.info.run_id for run in best]


def _random_searches(report: Report, server: Any, store: Any, dialect: str) -> None:
    import mlquery

    source: Any = mlquery.connect(server.tracking_uri).source
    rng, calls, ratios, size = random.Random(3), [], [], min(SIZES)
    for _ in range(_SEARCHES):
        plan = _planned(_tree(rng, rng.randrange(4)), rng.choice(_ORDERS))
        limit = rng.choice([5, 10, 50, 100, None, None])
        expected = _expected(store, plan, limit)
        assert expected == source.ids(plan, limit)
        calls.append(source.last_cost.taken)
        ratios.append(source.last_cost.rows / max(len(expected), 1))
    calls.sort()
    p95, case = calls[_SEARCHES * 95 // 100], f"{dialect}: {_SEARCHES} random searches"
    for name, measured, most in (
        ("calls, median", median(calls), 3.0),
        ("calls, 95th percentile", float(p95), 12.0),
        ("runs fetched per run wanted, median", median(ratios), 1.5),
    ):
        words = f"<= {most:g}"
        report.judge(TARGET, words, f"{case}: {name}", size, shown(measured), words, most / max(measured, 0.01))


def _tree(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return rng.choice(_CLAUSES)
    parts = [_tree(rng, rng.randrange(depth)) for _ in range(2)]
    word = rng.choice([" AND ", " AND ", " OR "])
    return f"({word.join(parts)})"


def _planned(filter_string: str, order_by: list[str]) -> Any:
    from mlquery.query.search import plan_of

    return attrs.evolve(plan_of(filter_string, order_by, dialect="extended"), experiment_ids=frozenset({_EXPERIMENT}))


def _expected(store: Any, plan: Any, limit: int | None) -> list[str]:
    from mlquery.engine import columnar

    return [store.runs.ids[row] for row in columnar.rows(store, plan, limit)]


if __name__ == "__main__":
    command("remote", remote, sizes=SIZES)
