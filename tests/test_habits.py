"""The checks have one name each in noxfile.py, and pre-commit, .ci/run and the README make the same ones."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

TOP = Path(__file__).resolve().parents[1]
TOOLS = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["tool"]
TESTS = "pytest -q -n 2 --dist loadgroup"


class Recorder:
    """A session of nox that writes down what it is told to run."""

    def __init__(self, venv_backend: str) -> None:
        self.virtualenv = SimpleNamespace(venv_backend=venv_backend)
        self.posargs = ("--more",)
        self.installed: list[str] = []
        self.commands: list[str] = []

    def install(self, *arguments: str) -> None:
        self.installed.append(" ".join(arguments))

    def run(self, *arguments: str) -> None:
        self.commands.append(" ".join(arguments).removeprefix(f"{sys.executable} ").removeprefix("python "))


def with_values(name: str, values: list[str], function: Any) -> Any:
    setattr(function, name, values)
    return function


@pytest.fixture
def noxfile(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module, loaded without nox: the environment of the README does not have it."""
    nox: Any = ModuleType("nox")
    nox.sessions, nox.options, nox.Session = {}, SimpleNamespace(), Recorder
    nox.session = lambda function: nox.sessions.setdefault(function.__name__, function)
    nox.parametrize = lambda name, values: partial(with_values, name, values)
    monkeypatch.setitem(sys.modules, "nox", nox)
    spec = importlib.util.spec_from_file_location("noxfile", TOP / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return nox


def recorded(noxfile: Any, session: str, venv_backend: str = "virtualenv") -> Recorder:
    recorder = Recorder(venv_backend)
    function = noxfile.sessions[session]
    function(recorder, *getattr(function, "release", ())[:1])
    return recorder


def commands_of_ci() -> list[str]:
    """Return the commands of .ci/run, as a session of nox says them."""
    lines = re.findall(r"\.venv/bin/(?!pip)(.+)$", (TOP / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    found = [line.rpartition(".venv/bin/")[2].removeprefix("python ") for line in lines]
    return [
        command if command.startswith("-m ") else f"-m {command}".replace("sphinx-build", "sphinx") for command in found
    ]


def test_every_check_is_a_session_and_the_quick_ones_are_the_default(noxfile: Any) -> None:
    assert {"lint", "types", "fast", "full", "releases", "docs", "bench"} == set(noxfile.sessions)
    assert ["lint", "types", "fast"] == noxfile.options.sessions


def test_a_session_installs_what_it_needs_unless_it_has_no_environment_of_its_own(noxfile: Any) -> None:
    for name in noxfile.sessions:
        own, given = recorded(noxfile, name), recorded(noxfile, name, "none")

        assert own.commands == given.commands
        (installed,) = own.installed
        assert re.fullmatch(r"-e \.(\[(lint|dev|dev,\w+)\]| hypothesis pytest mlflow-skinny==2.16.\*)", installed)
        assert [] == given.installed


@pytest.mark.parametrize("session", ["lint", "types"])
def test_pre_commit_and_ci_run_the_commands_of_the_session(session: str, noxfile: Any) -> None:
    hooks = yaml.safe_load((TOP / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    expected = recorded(noxfile, session).commands

    assert set(expected) <= set(commands_of_ci())
    assert set(expected) <= {hook["entry"].replace(".venv/bin/", "-m ") for hook in hooks}


def test_pre_commit_downloads_nothing() -> None:
    repos = yaml.safe_load((TOP / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]

    assert ["local"] == [repo["repo"] for repo in repos]
    assert {"system", "pygrep"} == {hook["language"] for repo in repos for hook in repo["hooks"]}


def test_the_site_is_built_as_in_ci(noxfile: Any) -> None:
    (command,) = recorded(noxfile, "docs").commands

    assert command.removesuffix(" --more") in commands_of_ci()


def test_tests_are_run_as_in_the_readme(noxfile: Any) -> None:
    assert f"python -m {TESTS}\n" in (TOP / "README.md").read_text("utf-8")
    assert f"-m {TESTS}" == commands_of_ci()[-1]
    assert [f"-m {TESTS} -m not slow --more"] == recorded(noxfile, "fast").commands
    assert [f"-m {TESTS} --cov --more"] == recorded(noxfile, "full").commands


def test_old_releases_of_mlflow_are_tested_as_in_ci(noxfile: Any) -> None:
    script = (TOP / ".ci" / "run").read_text("utf-8")
    session = recorded(noxfile, "releases")
    (in_ci,) = re.findall(r"^ *for release in (.+); do$", script, re.MULTILINE)

    assert set(in_ci.split()) < set(noxfile.sessions["releases"].release)
    assert len(in_ci.split()) >= 3
    assert [f"install {session.installed[0].replace('2.16', '$release')}"] == [
        line.replace('"', "") for line in re.findall(r'"\.venv/mlflow-\$release/bin/pip" (.+)$', script, re.MULTILINE)
    ]
    (command,) = session.commands
    assert [command.removesuffix(" --more")] == re.findall(r"release/bin/python\" (.+)$", script, re.MULTILINE)
    assert command.removesuffix(" --more") in re.findall(r"azureml/bin/python (.+)$", script, re.MULTILINE)


def test_a_marker_that_is_not_registered_is_an_error() -> None:
    options = TOOLS["pytest"]["ini_options"]

    assert "--strict-markers" in options["addopts"]
    assert ["slow"] == [marker.partition(":")[0] for marker in options["markers"]]


def test_coverage_counts_branches_and_has_a_floor() -> None:
    assert TOOLS["coverage"]["run"]["branch"]
    assert TOOLS["coverage"]["report"]["fail_under"] > 80
