"""Finds the run at the top of a tree of nested runs, which some services write on every run of the tree."""

from __future__ import annotations

from mlquery.entities import Run
from mlquery.errors import StoreError
from mlquery.store import Store

PARENT, ROOT = "mlflow.parentRunId", "mlflow.rootRunId"


def root_of(store: Store, run: Run) -> str:
    """Return the id of the run at the top of the tree that a run is in, as far as it is known."""
    parent_id = run.data.tags.get(PARENT)
    if parent_id is None:
        return run.info.run_id
    try:
        return store.get_run(parent_id).data.tags.get(ROOT, parent_id)
    except StoreError:
        return parent_id
