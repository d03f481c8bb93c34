"""Tells a whole store as changes, in an order in which they can be replayed. Journals are not known here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlquery.store import Store
from mlquery.store.changes import (
    AddRun,
    LogModelInputs,
    LogModelPoints,
    LogOutputs,
    LogPoints,
    PutExperiment,
    PutModel,
    SetPushed,
)
from mlquery.store.columns import MetricCells
from mlquery.store.entity_fields import dataset_input_fields, experiment_fields, model_fields, model_point_fields
from mlquery.store.registered_models import registry_changes
from mlquery.store.state import Change


def changes_of(store: Store) -> Iterator[Change]:
    """Yield the changes that make this store out of an empty one."""
    experiments, runs = store.experiments, store.runs
    for row in range(experiments.size):
        yield PutExperiment(experiment_fields(experiments.experiment_at(row)))
    for row, run_id in enumerate(runs.ids):
        yield AddRun(run_fields(store, row))
        for key in runs.metric_keys[row]:
            columns = store.history(run_id, key)
            if len(columns[0]) > 1:  # the only point is with the run
                yield from LogPoints(run_id, key, *columns).slices()
    yield from _models(store)
    yield from registry_changes(store.registered_models.values())
    for target, kinds in store.pushed.items():
        for kind, ids in kinds.items():
            for own_id, (id_there, digest) in ids.items():
                yield SetPushed(target, kind, own_id, id_there, digest)


def run_fields(store: Store, row: int) -> dict[str, Any]:
    """Return a run with its params, tags, inputs and latest points as the change "run" holds it."""
    run = store.runs.run_at(row)
    fields = dict(run.info)
    if run.info.artifact_uri == store.default_artifact_uri(run.info.experiment_id, run.info.run_id):
        del fields["artifact_uri"]
    fields["metrics"] = [[key, *_latest(store.runs.metrics.cells[key], row)] for key in run.data.metrics]
    fields |= {"params": run.data.params, "tags": run.data.tags}
    if run.inputs is not None:
        fields["inputs"] = [dataset_input_fields(found) for found in run.inputs.dataset_inputs]
    return fields


def _latest(cells: MetricCells, row: int) -> list[Any]:
    place = row if cells.rows is None else cells.slot(row)
    return [cell[place] for cell in cells.arrays[1:]]


def _models(store: Store) -> Iterator[Change]:
    models = store.models
    for model in models.by_id.values():
        yield PutModel(model_fields(model))
    for model_id, points in models.points.items():
        yield LogModelPoints(model_id, list(map(model_point_fields, points.values())))
    for run_id, steps in models.outputs.items():
        yield LogOutputs(run_id, dict(steps))
    for run_id, read in models.inputs.items():
        yield LogModelInputs(run_id, list(read))


def format_of(store: Store) -> int:
    """Return the first format of journals that knows all that is in a store."""
    return 2 if store.registered_models else 1
