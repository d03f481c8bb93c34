"""Runs real `mlflow server`, and MLflow's UI over what is searched in place, for tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

_PATIENCE = 180.0


@contextmanager
def mlflow_server(folder: Path, backend_uri: str | None = None, python: str = sys.executable) -> Iterator[str]:
    """Give the URL of a server, of the MLflow of a Python, that keeps its artifacts and its runs in a folder."""
    command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--backend-store-uri", backend_uri or f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with server_of(command, folder) as url:
        yield url


@contextmanager
def ui_in_place(source: str, folder: Path) -> Iterator[str]:
    """Give the URL of MLflow's UI over a database that is searched in place."""
    with server_of([sys.executable, "-m", "mlquery", "ui", "--from", source], folder) as url:
        yield url


@contextmanager
def server_of(command: list[str], folder: Path) -> Iterator[str]:
    """Give the URL of a server that a command starts, which is told a free port; it works in a folder."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [*command, "--port", str(port)]
    checkout = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONPATH": os.pathsep.join(filter(None, (checkout, os.environ.get("PYTHONPATH")))),
    }
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_healthy(url, process)
            yield url
        finally:
            with suppress(ProcessLookupError):  # what ended by itself is reported above
                os.killpg(process.pid, signal.SIGTERM)  # its workers too: it started them in a group of its own


def wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when a server answers."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            with urlopen(f"{url}/health", timeout=5):
                return
        except OSError:  # URLError is one
            assert process.poll() is None, "mlflow server ended by itself"
            time.sleep(0.1)
    raise TimeoutError("mlflow server does not answer")
