"""Serves child processes over the loopback: what they send goes to a function, and what it returns goes back.

One thread waits for all of them, so that it can be stopped for the moment of a fork and nothing is in its hands then.
Whoever does not prove to know the key is heard no further than the proof. What is called is not known here.
"""

from __future__ import annotations

import hmac
import os
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Final

import attrs

from mlquery.backend.remote import receive, release_of_this_process, send
from mlquery.processes import DIGEST_SIZE, LOOPBACK, Address

_BACKLOG: Final = 512
_PATIENCE: Final = 30.0  # seconds that a child may take to send the rest of a message
_MOMENT: Final = 0.0001


@attrs.define(eq=False)
class _Peer:
    """One who has connected; before anything else comes the proof of the key."""

    connection: socket.socket
    nonce: bytes = b""
    received: bytes = b""
    is_trusted: bool = False
    is_greeted: bool = False


class ChildServer:
    """A port of the loopback, which is held for the life of the process, and from time to time a thread that serves it.

    Args:
        answer: Returns the answer to a message.
    """

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._key = os.urandom(DIGEST_SIZE).hex()
        self._port_holder = _bound(0)
        self._is_listening = False
        self._peers: list[_Peer] = []
        self._thread: threading.Thread | None = None
        self._wakers: tuple[socket.socket, ...] = ()

    @property
    def address(self) -> Address:
        """Return where children find this process."""
        return Address(os.getpid(), self._port_holder.getsockname()[1], self._key)

    def start(self) -> None:
        """Serve, in a thread; nothing happens if it is there already."""
        if self._thread is not None:
            return
        if not self._is_listening:
            self._port_holder.listen(_BACKLOG)
            self._is_listening = True
        self._wakers = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="mlquery children", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """End the thread when it has answered, and wait until it is gone; what children send meanwhile waits."""
        thread = self._thread
        if thread is not None:
            self._end_thread(thread)
            _await_end(thread)

    def stop(self) -> None:
        """Serve no more: children are refused from now on. The port is kept for those of the next test."""
        if self._thread is not None:
            self._end_thread(self._thread)
        self._drop(*self._peers)
        if self._is_listening:
            port = self.address.port
            self._port_holder.close()
            try:
                self._port_holder = _bound(port)
            except OSError:  # somebody was faster: children that live longer than this test do not find the next one
                self._port_holder = _bound(0)
            self._is_listening = False

    def close(self) -> None:
        """Give everything back; to be called at the end of the process."""
        self.pause()
        self.forget()

    def forget(self) -> None:
        """Close what a fork has copied; the process that serves keeps its own."""
        self._drop(*self._peers)
        self._port_holder.close()
        for waker in self._wakers:
            waker.close()

    def _end_thread(self, thread: threading.Thread) -> None:
        self._wakers[0].close()
        thread.join(_PATIENCE)
        self._wakers[1].close()
        self._thread = None

    def _drop(self, *peers: _Peer) -> None:
        for peer in peers:
            peer.connection.close()
            self._peers.remove(peer)

    def _serve(self) -> None:
        waker = self._wakers[1]
        with selectors.DefaultSelector() as selector:
            selector.register(waker, selectors.EVENT_READ)
            selector.register(self._port_holder, selectors.EVENT_READ)
            for peer in self._peers:
                selector.register(peer.connection, selectors.EVENT_READ, peer)
            while True:
                ready = [key for key, _ in selector.select()]
                if any(key.fileobj is waker for key in ready):
                    return
                for key in ready:
                    if key.data is None:
                        self._accept(selector)
                    else:
                        self._hear(key.data, selector)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            connection, _ = self._port_holder.accept()
        except OSError:  # gone again
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(_PATIENCE)
        peer = _Peer(connection)
        self._peers.append(peer)
        selector.register(connection, selectors.EVENT_READ, peer)

    def _hear(self, peer: _Peer, selector: selectors.BaseSelector) -> None:
        """Take what one has sent, and answer."""
        try:
            if not peer.is_trusted:
                self._check(peer)
            elif not peer.is_greeted:
                self._greet(peer)
            else:
                send(peer.connection, self._answer(receive(peer.connection)))
        except (OSError, EOFError):  # it has ended, or is not one of ours
            selector.unregister(peer.connection)
            self._drop(peer)

    def _check(self, peer: _Peer) -> None:
        """Take what is there of the next bytes: random ones to answer, then the proof; nobody is waited for."""
        found = peer.connection.recv(DIGEST_SIZE - len(peer.received))
        if not found:
            raise EOFError
        peer.received += found
        if len(peer.received) < DIGEST_SIZE:
            return
        given, peer.received = peer.received, b""
        if not peer.nonce:
            peer.nonce = os.urandom(DIGEST_SIZE)
            peer.connection.sendall(peer.nonce + self.address.proof(b"parent", given))
        elif hmac.compare_digest(given, self.address.proof(b"child", peer.nonce)):
            peer.is_trusted = True
        else:
            raise EOFError

    def _greet(self, peer: _Peer) -> None:
        theirs, ours = receive(peer.connection).decode(), release_of_this_process()
        pairs = zip(theirs.split(", "), ours.split(", "), strict=False)  # one side may not have imported MLflow
        is_same = all(one == other for one, other in pairs)
        refusal = f"A child process of a test needs the releases of the test: it has {theirs}, the test has {ours}."
        send(peer.connection, b"" if is_same else refusal.encode())
        peer.is_greeted = True


def _bound(port: int) -> socket.socket:
    """Return a socket that has a port and does not listen yet."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((LOOPBACK, port))
    except OSError:
        found.close()
        raise
    return found


def _await_end(thread: threading.Thread) -> None:
    """Wait until the system does not count a thread any more that has ended; `os.fork` warns of those it counts."""
    place = Path(f"/proc/self/task/{thread.native_id}")
    for _ in range(100):
        with suppress(OSError):
            if place.exists():
                sleep(_MOMENT)
                continue
        return
