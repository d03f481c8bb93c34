"""Writes runs as JSON, in the shape and with the omissions of MLflow's server.

Text is put together directly: an answer may hold thousands of runs with tens of metrics, params and tags each, and to
make a dictionary of every one of them first would take three times as long.

**Source**: the `to_proto` methods of MLflow 3.17's entities, read through protobuf's JSON.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted

from mlquery.entities import Run, RunData, RunInfo, RunInputs
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.server.bodies import number
from mlquery.server.service import Service
from mlquery.store.run_table import RunTable

Whole = Callable[[int], str]
Points = tuple[Sequence[str], Sequence[str]]
"""Timestamps and steps, written."""


class Json(str):
    """A text that is JSON already."""

    __slots__ = ()


def run_of_id(service: Service, run_id: str) -> str:
    """Return a run with everything that is known of it; raise RESOURCE_DOES_NOT_EXIST if there is none."""
    row = service.store.runs.row_of.get(run_id)
    if row is None:
        raise StoreError(f"Run with id={run_id} not found", RESOURCE_DOES_NOT_EXIST)
    read = tuple(service.store.models.inputs.get(run_id, ()))
    return runs_of_rows(service, [row], {run_id: read})[0]


def runs_of_rows(service: Service, rows: Iterable[int], read: Mapping[str, tuple[str, ...]] | None = None) -> list[str]:
    """Return the runs of rows of the store; the models that runs read are shown as far as they are given."""
    wanted, whole = [int(row) for row in rows], writer_of(service)
    runs, written, read = service.store.runs, service.store.models.outputs, read or {}
    points = _latest_points(runs, wanted, whole)
    return [
        f'{{"info":{info_of(run.info, whole)},"data":{_data(run.data, points[i])},'
        f'"inputs":{_inputs(run.inputs, read.get(run.info.run_id, ()))},'
        f'"outputs":{_outputs(written.get(run.info.run_id), whole)}}}'
        for i, run in enumerate(runs.runs_at(wanted))
    ]


def new_run(service: Service, run: Run) -> str:
    """Return a run that was just created: it has tags, no outputs, and nothing else."""
    return f'{{"info":{info_of(run.info, writer_of(service))},"data":{_data(run.data, ((), ()))},"inputs":{{}}}}'


def writer_of(service: Service) -> Whole:
    """Return what writes a whole number of 64 bits."""
    return str if service.whole is int else '"{}"'.format


def info_of(info: RunInfo, whole: Whole) -> str:
    """Return what is known of every run. A database may hold no user and no start."""
    run_id = quoted(info.run_id)
    name = "" if info.run_name is None else f'"run_name":{quoted(info.run_name)},'
    end = f'"end_time":{whole(info.end_time)},' if info.end_time else ""
    uri = f'"artifact_uri":{quoted(info.artifact_uri)},' if info.artifact_uri else ""
    return (
        f'{{"run_id":{run_id},"run_uuid":{run_id},"experiment_id":{quoted(info.experiment_id)},{name}'
        f'"user_id":{quoted(info.user_id or "")},"status":{quoted(info.status)},'
        f'"start_time":{whole(info.start_time or 0)},{end}{uri}"lifecycle_stage":{quoted(info.lifecycle_stage)}}}'
    )


def _data(data: RunData, points: Points) -> str:
    parts = []
    if data.metrics:
        latest = zip(data.metrics.items(), *points, strict=True)
        written = [
            f'{{"key":{quoted(key)},"value":{_value(value)},"timestamp":{time},"step":{step}}}'
            for (key, value), time, step in latest
        ]
        parts.append('"metrics":[' + ",".join(written) + "]")
    if data.params:
        parts.append(f'"params":{_pairs(data.params)}')
    if data.tags:
        parts.append(f'"tags":{_pairs(data.tags)}')
    return "{" + ",".join(parts) + "}"


def _value(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'"{number(value)}"'


def _pairs(texts: Mapping[str, str]) -> str:
    written = [f'{{"key":{quoted(key)},"value":{quoted(text)}}}' for key, text in texts.items()]
    return "[" + ",".join(written) + "]"


def _inputs(inputs: RunInputs | None, read: Sequence[str]) -> str:
    found = [] if inputs is None else inputs.dataset_inputs
    if not found and not read:
        return "{}"
    body: dict[str, object] = {}
    if found:
        body["dataset_inputs"] = [
            ({"tags": [{"key": tag.key, "value": tag.value} for tag in one.tags]} if one.tags else {})
            | {"dataset": _dataset(one.dataset.to_dictionary())}
            for one in found
        ]
    if read:
        body["model_inputs"] = [{"model_id": model_id} for model_id in read]
    return json.dumps(body, separators=(",", ":"))


def _dataset(fields: Mapping[str, str | None]) -> dict[str, str]:
    """Return a dataset; without schema or profile where they are missing or empty."""
    optional = ("schema", "profile")
    return {name: text for name, text in fields.items() if text or (text is not None and name not in optional)}


def _outputs(steps: Mapping[str, int] | None, whole: Whole) -> str:
    if not steps:
        return "{}"
    models = ",".join([f'{{"model_id":{quoted(name)},"step":{whole(step)}}}' for name, step in steps.items()])
    return f'{{"model_outputs":[{models}]}}'


def _latest_points(runs: RunTable, rows: Sequence[int], whole: Whole) -> list[Points]:
    """Return timestamps and steps of the latest metrics of rows; rows with the same keys are read at once."""
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        alike[runs.metric_keys[row]].append(place)
    found: list[Points] = [((), ())] * len(rows)
    for keys, places in alike.items():
        if not keys:
            continue
        times, steps = [], []
        for key in keys:
            cells = runs.metrics.cells[key]
            slots = [rows[place] if cells.rows is None else cells.slot(rows[place]) for place in places]
            times.append(list(map(whole, map(cells.arrays[2].__getitem__, slots))))
            steps.append(list(map(whole, map(cells.arrays[3].__getitem__, slots))))
        for place, points in zip(places, zip(zip(*times), zip(*steps)), strict=True):  # noqa: B905
            found[place] = points
    return found
