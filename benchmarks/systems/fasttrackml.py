"""FastTrackML: its server (the `fml` program of its wheel) on a SQLite file, asked through MLflow's own REST client.

The wheel's Python package needs an older MLflow, so that it is installed elsewhere; nothing but its program is needed.
That is looked for where `FASTTRACKML` points, on the path, and in an environment `fasttrackml` beside the databases.
The runs are written into the schema that the server itself has made.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from caching import cache_folder
from workload import EXPERIMENTS, Workload, artifact_root

from systems.mlflow_sql import metric_tables, quiet, run_rows, text_tables

_RUN_COLUMNS = (
    *("run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time"),
    *("end_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id", "row_num"),
)


class Server:
    """A running server and a client of it."""

    def __init__(self, path: Path) -> None:
        from mlflow.store.tracking.rest_store import RestStore
        from mlflow.utils.rest_utils import MlflowHostCreds

        quiet()
        port = _free_port()
        self.uri = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [
                *(
                    _program() or "fml",
                    "server",
                    "--listen-address",
                    f"127.0.0.1:{port}",
                    "--database-uri",
                    f"sqlite://{path}",
                ),
                *("--default-artifact-root", str(path.with_suffix(".artifacts")), "--log-level", "error"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()
        self.client = RestStore(lambda: MlflowHostCreds(self.uri))

    def _wait(self) -> None:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=1).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.stop()
        raise TimeoutError("FastTrackML's server does not answer")

    def stop(self) -> None:
        """End the server."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def version() -> str:
    """Return the version of the server, empty if there is none."""
    program = _program()
    if program is None:
        return ""
    told: str = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return told.strip().rpartition(" ")[2]


def serve(runs: Workload, folder: Path) -> Server | None:
    """Return a server with the runs of a workload; None where the program is not installed."""
    if _program() is None:
        return None
    path = folder / f"fasttrackml-{runs.size}-{runs.digest()}.db"
    if not path.exists():
        building = path.with_suffix(".building")
        for leftover in folder.glob(f"{building.name}*"):
            leftover.unlink()
        Server(building).stop()
        _write(runs, building)
        building.rename(path)
    return Server(path)


def empty_server(path: Path) -> Server | None:
    """Return a server on a new database; None where the program is not installed."""
    return None if _program() is None else Server(path)


def _write(runs: Workload, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.executemany(
        "INSERT INTO experiments VALUES (?, ?, ?, 'active', 0, 0, 1)",
        [(int(number), f"experiment {number}", artifact_root(number)) for number in EXPERIMENTS],
    )
    numbered = ((*row, number) for number, row in enumerate(run_rows(runs)))
    connection.executemany(_insertion("runs", _RUN_COLUMNS), numbered)
    for table, _, rows in text_tables(runs):
        column = "value_str" if table == "params" else "value"
        connection.executemany(_insertion(table, ("key", column, "run_uuid")), rows)
    for table, columns, rows in metric_tables(runs):
        order = "iter" if table == "metrics" else "last_iter"
        widened = ((*row, 1, 1) for row in rows)
        connection.executemany(_insertion(table, (*columns, order, "context_id")), widened)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _insertion(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _program() -> str | None:
    beside = cache_folder() / "fasttrackml" / "bin"
    return os.environ.get("FASTTRACKML") or shutil.which("fml") or shutil.which("fml", path=str(beside))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
