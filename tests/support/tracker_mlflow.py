"""MLflow databases for the tracker's tests: empty ones, one with a bit of everything, and all that a client sees."""

from __future__ import annotations

import functools
import json
import logging
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.tracking._tracking_service import utils

logging.getLogger("alembic").setLevel(logging.ERROR)
logging.getLogger("mlflow.store.db").setLevel(logging.ERROR)


@functools.cache
def _empty_database() -> Path:
    path = Path(tempfile.mkdtemp(prefix="mlquery-test-")) / "empty.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


def new_database(folder: Path, name: str = "mlflow.db") -> str:
    """Make an MLflow database in a folder, its artifacts beside it, and return its tracking URI."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_empty_database(), folder / name)
    uri = f"sqlite:///{folder / name}"
    client = mlflow.MlflowClient(uri)
    for experiment in ("first", "second"):
        location = (folder / f"{name}-artifacts" / experiment).as_uri()
        client.create_experiment(experiment, location, {"mlflow.note.content": f"about {experiment}"})
    return uri


def fill(uri: str) -> dict[str, str]:
    """Log a bit of everything and return the ids of the runs by their names."""
    client = mlflow.MlflowClient(uri)
    store = client._tracking_client.store
    ids = [e.experiment_id for name in ("first", "second") if (e := client.get_experiment_by_name(name))]
    runs: dict[str, str] = {}
    for number in range(6):
        tags = [RunTag("mlflow.user", "ada"), RunTag("long", "t" * 5000), RunTag("mlflow.source.name", "train.py")]
        if number in (2, 3):
            tags.append(RunTag("mlflow.parentRunId", runs["run 5 parent" if number == 3 else "run 1"]))
        name = f"run {number}" + (" parent" if number == 5 else "")
        run = store.create_run(ids[number % 2], "ada", 1_600_000_000_000 + 7 * number, tags, name)
        runs[name] = run.info.run_id
        if number == 2:  # a parent that is younger than its child
            younger = store.create_run(ids[1], "bob", 1_600_000_900_000, [RunTag("who", "b")], "run 5 parent")
            runs["run 5 parent"] = younger.info.run_id
        if number == 4:
            break
    for number, (name, run_id) in enumerate(runs.items()):
        points = [
            Metric("loss", math.exp(-step / 50) + number, 1_600_000_000_000 + 10 * step, step) for step in range(300)
        ]
        special = [
            Metric("special", value, 1_600_000_000_000 + step, step)
            for step, value in enumerate([math.nan, math.inf, -math.inf, -0.0, 1e-310, 5.0])
        ]
        special += [Metric("special", 2.0, 1_600_000_000_001, -4), Metric("once", 0.5, 0, 0)]
        client.log_batch(run_id, points + special, [Param(f"p{i}", f"{name} {i}") for i in range(90)], [])
        if number != 3:
            client.set_terminated(run_id, "FAILED" if number == 1 else "FINISHED", 1_600_000_900_000 + number)
    _log_datasets_and_models(client, ids, list(runs.values()))
    client.delete_run(runs["run 4"])
    for name in ("run 0", "run 3"):
        client.log_text(runs[name], f"text of {name}", "notes/deep/a.txt")
        client.log_dict(runs[name], {"name": name}, "b.json")
    return runs


def _log_datasets_and_models(client: Any, ids: list[str], runs: list[str]) -> None:
    dataset = Dataset("sales", "d1", "local", '{"uri": "a.csv"}', '{"columns": []}', '{"rows": 3}')
    client.log_inputs(runs[0], [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    client.log_inputs(runs[2], [DatasetInput(dataset, [])])
    model = client.create_logged_model(ids[0], "tree", runs[0], {"stage": "best"}, {"depth": "3"}, "sklearn")
    points = [Metric("auc", 0.5 + step / 10, 1_600_000_000_000 + step, step, model.model_id) for step in range(3)]
    about = {"dataset_name": "sales", "dataset_digest": "d1"}
    points.append(Metric("auc_on", 0.75, 1_600_000_000_009, 1, model.model_id, **about))
    client.log_batch(runs[0], points)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "MLmodel").write_text("flavors: {}\n")
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data" / "weights.bin").write_bytes(bytes(range(256)))
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(runs[0], [LoggedModelOutput(model.model_id, 2)])
    client.log_inputs(runs[1], models=[LoggedModelInput(model.model_id)])


def contents(uri: str, artifacts: bool = True) -> dict[str, Any]:
    """Return all that MLflow's client finds, with names in the place of ids."""
    utils._artifact_repos_cache.clear()  # it goes by run id, and ids stay when runs are pulled
    client = mlflow.MlflowClient(uri)
    experiments = {e.experiment_id: e for e in client.search_experiments(view_type=ViewType.ALL)}
    runs = [run for run_id in experiments for run in client.search_runs([run_id], run_view_type=ViewType.ALL)]
    names = {run.info.run_id: f"{run.info.run_name} {run.info.start_time}" for run in runs}
    models = {m.model_id: m for m in client.search_logged_models(list(experiments))}
    names |= {model_id: f"model {model.name}" for model_id, model in models.items()}
    found: dict[str, dict[str, Any]] = {
        "experiments": {e.name: [e.lifecycle_stage, dict(sorted(e.tags.items()))] for e in experiments.values()},
        "runs": {names[run.info.run_id]: _run(client, run, names, experiments, artifacts) for run in runs},
        "models": {names[model_id]: _model(client, model, names, artifacts) for model_id, model in models.items()},
    }
    assert len(found["runs"]) == len(runs), "two runs of one name and time"
    assert len(found["models"]) == len(models), "two models of one name"
    as_json: dict[str, Any] = json.loads(json.dumps(found, default=str))
    return as_json


def _run(client: Any, run: Any, names: dict[str, str], experiments: Any, artifacts: bool) -> dict[str, Any]:
    info, run = run.info, client.get_run(run.info.run_id)
    tags = {key: names.get(value, value) for key, value in sorted(run.data.tags.items())}
    histories = {
        key: [[repr(p.value), p.timestamp, p.step] for p in client.get_metric_history(info.run_id, key)]
        for key in sorted(run.data.metrics)
    }
    return {
        "experiment": experiments[info.experiment_id].name,
        "info": [info.user_id, info.status, info.start_time, info.end_time, info.lifecycle_stage, info.run_name],
        "latest": {key: repr(value) for key, value in sorted(run.data.metrics.items())},
        "params": dict(sorted(run.data.params.items())),
        "tags": tags,
        "metrics": histories,
        "datasets": [found.to_dictionary() for found in run.inputs.dataset_inputs],
        "read": [names[found.model_id] for found in run.inputs.model_inputs],
        "wrote": [[names[found.model_id], found.step] for found in run.outputs.model_outputs],
        "files": _files(lambda path: client.list_artifacts(info.run_id, path)) if artifacts else [],
    }


def _model(client: Any, model: Any, names: dict[str, str], artifacts: bool) -> dict[str, Any]:
    points = [
        [p.key, repr(p.value), p.timestamp, p.step, p.dataset_name, p.dataset_digest, names[p.run_id]]
        for p in model.metrics or ()
    ]
    return {
        "about": [model.name, str(model.status), model.model_type, names.get(model.source_run_id), model.params],
        "tags": dict(model.tags),
        "points": sorted(points, key=str),
        "files": _files(lambda path: client.list_logged_model_artifacts(model.model_id, path)) if artifacts else [],
    }


def _files(list_folder: Any, folder: str | None = None) -> list[list[Any]]:
    found = []
    for info in list_folder(folder):
        found += _files(list_folder, info.path) if info.is_dir else [[info.path, info.file_size]]
    return sorted(found)
