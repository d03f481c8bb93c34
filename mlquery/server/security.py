"""Decides which requests are admitted, by token, host and origin, and how large and slow their bodies may be.

A server on the loopback answers only to loopback names, and changes nothing for pages of other sites: a browser on the
same machine must not become a way in.

**Source**: `mlflow.server.security` of MLflow 3.17 for hosts and origins.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from mlquery.server.errors import RequestError

Receive = Callable[[], Awaitable[Any]]
_CHANGING: Final = ("POST", "PUT", "PATCH", "DELETE")
_OPEN: Final = ("/health", "/version")
_PAGE: Final = "/"
IDENTITY: Final = "/mlquery/identity"
"""Where a client of Azure gets its token; it names that token itself."""
_ASSETS: Final = "/mlquery/assets/"  # like the page, they hold no data
_QUESTIONS: Final = "/mlquery/page/"  # asked with POST although they change nothing
_MOMENT: Final = 0.5
MEGABYTE: Final = 1_000_000


@attrs.frozen
class Security:
    """The conditions on which a request is answered.

    Attributes:
        token: The token that the Authorization header must bear; None for any or none.
        is_loopback: Whether the server listens on the loopback only.
        body_limit: The most bytes of a body of JSON.
        artifact_limit: The most bytes of an artifact.
        timeout: How many seconds a client may take to send a body.
    """

    token: str | None = None
    is_loopback: bool = True
    body_limit: int = 32 * MEGABYTE
    artifact_limit: int = 1000 * MEGABYTE
    timeout: float = 60.0

    def admit(self, method: str, path: str, headers: dict[bytes, bytes], is_signed: bool = False) -> None:
        """Check a request before its body is read; one for a signed URL needs no token.

        Raises:
            RequestError: it comes from another host or origin, or without the token.
        """
        if path in _OPEN:
            return
        if self.is_loopback and not is_loopback_name(_host_in(b"//" + headers.get(b"host", b""))):
            raise RequestError("Invalid Host header - possible DNS rebinding attack detected", "PERMISSION_DENIED", 403)
        origin = headers.get(b"origin")
        changes = method in _CHANGING and not path.startswith(_QUESTIONS)
        if changes and origin is not None and not is_loopback_name(_host_in(origin)):
            raise RequestError("Cross-origin request blocked", "PERMISSION_DENIED", 403)
        if is_signed or path in (_PAGE, IDENTITY) or path.startswith(_ASSETS):
            return
        if self.token is not None and not _bears(headers.get(b"authorization", b""), self.token):
            raise RequestError("The Authorization header must bear the token of this server", "UNAUTHENTICATED", 401)

    async def body(self, receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes:
        """Return the body of a request.

        Raises:
            RequestError: it is too large, takes too long, or ends early.
        """
        try:
            is_too_large = int(headers.get(b"content-length", b"0")) > limit
        except ValueError:
            raise RequestError("Bad Request. The Content-Length header is not a number.", "BAD_REQUEST") from None
        if is_too_large:
            await _drop(receive)
            raise _too_large(limit)
        body, is_more = bytearray(), True
        while is_more:
            message = await self._soon(receive)
            body += message.get("body", b"")
            is_more = message.get("more_body", False)
            if len(body) > limit:
                if is_more:
                    await _drop(receive)
                raise _too_large(limit)
        return bytes(body)

    async def _soon(self, receive: Receive) -> Any:
        try:
            async with asyncio.timeout(self.timeout):
                message = await receive()
        except TimeoutError:
            raise RequestError("The body of the request did not arrive in time", "BAD_REQUEST", 408) from None
        if message["type"] == "http.disconnect":
            raise RequestError("The client went away", "BAD_REQUEST")
        return message


def is_loopback_name(host: str) -> bool:
    """Tell whether a host name or address means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_in(url: bytes) -> str:
    """Return the host in a URL, without its port; "" if there is none."""
    try:
        return urlsplit(url.decode("ascii")).hostname or ""
    except ValueError:
        return ""


def _bears(header: bytes, token: str) -> bool:
    kind, _, given = header.partition(b" ")
    return kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), token.encode())


async def _drop(receive: Receive) -> None:
    """Drop what a client still sends, for a moment: one that sends everything before it reads would miss the answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_MOMENT):
            while (await receive()).get("more_body", False):
                pass


def _too_large(limit: int) -> RequestError:
    return RequestError(f"The request is too large; a body may have at most {limit} bytes", "BAD_REQUEST", 413)
