"""Ends connections in time: of clients that do not send headers, and after the answer to a request that is refused.

uvicorn waits for headers for ever, and closes a connection at once after the last answer on it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import h11
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_MESSAGE: Final = "The headers of the request did not arrive in time"
_BODY: Final = json.dumps({"error_code": "BAD_REQUEST", "message": _MESSAGE}).encode()
_HEADERS: Final = [("Content-Type", "application/json"), ("Content-Length", str(len(_BODY))), ("Connection", "close")]
_TOO_LATE: Final[Sequence[Any]] = (
    h11.Response(status_code=408, headers=_HEADERS, reason=b"Request Timeout"),
    h11.Data(data=_BODY),
    h11.EndOfMessage(),
)


class ClosingResponse(Response):
    """An answer after which the connection ends, as soon as the client has sent all or gone away.

    Ended while a client still sends, a connection is reset, and the client loses the answer. It has `patience` seconds.
    """

    def __init__(self, answer: Response, patience: float) -> None:
        super().__init__(answer.body, answer.status_code, dict(answer.headers))
        self.headers["Connection"] = "close"
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, drop what the client still sends, and end the connection."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b""})


def protocol_with(timeout: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with an end to clients that do not send the headers of a request in so many seconds."""

    class Connection(H11Protocol):
        clock: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Let the clock run while the client has yet to send headers, from the first byte of them on."""
            if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
                self._stop()
            elif self.clock is None:
                self.clock = self.loop.call_later(timeout, self._end)

        def _stop(self) -> None:
            if self.clock is not None:
                self.clock.cancel()
                self.clock = None

        def _end(self) -> None:
            if not self.transport.is_closing():
                for event in _TOO_LATE:
                    self.transport.write(self.conn.send(event) or b"")
                self.transport.close()

    return Connection
