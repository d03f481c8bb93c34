"""Runs the application: binds a socket, says where, and serves until it is told to stop, here or in a thread."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from mlquery import __version__
from mlquery.server.app import create_app
from mlquery.server.certificates import Certificate
from mlquery.server.connections import protocol_with
from mlquery.server.security import Security
from mlquery.server.service import Service

LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 2048
_SOON: Final = 10.0
_TURN: Final = 0.001  # seconds


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 means any that is free.

    Raises:
        OSError: the address cannot be had.
    """
    # With the protocol named, asyncio sends small packets at once; else answers wait 40 ms for an acknowledgement.
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def url_of(listening: socket.socket, certificate: Certificate | None = None) -> str:
    """Return the URL under which a socket is reached, by https with a certificate."""
    host, port = listening.getsockname()[:2]
    scheme = "http" if certificate is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class _Announcing(uvicorn.Server):
    """A server that says when it serves; from then on an interrupt ends it in order."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


class _Stoppable(uvicorn.Server):
    """A server that stops when told to, also after a test has frozen the clock by which uvicorn waits to look.

    A wait that begins while freezegun shows another year does not end.
    """

    async def main_loop(self) -> None:
        self._told, self._loop = asyncio.Event(), asyncio.get_running_loop()  # in this order, for `stop`
        waiting = {asyncio.create_task(super().main_loop()), asyncio.create_task(self._told.wait())}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    def stop(self) -> None:
        """Stop, soon, from another thread."""
        self.should_exit = True
        if hasattr(self, "_loop"):
            self._loop.call_soon_threadsafe(self._told.set)


def serve(
    service: Service,
    security: Security,
    listening: socket.socket,
    announce: Callable[[], None],
    certificate: Certificate | None = None,
) -> None:
    """Serve until the process is interrupted. Requests that came since the socket was bound are answered too.

    `announce` is called once interrupts are looked after.
    """
    sys.setswitchinterval(_TURN)  # the loop, which has little to do, gets its turn soon while threads compute
    _Announcing(_config(service, security, certificate), announce).run(sockets=[listening])


@contextmanager
def serving(
    service: Service, security: Security | None = None, certificate: Certificate | None = None
) -> Iterator[str]:
    """Serve on a free port of the loopback, in a thread of this process, and give the URL."""
    listening = bound_socket(LOOPBACK, 0)
    server = _Stoppable(_config(service, Security() if security is None else security, certificate))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="mlquery server", daemon=True)
    thread.start()
    try:
        yield url_of(listening, certificate)
    finally:
        server.stop()
        thread.join(_SOON)
        listening.close()


def _config(service: Service, security: Security, certificate: Certificate | None) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(service, security),
        http=protocol_with(security.timeout),
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[("Server", f"mlquery/{__version__}")],
        timeout_graceful_shutdown=1,
        ssl_certfile=None if certificate is None else certificate.certfile,
        ssl_keyfile=None if certificate is None else certificate.keyfile,
    )
