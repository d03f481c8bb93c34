"""Makes artifact locations: absolute ones of what a caller gives, and those of experiments and runs below a root.

Nothing is read or written there.

**Source**: `mlflow.utils.uri.append_to_uri_path` and `resolve_uri_if_local` of MLflow 3.17.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from mlquery.errors import INTERNAL_ERROR, StoreError

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


def resolved(location: str) -> str:
    """Return a location, a relative path or `file:` URI resolved against the working directory.

    Raises: INTERNAL_ERROR for a `file:` URI of another machine, or what is no URI.
    """
    if location.startswith("/") or location == "databricks":  # the name of a server, which MLflow leaves alone
        return location
    try:
        uri = urlsplit(location)
    except ValueError as error:
        raise StoreError(f"The artifact location {location!r} is not a valid URI: {error}", INTERNAL_ERROR) from None
    if uri.scheme not in ("", "file"):
        return location
    host = uri.hostname or "."
    if uri.scheme and not (host == "." or host.startswith(("localhost", "127.0.0.1"))):
        raise StoreError(
            f"{location} is not a valid remote uri. For remote access on windows, please consider using a different "
            "scheme such as SMB (e.g. smb://<hostname>/<path>).",
            INTERNAL_ERROR,
        )
    from pathlib import Path
    from urllib.request import url2pathname  # takes longer to load than all of the store

    path = url2pathname(uri.path if location.startswith("file:") else location)  # "FILE:" is part of a path there
    if os.path.isabs(path):
        return location
    absolute = Path.cwd().joinpath(path).as_posix()
    return urlunsplit((uri.scheme, None, absolute, uri.query, uri.fragment)) if uri.scheme else absolute


def experiment_location(root: str, experiment_id: str) -> str:
    """Return where an experiment keeps its artifacts by default."""
    before, after = _halves(root)
    return f"{before}{experiment_id}{after}"


def run_location(root: str, run_id: str) -> str:
    """Return where a run keeps its artifacts; `root` is the location of its experiment."""
    before, after = _halves(root)
    return f"{before}{run_id}/artifacts{after}"


def run_locations(roots: Mapping[str, str], experiment_ids: Sequence[Any], run_ids: Iterable[str]) -> list[str | None]:
    """Return where runs keep their artifacts; None for those whose experiment has no location."""
    around = {one: None if (root := roots.get(one)) is None else _halves(root) for one in set(experiment_ids)}
    return [
        halves and f"{halves[0]}{run_id}/artifacts{halves[1]}"
        for halves, run_id in zip(map(around.__getitem__, experiment_ids), run_ids, strict=True)
    ]


def moved_location(location: str, old_root: str, new_root: str) -> str:
    """Return a location below one root as one below another; a location elsewhere is returned as it is."""
    if not location.startswith(old_root):
        return location
    return experiment_location(new_root, location[len(old_root) :].lstrip("/"))


@lru_cache(maxsize=1024)
def _halves(root: str) -> tuple[str, str]:
    """Return what goes before and after the part that is appended to the path of a URI."""
    scheme = _SCHEME.match(root)
    if not scheme:
        return (root if not root or root.endswith("/") else root + "/"), ""
    cut = min(at if at >= 0 else len(root) for at in (root.find("?"), root.find("#")))
    head, tail = _in_normal_form(root[:cut], scheme.end()), root[cut:]
    if len(head) > scheme.end() and not head.endswith("/"):
        head += "/"
    return head, tail


def _in_normal_form(uri: str, end_of_scheme: int) -> str:
    """Return a URI as urllib writes it: with a scheme in lower case, and `file:///x` for `file:/x`."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # of another store; none is created with it
        return uri
    return urlunsplit(parts) if parts.path.startswith("/") else parts.scheme + uri[end_of_scheme - 1 :]
