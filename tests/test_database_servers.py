"""Throw-away database servers: they start, hold data, and are gone when whoever started them is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlquery.conformance import servers
from mlquery.conformance.servers import DatabaseServer, NoServerError, started
from tests.support.databases import ON_MARIADB, ON_POSTGRES

KINDS = [pytest.param("postgres", marks=ON_POSTGRES), pytest.param("mariadb", marks=ON_MARIADB)]

# Starts a server, says where its folder is, and then waits for its end.
_STARTER = """
import sys, time
from mlquery.conformance import servers

def wait(command, folder, account, url):
    print(folder, flush=True)
    return original(command, folder, account, url)

original, servers._guarded = servers._guarded, wait
with servers.started(sys.argv[1]) as server:
    print("started", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    found: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.mark.parametrize("server", KINDS, indirect=True)
def test_a_server_gives_new_empty_databases(server: DatabaseServer) -> None:
    from sqlalchemy import create_engine, inspect

    url = server.new_database()
    engine = create_engine(url)

    assert [] == inspect(engine).get_table_names()

    engine.dispose()
    server.drop_database(url)


@pytest.mark.parametrize("server", KINDS, indirect=True)
def test_a_server_knows_every_code_point_but_demands_its_password(server: DatabaseServer) -> None:
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.exc import OperationalError

    engine = create_engine(server.url)
    with engine.connect() as connection:
        assert "ä😀" == connection.execute(text("SELECT :t"), {"t": "ä😀"}).scalar_one()
    engine.dispose()

    stranger = create_engine(make_url(server.url).set(password="wrong"))
    with pytest.raises(OperationalError):
        stranger.connect()


@pytest.fixture
def starter(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Give a process that has a server running, and the folder of that server."""
    request.getfixturevalue(f"{request.param}_server")  # skips where there is none
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLQUERY_")}
    command = [sys.executable, "-c", _STARTER, request.param]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert "started" == process.stdout.readline().strip()
    assert folder.is_dir()
    yield process, folder
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("starter", KINDS, indirect=True)
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_server_ends_and_leaves_nothing_when_its_parent_is_ended(
    starter: tuple[subprocess.Popen[str], Path], end: signal.Signals
) -> None:
    process, folder = starter

    process.send_signal(end)
    process.wait()

    while folder.exists() or processes_over(folder):
        time.sleep(0.05)


def processes_over(folder: Path) -> list[str]:
    """Return the commands that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:  # it has ended
            continue
        if str(folder) in command:
            found.append(command)
    return found


def test_a_server_of_the_environment_is_used_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLQUERY_POSTGRES_URL", "sqlite://")
    monkeypatch.setattr(servers, "_version", lambda url, name: f"{name} {url}")

    with started("postgres") as server:
        assert "MLQUERY_POSTGRES_URL sqlite://" == server.version


def test_a_server_of_the_environment_that_does_not_respond_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLQUERY_POSTGRES_URL", "postgresql+psycopg2://me:secret@127.0.0.1:1/x")

    with (
        pytest.raises(NoServerError, match="MLQUERY_POSTGRES_URL names no server that responds") as caught,
        started("postgres"),
    ):
        pass

    assert "secret" not in str(caught.value)


def test_a_server_of_the_environment_may_have_any_driver_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLQUERY_MARIADB_URL", "mysql+nowhere://me:secret@127.0.0.1:1/x")
    monkeypatch.setitem(sys.modules, "pymysql", None)  # which is not asked for then

    with pytest.raises(NoServerError, match="MLQUERY_MARIADB_URL needs the driver") as caught, started("mariadb"):
        pass

    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_installed_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLQUERY_MARIADB_URL", raising=False)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)

    with pytest.raises(NoServerError, match="instead: apt-get install mariadb-server"), started("mariadb"):
        pass


def test_a_server_that_does_not_start_is_refused_with_what_it_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLQUERY_POSTGRES_URL", raising=False)
    monkeypatch.setattr(servers, "_program", lambda name, *_: "/bin/false")

    with pytest.raises(NoServerError, match="false failed: no output"), started("postgres"):
        pass
