"""A server that is fuzzed over sockets while clients are slow: no status of 5xx, and nobody else waits.

MLQUERY_FUZZED_REQUESTS and MLQUERY_SLOW_CONNECTIONS make a campaign of it. How long others wait is measured beside an
idle server in the same moments, printed, and compared where the number of requests is that of a campaign.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from mlquery.server.endpoints import Endpoint
from mlquery.server.proto_json import Field, Message
from mlquery.server.routes import endpoint_table
from mlquery.server.service import new_service
from tests.support.http_calls import JSON, Api

REQUESTS = int(os.environ.get("MLQUERY_FUZZED_REQUESTS", "400"))
SLOW = int(os.environ.get("MLQUERY_SLOW_CONNECTIONS", "20"))
CLIENTS = 4
CAMPAIGN = 10_000
MOST_DELAY = 0.1

WORDS = [
    *(
        "metrics.m > 0.5",
        "params.k = 'v'",
        "tags.t LIKE '%'",
        "name = 'a'",
        "run_id IN ('a', 'b')",
        "metrics.m DESC",
        "m",
    ),
    *(
        "a",
        "1",
        "0",
        "champion",
        "Staging",
        "READY",
        "../x",
        "models:/a/1",
        "runs:/a/b",
        "NaN",
        "",
        "é\0",
        "'",
        "x" * 300,
    ),
]
HOSTILE = [
    *(
        "tags.a = '" + "x" * 200_000,
        "metrics.m > 0 AND " * 1400 + "x",
        "(" * 5000,
        "tags.a = " + "''" * 100_000,
        "`" * 100_000,
    ),
    *(
        "metrics.m = (1) AND " * 700,
        "x" * 3_000_000,
        "run_id IN (" + "'a'," * 4000 + "'b')",
        "metrics.m > " + "9" * 100_000,
    ),
]


class Fuzzer:
    """Makes up requests to all routes of a dialect, most of them nearly right."""

    def __init__(self, dialect: str, seed: int) -> None:
        table = endpoint_table(("/api/2.0", "/ajax-api/2.0"), new_service(dialect=dialect))
        self._endpoints = [(path, endpoint) for path, methods in table.items() for endpoint in methods.values()]
        self._draw = random.Random(seed)

    def request(self) -> tuple[str, str, bytes, dict[str, str]]:
        draw = self._draw
        path, endpoint = draw.choice(self._endpoints)
        path = re.sub(r"\{\w+\}", lambda _: draw.choice(["a", "1", "m-1", "t"]), path)
        value = self._value(endpoint) if draw.random() < 0.95 else self._junk(3)
        method = endpoint.method if draw.random() < 0.97 else draw.choice(["GET", "POST", "PUT", "PATCH", "DELETE"])
        if draw.random() < 0.01:
            return method, path, draw.randbytes(draw.choice([1, 100, 100_000])), JSON
        if method == "GET" and isinstance(value, dict) and draw.random() < 0.8:
            return method, f"{path}?{urlencode(value, doseq=True, errors='replace')}"[:50_000], b"", {}
        return method, path, json.dumps(value).encode(), JSON

    def _value(self, endpoint: Endpoint) -> Any:
        body = self._body(endpoint.message)
        if self._draw.random() < 0.005 and isinstance(body, dict):
            if "order_by" in body:
                body["order_by"] = [f"metrics.m{i}" for i in range(self._draw.choice([900, 10_000]))]
            if "filter" in body:
                body["filter"] = self._draw.choice(HOSTILE)
        return body

    def _body(self, message: Message) -> Any:
        fields = message.fields_by_name.values()
        return {field.name: self._field(field) for field in fields if self._draw.random() < 0.85}

    def _field(self, field: Field) -> Any:
        draw = self._draw
        if draw.random() < 0.05:
            return self._junk(2)
        if field.is_list:
            return [self._one(field) for _ in range(draw.choice([0, 1, 1, 3]))]
        return self._one(field)

    def _one(self, field: Field) -> Any:
        draw = self._draw
        if field.message is not None:
            return self._body(field.message)
        if isinstance(field.default, bool):
            return draw.random() < 0.5
        if isinstance(field.default, int):
            return draw.choice([0, 1, 2, 5, -1, "5", 2**31, 2**63 - 1, 2**63])
        if isinstance(field.default, float):
            return draw.choice([0.5, -1.0, 1e300, "NaN", "Infinity"])
        return draw.choice(WORDS)

    def _junk(self, depth: int) -> Any:
        draw = self._draw
        if depth == 0 or draw.random() < 0.5:
            return draw.choice([None, True, 0, -1, 1.5, 10**30, *WORDS])
        if draw.random() < 0.5:
            return [self._junk(depth - 1) for _ in range(draw.randrange(4))]
        return {draw.choice(WORDS): self._junk(depth - 1) for _ in range(draw.randrange(4))}


@contextmanager
def served(dialect: str) -> Iterator[str]:
    """Give the URL of a server in a process of its own."""
    command = [sys.executable, "-m", "mlquery", "serve", "--port", "0", "--dialect", dialect]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().rstrip().rpartition(" on ")[2]
        finally:
            process.terminate()


def slow_connections(url: str, number: int) -> list[socket.socket]:
    """Open connections that send a part of a request each and then nothing, or read no answer."""
    parts = urlsplit(url)
    beginnings = [
        b"",
        b"GET /hea",
        b"POST /api/2.0/mlflow/runs/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
        b"POST /api/2.0/mlflow/runs/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{",
        b"PUT /api/2.0/mlflow-artifacts/artifacts/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
    ]
    found = [socket.create_connection((parts.hostname, parts.port), timeout=30) for _ in range(number)]
    for place, connection in enumerate(found):
        connection.sendall(beginnings[place % len(beginnings)])
    return found


def waits(url: str, idle: str, is_done: threading.Event) -> tuple[list[float], list[float]]:
    """Return how long clients of both servers wait for an answer to small requests, in turns."""
    found: tuple[list[float], list[float]] = ([], [])
    apis = Api(url), Api(idle)
    while not is_done.is_set():
        for api, times in zip(apis, found, strict=True):
            for path in ("/health", "experiments/get?experiment_id=0"):
                start = time.perf_counter()
                assert api.get(path).status < 500
                times.append(time.perf_counter() - start)
        time.sleep(0.01)
    for api in apis:
        api.close()
    return found


def fuzz(dialect: str, url: str, seed: int, number: int) -> tuple[list[int], list[Any]]:
    """Send so many requests; return the statuses of their answers, and the requests that a server failed at."""
    fuzzer, api = Fuzzer(dialect, seed), Api(url)
    statuses: list[int] = []
    failures: list[Any] = []
    for _ in range(number):
        method, path, content, headers = fuzzer.request()
        reply = api.send(method, path, content, headers)
        statuses.append(reply.status)
        if reply.status >= 500 and reply.status != 501:
            failures.append((method, path, content[:300], reply.content[:300]))
    api.close()
    return statuses, failures


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["oss", "azure"])
def test_a_fuzzed_server_fails_nowhere_and_keeps_nobody_waiting(dialect: str) -> None:
    with served(dialect) as url, served(dialect) as idle:
        slow = slow_connections(url, SLOW)
        is_done = threading.Event()
        with ThreadPoolExecutor(1) as watching, ProcessPoolExecutor(CLIENTS, get_context("spawn")) as fuzzing:
            times = watching.submit(waits, url, idle, is_done)
            answers = [fuzzing.submit(fuzz, dialect, url, seed, REQUESTS // CLIENTS) for seed in range(CLIENTS)]
            statuses = [status for each in answers for status in each.result()[0]]
            failures = [failure for each in answers for failure in each.result()[1]]
            is_done.set()
        for connection in slow:
            connection.close()

    busy, calm = (sorted(each) for each in times.result())
    print(
        dialect,
        dict(sorted(Counter(statuses).items())),
        *(_told(name, each) for name, each in (("busy", busy), ("idle", calm))),
    )
    assert [] == failures
    assert REQUESTS // CLIENTS * CLIENTS == len(statuses)
    if REQUESTS >= CAMPAIGN:
        assert busy[-1] < calm[-1] + MOST_DELAY


def _told(name: str, times: list[float]) -> str:
    shown = [times[min(len(times) - 1, int(len(times) * part))] * 1000 for part in (0.5, 0.99, 0.999, 1)]
    return f"{name} n={len(times)} p50/p99/p99.9/max ms: " + "/".join(f"{each:.1f}" for each in shown)
