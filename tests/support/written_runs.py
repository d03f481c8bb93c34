"""Writes random runs to a server through MLflow's client, as far as MLflow takes them."""

from __future__ import annotations

from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from mlquery.store import Store

EXPERIMENTS = {"1": "1", "2": "2", "30": "3"}
"""The ids that a new server gives the experiments of a store, by their ids there."""


def write_runs(client: MlflowClient, store: Store) -> None:
    """Create the experiments and the runs of a store on a new server, under other ids."""
    for row, experiment_id in enumerate(store.experiments.ids):
        assert EXPERIMENTS[experiment_id] == client.create_experiment(store.experiments.experiment_at(row).name)
    for row in range(store.runs.size):
        _write_run(client, store, row)


def _write_run(client: MlflowClient, store: Store, row: int) -> None:
    run, runs = store.runs.run_at(row), store.runs
    info, data = run.info, run.data
    experiment_id, tags = EXPERIMENTS[info.experiment_id], {"mlflow.user": info.user_id or "", **data.tags}
    made = client.create_run(experiment_id, info.start_time, tags, info.run_name).info.run_id
    points: list[Any] = []
    for key in runs.metric_keys[row]:
        values, timestamps, steps = runs.points(info.run_id, key)
        points += map(Metric, [key] * len(values), map(float, values), map(int, timestamps), map(int, steps))
    client.log_batch(made, points, [Param(*pair) for pair in data.params.items()], [RunTag(*p) for p in tags.items()])
    if run.inputs is not None and run.inputs.dataset_inputs:
        client.log_inputs(made, [_dataset(found) for found in run.inputs.dataset_inputs])
    client.update_run(made, info.status)
    if info.end_time is not None:
        client.set_terminated(made, info.status, info.end_time)
    if info.lifecycle_stage == "deleted":
        client.delete_run(made)


def _dataset(found: Any) -> DatasetInput:
    about = found.dataset
    dataset = Dataset(about.name, about.digest, about.source_type, about.source, about.schema, about.profile)
    return DatasetInput(dataset, [InputTag(tag.key, tag.value) for tag in found.tags])
