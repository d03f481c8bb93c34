"""Stores on disk of every format so far: they open and hold what they held when they were made, and the page says so.

`python -m tests.test_tracker_formats` made the store of the last format; one that is there is never made anew.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from mlquery.durable import snapshot
from mlquery.durable.entries import FORMAT_VERSION
from mlquery.durable.journal import Journal
from mlquery.durable.opening import open as open_store
from mlquery.durable.repairing import repair
from mlquery.registry import Registry
from mlquery.store.changes import CHANGES, SINCE_FORMAT, SetArtifactUri, SetPushed
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
    assert {name for name, change in CHANGES.items() if SINCE_FORMAT.get(change, 1) <= version} == kinds


def test_a_store_is_of_the_first_format_that_knows_what_is_in_it(tmp_path: Path) -> None:
    def format_now() -> int:
        with closing(sqlite3.connect(tmp_path / "a" / "journal.db")) as connection:
            ((version,),) = connection.execute("PRAGMA user_version").fetchall()
            return int(version)

    with open_store(tmp_path / "a") as store, open_store(tmp_path / "a") as other:
        store.create_run("0", "user", 1, [], "run")
        assert 1 == format_now()
        with suppress(ZeroDivisionError), store.transaction():
            Registry(kept_in=store).create_registered_model("wine")
            raise ZeroDivisionError
        assert (1, []) == (format_now(), Registry(kept_in=store).models())
        Registry(kept_in=store).create_registered_model("wine")
        assert 2 == format_now()
        assert "wine" == Registry(kept_in=other).get_registered_model("wine").name
    assert "" == repair(tmp_path / "a").problem


def test_a_store_that_another_process_makes_or_extends_at_that_moment_is_not_taken_for_damaged(tmp_path: Path) -> None:
    def format_while(change: Callable[[], object]) -> int | None:
        """Return which format a journal is said to be of, if another process makes a change once that was read."""
        with closing(Journal(tmp_path / "a", "commit", read_only=False)) as journal:
            rows = journal._rows

            def read(statement: str, *values: object) -> Any:
                found = rows(statement, *values)
                if statement == "PRAGMA user_version":
                    change()
                return found

            journal._rows = read  # type: ignore[method-assign]
            identity = journal.require_identity()
            return None if identity is None else identity.format_version

    def extend() -> None:
        with open_store(tmp_path / "a") as store:
            Registry(kept_in=store).create_registered_model("wine")

    (tmp_path / "a").mkdir()
    assert [None, 1] == [format_while(change) for change in (lambda: open_store(tmp_path / "a").close(), extend)]
    assert 2 == format_while(lambda: None)


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
    assert [] == [version for version in VERSIONS if f"format-{version}.mlq" not in page]


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
        registry = Registry(store.clock, store)
        registry.create_registered_model("a name")
        registry.rename_registered_model("a name", "another")
        registry.create_registered_model("gone")
        registry.create_model_version("another", "s3://elsewhere")
        registry.delete_registered_model("gone")
        text = everything(store)
    for name in (snapshot.NAME, "lock"):
        (folder / name).unlink(missing_ok=True)
    (STORES / f"format-{version}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    make(FORMAT_VERSION)
