"""Artifacts over HTTP: the listings of runs, and the proxy through which clients bring, fetch and delete files.

Paths of the proxy start at the root of all artifacts. What lies below the `artifacts` folder of a run or of a logged
model belongs to it, everything else to the store. No disk is touched.

**Source**: the handlers of `mlflow server` 3.17 with `mlflow-artifacts:/` as the artifact root.
"""

from __future__ import annotations

import mimetypes
import posixpath
import re
from pathlib import PureWindowsPath
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from mlquery.entities import FileInfo
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.server import proto_json as proto
from mlquery.server.bodies import file_body
from mlquery.server.endpoints import Call, a_text, needed
from mlquery.server.errors import RequestError
from mlquery.server.proto_json import Given, Message
from mlquery.server.runs import RUN_ID, RUN_UUID, run_id_of
from mlquery.server.service import Service
from mlquery.store import Store

SCHEMES: Final = ("mlflow-artifacts", "mlquery-artifacts", "http", "https")
_MOST_DECODED: Final = 10
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def safe_path(path: str) -> str:
    """Return a relative path that leads nowhere but down, without what it was encoded with.

    Raises:
        StoreError: INVALID_PARAMETER_VALUE for any other path.
    """
    for _ in range(_MOST_DECODED):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    else:
        raise invalid_parameter("Invalid path")
    path = _CONTROL.sub(lambda found: f"%{ord(found[0]):02X}", path)
    is_absolute = path.startswith("/") or PureWindowsPath(path).is_absolute()
    if is_absolute or "#" in path or ".." in re.split(r"[/\\]", path) or re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:", path):
        raise invalid_parameter("Invalid path")
    return path


def listed_below(store: Store, location: str, path: str | None) -> list[FileInfo]:
    """Return what lies directly in a folder below a location, nothing if the location is on no disk of ours."""
    parsed = urlsplit(location)
    if parsed.scheme not in SCHEMES:
        return []
    found = listed(store, f"{unquote(parsed.path)}/{path or ''}")
    return [FileInfo(posixpath.join(path or "", one.path), one.is_dir, one.file_size) for one in found]


def listed(store: Store, path: str) -> list[FileInfo]:
    """Return what lies directly in a folder, by name: those of the store, and the ways to runs and models."""
    with store.lock:
        owner, inside = store.owner_of_artifact(path)
        found = [_named(one) for one in store.artifacts.list(owner, inside)]
        if owner:
            return found
        names = {one.path for one in found}
        folders = {folder for folder in _folders_below(store, inside) if folder not in names}
    return sorted([*found, *(FileInfo(folder, True, None) for folder in folders)], key=lambda one: one.path)


def _named(found: FileInfo) -> FileInfo:
    return FileInfo(posixpath.basename(found.path), found.is_dir, found.file_size)


def _folders_below(store: Store, top: str) -> set[str]:
    """Return the folders of a folder above runs and models: the first parts of the ways to those that have files."""
    prefix = f"{top}/" if top else ""
    rows, runs = store.runs.row_of, store.runs
    locations = [runs.artifact_uri(row) for run_id, row in rows.items() if store.artifacts.list(run_id)]
    locations += [
        model.artifact_location for model in store.models.by_id.values() if store.artifacts.list(model.model_id)
    ]
    ways = [unquote(urlsplit(location).path).strip("/") for location in locations if location]
    return {way[len(prefix) :].partition("/")[0] for way in ways if way.startswith(prefix)}


# Calls that have fields


def _list(service: Service, given: Given) -> Any:
    path = given.get("path")
    path = None if path is None else safe_path(path)
    location = service.store.get_run(run_id_of(given)).info.artifact_uri or ""
    files = [file_body(service.whole, found) for found in listed_below(service.store, location, path)]
    return ({"files": files} if files else {}) | {"root_uri": location}


def _list_all(service: Service, given: Given) -> Any:
    path = given.get("path")
    found = listed(service.store, "" if path is None else safe_path(path))
    return {"files": [file_body(service.whole, one) for one in found]} if found else {}


CALLS: Final = (
    Call(
        "GET",
        "artifacts/list",
        Message((RUN_ID, RUN_UUID, proto.text("path"), proto.text("page_token"))),
        _list,
        {"run_id": (a_text, needed), "path": (a_text,), "page_token": (a_text,)},
    ),
)
PROXY_CALLS: Final = (Call("GET", "artifacts", Message((proto.text("path"),)), _list_all),)


# Files


def upload(service: Service, path: str, content: bytes) -> None:
    """Store a file."""
    path = safe_path(path)
    if path.endswith("/") or posixpath.basename(path) in ("", "."):
        raise RequestError("Artifact path must include a filename (cannot end with '/').")
    store = service.store
    with store.lock:
        owner, inside = store.owner_of_artifact(path)
        store.artifacts.put(owner, inside, content)


def download(service: Service, path: str) -> tuple[bytes, dict[str, str]]:
    """Return the content of a file and the headers to send it with: always as an attachment, never to be shown."""
    path = safe_path(path)
    store = service.store
    with store.lock:
        if listed(store, path) or store.owner_of_artifact(path)[1] == "":
            raise RequestError(f"Artifact path refers to a directory, not a file: '{path}'")
        try:
            content = store.artifacts.read(*store.owner_of_artifact(path))
        except StoreError:
            raise StoreError(f"No such artifact: '{path}'", RESOURCE_DOES_NOT_EXIST) from None
    return content, _headers(posixpath.basename(path))


def download_of_run(service: Service, run_id: str, path: str) -> tuple[bytes, dict[str, str]]:
    """Return a file of a run and the headers to send it with."""
    path = safe_path(path)
    return download(service, _inside_run(service, run_id, path))


def upload_to_run(service: Service, run_id: str, path: str, content: bytes) -> None:
    """Store a file of a run."""
    path = safe_path(path)
    upload(service, _inside_run(service, run_id, path), content)


def _inside_run(service: Service, run_id: str, path: str) -> str:
    """Return where a file of a run is below the root of all artifacts; files on disks are not there."""
    location = urlsplit(service.store.get_run(run_id).info.artifact_uri or "")
    if location.scheme not in SCHEMES:
        raise StoreError(f"No such artifact: '{path}'", RESOURCE_DOES_NOT_EXIST)
    return f"{unquote(location.path).strip('/')}/{path}"


def delete(service: Service, path: str) -> None:
    """Delete a file or a folder; a missing one does not matter."""
    path = safe_path(path)
    store = service.store
    with store.lock:
        owner, inside = store.owner_of_artifact(path)
        if not owner and not inside:
            raise RequestError("Artifact path must name a file or a folder.")
        store.artifacts.delete(owner, inside)
        if not owner:
            for below in _owners_below(store, inside):
                store.artifacts.delete(below)


def _owners_below(store: Store, folder: str) -> list[str]:
    """Return the runs and models whose artifacts are in a folder."""
    runs = [(run_id, store.runs.artifact_uri(row)) for run_id, row in store.runs.row_of.items()]
    models = [(model.model_id, model.artifact_location) for model in store.models.by_id.values()]
    ways = [(owner, f"{unquote(urlsplit(uri).path).strip('/')}/") for owner, uri in [*runs, *models] if uri]
    return [owner for owner, way in ways if way.startswith(f"{folder}/")]


def _headers(name: str) -> dict[str, str]:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    plain = name.encode("ascii", "ignore").decode() or "download"
    shown = re.sub(r'["\\\x00-\x1f]', "_", plain)
    disposition = f'attachment; filename="{shown}"'
    if not name.isascii():
        disposition += f"; filename*=UTF-8''{quote(name, safe='')}"
    return {"Content-Type": kind, "Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}
