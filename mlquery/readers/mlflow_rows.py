"""What the rows of MLflow's tables mean: turns them into experiments, runs and logged models.

Where the rows come from is not known here: from a file that is loaded, or from a server that is asked for a few.
Each function takes rows of the columns that are named here, and of no others.

**Source**: the tables of `mlflow.store.tracking.dbmodels.models`, MLflow 3.17.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from mlquery.entities import Dataset, DatasetInput, Experiment, InputTag, LifecycleStage, Metric, RunInfo
from mlquery.readers.contents import Latest, LoadedRun
from mlquery.store.model_table import ModelTable, StoredModel

INTEGER: Final = frozenset({int})
NUMBER: Final = frozenset({float})
STRING: Final = frozenset({str})
NULL: Final = frozenset({type(None)})

Column = tuple[str, frozenset[type], str | None]
"""Name, accepted types and the SQL expression that stands in where a schema lacks the column (None: it never does)."""

Row = tuple[Any, ...]

EXPERIMENTS: Final[list[Column]] = [
    ("experiment_id", INTEGER, None),
    ("name", STRING, None),
    ("artifact_location", STRING | NULL, "NULL"),
    ("lifecycle_stage", STRING | NULL, "NULL"),
    ("creation_time", INTEGER | NULL, "NULL"),
    ("last_update_time", INTEGER | NULL, "NULL"),
]
RUNS: Final[list[Column]] = [
    ("run_uuid", STRING, None),
    ("experiment_id", INTEGER, None),
    ("user_id", STRING | NULL, "NULL"),
    ("status", STRING, None),
    ("start_time", INTEGER | NULL, None),
    ("end_time", INTEGER | NULL, None),
    ("lifecycle_stage", STRING | NULL, "NULL"),
    ("artifact_uri", STRING | NULL, "NULL"),
    ("name", STRING | NULL, "NULL"),
]
PARAMS: Final[list[Column]] = [("run_uuid", STRING, None), ("key", STRING, None), ("value", STRING, None)]
TAGS: Final[list[Column]] = [("run_uuid", STRING, None), ("key", STRING, None), ("value", STRING | NULL, None)]
EXPERIMENT_TAGS: Final[list[Column]] = [("experiment_id", INTEGER, None), *TAGS[1:]]
METRICS: Final[list[Column]] = [
    ("run_uuid", STRING, None),
    ("key", STRING, None),
    ("value", NUMBER | NULL, None),
    ("timestamp", INTEGER, None),
    ("step", INTEGER, "0"),
]
DATASETS: Final[list[Column]] = [
    ("dataset_uuid", STRING, None),
    ("name", STRING, None),
    ("digest", STRING, None),
    ("dataset_source_type", STRING, None),
    ("dataset_source", STRING, None),
    ("dataset_schema", STRING | NULL, "NULL"),
    ("dataset_profile", STRING | NULL, "NULL"),
]
INPUTS: Final[list[Column]] = [
    ("input_uuid", STRING, None),
    ("source_id", STRING, None),
    ("destination_type", STRING, None),
    ("destination_id", STRING, None),
]
INPUT_TAGS: Final[list[Column]] = [("input_uuid", STRING, None), ("name", STRING, None), ("value", STRING, None)]
MODELS: Final[list[Column]] = [
    ("model_id", STRING, None),
    ("experiment_id", INTEGER, None),
    ("name", STRING, None),
    ("artifact_location", STRING, None),
    ("creation_timestamp_ms", INTEGER, None),
    ("last_updated_timestamp_ms", INTEGER, None),
    ("status", INTEGER, None),
    ("lifecycle_stage", STRING | NULL, None),
    ("model_type", STRING | NULL, None),
    ("source_run_id", STRING | NULL, None),
]
MODEL_PARAMS: Final[list[Column]] = [(name, STRING, None) for name in ("model_id", "param_key", "param_value")]
MODEL_TAGS: Final[list[Column]] = [(name, STRING, None) for name in ("model_id", "tag_key", "tag_value")]
MODEL_METRICS: Final[list[Column]] = [
    ("metric_name", STRING, None),
    ("metric_value", NUMBER | NULL, None),
    ("metric_timestamp_ms", INTEGER, None),
    ("metric_step", INTEGER, None),
    ("model_id", STRING, None),
    ("dataset_name", STRING | NULL, None),
    ("dataset_digest", STRING | NULL, None),
    ("run_id", STRING, None),
]
USES: Final[list[Column]] = [("source_id", STRING, None), ("destination_id", STRING, None), ("step", INTEGER, "0")]
WRITTEN: Final = "source_type = 'RUN_OUTPUT' AND destination_type = 'MODEL_OUTPUT'"
"""The condition of rows of `inputs` that say which run wrote which model."""
READ: Final = "source_type = 'RUN_INPUT' AND destination_type = 'MODEL_INPUT'"
"""The condition of rows of `inputs` that say which run read which model."""

ENDS: Final[list[Column]] = [("source_type", STRING, None), ("destination_type", STRING, None)]
"""The columns of `inputs` that these conditions are about."""

_NAN: Final = float("nan")


def wrong_column(rows: Iterable[Row], columns: list[Column]) -> str | None:
    """Return the name of a column that holds a value of another type than its own, None if there is none."""
    for (name, types, _), cells in zip(columns, zip(*rows, strict=True), strict=False):
        if not types.issuperset(map(type, cells)):
            return name
    return None


def experiments_of(rows: Iterable[Row], tags: Mapping[Any, dict[str, str]]) -> list[Experiment]:
    """Return experiments from their rows and their tags by id."""
    return [
        Experiment(str(number), name, location or "", stage or "active", tags[number], created, updated)
        for number, name, location, stage, created, updated in rows
    ]


def runs_of(
    rows: Iterable[Row],
    params: Mapping[Any, dict[str, str]],
    tags: Mapping[Any, dict[str, str]],
    metrics: Mapping[str, dict[str, Latest]],
    inputs: Mapping[str, dict[str, DatasetInput]],
) -> list[LoadedRun]:
    """Return runs from their rows and from what is known of them by id."""
    runs = []
    for run_id, number, user, status, start, end, stage, uri, name in rows:
        info = RunInfo(run_id, str(number), user, status, start, end, stage or "active", uri, name)
        datasets = tuple(inputs[run_id].values())
        runs.append(LoadedRun(info, params[run_id], tags[run_id], metrics[run_id], datasets))
    return runs


def strings_of(rows: Iterable[Row]) -> defaultdict[str | int, dict[str, str]]:
    """Return params or tags by the id of what has them; equal keys are shared.

    A tag without a value is left out: no filter of MLflow finds it.
    """
    found: defaultdict[str | int, dict[str, str]] = defaultdict(dict)
    keys: dict[str, str] = {}
    for owner_id, key, value in rows:
        if value is not None:
            found[owner_id][keys.setdefault(key, key)] = value
    return found


def latest_of(rows: Iterable[Row]) -> defaultdict[str, dict[str, Latest]]:
    """Return the latest points by run and key."""
    found: defaultdict[str, dict[str, Latest]] = defaultdict(dict)
    keys: dict[str, str] = {}
    for run_id, key, value, timestamp, step in rows:
        found[run_id][keys.setdefault(key, key)] = (_NAN if value is None else value, timestamp, step)
    return found


def inputs_of(
    datasets: Iterable[Row], tags: Iterable[Row], inputs: Iterable[Row]
) -> defaultdict[str, dict[str, DatasetInput]]:
    """Return the dataset inputs by run and dataset, from the rows of three tables."""
    known = {uuid: Dataset(*fields) for uuid, *fields in datasets}
    tags_of: defaultdict[str, list[InputTag]] = defaultdict(list)
    for input_uuid, key, value in tags:
        tags_of[input_uuid].append(InputTag(key, value))
    found: defaultdict[str, dict[str, DatasetInput]] = defaultdict(dict)
    for input_uuid, dataset_uuid, target, run_id in inputs:
        if target == "RUN" and dataset_uuid in known:
            found[run_id][dataset_uuid] = DatasetInput(known[dataset_uuid], tags_of[input_uuid])
    return found


def add_models(
    models: ModelTable, rows: Iterable[Row], params: Iterable[Row], tags: Iterable[Row], points: Iterable[Row]
) -> None:
    """Add logged models, from the rows of four tables."""
    params_of, tags_of = strings_of(params), strings_of(tags)
    for model_id, number, *fields in rows:
        model = StoredModel(model_id, str(number), *fields)
        stage = model.lifecycle_stage or LifecycleStage.ACTIVE
        models.by_id[model_id] = attrs.evolve(
            model, lifecycle_stage=stage, tags=tags_of[model_id], params=params_of[model_id]
        )
    for key, value, timestamp, step, model_id, *about in points:
        point = Metric(key, _NAN if value is None else value, timestamp, step, model_id, *about)
        models.points.setdefault(model_id, {})[key, timestamp, step, str(point.run_id)] = point


def add_uses(models: ModelTable, written: Iterable[Row], read: Iterable[Row]) -> None:
    """Add which runs wrote and read which models, from rows of the columns `USES`."""
    for run_id, model_id, step in written:
        models.outputs.setdefault(run_id, {})[model_id] = step
    for run_id, model_id, _ in read:
        models.inputs.setdefault(run_id, {})[model_id] = None


def uses_of(rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows of the columns `USES` that say which run wrote which model, and those about reading.

    The rows given have the columns `ENDS` too.
    """
    written, read = [], []
    for *use, source, destination in rows:
        if (source, destination) == ("RUN_OUTPUT", "MODEL_OUTPUT"):
            written.append(tuple(use))
        elif (source, destination) == ("RUN_INPUT", "MODEL_INPUT"):
            read.append(tuple(use))
    return written, read
