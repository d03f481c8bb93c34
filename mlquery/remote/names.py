"""Turns tracking URIs into names of servers and stores: for messages, and for records of what was pushed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, urlsplit

from mlquery.durable import locations
from mlquery.errors import invalid_parameter

DATABRICKS: Final = "databricks"
"""The tracking URI that is none: MLflow takes the workspace from its environment."""
_PORTS: Final = {"http": ":80", "https": ":443"}
_ADDRESS: Final = re.compile(r"([\w.-]+|\[[0-9a-fA-F:]+\]):\d+(/\S*)?")


def target_name(uri: str) -> str:
    """Return a tracking URI without user, password and options, and with absolute paths; a server has one name.

    Scheme and host are in lower case, `localhost` is 127.0.0.1, and there is neither the default port nor a slash at
    the end. ([::1] is another address: another server may listen there.)

    Raises:
        StoreError: it is the address of a server without a scheme.
    """
    scheme, _, rest = uri.partition("://")
    if uri == DATABRICKS:
        return uri
    if not rest:
        _require_no_address(uri)
        path = uri.removeprefix("file:")
        return f"file://{os.path.abspath(path)}" if os.path.isdir(path) else f"sqlite://{os.path.abspath(path)}"
    if scheme == "sqlite":
        return f"sqlite://{os.path.abspath(rest.removeprefix('/').partition('?')[0])}"
    if uri.startswith(locations.PREFIX):
        return f"{scheme}://{locations.folder_of(uri)}"
    if scheme == "file":
        return f"{scheme}://{os.path.abspath(unquote(urlsplit(uri).path))}"
    host, slash, path = rest.partition("?")[0].partition("/")
    host = host.rpartition("@")[2]
    if scheme.lower() in _PORTS:
        scheme, host = scheme.lower(), host.lower().removesuffix(_PORTS[scheme.lower()])
        name, colon, port = host.partition(":")
        host = f"127.0.0.1{colon}{port}" if name == "localhost" else host
    return f"{scheme}://{host}{slash}{path}".rstrip("/")


def earlier_names(name: str, names: Iterable[str]) -> list[str]:
    """Return those of some names that earlier versions of mlquery gave to the server that has a name now."""
    is_server = name.partition("://")[0] in _PORTS
    return [one for one in names if is_server and one != name and "://" in one and target_name(one) == name]


def _require_no_address(uri: str) -> None:
    """Raise about `localhost:5000`: a path or a URI was meant."""
    if _ADDRESS.fullmatch(uri) and not os.path.exists(uri):
        raise invalid_parameter(f"{uri!r} is not a tracking URI; did you mean 'http://{uri}'?")
