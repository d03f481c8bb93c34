"""One request keeps no other waiting: not a search that takes long, nor a lock that is held, nor a large body."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mlquery.durable.opening import open as open_store
from mlquery.language.parser import parse_filter
from mlquery.server import endpoints
from mlquery.server.errors import RequestError
from mlquery.server.testing import RunningServer, running_server
from tests.support.http_calls import JSON, Api

PATIENCE = 20.0


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server() as running:
        yield running


@pytest.fixture
def others() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def asked(server: RunningServer, path: str, body: Any) -> int:
    api = Api(server.url)
    try:
        return api.send("POST", path, json.dumps(body).encode(), JSON).status
    finally:
        api.close()


def is_alive(server: RunningServer) -> bool:
    """Tell whether quick requests are answered: one that needs nothing, and one that writes."""
    api = Api(server.url)
    try:
        tag = {"experiment_id": "0", "key": "a", "value": "b"}
        return (200, 200) == (api.get("/health").status, api.post("experiments/set-experiment-tag", tag).status)
    finally:
        api.close()


SEARCHES = {
    "runs/search": "search_runs",
    "experiments/search": "search_experiments",
    "experiments/search-datasets": "search_datasets",
    "logged-models/search": "search_logged_models",
}


@pytest.mark.parametrize("path", SEARCHES)
def test_a_search_that_takes_long_keeps_nobody_waiting(
    path: str, server: RunningServer, others: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_done = threading.Event()
    backend = server.service.backend
    search = getattr(backend, SEARCHES[path])
    monkeypatch.setattr(backend, SEARCHES[path], lambda *a, **k: is_done.wait(PATIENCE) and search(*a, **k))
    body = {"experiment_ids": ["0"], "max_results": 5}

    waiting = [others.submit(asked, server, path, body) for _ in range(3)]
    assert others.submit(is_alive, server).result(PATIENCE / 2)
    is_done.set()

    assert [200] * 3 == [each.result(PATIENCE) for each in waiting]


@pytest.mark.parametrize("lock", ["store", "registry"])
def test_a_write_that_waits_for_another_thread_keeps_no_other_client_waiting(
    lock: str, server: RunningServer, others: ThreadPoolExecutor
) -> None:
    backend = server.service.backend
    held = backend.store.lock if lock == "store" else backend.registry.lock
    with held:
        waiting = [
            others.submit(asked, server, "experiments/create", {"name": "a"}),
            others.submit(asked, server, "registered-models/create", {"name": "a"}),
        ]
        api = Api(server.url)
        assert 200 == others.submit(api.get, "/health").result(PATIENCE / 2).status
        api.close()

    assert [200] * 2 == [each.result(PATIENCE) for each in waiting]


def test_long_filters_are_read_while_others_search(
    server: RunningServer, others: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long filter holds no lock while it is read, and long ones take turns in one thread: others have theirs."""
    from mlquery.query import reading

    is_done = threading.Event()
    parse = parse_filter

    def parsed(text: str, argument: str) -> Any:
        assert len(text) < 1000 or is_done.wait(PATIENCE)
        return parse(text, argument)

    monkeypatch.setattr(reading, "parse_filter", parsed)
    long = " AND ".join(f"params.p{i} = 'x'" for i in range(60)) + " AND tags.t = '" + "x" * 5000 + "'"

    body = {"experiment_ids": ["0"], "filter": long}
    waiting = [others.submit(asked, server, "runs/search", body) for _ in range(3)]
    short = {"experiment_ids": ["0"], "filter": "params.p = 'x'"}
    assert [200] * 4 == [others.submit(asked, server, "runs/search", short).result(PATIENCE / 2) for _ in range(4)]
    assert is_alive(server)
    is_done.set()

    assert [200] * 3 == [each.result(PATIENCE) for each in waiting]


VALUES = [
    *({}, [], "", "x" * 2_000_000, {"a": [1, -2.5, 1e300, True, None, 'é\n\\"\ud83d\ude00']}),
    *([[], {}, [[]]], [{"key": str(i), "value": i / 3} for i in range(30_000)]),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_large_json_is_read_as_small_json_is(value: Any) -> None:
    content = json.dumps({"value": value, "filling": " " * 1_000_000}).encode()

    assert json.loads(content) == endpoints.loaded_json(content)


@pytest.mark.parametrize("end", [b"", b"}", b"]", b'"', b"\xff", b"nul", b",", b'{"a":' * 200_000, b"[" * 1_000_000])
def test_large_json_that_is_none_is_refused(end: bytes) -> None:
    with pytest.raises(RequestError, match="The body is not JSON"):
        endpoints.loaded_json(b'{"a": "' + b" " * 1_000_000 + b'", "b": ' + end)


def test_other_threads_run_while_large_json_is_read() -> None:
    content = b"[" + b"0," * 1_000_000 + b"0]"
    turns = 0
    is_done = threading.Event()

    def count() -> None:
        nonlocal turns
        while not is_done.wait(0.001):
            turns += 1

    counting = threading.Thread(target=count)
    counting.start()
    endpoints.loaded_json(content)
    is_done.set()
    counting.join()

    assert turns >= 5


def test_a_store_on_disk_is_served_to_many_clients(tmp_path: Path) -> None:
    with open_store(tmp_path / "store", "fast") as store, running_server(store) as server:

        def log(number: int) -> int:
            with closing(Api(server.url)) as api:
                created = api.post("runs/create", {"experiment_id": "0", "run_name": f"run {number}"})
                found = api.post("runs/search", {"experiment_ids": ["0"], "filter": f"run_name = 'run {number}'"})
            assert (200, 200) == (created.status, found.status)
            return len(found.json["runs"])

        with ThreadPoolExecutor(8) as clients:
            assert [1] * 40 == list(clients.map(log, range(40)))
