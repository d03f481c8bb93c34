"""Turns a run or a logged model of any store into the value that pull and push compare and transfer.

Neither the source nor the target is known here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.durable.entries import encode
from mlquery.entities import DatasetInput, Experiment, Metric, RunInfo
from mlquery.store import Store
from mlquery.store.entity_fields import dataset_input_fields, model_fields
from mlquery.store.model_table import StoredModel
from mlquery.store.validation import LARGEST_FLOAT, clean_value

Points = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Values, timestamps (ms UTC) and steps of one metric, each (points,), by timestamp, step and value."""


@attrs.frozen(eq=False)
class Summary:
    """A run without its histories.

    Attributes:
        latest: Value, timestamp and step of the latest point of each metric.
        sizes: How many points each metric has, None if that would take another request.
        outputs: The steps of the models that the run wrote, by their ids.
        model_inputs: The ids of the models that it read, None if that would take another request.
    """

    info: RunInfo
    params: dict[str, str]
    tags: dict[str, str]
    latest: dict[str, tuple[float, int, int]]
    inputs: tuple[DatasetInput, ...] = ()
    outputs: dict[str, int] = attrs.field(factory=dict)
    model_inputs: tuple[str, ...] | None = ()
    sizes: dict[str, int] | None = None

    def fingerprint(self) -> str:
        """Return everything about the run that can change, except its points, as one string to compare."""
        info = self.info
        return encode(
            [
                [info.status, info.start_time, info.end_time, info.lifecycle_stage, info.run_name, info.user_id or ""],
                sorted(self.params.items()),
                sorted(self.tags.items()),
                sorted((key, *map(str, point)) for key, point in self.latest.items()),
                sorted(encode(dataset_input_fields(found)) for found in self.inputs),
                sorted(self.outputs.items()),
                sorted(self.model_inputs or ()),
            ]
        )

    def agrees_with(self, other: Summary) -> bool:
        """Return whether another summary holds the same, as far as this one is complete."""
        known = attrs.evolve(self, model_inputs=other.model_inputs) if self.model_inputs is None else self
        return known.fingerprint() == other.fingerprint() and self.sizes in (None, other.sizes)


@attrs.frozen(eq=False)
class ModelContent:
    """A logged model with the points that were logged for it."""

    model: StoredModel
    points: tuple[Metric, ...] = ()

    def digest(self, files: Iterable[tuple[str, int]]) -> str:
        """Return a digest of the content; `files` are paths and sizes in bytes."""
        points = sorted(map(str, (attrs.astuple(point) for point in self.points)))
        fields = {key: value for key, value in model_fields(self.model).items() if key != "last_updated_timestamp"}
        return _digest(encode([fields, points, sorted(files)]))


def summary_of(store: Store, run_id: str) -> Summary:
    """Return a run of a store, whose lock the caller holds."""
    runs, models, row = store.runs, store.models, store.runs.row_of[run_id]
    run = runs.run_at(row)
    latest, sizes = {}, {}
    for key in runs.metric_keys[row]:
        cells = runs.metrics.cells[key]
        place = row if cells.rows is None else cells.slot(row)
        _, values, timestamps, steps = cells.arrays
        latest[key] = (values[place], timestamps[place], steps[place])
        history = cells.histories.get(row)
        sizes[key] = 1 if history is None else len(history)
    return Summary(
        run.info,
        run.data.params,
        run.data.tags,
        latest,
        tuple(run.inputs.dataset_inputs) if run.inputs is not None else (),
        dict(models.outputs.get(run_id, {})),
        tuple(models.inputs.get(run_id, ())),
        sizes,
    )


def model_of(store: Store, model_id: str) -> ModelContent:
    """Return a logged model of a store, whose lock the caller holds."""
    return ModelContent(store.models.by_id[model_id], tuple(store.models.metrics(model_id)))


def rows_of(points: Points) -> Iterator[tuple[float | None, int, int]]:
    """Yield value (None for NaN), timestamp and step of each point, to be compared."""
    for value, timestamp, step in zip(*(column.tolist() for column in points), strict=True):
        yield None if value != value else clean_value(value), timestamp, step


def logged_value(value: float | None) -> float:
    """Return a value as it was logged: None stands for NaN, and the largest floats for infinities."""
    if value is None:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) == LARGEST_FLOAT else value


def digest_of_experiment(found: Experiment) -> str:
    """Return a digest of what can change in an experiment and is pushed."""
    return _digest(encode(sorted(found.tags.items())))


def digest_of(summary: Summary, histories: Mapping[str, Points], files: Iterable[tuple[str, int]]) -> str:
    """Return a digest of a run; `files` are paths and sizes in bytes of its artifacts."""
    parts: list[Any] = [summary.fingerprint(), sorted(files)]
    for key, columns in sorted(histories.items()):
        parts += [key, *(column.tobytes().hex() for column in columns)]
    return _digest(encode(parts))


def _digest(string: str) -> str:
    return blake2b(string.encode(), digest_size=12).hexdigest()
