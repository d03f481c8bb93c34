"""Stores on disk whose writers are killed: what was acknowledged is there, batches are whole, the store opens.

Ten kills in all; `MLQUERY_CRASHES=200` asks for as many in each durability.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import pytest

from mlquery.durable.journal import write_ahead
from mlquery.durable.opening import open as open_store
from mlquery.durable.store import DurableStore
from tests.support import tracker_writer

pytestmark = pytest.mark.slow

CRASHES = int(os.environ.get("MLQUERY_CRASHES", "5"))
MANY = 5_000  # lines that are looked for after every kill; all of them after the last
TOP = Path(__file__).resolve().parents[1]


class Writer:
    """A process that logs, and what it said so far."""

    def __init__(self, store: Path, durability: str, seed: int) -> None:
        command = [sys.executable, tracker_writer.__file__, str(store), durability, str(seed)]
        environment = os.environ | {"PYTHONPATH": str(TOP)}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )

    def wait_for_a_line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def kill(self) -> tuple[list[str], str]:
        """Return the lines of a process that is killed now, and what it complained about."""
        self.process.kill()
        output, errors = self.process.communicate()
        return output.decode().splitlines(), errors.decode()


def lost(store: DurableStore, lines: Iterable[str]) -> list[str]:
    """Return what was acknowledged and is not there."""
    steps: dict[str, set[int]] = defaultdict(set)
    missing = []
    for line in lines:
        kind, run_id, step, _ = line.split()
        if run_id not in store.runs.row_of:
            missing.append(line)
            continue
        if run_id not in steps:
            steps[run_id] = set(store.history(run_id, "one")[2].tolist())
        params = store.get_run(run_id).data.params if kind == "batch" else {}
        is_there = {"run": True, "metric": int(step) in steps[run_id], "batch": f"param{step}" in params}[kind]
        if not is_there:
            missing.append(line)
    return missing


def torn_batches(store: DurableStore, run_ids: Iterable[str]) -> list[str]:
    """Return the runs with a batch of which a part is there and a part is not."""
    found = []
    for run_id in run_ids:
        data = store.get_run(run_id).data
        times = store.history(run_id, "many")[1].tolist()
        params = {int(key.removeprefix("param")) for key in data.params}
        tags = {int(key.removeprefix("tag")) for key in data.tags if key.startswith("tag")}
        whole = {time for time in set(times) if times.count(time) == tracker_writer.POINTS_OF_A_BATCH}
        if not params == tags == whole == set(times):
            found.append(run_id)
    return found


@pytest.mark.parametrize("durability", ["commit", "fast"])
def test_nothing_acknowledged_is_lost_when_two_writers_are_killed(durability: str, tmp_path: Path) -> None:
    chance, path, said = random.Random(CRASHES), tmp_path / "runs.mlq", []
    for crash in range(CRASHES):
        writers = [Writer(path, durability, 2 * crash + number) for number in range(2)]
        is_early = chance.random() < 0.2  # while the store is made or opened
        first = [] if is_early else [writer.wait_for_a_line().decode().strip() for writer in writers]
        time.sleep(chance.random() * (0.8 if is_early else 0.3))
        chance.shuffle(writers)
        for writer in writers:
            lines, errors = writer.kill()
            said += lines
            assert "" == errors
            time.sleep(chance.choice([0, 0.02]))
        said += first

        store = open_store(path, durability)  # type: ignore[arg-type]

        is_last = crash == CRASHES - 1
        assert [] == lost(store, said if is_last else said[-MANY:])
        assert [] == torn_batches(store, store.runs.ids if is_last else store.runs.ids[-20:])
        store.close()
    journal = sqlite3.connect(path / "journal.db")
    assert [("ok",)] == journal.execute("PRAGMA integrity_check").fetchall()
    journal.close()
    assert len(said) > 20 * CRASHES


def test_a_reader_sees_the_runs_of_a_process_that_is_still_writing(tmp_path: Path) -> None:
    path = tmp_path / "runs.mlq"
    reader = open_store(path)
    writers = [Writer(path, "fast", seed) for seed in range(2)]
    run_ids = [writer.wait_for_a_line().decode().split()[1] for writer in writers]

    seen = [reader.get_run(run_id).data.tags["seed"] for run_id in run_ids]

    assert ["0", "1"] == seen
    said = [line for writer in writers for line in writer.kill()[0]]
    assert [] == lost(reader, said)
    reader.close()


MAKERS = """
import os, sys, traceback
from pathlib import Path
from unittest import mock
import mlquery

for place in range(int(sys.argv[2])):
    makers, (wait, go) = [], os.pipe()
    for _ in range(4):
        maker = os.fork()
        if maker == 0:
            os.close(go)
            os.read(wait, 1)
            try:
                mlquery.open(Path(sys.argv[1]) / str(place))
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        makers.append(maker)
    os.close(go)
    os.close(wait)
    for maker in makers:
        os.waitpid(maker, 0)
"""


def test_processes_that_make_one_store_at_the_same_time_all_open_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKERS, str(tmp_path), str(2 * CRASHES)]

    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(TOP)}, stderr=subprocess.PIPE, text=True)

    assert (0, "") == (done.returncode, done.stderr)
    for place in tmp_path.iterdir():
        with open_store(place) as store:
            assert 1 == store.experiments.size


def test_a_process_that_is_killed_before_it_has_made_a_store_leaves_none_behind(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "acknowledged").touch()

    with open_store(tmp_path / "a") as store:
        assert 1 == store.experiments.size


def test_a_log_that_another_process_starts_is_waited_for() -> None:
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
    connection = mock.Mock()
    connection.execute.side_effect = [busy, busy, mock.Mock(fetchone=lambda: ("wal",))]

    assert "wal" == write_ahead(connection, 60.0)
    connection.execute.side_effect = busy
    with pytest.raises(sqlite3.OperationalError):
        write_ahead(connection, -1.0)
