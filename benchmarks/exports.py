"""Times the first page of large exports with each engine: DuckDB, Spark, and Polars by hand.

The question has a metric above a bound, a param and the beginning of a tag, ordered by the metric, the first 1,000 runs
with all data. Each engine answers in a process of its own, five times after a first one; all must find the same runs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import lake
from harness import OWN, Report, record
from processes import run_python
from workbench import Workbench, command

SIZES = (1_000_000, 10_000_000)
CASE: Final = "first page of 1,000"
TARGET: Final = "an export searched"
SPARK: Final = "mlquery on Spark"
TABLES: Final = "mlquery, Databricks' tables"
_QUESTION: Final = "metrics.auc > 0.8 AND params.model = 'x' AND tags.team LIKE 'a%'"
_ORDER: Final = "metrics.auc DESC"
_PAGE: Final = 1_000

_ASK: Final = """
import json, os, sys, time
from pathlib import Path
def peak(process):
    return int(Path(f"/proc/{{process}}/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
def most():
    own = str(os.getpid())
    about = {{path.parent.name: path.read_text() for path in Path("/proc").glob("[0-9]*/stat")}}
    parents = {{process: stat.rpartition(")")[2].split()[1] for process, stat in about.items()}}
    return sum(peak(process) for process, parent in parents.items() if own in (process, parent))
folder, filter_string, order, limit, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
{setup}
seconds = []
for _ in range(rounds + 1):
    start = time.perf_counter()
    ids = ask()
    seconds.append(time.perf_counter() - start)
print(json.dumps([ids, seconds[1:], most()]))
"""
_SOURCE: Final = """
import attrs
from mlquery.query.search import plan_of
from mlquery.sql.engines.lake import open_folder
source = open_folder(folder, engine="{engine}")
plan = attrs.evolve(plan_of(filter_string, [order], dialect="extended"), experiment_ids=None)
def ask():
    page = source.page(plan, limit)
    return [page.store.runs.ids[row] for row in page.rows]
"""
_POLARS: Final = """
import polars
from mlquery.sql.layouts.manifest import read_manifest
found = read_manifest(folder)
paths = [str(Path(folder) / path) for path in found.paths("runs")]
def ask():
    runs = polars.scan_parquet(paths, hive_partitioning=True, missing_columns="insert")
    auc, stage = polars.col("metrics.auc"), polars.col("lifecycle_stage")
    wanted = (auc > 0.8) & auc.is_not_nan() & (polars.col("params.model") == "x") & (stage == "active")
    wanted &= polars.col("tags.team").str.starts_with("a")
    keys = ["metrics.auc", "start_time", "run_id"]
    page = runs.filter(wanted).sort(keys, descending=[True, True, False]).head(limit).collect()
    return page["run_id"].to_list()
"""
_DUCKDB: Final = _SOURCE.format(engine="duckdb")
SYSTEMS: Final[dict[str, tuple[str, Callable[[Path, int], None]]]] = {
    OWN: (_DUCKDB, lake.make_wide),
    SPARK: (_SOURCE.format(engine="spark"), lake.make_wide),
    "Polars by hand": (_POLARS, lake.make_wide),
    TABLES: (_DUCKDB, lake.make_tables),
}
Asked = tuple[list[str], list[float], float]
"""The ids of the first page, the seconds of each round, and the most memory of the process in MiB."""


def exports(bench: Workbench, report: Report) -> None:
    """Measure the seconds of each engine."""
    first = None
    for system in SYSTEMS:
        ids, seconds, _ = ask(system, bench, 5 if system == OWN else 2)
        first = first or ids
        if ids != first:
            raise ValueError(f"{system} finds {len(ids)} runs that are not the {len(first)} of {OWN}")
        record(report, CASE, bench.size, system, seconds)
    if bench.size == max(SIZES):
        report.within(TARGET, CASE, bench.size, 1_000)


def ask(system: str, bench: Workbench, rounds: int) -> Asked:
    """Return what an engine answers in a process of its own."""
    code, make = SYSTEMS[system]
    folder = bench.folder / f"{make.__name__.removeprefix('make_')}-{bench.size}"
    if not folder.exists():
        building = folder.with_name(f"{folder.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        make(building, bench.size)
        building.rename(folder)
    told = run_python(_ASK.format(setup=code), str(folder), _QUESTION, _ORDER, str(_PAGE), str(rounds)).splitlines()[-1]
    ids, seconds, most = json.loads(told)
    return ids, seconds, most


if __name__ == "__main__":
    command("exports", exports, SIZES)
