"""Times Python code in new processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

from harness import FOLDER, Report, record


def run_python(code: str, *arguments: str) -> str:
    """Run Python code in a new process and return its output.

    Raises: CalledProcessError if it fails.
    """
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=True)
    return done.stdout


# In a process of its own, which is small: a process has as much memory as the one that starts it, for a moment.
_MEASURE: Final = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(time.perf_counter() - start, used.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run_command(command: Sequence[str]) -> tuple[float, float]:
    """Run a command in a new process and return its seconds from start to end, and the most memory it had, in MiB.

    Raises: CalledProcessError if it fails.
    """
    seconds, mebibytes = map(float, run_python(_MEASURE, *command).split())
    return seconds, mebibytes


def _environment() -> dict[str, str]:
    # Compiled modules are cached, as for an installed package.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**kept, "PYTHONPATH": os.pathsep.join(map(str, (FOLDER, FOLDER.parent)))}
    return environment | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def measure_processes(report: Report, case: str, codes: Mapping[str, str], rounds: int = 5) -> None:
    """Add the time from the start of a process to its end for each code, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in codes}
    for number in range(rounds + 1):
        for name, code in codes.items():
            start = time.perf_counter()
            run_python(code)
            if number:  # the first round reads the files from the disk
                seconds[name].append(time.perf_counter() - start)
    for name, taken in seconds.items():
        record(report, case, 0, name, taken)
