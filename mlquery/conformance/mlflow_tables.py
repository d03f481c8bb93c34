"""Turns a store into the rows of MLflow's tables, as MLflow's own store writes them.

NaN is a 0 with a mark; infinities are the largest floats in a store already, and one that was
filled past the checks of its calls is refused. Logged models are left out, save for which
runs wrote and read them: no search of runs or experiments looks at them.

**Source**: `mlflow.store.tracking.dbmodels.models` and `SqlAlchemyStore._log_inputs_impl` of MLflow 3.17.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mlquery.entities import DatasetInput, LifecycleStage
from mlquery.sql.errors import NotAskableError
from mlquery.store import Store
from mlquery.store.entity_fields import experiment_fields, run_fields
from mlquery.sync.content import Summary, summary_of

Row = dict[str, Any]
TABLES: Final = (
    *("experiments", "experiment_tags", "runs", "tags", "params", "metrics", "latest_metrics"),
    *("datasets", "inputs", "input_tags"),
)
"""The tables that searches of runs and experiments read."""
EMPTY_TABLES: Final = tuple(f"logged_model{part}" for part in ("s", "_params", "_tags", "_metrics"))
"""The tables that MLflow's database has beside them, and that nothing is written to."""


def rows_of_store(store: Store) -> dict[str, list[Row]]:
    """Return the rows of each table, with the column names of MLflow's schema; numbers of experiments are integers.

    Raises:
        NotAskableError: a metric is infinite.
    """
    rows: dict[str, list[Row]] = {table: [] for table in TABLES}
    datasets: dict[tuple[str, str, str], str] = {}
    with store.lock:
        for number in range(store.experiments.size):
            _add_experiment(rows, store, number)
        for run_id in store.runs.ids:
            found = summary_of(store, run_id)
            _add_run(rows, found)
            _add_metrics(rows, store, found)
            for given in found.inputs:
                _add_input(rows, found, given, datasets)
            _add_models(rows, found)
    return rows


def id_in_table(experiment_id: str) -> int | str:
    """Return the id of an experiment as a database holds it: MLflow's own ids are numbers."""
    return int(experiment_id) if experiment_id.isdecimal() else experiment_id


def _add_experiment(rows: dict[str, list[Row]], store: Store, number: int) -> None:
    found = store.experiments.experiment_at(number)
    experiment_id = id_in_table(found.experiment_id)
    fields = experiment_fields(found) | {"experiment_id": experiment_id}
    rows["experiment_tags"] += _pairs(fields.pop("tags"), {"experiment_id": experiment_id})
    rows["experiments"].append(fields)


def _add_run(rows: dict[str, list[Row]], found: Summary) -> None:
    info = found.info
    is_deleted = info.lifecycle_stage == LifecycleStage.DELETED
    fields = run_fields(info) | {"experiment_id": id_in_table(info.experiment_id)}
    names = {"run_uuid": fields.pop("run_id"), "name": fields.pop("run_name")}
    deleted_time = info.end_time or info.start_time if is_deleted else None
    rows["runs"].append({**names, **fields, "deleted_time": deleted_time})
    rows["params"] += _pairs(found.params, {"run_uuid": info.run_id})
    rows["tags"] += _pairs(found.tags, {"run_uuid": info.run_id})


def _add_metrics(rows: dict[str, list[Row]], store: Store, found: Summary) -> None:
    run_id = found.info.run_id
    rows["latest_metrics"] += [_point(run_id, key, *latest) for key, latest in found.latest.items()]
    for key in found.latest:
        columns = (column.tolist() for column in store.history(run_id, key))
        rows["metrics"] += [_point(run_id, key, *point) for point in zip(*columns, strict=True)]


def _point(run_id: str, key: str, value: float, timestamp: int, step: int) -> Row:
    if math.isinf(value):
        raise NotAskableError(f"metrics.{key}", "MLflow's tables hold no infinities")
    is_nan = value != value
    about = {"run_uuid": run_id, "key": key, "timestamp": timestamp, "step": step}
    return {**about, "value": 0.0 if is_nan else value, "is_nan": is_nan}


def _add_input(
    rows: dict[str, list[Row]], found: Summary, given: DatasetInput, datasets: dict[tuple[str, str, str], str]
) -> None:
    """Add the input of a run, and the dataset unless another run of the experiment has it."""
    dataset, experiment_id = given.dataset, found.info.experiment_id
    key = experiment_id, dataset.name, dataset.digest
    if key not in datasets:
        datasets[key] = f"{len(datasets):032x}"
        about = {f"dataset_{name}": getattr(dataset, name) for name in ("schema", "profile")}
        source = {"dataset_source_type": dataset.source_type, "dataset_source": dataset.source}
        names = {"dataset_uuid": datasets[key], "name": dataset.name, "digest": dataset.digest}
        rows["datasets"].append({"experiment_id": id_in_table(experiment_id), **names, **source, **about})
    input_id = _add_edge(rows, ("DATASET", datasets[key]), ("RUN", found.info.run_id))
    rows["input_tags"] += [{"input_uuid": input_id, "name": tag.key, "value": tag.value} for tag in given.tags]


def _add_models(rows: dict[str, list[Row]], found: Summary) -> None:
    run_id = found.info.run_id
    for model_id in found.model_inputs or ():
        _add_edge(rows, ("RUN_INPUT", run_id), ("MODEL_INPUT", model_id))
    for model_id, step in found.outputs.items():
        _add_edge(rows, ("RUN_OUTPUT", run_id), ("MODEL_OUTPUT", model_id), step)


def _add_edge(rows: dict[str, list[Row]], source: tuple[str, str], target: tuple[str, str], step: int = 0) -> str:
    input_id = f"{len(rows['inputs']):032x}"
    ends = {
        "source_type": source[0],
        "source_id": source[1],
        "destination_type": target[0],
        "destination_id": target[1],
    }
    rows["inputs"].append({"input_uuid": input_id, **ends, "step": step})
    return input_id


def _pairs(pairs: Mapping[str, str], owner: Row) -> Iterator[Row]:
    return ({**owner, "key": key, "value": value} for key, value in pairs.items())
