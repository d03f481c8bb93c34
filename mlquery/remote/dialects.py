"""Recognises which filters a server takes: by its address, by what it says of itself, or by what the caller says."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mlquery.errors import invalid_parameter
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.language.recorded import recorded_dialect
from mlquery.remote.mlflow_client import call_error
from mlquery.remote.names import target_name

HEADER: Final = "x-mlquery-dialect"
"""The header of `/version` in which a server of mlquery names its dialect."""
_VERSION: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?\S*", re.ASCII)
_WEB: Final = ("http", "https")


def dialect_of_server(uri: str, given: str | Dialect | None, client: Any) -> Dialect:
    """Return the dialect of a server.

    Args:
        uri: Its tracking URI.
        given: A dialect, its name, or the path of a recorded column; None to recognise it.
        client: MLflow's client of the server.

    Raises:
        StoreError: There is no such dialect, or the server is not recognised.
    """
    if given is not None:
        return _given(given)
    claiming = MATRIX.claiming_dialect(uri)
    if claiming is not None:
        return claiming
    if urlsplit(uri).scheme.lower() not in _WEB:
        return MATRIX.default_dialect
    return _said_of_itself(uri, client)


def _given(given: str | Dialect) -> Dialect:
    if isinstance(given, str) and (os.path.isfile(given) or given.endswith(".toml")):
        try:
            return recorded_dialect(Path(given).read_text(encoding="utf-8"), given)
        except (OSError, UnicodeDecodeError) as error:
            raise invalid_parameter(f"{given} cannot be read: {error}") from None
    try:
        return MATRIX.dialect(given)
    except ValueError as error:
        raise invalid_parameter(str(error)) from None


def _said_of_itself(uri: str, client: Any) -> Dialect:
    """Return the dialect that a server names, or that of its release of MLflow."""
    name = target_name(uri)
    for place in dict.fromkeys((uri.rstrip("/"), _root(uri))):
        answer = _version_of(place, client, name)
        if answer.status_code != 200:
            continue
        if said := answer.headers.get(HEADER):
            return _given(said)
        if found := _VERSION.fullmatch(answer.text.strip()):
            return _of_release(name, tuple(int(part or 0) for part in found.groups()))
    raise invalid_parameter(
        f"{name} does not say which filters it takes (no /version as MLflow's server has); instead: server_dialect="
        f"{MATRIX.default_dialect.name!r} or another column of the matrix, or a file of mlquery conformance --record"
    )


def _version_of(place: str, client: Any, name: str) -> Any:
    from mlflow.utils.rest_utils import http_request

    try:
        credentials = client._tracking_client.store.get_host_creds()
        credentials.host = place
        return http_request(credentials, "/version", "GET")
    except Exception as error:  # MLflow and the network raise all kinds
        raise call_error(name, error) from error


def _root(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def _of_release(name: str, version: tuple[int, ...]) -> Dialect:
    """Return the newest measured release that is not newer than a version: newer ones only support more."""
    known = MATRIX.releases()
    older = [release for release in known if release[:2] <= version[:2]]
    if not older:
        least = ".".join(map(str, min(known)))
        written = ".".join(map(str, version))
        problem = f"{name} runs MLflow {written}, and nothing older than {least} is known"
        raise invalid_parameter(f"{problem}; instead: server_dialect={known[min(known)].name!r}, if it takes as much")
    return known[max(older)]
