"""Measures requests per second of `mlquery serve` and `mlflow server`, one process each, on the same 10,000 runs.

Usage: python benchmarks/serving.py [--runs 10000] [--seconds 2] [--rounds 3]

Needs mlflow and the extra `server`. The rounds take turns, so that a busy moment of the machine meets both. Results go
to benchmarks/results/serving.json; the exit code is 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "serving.json"
API = "/api/2.0/mlflow/"
CONNECTIONS = 4
RATIO = 5.0
SEARCH_P99 = 50.0

Body = Callable[[int], dict[str, Any]]


@dataclass
class Case:
    """A call, the bodies that it is made with, and whether it has to be five times as fast."""

    name: str
    path: str
    body: Body
    is_target: bool = True
    seconds: dict[str, list[float]] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=dict)


class Connection:
    """A connection that sends one request at a time, with as little work in this process as possible."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path: str, body: dict[str, Any]) -> bytes:
        content = json.dumps(body).encode()
        head = f"POST {API}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._socket.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        answer = bytearray()
        while b"\r\n\r\n" not in answer:
            answer += self._received()
        head_size = answer.index(b"\r\n\r\n") + 4
        lines = bytes(answer[:head_size]).lower().split(b"\r\n")
        (length,) = (int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        while len(answer) < head_size + length:
            answer += self._received()
        if not lines[0].split()[1] == b"200":
            raise RuntimeError(bytes(answer).decode("utf-8", "replace")[:1000])
        return bytes(answer[head_size:])

    def _received(self) -> bytes:
        chunk = self._socket.recv(1 << 20)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        return chunk

    def close(self) -> None:
        self._socket.close()


def cases(run_ids: list[str]) -> list[Case]:
    tags = [{"key": f"t{i}", "value": f"value {i}"} for i in range(3)]

    def created(i: int) -> dict[str, Any]:
        return {"experiment_id": "1", "start_time": 1_700_000_000_000 + i, "run_name": f"run {i}", "tags": tags}

    def batch(i: int) -> dict[str, Any]:
        points = [{"key": f"m{k}", "value": i / (k + 1), "timestamp": i, "step": i} for k in range(10)]
        params = [{"key": f"p{k}", "value": "same"} for k in range(5)]
        return {"run_id": run_ids[i % len(run_ids)], "metrics": points, "params": params, "tags": tags[:2]}

    def point(i: int) -> dict[str, Any]:
        return {"run_id": run_ids[i % len(run_ids)], "key": "m", "value": 1 / (i + 1), "timestamp": i, "step": i}

    def found(size: int) -> Body:
        def search(i: int) -> dict[str, Any]:
            text = f"metrics.loss < {0.3 + i % 50 / 100} AND params.model = 'forest'"
            order = ["metrics.loss DESC", "attributes.start_time"]
            return {"experiment_ids": ["2"], "filter": text, "order_by": order, "max_results": size}

        return search

    return [
        Case("create-run", "runs/create", created),
        Case("log-batch (10 metrics, 5 params, 2 tags)", "runs/log-batch", batch),
        Case("log-metric", "runs/log-metric", point, is_target=False),
        Case("search, 100 runs of a page", "runs/search", found(100)),
        Case("search, 1000 runs of a page", "runs/search", found(1000), is_target=False),
    ]


def fill(database: Path, size: int) -> None:
    """Make a database of MLflow's with two experiments, the second of which has all the runs."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(f"sqlite:///{database}", "mlflow-artifacts:/")
    store.create_experiment("written to")
    store.create_experiment("searched")
    store.engine.dispose()
    draw = random.Random(1)
    ids = [f"{draw.getrandbits(128):032x}" for _ in range(size)]
    keys = ["loss", "acc", "auc", "f1", "time"]
    models = ["forest", "linear", "boost"]
    start = 1_600_000_000_000
    runs = [
        (
            *(run_id, f"run {i}", "LOCAL", "u", "FINISHED", start + i * 1000, start + i * 1000 + 500, "active"),
            *(f"mlflow-artifacts:/2/{run_id}/artifacts", 2),
        )
        for i, run_id in enumerate(ids)
    ]
    points = [(key, draw.random(), start, run_id, 5, 0) for run_id in ids for key in keys]
    params = [(f"p{k}", str(draw.randrange(9)), run_id) for run_id in ids for k in range(4)]
    params += [("model", draw.choice(models), run_id) for run_id in ids]
    tags = [(f"t{k}", str(draw.randrange(9)), run_id) for run_id in ids for k in range(2)]
    tags += [("mlflow.runName", f"run {i}", run_id) for i, run_id in enumerate(ids)]
    with sqlite3.connect(database) as connection:
        columns = "run_uuid, name, source_type, user_id, status, start_time, end_time, lifecycle_stage"
        columns += ", artifact_uri, experiment_id"
        connection.executemany(f"INSERT INTO runs ({columns}) VALUES ({', '.join('?' * 10)})", runs)
        for table in ("metrics", "latest_metrics"):
            columns = "key, value, timestamp, run_uuid, step, is_nan"
            connection.executemany(f"INSERT INTO {table} ({columns}) VALUES (?, ?, ?, ?, ?, ?)", points)
        connection.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params)
        connection.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags)
    connection.close()


@contextmanager
def server(command: list[str], port: int, folder: Path) -> Iterator[float]:
    """Run a server until its port answers and the block ends; gives the seconds that took."""
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONPATH": str(HERE.parent),
    }
    start = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        while True:
            try:
                Connection(port).post("runs/search", {"experiment_ids": ["1"]})
                break
            except OSError:
                if process.poll() is not None or time.perf_counter() - start > 120:
                    raise RuntimeError((folder / "log").read_text()[-2000:]) from None
                time.sleep(0.02)
        yield time.perf_counter() - start
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def burst(port: int, case: Case, seconds: float, first: int) -> tuple[float, list[float]]:
    """Send requests on all connections for some time; returns the rate and the times of all of them."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    def ask(place: int) -> None:
        connection, i = Connection(port), first + place
        while (start := time.perf_counter()) < end:
            connection.post(case.path, case.body(i))
            times.append(time.perf_counter() - start)
            i += CONNECTIONS
        connection.close()

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(CONNECTIONS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(times) / (time.perf_counter() - start), times


def single(port: int, case: Case, seconds: float, first: int) -> list[float]:
    """Send requests on one connection, one after the other; returns their times."""
    connection, times, i = Connection(port), [], first
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        connection.post(case.path, case.body(i))
        times.append(time.perf_counter() - start)
        i += 1
    connection.close()
    return times


def same_answers(ports: dict[str, int], case: Case) -> bool:
    """Tell whether both servers find the same runs in the same order."""
    found = []
    for port in ports.values():
        answer = json.loads(Connection(port).post(case.path, case.body(7)))
        found.append([run["info"]["run_id"] for run in answer["runs"]])
    return found[0] == found[1] and len(found[0]) > 10


def measure(ports: dict[str, int], rounds: int, seconds: float) -> list[Case]:
    run_ids = {}
    for name, port in ports.items():
        made = [Connection(port).post("runs/create", {"experiment_id": "1", "start_time": 1}) for _ in range(20)]
        run_ids[name] = [json.loads(answer)["run"]["info"]["run_id"] for answer in made]
    found = {name: cases(ids) for name, ids in run_ids.items()}
    first = 0
    for place, case in enumerate(found["mlquery"]):
        if case.path == "runs/search":
            assert same_answers(ports, case), case.name
        for _ in range(rounds):
            for name, port in ports.items():
                rate, _ = burst(port, found[name][place], seconds, first)
                case.rates.setdefault(name, []).append(rate)
                case.seconds.setdefault(name, []).extend(single(port, found[name][place], seconds / 2, first + 10**6))
            first += 10**7
    return found["mlquery"]


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000


def report(measured: list[Case], started: dict[str, float], size: int) -> bool:
    rows, is_good = [], True
    print(f"{'':44}{'mlquery':>24}{'mlflow server':>24}{'ratio':>8}")
    for case in measured:
        rate = {name: statistics.median(rates) for name, rates in case.rates.items()}
        p99 = {name: percentile(times, 0.99) for name, times in case.seconds.items()}
        ratio = rate["mlquery"] / rate["mlflow server"]
        is_met = (ratio >= RATIO or not case.is_target) and (p99["mlquery"] < SEARCH_P99 or "search" not in case.name)
        is_good = is_good and is_met
        shown = "".join(f"{rate[name]:>11.0f}/s p99 {p99[name]:>5.1f} ms" for name in rate)
        print(f"{case.name:44}{shown}{ratio:>7.1f}x{'' if is_met else '  MISSED'}")
        rows.append({"case": case.name, "per second": rate, "p99 ms": p99, "ratio": ratio, "met": is_met})
    print(f"ready after {started['mlquery']:.2f} s and {started['mlflow server']:.2f} s")
    versions = {name: metadata.version(name) for name in ("mlflow", "uvicorn", "starlette")}
    about = {"runs": size, "connections": CONNECTIONS, "python": platform.python_version(), "versions": versions}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"about": about, "ready s": started, "cases": rows}, indent=1) + "\n", "utf-8")
    return is_good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one burst")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "mlflow.db"
        fill(database, options.runs)
        ports = {"mlquery": free_port(), "mlflow server": free_port()}
        own = [sys.executable, "-m", "mlquery", "serve", "--port", str(ports["mlquery"]), "--from", str(database)]
        theirs = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(ports["mlflow server"])]
        theirs += ["--backend-store-uri", f"sqlite:///{database}"]
        with (
            server(own, ports["mlquery"], Path(folder)) as ready,
            server(theirs, ports["mlflow server"], Path(folder)) as their_ready,
        ):
            started = {"mlquery": ready, "mlflow server": their_ready}
            measured = measure(ports, options.rounds, options.seconds)
    return 0 if report(measured, started, options.runs) else 1


if __name__ == "__main__":
    sys.exit(main())
