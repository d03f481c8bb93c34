"""Snapshots: the state of a store after an entry of its journal, so that opening need not replay what came before.

A snapshot is a file of parts. The last one is JSON, with everything small and the numbers of the others, which hold the
runs and are read when they are asked for. A snapshot depends on the journal alone, byte for byte: a part that is
damaged is made anew from the entries. One that is missing, of another store, or damaged as a whole is passed over.
Entries are not known here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from mlquery.durable.entries import encode
from mlquery.durable.errors import DamagedJournalError
from mlquery.durable.parts import Add, DamagedPartError, Part, Parts, PartsWriter
from mlquery.durable.run_parts import restore_runs, runs_dumped
from mlquery.entities import Metric
from mlquery.store import Store
from mlquery.store.changes import CHANGES, NAMES, PutExperiment
from mlquery.store.entity_fields import experiment_fields, model_fields
from mlquery.store.model_table import StoredModel
from mlquery.store.registered_models import registry_changes

NAME: Final = "snapshot.bin"
VERSION: Final = 2
OLD_NAME: Final = "snapshot.npz"
"""The file of version 1, which is no longer read."""


def write(store: Store, folder: Path, store_id: str, seq: int) -> None:
    """Write the state of a store after entry `seq`, in the place of an older snapshot.

    Raises:
        OSError: it cannot be written; the older one is still there.
    """
    new = folder / f"{NAME}.{os.getpid()}.tmp"
    try:
        with new.open("wb") as file:
            writer = PartsWriter(file)
            _dump(store, store_id, seq, writer.add)
            writer.finish()
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / NAME)
    finally:
        new.unlink(missing_ok=True)
    (folder / OLD_NAME).unlink(missing_ok=True)


def parts_of(store: Store, store_id: str, seq: int) -> Sequence[Part]:
    """Return the parts of the snapshot of a store after entry `seq`."""
    found: list[Part] = []

    def add(content: Part) -> int:
        found.append(content)
        return len(found) - 1

    _dump(store, store_id, seq, add)
    return found


def read(
    store: Store, folder: Path, store_id: str | None, remade: Callable[[int], Sequence[Part]] | None = None
) -> int:
    """Fill an empty store from its snapshot and return the number of the last entry in it, -1 if there is none.

    One of another store does not count, unless `store_id` is None. What one that cannot be read left in the store is
    taken away again. Most of it is read later, when it is asked for.

    Args:
        store: The store.
        folder: Where the snapshot is.
        store_id: The id of the store.
        remade: Returns the parts as they were after an entry, when one that is read later is damaged. Without it all
            parts are looked at now, and one that is damaged spoils the snapshot.
    """
    seq = -1
    try:
        parts = _SnapshotParts(folder, None if remade is None else lambda: remade(seq) if seq >= 0 else ())
        if remade is None and not parts.is_whole():
            return -1
        header = json.loads(bytes(parts.part(len(parts) - 1)))
        if header["version"] != VERSION or store_id not in (None, header["store_id"]):
            return -1
        seq = int(header["seq"])
        _restore(store, header, parts)
        return seq
    except FileNotFoundError:
        return -1
    except Exception:  # of any kind: the journal has it all
        store.clear()
        return -1


class _SnapshotParts(Parts):
    """The parts of a snapshot, where a damaged one that the journal does not give again is an error of the store."""

    def __init__(self, folder: Path, remade: Callable[[], Sequence[Part]] | None) -> None:
        super().__init__(folder / NAME, remade)
        self._folder = folder

    def part(self, number: int) -> Part:
        try:
            return super().part(number)
        except DamagedPartError:
            raise DamagedJournalError(
                str(self._folder),
                f"is damaged: its {NAME} is not what was written; nothing was changed; remove that file: "
                "the journal has all that is in it",
            ) from None


# Writing


def _dump(store: Store, store_id: str, seq: int, add: Add) -> None:
    header = {"version": VERSION, "store_id": store_id, "seq": seq} | _dumped(store, add)
    add(encode(header).encode())


def _dumped(store: Store, add: Add) -> dict[str, Any]:
    """Return the small things of a store, and where its columns are; those are added as parts."""
    models = store.models
    return {
        "default_experiment_id": store.default_experiment_id,
        "experiments": [
            experiment_fields(store.experiments.experiment_at(row)) for row in range(store.experiments.size)
        ],
        "pushed": store.pushed,
        "models": [model_fields(model) for model in models.by_id.values()],
        "model_points": [
            attrs.astuple(point, recurse=False) for points in models.points.values() for point in points.values()
        ],
        "outputs": models.outputs,
        "model_inputs": {run_id: list(found) for run_id, found in models.inputs.items()},
        "runs": runs_dumped(store.runs, add),
        "registry": [[NAMES[type(change)], *change] for change in registry_changes(store.registered_models.values())],
    }


# Reading


def _restore(store: Store, header: dict[str, Any], parts: Parts) -> None:
    models = store.models
    for fields in header["experiments"]:
        PutExperiment(fields).apply(store)
    store.default_experiment_id = header["default_experiment_id"]
    store.pushed = {
        target: {kind: {own: (there, sent) for own, (there, sent) in ids.items()} for kind, ids in kinds.items()}
        for target, kinds in header["pushed"].items()
    }
    for fields in header["models"]:
        models.by_id[fields["model_id"]] = StoredModel(**fields)
    for point in (Metric(*fields) for fields in header["model_points"]):
        key = (point.key, point.timestamp, point.step, str(point.run_id))
        models.points.setdefault(str(point.model_id), {})[key] = point
    models.outputs.update(header["outputs"])
    models.inputs.update({run_id: dict.fromkeys(found) for run_id, found in header["model_inputs"].items()})
    for name, *content in header["registry"]:
        CHANGES[name](*content).apply(store)
    restore_runs(store.runs, header["runs"], parts)
