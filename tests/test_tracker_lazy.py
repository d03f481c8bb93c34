"""Stores on disk are read as far as somebody asks, from a snapshot that depends on the journal alone."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlquery.durable import replay, run_parts, snapshot
from mlquery.durable import store as durable
from mlquery.durable.entries import encode
from mlquery.durable.errors import JournalError
from mlquery.durable.opening import open as open_store
from mlquery.durable.parts import DamagedPartError, Parts, PartsWriter
from mlquery.durable.replay import snapshot_remade
from mlquery.durable.store import DurableStore
from mlquery.entities import Metric, Param, RunTag
from mlquery.query.search import search_runs
from tests.support.tracker_calls import Caller, everything

RUNS = 300
POINTS = 40
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a snapshot written at each closing, of small groups of histories."""
    monkeypatch.setattr(durable, "_AT_CLOSING", 1)
    monkeypatch.setattr(run_parts, "_POINTS_AT_ONCE", 5 * POINTS)


@pytest.fixture
def read_parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of the parts that are read from now on."""
    read: list[int] = []
    part = Parts.part

    def noted(self: Parts, number: int) -> Any:
        read.append(number)
        return part(self, number)

    monkeypatch.setattr(Parts, "part", noted)
    return read


def filled(path: Path) -> DurableStore:
    """Return a store with runs that came from elsewhere, in which no two strings and points are alike."""
    store = open_store(path, "fast")
    with store.transaction():
        store.load_experiment("7", "seven", artifact_location="there")
        for number in range(RUNS):
            fields: dict[str, Any] = {"params": {"p": f"ü{number}"}, "tags": {"t": f"{number % 5}"}}
            if not number % 3:
                fields["params"]["rare"], fields["metrics"] = str(number), {"last": (number / 7, 5, 2)}
            store.load_run(f"run{number:029}", "7", start_time=number, run_name=f"n{number}", **fields)
            points = np.arange(POINTS)
            store.load_history(f"run{number:029}", "loss", points / 7 + number, points + number, points)
            if not number % 3:
                store.load_history(f"run{number:029}", "last", [number / 3, number / 7], [4, 5], [1, 2])
    return store


def damage(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 255
    file.write_bytes(content)


@pytest.mark.usefixtures("snapshots")
def test_opening_a_store_reads_no_cells_and_no_points(tmp_path: Path, read_parts: list[int]) -> None:
    filled(tmp_path / "a").close()
    number = len(Parts(tmp_path / "a" / snapshot.NAME))
    read_parts.clear()

    with open_store(tmp_path / "a", read_only=True) as store:
        at_opening = len(read_parts)
        history = store.history(f"run{17:029}", "loss")
        for_history = len(read_parts) - at_opening
        everything(store)

    assert at_opening < 10
    assert [17 + step for step in range(POINTS)] == history[1].tolist()
    assert for_history == 2  # where it is, and its group
    assert set(range(number)) == set(read_parts)


@pytest.mark.usefixtures("snapshots")
def test_a_search_reads_the_columns_that_it_is_about(tmp_path: Path, read_parts: list[int]) -> None:
    filled(tmp_path / "a").close()

    with open_store(tmp_path / "a", read_only=True) as store:
        read_parts.clear()
        found = search_runs(store, ["7"], "params.rare = '6'", max_results=5)

    assert [f"run{6:029}"] == [run.info.run_id for run in found]
    assert len(read_parts) == len(set(read_parts)) < 20


@pytest.mark.usefixtures("snapshots")
def test_writes_after_opening_change_what_was_read_and_what_was_not(tmp_path: Path) -> None:
    filled(tmp_path / "a").close()
    written = (tmp_path / "a" / snapshot.NAME).read_bytes()
    one, other = f"run{3:029}", f"run{4:029}"

    with open_store(tmp_path / "a", "fast") as store:
        copy = store.clone()
        store.log_metric(one, Metric("loss", 0.5, 10_000, 99))
        store.log_metric(other, Metric("last", 0.25, 6, 3))
        store.log_param(one, Param("q", "new"))
        store.set_tag(one, RunTag("t", "changed"))
        store.create_run("7", "me", 10_000, [], "newest")
        expected = everything(store)
        assert 0.5 == store.get_run(one).data.metrics["loss"] == store.history(one, "loss")[0][-1]
        assert POINTS + 1 == len(store.history(one, "loss")[0])
        assert POINTS == len(copy.history(one, "loss")[0])
        assert {"p": "ü3", "rare": "3"} == copy.get_run(one).data.params
        assert "3" == copy.get_run(one).data.tags["t"]
        assert written == (tmp_path / "a" / snapshot.NAME).read_bytes()

    with open_store(tmp_path / "a", read_only=True) as store:
        assert expected == everything(store)


@pytest.mark.usefixtures("snapshots")
def test_a_store_goes_on_reading_the_snapshot_that_another_process_replaced(tmp_path: Path) -> None:
    filled(tmp_path / "a").close()
    reader = open_store(tmp_path / "a", read_only=True)
    with open_store(tmp_path / "a", "fast") as writer:
        writer.log_metric(f"run{3:029}", Metric("loss", 0.5, 10_000, 99))
        expected = everything(writer)

    assert expected == everything(reader)
    reader.close()


@pytest.mark.slow
@pytest.mark.usefixtures("snapshots")
@pytest.mark.parametrize("seed", range(3))
def test_a_snapshot_depends_on_the_journal_alone_byte_for_byte(seed: int, tmp_path: Path) -> None:
    for round_ in range(4):
        with open_store(tmp_path / "a", "fast") as store:
            Caller(store, 10 * seed + round_).make(120)
            identity = store._transactions.require_journal().identity
            assert identity is not None
            of_memory = snapshot.parts_of(store, identity.store_id, store.seq)
            of_journal = snapshot_remade(tmp_path / "a", store.seq)

        assert list(map(bytes, of_memory)) == list(map(bytes, of_journal))


@pytest.mark.slow
@pytest.mark.usefixtures("snapshots")
def test_a_damaged_part_is_made_anew_from_the_journal(tmp_path: Path) -> None:
    with filled(tmp_path / "a") as store:
        Caller(store, 5).make(100)
        expected = everything(store)
    file = tmp_path / "a" / snapshot.NAME
    whole = file.read_bytes()
    parts = Parts(file)

    for at, size, _ in random.Random(4).sample([one for one in parts._index if one[1]], 12):
        damage(file, at + size // 2)
        with open_store(tmp_path / "a", read_only=True) as store:
            assert expected == everything(store)
        file.write_bytes(whole)


@pytest.mark.usefixtures("snapshots")
@pytest.mark.parametrize("end", [0, 20, 2_000, -30])
def test_a_snapshot_that_was_cut_off_is_made_up_for_by_the_journal(end: int, tmp_path: Path) -> None:
    with filled(tmp_path / "a") as store:
        expected = everything(store)
    file = tmp_path / "a" / snapshot.NAME
    file.write_bytes(file.read_bytes()[:end])

    with open_store(tmp_path / "a", read_only=True) as store:
        assert expected == everything(store)


@pytest.mark.usefixtures("snapshots")
def test_what_neither_the_snapshot_nor_the_journal_has_any_more_is_an_error_of_the_store(tmp_path: Path) -> None:
    filled(tmp_path / "a").close()
    journal = tmp_path / "a" / "journal.db"

    with open_store(tmp_path / "a", read_only=True) as store:
        os.truncate(tmp_path / "a" / snapshot.NAME, 100)
        journal.write_bytes(journal.read_bytes().replace(b"run000", b"sun000"))
        with pytest.raises(JournalError, match=r"the store '.*a' is damaged: .* 'mlquery repair'"):
            store.get_run(f"run{3:029}")


@pytest.mark.usefixtures("snapshots")
def test_a_damaged_snapshot_that_is_not_of_this_journal_is_the_file_to_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "a").close()
    monkeypatch.setattr(snapshot, "encode", lambda _: "{}")

    with open_store(tmp_path / "a", read_only=True) as store:
        os.truncate(tmp_path / "a" / snapshot.NAME, 100)
        monkeypatch.setattr(run_parts, "_packed", lambda _: b"")
        with pytest.raises(
            JournalError, match=r"is damaged: its snapshot.bin .* remove that file: the journal has all"
        ):
            store.get_run(f"run{3:029}")
    (tmp_path / "a" / snapshot.NAME).unlink()
    with open_store(tmp_path / "a", read_only=True) as store:
        assert "ü3" == store.get_run(f"run{3:029}").data.params["p"]


@pytest.mark.slow
@pytest.mark.parametrize("many", [1, 5, 10**9])
def test_changes_that_are_made_at_once_are_those_that_are_made_one_by_one(
    many: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled(tmp_path / "a") as store:
        Caller(store, 6).make(200)
        points = np.array([3, 1, 2, 2])
        store.load_history(f"run{8:029}", "loss", points / 2, points, points)
        store.load_history(f"run{8:029}", "other", points / 2, points, -points)
        store.load_history(f"run{9:029}", "other", [np.nan, 1.0], [1, 2], [1, 2])
        expected, seq = everything(store), store.seq
    parts = snapshot_remade(tmp_path / "a", seq)
    monkeypatch.setattr(replay, "_MANY", many)

    with open_store(tmp_path / "a", read_only=True) as store:
        assert expected == everything(store)
    assert list(map(bytes, parts)) == list(map(bytes, snapshot_remade(tmp_path / "a", seq)))


def test_a_part_that_is_damaged_is_told_from_one_that_is_not(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        writer = PartsWriter(file)
        numbers = [writer.add(content) for content in (b"one", b"", b"three")]
        writer.finish()
    damage(tmp_path / "a", (tmp_path / "a").read_bytes().index(b"three"))

    parts = Parts(tmp_path / "a")

    assert [b"one", b""] == [parts.part(number) for number in numbers[:2]]
    assert not parts.is_whole()
    with pytest.raises(DamagedPartError):
        parts.part(numbers[2])
    assert b"three" == Parts(tmp_path / "a", lambda: [b"one", b"", b"three"]).part(numbers[2])
    with pytest.raises(DamagedPartError):
        Parts(tmp_path / "a", lambda: [b"one", b"", b"other"]).part(numbers[2])


@given(st.lists(VALUES, max_size=6), st.sampled_from([1, 2, 100]))
def test_entries_are_decoded_alike_alone_and_many_at_once(contents: list[Any], at_once: int) -> None:
    rows = [(seq, "call", encode(content)) for seq, content in enumerate(contents)]
    with mock.patch.object(replay, "_DECODED_AT_ONCE", at_once):
        found = list(replay._contents(rows))

    assert [repr(json.loads(body)) for _, _, body in rows] == list(map(repr, found))


def test_entries_that_are_json_together_alone_are_decoded_one_by_one() -> None:
    with pytest.raises(ValueError, match="Extra data"):
        list(replay._contents([(1, "call", "1],[2"), (2, "call", "3")]))
