"""Makes artifact locations from a root: of experiments and of runs. Nothing is read or written there.

**Source**: `mlflow.utils.uri.append_to_uri_path` of MLflow 3.17.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


def experiment_location(root: str, experiment_id: str) -> str:
    """Return where an experiment keeps its artifacts by default."""
    before, after = _halves(root)
    return f"{before}{experiment_id}{after}"


def run_location(root: str, run_id: str) -> str:
    """Return where a run keeps its artifacts; `root` is the location of its experiment."""
    before, after = _halves(root)
    return f"{before}{run_id}/artifacts{after}"


def run_locations(roots: Mapping[str, str], experiment_ids: Sequence[Any], run_ids: Iterable[str]) -> list[str | None]:
    """Return where runs keep their artifacts; None for those whose experiment has no location."""
    around = {one: None if (root := roots.get(one)) is None else _halves(root) for one in set(experiment_ids)}
    return [
        halves and f"{halves[0]}{run_id}/artifacts{halves[1]}"
        for halves, run_id in zip(map(around.__getitem__, experiment_ids), run_ids, strict=True)
    ]


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
