"""Runs the real `azureml-mlflow` client against a server and prints what it saw, as JSON.

The environment leads to the server; Python must have azureml-mlflow and pandas.
"""

from __future__ import annotations

import json
from typing import Any

import mlflow
from azureml.mlflow._store.tracking.store import AzureMLRestStore
from mlflow.exceptions import RestException

seen: dict[str, Any] = {}


def refused(name: str, call: Any, *args: Any, **kwargs: Any) -> None:
    """Note which exception a call raises, with its code and the body that the service sent."""
    try:
        call(*args, **kwargs)
    except RestException as error:
        body = error.json
        seen[name] = [error.error_code, body["Error"]["Code"], body["Error"]["Message"], body["ComponentName"]]
    except Exception as error:
        seen[name] = [type(error).__name__, str(getattr(error, "error_code", "")), str(error)[:200]]
    else:
        seen[name] = "not refused"


def through_the_store() -> None:
    """Talk to the workspace's store as the plugin builds it."""
    store = mlflow.MlflowClient()._tracking_client.store
    assert isinstance(store, AzureMLRestStore)
    experiment_id = store.create_experiment("by store")
    seen["experiment"] = [experiment_id.count("-"), store.get_experiment(experiment_id).name]
    run = store.create_run("0", "me", 1, [], None)
    seen["experiment zero"] = run.info.experiment_id == store.get_experiment_by_name("Default").experiment_id
    metric = mlflow.entities.Metric("m", 0.5, 1_700_000_000_123, 2**40)
    store.log_batch_async(run.info.run_id, [metric], [], []).wait()
    store.log_batch_async(run.info.run_id, [], [mlflow.entities.Param("p", "1")], []).wait()
    found = store.get_run(run.info.run_id)
    seen["async"] = [found.data.metrics, found.data.params]
    seen["history"] = [[point.timestamp, point.step] for point in store.get_metric_history(run.info.run_id, "m")]
    if hasattr(store, "create_logged_model"):
        refused("model", store.create_logged_model, experiment_id, "m")


def through_the_fluent_functions() -> None:
    """Use `import mlflow` with a tracking URI of the workspace."""
    client = mlflow.MlflowClient()
    experiment = mlflow.set_experiment("fluent")
    with mlflow.start_run(run_name="parent") as parent:
        mlflow.log_param("model_arch", "resnet18")
        mlflow.log_metric("AUC", 0.9)
        later = mlflow.log_metric("later", 0.5, synchronous=False)
        assert later is not None
        later.wait()
        mlflow.set_tag("model_type", "LogisticRegression")
        with mlflow.start_run(run_name="child", nested=True) as child:
            mlflow.log_metric("AUC", 0.7)
    frame = mlflow.search_runs(filter_string="metrics.AUC > 0.8 and tags.model_type = 'LogisticRegression'")
    seen["search"] = [list(frame["tags.mlflow.runName"]), list(frame["status"])]
    family = f"tags.mlflow.rootRunId = '{parent.info.run_id}'"
    runs = mlflow.search_runs(filter_string=family, output_format="list")
    seen["family, oldest first"] = [run.info.run_name for run in runs]
    children = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    seen["children"] = list(children["run_id"]) == [child.info.run_id]
    seen["id"] = [parent.info.run_id.count("-"), client.get_run(parent.info.run_id).info.status]
    seen["experiments"] = sorted(found.name for found in mlflow.search_experiments(view_type=3))
    ids = [experiment.experiment_id]
    refused("order by metric", client.search_runs, ids, order_by=["metrics.AUC DESC"])
    refused("like on a tag", client.search_runs, ids, "tags.team LIKE '%a%'")
    refused("or", client.search_runs, ids, "metrics.AUC > 1 OR metrics.AUC < 0")
    refused("rename", client.rename_experiment, experiment.experiment_id, "other")
    refused("no such run", client.get_run, "none")
    with mlflow.start_run(run_name="many") as run:
        for batch in range(2):
            mlflow.log_params({f"p{batch}_{i}": i for i in range(100)})
        refused("params", mlflow.log_params, {f"q{i}": i for i in range(10)})
        point = mlflow.entities.Metric
        refused("points", client.log_batch, run.info.run_id, [point("m", i, i, i) for i in range(699)])
    client.delete_experiment(experiment.experiment_id)
    seen["archived"] = client.get_experiment(experiment.experiment_id).lifecycle_stage


if __name__ == "__main__":
    through_the_store()
    through_the_fluent_functions()
    print(json.dumps(seen))
