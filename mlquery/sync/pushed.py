"""What a store knows of a target: the ids that things have there, and digests of what was sent.

It is recorded before each creation that there may be something, and what is created bears a mark. So `settle` finds
what was created without a record, as after an interruption, or more than once. How anything is sent is not known here.
"""

from __future__ import annotations

from typing import Final

from mlquery.durable.store import DurableStore
from mlquery.entities import LifecycleStage
from mlquery.remote.names import earlier_names
from mlquery.store.changes import SetPushed
from mlquery.store.model_table import PENDING
from mlquery.sync.mlflow_registry import INCOMPLETE_TAG
from mlquery.sync.mlflow_target import MlflowTarget

INCOMPLETE: Final = ""
"""The digest of what is not complete on the target."""
UNKNOWN: Final = ("", INCOMPLETE)
"""What is recorded before something is created: it may be there."""


class Pushed:
    """What a store knows of the target of a name."""

    def __init__(self, store: DurableStore, name: str) -> None:
        self.store, self.name = store, name
        self._names = (*earlier_names(name, store.pushed), name)

    def known(self, kind: str, local_id: str) -> tuple[str, str] | None:
        """Return the id on the target, empty if it is not known, and the digest of what the target has."""
        for name in reversed(self._names):
            found = self.store.pushed.get(name, {}).get(kind, {}).get(local_id)
            if found is not None:
                return found
        return None

    def remember(self, kind: str, local_id: str, remote_id: str, digest: str = INCOMPLETE) -> None:
        """Record what the target has."""
        change = SetPushed(self.name, kind, local_id, remote_id, digest)
        if self.store.read_only:
            change.apply(self.store)  # known until the store is closed
        else:
            self.store.write(change)

    def remote_id(self, kind: str, local_id: str) -> str:
        """Return the id that a run, model or experiment has on the target."""
        known = self.known(kind, local_id)
        assert known is not None
        return known[0]

    def ids(self, kind: str) -> dict[str, str]:
        """Return all ids on the target by the local ids."""
        found = {
            local: remote
            for name in self._names
            for local, (remote, _) in self.store.pushed.get(name, {}).get(kind, {}).items()
        }
        return {local: remote for local, remote in found.items() if remote}

    def local_ids(self, kind: str) -> set[str]:
        """Return the ids here of all that is on the target, or may be."""
        return {local for name in self._names for local in self.store.pushed.get(name, {}).get(kind, {})}

    def mark(self, local_id: str) -> str:
        """Return the value of `INCOMPLETE_TAG` of what this store creates: nobody else's has the same."""
        return f"{self.store.store_id}/{local_id}"

    def is_duplicate(self, kind: str, mark: str, remote_id: str) -> bool:
        """Return whether this store created something on the target and uses another one; adopt it if it has none."""
        store_id, slash, local_id = mark.partition("/")
        if not slash:  # older versions of mlquery wrote the local id alone
            store_id, local_id = "", mark
        known = self.known(kind, local_id)
        if known is None or store_id not in ("", self.store.store_id):
            return False
        if not known[0]:
            self.remember(kind, local_id, remote_id)
            return False
        return known[0] != remote_id and bool(store_id)


def settle(pushed: Pushed, target: MlflowTarget, has_models: bool) -> None:
    """Adopt what an interrupted push created without recording its id, and delete what was created twice.

    A server may carry out a request that it did not answer, even long after the client has sent it again.
    """
    experiments = list(pushed.ids("experiment").values())
    if not experiments:
        return
    for run in list(target.incomplete_runs(experiments)):  # all first: what is deleted moves the pages
        is_empty = not (run.latest or run.params or run.inputs)
        if pushed.is_duplicate("run", run.tags[INCOMPLETE_TAG], run.info.run_id) and is_empty:
            target.set_run_stage(run.info.run_id, LifecycleStage.DELETED)
    for found in list(target.incomplete_models(experiments)) if has_models else ():
        model, is_empty = found.model, not found.points and found.model.status == PENDING
        if pushed.is_duplicate("model", model.tags[INCOMPLETE_TAG], model.model_id) and is_empty:
            target.delete_model(model.model_id)
