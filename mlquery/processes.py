"""How a process finds the one whose test has started it: an environment variable that names a port and a key.

The variable is private to this package. It is inherited by the children of children, so that a whole tree of processes
leads to one test.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

import attrs

PARENT_VARIABLE: Final = "_MLQUERY_PARENT"
LOOPBACK: Final = "127.0.0.1"
DIGEST_SIZE: Final = 32


@attrs.frozen
class Address:
    """Where a process serves its backend.

    Attributes:
        pid: The process.
        port: The port of the loopback.
        key: What both sides must know, as hexadecimal digits.
    """

    pid: int
    port: int
    key: str

    def __str__(self) -> str:
        """Return the value of the environment variable."""
        return f"{self.pid}:{self.port}:{self.key}"

    @classmethod
    def read(cls, value: str) -> Address:
        """Return the address in a value of the environment variable."""
        pid, port, key = value.split(":")
        return cls(int(pid), int(port), key)

    def proof(self, side: bytes, nonce: bytes) -> bytes:
        """Return what only one who knows the key can answer to random bytes."""
        return hmac.digest(bytes.fromhex(self.key), side + nonce, hashlib.sha256)


def parent_address() -> Address | None:
    """Return where the process is whose test has started this one, None if no test has."""
    value = os.environ.get(PARENT_VARIABLE)
    if value is None:
        return None
    address = Address.read(value)
    return None if address.pid == os.getpid() else address
