"""Where benchmarks keep what takes long to make: databases, and servers that were built."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Return where databases are kept: `MLQUERY_BENCHMARKS` or a folder among the temporary files."""
    folder = Path(os.environ.get("MLQUERY_BENCHMARKS") or Path(tempfile.gettempdir()) / "mlquery-benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
