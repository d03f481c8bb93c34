"""Tells a whole store as changes, in an order in which they can be replayed. Journals are not known here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs

from mlquery.durable.replay import Replayed, dataset_input_fields, experiment_fields, model_fields
from mlquery.store.columns import MetricCells

Change = tuple[str, list[Any]]
_POINTS: Final = 50_000  # of one entry


def changes_of(store: Replayed) -> Iterator[Change]:
    """Yield name and content of the changes that make this store out of an empty one."""
    experiments, runs = store.experiments, store.runs
    for row in range(experiments.size):
        yield "experiment", [experiment_fields(experiments.experiment_at(row))]
    for row, run_id in enumerate(runs.ids):
        yield "run", [run_fields(store, row)]
        for key in runs.metric_keys[row]:
            yield from _points(store, run_id, key)
    yield from _models(store)
    for target, kinds in store.pushed.items():
        for kind, ids in kinds.items():
            for own_id, (id_there, sent) in ids.items():
                yield "pushed", [target, kind, own_id, id_there, sent]


def run_fields(store: Replayed, row: int) -> dict[str, Any]:
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


def _points(store: Replayed, run_id: str, key: str) -> Iterator[Change]:
    columns = store.history(run_id, key)
    if len(columns[0]) < 2:  # the only point is with the run
        return
    for start in range(0, len(columns[0]), _POINTS):
        yield "points", [run_id, key, *(column[start : start + _POINTS].tolist() for column in columns)]


def _models(store: Replayed) -> Iterator[Change]:
    models = store.models
    for model in models.by_id.values():
        yield "model", [model_fields(model)]
    for model_id, points in models.points.items():
        fields = [attrs.astuple(point, recurse=False) for point in points.values()]
        # Not the id of the model, which is the same for all.
        yield "model_points", [model_id, [[*one[:4], *one[5:]] for one in fields]]
    for run_id, steps in models.outputs.items():
        yield "outputs", [run_id, dict(steps)]
    for run_id, read in models.inputs.items():
        yield "model_inputs", [run_id, list(read)]
