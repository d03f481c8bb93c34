"""Certificates with which the server speaks https: given as files, or made for one session by trustme."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import attrs

_NAMES: Final = ("localhost", "127.0.0.1", "::1")


@attrs.frozen
class Certificate:
    """The files of a certificate.

    Attributes:
        certfile: The chain of certificates, and the key too if `keyfile` is None.
        keyfile: The key.
        authority: The certificate that clients must trust; None if they know it already.
    """

    certfile: str
    keyfile: str | None = None
    authority: str | None = None


@contextmanager
def made_for_session(host: str) -> Iterator[Certificate]:
    """Give a certificate for this machine and a host, and delete it at the end.

    Raises:
        ModuleNotFoundError: trustme is not installed.
    """
    import trustme

    authority = trustme.CA(organization_name="mlquery", organization_unit_name="made for one session of mlquery serve")
    unspecified = ("", "0.0.0.0", "::")
    made = authority.issue_cert(*dict.fromkeys((*_NAMES, *(() if host in unspecified else (host,)))))
    with TemporaryDirectory(prefix="mlquery-https-") as folder:  # which nobody else can read
        files = Path(folder)
        authority.cert_pem.write_to_path(files / "ca.pem")
        made.private_key_and_cert_chain_pem.write_to_path(files / "server.pem")
        yield Certificate(str(files / "server.pem"), None, str(files / "ca.pem"))
