"""Decides which requests are admitted, by token, host and origin, and how large and slow their bodies may be.

A server on the loopback answers only to loopback names, and no server changes anything for pages of other origins: a
browser on the same machine must not become a way in. Another port is another origin, as browsers see it.

**Source**: `mlflow.server.security` of MLflow 3.17 for hosts and origins.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

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
_LEAST_RATE: Final = 10_000  # bytes a second, of a body that takes longer than the time that any may take
_PLACE: Final = re.compile(r"(?P<host>[\w.-]+|\[[\da-f:.]+\])(?::(?P<port>\d{1,5}))?", re.ASCII | re.IGNORECASE)
_PORTS: Final = {"http": 80, "https": 443}
MEGABYTE: Final = 1_000_000


@attrs.frozen
class Security:
    """The conditions on which a request is answered.

    Attributes:
        token: The token that the Authorization header must bear; None for any or none.
        is_loopback: Whether the server listens on the loopback only.
        body_limit: The most bytes of a body of JSON.
        artifact_limit: The most bytes of an artifact.
        timeout: How many seconds a client may take to send the headers of a request, and then a body; a large body may
            take longer.
        origins: Other origins whose pages may change something, such as "http://localhost:3000".
    """

    token: str | None = None
    is_loopback: bool = True
    body_limit: int = 32 * MEGABYTE
    artifact_limit: int = 1000 * MEGABYTE
    timeout: float = 60.0
    origins: frozenset[str] = frozenset()

    def admit(self, method: str, path: str, headers: dict[bytes, bytes], is_signed: bool = False) -> None:
        """Check a request before its body is read; one for a signed URL needs no token.

        Raises:
            RequestError: it comes from another host or origin, or without the token.
        """
        if b"transfer-encoding" in headers and b"content-length" in headers:
            message = "Bad Request. A request has either Content-Length or Transfer-Encoding, never both."
            raise RequestError(message, "BAD_REQUEST")
        if path in _OPEN:
            return
        host = headers.get(b"host", b"").decode("latin-1")
        if self.is_loopback and not is_loopback_name(_place(host)[0]):
            raise RequestError("Invalid Host header - possible DNS rebinding attack detected", "PERMISSION_DENIED", 403)
        origin = headers.get(b"origin")
        changes = method in _CHANGING and not path.startswith(_QUESTIONS)
        if changes and origin is not None and not self._takes_from(origin.decode("latin-1"), host):
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
            raise _too_large(limit)
        body, is_more = bytearray(), True
        try:
            async with asyncio.timeout(self.timeout) as clock:
                deadline = clock.when() or 0.0
                while is_more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RequestError("The client went away", "BAD_REQUEST")
                    body += message.get("body", b"")
                    is_more = message.get("more_body", False)
                    if len(body) > limit:
                        raise _too_large(limit)
                    clock.reschedule(deadline + len(body) / _LEAST_RATE)
        except TimeoutError:
            raise RequestError("The body of the request did not arrive in time", "BAD_REQUEST", 408) from None
        return bytes(body)

    def _takes_from(self, origin: str, host: str) -> bool:
        """Tell whether a page may change something: one of the loopback at the port of the server, or an allowed one.

        Beyond the loopback it proves nothing that host and origin are one name: its owner can point it to any machine.
        """
        if origin in self.origins:
            return True
        scheme, _, rest = origin.partition("://")
        own, other = _place(host, scheme), _place(rest, scheme)
        return own[1] == other[1] and is_loopback_name(own[0]) and is_loopback_name(other[0])


def is_loopback_name(host: str) -> bool:
    """Tell whether a host name or address means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _place(text: str, scheme: str = "http") -> tuple[str, int]:
    """Return the host, without brackets, and the port of a Host header; "" and 0 if it is none."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return "", 0
    return found["host"].strip("[]").lower(), int(found["port"] or _PORTS.get(scheme, 0))


def _bears(header: bytes, token: str) -> bool:
    kind, _, given = header.partition(b" ")
    return kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), token.encode())


def _too_large(limit: int) -> RequestError:
    return RequestError(f"The request is too large; a body may have at most {limit} bytes", "BAD_REQUEST", 413)
