"""The first set-up command of the README, run in a clean environment that is then used with no repository beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]
CORE = {
    "attrs",
    "mlquery",
    "numpy",
    "pandas",
    "pip",
    "pyparsing",
    "python-dateutil",
    "pytz",
    "setuptools",
    "six",
    "tzdata",
}

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]  # one installation serves all tests of this file


def bare_environment() -> dict[str, str]:
    unwanted = ("PYTHON", "VIRTUAL_ENV", "PIP_QUIET")  # a quiet pip lists nothing
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def run(command: list[str] | str, cwd: Path) -> str:
    arguments = command if isinstance(command, list) else ["bash", "-c", command]
    done = subprocess.run(arguments, cwd=cwd, env=bare_environment(), capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, re.sub(r"(?m)^WARNING: .*\n", "", done.stderr))
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository as a fresh clone has it."""
    target = tmp_path_factory.mktemp("wheel") / "clone"
    unwanted = (".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "dist", "node_modules")
    shutil.copytree(TOP, target, ignore=shutil.ignore_patterns(*unwanted))
    return target


@pytest.fixture(scope="module")
def set_up(clone: Path) -> str:
    """Return what the first set-up command of the README prints; afterwards the repository is gone."""
    readme = (clone / "README.md").read_text(encoding="utf-8")
    command = next(block for block in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL))
    printed = run(command, clone)
    for path in clone.iterdir():
        if path.name != ".venv":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return printed


@pytest.fixture
def programs(clone: Path, set_up: str) -> Path:
    assert set_up
    return clone / ".venv" / "bin"


def test_the_first_set_up_command_ends_with_the_demo(set_up: str) -> None:
    assert "mlflow.search_runs(" in set_up
    assert "azure" in set_up


def test_nothing_but_the_core_dependencies_is_installed(programs: Path, tmp_path: Path) -> None:
    installed = json.loads(run([str(programs / "pip"), "list", "--format", "json"], tmp_path))

    assert set() == {package["name"].lower() for package in installed} - CORE
    assert {"attrs", "pandas", "pyparsing"} <= {package["name"] for package in installed}


def test_the_demo_and_the_matrix_need_no_repository(programs: Path, tmp_path: Path) -> None:
    demo = run([str(programs / "mlquery"), "demo"], tmp_path)
    matrix = run([str(programs / "mlquery"), "matrix"], tmp_path)

    assert demo.count("mlflow.search_runs(") > 15
    assert "Ordering runs by metrics" in matrix or "order.metric" in matrix


def test_the_conformance_cases_the_example_and_the_types_are_in_the_wheel(programs: Path, tmp_path: Path) -> None:
    code = (
        "from importlib.resources import files; from mlquery.resources import data_path, example_database;"
        "print(example_database().stat().st_size > 0, any(data_path('conformance').rglob('*.toml')),"
        "files('mlquery').joinpath('py.typed').is_file(), data_path('conformance').parent.parent.name)"
    )

    assert "True True True mlquery\n" == run([str(programs / "python"), "-c", code], tmp_path)


def test_the_conformance_suite_passes_with_the_core_dependencies(programs: Path, tmp_path: Path) -> None:
    printed = json.loads(run([str(programs / "mlquery"), "conformance", "--format", "json"], tmp_path))

    assert 650 <= printed["cases"]
    assert [] == printed["failures"]


def test_a_search_with_a_data_frame_works_with_the_core_dependencies(programs: Path, tmp_path: Path) -> None:
    code = (
        "from mlquery import fluent as mlflow\n"
        "mlflow.set_experiment('a')\n"
        "with mlflow.start_run(): mlflow.log_metric('auc', 0.5)\n"
        "print(mlflow.search_runs(filter_string='metrics.auc > 0.4')['metrics.auc'].tolist())"
    )

    assert "[0.5]\n" == run([str(programs / "python"), "-c", code], tmp_path)
