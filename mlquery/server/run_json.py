"""Writes runs as JSON, in the shape and with the omissions of MLflow's server, from the columns of a store.

An answer may hold thousands of runs with tens of metrics, params and tags each. So JSON is put together column by
column, each distinct value written once, and neither entities nor dictionaries are made on the way.

**Source** of the shape: the `to_proto` methods of MLflow 3.17's entities, read through protobuf's JSON.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted

from mlquery.entities import DatasetInput
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.server.bodies import Integer, Location, number
from mlquery.store import Store
from mlquery.store.columns import MetricCells, StringCells

WriteInteger = Callable[[int], str]
Write = Callable[[str, list[int]], list[str]]
"""Writes the cells of a key in some rows, all of which have the key."""


class Json(str):
    """A string that is JSON already."""

    __slots__ = ()


def full_runs_of_rows(store: Store, rows: Sequence[int], integer: Integer, location: Location = str) -> list[str]:
    """Return the runs of rows of a store with everything that is known of them, the models that they read too."""
    read = store.models.inputs
    return [runs_of_rows(store, [row], integer, location, tuple(read.get(store.runs.ids[row], ())))[0] for row in rows]


def runs_of_rows(
    store: Store, rows: Iterable[int], integer: Integer, location: Location = str, read: Sequence[str] = ()
) -> list[str]:
    """Return the runs of rows of a store.

    Args:
        store: Holds the runs; nobody may write into it meanwhile.
        rows: The rows.
        integer: Makes of an integer of 64 bits what JSON shows, `int` or `str`.
        location: Makes of the location of artifacts what JSON shows.
        read: The models that all of them read.
    """
    wanted, runs, written = [int(row) for row in rows], store.runs, store.models.outputs
    write = _integer_writer(integer)
    parts = zip(wanted, _infos(store, wanted, write, location), _data(store, wanted, write), strict=True)
    return [
        f'{{"info":{info},"data":{data},"inputs":{_inputs(runs.inputs.get(row, ()), read)},'
        f'"outputs":{_outputs(written.get(runs.ids[row]), write)}}}'
        for row, info, data in parts
    ]


def new_run(store: Store, run_id: str, integer: Integer, location: Location = str) -> str:
    """Return a run that was just created: it has tags, no outputs, and nothing else."""
    rows, write = [_row(store, run_id)], _integer_writer(integer)
    (info,), (data,) = _infos(store, rows, write, location), _data(store, rows, write)
    return f'{{"info":{info},"data":{data},"inputs":{{}}}}'


def info_of_id(store: Store, run_id: str, integer: Integer, location: Location = str) -> str:
    """Return what is known of every run: no data, inputs or outputs."""
    return _infos(store, [_row(store, run_id)], _integer_writer(integer), location)[0]


def _row(store: Store, run_id: str) -> int:
    row = store.runs.row_of.get(run_id)
    if row is None:
        raise StoreError(f"Run with id={run_id} not found", RESOURCE_DOES_NOT_EXIST)
    return row


def _infos(store: Store, rows: list[int], integer: WriteInteger, location: Location) -> list[str]:
    """Return what is known of every run. A database may hold no user and no start."""
    runs = store.runs
    names = ("experiment_id", "user_id", "status", "lifecycle_stage", "run_name")
    strings = [runs.strings.cells[name].at(rows) for name in names]
    times = [runs.times.cells[name].at(rows) for name in ("start_time", "end_time")]
    ids = [quoted(runs.ids[row]) for row in rows]
    uris = (uri and location(uri) for uri in map(runs.artifact_uri, rows))
    return [
        f'{{"run_id":{run_id},"run_uuid":{run_id},"experiment_id":{quoted(experiment or "")},'
        f'"user_id":{quoted(user or "")},"status":"{status}","lifecycle_stage":"{stage}",'
        f'"start_time":{integer(start or 0)}'
        + ("" if name is None else f',"run_name":{quoted(name)}')
        + (f',"end_time":{integer(end)}' if end else "")
        + (f',"artifact_uri":{quoted(uri)}}}' if uri else "}")
        for run_id, experiment, user, status, stage, name, start, end, uri in zip(
            ids, *strings, *times, uris, strict=True
        )
    ]


def _data(store: Store, rows: list[int], integer: WriteInteger) -> list[str]:
    """Return metrics, params and tags of runs."""
    runs = store.runs
    found = {
        "metrics": _arrays(
            runs.metric_keys, rows, lambda key, some: _metrics(key, runs.metrics.cells[key], some, integer)
        ),
        "params": _arrays(runs.param_keys, rows, lambda key, some: _strings(key, runs.params.cells[key], some)),
        "tags": _arrays(runs.tag_keys, rows, lambda key, some: _strings(key, runs.tags.cells[key], some)),
    }
    return [
        "{" + ",".join([f'"{name}":[{array}]' for name, array in zip(found, arrays, strict=True) if array]) + "}"
        for arrays in zip(*found.values(), strict=True)
    ]


def _arrays(keys_of: Sequence[tuple[str, ...]], rows: list[int], write: Write) -> list[str]:
    """Return what is inside an array, for each row; rows with the same keys are written together, key by key."""
    alike: dict[int, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        alike[id(keys_of[row])].append(place)
    found = [""] * len(rows)
    for places in alike.values():
        some = [rows[place] for place in places]
        columns = [write(key, some) for key in keys_of[some[0]]]
        for place, cells in zip(places, zip(*columns)):  # noqa: B905  # without a key there are no cells
            found[place] = ",".join(cells)
    return found


def _strings(key: str, cells: StringCells, rows: list[int]) -> list[str]:
    strings, head = cells.at_present(rows), f'{{"key":{quoted(key)},"value":'
    written = {string: f"{head}{quoted(string or '')}}}" for string in set(strings)}
    return [written[string] for string in strings]


def _metrics(key: str, cells: MetricCells, rows: list[int], integer: WriteInteger) -> list[str]:
    head = f'{{"key":{quoted(key)},"value":'
    slots = rows if cells.rows is None else [cells.slot(row) for row in rows]
    _, *columns = (map(array.__getitem__, slots) for array in cells.arrays)
    return [
        f'{head}{_value(value)},"timestamp":{integer(time)},"step":{integer(step)}}}'
        for value, time, step in zip(*columns, strict=True)
    ]


def _value(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'"{number(value)}"'


def _inputs(datasets: Sequence[DatasetInput], read: Sequence[str]) -> str:
    if not datasets and not read:
        return "{}"
    body: dict[str, object] = {}
    if datasets:
        body["dataset_inputs"] = [
            ({"tags": [{"key": tag.key, "value": tag.value} for tag in one.tags]} if one.tags else {})
            | {"dataset": _dataset(one.dataset.to_dictionary())}
            for one in datasets
        ]
    if read:
        body["model_inputs"] = [{"model_id": model_id} for model_id in read]
    return json.dumps(body, separators=(",", ":"))


def _dataset(fields: Mapping[str, str | None]) -> dict[str, str]:
    """Return a dataset; without schema or profile where they are missing or empty."""
    optional = ("schema", "profile")
    return {name: value for name, value in fields.items() if value or (value is not None and name not in optional)}


def _outputs(steps: Mapping[str, int] | None, integer: WriteInteger) -> str:
    if not steps:
        return "{}"
    models = ",".join([f'{{"model_id":{quoted(name)},"step":{integer(step)}}}' for name, step in steps.items()])
    return f'{{"model_outputs":[{models}]}}'


def _integer_writer(integer: Integer) -> WriteInteger:
    """Return what writes an integer of 64 bits."""
    return str if integer is int else '"{}"'.format
