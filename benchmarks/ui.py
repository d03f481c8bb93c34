"""Times the table of runs in MLflow's own UI over 100,000 runs in PostgreSQL: on `mlflow server`, and in place.

Both servers read the same database, which a throw-away PostgreSQL holds; all runs are of one experiment. The browser,
Debian's chromium without a screen, shows the table and is told to order it by another metric; the time ends when the
runs that belong at the top are drawn, which both must agree on. Of that, the search is what the browser waits for the
server. A third figure is the first page, assets and all.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness import Report, record
from systems import mlflow_databases
from workbench import Workbench, command
from workload import Workload

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
EXPERIMENT = "1"
METRICS = ("auc", "accuracy", "f1", "val_loss", "train_time", "perplexity")
SORTED, SEARCHED = "ordered by another metric", "of which the server searches"
FIRST = "the first page, ordered by a metric"
SYSTEMS = ("mlquery", "mlflow server")
SIZES = (100_000,)
ROUNDS = 9
TARGET, TIMES = "MLflow's UI in place: the sorted table is drawn", 5.0
# Goes to an address of the page that is open, and returns the milliseconds until some runs are drawn at the top, and
# those of the searches on the way.
DRAW = """
const [address, names, done] = arguments;
const start = performance.now();
const rows = '.ag-pinned-left-cols-container .ag-row';
const isDrawn = () => names.every((name, place) => {
  const row = document.querySelector(`${rows}[row-index="${place}"]`);
  return row && row.innerText.split('\\n').includes(name);
});
const isSearch = (entry) => entry.name.endsWith('runs/search') && entry.startTime >= start;
const asked = () => performance.getEntriesByType('resource').filter(isSearch).map((entry) => entry.duration);
const look = () => (isDrawn() ? done([performance.now() - start, ...asked()]) : requestAnimationFrame(look));
location.hash = address;
look();
"""


def ui(bench: Workbench, report: Report) -> None:
    """Measure both servers on one database."""
    from mlquery.conformance.servers import started

    with started("postgres") as server:
        url = server.new_database()
        fill(bench.runs, url)
        measure(report, url, bench.size)
    report.at_least(TARGET, SORTED, bench.size, SYSTEMS[1], TIMES)


def fill(runs: Workload, url: str) -> None:
    """Write the runs into a database, all into one experiment."""
    from sqlalchemy import create_engine

    mlflow_databases.fill_postgres(runs, url)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"UPDATE runs SET experiment_id = {EXPERIMENT}")
        connection.exec_driver_sql("VACUUM FULL ANALYZE runs")
    engine.dispose()


def measure(report: Report, url: str, size: int) -> None:
    """Draw the table on both servers in turns, so that a busy moment of the machine meets both."""
    from tests.support import browser as support
    from tests.support.mlflow_server import mlflow_server, ui_in_place

    expected = {metric: top_names(url, metric) for metric in METRICS}
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(3)]
        own, theirs = ui_in_place(url, folders[0]), mlflow_server(folders[1], url)
        servers = dict(zip(SYSTEMS, map(stack.enter_context, (own, theirs)), strict=True))
        driver = stack.enter_context(support.browser(folders[2]))
        support.resize(driver, 1400, 900)
        driver.set_script_timeout(300)
        for number in range(-1, ROUNDS):  # the first round fills caches
            for name, address in servers.items():
                first = opened(driver, address, expected)
                whole, *searches = drawn(driver, METRICS[1 + number % (len(METRICS) - 1)], expected)
                if number >= 0:
                    for case, taken in ((FIRST, first), (SORTED, whole), (SEARCHED, max(searches))):
                        seconds[case, name].append(taken)
    for (case, name), times in seconds.items():
        record(report, case, size, name, times)


def top_names(url: str, metric: str) -> list[str]:
    """Return the names of the first runs by a metric, as `mlquery` finds them in place."""
    import mlquery

    with mlquery.connect(url) as client:
        runs = client.search_runs([EXPERIMENT], order_by=[f"metrics.{metric} DESC"], max_results=8)
        return [str(run.info.run_name) for run in runs]


def opened(driver: Any, address: str, expected: dict[str, list[str]]) -> float:
    """Return the seconds until a new page, ordered by the first metric, is drawn."""
    driver.get("about:blank")
    start = time.perf_counter()
    driver.get(f"{address}/#{place(METRICS[0])}")
    driver.execute_async_script(DRAW, place(METRICS[0]), expected[METRICS[0]])
    return time.perf_counter() - start


def drawn(driver: Any, metric: str, expected: dict[str, list[str]]) -> list[float]:
    """Return the seconds from an order to the table in it, and those of each search on the way."""
    taken = driver.execute_async_script(DRAW, place(metric), expected[metric])
    return [milliseconds / 1000 for milliseconds in taken]


def place(metric: str) -> str:
    """Return the part of the address that says what is shown."""
    return f"/experiments/{EXPERIMENT}/runs?orderByKey=metrics.%60{metric}%60&orderByAsc=false"


if __name__ == "__main__":
    command("ui", ui, SIZES)
