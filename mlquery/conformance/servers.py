"""Starts throw-away database servers: PostgreSQL and MariaDB as Debian installs them, on a free port of the loopback.

A server keeps its files in a temporary folder, has one user with a password made for it, and syncs nothing to the
disk. A guard, a process of its own, ends the server and removes the folder as soon as its parent ends, for whatever
reason. Started as root, a server runs as another user, as both demand.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import attrs

from mlquery.conformance import server_guard
from mlquery.errors import StoreError

LOOPBACK: Final = "127.0.0.1"
_USER: Final = "mlquery"
_ATTEMPTS: Final = 3  # somebody else may take the port between its choice and the start
_SECONDS: Final = 60.0
_POSTGRES_FOLDERS: Final = "/usr/lib/postgresql"  # Debian's, which are on nobody's PATH
_SETTINGS: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "256MB",
    "shared_buffers": "64MB",
}
_FAST: Final = ("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--skip-log-bin", "--skip-name-resolve")


class NoServerError(StoreError):
    """A database server that cannot be had here; the message says why and what to do instead."""


@attrs.frozen(eq=False)
class DatabaseServer:
    """A running server.

    Attributes:
        url: The SQLAlchemy URL of a database that is there from the start, password included.
        version: What the server says of itself.
    """

    url: str
    version: str

    def new_database(self) -> str:
        """Create an empty database under a new name, and return its URL."""
        from sqlalchemy import create_engine, make_url, text

        name = f"mlquery_{secrets.token_hex(6)}"
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def drop_database(self, url: str) -> None:
        """Remove a database that `new_database` made, even one that somebody is connected to."""
        from sqlalchemy import create_engine, make_url, text

        forced = " WITH (FORCE)" if make_url(url).get_backend_name() == "postgresql" else ""
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {make_url(url).database}{forced}"))
        engine.dispose()


@contextmanager
def started(kind: str) -> Iterator[DatabaseServer]:
    """Give a server of a kind, "postgres" or "mariadb": a throw-away one, or that of the environment.

    `MLQUERY_POSTGRES_URL` and `MLQUERY_MARIADB_URL` are SQLAlchemy URLs of servers to use instead, with whichever
    driver; their users may create databases.

    Raises:
        NoServerError: the server's programs or its driver are not installed, or it does not start.
    """
    variable = f"MLQUERY_{kind.upper()}_URL"
    make, driver = {"postgres": (_postgres, "psycopg2"), "mariadb": (_mariadb, "pymysql")}[kind]
    if given := os.environ.get(variable):
        _require("sqlalchemy")
        yield DatabaseServer(given, _version(given, variable))
        return
    _require("sqlalchemy", driver)
    with contextlib.ExitStack() as stack:
        for attempt in range(_ATTEMPTS):
            try:
                server = stack.enter_context(make())
                break
            except _NotReadyError as error:
                if attempt == _ATTEMPTS - 1:
                    raise NoServerError(f"{kind} does not start: {error}") from None
        yield server


class _NotReadyError(Exception):
    """A server that ended or did not respond in time."""


@contextmanager
def _postgres() -> Iterator[DatabaseServer]:
    initdb, postgres = (_program(name, "postgresql", _postgres_folders()) for name in ("initdb", "postgres"))
    with _folder("postgres") as (folder, account):
        password, port = secrets.token_hex(16), _free_port()
        (folder / "password").write_text(password, "utf-8")
        _give(folder / "password", account)
        new = [initdb, "-D", str(folder / "data"), "-U", _USER, "-A", "scram-sha-256", "--no-sync", "-E", "UTF8"]
        new += ["--pwfile", str(folder / "password"), "--locale", "C.UTF-8"]
        # A language's order of strings, where it is built in, since most databases have one.
        languages = ["--locale-provider", "icu", "--icu-locale", "en"]
        if _fails([*new, *languages], folder, account):
            shutil.rmtree(folder / "data", ignore_errors=True)
            _run(new, folder, account)
        where = {"listen_addresses": LOOPBACK, "port": str(port), "unix_socket_directories": str(folder)}
        options = [part for item in {**_SETTINGS, **where}.items() for part in ("-c", "=".join(item))]
        url = f"postgresql+psycopg2://{_USER}:{password}@{LOOPBACK}:{port}/postgres"
        with _guarded([postgres, "-D", str(folder / "data"), *options], folder, account, url) as server:
            yield server


@contextmanager
def _mariadb() -> Iterator[DatabaseServer]:
    install = _program("mariadb-install-db", "mariadb-server")
    mariadbd = _program("mariadbd", "mariadb-server", ["/usr/sbin"])
    with _folder("mysql") as (folder, account):
        password, port = secrets.token_hex(16), _free_port()
        start = folder / "start.sql"
        start.write_text(
            f"CREATE USER '{_USER}'@'%' IDENTIFIED BY '{password}';\n"
            f"GRANT ALL ON *.* TO '{_USER}'@'%';\n"
            f"ALTER USER root@localhost IDENTIFIED BY '{password}';\n"
            "CREATE DATABASE IF NOT EXISTS mlquery;\n",
            "utf-8",
        )
        _give(start, account)
        data = ["--no-defaults", f"--datadir={folder / 'data'}"]
        _run([install, *data, "--auth-root-authentication-method=normal", "--skip-test-db"], folder, account)
        where = [f"--socket={folder / 'socket'}", f"--port={port}", f"--bind-address={LOOPBACK}"]
        options = [*where, *_FAST, f"--init-file={start}", "--character-set-server=utf8mb4", f"--tmpdir={folder}"]
        url = f"mysql+pymysql://{_USER}:{password}@{LOOPBACK}:{port}/mlquery?charset=utf8mb4"
        with _guarded([mariadbd, *data, *options], folder, account, url) as server:
            yield server


# Programs, folders, accounts


def _postgres_folders() -> list[str]:
    versions = [path for path in Path(_POSTGRES_FOLDERS).glob("*/bin") if path.parent.name.isdecimal()]
    return [str(path) for path in sorted(versions, key=lambda path: -int(path.parent.name))]


def _program(name: str, package: str, folders: list[str] | None = None) -> str:
    """Return the path of a program; raise NoServerError if its package is not installed."""
    found = shutil.which(name, path=os.pathsep.join([*(folders or []), os.environ.get("PATH", "")]))
    if found is None:
        raise NoServerError(f"{name} is not installed; instead: apt-get install {package}")
    return found


@contextmanager
def _folder(owner: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Give a new folder, and the arguments for processes of the account that owns it: `owner` if this one is root."""
    account = _account(owner) if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="mlquery-"))  # where another account can reach it
    try:
        _give(folder, account)
        yield folder, account
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _account(name: str) -> dict[str, Any]:
    import pwd

    for known in (name, "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(known)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise NoServerError(f"there is no user {name} that a database server could run as")


def _give(path: Path, account: Mapping[str, Any]) -> None:
    if account:
        os.chown(path, account["user"], account["group"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _fails(command: list[str], folder: Path, account: Mapping[str, Any]) -> bool:
    return bool(_completed(command, folder, account).returncode)


def _run(command: list[str], folder: Path, account: Mapping[str, Any]) -> None:
    """Run a program to its end; raise NoServerError with what it wrote if it fails."""
    done = _completed(command, folder, account)
    if done.returncode:
        raise NoServerError(f"{Path(command[0]).name} failed: {_last_line(done.stdout)}")


def _completed(command: list[str], folder: Path, account: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    output: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, cwd=folder, text=True, errors="replace", check=False, **output, **account
    )
    return done


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


# A running server


@contextmanager
def _guarded(command: list[str], folder: Path, account: Mapping[str, Any], url: str) -> Iterator[DatabaseServer]:
    """Give a server while its guard runs it; raise _NotReadyError if it cannot be asked for its version."""
    ids = [str(account.get(name, "")) for name in ("user", "group")]
    guard = subprocess.Popen(
        [sys.executable, server_guard.__file__, str(folder), *ids, *command],
        stdin=subprocess.PIPE,
        start_new_session=True,  # out of reach of a Ctrl-C, which would end the server before its clients
    )
    try:
        yield DatabaseServer(url, _awaited_version(guard, url, folder))
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait()


def _awaited_version(guard: subprocess.Popen[bytes], url: str, folder: Path) -> str:
    end, reason = time.monotonic() + _SECONDS, ""
    while guard.poll() is None and time.monotonic() < end:
        try:
            return _version(url, "its URL")
        except NoServerError as error:
            reason = str(error)
            time.sleep(0.05)
    log = folder / "log"
    raise _NotReadyError(_last_line(log.read_text("utf-8", "replace")) if log.exists() else reason)


def _version(url: str, name: str) -> str:
    """Return the version of the server of a URL; raise NoServerError for one that cannot be reached."""
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.exc import DBAPIError, NoSuchModuleError

    try:
        engine = create_engine(url)
    except (ModuleNotFoundError, NoSuchModuleError):
        driver = make_url(url).drivername.partition("+")[2]
        raise NoServerError(f"{name} needs the driver {driver}, which is not installed") from None
    try:
        with engine.connect() as connection:
            return str(connection.execute(text("SELECT version()")).scalar_one())
    except DBAPIError as error:
        raise NoServerError(f"{name} names no server that responds: {_last_line(str(error.orig))}") from None
    finally:
        engine.dispose()


def _require(*packages: str) -> None:
    """Raise NoServerError if one of SQLAlchemy and the driver of a server is not installed."""
    for package in packages:
        try:
            import_module(package)
        except ModuleNotFoundError:
            raise NoServerError(f"{package} is not installed; instead: pip install 'mlquery[sql]' {package}") from None
