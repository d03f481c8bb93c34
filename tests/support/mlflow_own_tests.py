"""A pytest plugin that puts `mlquery serve` in the place of the server that MLflow's own tests start.

MLflow's tests are no part of this repository; `docs/contributing/set-up.md` says how they are run. There is one server,
which is reset before each test. The tests that are parametrized by MLflow's file store are left out.
"""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from functools import cache
from typing import Any

import pytest


@cache
def served() -> str:
    """Start a server, which ends with this process, and return its URL."""
    command = [sys.executable, "-m", "mlquery", "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    _processes.append(process)
    assert process.stdout is not None
    return process.stdout.readline().rstrip().rpartition(" on ")[2]


_processes: list[subprocess.Popen[str]] = []


class ResetServer:
    """Stands for the thread in which MLflow's tests run MLflow's server."""

    def __init__(self, app: Any, port: int) -> None:
        """Take what MLflow's tests give, of which nothing is needed."""

    def __enter__(self) -> str:
        """Empty the server, and return its URL."""
        request = urllib.request.Request(f"{served()}/mlquery/reset", b"", method="POST")
        urllib.request.urlopen(request).close()
        return served()

    def __exit__(self, *_: object) -> None:
        """Leave the server to the next test."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Exchange the server, and leave out the tests of MLflow's file store."""
    for module in {item.getparent(pytest.Module) for item in items}:
        if module is not None and hasattr(module.obj, "ServerThread"):
            module.obj.ServerThread = ResetServer
            module.obj.initialize_backend_stores = lambda *args, **kwargs: None
    left_out = [item for item in items if "[file" in item.name]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish() -> None:
    """End the server."""
    for process in _processes:
        process.terminate()
