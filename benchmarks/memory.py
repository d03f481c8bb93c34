"""Measures the memory of a store, and of a DataFrame of all its runs, with each system in a process of its own."""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness import Figure, Report, leave_out, shown
from processes import run_python
from systems.tables import arrow_table
from workbench import Workbench, command
from workload import slices

TARGET = "memory"
_PIECE = 1_000
_POINTS = 1_000_000

# A piece of Python that prints the memory of its process in MiB: after the imports, and at most since the start.
_FRAME = """
import json, sys
import numpy, pandas
from pathlib import Path
def memory(name):
    text = Path("/proc/self/status").read_text()
    return int(text.partition(name + ":")[2].split()[0]) / 1024
{imports}
before = memory("VmRSS")
{load}
loaded = memory("VmHWM")
{use}
print(json.dumps([before, loaded, memory("VmHWM"), memory("VmRSS")]))
"""
_MLQUERY_LOAD = """
store = mlquery_store.empty_store()
with open(sys.argv[1], "rb") as file:
    for _ in range(int(sys.argv[2])):
        mlquery_store.load_into(store, pickle.load(file))
"""
_MLQUERY = ("import pickle\nfrom systems import mlquery_store\nimport mlquery.query.dataframe", _MLQUERY_LOAD)
_CODES = {
    "mlquery": (*_MLQUERY, "frame = mlquery.query.dataframe.search_frame(store, mlquery_store.ALL)"),
    "MLflow": (
        "import mlflow, logging\nlogging.disable(logging.CRITICAL)\nfrom systems import mlflow_sql\n"
        "from workload import Query",
        "store = mlflow_sql.empty_store(Path(sys.argv[1]))",
        "frame = mlflow_sql.frame('sqlite:///' + sys.argv[1], Query('Q7', ''))",
    ),
    "Polars": (
        "import polars, pyarrow",
        "runs = polars.read_parquet(sys.argv[1])",
        "newest = runs.lazy().sort('start_time', 'run_id', descending=[True, False])\n"
        "frame = newest.head(100_000).collect().to_pandas()",
    ),
    "DuckDB": (
        "import duckdb, pyarrow",
        "connection = duckdb.connect()\n"
        'connection.execute("CREATE TABLE runs AS SELECT * FROM read_parquet(\'" + sys.argv[1] + "\')")',
        "frame = connection.execute('SELECT * FROM runs ORDER BY start_time DESC, run_id LIMIT 100000').df()",
    ),
}
_HISTORY = f"""
from mlquery.entities import Metric
from mlquery.store import Store
store = Store()
run_id = store.create_run("0", "someone", 0, [], "").info.run_id
for start in range(0, {_POINTS}, 1000):
    points = [Metric("loss", 1 / (step + 1), step, step) for step in range(start, start + 1000)]
    store.log_batch(run_id, points, [], [])
del points
"""


def memory(bench: Workbench, report: Report) -> None:
    """Measure processes that load the runs of the workbench and create a DataFrame of the newest 100,000."""
    report.unit = "MiB"
    with tempfile.TemporaryDirectory() as name:
        arguments = _files(bench, Path(name))
        for system, given in arguments.items():
            _one_process(report, bench.size, system, given)
    if not bench.has_mlflow:
        for case in ("loaded", "with a DataFrame"):
            leave_out(report, case, bench.size, "MLflow", "minutes to load and to search")
    if bench.size == 100_000:
        report.at_most(TARGET, "with a DataFrame", bench.size, "MLflow", 0.25)
        _history_points(report)
    if bench.size == 1_000_000:
        report.within(TARGET, "loaded", bench.size, 1.5 * 1024)


def _files(bench: Workbench, folder: Path) -> dict[str, Sequence[str]]:
    """Write what each process loads and return its arguments."""
    import pyarrow.parquet

    pieces = 0
    with (folder / "runs.pickle").open("wb") as file:
        for piece in slices(bench.runs, _PIECE):
            pickle.dump(piece, file, protocol=5)
            pieces += 1
    table = folder / "runs.parquet"
    pyarrow.parquet.write_table(arrow_table(bench.runs), table)
    given: dict[str, Sequence[str]] = {
        "mlquery": (str(folder / "runs.pickle"), str(pieces)),
        "Polars": (str(table),),
        "DuckDB": (str(table),),
    }
    if bench.has_mlflow:
        given["MLflow"] = (str(bench.mlflow_path),)
    return given


def _one_process(report: Report, runs: int, system: str, arguments: Sequence[str]) -> None:
    imports, load, use = _CODES[system]
    told = json.loads(run_python(_FRAME.format(imports=imports, load=load, use=use), *arguments).splitlines()[-1])
    for case, value in zip(("after imports", "loaded", "with a DataFrame"), told[:3], strict=True):
        report.figures.append(Figure(case, runs, system, round(value, 1), round(value, 1), 1))
    print(f"  {runs:>9,} {system}: {', '.join(shown(value) for value in told[:3])} MiB", flush=True)


def _history_points(report: Report) -> None:
    """Measure the memory of a million logged points of one metric."""
    code = _FRAME.format(imports="import mlquery\nfrom mlquery.query.search import search_runs", load=_HISTORY, use="")
    before, _, _, after = json.loads(run_python(code).splitlines()[-1])
    size = (after - before) * 2**20 / _POINTS
    report.judge(
        TARGET, "<= 32 bytes a history point", "1M logged points", 0, f"{size:.1f} bytes", "32 bytes", 32 / size
    )
    print(f"            a history point: {size:.1f} bytes", flush=True)


if __name__ == "__main__":
    command("memory", memory, sizes=(100_000, 1_000_000))
