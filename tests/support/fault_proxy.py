"""A proxy before a server that lets requests and answers get lost, as networks and gateways do."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Choose = Callable[[str, str], str]
"""Returns what happens to a request, by its method and path: "pass", or one of `FAULTS`."""

FAULTS = (
    *("500 before", "503 before", "429 before", "500 after", "503 after", "reset before", "reset after"),
    *("cut", "stall before", "stall after", "late"),
)
"""What may happen to a request: "before" it reaches the server, "after" it was carried out; "cut" sends half of the
answer; "late" breaks the connection at once and carries the request out later."""

_RESET = struct.pack("ii", 1, 0)  # closing sends RST


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, ValueError):  # the client is gone, or was cut off here
            self.close_connection = True

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault, when = (*self.server.choose(self.command, self.path).split(), "")[:2]
        if fault == "stall":
            if when == "before":
                time.sleep(self.server.stall)
        elif fault == "late":
            self._reset()
            time.sleep(self.server.stall)
            self._forward(body)
            return
        elif when == "before":
            self._fail(fault)
            return
        status, headers, content = self._forward(body)
        if fault == "stall" and when == "after":
            time.sleep(self.server.stall)
        elif when == "after":
            self._fail(fault)
            return
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if fault == "cut":
            content = content[: len(content) // 2]
            self.close_connection = True
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        host, port = self.server.target
        connection = http.client.HTTPConnection(host, port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            connection.request(self.command, self.path, body, headers | {"Host": f"{host}:{port}"})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except (OSError, http.client.HTTPException):  # the server is down
            return 502, [], b"bad gateway"
        finally:
            connection.close()

    def _fail(self, fault: str) -> None:
        if fault == "reset":
            self._reset()
            return
        self.send_response(int(fault))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.wfile.close()
        self.rfile.close()
        self.connection.close()

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """Be quiet: clients are killed."""

    def shutdown_request(self, request: Any) -> None:
        with suppress(OSError):
            super().shutdown_request(request)


@contextmanager
def fault_proxy(url: str, choose: Choose, stall: float = 0.1) -> Iterator[str]:
    """Run a proxy before the server at a URL and yield the URL of the proxy; `stall` is in seconds."""
    parts = urlsplit(url)
    server: Any = _Server(("127.0.0.1", 0), _Handler)
    server.target, server.choose, server.stall = (parts.hostname, parts.port), choose, stall
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
