"""Reads the files of an `mlruns` folder, and none outside: strings by key, and the fields of each `meta.yaml`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from mlquery.entities import InputTag
from mlquery.readers.errors import SourceError
from mlquery.readers.flatyaml import Value, read_mapping

_META: Final = "meta.yaml"
_MOST_BYTES: Final = 16 * 2**20  # of a param, a tag or a meta.yaml; MLflow's own limits are far below


class Meta:
    """The fields of one `meta.yaml`; a field of the wrong type raises SourceError."""

    def __init__(self, fields: dict[str, Value], files: Files, path: str) -> None:
        self.fields = fields
        self.files = files
        self.path = path

    def damaged(self, key: str) -> SourceError:
        """Return the error about a field."""
        return self.files.damaged(self.path, f"has no usable {key}")

    def id(self, *keys: str) -> str | None:
        """Return the first id among `keys`; very old files have them as numbers."""
        found = next((self.fields[key] for key in keys if self.fields.get(key) is not None), None)
        return None if found is None else str(found)

    def string(self, key: str) -> str:
        """Return a string that must be there."""
        found = self.optional_string(key)
        if found is None:
            raise self.damaged(key)
        return found

    def optional_string(self, key: str) -> str | None:
        """Return a string, None if there is none."""
        found = self.fields.get(key)
        if found is not None and not isinstance(found, str):
            raise self.damaged(key)
        return found

    def number(self, key: str) -> int | None:
        """Return an integer of 64 bits, None if there is none."""
        found = self.fields.get(key)
        if found is not None and (type(found) is not int or not -(2**63) < found < 2**63):
            raise self.damaged(key)
        return found

    def tags(self) -> list[InputTag]:
        """Return the tags that the file itself has."""
        found = self.fields.get("tags") or {}
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise self.damaged("tags")
        return [InputTag(key, str(value)) for key, value in found.items()]


class Files:
    """The files of a folder.

    Args:
        root: The folder.
        name: The source in messages.
    """

    def __init__(self, root: str, name: str) -> None:
        self.root = root
        self.inside = os.path.join(os.path.realpath(root), "")
        self.name = name

    def damaged(self, path: str, problem: str) -> SourceError:
        """Return the error about a file."""
        return SourceError(self.name, f"is damaged: {os.path.relpath(path, self.root)} {problem}")

    def metas(self, folder: str) -> Iterator[tuple[str, Meta]]:
        """Yield the folders in a folder that have a `meta.yaml`, with that."""
        for inner in self.folders(folder):
            meta = self.meta(os.path.join(folder, inner))
            if meta is not None:
                yield inner, meta

    def meta(self, folder: str) -> Meta | None:
        """Read the `meta.yaml` of a folder; return None if it is missing or empty."""
        path = os.path.join(folder, _META)
        if not os.path.isfile(path):
            return None
        self.require_inside(path, os.path.islink(path) or os.path.islink(folder))
        try:
            fields = read_mapping(self.string(path))
        except ValueError as error:
            raise self.damaged(path, f"cannot be read: {error}") from None
        return Meta(fields, self, path) if fields else None

    def strings(self, folder: str) -> dict[str, str]:
        """Return params or tags by key: the path of a file is the key, its content the value."""
        return {key: self.string(path) for key, path in self.files(folder)}

    def files(self, folder: str) -> list[tuple[str, str]]:
        """Return keys and paths of the files below a folder, sorted; keys may have slashes."""
        found, open_folders = [], [("", folder)]
        while open_folders:
            prefix, inner = open_folders.pop()
            for entry in self.entries(inner):
                if entry.is_dir(follow_symlinks=False):
                    open_folders.append((f"{prefix}{entry.name}/", entry.path))
                elif entry.is_file():
                    self.require_inside(entry.path, entry.is_symlink())
                    found.append((self.key(f"{prefix}{entry.name}", entry.path), entry.path))
        return sorted(found)

    def key(self, name: str, path: str) -> str:
        """Return the key that the name of a file is; raise if it is not in UTF-8."""
        if any("\ud800" <= char <= "\udfff" for char in name):
            shown = os.fsencode(path).decode("utf-8", "backslashreplace")
            raise self.damaged(shown, "is not named in UTF-8")
        return name

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder, sorted."""
        return [entry.name for entry in self.entries(folder) if entry.is_dir()]

    def entries(self, folder: str) -> list[os.DirEntry[str]]:
        """Return what lies in a folder, sorted by name; nothing if there is no folder."""
        if not os.path.isdir(folder):
            return []
        self.require_inside(folder, folder != self.root and os.path.islink(folder))
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)

    def require_inside(self, path: str, is_linked: bool) -> None:
        """Raise if what is about to be read is a link that leads out of the `mlruns` folder."""
        if is_linked and not os.path.realpath(path).startswith(self.inside):
            raise self.damaged(path, "is a link that leads out of the folder; put a copy in its place")

    def string(self, path: str, most_bytes: int = _MOST_BYTES) -> str:
        """Return the content of a file; raise if it is larger than anything that MLflow writes there."""
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most_bytes:
                raise self.damaged(path, f"has {size:,} bytes, and can have {most_bytes:,} at most")
            content = file.read()
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise self.damaged(path, "is not valid UTF-8") from None
