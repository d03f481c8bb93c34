"""Run the suite against a live product and write its report as JSON lines.

    python conformance/live.py NAME [FOLDER]

NAME is one of the targets below. The server it needs is started on a free port of the loopback, with all it keeps in a
temporary folder, and stopped in the end. FOLDER is by default `conformance/reports`; the pages of the documentation are
made from what is there. FastTrackML's wheel asks for an older MLflow but brings a server that needs none: `pip install
--no-deps --target DIR fasttrackml`, and FASTTRACKML names the program `DIR/bin/fml` if that is not on the path.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import attrs
import mlflow

from mlquery import __version__
from mlquery.cli.progress import progress
from mlquery.conformance import load_suite
from mlquery.conformance.jsonl import write_jsonl
from mlquery.conformance.known_deviations import NONE, load_known_deviations
from mlquery.conformance.report import Report
from mlquery.conformance.runner import Runner
from mlquery.conformance.targets import opened
from mlquery.language.matrix import MATRIX

HERE = Path(__file__).resolve().parent
_GRACE_SECONDS = 120.0  # s
_OF_REPORTS = "oss:3.17"  # the column of the MLflow with which these reports were made
_AZURE = "mlflow/v2.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"


@attrs.frozen
class Live:
    """A product and how to get at it.

    `command` gives the command that serves on a port, from a folder; without one, `path` is the URI. `includes_silent`
    says that the product is held to mlquery's own answers where no source of the dialect says any.
    """

    product: str
    version: Callable[[], str]
    path: str = ""
    command: Callable[[int, Path], list[str]] | None = None
    dialect: str = "oss"
    includes_silent: bool = False


def _mlflow_server(port: int, folder: Path) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return [
        *command,
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        str(folder),
    ]


def _fasttrackml() -> str:
    program = os.environ.get("FASTTRACKML") or shutil.which("fml")
    if program is None:
        sys.exit(
            "FastTrackML is not installed: pip install --no-deps --target DIR fasttrackml; FASTTRACKML=DIR/bin/fml"
        )
    return program


def _fasttrackml_server(port: int, folder: Path) -> list[str]:
    command = [_fasttrackml(), "server", "--listen-address", f"127.0.0.1:{port}", "--log-level", "error"]
    return [*command, "--database-uri", f"sqlite://{folder / 'fml.db'}", "--default-artifact-root", str(folder)]


def _fasttrackml_version() -> str:
    told = subprocess.run([_fasttrackml(), "--version"], capture_output=True, text=True, check=True).stdout
    return told.strip().rpartition(" ")[2]


def _mlquery_server(dialect: str) -> Callable[[int, Path], list[str]]:
    return lambda port, _: [sys.executable, "-m", "mlquery", "serve", "--port", str(port), "--dialect", dialect]


TARGETS = {
    "mlflow-sqlite": Live("MLflow (SQLite)", lambda: mlflow.__version__, "sqlite:", dialect=_OF_REPORTS),
    "mlflow-file": Live("MLflow (FileStore)", lambda: mlflow.__version__, "file:", dialect=_OF_REPORTS),
    "mlflow-server": Live("mlflow server", lambda: mlflow.__version__, command=_mlflow_server, dialect=_OF_REPORTS),
    "fasttrackml": Live("FastTrackML", _fasttrackml_version, command=_fasttrackml_server, dialect=_OF_REPORTS),
    "mlquery-oss": Live("mlquery serve", lambda: __version__, "", _mlquery_server("oss"), "oss", True),
    "mlquery-azure": Live("mlquery serve", lambda: __version__, _AZURE, _mlquery_server("azure"), "azure", True),
}


def ask(name: str) -> Report:
    """Start what is needed, run the suite, and return the report."""
    live, suite = TARGETS[name], load_suite()
    known_deviations = HERE / "tweaks" / f"{name}.toml"
    with (
        _served(live) if live.command else nullcontext(live.path) as uri,
        opened(uri, suite) as target,
        progress() as show,
    ):
        target.product, target.version = live.product, live.version()
        declared = load_known_deviations(known_deviations) if known_deviations.exists() else NONE
        runner = Runner(target, suite, MATRIX.dialect(live.dialect), declared, live.includes_silent)
        return runner.report(progress=lambda done, total: show(name, done, total))


@contextmanager
def _served(live: Live) -> Iterator[str]:
    """Give the URI of a server, which runs for as long as it is needed."""
    assert live.command is not None
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    environment |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, (Path(folder) / "log").open("wb") as log:
        command = live.command(port, Path(folder))
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        ) as process:
            try:
                _wait(f"http://127.0.0.1:{port}", process)
                yield f"http://127.0.0.1:{port}/{live.path}".rstrip("/")
            finally:
                os.killpg(process.pid, signal.SIGTERM)  # its workers too: it started them in a group of its own


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < end:
        try:
            with urlopen(f"{url}/health", timeout=5):
                return
        except (URLError, ConnectionError) as error:
            if process.poll() is not None:
                raise RuntimeError("the server ended by itself") from error
            time.sleep(0.1)
    raise TimeoutError("the server does not answer")


def write(report: Report, name: str, folder: Path) -> None:
    """Write a report into a folder, without the port of the loopback, which changes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    host, _, path = report.target.partition("//")[2].partition("/")
    shown = f"http://127.0.0.1/{path}".rstrip("/") if host.startswith("127.0.0.1:") else report.target
    lines = write_jsonl([attrs.evolve(report, target=shown)])
    (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")


def main(arguments: list[str]) -> int:
    """Write the report of one target and print its totals."""
    if not arguments or arguments[0] not in TARGETS or len(arguments) > 2:
        print(f"usage: python conformance/live.py {{{','.join(TARGETS)}}} [FOLDER]", file=sys.stderr)
        return 2
    report = ask(arguments[0])
    write(report, arguments[0], Path(arguments[1]) if arguments[1:] else HERE / "reports")
    told = ", ".join(f"{number} {outcome}" for outcome, number in report.totals.items())
    print(f"{report.product} {report.version} in dialect {report.dialect}: {told}")
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
