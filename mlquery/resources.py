"""Locates the files that ship with mlquery: `conformance/` and `examples/`, in a checkout and in a wheel alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_TOP = _PACKAGE / "_data" if (_PACKAGE / "_data").is_dir() else _PACKAGE.parent


def data_path(*parts: str) -> Path:
    """Return the path of a file or folder that ships with mlquery.

    Args:
        parts: The path below the top folder, for instance `"examples", "sweep.db"`.

    Raises:
        FileNotFoundError: The installation lacks it.
    """
    path = _TOP.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(f"{'/'.join(parts)} is missing; install mlquery from a wheel or a checkout")
    return path


def example_database() -> Path:
    """Return the path of the example: a small MLflow database with a hyperparameter sweep."""
    return data_path("examples", "sweep.db")
