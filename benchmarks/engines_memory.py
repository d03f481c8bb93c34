"""Measures the memory of a process that makes one page of MLflow's database, searched in place or loaded first."""

from __future__ import annotations

import json

from harness import OWN, Figure, Report, leave_out, shown
from processes import run_python
from systems import mlflow_databases
from workbench import Workbench, command

SIZES = (10_000, 100_000)
TARGET = "memory of a page in place"
_CASE = "SQLite: a page of 1,000"
LOADED = "mlquery, loaded first"

# MLflow's page is in the order for which it needs no statistics.
_CODE = """
import json, sys
from pathlib import Path
ALL = [str(number) for number in range(1, 11)]
url = "sqlite:///" + sys.argv[1]
{search}
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(json.dumps([len(found), int(peak) / 1024]))
"""
_SEARCHES = {
    OWN: "import mlquery\n"
    "found = mlquery.connect(url, dialect='oss').search_runs(ALL, 'metrics.auc > 0.8', 1, 1000, ['metrics.loss ASC'])",
    "MLflow": "from systems import mlflow_databases\n"
    "found = mlflow_databases.store(url).search_runs(ALL, 'metrics.auc > 0.8', 1, 1000, ['start_time DESC'])",
    LOADED: "import mlquery\n"
    "from mlquery.query.search import search_runs\n"
    "found = search_runs(mlquery.load(sys.argv[1]), ALL, 'metrics.auc > 0.8', 1, 1000, ['metrics.loss ASC'])",
}


def engines_memory(bench: Workbench, report: Report) -> None:
    """Measure each way in a process of its own."""
    report.unit = "MiB"
    path = str(mlflow_databases.sqlite_file(mlflow_databases.lean(bench.runs), bench.folder))
    for system, search in _SEARCHES.items():
        found, peak = json.loads(run_python(_CODE.format(search=search), path).splitlines()[-1])
        if found != 1_000:
            leave_out(report, _CASE, bench.size, system, f"finds {found} runs")
            continue
        report.figures.append(Figure(_CASE, bench.size, system, round(peak, 1), round(peak, 1), 1))
        print(f"  {bench.size:>9,} {_CASE}: {system} {shown(peak)} MiB", flush=True)
    if bench.size == 100_000:
        report.at_most(TARGET, _CASE, bench.size, "MLflow", 1)


if __name__ == "__main__":
    command("engines_memory", engines_memory, SIZES)
