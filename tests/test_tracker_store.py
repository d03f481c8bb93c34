"""Stores on disk: what they hold when they are opened again, in other threads and processes, and when writing fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import mlquery
from mlquery.durable import high_water_mark
from mlquery.durable import store as durable
from mlquery.durable.errors import JournalError
from mlquery.durable.opening import open as open_store
from mlquery.durable.store import DurableStore
from mlquery.entities import Metric, Param, RunTag
from mlquery.errors import StoreError
from mlquery.readers import load
from mlquery.store import Store
from tests.support.tracker_calls import Caller, everything

DATA = Path(__file__).parent / "data"


def snapshot_after(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_WHILE_OPEN", "_AT_OPENING", "_AT_CLOSING"):
        monkeypatch.setattr(durable, name, entries)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("entries_per_snapshot", [10**9, 1, 37])
def test_a_store_is_the_same_when_it_is_opened_again(
    seed: int, entries_per_snapshot: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot_after(entries_per_snapshot, monkeypatch)
    store = open_store(tmp_path / "a", "fast")
    caller = Caller(store, seed)
    caller.make(250)
    before = everything(store)
    store.close()

    again = open_store(tmp_path / "a", "fast")

    assert before == everything(again)
    assert caller.refused < 150
    Caller(again, seed + 100).make(100)
    before = everything(again)
    again.close()
    with open_store(tmp_path / "a", read_only=True) as reader:
        assert before == everything(reader)


def test_calls_change_a_store_on_disk_as_they_change_one_in_memory(tmp_path: Path) -> None:
    stores = [Store(clock=lambda: 7), open_store(tmp_path / "a", "fast", clock=lambda: 7)]

    for store in stores:
        store._names = type(store._names)(5)
        store._is_untouched = False  # the default experiment of a store on disk makes way for no other
        Caller(store, 5).make(400)

    assert everything(stores[0]) == everything(stores[1])
    stores[1].close()  # type: ignore[attr-defined]


def test_two_stores_on_one_folder_see_what_the_other_wrote(tmp_path: Path) -> None:
    one, two = open_store(tmp_path / "a"), open_store(tmp_path / "a", "fast")

    for store, seed in ((one, 1), (two, 2), (one, 3)):
        Caller(store, seed).make(60)

    assert everything(one) == everything(two)
    assert one.seq == two.seq
    one.close()
    two.close()


def test_a_search_finds_what_another_process_logged(tmp_path: Path) -> None:
    reader, writer = open_store(tmp_path / "a"), open_store(tmp_path / "a")
    run_id = writer.create_run("0", "me", 5, [], "theirs").info.run_id
    writer.log_metric(run_id, Metric("loss", 0.5, 1, 1))

    found = mlquery.Client(reader).search_runs(["0"], "metrics.loss < 1")

    assert [run_id] == [run.info.run_id for run in found]
    reader.close()
    writer.close()


def test_threads_may_share_a_store(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a", "fast")
    run_id = store.create_run("0", "me", 5, [], None).info.run_id

    def log(thread: int) -> None:
        for step in range(100):
            store.log_metric(run_id, Metric(f"m{thread}", 1.0, step, step))

    threads = [threading.Thread(target=log, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [100] * 4 == [len(store.history(run_id, f"m{number}")[0]) for number in range(4)]
    before = everything(store)
    store.close()
    with open_store(tmp_path / "a") as again:
        assert before == everything(again)


def test_a_refused_call_leaves_no_entry(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a")
    run_id = store.create_run("0", "me", 5, [], None).info.run_id
    before = store.seq

    with pytest.raises(StoreError, match="must be a nonnegative long"):
        store.log_batch(run_id, [Metric("a", 1.0, 1, 1), Metric("a", 1.0, -1, 1)], [Param("p", "1")], [])

    assert before == store.seq
    assert {} == store.get_run(run_id).data.params
    store.close()


def test_calls_in_a_transaction_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a")
    before = everything(store)

    with pytest.raises(ZeroDivisionError):
        create_and_tag(store, parts=0)

    assert before == everything(store)
    create_and_tag(store, parts=2)
    after = everything(store)
    store.close()
    with open_store(tmp_path / "a") as again:
        assert after == everything(again)


def create_and_tag(store: DurableStore, parts: int) -> None:
    with store.transaction():
        run_id = store.create_run("0", "me", 5, [], None).info.run_id
        store.set_tag(run_id, RunTag("half", str(1 / parts)))


def test_a_call_that_is_interrupted_in_the_middle_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "a")
    run_id = store.create_run("0", "me", 5, [], None).info.run_id
    before = everything(store)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(store.runs), "put_tags", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.log_batch(run_id, [Metric("a", 1.0, 1, 1)], [Param("p", "1")], [RunTag("a", "b")])

    assert before == everything(store)
    store.close()


def test_a_forked_process_logs_to_the_store_of_its_parent(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a", "fast")
    run_id = store.create_run("0", "me", 5, [], None).info.run_id

    child = os.fork()
    if not child:
        try:
            store.log_metric(run_id, Metric("child", 1.0, 1, 1))
        finally:
            os._exit(0)
    store.log_metric(run_id, Metric("parent", 2.0, 1, 1))
    os.waitpid(child, 0)

    assert {"child": 1.0, "parent": 2.0} == store.get_run(run_id).data.metrics
    store.close()


def test_a_clone_is_a_store_in_memory_with_the_artifacts(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a")
    run_id = store.create_run("0", "me", 5, [], None).info.run_id
    store.artifacts.put(run_id, "model/weights", b"123")

    clone = store.clone()

    clone.log_metric(run_id, Metric("a", 1.0, 1, 1))
    assert (b"123", {}) == (clone.artifacts.read(run_id, "model/weights"), store.get_run(run_id).data.metrics)
    store.close()


def test_artifacts_are_files_and_behave_as_those_in_memory(tmp_path: Path) -> None:
    store, memory = open_store(tmp_path / "a"), Store()
    answers = []
    for one in (memory, store):
        run_id = one.create_run("0", "me", 5, [], None).info.run_id
        said: list[object] = []
        one.artifacts.put(run_id, "a.txt", b"1")
        one.artifacts.put(run_id, "sub/deep/b.bin", b"22")
        one.artifacts.put("", "shared", b"3")
        for path in ("a.txt/c", "sub", "../x", "/x", "", "."):
            with pytest.raises(StoreError) as refused:
                one.artifacts.put(run_id, path, b"")
            said.append((refused.value.error_code, str(refused.value)))
        said += [one.artifacts.list(run_id, path) for path in (None, "sub", "sub/deep", "a.txt", "none")]
        said += [one.artifacts.read(run_id, "sub/deep/b.bin"), one.artifacts.read("", "shared")]
        for path in ("none", "sub", "a.txt/c"):
            with pytest.raises(StoreError) as refused:
                one.artifacts.read(run_id, path)
            said.append((refused.value.error_code, str(refused.value)))
        one.artifacts.delete(run_id, "sub/deep")
        one.artifacts.delete(run_id, "none")
        said += [one.artifacts.list(run_id), one.artifacts.list(run_id, "sub/deep")]
        one.artifacts.delete(run_id)
        said.append(one.artifacts.list(run_id))
        with pytest.raises(StoreError, match="not found"):
            one.artifacts.put("nobody", "a", b"")
        answers.append(said)

    # A folder that has become empty is still a folder on disk, and nothing at all in memory.
    assert [str(one) for one in answers[0][:-3]] == [str(one) for one in answers[1][:-3]]
    assert ["a.txt"] == [info.path for info in answers[0][-3]]  # type: ignore[attr-defined]
    assert [[], []] == [answers[1][-2], answers[1][-1]]
    store.close()


# What is said when a store cannot be opened or written


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a")
    store.close()
    store.close()

    with pytest.raises(JournalError, match="is closed"):
        store.get_experiment("0")


def test_a_store_for_reading_is_never_made_and_refuses_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="does not exist"):
        open_store(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
    open_store(tmp_path / "a").close()
    files = sorted(path.name for path in (tmp_path / "a").iterdir())

    with open_store(tmp_path / "a", read_only=True) as store, pytest.raises(JournalError, match="for reading only"):
        store.create_run("0", "me", 5, [], None)

    with open_store(tmp_path / "a", read_only=True) as store, pytest.raises(JournalError, match="for reading only"):
        store.artifacts.put("", "a", b"")
    assert files == sorted(
        path.name for path in (tmp_path / "a").iterdir() if path.suffix not in (".db-shm", ".db-wal")
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [("file", "is a file; a store is a folder"), ("folder", "give it one of its own")],
)
def test_what_is_no_store_is_left_alone(content: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    if content == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / "thesis.tex").write_text("mine")

    with pytest.raises(JournalError, match=problem):
        open_store(path)

    assert ["thesis.tex"] == [p.name for p in path.iterdir()] if content == "folder" else path.read_text() == "mine"


def test_who_loads_a_store_on_disk_learns_how_it_is_opened(tmp_path: Path) -> None:
    open_store(tmp_path / "a").close()

    with pytest.raises(StoreError, match=r"it is a store on disk, which .*mlquery\.open read"):
        load(tmp_path / "a")


def test_a_durability_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="durability is 'commit' or 'fast', not 'safe'"):
        open_store(tmp_path / "a", "safe")  # type: ignore[arg-type]


def test_a_store_of_a_later_format_says_what_to_do(tmp_path: Path) -> None:
    import sqlite3

    from mlquery.durable.entries import checksum

    store = open_store(tmp_path / "a")
    store.close()
    journal = sqlite3.connect(tmp_path / "a" / "journal.db")
    ((body,),) = journal.execute("SELECT body FROM entries WHERE seq = 0").fetchall()
    later = json.dumps(json.loads(body) | {"format_version": 3, "wings": True})
    journal.execute("UPDATE entries SET body = ?, crc = ? WHERE seq = 0", (later, checksum(0, "store", later)))
    journal.execute("PRAGMA user_version = 3")
    journal.commit()
    journal.close()

    with pytest.raises(JournalError, match=r"newer version of mlquery \(format 3.*upgrade mlquery"):
        open_store(tmp_path / "a")


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["commit", "fast"])
def test_what_was_written_is_synced_when_its_durability_says(durability: str, tmp_path: Path) -> None:
    store = open_store(tmp_path / "a", durability)  # type: ignore[arg-type]
    store.create_run("0", "me", 5, [], None)
    store.log_metric(store.runs.ids[0], Metric("a", 1.0, 1, 1))

    if durability == "fast":
        time.sleep(1.0)

    assert store.seq == high_water_mark.HighWaterMark(tmp_path / "a", read_only=True).synced
    store.close()


# Disks that are full and folders that cannot be written, in a process of their own

FILL = """
import resource, sys, json
from mlquery.entities import Metric, RunTag
from mlquery.durable.opening import open as open_store
store = open_store(sys.argv[1], sys.argv[2])
run_id = store.create_run("0", "me", 5, [], None).info.run_id
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
done, problems = [], set()
for step in range(400):
    try:
        store.log_batch(run_id, [Metric("a", 1.0, step, step)], [], [RunTag(f"t{step}", "x" * 1000)])
        done.append(step)
    except Exception as error:
        problems.add(f"{type(error).__name__}: {error}")
seen = store.history(run_id, "a")[2].tolist()
print(json.dumps([run_id, done, sorted(problems), seen]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["commit", "fast"])
def test_a_full_disk_is_one_clear_error_and_loses_nothing_that_was_kept(durability: str, tmp_path: Path) -> None:
    path = tmp_path / "a"

    output = run_python(FILL, str(path), durability)

    run_id, done, problems, seen = json.loads(output)
    assert done == seen
    assert 10 < len(done) < 300
    (problem,) = problems
    assert "JournalError" in problem
    assert "has no room to grow" in problem
    store = open_store(path)
    assert done == store.history(run_id, "a")[2].tolist()
    store.log_metric(run_id, Metric("a", 1.0, 999, 999))  # there is room again
    store.close()


def run_python(code: str, *arguments: str, **options: object) -> str:
    top = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(top)},
        capture_output=True,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert "" == done.stderr
    return str(done.stdout)


LOOK = """
import os, sys
from mlquery.durable.opening import open as open_store
if os.getuid() == 0:
    os.setuid(65534)  # whom nothing belongs to
try:
    open_store(sys.argv[1])
except Exception as error:
    print(f"{type(error).__name__}: {error}")
store = open_store(sys.argv[1], read_only=True)
print(len(store.history(store.runs.ids[0], "a")[0]))
try:
    open_store(sys.argv[1] + "/new")
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("is_open", [False, True])
def test_a_folder_that_cannot_be_written_can_be_read(is_open: bool, tmp_path: Path) -> None:
    path = tmp_path / "a"
    store: DurableStore | None = open_store(path)
    assert store is not None
    run_id = store.create_run("0", "me", 5, [], None).info.run_id
    for step in range(10):
        store.log_metric(run_id, Metric("a", 1.0, step, step))
    if not is_open:
        store.close()
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    for file in path.iterdir():
        file.chmod(0o444)
    path.chmod(0o555)

    first, points, second = run_python(LOOK, str(path)).splitlines()

    assert "JournalError" in first
    assert "cannot be written to" in first
    assert "10" == points
    assert "cannot be written to" in second
    path.chmod(0o755)
    store.close()
