"""Turns the URIs of stores on disk into folders, and folders into URIs.

Slashes mean what they mean in `sqlite:///`: a path behind three of them is relative, one behind four is absolute. In
the first releases it was absolute behind three, too; those stores are still found.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from mlquery.durable import high_water_mark, journal
from mlquery.errors import invalid_parameter

_SCHEME: Final = "mlquery:"
PREFIX: Final = f"{_SCHEME}///"
"""How the URIs of stores on disk begin."""


def uri_of(folder: Path) -> str:
    """Return the URI of the store in a folder."""
    return PREFIX + quote(str(folder.absolute()), safe="/ :\\")


def folder_of(uri: str) -> Path:
    """Return the folder that the URI of a store on disk names.

    Behind three slashes, a store that is there counts, be its path relative or absolute; a new one is made in the
    present folder, unless only the absolute path leads to a folder that is there: then a FutureWarning says what to
    write.

    Raises:
        StoreError: a store is at the relative path and another one at the absolute path.
    """
    path = unquote(uri.removeprefix(PREFIX).partition("?")[0])
    relative, absolute = (Path(os.path.abspath(top + path.lstrip("/"))) for top in ("", "/"))
    if path.startswith("/"):
        return absolute
    if path.startswith("./") or relative == absolute:
        return relative
    if is_store(relative) and is_store(absolute):
        raise invalid_parameter(
            f"Invalid tracking URI '{uri}': there is a store in {str(relative)!r} and one in {str(absolute)!r}; write "
            f"'{PREFIX}./{path}' for the first or '{uri_of(absolute)}' for the second"
        )
    if is_store(absolute):
        return absolute
    if is_store(relative) or relative.parent.is_dir() or not absolute.parent.is_dir():
        return relative
    warnings.warn(
        f"'{uri}' makes a store in {str(absolute)!r}, as there is no folder {str(relative.parent)!r}; write "
        f"'{uri_of(absolute)}': behind three slashes, a path is relative",
        FutureWarning,
        stacklevel=2,
    )
    return absolute


def folder_named(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return the folder that a path names, which may be a URI without options.

    Raises:
        StoreError: it is a URI of something else, or one with options.
    """
    if not isinstance(path, str) or not path.startswith(_SCHEME):
        return path
    if not path.startswith(PREFIX):
        raise invalid_parameter(f"{path!r} names no store on disk; write its path, or {PREFIX}PATH")
    if "?" in path:
        raise invalid_parameter(f"{path!r} has options, which are for MLflow; here they are arguments")
    return folder_of(path)


def is_store(folder: Path) -> bool:
    """Tell whether a store is in a folder, or what is left of one."""
    return any((folder / name).is_file() for name in (journal.NAME, high_water_mark.NAME))
