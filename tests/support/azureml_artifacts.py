"""Moves artifacts and models through the real `azureml-mlflow` client, and prints what it saw, as JSON.

Usage: python azureml_artifacts.py FOLDER, with a Python that has azureml-mlflow and pandas, and an environment that
leads to the server. These are the kinds of calls of Microsoft's example notebooks.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

seen: dict[str, Any] = {"has logged models": hasattr(mlflow.entities, "LoggedModel")}


class Doubled(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """A model that needs no package."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Return twice what is given."""
        return [2 * value for value in model_input["x"]]


def note(name: str, call: Callable[[], Any]) -> None:
    """Note what a call returns, or what it raises, without ids."""
    try:
        seen[name] = call()
    except Exception as error:
        seen[name] = re.sub("[0-9a-f]{8}-[0-9a-f-]{27}", "ID", f"{type(error).__name__}: {error}")[:300]


def predicted(uri: str) -> Any:
    return mlflow.pyfunc.load_model(uri).predict(pd.DataFrame({"x": [1, 2]}))


def files_in(path: str) -> list[str]:
    return sorted(file.relative_to(path).as_posix() for file in Path(path).rglob("*") if file.is_file())


def artifacts(folder: Path) -> str:
    """Log, list and download files of a run; return the run."""
    client, download = mlflow.MlflowClient(), mlflow.artifacts.download_artifacts
    (folder / "made" / "deep").mkdir(parents=True)
    (folder / "made" / "deep" / "x.bin").write_bytes(bytes(range(256)))
    (folder / "made" / "empty").write_bytes(b"")
    (folder / "large").write_bytes(bytes(65_000_000))  # more than Microsoft's client sends at once
    mlflow.set_experiment("artifacts")
    with mlflow.start_run() as run:
        mlflow.log_text("hello", "notes/ä b.txt")
        mlflow.log_dict({"a": 1}, "config.json")
        mlflow.log_artifacts(str(folder / "made"), "made")
        mlflow.log_artifact(str(folder / "large"))
    run_id = run.info.run_id
    location = f"/experiments/{run.info.experiment_id}/runs/{run_id}/artifacts"
    seen["uri"] = [run.info.artifact_uri.startswith("azureml://127.0.0.1:"), run.info.artifact_uri.endswith(location)]
    note("top", lambda: sorted((info.path, info.is_dir, info.file_size) for info in client.list_artifacts(run_id)))
    note("folder", lambda: sorted(info.path for info in client.list_artifacts(run_id, "made")))
    note("text", lambda: Path(download(run_id=run_id, artifact_path="notes"), "ä b.txt").read_text())
    note("json", lambda: mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/config.json"))
    note("made", lambda: files_in(download(run_id=run_id, artifact_path="made")))
    note(
        "bytes",
        lambda: list(Path(download(run_id=run_id, artifact_path="made/deep/x.bin")).read_bytes()) == [*range(256)],
    )
    note("large", lambda: Path(download(run_id=run_id, artifact_path="large")).stat().st_size)
    note("missing", lambda: download(run_id=run_id, artifact_path="none.txt"))
    note("again", lambda: client.log_text(run_id, "other", "config.json"))
    return str(run_id)


def models(run_id: str, folder: Path) -> None:
    """Save, log, register and load a model, and go through the calls of a registry."""
    client, name = mlflow.MlflowClient(), "doubled"
    os.chdir(folder)
    mlflow.pyfunc.save_model("regressor", python_model=Doubled(), pip_requirements=[])
    with mlflow.start_run(run_id):
        note(
            "log_model",
            lambda: mlflow.pyfunc.log_model("logged", python_model=Doubled(), pip_requirements=[]) and "logged",
        )
        mlflow.log_artifacts("regressor", "model")
    artifact_uri = client.get_run(run_id).info.artifact_uri
    note("model of the run", lambda: predicted(f"runs:/{run_id}/model"))
    note("register a run's", lambda: mlflow.register_model(f"runs:/{run_id}/model", name) and "registered")
    note("register by place", lambda: mlflow.register_model(f"{artifact_uri}/model", name) and "registered")
    note("register a folder", lambda: mlflow.register_model("file://regressor", name) and "registered")
    note("register no model", lambda: mlflow.register_model("file:///nonexistent", name))
    found = {version.version: version.source for version in client.search_model_versions(f"name='{name}'")}
    seen["sources"] = sorted(
        {
            re.sub(
                r"[\d]{6}T\d{6}-[0-9a-f]{8}", "CONTAINER", (source or "").rpartition("/runs/")[2].replace(run_id, "RUN")
            )
            for source in found.values()
        }
    )
    last = max(found, key=int)
    note("predictions", lambda: [predicted(f"models:/{name}/{version}") for version in sorted(found)])
    note("files", lambda: "MLmodel" in files_in(mlflow.artifacts.download_artifacts(f"models:/{name}/{last}")))
    note("stage", lambda: client.transition_model_version_stage(name, last, "Staging").current_stage)
    note("by stage", lambda: predicted(f"models:/{name}/Staging"))
    note("latest", lambda: [version.version == last for version in client.get_latest_versions(name, ["Staging"])])
    note("description", lambda: client.update_model_version(name, last, "a sample").description)
    note("tag", lambda: client.set_model_version_tag(name, last, "type", "regression"))
    note("tags", lambda: client.get_model_version(name, last).tags)
    note("no tag", lambda: client.delete_model_version_tag(name, last, "type"))
    note("model", lambda: client.get_registered_model(name).name)
    note("alias", lambda: client.set_registered_model_alias(name, "champion", last))
    note("search models", lambda: [model.name for model in client.search_registered_models()])
    note("delete version", lambda: client.delete_model_version(name, last))
    note("versions", lambda: len(client.search_model_versions(f"name='{name}'")) == len(found) - 1)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(dir=sys.argv[1]) as made:
        models(artifacts(Path(made)), Path(made))
    print(json.dumps(seen))
