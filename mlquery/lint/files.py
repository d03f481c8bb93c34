"""Find the Python files and notebooks in folders, without those of environments and tools."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

SUFFIXES = (".py", ".ipynb")
_EXCLUDED = {"node_modules", "venv", "env", "__pypackages__", "_build", "buck-out", "dist", "site-packages"}
"""Folders that are not looked into, besides hidden ones."""


def files_in(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that are named, and those in the folders that are named, each once."""
    seen: set[Path] = set()
    for path in paths:
        for file in _in_folder(path) if path.is_dir() else [path]:
            if file not in seen:
                seen.add(file)
                yield file


def _in_folder(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _EXCLUDED and not name.startswith("."))
        for name in sorted(files):
            if name.endswith(SUFFIXES):
                yield Path(here, name)
