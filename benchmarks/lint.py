"""Times `mlquery lint` on a folder of programs and notebooks, from the start of the process to its end."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from harness import Report, shown
from processes import measure_processes
from workbench import Workbench, command

TARGET = "lint 1,000 files"
_FILES = 1000
_NOTEBOOKS = 100
_MOST_MS = 10_000
_PADDING = "def step_{0}(values):\n    return [value * {0} for value in values if value > {0}]\n\n"
_SEARCHES = """
import mlflow
from mlflow import MlflowClient

client = MlflowClient()
LIMIT = {0}


def best(experiment_id, model):
    query = f"metrics.auc_{0} > 0.{0} AND params.model = '{{model}}' AND status = 'FINISHED'"
    return client.search_runs([experiment_id], query, max_results=LIMIT, order_by=["metrics.auc_{0} DESC"])


def late(experiment_id):
    return mlflow.search_runs([experiment_id], "start_time > 17{0:08} AND status = 'Finished'")


mlflow.log_params({{"depth_{0}": {0}, "model": "tree"}})
mlflow.search_runs(filter_string="params.depth_{0} = '{0}' AND tags.stage_{0} LIKE 'p%'", order_by=["start_time DESC"])
client.search_model_versions("name = 'model {0}'")
"""
_LINT = "from mlquery.cli import main; main(['lint', {folder!r}])"
_PARSE = """
import ast, json, pathlib
for path in sorted(pathlib.Path({folder!r}).iterdir()):
    text = path.read_text()
    for cell in json.loads(text)["cells"] if path.suffix == ".ipynb" else [{{"source": [text]}}]:
        ast.parse("".join(cell["source"]))
"""


def write_programs(folder: Path) -> None:
    """Write the files: each of about 200 lines with four searches that no other one has, a tenth of them notebooks."""
    for number in range(1, _FILES + 1):
        text = "".join(_PADDING.format(step) for step in range(45)) + _SEARCHES.format(number)
        if number > _NOTEBOOKS:
            (folder / f"program_{number}.py").write_text(text)
            continue
        cells = [{"cell_type": "code", "source": part.splitlines(keepends=True)} for part in text.split("\n\n\n")]
        notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (folder / f"notebook_{number}.ipynb").write_text(json.dumps(notebook, indent=1))


def lint(bench: Workbench, report: Report) -> None:
    """Measure new processes; the number of runs of the workbench does not matter."""
    with tempfile.TemporaryDirectory() as folder:
        write_programs(Path(folder))
        codes = {"mlquery": _LINT.format(folder=folder), "python alone, parsing them": _PARSE.format(folder=folder)}
        measure_processes(report, "1,000 files", codes, rounds=3)
    taken = report.median("1,000 files", 0, "mlquery")
    if taken:
        words = f"<= {_MOST_MS // 1000} s"
        report.judge(TARGET, words, "1,000 files", 0, f"{shown(taken)} ms", words, _MOST_MS / taken)


if __name__ == "__main__":
    command("lint", lint, sizes=(0,))
