"""Makes artifact locations from a root: of experiments and of runs. Nothing is read or written there.

**Source**: `mlflow.utils.uri.append_to_uri_path` of MLflow 3.17.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


def experiment_location(root: str, experiment_id: str) -> str:
    """Return where an experiment keeps its artifacts by default."""
    before, after = _halves(root)
    return f"{before}{experiment_id}{after}"


def run_location(root: str, run_id: str) -> str:
    """Return where a run keeps its artifacts; `root` is the location of its experiment."""
    before, after = _halves(root)
    return f"{before}{run_id}/artifacts{after}"


@lru_cache(maxsize=1024)
def _halves(root: str) -> tuple[str, str]:
    """Return what goes before and after the part that is appended to the path of a URI."""
    scheme = _SCHEME.match(root)
    if not scheme:
        return (root if not root or root.endswith("/") else root + "/"), ""
    cut = min(at if at >= 0 else len(root) for at in (root.find("?"), root.find("#")))
    head, tail = root[:cut], root[cut:]
    if len(head) > scheme.end() and not head.endswith("/"):
        head += "/"
    return head, tail
