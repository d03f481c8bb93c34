"""Stores on disk of every format so far: they open and hold what they held when they were made, and the page says so.

`python -m tests.test_tracker_formats` made the store of format 1; one that is there is never made anew.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlquery.durable import snapshot
from mlquery.durable.entries import FORMAT_VERSION
from mlquery.durable.journal import Journal
from mlquery.durable.opening import open as open_store
from mlquery.durable.repairing import repair
from mlquery.store.changes import CHANGES, SetArtifactUri, SetPushed
from tests.support import tracker_calls
from tests.support.tracker_calls import Caller, everything

TOP = Path(__file__).resolve().parents[1]
STORES = TOP / "tests" / "stores"
PAGE = TOP / "docs" / "format.md"
VERSIONS = range(1, FORMAT_VERSION + 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_store_of_an_earlier_format_opens_and_can_be_written_to(version: int, tmp_path: Path) -> None:
    expected = (STORES / f"format-{version}.json").read_text(encoding="utf-8")
    shutil.copytree(STORES / f"format-{version}.mlq", tmp_path / "a")

    with open_store(tmp_path / "a") as store:
        found = everything(store)
        pushed = store.pushed
        Caller(store, 1).make(50)
        more = everything(store)

    assert expected == found
    assert {"http://there": {"run": {"here": ("there", "d1")}}} == pushed
    with open_store(tmp_path / "a") as again:
        assert more == everything(again)
    assert "" == repair(tmp_path / "a").problem


@pytest.mark.parametrize("version", VERSIONS)
def test_the_store_of_a_format_has_every_kind_of_change(version: int, tmp_path: Path) -> None:
    shutil.copytree(STORES / f"format-{version}.mlq", tmp_path / "a")
    journal = Journal(tmp_path / "a", "commit", read_only=True)
    journal.require_identity()

    kinds = {entry.call for entry in journal.entries()}

    journal.close()
    assert set(CHANGES) == kinds


def test_a_snapshot_of_another_version_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlquery.durable.store._AT_CLOSING", 1)
    with open_store(tmp_path / "a", "fast") as store:
        Caller(store, 3).make(50)
        expected = everything(store)
    assert (tmp_path / "a" / snapshot.NAME).exists()
    monkeypatch.setattr(snapshot, "VERSION", snapshot.VERSION + 1)

    with open_store(tmp_path / "a", read_only=True) as store:
        assert expected == everything(store)


def test_the_page_describes_every_change_and_the_present_format() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert [] == [name for name in CHANGES if f"`{name}`" not in page]
    assert f"Format {FORMAT_VERSION}" in page


def make(version: int) -> None:
    """Make the store of the present format, with every kind of change, and what a later version must find in it."""
    folder = STORES / f"format-{version}.mlq"
    assert not folder.exists(), f"{folder} is there"
    tracker_calls.TEXTS[:] = ["", "a", "grün", 'say "hi"\n\t\\', "𝄞 日本"]
    with open_store(folder, "fast", clock=lambda: 1_700_000_000_000) as store:
        Caller(store, version).make(400)
        gone = store.create_experiment("gone")
        store.create_run(gone, "user", 1, [], "gone with it")
        store.delete_experiment(gone)
        store.write(SetArtifactUri(store.runs.ids[0], "s3://elsewhere"))
        store.write(SetPushed("http://there", "run", "here", "there", "d1"))
        text = everything(store)
    for name in (snapshot.NAME, "lock"):
        (folder / name).unlink(missing_ok=True)
    (STORES / f"format-{version}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    make(FORMAT_VERSION)
