"""Artifacts over HTTP: the listings of runs, and the proxy through which clients store, fetch and delete files.

Paths of the proxy start at the root of all artifacts. What lies below the `artifacts` folder of a run or of a logged
model belongs to it, everything else to the store. No disk is touched.

**Source**: the handlers of `mlflow server` 3.17 with `mlflow-artifacts:/` as the artifact root.
"""

from __future__ import annotations

import mimetypes
import posixpath
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import PureWindowsPath
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from mlquery.backend import Backend
from mlquery.entities import FileInfo
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.server import proto_json as proto
from mlquery.server.bodies import files_body
from mlquery.server.endpoints import Endpoint, a_string, required
from mlquery.server.errors import RequestError
from mlquery.server.proto_json import Fields, Message
from mlquery.server.runs import RUN_ID, RUN_UUID, run_id_of
from mlquery.server.service import Service
from mlquery.store import Store

Sent = tuple[bytes, dict[str, str]]
"""The content of a file and the headers to send it with."""

_SCHEMES: Final = ("mlflow-artifacts", "mlquery-artifacts", "http", "https")
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


def files_below(backend: Backend, owner_id: str, location: str, path: str) -> list[FileInfo]:
    """Return what lies directly in a folder below the location of a run or model, nothing if that is elsewhere."""
    parsed = urlsplit(location)
    if parsed.scheme not in _SCHEMES:
        backend.list_artifacts(owner_id)  # it may raise
        return []
    found = files_in(backend, f"{unquote(parsed.path)}/{path}")
    return [FileInfo(posixpath.join(path, one.path), one.is_dir, one.file_size) for one in found]


def files_in(backend: Backend, path: str) -> list[FileInfo]:
    """Return what lies directly in a folder, by name: those of the store, and the ways to runs and models."""
    store = backend.store
    owner, inside = store.owner_of_artifact(path)
    listed = backend.list_artifacts(owner, inside)
    found = [FileInfo(posixpath.basename(one.path), one.is_dir, one.file_size) for one in listed]
    if owner:
        return found
    names = {one.path for one in found}
    with store.lock:
        folders = {folder for folder in _folders_below(store, inside) if folder not in names}
    return sorted([*found, *(FileInfo(folder, True, None) for folder in folders)], key=lambda one: one.path)


def _folders_below(store: Store, top: str) -> set[str]:
    """Return the folders of a folder above runs and models: the first parts of the ways to those that have files."""
    prefix = f"{top}/" if top else ""
    ways = [_way(location) for owner, location in _owners(store) if store.artifacts.list(owner)]
    return {way[len(prefix) :].partition("/")[0] for way in ways if way.startswith(prefix)}


def _owners(store: Store) -> Iterator[tuple[str, str]]:
    """Yield the runs and the logged models, and the locations of their artifacts."""
    runs = ((run_id, store.runs.artifact_uri(row)) for run_id, row in store.runs.row_of.items())
    models = ((model.model_id, model.artifact_location) for model in store.models.by_id.values())
    return ((owner, location) for owner, location in chain(runs, models) if location)


def _way(location: str) -> str:
    """Return the path of a location below the root of all artifacts."""
    return unquote(urlsplit(location).path).strip("/")


# Endpoints that have fields


def _list(service: Service, fields: Fields) -> Any:
    backend, run_id = service.backend, run_id_of(fields)
    files = files_below(backend, run_id, _location(backend.store, run_id), safe_path(fields["path"]))
    location = backend.store.get_run(run_id).info.artifact_uri or ""
    return files_body(service.integer, files) | {"root_uri": service.locations.written(location)}


def _location(store: Store, run_id: str) -> str:
    """Return where the artifacts of a run are, "" if there is no such run."""
    row = store.runs.row_of.get(run_id)
    return "" if row is None else store.runs.artifact_uri(row) or ""


def _list_all(service: Service, fields: Fields) -> Any:
    return files_body(service.integer, files_in(service.backend, safe_path(fields["path"])))


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "artifacts/list",
        Message(RUN_ID, RUN_UUID, proto.string("path"), proto.string("page_token")),
        _list,
        {"run_id": (a_string, required), "path": (a_string,), "page_token": (a_string,)},
    ),
)
PROXY_ENDPOINTS: Final = (Endpoint("GET", "artifacts", Message(proto.string("path")), _list_all),)


# Files


def upload(service: Service, path: str, content: bytes) -> None:
    """Store a file."""
    path = safe_path(path)
    if path.endswith("/") or posixpath.basename(path) in ("", "."):
        raise RequestError("Artifact path must include a filename (cannot end with '/').")
    backend = service.backend
    owner, inside = backend.store.owner_of_artifact(path)
    backend.log_artifact(owner, inside, content)


def download(service: Service, path: str) -> Sent:
    """Return the content of a file and the headers to send it with: always as an attachment, never to be shown."""
    path = safe_path(path)
    backend = service.backend
    owner, inside = backend.store.owner_of_artifact(path)
    try:
        content = backend.download_artifacts(owner, inside).get(inside)
    except StoreError as error:
        if error.error_code != RESOURCE_DOES_NOT_EXIST or backend.store.faults.raised(error):
            raise
        with backend.store.lock:
            is_folder = not owner and bool(_folders_below(backend.store, inside))
        if not is_folder:
            raise StoreError(f"No such artifact: '{path}'", RESOURCE_DOES_NOT_EXIST) from None
        content = None
    if content is None:
        raise RequestError(f"Artifact path refers to a directory, not a file: '{path}'")
    return content, _headers(posixpath.basename(path))


def download_of_run(service: Service, run_id: str, path: str) -> Sent:
    """Return a file of a run and the headers to send it with."""
    path = safe_path(path)
    return download(service, _inside(_location_of_run(service, run_id), path))


def download_of_version(service: Service, name: str | None, version: str | None, path: str) -> Sent:
    """Return a file of a version of a registered model and the headers to send it with."""
    path = safe_path(path)
    location = service.backend.get_model_version_download_uri(name or "", version or "")
    return download(service, _inside(location or "", path))


def download_of_model(service: Service, model_id: str, path: str) -> Sent:
    """Return a file of a logged model and the headers to send it with."""
    path = safe_path(path)
    location = service.backend.store.get_logged_model(model_id).artifact_location
    return download(service, _inside(location or "", path))


def upload_to_run(service: Service, run_id: str, path: str, content: bytes) -> None:
    """Store a file of a run."""
    upload(service, _inside(_location_of_run(service, run_id), path), content)


def _location_of_run(service: Service, run_id: str) -> str:
    return service.store.get_run(run_id).info.artifact_uri or ""


def _inside(location: str, path: str) -> str:
    """Return where a file below a location is below the root of all artifacts; files on disks are not there."""
    if urlsplit(location).scheme not in _SCHEMES:
        raise StoreError(f"No such artifact: '{path}'", RESOURCE_DOES_NOT_EXIST)
    return f"{_way(location)}/{path}"


def delete(service: Service, path: str) -> None:
    """Delete a file or a folder; a missing one does not matter."""
    path = safe_path(path)
    backend = service.backend
    store = backend.store
    owner, inside = store.owner_of_artifact(path)
    if not owner and not inside:
        raise RequestError("Artifact path must name a file or a folder.")
    backend.delete_artifacts(owner, inside)
    if not owner:
        with store.lock:
            for below, location in _owners(store):
                if f"{_way(location)}/".startswith(f"{inside}/"):
                    store.artifacts.delete(below)


def _headers(name: str) -> dict[str, str]:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    plain = name.encode("ascii", "ignore").decode() or "download"
    shown = re.sub(r'["\\\x00-\x1f]', "_", plain)
    disposition = f'attachment; filename="{shown}"'
    if not name.isascii():
        disposition += f"; filename*=UTF-8''{quote(name, safe='')}"
    return {"Content-Type": kind, "Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}
