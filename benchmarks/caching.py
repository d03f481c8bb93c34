"""Locates the cache of databases and of servers that were built."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of cached databases: `MLQUERY_BENCHMARKS`, or one below the temporary folder."""
    folder = Path(os.environ.get("MLQUERY_BENCHMARKS") or Path(tempfile.gettempdir()) / "mlquery-benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
