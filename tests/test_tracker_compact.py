"""Compacted stores: they hold what they held, in fewer entries, whatever interrupts the compaction."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from mlquery.durable import store as durable
from mlquery.durable.compacting import compact
from mlquery.durable.errors import DamagedJournalError, JournalError
from mlquery.durable.opening import open as open_store
from mlquery.durable.repairing import repair
from mlquery.entities import RunTag
from mlquery.store.changes import SetPushed
from tests.support.tracker_calls import everything
from tests.test_tracker_damage import STATES, contents, copy, fail_at, made

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("state", STATES)
def test_a_compacted_store_holds_what_it_held(state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    made(state, path, monkeypatch)
    with open_store(path) as store:
        run_id = store.create_run(store.create_experiment("tagging"), "me", 5, [], "tagged").info.run_id
        for number in range(800):
            store.set_tag(run_id, RunTag("round", str(number)))
        store.delete_run(run_id)
        store.write(SetPushed("http://there", "run", run_id, "there", "d1"))
        store.artifacts.put("", "a.txt", b"kept")
        expected, store_id = everything(store), store.identity.store_id

    done = compact(path)
    again = compact(path)

    assert done.entries < done.entries_before - 790
    assert done.bytes < done.bytes_before
    assert (done.entries, done.entries) == (again.entries_before, again.entries)
    assert "" == repair(path).problem
    for read_only in (True, False):
        with open_store(path, read_only=read_only) as store:
            assert expected == everything(store)
            assert {"http://there": {"run": {run_id: ("there", "d1")}}} == store.pushed
            assert store_id == store.identity.store_id
            assert b"kept" == store.artifacts.read("", "a.txt")


def test_a_compaction_that_is_interrupted_leaves_a_whole_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    expected = made("killed with snapshot", tmp_path / "whole", monkeypatch)
    for step in ("mkdir", "unlink", "replace"):
        for number in range(4):
            copy(tmp_path / "whole", path)
            with monkeypatch.context() as patched:
                fail_at(patched, step, number)
                with suppress(KeyboardInterrupt):  # it may have less to do than that
                    compact(path)

            with open_store(path, read_only=True) as store:
                assert expected == everything(store), (step, number)
            compact(path)
            with open_store(path) as store:
                assert expected == everything(store), (step, number)


def test_a_store_that_is_open_or_damaged_or_not_there_is_not_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made("killed", tmp_path / "a", monkeypatch)
    with open_store(tmp_path / "a"), pytest.raises(JournalError, match="is open somewhere: close it first"):
        compact(tmp_path / "a")
    file = tmp_path / "a" / "journal.db"
    file.write_bytes(file.read_bytes().replace(b"qqqq", b"oops", 1))
    before = contents(tmp_path / "a")

    with pytest.raises(DamagedJournalError, match="mlquery repair"):
        compact(tmp_path / "a")
    with pytest.raises(JournalError, match="does not exist"):
        compact(tmp_path / "none")
    assert before == contents(tmp_path / "a")


def test_what_is_logged_after_a_compaction_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_AT_CLOSING", 1)
    with open_store(tmp_path / "a") as store:
        run_id = store.create_run("0", "me", 5, [], None).info.run_id
    compact(tmp_path / "a")
    for number in range(3):
        with open_store(tmp_path / "a") as store:
            store.set_tag(run_id, RunTag("round", str(number)))
    with open_store(tmp_path / "a") as store:
        assert "2" == store.get_run(run_id).data.tags["round"]
