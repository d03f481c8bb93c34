"""Times imports, from the start of the process to its end."""

from __future__ import annotations

from harness import Report, shown
from processes import measure_processes
from workbench import Workbench, command

TARGET = "import mlquery without numpy's share"
_CODES = {
    "python alone": "pass",
    "numpy": "import numpy",
    "mlquery": "import mlquery",
    "mlquery, Store and Client": "from mlquery import Client, Store",
    "pandas": "import pandas",
    "polars": "import polars",
    "duckdb": "import duckdb",
    "mlflow": "import mlflow",
}
_MOST_MS = 150


def startup(bench: Workbench, report: Report) -> None:
    """Measure imports in new processes; the number of runs of the workbench does not matter."""
    measure_processes(report, "import", _CODES, rounds=7)
    for name in ("mlquery", "mlquery, Store and Client"):
        mine, numpy = report.median("import", 0, name), report.median("import", 0, "numpy")
        if mine and numpy:
            share = max(mine - numpy, 0.1)
            words = f"<= {_MOST_MS} ms"
            report.judge(TARGET, words, f"import of {name}", 0, f"{shown(share)} ms", words, _MOST_MS / share)


if __name__ == "__main__":
    command("startup", startup, sizes=(0,))
