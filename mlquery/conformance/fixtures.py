"""Creates the contents of a store of the suite in an implementation, through methods of `MlflowClient` only.

The id of a registered model is its name, that of a version "<name>/<version>".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlquery.conformance.execution import filled
from mlquery.conformance.suite import StoreContents, Table

FIRST_TIME = 1_600_000_000_000
"""When the default experiment was created, in ms UTC."""

_ENDED = ("FINISHED", "FAILED", "KILLED")


def put(
    contents: StoreContents,
    client: Any,
    entities: Any,
    set_clock: Callable[[int], None],
    refused: dict[str, str] | None = None,
) -> dict[str, str]:
    """Create everything and return the ids by name (`experiment.x`, `run.x`, `registered_model.x` …).

    Args:
        contents: What to create.
        client: Has the methods of `MlflowClient`, on a new store.
        entities: The module of `Metric`, `Param`, `RunTag`, `Dataset`, `DatasetInput` and `InputTag`.
        set_clock: Sets the time of the store, in ms UTC.
        refused: Receives the experiments that the store refuses and why, by name; a refusal is raised if None.
    """
    default = client.get_experiment_by_name("Default")  # None on a server where it belongs to others
    ids = {} if default is None else {"experiment.Default": default.experiment_id}
    for experiment in contents.experiments:
        try:
            ids[f"experiment.{experiment['id']}"] = _put_experiment(experiment, client, set_clock)
        except Exception as error:
            if refused is None:
                raise
            refused[experiment["id"]] = str(error).strip().partition("\n")[0]
    for run in contents.runs:
        home = run.get("experiment", contents.experiments[0]["id"])
        ids[f"run.{run['id']}"] = _put_run(run, ids[f"experiment.{home}"], ids, client, entities)
    for run in contents.runs:
        if run.get("deleted"):
            client.delete_run(ids[f"run.{run['id']}"])
    for experiment in contents.experiments:
        if experiment.get("deleted") and f"experiment.{experiment['id']}" in ids:
            set_clock(experiment.get("last_update_time", FIRST_TIME))
            client.delete_experiment(ids[f"experiment.{experiment['id']}"])
    return ids | _put_models(contents, client, set_clock)


def _put_models(contents: StoreContents, client: Any, set_clock: Callable[[int], None]) -> dict[str, str]:
    """Create registered models and versions, tags last: MLflow's client treats those with a prompt's tag as prompts."""
    ids = {}
    for model in contents.models:
        set_clock(model["time"])
        created = client.create_registered_model(model["id"], description=model.get("description"))
        ids[f"registered_model.{model['id']}"] = created.name
    for version in contents.versions:
        set_clock(version["time"])
        optional = {key: version[key] for key in ("run_id", "description") if key in version}
        created = client.create_model_version(version["model"], version["source"], **optional)
        number = created.version
        ids[f"model_version.{version['id']}"] = f"{created.name}/{number}"
        for key, value in version.get("tags", {}).items():
            client.set_model_version_tag(version["model"], number, key, value)
        if version.get("deleted"):
            client.delete_model_version(version["model"], number)
    for model in contents.models:
        for key, value in model.get("tags", {}).items():
            client.set_registered_model_tag(model["id"], key, value)
    return ids


def _put_experiment(table: Table, client: Any, set_clock: Callable[[int], None]) -> str:
    set_clock(table.get("creation_time", FIRST_TIME))
    name, location = table.get("name", table["id"]), table.get("artifact_location")
    identifier: str = client.create_experiment(name, location, table.get("tags"))
    if "last_update_time" in table and not table.get("deleted"):
        # The only change of the time that every dialect supports and that changes nothing else.
        set_clock(table["last_update_time"])
        client.delete_experiment(identifier)
        client.restore_experiment(identifier)
    return identifier


def _put_run(table: Table, experiment_id: str, ids: dict[str, str], client: Any, entities: Any) -> str:
    tags = {key: filled(value, ids) for key, value in table.get("tags", {}).items()}
    run = client.create_run(experiment_id, table["start_time"], tags, table.get("run_name", table["id"]))
    run_id: str = run.info.run_id
    metrics, params = table.get("metrics", {}), table.get("params", {})
    single = {key: value for key, value in metrics.items() if not isinstance(value, list)}
    client.log_batch(
        run_id,
        metrics=[entities.Metric(key, float(value), 1, 0) for key, value in single.items()],
        params=[entities.Param(key, value) for key, value in params.items()],
    )
    for key, points in metrics.items():
        for point in points if key not in single else ():
            client.log_metric(run_id, key, float(point["value"]), point.get("time", 1), point.get("step", 0))
    if "datasets" in table:
        client.log_inputs(run_id, [_dataset_input(dataset, entities) for dataset in table["datasets"]])
    _put_status(table, run_id, client)
    return run_id


def _dataset_input(table: Table, entities: Any) -> Any:
    dataset = entities.Dataset(table["name"], table["digest"], "local", "{}")
    tags = [entities.InputTag("mlflow.data.context", table["context"])] if "context" in table else []
    return entities.DatasetInput(dataset, tags)


def _put_status(table: Table, run_id: str, client: Any) -> None:
    status = table.get("status", "RUNNING")
    if "end_time" in table:
        client.set_terminated(run_id, status, table["end_time"])
    elif status in _ENDED:
        raise ValueError(f"run {table['id']} is {status} but has no end_time")
    elif status != "RUNNING":
        client.update_run(run_id, status)
