"""Artifacts between the store's memory and the disk: files and folders in, downloads out. Runs are only named here."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from mlquery.entities import FileInfo
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.store import Store


def upload(store: Store, run_id: str, local_path: str | os.PathLike[str], artifact_path: str | None) -> None:
    """Store a local file, or a folder under its own name, below `artifact_path`."""
    if os.path.isdir(local_path):
        folder = os.path.basename(os.path.normpath(local_path))
        upload_folder(store, run_id, local_path, posixpath.join(artifact_path or "", folder))
    else:
        name = os.path.basename(local_path)
        write(store, run_id, artifact_path, name, Path(local_path).read_bytes())


def upload_folder(store: Store, run_id: str, local_dir: str | os.PathLike[str], artifact_path: str | None) -> None:
    """Store every file below a local folder; folders without files leave no trace."""
    _require_plain(artifact_path)
    top = Path(local_dir)
    for file in sorted(path for path in top.rglob("*") if path.is_file()):
        where = posixpath.join(artifact_path or "", file.relative_to(top).as_posix())
        store.artifacts.put(run_id, where, file.read_bytes())


def write(store: Store, run_id: str, folder: str | None, name: str, content: bytes) -> None:
    """Store one artifact; raise StoreError if `folder` is not a plain relative path."""
    _require_plain(folder)
    store.artifacts.put(run_id, posixpath.join(folder or "", name), content)


def split(artifact_file: str) -> tuple[str | None, str]:
    """Return the folder and the name of an artifact, the path made plain."""
    folder, name = posixpath.split(posixpath.normpath(artifact_file))
    return folder or None, name


def _require_plain(path: str | None) -> None:
    if not path:
        return
    plain = posixpath.normpath(path)
    if plain != path or plain == "." or plain.startswith(("..", "/")):
        raise StoreError(
            f"Invalid artifact path: '{path}'. Names may be treated as files in certain cases, and must not resolve "
            f"to other names when treated as such. This name would resolve to '{plain}'"
        )


def as_text(dictionary: Any, artifact_file: str) -> str:
    """Return a dictionary as YAML where the file is named so (that needs PyYAML), as JSON elsewhere."""
    if os.path.splitext(artifact_file)[1] in (".yml", ".yaml"):
        return str(import_module("yaml").dump(dictionary, indent=2, default_flow_style=False))
    return json.dumps(dictionary, indent=2, default=str)


def listed(store: Store, run_id: str, path: str | None) -> list[FileInfo]:
    """Return what lies directly in a folder of a run's artifacts, by path; nothing for a file or a missing folder."""
    plain = posixpath.normpath(path) if path else "."
    if plain.startswith(("..", "/")):
        raise invalid_parameter("Invalid path: resolved path is outside the artifact directory")
    return store.artifacts.list(run_id, None if plain == "." else plain)


def download(store: Store, run_id: str, path: str | None, dst_path: str | os.PathLike[str] | None) -> str:
    """Write an artifact, or a folder of them, to the disk and return the path of the local copy.

    Args:
        store: Where the artifact is.
        run_id: Whose artifact it is.
        path: Its path; empty for everything the run has.
        dst_path: A local folder, made if it is missing; a new temporary one by default.

    Raises:
        StoreError: RESOURCE_DOES_NOT_EXIST, there is no such artifact.
    """
    folder, name = posixpath.split((path or "").rstrip("/"))
    local = Path(_temporary_folder() if dst_path is None else os.path.abspath(dst_path))
    local.mkdir(parents=True, exist_ok=True)
    found = list(_files_below(store, run_id, posixpath.join(folder, name)))
    if name and not found:
        raise StoreError(
            f"Failed to download artifacts from path '{name}', please ensure that the path is correct.",
            RESOURCE_DOES_NOT_EXIST,
        )
    for artifact in found:
        copy = local / (posixpath.relpath(artifact, folder) if folder else artifact)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(store.artifacts.read(run_id, artifact))
    return str(local / name) if name else str(local)


def _temporary_folder() -> str:
    from tempfile import mkdtemp  # takes longer to load than the rest of this module

    return mkdtemp()


def _files_below(store: Store, run_id: str, path: str) -> Iterator[str]:
    """Yield the paths of all files in a folder, or the path itself if it is a file."""
    infos = listed(store, run_id, path)
    if not infos and path:
        siblings = listed(store, run_id, posixpath.dirname(path))
        yield from (info.path for info in siblings if info.path == path and not info.is_dir)
    for info in infos:
        if info.is_dir:
            yield from _files_below(store, run_id, info.path)
        else:
            yield info.path
