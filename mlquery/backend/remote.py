"""A backend in another process: calls are sent there over the loopback, made there, and answered with their results.

A process that a test has started finds the backend of that test by an environment variable; who serves it is not known
here. Both sides prove that they know the key in that variable before anything is unpickled. What is sent are the
arguments of a call and its result, pickled: both processes need the same release of this package.
"""

from __future__ import annotations

import hmac
import io
import os
import pickle
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO, Final

import attrs

from mlquery.backend.service import limits_of
from mlquery.errors import INVALID_STATE, Diagnostic, StoreError
from mlquery.language.matrix import DEFAULT_DIALECT, MATRIX, Dialect
from mlquery.processes import DIGEST_SIZE, LOOPBACK, Address, parent_address
from mlquery.query.reading import warn_caller
from mlquery.store.limits import Limits

_LENGTH: Final = struct.Struct("!Q")
_PATIENCE: Final = 30.0  # seconds until a process that is busy must have said who it is


@attrs.frozen
class Request:
    """A call: the dotted name of what is called, as seen from the backend, and its arguments."""

    name: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Reply:
    """The result of a call, or the error that it has raised, pickled, and what is said besides.

    Attributes:
        content: The result or the error, pickled.
        is_error: Whether it is an error.
        text: What the error says, where it cannot be unpickled.
        dialect: The dialect that has answered.
        warnings: The warnings of the call.
    """

    content: bytes
    is_error: bool = False
    text: str = ""
    dialect: str | None = None
    warnings: tuple[Diagnostic, ...] = ()


def send(connection: socket.socket, message: bytes) -> None:
    """Send a message."""
    connection.sendall(_LENGTH.pack(len(message)))
    connection.sendall(message)


def receive(connection: socket.socket) -> bytes:
    """Return the next message; raise EOFError if there is none."""
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    found = bytearray(length)
    rest = memoryview(found)
    while rest:
        count = connection.recv_into(rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return bytes(found)


def release_of_this_process() -> str:
    """Return which releases must be the same on both sides: of this package, and of MLflow where it is imported."""
    versions = {name: getattr(sys.modules.get(name), "__version__", None) for name in ("mlquery", "mlflow")}
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def parent_backend() -> RemoteBackend | None:
    """Return the backend of the test that has started this process, None if no test has."""
    address = parent_address()
    return None if address is None else RemoteBackend(address)


class RemoteBackend:
    """Has the calls of a `Backend` and makes them in another process. Any number of threads may use it.

    Args:
        address: Where that process serves its backend.

    Attributes:
        pid: That process.
        store: What clients need of the store there.
        on_warning: What is done with the warnings of a call.
    """

    def __init__(self, address: Address) -> None:
        self.pid = address.pid
        self._address = address
        self._connections = threading.local()
        self._dialect: str | None = None
        self.store = RemoteStore(self)
        self.on_warning: Callable[[Iterable[Diagnostic]], None] = warn_caller

    def __repr__(self) -> str:
        return f"<RemoteBackend: of process {self.pid}>"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments, **keywords: self.request(name, *arguments, **keywords)

    def clock(self) -> int:
        """Return the time of the store in ms UTC."""
        return self.store.clock()

    @property
    def dialect(self) -> Dialect:
        """Return the dialect in which the last call was answered."""
        if self._dialect is None:
            self.request("time")
        return MATRIX.dialect(self._dialect or DEFAULT_DIALECT)

    @property
    def limits(self) -> Limits:
        """Return how long and how many the values of a write may be there."""
        return limits_of(self.dialect)

    # The process of the test explains what is missing, and counts traces.
    explain_missing: None = None
    dropped_traces = 0

    @property
    def missing(self) -> Mapping[str, int]:
        """Return the families of calls that the endpoint lacks, and the HTTP status it answers with."""
        missing: Mapping[str, int] = self.dialect.service.get("missing", {})
        return missing

    # Calls whose arguments cannot be sent as they are

    def log_artifacts(self, owner_id: str, files: Iterable[tuple[str, bytes]]) -> None:
        """Store files, given as paths and contents."""
        self.request("log_artifacts", owner_id, list(files))

    def log_artifact_from_stream(self, owner_id: str, path: str, stream: BinaryIO) -> None:
        """Store what a binary stream holds."""
        self.request("log_artifact_from_stream", owner_id, path, io.BytesIO(stream.read()))

    def create_model_version(self, *arguments: Any, find_model: Any = None, **keywords: Any) -> Any:
        """Create the next version of a registered model; a logged model that it is made of is found there."""
        return self.request("create_model_version", *arguments, **keywords)

    def request(self, name: str, /, *arguments: Any, **keywords: Any) -> Any:
        """Make a call there and return its result, or raise what it has raised.

        Raises:
            StoreError: that process does not answer, or no test is running in it.
        """
        reply = pickle.loads(self._exchange(pickle.dumps(Request(name, arguments, keywords))))
        assert isinstance(reply, Reply)
        self._dialect = reply.dialect or self._dialect
        if reply.warnings:
            self.on_warning(reply.warnings)
        try:
            content = pickle.loads(reply.content)
        except Exception as error:
            raise StoreError(reply.text or f"The answer to {name} cannot be read here: {error}") from error
        if reply.is_error:
            raise content
        return content

    def _exchange(self, message: bytes) -> bytes:
        """Send a message and return the answer.

        A connection is closed there between two calls only, when a test ends; the next test takes a new one.
        """
        is_new = self._present() is None
        try:
            connection = self._present() or self._connect()
            try:
                send(connection, message)
                return receive(connection)
            except (OSError, EOFError):
                if is_new:
                    raise
                connection = self._connect()
                send(connection, message)
                return receive(connection)
        except (OSError, EOFError) as error:
            raise no_test_runs(self.pid) from error

    def _present(self) -> socket.socket | None:
        """Return the connection of this thread; one that was made before a fork belongs to the other process."""
        held: _Held | None = getattr(self._connections, "held", None)
        return held.connection if held is not None and held.pid == os.getpid() else None

    def _connect(self) -> socket.socket:
        connection = socket.create_connection((LOOPBACK, self._address.port), timeout=_PATIENCE)
        try:
            self._introduce(connection)
        except BaseException:
            connection.close()
            raise
        connection.settimeout(None)
        self._connections.held = _Held(os.getpid(), connection)
        return connection

    def _introduce(self, connection: socket.socket) -> None:
        """Prove to know the key, let the other side prove it, and compare releases."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        nonce = os.urandom(DIGEST_SIZE)
        connection.sendall(nonce)
        theirs, proof = _exactly(connection, DIGEST_SIZE), _exactly(connection, DIGEST_SIZE)
        if not hmac.compare_digest(proof, self._address.proof(b"parent", nonce)):
            raise ConnectionError("another program listens there")
        connection.sendall(self._address.proof(b"child", theirs))
        send(connection, release_of_this_process().encode())
        refusal = receive(connection).decode()
        if refusal:
            raise StoreError(refusal, INVALID_STATE)


class _Held:
    """The connection of a thread, closed when the thread ends."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid, self.connection = pid, connection

    def __del__(self) -> None:
        self.connection.close()


class RemoteStore:
    """The part of a store that clients need, asked for in the process that has the store."""

    is_on_disk = False

    def __init__(self, backend: RemoteBackend) -> None:
        self._backend = backend
        self.lock: AbstractContextManager[Any] = nullcontext()

    def __repr__(self) -> str:
        return f"<RemoteStore of {self._backend!r}>"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name}: {elsewhere(self._backend.pid)}")

    @property
    def default_experiment_id(self) -> str:
        """Return the id of the default experiment."""
        found: str = self._backend.request("store.default_experiment_id")
        return found

    def clock(self) -> int:
        """Return the time of the store in ms UTC."""
        time: int = self._backend.request("store.clock")
        return time

    def owner_of_artifact(self, path: str) -> tuple[str, str]:
        """Return which run or model an artifact belongs to, and its path there."""
        found: tuple[str, str] = self._backend.request("store.owner_of_artifact", path)
        return found


def elsewhere(pid: int) -> str:
    """Return the sentence about a store that is used in a child of the process that has it."""
    return (
        f"this store is in the memory of process {pid}, which has started this one: what is done here to the store "
        "itself, or through a client of it, would be lost. Use `mlflow` or `mlquery.fluent`: they lead to that process"
    )


def no_test_runs(pid: int) -> StoreError:
    """Return the error of a call for which no store is there any more."""
    message = (
        f"This process was started by a test under mlquery.mock, and process {pid} has no active mock now, or has "
        "ended: what is logged here would be lost. Let the test wait for its child processes before it ends."
    )
    return StoreError(message, INVALID_STATE)
