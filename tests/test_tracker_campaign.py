"""Many pushes through a hostile network, with kills, a server that restarts and pushers side by side: nothing twice.

MLQUERY_PUSHES=1000 makes so many pushes, and some to a real `mlflow server`, and prints what happened.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest

from mlquery.durable.opening import open as open_store
from mlquery.sync.mlflow_registry import INCOMPLETE_TAG
from mlquery.sync.pushing import push
from tests.support.fault_proxy import fault_proxy
from tests.support.mlflow_server import wait_until_healthy
from tests.support.push_campaign import Faults, differences, fill, quick_context, start
from tests.support.tracker_mlflow import new_database
from tests.test_tracker_push import SERVER

PUSHES = int(os.environ.get("MLQUERY_PUSHES", "0"))
SEED = int(os.environ.get("MLQUERY_SEED", "1"))

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tracker_campaign")]


class Restarting:
    """A server in a process of its own, which is killed and started again on the same port."""

    def __init__(self, command: list[str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [one.replace("PORT", str(self.port)) for one in command]
        self.url = f"http://127.0.0.1:{self.port}"
        self.restarts = -1
        self.restart()

    def restart(self) -> None:
        if self.restarts >= 0:
            self.kill()
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until_healthy(self.url, self.process)
        self.restarts += 1

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def server_of(kind: str, folder: Path) -> Iterator[Restarting]:
    command = [sys.executable, "-m", "tests.support.push_campaign", str(folder / "served"), "PORT"]
    if kind == "mlflow":
        command = [sys.executable, "-c", SERVER, new_database(folder / "target"), "PORT", str(folder / "files")]
    server = Restarting(command)
    try:
        yield server
    finally:
        server.kill()


SHORT = [("mlquery", 8)]
LONG = [("mlquery", PUSHES), ("mlflow", PUSHES // 10)]


@pytest.mark.parametrize(("kind", "pushes"), LONG if PUSHES else SHORT)
def test_after_any_faults_kills_and_restarts_the_target_has_everything_once(
    kind: str, pushes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, codes, names = random.Random(SEED), Counter[Any](), list[str]()
    faults, stores, context = Faults(random.Random(SEED + 1), 0.08), list[Path](), quick_context()
    begin = time.monotonic()
    with server_of(kind, tmp_path) as server, fault_proxy(server.url, faults, stall=0.2) as target:
        restarts = pushes // 50 or 1
        while sum(codes.values()) < pushes:
            # Two stores at a time, pushed side by side; now and then one of them by two processes.
            pair = []
            for number in (len(stores), len(stores) + 1):
                path = tmp_path / f"store{number}"
                with open_store(path, "fast") as store:
                    fill(store, f"s{number} a")
                pair.append(path)
                names.append(f"s{number} a")
            stores += pair
            left = {*pair}
            while left:
                is_first = not codes  # with a kill and a restart, however few pushes there are
                pushing = [(path, start(context, path, target)) for path in sorted(left)]
                if not is_first and chance.random() < 0.2:
                    pushing.append((pair[0], start(context, pair[0], target)))
                if is_first or chance.random() < 0.4:
                    faults.kill_after(8 if is_first else chance.randrange(8, 60), pushing[0][1])
                if is_first:  # a push takes more requests than that, and nothing else can end it before
                    assert faults.has_killed.wait(60)
                if server.restarts < restarts and (is_first or chance.random() < 0.1):
                    time.sleep(chance.random() * 0.3)
                    server.restart()
                for path, process in pushing:
                    process.join()
                    codes[process.exitcode] += 1
                    assert process.exitcode in (0, 1, 2, -9), codes
                    if process.exitcode == 0:
                        left.discard(path)
                faults.spare()
        faults.share = 0.0
        time.sleep(0.5)  # what comes late has come
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
        for path in stores:
            with open_store(path, "fast") as store:
                push(store, target)
                seq = store.seq
                push(store, target)
                assert seq == store.seq

        client = mlflow.MlflowClient(server.url)
        found = differences(client, names)
        marked = [run for run in everything_of(client) if INCOMPLETE_TAG in run.data.tags]
    seconds = time.monotonic() - begin
    print(
        f"\n{kind}: {sum(codes.values())} pushes of {len(stores)} stores ({codes[0]} done, {codes[1]} failed, "
        f"{codes[2]} refused beside another, {codes[-9]} killed), {server.restarts} restarts, "
        f"{sum(faults.met.values()):,} requests, {sum(faults.met.values()) - faults.met['pass']:,} with faults; "
        f"{len(found)} lost or doubled; {len(marked)} empty runs that came late were deleted; {seconds:.0f} s"
    )
    assert [] == found
    assert codes[-9]
    assert server.restarts
    assert {"deleted"} >= {run.info.lifecycle_stage for run in marked}


def everything_of(client: Any) -> list[Any]:
    experiment = client.get_experiment_by_name("campaign")
    runs, token = list[Any](), None
    while True:
        page = client.search_runs([experiment.experiment_id], run_view_type=3, max_results=1000, page_token=token)
        runs, token = [*runs, *page], page.token
        if not token:
            return runs
