"""Artifacts on the local disk: files and folders read for an upload, downloads written, paths and formats of files."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from mlquery.errors import StoreError, invalid_parameter


def files_of(local_path: str | os.PathLike[str], artifact_path: str | None) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of a local file, or of the files of a folder under its own name, below `artifact_path`."""
    if os.path.isdir(local_path):
        folder = os.path.basename(os.path.normpath(local_path))
        yield from files_below(local_path, posixpath.join(artifact_path or "", folder))
    else:
        yield inside(artifact_path, os.path.basename(local_path)), Path(local_path).read_bytes()


def files_below(local_dir: str | os.PathLike[str], artifact_path: str | None) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of every file below a local folder; folders without files leave no trace."""
    top = Path(local_dir)
    for file in sorted(path for path in top.rglob("*") if path.is_file()):
        yield inside(artifact_path, file.relative_to(top).as_posix()), file.read_bytes()


def inside(folder: str | None, name: str) -> str:
    """Return the path of a file in a folder; raise StoreError if the folder is not a plain relative path."""
    require_plain(folder)
    return posixpath.join(folder or "", name)


def split(artifact_file: str) -> tuple[str | None, str]:
    """Return the folder and the name of an artifact, the path made plain."""
    folder, name = posixpath.split(posixpath.normpath(artifact_file))
    return folder or None, name


def require_plain(path: str | None) -> None:
    """Raise StoreError if a path of artifacts is not a plain relative one."""
    if not path:
        return
    plain = posixpath.normpath(path)
    if plain != path or plain == "." or plain.startswith(("..", "/")):
        raise StoreError(
            f"Invalid artifact path: '{path}'. Names may be treated as files in certain cases, and must not resolve "
            f"to other names when treated as such. This name would resolve to '{plain}'"
        )


def as_string(dictionary: Any, artifact_file: str) -> str:
    """Return a dictionary as YAML where the file is named so (that needs PyYAML), as JSON elsewhere."""
    if os.path.splitext(artifact_file)[1] in (".yml", ".yaml"):
        return str(import_module("yaml").dump(dictionary, indent=2, default_flow_style=False))
    return json.dumps(dictionary, indent=2, default=str)


def folder_of(path: str | None) -> str | None:
    """Return the path of a folder of artifacts, None for the top; raise StoreError if it leads out of it."""
    plain = posixpath.normpath(path) if path else "."
    if plain.startswith(("..", "/")):
        raise invalid_parameter("Invalid path: resolved path is outside the artifact directory")
    return None if plain == "." else plain


def write_download(found: Mapping[str, bytes], path: str | None, dst_path: str | os.PathLike[str]) -> str:
    """Write downloaded artifacts to the disk and return the path of the local copy.

    Args:
        found: The contents of the files, by path.
        path: The file or folder that was downloaded; empty for everything.
        dst_path: A local folder, made if it is missing.
    """
    folder, name = posixpath.split((path or "").rstrip("/"))
    local = Path(os.path.abspath(dst_path))
    local.mkdir(parents=True, exist_ok=True)
    for artifact, content in found.items():
        copy = local / (posixpath.relpath(artifact, folder) if folder else artifact)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
    return str(local / name) if name else str(local)
