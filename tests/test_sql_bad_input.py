"""What goes wrong with a database is said in one sentence that names it, without its password or a traceback."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from mlquery.errors import StoreError
from mlquery.sql.engines import sqlite as sqlite_engine
from mlquery.sql.engines.failures import explained
from mlquery.sql.engines.relational import open_relational
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.layouts.mlflow import mlflow_tables
from mlquery.sql.session import Session, read
from mlquery.sql.source import Source
from mlquery.sql.statement import Statement
from tests.support.databases import ON_MARIADB, ON_POSTGRES, database_server, new_database

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "sweep.db"
SECRET = "s3cret%40pass"
SELECT = Statement("SELECT 1")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # SQLAlchemy's about MLflow's mappers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(EXAMPLE, tmp_path / "mlflow.db"))


def refusal(url: str | sqlalchemy.Engine, statement: Statement | None = None) -> str:
    """Return the sentence with which a database is refused, or a statement in it."""

    def asked() -> None:
        engine = open_relational(url)
        try:
            if statement is None:
                mlflow_tables(engine)
            else:
                read(engine, lambda session: session.rows(statement))
        finally:
            engine.close()

    with pytest.raises(SourceUnavailableError) as caught:
        asked()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert SECRET not in sentence
    assert isinstance(caught.value, StoreError)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return sentence


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sqlite://", "is a database in memory, which only its own program can read; instead: sqlite:///PATH"),
        ("sqlite:///:memory:", "is a database in memory, which only its own program can read; instead: sqlite:///PATH"),
        ("sqlite:////nowhere/mlflow.db", "does not exist"),
        (f"sqlite:///{Path(__file__).parent}", "cannot be read: Is a directory"),
        (f"sqlite:///{__file__}", "is not an SQLite database"),
    ],
)
def test_what_is_no_database_file_is_refused(url: str, problem: str) -> None:
    assert f"{url} {problem}" == refusal(url)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mssql://u:s3cret%40pass@h/db", "mssql://u:***@h/db cannot be searched in place; of databases, sqlite, "),
        ("nonsense://u:s3cret%40pass@h/db", "nonsense://u:***@h/db cannot be searched in place; of databases, "),
        ("postgresql://u:s3cret%40pass@h:port/db", "postgresql://… is not a valid URL of a database"),
        (
            "postgresql+nodriver://u:s3cret%40pass@h/db",
            "postgresql+nodriver://u:***@h/db needs the driver nodriver, which is not installed; "
            "instead: postgresql://…, after pip install 'mlquery[sql]'",
        ),
        ("postgresql://u@nowhere.invalid/db", "postgresql://u@nowhere.invalid/db has no such host; instead: check "),
        ("mysql://u:s3cret%40pass@nowhere.invalid/db", "mysql://u:***@nowhere.invalid/db has no such host; instead: "),
        ("postgres://u:s3cret%40pass@127.0.0.1:1/db", "postgres://u:***@127.0.0.1:1/db cannot be reached: nothing "),
        ("mariadb://u:s3cret%40pass@127.0.0.1:1/db", "mariadb://u:***@127.0.0.1:1/db cannot be reached: nothing "),
        ("postgresql://h/db?sslpassword=s3cret%40pass", "postgresql://h/db?sslpassword=*** has no such host"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_without_its_password(url: str, sentence: str) -> None:
    assert refusal(url).startswith(sentence)


def test_a_driver_that_is_missing_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlquery.sql.engines.addresses.find_spec", lambda _: None)

    expected = "mysql://h/db needs a driver (mysqldb or pymysql); instead: pip install 'mlquery[sql]'"
    assert expected == refusal("mysql://h/db")


def test_a_driver_for_asyncio_is_refused_with_what_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.dialects import mysql

    monkeypatch.setattr(mysql.pymysql.dialect, "is_async", True)

    expected = "mysql+pymysql://h/db has the driver pymysql, which needs asyncio; instead: mysql://…"
    assert expected == refusal("mysql+pymysql://h/db")
    assert expected == refusal(sqlalchemy.create_engine("mysql+pymysql://h/db"))


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_locked_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_engine, "_BUSY_SECONDS", 0.1)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")

    sentence = refusal(f"sqlite:///{path}")

    writer.close()
    assert f"sqlite:///{path} is being written to by another program; try again later" == sentence


def test_a_file_that_is_locked_for_a_moment_is_waited_for(path: Path) -> None:
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.3, writer.rollback)
    release.start()

    mlflow_tables(open_relational(f"sqlite:///{path}"))

    release.join()
    writer.close()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(path: Path) -> None:
    path.chmod(0)

    assert f"sqlite:///{path} cannot be read: Permission denied" == refusal(f"sqlite:///{path}")


def test_a_damaged_file_is_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:20480] = b"\xff" * 16384
    path.write_bytes(content)

    assert refusal(f"sqlite:///{path}").startswith(f"sqlite:///{path} is ")


@pytest.mark.parametrize("what", ["SELECT nope FROM runs", "SELECT * FROM nope"])
def test_a_table_or_column_that_went_missing_is_named(what: str, path: Path) -> None:
    sentence = refusal(f"sqlite:///{path}", Statement(what))

    assert sentence.startswith(f"sqlite:///{path} lacks what MLflow's tables have: no such ")
    assert "nope; instead: run `mlflow db upgrade`, or restore a backup" in sentence


def test_a_search_of_a_file_that_vanished_is_refused(path: Path) -> None:
    engine = open_relational(f"sqlite:///{path}")
    source = Source(engine, mlflow_tables(engine))
    path.unlink()

    with pytest.raises(SourceUnavailableError, match=r"mlflow\.db does not exist"):
        source.runs(["x"])


def test_a_query_that_is_interrupted_is_refused(path: Path) -> None:
    slow = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT MAX(x) FROM n"

    def work(session: Session) -> None:
        threading.Timer(0.2, session.connection.interrupt).start()
        session.rows(Statement(slow))

    with pytest.raises(SourceUnavailableError, match="did not finish: the query was cancelled"):
        read(open_relational(f"sqlite:///{path}"), work)


# --- servers ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[pytest.param("postgres", marks=ON_POSTGRES), pytest.param("mariadb", marks=ON_MARIADB)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with database_server(request.param) as server, new_database(server) as url:
        yield url


def changed_url(url: str, **parts: str) -> str:
    return sqlalchemy.make_url(url).set(**parts).render_as_string(hide_password=False)  # type: ignore[arg-type]


def executed(url: str, *statements: str) -> None:
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sqlalchemy.text(statement))
    engine.dispose()


def test_a_server_says_what_is_wrong_in_one_sentence(url: str) -> None:
    refused = "refuses the user or the password; instead: check both in the URI"
    assert refusal(changed_url(url, password=SECRET)).endswith(refused)
    assert refusal(changed_url(url, username="nobody", password=SECRET)).endswith(refused)
    missing = "has no such database; instead: check the name at the end of the URI"
    assert refusal(changed_url(url, database="nowhere")).endswith(missing)
    assert "is not an MLflow tracking database: it has no table experiments, " in refusal(url)
    executed(url, "CREATE TABLE runs (name INTEGER)")
    assert "it has no table experiments, experiment_tags, latest_metrics, " in refusal(url)
    lacks = "lacks what MLflow's tables have: "
    assert lacks in refusal(url, Statement("SELECT nope FROM runs"))
    assert lacks in refusal(url, Statement("SELECT * FROM nope"))
    assert "refuses the query: " in refusal(url, Statement("SELECT FROM WHERE"))


@ON_POSTGRES
def test_a_user_who_may_not_read_is_told_so() -> None:
    with database_server("postgres") as server, new_database(server) as url:
        create = "CREATE USER reader PASSWORD 'abc'"
        executed(url, "CREATE TABLE a (x INTEGER)", create)
        reader = changed_url(url, username="reader", password="abc")

        denied, unseen = refusal(reader, Statement("SELECT * FROM a")), refusal(reader)

        executed(url, "DROP USER reader")
    assert "does not let this user read: permission denied for table a; instead: GRANT SELECT" in denied
    assert "it has no table experiments" in unseen


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Exception(1142, "SELECT command denied to user"), "does not let this user read: SELECT command denied"),
        (Exception(2006, "Server has gone away"), "closed the connection: Server has gone away; try again later"),
        (Exception(1205, "Lock wait timeout exceeded"), "is locked by another program: Lock wait timeout exceeded"),
        (Exception(1040, "Too many connections"), "takes no more connections: Too many connections; try again"),
        (Exception("connection timeout expired"), "cannot be reached: it did not answer in time"),
        (Exception("FATAL:  the database system is starting up"), "closed the connection: FATAL:  the database"),
        (Exception("something\nelse, with hush"), "does not answer: something"),
        (Exception("odd: hush"), "does not answer: odd: ***"),
        (Exception(), "does not answer: it gave no reason"),
    ],
)
def test_what_a_driver_says_becomes_a_sentence(error: Exception, words: str) -> None:
    assert explained(error, ["hush"]).startswith(words)


def test_a_query_that_the_server_cancels_is_refused(url: str) -> None:
    is_postgres = url.startswith("postgresql")
    engine, admin = open_relational(url), sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    me = "SELECT pg_backend_pid()" if is_postgres else "SELECT CONNECTION_ID()"
    cancel = "SELECT pg_cancel_backend({})" if is_postgres else "KILL QUERY {}"
    # A sleep that is interrupted ends well on MariaDB, so the query has to look for rows.
    columns = "information_schema.columns"
    slow = "SELECT pg_sleep(60)" if is_postgres else f"SELECT COUNT(*) FROM {columns} a, {columns} b, {columns} c"

    def work(session: Session) -> None:
        number = int(session.rows(Statement(me))[0][0])

        def cancelled() -> None:
            time.sleep(0.5)
            with admin.connect() as connection:
                connection.execute(sqlalchemy.text(cancel.format(number)))

        thread = threading.Thread(target=cancelled)
        thread.start()
        try:
            session.rows(Statement(slow))
        finally:
            thread.join()

    with pytest.raises(SourceUnavailableError, match="cancelled the query: "):
        read(engine, work)
    assert [(1,)] == read(engine, lambda session: session.rows(SELECT))  # and goes on
    engine.close()
    admin.dispose()
