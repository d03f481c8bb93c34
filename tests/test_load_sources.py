"""What a source may be: found in every spelling, left untouched, or refused in one sentence."""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import mlquery
from mlquery.readers import readonly
from mlquery.readers.errors import SourceError

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "sweep.db"
RUNS = 70


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return Path(shutil.copy(EXAMPLE, tmp_path / "mlflow.db"))


def changed(database: Path, *statements: str) -> Path:
    connection = sqlite3.connect(database, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return database


def folder_state(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def refusal(source: object) -> str:
    """Return the one sentence that loading is refused with."""
    with pytest.raises(SourceError) as caught:
        mlquery.load(source)  # type: ignore[arg-type]

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_path_where_nothing_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "missing.db"

    assert f"{str(path)!r} does not exist" == refusal(path)
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "no\0where", "x" * 5_000, "sqlite:///", "sqlite:///:memory:", "file:///nowhere"])
def test_a_text_that_names_nothing_is_refused(text: str) -> None:
    assert refusal(text).startswith(repr(text))


@pytest.mark.parametrize("uri", ["https://user:secret@host/", "postgresql://user:secret@host/db", "sqlite://secret.db"])
def test_a_uri_of_another_kind_is_refused_without_repeating_its_password(uri: str) -> None:
    scheme = uri.partition(":")[0]

    assert f"'{scheme}:…' cannot be loaded; a source is an SQLite database or an mlruns folder" == refusal(uri)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()

    assert f"{str(tmp_path / 'empty.db')!r} is empty" == refusal(tmp_path / "empty.db")


@pytest.mark.parametrize("content", [b"text\n" * 100, b"SQLite format 3\0", b"SQLite format 3\0" + b"\0" * 5_000])
def test_a_file_that_is_no_database_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(content)

    assert f"{str(tmp_path / 'a.db')!r} is not an SQLite database" == refusal(tmp_path / "a.db")


def test_a_database_without_mlflows_tables_is_refused_with_their_names(tmp_path: Path) -> None:
    path = changed(tmp_path / "other.db", "CREATE TABLE runs (x)", "CREATE VIEW tags AS SELECT 1")

    problem = "is not an MLflow tracking database: it has no table experiments, metrics, params, tags"
    assert f"{str(path)!r} {problem}" == refusal(path)


def test_a_database_without_a_column_it_needs_is_refused_with_its_name(database: Path) -> None:
    changed(database, "ALTER TABLE params RENAME COLUMN value TO content")

    problem = "is not an MLflow tracking database: table params has no column value"
    assert f"{str(database)!r} {problem}" == refusal(database)


def test_a_folder_without_experiments_is_refused_with_a_hint_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert f"{str(tmp_path)!r} holds no MLflow experiments" == refusal(tmp_path)

    (tmp_path / "mlruns").mkdir()
    hint = f"; did you mean {str(tmp_path / 'mlruns')!r}?"
    assert f"{str(tmp_path)!r} holds no MLflow experiments{hint}" == refusal(tmp_path)


def test_something_that_is_neither_file_nor_folder_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert f"{str(tmp_path / 'pipe')!r} is neither a file nor a folder" == refusal(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "UPDATE runs SET run_uuid = x'00' WHERE name = 'gbm-sweep'",
            "column run_uuid of table runs holds a wrong value",
        ),
        ("UPDATE metrics SET step = 'x' WHERE step = 2", "step of table metrics holds a wrong value"),
        ("UPDATE params SET value = x'ff'", "value of table params holds a wrong value"),
        (
            "UPDATE experiments SET experiment_id = 9 WHERE experiment_id = 3",
            "has the experiment '3', which does not exist",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(statement: str, problem: str, database: Path) -> None:
    changed(database, "PRAGMA ignore_check_constraints = ON", statement)

    message = refusal(database)

    assert message.startswith(f"{str(database)!r} is damaged: ")
    assert message.endswith(problem)


@pytest.mark.parametrize("column", ["status", "lifecycle_stage"])
def test_a_run_in_no_known_state_is_refused(column: str, database: Path) -> None:
    changed(
        database, "PRAGMA ignore_check_constraints = ON", f"UPDATE runs SET {column} = 'odd' WHERE name = 'gbm-sweep'"
    )

    assert refusal(database).endswith(f"has the {column.replace('_', ' ')} 'odd', which does not exist")


def test_two_experiments_of_one_name_are_refused(database: Path) -> None:
    changed(database, "UPDATE experiments SET name = 'my_experiment', workspace = 'other' WHERE experiment_id = 3")

    assert refusal(database).endswith("is damaged: two experiments have the same name")


def test_text_that_is_not_utf8_is_refused(database: Path) -> None:
    changed(database, "UPDATE params SET value = CAST(x'ff' AS TEXT)")

    assert f"{str(database)!r} is a damaged SQLite database" == refusal(database)


def test_a_database_that_is_being_written_to_is_refused_with_that_reason(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readonly, "_BUSY_SECONDS", 0.1)
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")

    message = refusal(database)

    writer.close()
    assert f"{str(database)!r} is being written to by another program; try again later" == message


def test_a_source_that_may_not_be_read_is_refused_in_one_sentence(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)

    assert f"{str(database)!r} cannot be read: Permission denied" == refusal(database)


def test_loading_takes_no_lock_away_that_the_process_holds_on_the_database(database: Path) -> None:
    reader = sqlite3.connect(database, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM runs").fetchone()
    mlquery.load(database)
    write = f"import sqlite3; sqlite3.connect({str(database)!r}, timeout=0).executescript('DELETE FROM params')"

    written = subprocess.run([sys.executable, "-c", write], capture_output=True, text=True, check=False)

    reader.close()
    assert "database is locked" in written.stderr


def test_the_error_is_a_store_error_that_survives_pickling(tmp_path: Path) -> None:
    with pytest.raises(mlquery.StoreError) as caught:
        mlquery.load(tmp_path / "missing.db")

    copy = pickle.loads(pickle.dumps(caught.value))

    assert (str(caught.value), "RESOURCE_DOES_NOT_EXIST", SourceError) == (str(copy), copy.error_code, type(copy))


# --- accepted --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["with blank.db", "a?b#c%41&d.db", "Ünï ☃.db", "sqlite:odd", "-x.db", "c:d.db"])
def test_a_file_may_be_called_anything(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(EXAMPLE, tmp_path / name)
    monkeypatch.chdir(tmp_path)

    assert [RUNS, RUNS] == [mlquery.load(name).runs.size, mlquery.load(tmp_path / name).runs.size]


def test_a_uri_may_have_options_and_a_path_may_be_escaped(tmp_path: Path) -> None:
    shutil.copytree(folder_of_one_run(tmp_path), tmp_path / "my runs")
    shutil.copy(EXAMPLE, tmp_path / "a.db")

    assert RUNS == mlquery.load(f"sqlite:///{tmp_path}/a.db?timeout=5").runs.size
    assert 1 == mlquery.load(f"file://{tmp_path}/my%20runs").runs.size
    assert 1 == mlquery.load(f"file:{tmp_path}/my%20runs").runs.size


def folder_of_one_run(tmp_path: Path) -> Path:
    experiment = tmp_path / "mlruns" / "1"
    (experiment / "abc").mkdir(parents=True)
    (experiment / "meta.yaml").write_text("experiment_id: '1'\nname: one\nartifact_location: x\n")
    (experiment / "abc" / "meta.yaml").write_text(
        "experiment_id: '1'\nrun_id: abc\nuser_id: me\nstart_time: 5\nstatus: 3\n"
    )
    return tmp_path / "mlruns"


def test_reading_changes_no_byte_and_leaves_no_file_behind(database: Path, tmp_path: Path) -> None:
    folder_of_one_run(tmp_path)
    before = folder_state(tmp_path)

    mlquery.load(database)
    mlquery.load(tmp_path / "mlruns")

    assert before == folder_state(tmp_path)


def test_a_database_in_write_ahead_mode_is_read_without_leaving_files(database: Path, tmp_path: Path) -> None:
    changed(database, "PRAGMA journal_mode = WAL")
    before = folder_state(tmp_path)

    assert RUNS == mlquery.load(database).runs.size
    assert before == folder_state(tmp_path)


def test_what_a_living_writer_has_committed_is_read_and_what_it_has_not_is_not(database: Path) -> None:
    changed(database, "PRAGMA journal_mode = WAL")
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("UPDATE runs SET name = 'committed' WHERE name = 'gbm-sweep'")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE runs SET name = 'open' WHERE name = 'mlp_sweep'")

    names = set(mlquery.load(database).runs.strings["run_name"].table)

    writer.close()
    assert {"committed", "mlp_sweep"} == names & {"committed", "open", "mlp_sweep", "gbm-sweep"}


CRASH = """
import os, sqlite3, sys
path, mode, end = sys.argv[1:]
connection = sqlite3.connect(path, isolation_level=None)
connection.execute(f"PRAGMA journal_mode = {mode}")
connection.execute("PRAGMA cache_size = 5")
connection.execute("PRAGMA wal_autocheckpoint = 0")
connection.execute("BEGIN")
connection.execute("UPDATE tags SET value = 'crashed' || hex(zeroblob(400))")
connection.execute("UPDATE runs SET name = 'crashed'")
if end == "committed":
    connection.execute("COMMIT")
os._exit(1)
"""


@pytest.mark.parametrize("keeps_index", [True, False])
@pytest.mark.parametrize(("mode", "end"), [("WAL", "committed"), ("WAL", "open"), ("DELETE", "open")])
def test_what_a_crashed_writer_left_is_read_as_mlflow_would_find_it(
    mode: str, end: str, keeps_index: bool, database: Path, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-c", CRASH, str(database), mode, end], check=False)
    if not keeps_index:
        Path(f"{database}-shm").unlink(missing_ok=True)
    before = {name: state for name, state in folder_state(tmp_path).items() if not name.endswith("-shm")}
    assert len(before) == 2, "a crash leaves a log"

    names = set(mlquery.load(database).runs.strings["run_name"].table)

    assert ({"crashed"} == names) is (end == "committed")
    assert before == {name: state for name, state in folder_state(tmp_path).items() if not name.endswith("-shm")}


# --- folders by hand -------------------------------------------------------------------------------------------------


def run_folder(tmp_path: Path) -> Path:
    return folder_of_one_run(tmp_path) / "1" / "abc"


def test_a_run_of_two_lines_has_mlflows_defaults(tmp_path: Path) -> None:
    run = mlquery.load(run_folder(tmp_path).parents[1]).get_run("abc")

    assert ("FINISHED", "active", None, {}) == (
        run.info.status,
        run.info.lifecycle_stage,
        run.info.run_name,
        run.data.tags,
    )


def test_only_folders_named_by_their_own_id_count(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    shutil.copytree(run, run.with_name("abc - copy"))
    shutil.copytree(run.parent, run.parents[1] / "2")

    store = mlquery.load(run.parents[1])

    assert (["1"], ["abc"]) == (store.experiments.ids, store.runs.ids)


def test_a_trashed_experiment_is_read_too(tmp_path: Path) -> None:
    root = folder_of_one_run(tmp_path)
    shutil.copytree(root / "1", root / ".trash" / "1")
    shutil.move(root / "1", root / ".trash" / "5")
    (root / ".trash" / "5" / "meta.yaml").write_text(
        "experiment_id: 5\nname: a\nartifact_location: x\nlifecycle_stage: deleted"
    )

    store = mlquery.load(root)

    assert {"1": "active", "5": "deleted"} == {
        e: store.get_experiment(e).lifecycle_stage for e in store.experiments.ids
    }


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("meta.yaml", b"experiment_id: '1'\nrun_id: abc\nstatus: 9", "1/abc/meta.yaml has no usable status"),
        ("meta.yaml", b"experiment_id: '1'\nrun_id: abc\nend_time: soon", "1/abc/meta.yaml has no usable end_time"),
        ("meta.yaml", b"experiment_id: '1'\nrun_id: abc\nuser_id: 7", "1/abc/meta.yaml has no usable user_id"),
        ("meta.yaml", b"experiment_id: [1]", "1/abc/meta.yaml cannot be read: line 1: unsupported value '[1]'"),
        (
            "meta.yaml",
            b"experiment_id: '1'\nrun_id: 'abc",
            "1/abc/meta.yaml cannot be read: line 2: a quote that is not closed",
        ),
        ("meta.yaml", b"a: \xff", "1/abc/meta.yaml is not valid UTF-8"),
        ("params/lr", b"\xff", "1/abc/params/lr is not valid UTF-8"),
        ("metrics/loss", b"1 2 3\n1 2 x\n", "1/abc/metrics/loss has a line that is not a metric"),
        ("metrics/loss", b"1 2 3\n\n", "1/abc/metrics/loss has a line that is not a metric"),
        ("metrics/loss", b"1 2 3 4\n", "1/abc/metrics/loss has a line that is not a metric"),
        ("metrics/loss", b"99999999999999999999 1 0\n", "1/abc/metrics/loss has a line that is not a metric"),
        ("inputs/i/meta.yaml", b"source_type: DATASET", "1/abc/inputs/i/meta.yaml has no usable source_id"),
    ],
)
def test_a_damaged_file_in_a_folder_is_refused_with_its_name(
    name: str, content: bytes, problem: str, tmp_path: Path
) -> None:
    path = run_folder(tmp_path) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)

    assert f"{str(tmp_path / 'mlruns')!r} is damaged: {problem}" == refusal(tmp_path / "mlruns")


def test_a_file_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = run_folder(tmp_path) / "tags"
    folder.mkdir()
    (folder / os.fsdecode(b"a\xff")).write_text("x")

    assert refusal(tmp_path / "mlruns").endswith("is damaged: 1/abc/tags/a\\xff is not named in UTF-8")


def test_links_and_empty_files_in_a_folder_do_no_harm(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    for kind in ("tags", "metrics"):
        (run / kind).mkdir()
        (run / kind / "round").symlink_to(run / kind)
        (run / kind / "empty").touch()
        (run / kind / "broken").symlink_to(run / "nothing")
    (run.parent / "empty").mkdir()
    (run.parent / "empty" / "meta.yaml").touch()

    found = mlquery.load(tmp_path / "mlruns").get_run("abc")

    assert ({"empty": ""}, {}) == (found.data.tags, found.data.metrics)


@pytest.mark.parametrize(
    "name",
    ["1", "1/abc", "1/abc/meta.yaml", "1/abc/params", "1/abc/params/lr", "1/abc/metrics/loss", ".trash", "1/models"],
)
def test_a_link_out_of_a_folder_is_refused_and_one_inside_is_followed(name: str, tmp_path: Path) -> None:
    top = folder_of_one_run(tmp_path)
    for inner, content in (("params/lr", "0.1"), ("metrics/loss", "1 2 3")):
        (top / "1" / "abc" / inner).parent.mkdir()
        (top / "1" / "abc" / inner).write_text(content)
    (top / ".trash").mkdir()
    (top / "1" / "models").mkdir()
    linked = top / name
    inside = top / ".kept" / linked.name
    inside.parent.mkdir()
    linked.rename(inside)
    linked.symlink_to(inside)

    found = mlquery.load(top).get_run("abc").data
    inside.parent.rename(tmp_path / "outside")
    linked.unlink()
    linked.symlink_to(tmp_path / "outside" / linked.name)

    assert ({"lr": "0.1"}, {"loss": 2.0}) == (found.params, found.metrics)
    said = refusal(top)
    assert "is a link that leads out of the folder; put a copy in its place" in said
    assert f" {name}" in said
    (tmp_path / "linked").symlink_to(top)  # the folder itself may be a link
    assert refusal(tmp_path / "linked").endswith(said.partition(" is damaged")[2])


@pytest.mark.parametrize("name", ["params/lr", "tags/a", "metrics/loss", "meta.yaml"])
def test_a_file_that_is_larger_than_memory_is_refused_unread(name: str, tmp_path: Path) -> None:
    path = run_folder(tmp_path) / name
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.truncate(3 * 10**9)  # it has holes and no blocks

    assert f"is damaged: 1/abc/{name} has 3,000,000,000 bytes, and can have" in refusal(tmp_path / "mlruns")


def test_a_tag_without_a_value_is_left_out_as_no_filter_finds_it(database: Path) -> None:
    changed(database, "UPDATE tags SET value = NULL WHERE key = 'framework'")

    assert "framework" not in mlquery.load(database).runs.tags


def test_points_of_runs_that_are_gone_are_passed_over(database: Path) -> None:
    changed(database, "DELETE FROM runs WHERE name <> 'gbm-sweep'")

    store = mlquery.load(database)

    assert (1, ["best_accuracy"]) == (store.runs.size, list(store.runs.metrics))


def test_a_metric_that_only_the_table_of_latest_ones_knows_is_kept(database: Path) -> None:
    changed(database, "DELETE FROM metrics WHERE key = 'best_accuracy'")

    store = mlquery.load(database)

    run_id = store.runs.ids[
        store.runs.strings["run_name"].codes.tolist().index(store.runs.strings["run_name"].code("gbm-sweep"))
    ]
    assert ["best_accuracy"] == list(store.get_run(run_id).data.metrics)
    assert 1 == len(store.get_metric_history(run_id, "best_accuracy"))


def test_the_garbage_collector_is_left_as_it_was(database: Path, tmp_path: Path) -> None:
    assert gc.isenabled()

    mlquery.load(database)
    refusal(tmp_path / "missing.db")
    refusal(tmp_path)
    assert gc.isenabled()

    gc.disable()
    try:
        mlquery.load(database)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_loaded_store_goes_on_as_a_store_of_its_own(database: Path) -> None:
    before = database.read_bytes()
    client: mlquery.Client = mlquery.Client(mlquery.load(database))

    new = client.create_run(client.create_experiment("new"))
    client.log_metric(new.info.run_id, "loss", 0.5)

    assert ("5", before) == (new.info.experiment_id, database.read_bytes())
