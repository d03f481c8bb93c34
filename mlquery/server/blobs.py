"""The contents of files under signed URLs, as Azure's storage gives and takes them: whole, by range, or in blocks.

A URL holds what it allows and until when, signed with a secret of this server; who has it needs no token.

**Source**: Microsoft's REST reference of Blob Storage (Put Blob, Put Block, Put Block List, Get Blob), and the
requests of azure-storage-blob 12.19 and 12.27.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from time import time
from typing import Final
from urllib.parse import quote, urlencode

import attrs

from mlquery.server.errors import RequestError

READ: Final = "r"
WRITE: Final = "cw"

LIFETIME: Final = 3600
"""How long a URL holds, in seconds."""
_VERSION: Final = "2019-02-02"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")
_BLOCK: Final = re.compile(rb"<(?:Latest|Uncommitted)>([\w+/=]+)</")
_MOST_BLOCKS: Final = 50_000  # of one file, as in Azure


class BlobError(RequestError):
    """A request that Azure's storage refuses; `code` is its name of the error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message, status=status)
        self.code = code


@attrs.frozen
class SignedUrls:
    """The URLs of one server, signed with a secret of its own."""

    secret: bytes = attrs.field(factory=lambda: secrets.token_bytes(32), repr=False)

    def signed(self, url: str, name: str, allows: str) -> str:
        """Return the URL of a file that allows to read or to write it for an hour; `url` is that of all files."""
        expiry = datetime.fromtimestamp(time() + LIFETIME, UTC).strftime(_TIME)
        query = {"sv": _VERSION, "sr": "b", "se": expiry, "sp": allows, "sig": self._signature(name, allows, expiry)}
        return f"{url}/{quote(name)}?{urlencode(query)}"

    def admits(self, name: str, allows: str, query: Mapping[str, str]) -> bool:
        """Tell whether the query of a URL is that of a signed one, which still holds."""
        expiry = query.get("se", "")
        expected = self._signature(name, allows, expiry)
        if query.get("sp") != allows or not hmac.compare_digest(expected.encode(), query.get("sig", "").encode()):
            return False
        return time() < datetime.strptime(expiry, _TIME).replace(tzinfo=UTC).timestamp()

    def _signature(self, name: str, allows: str, expiry: str) -> str:
        return hmac.new(self.secret, "\n".join((allows, expiry, name)).encode(), "sha256").hexdigest()


class Blocks:
    """The blocks of files that are sent in several requests, until the list of them comes.

    Args:
        most_bytes: How many bytes they may have together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._of: dict[str, tuple[float, dict[str, bytes]]] = {}
        self._held = 0

    def put(self, name: str, block_id: str, content: bytes) -> None:
        """Keep a block of a file.

        Raises:
            BlobError: too much is kept already.
        """
        for other in [other for other, (expiry, _) in self._of.items() if expiry < time()]:
            self._forget(other)
        _, blocks = self._of.setdefault(name, (time() + LIFETIME, {}))
        held = self._held + len(content) - len(blocks.get(block_id, b""))
        if held > self._most_bytes or len(blocks) >= _MOST_BLOCKS:
            message = f"The files that are being sent may have at most {self._most_bytes} bytes together"
            raise BlobError(413, "RequestBodyTooLarge", message)
        blocks[block_id], self._held = content, held

    def joined(self, name: str, block_list: bytes) -> bytes:
        """Return the content of a file whose list of blocks has come, and forget the blocks.

        Raises:
            BlobError: a block of the list has not come.
        """
        _, blocks = self._of.get(name, (0, {}))
        try:
            content = b"".join([blocks[found.decode()] for found in _BLOCK.findall(block_list)])
        except KeyError:
            raise BlobError(400, "InvalidBlockList", "The specified block list is invalid.") from None
        self._forget(name)
        return content

    def _forget(self, name: str) -> None:
        _, blocks = self._of.pop(name, (0, {}))
        self._held -= sum(map(len, blocks.values()))


def part(content: bytes, wanted: str | None) -> tuple[int, bytes, dict[str, str]]:
    """Return the HTTP status, the part of a file that a range names, and the headers about it.

    Raises:
        BlobError: the file ends before the range begins.
    """
    headers = {"Accept-Ranges": "bytes", "x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
    found = _RANGE.fullmatch(wanted or "")
    if found is None:
        return 200, content, headers
    first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
    if first > last:
        raise BlobError(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
    return 206, content[first : last + 1], headers | {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
