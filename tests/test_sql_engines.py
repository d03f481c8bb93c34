"""SQLite files and servers as engines: snapshots that change nothing, hold nobody back, and show one state."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from mlquery.sql.engines.relational import Relational, open_relational
from mlquery.sql.engines.sqlite import SqliteFile
from mlquery.sql.errors import ChangedError, SourceUnavailableError
from mlquery.sql.expressions import ValueKind
from mlquery.sql.session import Session, read
from mlquery.sql.statement import Statement
from tests.support.databases import ON_MARIADB, ON_POSTGRES, database_server, new_database

COUNT = Statement("SELECT COUNT(*) FROM t")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    write(path, "CREATE TABLE t (x INTEGER)", "INSERT INTO t VALUES (1)")
    return path


def write(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def opened(path: Path) -> SqliteFile:
    engine = open_relational(f"sqlite:///{path}")
    assert isinstance(engine, SqliteFile)
    return engine


def count(session: Session) -> int:
    return int(session.rows(COUNT)[0][0])


def folder_state(folder: Path) -> dict[str, str]:
    # Started apart, because opening a database here would take SQLite's locks away.
    code = "import sys, hashlib; [print(p, hashlib.sha256(open(p, 'rb').read()).hexdigest()) for p in sys.argv[1:]]"
    paths = sorted(map(str, folder.iterdir()))
    shown = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True).stdout
    return dict(line.rsplit(" ", 1) for line in shown.splitlines())


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_reading_a_file_changes_nothing_and_leaves_nothing_beside_it(mode: str, path: Path) -> None:
    write(path, f"PRAGMA journal_mode = {mode}", "INSERT INTO t VALUES (2)")
    before = folder_state(path.parent)
    engine = opened(path)

    assert 2 == read(engine, count)
    assert before == folder_state(path.parent)
    engine.close()
    assert before == folder_state(path.parent)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_session_cannot_write(mode: str, path: Path) -> None:
    write(path, f"PRAGMA journal_mode = {mode}")
    engine = opened(path)

    with engine.snapshot() as session, pytest.raises(SourceUnavailableError, match="cannot be opened for writing"):
        session.rows(Statement("INSERT INTO t VALUES (2)"))

    assert 1 == read(engine, count)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_what_another_program_commits_is_seen_by_the_next_snapshot(mode: str, path: Path) -> None:
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute(f"PRAGMA journal_mode = {mode}")
    engine = opened(path)
    seen = []

    for number in range(5):
        writer.execute("INSERT INTO t VALUES (?)", (number,))
        seen.append(read(engine, count))

    writer.close()
    assert [2, 3, 4, 5, 6] == [*seen]
    write(path, "INSERT INTO t VALUES (9)")
    assert 7 == read(engine, count)


def test_a_snapshot_is_one_state_while_others_write_ahead(path: Path) -> None:
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO t VALUES (2)")

    with opened(path).snapshot() as session:
        first = count(session)
        writer.execute("INSERT INTO t VALUES (3)")
        second = count(session)

    writer.close()
    assert (2, 2) == (first, second)


def test_a_writer_waits_for_the_end_of_a_snapshot_and_no_longer(path: Path) -> None:
    writer = sqlite3.connect(path, isolation_level=None, timeout=0)
    engine = opened(path)
    with engine.snapshot() as session:
        count(session)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute("INSERT INTO t VALUES (2)")

    writer.execute("INSERT INTO t VALUES (2)")  # the connection is open, and holds nothing

    writer.close()
    assert 2 == read(engine, count)


def test_two_snapshots_of_a_process_keep_each_others_locks(path: Path) -> None:
    write = "INSERT INTO t VALUES (2)"
    writer = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0, isolation_level=None).execute({write!r})"
    with opened(path).snapshot() as session:
        count(session)
        read(opened(path), count)

        refused = subprocess.run([sys.executable, "-c", writer], capture_output=True, text=True, check=False).stderr

    assert "database is locked" in refused


def test_a_file_that_was_written_while_it_was_read_as_immutable_is_read_again(path: Path) -> None:
    write(path, "PRAGMA journal_mode = WAL")
    engine, seen = opened(path), list[int]()

    def work(session: Session) -> int:
        seen.append(count(session))
        if len(seen) == 1:
            write(path, "INSERT INTO t VALUES (2)")
        return count(session)

    assert 2 == read(engine, work)
    assert [1, 2] == seen


def test_a_file_that_never_holds_still_is_refused(path: Path) -> None:
    write(path, "PRAGMA journal_mode = WAL")

    def work(session: Session) -> None:
        count(session)
        write(path, "INSERT INTO t VALUES (2)")

    with pytest.raises(ChangedError, match="is being written to by another program; try again later"):
        read(opened(path), work)


def test_what_a_crash_left_unfinished_is_read_from_a_copy(path: Path, tmp_path: Path) -> None:
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO t VALUES (2)")
    left = tmp_path / "left"
    left.mkdir()
    for file in (path, Path(f"{path}-wal")):
        shutil.copy(file, left)
    writer.close()
    before = folder_state(left)
    engine = opened(left / path.name)

    assert [2, 2] == [read(engine, count), read(engine, count)]
    assert before == folder_state(left)
    engine.close()


def test_a_file_in_the_place_of_another_is_read(path: Path, tmp_path: Path) -> None:
    engine = opened(path)
    assert 1 == read(engine, count)
    write(tmp_path / "b.db", "CREATE TABLE t (x INTEGER)")

    (tmp_path / "b.db").replace(path)

    assert 0 == read(engine, count)


def test_like_minds_the_case(path: Path) -> None:
    assert [(0, 1)] == read(opened(path), lambda session: session.rows(Statement("SELECT 'A' LIKE 'a', 'a' LIKE 'a'")))


def test_many_threads_use_one_engine(path: Path) -> None:
    engine, seen = opened(path), list[int]()

    def search() -> None:
        seen.extend(read(engine, count) for _ in range(50))

    threads = [threading.Thread(target=search) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    engine.close()
    assert [1] * 600 == seen


def test_the_plan_of_sqlite_is_indented(path: Path) -> None:
    plan = opened(path).explain(Statement("SELECT x FROM t WHERE x IN (SELECT x FROM t WHERE x > :p0)", {"p0": 1}))

    assert ["SCAN t", "LIST SUBQUERY 1", "  SCAN t"] == plan


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
def test_a_file_has_one_address_with_and_without_a_driver(scheme: str, path: Path) -> None:
    assert 1 == read(open_relational(f"{scheme}:///{path}"), count)


def test_an_engine_of_sqlalchemy_for_a_file_is_opened_as_the_file(path: Path) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")

    assert 1 == read(open_relational(engine), count)
    assert 1 == read(open_relational(engine.url), count)


def test_a_file_is_opened_without_sqlalchemy(path: Path) -> None:
    code = (
        "import sys; from mlquery.sql.engines.relational import open_relational\n"
        f"with open_relational('sqlite:///{path}').snapshot(): print('sqlalchemy' in sys.modules)"
    )

    assert "False\n" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


# --- servers ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[pytest.param("postgres", marks=ON_POSTGRES), pytest.param("mariadb", marks=ON_MARIADB)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with database_server(request.param) as server, new_database(server) as url:
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE t (x INTEGER)"))
            connection.execute(sqlalchemy.text("INSERT INTO t VALUES (1)"))
        engine.dispose()
        yield url


def test_a_snapshot_of_a_server_is_one_state_that_cannot_be_changed_and_holds_nobody_back(url: str) -> None:
    engine, writer = Relational(url), sqlalchemy.create_engine(url)
    with engine.snapshot() as session:
        first = count(session)
        with writer.begin() as connection:
            connection.execute(sqlalchemy.text("INSERT INTO t VALUES (2)"))
        second = count(session)
        with pytest.raises(SourceUnavailableError, match=r"(?i)refuses the query: .*read.only"):
            session.rows(Statement("DELETE FROM t"))

    assert (1, 1, 2) == (first, second, read(engine, count))
    engine.close()
    writer.dispose()


def test_values_are_bound_whatever_is_in_them(url: str) -> None:
    engine = Relational(url)
    strings = ["it's", "a\\b", "%s %(p1)s", ":p1", "😀", "", "x\ny", '"']

    def echoed(session: Session) -> list[str]:
        return [session.rows(Statement("SELECT :p0", {"p0": string}))[0][0] for string in strings]

    def found(session: Session) -> int:
        dialect = session.dialect
        statement = Statement(
            f"SELECT {dialect.in_array(':p1', dialect.bind('p0'), ValueKind.STRING)}",
            {"p0": dialect.array(strings, ValueKind.STRING), "p1": "a\\b"},
        )
        return int(session.rows(statement)[0][0])

    assert strings == read(engine, echoed)
    assert 1 == read(engine, found)
    engine.close()


@pytest.mark.parametrize("url", [pytest.param("postgres", marks=ON_POSTGRES)], indirect=True)
def test_postgresql_joins_tables_without_statistics_as_a_whole(url: str) -> None:
    engine, writer = Relational(url), sqlalchemy.create_engine(url)

    def setting(session: Session) -> str:
        return str(session.rows(Statement("SHOW enable_nestloop"))[0][0])

    before = read(engine, setting)
    with writer.begin() as connection:
        connection.execute(sqlalchemy.text("ANALYZE t"))

    assert ("off", "on") == (before, read(engine, setting))
    engine.close()
    writer.dispose()


def test_an_engine_of_the_caller_stays_open_and_as_it_was(url: str) -> None:
    mine = sqlalchemy.create_engine(url, pool_size=1, max_overflow=0)
    engine = open_relational(mine)

    assert 1 == read(engine, count)
    engine.close()

    with mine.begin() as connection:  # not in a transaction of the other, nor read-only
        connection.execute(sqlalchemy.text("INSERT INTO t VALUES (2)"))
    assert 2 == read(engine, count)
    mine.dispose()


def test_a_connection_that_the_server_closed_is_made_again(url: str) -> None:
    engine, killed = Relational(url), list[int]()
    me = "pg_backend_pid()" if url.startswith("postgresql") else "CONNECTION_ID()"
    kill = "SELECT pg_terminate_backend({})" if url.startswith("postgresql") else "KILL CONNECTION {}"
    admin = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")

    def work(session: Session) -> int:
        number = session.rows(Statement(f"SELECT {me}"))[0][0]
        if not killed:
            killed.append(number)
            with admin.connect() as connection:
                connection.execute(sqlalchemy.text(kill.format(int(number))))
        return count(session)

    assert 1 == read(engine, work)
    assert killed
    engine.close()
    admin.dispose()


def test_a_server_says_how_it_would_run_a_statement(url: str) -> None:
    engine = Relational(url)

    assert any("t" in line for line in engine.explain(Statement("SELECT x FROM t WHERE x > :p0", {"p0": 1})))
    engine.close()
