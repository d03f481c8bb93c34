"""Stores whose files were damaged: they open as they were or say so in one sentence, and a repair saves the rest.

Six damages of each file of each kind of store; `MLQUERY_DAMAGES=300` asks for more.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from mlquery.durable import high_water_mark, snapshot
from mlquery.durable import store as durable
from mlquery.durable.entries import FORMAT_VERSION, Entry, checksum
from mlquery.durable.errors import DamagedJournalError, JournalError
from mlquery.durable.opening import open as open_store
from mlquery.durable.repairing import repair
from mlquery.durable.salvage import entries_in
from mlquery.durable.store import DurableStore
from mlquery.entities import Metric, Param, RunTag
from tests.support.tracker_calls import Caller, everything

pytestmark = pytest.mark.slow

DAMAGES = int(os.environ.get("MLQUERY_DAMAGES", "6"))
JOURNAL, LOG, MARK = "journal.db", "journal.db-wal", high_water_mark.NAME
STATES = ["closed", "killed", "killed with snapshot"]
FILES = [
    *(("closed", name) for name in (JOURNAL, snapshot.NAME, MARK)),
    *(("killed", name) for name in (JOURNAL, LOG, MARK)),
    *(("killed with snapshot", name) for name in (JOURNAL, LOG, snapshot.NAME, MARK)),
]


def made(state: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a store in a folder as its process left it, and return what is in it."""
    monkeypatch.setattr(durable, "_AT_CLOSING", 1)
    store = open_store(path.with_name("original"), "fast")
    Caller(store, 8).make(150)
    run_id = store.create_run("0", "me", 5, [RunTag("big", "b" * 8000)], "long").info.run_id
    store.log_batch(run_id, [Metric("m", step / 7, step, step) for step in range(500)], [Param("p", "q" * 6000)], [])
    if state == "killed with snapshot":
        store.close()
        store = open_store(path.with_name("original"), "fast")
    if state != "closed":
        Caller(store, 9).make(100)
        store.sync()
        copy(store.path, path)
    expected = everything(store)
    store.close()
    if state == "closed":
        copy(store.path, path)
    return expected


def copy(old: Path, new: Path) -> None:
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(old, new, ignore=shutil.ignore_patterns("*-shm"))


def contents(path: Path) -> dict[str, bytes]:
    """Return the files of a store, without those in which nothing is kept."""
    passing = {"lock", "journal.db-shm"}
    files = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file() and file.name not in passing}
    return {name: content for name, content in files.items() if content}


KINDS = ("flip a bit", "write a byte", "write zeros", "write noise", "cut", "add noise", "move a block")
RARE = ("empty", "remove")  # once each
SHORTER = ("cut", *RARE)  # these may take away what was written of most runs


def damage(file: Path, kind: str, chance: random.Random) -> str:
    """Damage a file at a random place and return what was done."""
    content = bytearray(file.read_bytes())
    place = chance.randrange(len(content))
    size = min(chance.randrange(1, 6000), len(content) - place)
    if kind == "flip a bit":
        content[place] ^= 1 << chance.randrange(8)
    elif kind == "write a byte":
        content[place] = chance.randrange(256)
    elif kind == "write zeros":
        content[place : place + size] = bytes(size)
    elif kind == "write noise":
        content[place : place + size] = chance.randbytes(size)
    elif kind == "cut":
        del content[place:]
    elif kind == "empty":
        content.clear()
    elif kind == "add noise":
        content += chance.randbytes(size)
    else:
        block = chance.randrange(1, 5000)
        start = chance.randrange(max(1, len(content) - block))
        moved = content[start : start + block]
        content[place : place + len(moved)] = moved
    if kind == "remove":
        file.unlink()
    else:
        file.write_bytes(bytes(content))
    return f"{kind} at {place} of {file.name}"


@pytest.mark.parametrize(("state", "name"), FILES)
def test_a_damaged_store_opens_whole_or_not_at_all_and_is_repaired(
    state: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, chance = made(state, tmp_path / "whole", monkeypatch), random.Random(DAMAGES)
    whole = entries_in(tmp_path / "whole", 10**9)
    assert name in contents(tmp_path / "whole")
    path, noticed, lost = tmp_path / "a", 0, []
    for kind in (*RARE, *(chance.choice(KINDS) for _ in range(DAMAGES - len(RARE)))):
        copy(tmp_path / "whole", path)
        done = damage(path / name, kind, chance)
        before = contents(path)

        for read_only in (True, False):
            problem = problem_at_opening(path, expected, read_only)
            if problem or read_only:
                assert before == contents(path), done
            assert "\n" not in problem, done
            assert "mlquery repair" in problem or not problem, done
        before = contents(path)
        planned = repair(path, dry_run=True)
        assert before == contents(path), done
        found = repair(path)

        noticed += bool(problem or found.problem)
        assert (planned.entries, planned.lost, planned.unusable) == (found.entries, found.lost, found.unusable)
        with open_store(path) as store:
            if not found.lost:
                assert expected == everything(store), done
            else:
                lost.append((done, found.lost, found.unusable))
                assert found.aside is not None
                compared = runs_saved(store, expected, whole, found.aside)
                assert compared is None or compared > 5 or kind in SHORTER, done
        assert repair(path).problem == "", done
    is_kept = name.startswith("journal.db")
    assert noticed >= is_kept * DAMAGES // 12
    assert len(lost) < is_kept * (len(RARE) + DAMAGES * 3 // 4) or not lost
    assert all(unusable <= 10 for _, _, unusable in lost), lost


def problem_at_opening(path: Path, expected: str, read_only: bool) -> str:
    """Return what is said instead of opening a store, nothing if it opens and holds what it should."""
    try:
        with open_store(path, read_only=read_only) as store:
            assert expected == everything(store)
    except DamagedJournalError as error:
        return str(error)
    return ""


def runs_saved(store: DurableStore, expected: str, whole: dict[int, Entry], aside: Path) -> int | None:
    """Compare every run that no lost entry speaks of with what it was, and return how many these are.

    Entries about experiments speak of many runs: where one is lost, no run is compared.
    """
    intact = entries_in(aside, 10**9)
    lost = [entry for seq, entry in whole.items() if seq not in intact]
    if any("experiment" in entry.call for entry in lost):
        return None
    texts = " ".join(entry.body for entry in lost)
    before, after = json.loads(expected)["runs"], json.loads(everything(store))["runs"]
    others = [run_id for run_id in before if run_id not in texts]
    for run_id in others:  # not the datasets, whose description may have been in a lost entry of another run
        parts = [{part: one[run_id][part] for part in ("info", "data")} for one in (before, after)]
        assert parts[0] == parts[1]
    return len(others)


def test_a_store_that_is_whole_is_not_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made("closed", tmp_path / "a", monkeypatch)
    before = contents(tmp_path / "a")

    found = repair(tmp_path / "a")

    assert "" == found.problem
    assert before == contents(tmp_path / "a")


def test_a_copy_without_its_log_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made("killed", tmp_path / "a", monkeypatch)
    (tmp_path / "a" / "journal.db-wal").unlink()

    with pytest.raises(JournalError, match=r"its journal is empty|the last .* entries of its journal are missing"):
        open_store(tmp_path / "a")


def test_a_journal_that_is_gone_is_made_anew_from_the_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = made("closed", tmp_path / "a", monkeypatch)
    (tmp_path / "a" / "journal.db").unlink()
    with pytest.raises(JournalError, match=r"its journal\.db is missing.*mlquery repair"):
        open_store(tmp_path / "a")

    found = repair(tmp_path / "a")

    assert 0 == found.lost
    with open_store(tmp_path / "a") as store:
        assert expected == everything(store)


@pytest.mark.parametrize("size", [0, 1, 99, 512, 4095])
def test_a_log_beside_an_empty_journal_is_left_alone_and_saved(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = made("killed", tmp_path / "a", monkeypatch)
    os.truncate(tmp_path / "a" / "journal.db", size)
    before = contents(tmp_path / "a")
    assert "journal.db-wal" in before

    for read_only in (False, True):
        with pytest.raises(DamagedJournalError, match="mlquery repair") as caught:
            open_store(tmp_path / "a", read_only=read_only)
        assert size or "its journal.db is empty, but the log beside it is not" in str(caught.value)
        assert before == contents(tmp_path / "a")
    planned = repair(tmp_path / "a", dry_run=True)
    assert before == contents(tmp_path / "a")
    found = repair(tmp_path / "a")

    assert (planned.entries, 0, None) == (found.entries, found.lost, planned.aside)
    assert found.aside is not None
    assert before == contents(found.aside)
    with open_store(tmp_path / "a") as store:
        assert expected == everything(store)


def test_a_log_without_its_journal_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = made("killed", tmp_path / "a", monkeypatch)
    for name in ("journal.db", "acknowledged"):
        (tmp_path / "a" / name).unlink()
    with pytest.raises(DamagedJournalError, match=r"its journal\.db is missing"):
        open_store(tmp_path / "a")

    repair(tmp_path / "a")

    with open_store(tmp_path / "a") as store:
        assert expected == everything(store)


def add_entry(path: Path, call: str, body: str) -> None:
    """Add an entry with a right checksum to a closed journal."""
    connection = sqlite3.connect(path / "journal.db")
    ((seq,),) = connection.execute("SELECT max(seq) + 1 FROM entries").fetchall()
    connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", (seq, call, body, checksum(seq, call, body)))
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "body", ["[" * 5000 + "]" * 5000, '["0", "a", {"b": ' + '{"b":' * 5000 + "1" + "}" * 5001 + "]", "7", "{}"]
)
def test_an_entry_that_is_no_change_is_one_sentence_and_costs_only_itself(body: str, tmp_path: Path) -> None:
    with open_store(tmp_path / "a") as store:
        store.create_run("0", "me", 5, [], "kept")
        expected = everything(store)
    add_entry(tmp_path / "a", "metric", body)
    with pytest.raises(DamagedJournalError, match="entry 3 of its journal does not fit those before"):
        open_store(tmp_path / "a")

    found = repair(tmp_path / "a")

    assert (0, 1) == (found.lost, found.unusable)
    with open_store(tmp_path / "a") as store:
        assert expected == everything(store)


@pytest.mark.parametrize("body", ["[]", "{}", '{"format_version": "1"}', "[" * 5000 + "]" * 5000, "x"])
def test_a_first_entry_that_says_nothing_is_damage(body: str, tmp_path: Path) -> None:
    open_store(tmp_path / "a").close()
    connection = sqlite3.connect(tmp_path / "a" / "journal.db")
    connection.execute(
        "UPDATE entries SET body = ?, crc = ? WHERE seq = 0", (body, checksum(0, "store", body))
    ).connection.commit()
    connection.close()

    with pytest.raises(DamagedJournalError, match="mlquery repair"):
        open_store(tmp_path / "a")

    repair(tmp_path / "a")
    with open_store(tmp_path / "a") as store:
        assert 1 == store.experiments.size


def test_a_header_with_a_later_format_is_newer_and_not_repaired(tmp_path: Path) -> None:
    open_store(tmp_path / "a").close()
    connection = sqlite3.connect(tmp_path / "a" / "journal.db")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    connection.close()
    before = contents(tmp_path / "a")

    for call in (open_store, repair):
        with pytest.raises(JournalError, match=rf"newer version of mlquery \(format {FORMAT_VERSION + 1};") as caught:
            call(tmp_path / "a")
        assert not isinstance(caught.value, DamagedJournalError)
    assert before == contents(tmp_path / "a")


def test_points_of_a_lost_run_are_kept_in_a_run_that_stands_in_for_it(tmp_path: Path) -> None:
    with open_store(tmp_path / "a") as store:
        run_id = store.create_run("0", "me", 5, [RunTag("pad", "p" * 6000)], None).info.run_id
        for step in range(200):
            store.log_metric(run_id, Metric("loss", step, step, step))
    file = tmp_path / "a" / "journal.db"
    file.write_bytes(file.read_bytes().replace(b"pppp", b"oops", 1))

    found = repair(tmp_path / "a")

    assert (1, 0, (f"run {run_id}",)) == (found.lost, found.unusable, found.placeholders)
    with open_store(tmp_path / "a") as store:
        assert list(range(200)) == store.history(run_id, "loss")[2].tolist()
        assert f"recovered-{run_id}" == store.get_run(run_id).info.run_name
        store.log_metric(run_id, Metric("loss", 0.0, 201, 201))


def test_a_repair_only_says_what_it_would_do_when_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made("killed", tmp_path / "a", monkeypatch)
    (tmp_path / "a" / "journal.db-wal").write_bytes((tmp_path / "a" / "journal.db-wal").read_bytes()[:9000])
    before = contents(tmp_path / "a")

    found = repair(tmp_path / "a", dry_run=True)

    assert found.lost > 0
    assert found.aside is None
    assert before == contents(tmp_path / "a")


def test_a_repair_keeps_the_old_files_and_goes_on_after_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made("killed", tmp_path / "whole", monkeypatch)
    log = tmp_path / "whole" / "journal.db-wal"
    log.write_bytes(log.read_bytes()[:-9000])
    copy(tmp_path / "whole", tmp_path / "undisturbed")
    repair(tmp_path / "undisturbed")
    with open_store(tmp_path / "undisturbed") as store:
        expected = everything(store)
    for step in ("unlink", "replace", "rename"):
        for number in range(4):
            copy(tmp_path / "whole", tmp_path / "a")
            with monkeypatch.context() as patched:
                fail_at(patched, step, number)
                with suppress(KeyboardInterrupt):  # it may have less to do than that
                    repair(tmp_path / "a")

            repair(tmp_path / "a")

            with open_store(tmp_path / "a") as store:
                assert expected == everything(store), (step, number)
            assert contents(tmp_path / "whole") == contents(tmp_path / "a" / "damaged-1")


def fail_at(patched: pytest.MonkeyPatch, step: str, number: int) -> None:
    """Let the process be interrupted at the n-th time that it does something to a file."""
    calls, real = [0], getattr(Path, step)

    def interrupted(self: Path, *arguments: object, **options: object) -> object:
        calls[0] += 1
        if calls[0] > number:
            raise KeyboardInterrupt
        return real(self, *arguments, **options)

    patched.setattr(Path, step, interrupted)


def test_an_interrupted_repair_must_be_ended_before_the_store_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made("killed", tmp_path / "a", monkeypatch)
    (tmp_path / "a" / "journal.db-wal").unlink()
    with monkeypatch.context() as patched:
        fail_at(patched, "replace", 0)
        with pytest.raises(KeyboardInterrupt):
            repair(tmp_path / "a")

    with pytest.raises(JournalError, match="a repair of it was interrupted"):
        open_store(tmp_path / "a")


def test_a_store_that_is_open_is_not_repaired(tmp_path: Path) -> None:
    with open_store(tmp_path / "a"), pytest.raises(JournalError, match="is open somewhere"):
        repair(tmp_path / "a")


def test_a_store_that_is_not_there_cannot_be_repaired(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="does not exist"):
        repair(tmp_path / "none")
