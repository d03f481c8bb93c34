"""Run Microsoft's example notebooks cell by cell, and say which cells do something else than the checklist says.

    python conformance/notebooks.py [--mock] CHECKOUT [NOTEBOOK ...]

CHECKOUT is one of github.com/Azure/azureml-examples, whose notebooks are not part of this project; `notebooks.toml`
says in our words which they are, what each needs and which cells fail as they do on the service. Without `--mock` they
go where MLFLOW_TRACKING_URI leads. Each runs in a process of its own, in a new folder.

What a notebook needs of the world is replaced: the login, Microsoft's management client, and a table that it fetches
from the web and that the checkout has as a file. Cells that install packages are not run. Needs IPython and what the
notebooks import: scikit-learn, xgboost, hyperopt, setuptools and matplotlib (with MLflow 2, scikit-learn before 1.6 and
xgboost before 3).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from urllib.parse import urlsplit

CHECKLIST: Final = Path(__file__).with_suffix(".toml")
TABLE: Final = "sdk/python/using-mlflow/deploy/data/heart.csv"
WORKSPACE: Final = (
    "azureml://region.api.azureml.ms/mlflow/v2.0/subscriptions/s/resourceGroups/g/providers/"
    "Microsoft.MachineLearningServices/workspaces/w"
)


def checklist() -> list[dict[str, Any]]:
    """Return what is known of each notebook."""
    notebooks: list[dict[str, Any]] = tomllib.loads(CHECKLIST.read_text("utf-8"))["notebook"]
    return notebooks


def failing(known: dict[str, Any], release: str) -> set[int]:
    """Return the cells of a notebook that fail with a release of MLflow, "2" or "3"."""
    reasons: dict[str, list[int]] = known.get("fails", {}).get(release, {})
    return {place for places in reasons.values() for place in places}


def code_cells(path: Path) -> list[str]:
    """Return the code of a notebook, cell by cell."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run_cells(checkout: Path, notebook: str) -> list[str]:
    """Run the cells of a notebook here; return for each "" or what it raised."""
    from IPython.core.interactiveshell import InteractiveShell

    shell, outcomes = InteractiveShell.instance(colors="nocolor"), []
    for code in code_cells(checkout / notebook):
        if "%pip" in code:
            outcomes.append("")
            continue
        table = "https://azuremlexampledata.blob.core.windows.net/data/heart-disease-uci/data/heart.csv"
        with redirect_stdout(sys.stderr):
            result = shell.run_cell(code.replace(table, str(checkout / TABLE)))
        error = result.error_in_exec or result.error_before_exec
        outcomes.append("" if error is None else f"{type(error).__name__}: {error}"[:300])
    return outcomes


@contextmanager
def world(is_mocked: bool) -> Iterator[None]:
    """Give a notebook what it needs: a tracking server, Microsoft's packages for logins, and no window for plots."""
    uri = WORKSPACE if is_mocked else os.environ["MLFLOW_TRACKING_URI"]
    os.environ["MPLBACKEND"] = "Agg"
    workspace = SimpleNamespace(mlflow_tracking_uri=uri)
    client = SimpleNamespace(workspace_name="w", workspaces=SimpleNamespace(get=lambda _: workspace))
    _pretend("azure.ai.ml", MLClient=lambda *_: client)
    _pretend("azure.identity", DefaultAzureCredential=lambda: None)
    _log_in_without_microsoft()
    if is_mocked:
        import mlquery

        with mlquery.mock("azure"):
            yield
    else:
        yield


def _pretend(name: str, **attributes: Any) -> None:
    """Let a package be importable, unless it is there."""
    try:
        __import__(name)
    except ImportError:
        module = ModuleType(name)
        vars(module).update(attributes)
        sys.modules[name] = module
        for parent in ("azure", "azure.ai"):
            if name.startswith(f"{parent}."):
                sys.modules.setdefault(parent, ModuleType(parent))


def _log_in_without_microsoft() -> None:
    """Answer a request to Microsoft's login with a token; others are sent."""
    import requests

    send = requests.post

    def post(url: str, *args: Any, **kwargs: Any) -> Any:
        if urlsplit(url).hostname != "login.microsoftonline.com":
            return send(url, *args, **kwargs)
        token = {"token_type": "Bearer", "access_token": os.environ.get("IDENTITY_HEADER", "any")}
        return SimpleNamespace(json=lambda: token)

    requests.post = post  # type: ignore[assignment]


def main() -> int:
    """Run the notebooks and print a table; return 1 if cells do something else than the checklist says."""
    options = _options()
    if options.one:
        with world(options.mock):
            print(json.dumps(run_cells(options.checkout, options.one)))
        return 0
    release, is_as_known = version("mlflow-skinny").partition(".")[0], True
    for known in checklist():
        notebook = known["path"]
        is_asked = not options.notebooks or any(name in notebook for name in options.notebooks)
        if not is_asked or (options.mock and known.get("speaks_http")):
            continue
        outcomes = _in_a_process(options.checkout, notebook, options.mock)
        failed = {place for place, outcome in enumerate(outcomes) if outcome}
        print(f"{Path(notebook).stem}: {len(outcomes) - len(failed)} of {len(outcomes)}")
        for place in sorted(failed):
            print(f"  cell {place}: {outcomes[place].splitlines()[0]}")
        if (known["cells"], failing(known, release)) != (len(outcomes), failed):
            print(f"  the checklist: {known['cells']} cells, {sorted(failing(known, release))} fail")
            is_as_known = False
    return 0 if is_as_known else 1


def _in_a_process(checkout: Path, notebook: str, is_mocked: bool) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder, "notebook")
        shutil.copytree((checkout / notebook).parent, here)
        command = [sys.executable, __file__, str(checkout), "--one", notebook, *(["--mock"] if is_mocked else [])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])}
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{notebook}: {done.stderr[-2000:]}")
    outcomes: list[str] = json.loads(done.stdout.splitlines()[-1])
    return outcomes


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=lambda path: Path(path).resolve())
    parser.add_argument("notebooks", nargs="*")
    parser.add_argument("--mock", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
