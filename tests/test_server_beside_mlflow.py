"""The same requests to `mlflow server` (SQLite) and to this server: the same statuses, bodies and errors, by field.

Ids, times, page tokens and made-up names are left out, and the words of a refused search or of a database. Where
`mlflow server` fails (HTML, status 500) this one must say what is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.http_calls import Api, Notes

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow server")]  # one server of MLflow's serves all of them

NOTHING = "a" * 32


@pytest.fixture(scope="module")
def theirs(mlflow_server_url: str) -> Iterator[Api]:
    api = Api(mlflow_server_url)
    yield api
    api.close()


@pytest.fixture(scope="module")
def ours(server_url: str) -> Iterator[Api]:
    api = Api(server_url)
    yield api
    api.close()


def new_run(note: Notes, experiment_id: str = "0", **fields: Any) -> str:
    body = note.post("runs/create", {"experiment_id": experiment_id, "start_time": 1, **fields})
    run_id: str = body["run"]["info"]["run_id"]
    # What was just seen is noted once more, now that the id has a name.
    note.name(run_id)
    note.seen[-1] = (*note.seen[-1][:2], note._plain(body))
    return run_id


def two_runs(note: Notes) -> list[str]:
    """Create two runs and name them in the order of their ids, in which bulk reads answer."""
    bodies = [note.api.post("runs/create", {"experiment_id": "0"}).json for _ in range(2)]
    return [note.name(run_id) for run_id in sorted(body["run"]["info"]["run_id"] for body in bodies)]


# --- scripts --------------------------------------------------------------------------------------------------------


def experiments_live(note: Notes) -> None:
    tags = [{"key": "a", "value": "1"}, {"key": "b", "value": ""}]
    first = note.post("experiments/create", {"name": "rest life", "tags": tags})["experiment_id"]
    note.post("experiments/create", {"name": "rest life"})
    note.post("experiments/create", {"name": "rest located", "artifact_location": "mlflow-artifacts:/x/y"})
    note.post("experiments/create", {"name": "rest twice", "tags": [*tags, *tags]})
    note.post("experiments/create", {"name": "n" * 501})
    note.post("experiments/create", {"name": "ü", "artifact_location": "runs:/a/b"})
    note.post("experiments/create", {"name": "ü", "artifact_location": "s3://b/x#frag"})
    for location in ("http://host/a", "mlflow-artifacts://host/a", "hdfs://host/a", "s3://b/" + "x" * 3000):
        note.post("experiments/create", {"name": "ü", "artifact_location": location})
    note.get("experiments/get", experiment_id=first)
    note.get("experiments/get", experiment_id="0")
    note.get("experiments/get", experiment_id="00")
    note.get("experiments/get", experiment_id="77777")
    note.get("experiments/get", experiment_id="seven")
    note.get("experiments/get", experiment_id="")
    note.get("experiments/get-by-name", experiment_name="rest life")
    note.get("experiments/get-by-name", experiment_name="nowhere")
    note.get("experiments/get-by-name")
    note.post("experiments/update", {"experiment_id": first, "new_name": "rest renamed"})
    note.post("experiments/update", {"experiment_id": first, "new_name": "Default"})
    note.post("experiments/set-experiment-tag", {"experiment_id": first, "key": "c", "value": "3"})
    note.post("experiments/set-experiment-tag", {"experiment_id": first, "key": "c"})
    note.post("experiments/set-experiment-tag", {"experiment_id": first, "key": "a//b", "value": "3"})
    note.post("experiments/delete-experiment-tag", {"experiment_id": first, "key": "a"})
    note.post("experiments/delete-experiment-tag", {"experiment_id": first, "key": "a"})
    note.get("experiments/get", experiment_id=first)
    note.post("experiments/delete", {"experiment_id": first})
    note.post("experiments/delete", {"experiment_id": first})
    note.get("experiments/get", experiment_id=first)
    note.post("experiments/set-experiment-tag", {"experiment_id": first, "key": "c", "value": "4"})
    note.post("runs/create", {"experiment_id": first})
    note.post("experiments/create", {"name": "rest renamed"})
    note.post("experiments/restore", {"experiment_id": first})
    note.post("experiments/restore", {"experiment_id": first})
    note.post("experiments/restore", {"experiment_id": "77777"})


def experiments_are_searched(note: Notes) -> None:
    for name in ("s.1", "s.2", "s.3"):
        note.post("experiments/create", {"name": name, "tags": [{"key": "s", "value": name}]})
    by_name = {"filter": "name LIKE 's.%'", "order_by": ["name DESC"]}
    note.post("experiments/search", {"max_results": 10, **by_name})
    page = note.post("experiments/search", {"max_results": 2, **by_name})
    assert page["next_page_token"]
    note.get("experiments/search", max_results=10, filter="tags.s = 's.2'")
    note.get("experiments/search", max_results=10, order_by=["name", "experiment_id DESC"], filter="name LIKE 's.%'")
    note.get("experiments/search", max_results=10, view_type="DELETED_ONLY", filter="name LIKE 's.%'")
    note.post("experiments/search", {"max_results": "2", "view_type": 3, **by_name})
    note.post("experiments/search", {})
    note.get("experiments/search")
    note.post("experiments/search", {"max_results": 50_001})
    note.post("experiments/search", {"max_results": 1, "page_token": "", "order_by": ["name"]})


def runs_live(note: Notes) -> None:
    tags = [{"key": "mlflow.user", "value": "ann"}, {"key": "k", "value": "v"}]
    run = new_run(note, user_id="bob", run_name="named", tags=tags)
    new_run(note, tags=[{"key": "mlflow.runName", "value": "by tag"}])
    note.post("runs/create", {"run_name": "a", "tags": [{"key": "mlflow.runName", "value": "b"}]})
    note.post("runs/create", {"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]})
    note.post("runs/create", {"experiment_id": "77777"})
    note.get("runs/get", run_id=run)
    note.get("runs/get", run_uuid=run)
    note.get("runs/get", run_id=run, run_uuid="other")
    note.get("runs/get", run_id=NOTHING)
    note.get("runs/get", run_id="not an id")
    note.get("runs/get")
    note.post("runs/update", {"run_id": run, "status": "FAILED"})
    note.post("runs/update", {"run_id": run, "run_name": "renamed", "end_time": "5000"})
    note.post("runs/update", {"run_uuid": run, "status": 3})
    note.post("runs/update", {"run_id": run, "status": "Finished"})
    note.post("runs/update", {"run_id": run, "end_time": 0, "run_name": ""})
    note.post("runs/update", {"run_id": NOTHING, "status": "FAILED"})
    note.get("runs/get", run_id=run)
    note.post("runs/delete", {"run_id": run})
    note.post("runs/delete", {"run_id": run})
    note.get("runs/get", run_id=run)
    note.post("runs/log-parameter", {"run_id": run, "key": "p", "value": "1"})
    note.post("runs/restore", {"run_id": run})
    note.post("runs/restore", {"run_id": NOTHING})
    note.post("runs/delete", {"run_id": NOTHING})


def data_is_logged(note: Notes) -> None:
    run = new_run(note)
    numbers: list[Any] = [1, 1.5, "2.5", "NaN", "Infinity", "-Infinity", "-inf", "nan", "1e3", True, -0.0]
    for place, value in enumerate(numbers):
        note.post("runs/log-metric", {"run_id": run, "key": f"m{place}", "value": value, "timestamp": place})
    note.post("runs/log-metric", {"run_uuid": run, "key": "old", "value": 1, "timestamp": "7", "step": "-3"})
    note.post("runs/log-metric", {"run_id": run, "key": "negative", "value": 1, "timestamp": -1})
    note.post("runs/log-metric", {"run_id": run, "key": "a//b", "value": 1, "timestamp": 1})
    note.post("runs/log-metric", {"run_id": run, "key": "half", "value": 1, "timestamp": 1, "dataset_name": "d"})
    note.post("runs/log-metric", {"run_id": NOTHING, "key": "m", "value": 1, "timestamp": 1})
    note.post("runs/log-parameter", {"run_id": run, "key": "p", "value": "1"})
    note.post("runs/log-parameter", {"run_id": run, "key": "p", "value": "1"})
    note.post("runs/log-parameter", {"run_id": run, "key": "p", "value": "2"})
    note.post("runs/log-parameter", {"run_id": run, "key": "empty"})
    note.post("runs/log-parameter", {"run_id": run, "key": "ü", "value": "2"})
    note.post("runs/log-parameter", {"run_id": run, "key": "k" * 251, "value": "2"})
    note.post("runs/set-tag", {"run_id": run, "key": "t", "value": "1\n'\"ü"})
    note.post("runs/set-tag", {"run_id": run, "key": "t2"})
    note.post("runs/set-tag", {"run_id": run, "key": "mlflow.runName", "value": "renamed"})
    note.post("runs/delete-tag", {"run_id": run, "key": "t"})
    note.post("runs/delete-tag", {"run_id": run, "key": "t"})
    note.get("runs/get", run_id=run)


def batches_are_logged(note: Notes) -> None:
    run = new_run(note)
    points = [{"key": "m", "value": i / 3, "timestamp": i, "step": i} for i in range(5)]
    params = [{"key": f"p{i}", "value": str(i)} for i in range(3)]
    tags = [{"key": f"t{i}", "value": str(i)} for i in range(3)]
    note.post("runs/log-batch", {"run_id": run, "metrics": points, "params": params, "tags": tags})
    note.post("runs/log-batch", {"run_id": run})
    note.post("runs/log-batch", {"metrics": points})
    note.post("runs/log-batch", {"run_id": NOTHING, "metrics": points})
    note.post("runs/log-batch", {"run_id": "not an id", "metrics": points})
    note.post("runs/log-batch", {"run_id": run, "params": [{"key": "p0", "value": "other"}]})
    note.post("runs/log-batch", {"run_id": run, "params": [params[0], params[0]]})
    note.post("runs/log-batch", {"run_id": run, "params": [{"key": f"q{i}", "value": ""} for i in range(101)]})
    note.post("runs/log-batch", {"run_id": run, "metrics": [points[0] | {"key": "a//b"}]})
    note.post("runs/log-batch", {"run_id": run, "metrics": [{"key": "m", "value": 1}]})
    note.post("runs/log-batch", {"run_id": run, "metrics": [{"value": 1, "timestamp": 1}]})
    note.post("runs/log-batch", {"run_id": run, "metrics": [points[0], {"key": "x", "value": "x", "timestamp": 1}]})
    note.post("runs/log-batch", {"run_id": run, "params": [params[0], {"key": "five", "value": 5}], "tags": tags})
    note.post("runs/log-batch", {"run_id": run, "tags": [{"value": "1"}]})
    note.post("runs/log-batch", {"runId": run, "metrics": points})
    note.get("runs/get", run_id=run)


def histories_are_read(note: Notes) -> None:
    run, other = two_runs(note)
    for run_id in (run, other):
        points = [{"key": "m", "value": math.sin(i), "timestamp": 50 - i % 7, "step": i % 40} for i in range(120)]
        points += [{"key": "m", "value": "NaN", "timestamp": 3, "step": -3}]
        note.post("runs/log-batch", {"run_id": run_id, "metrics": points})
    note.get("metrics/get-history", run_id=run, metric_key="m")
    note.get("metrics/get-history", run_uuid=run, metric_key="m")
    page = note.get("metrics/get-history", run_id=run, metric_key="m", max_results=50)
    for _ in range(2):
        token = page["next_page_token"]
        page = note.get("metrics/get-history", run_id=run, metric_key="m", max_results=50, page_token=token)
    note.get("metrics/get-history", run_id=run, metric_key="m", page_token="nonsense")
    note.get("metrics/get-history", run_id=run, metric_key="none")
    note.get("metrics/get-history", run_id=NOTHING, metric_key="m")
    note.get("metrics/get-history", run_id=run)
    note.get("metrics/get-history", metric_key="m")
    note.get("metrics/get-history", run_id=run, metric_key="m", max_results=0)
    note.get("metrics/get-history", run_id=run, metric_key="m", max_results=-1)


def histories_are_read_in_bulk(note: Notes) -> None:
    runs = two_runs(note)
    for run in runs:
        points = [{"key": "m", "value": i / 7, "timestamp": i, "step": i // 2} for i in range(37)]
        note.post("runs/log-batch", {"run_id": run, "metrics": points})
    bulk = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
    note.get(bulk, run_id=runs, metric_key="m")
    note.get(bulk, run_id=runs, metric_key="m", max_results=50)
    note.get(bulk, run_id=runs[0])
    note.get(bulk, metric_key="m")
    note.get(bulk, run_id=[NOTHING], metric_key="m")
    note.get(bulk, run_id=[NOTHING] * 101, metric_key="m")
    interval = "metrics/get-history-bulk-interval"
    for most in (1, 2, 5, 36, 37, 2500):
        note.get(interval, run_ids=runs, metric_key="m", max_results=most)
    note.get(interval, run_ids=runs, metric_key="m")
    note.get(interval, run_ids=runs, metric_key="m", start_step=3, end_step=9)
    note.get(interval, run_ids=runs, metric_key="m", start_step=3, end_step=9, max_results=4)
    note.get(interval, run_ids=runs, metric_key="m", start_step=9, end_step=3)
    note.get(interval, run_ids=runs, metric_key="m", start_step=9)
    note.get(interval, run_ids=[NOTHING], metric_key="m")
    note.get(interval, run_ids=[NOTHING] * 101, metric_key="m")
    note.get(interval, metric_key="m")
    note.get(interval, run_ids=runs)
    note.get(interval, run_ids=runs, metric_key="m", max_results=2501)
    note.get(f"/ajax-api/2.0/mlflow/{interval}", run_ids=runs, metric_key="m", max_results=3)


def runs_are_searched(note: Notes) -> None:
    experiment = note.post("experiments/create", {"name": "rest search"})["experiment_id"]
    for i in range(7):
        tags = [{"key": "even", "value": str(i % 2 == 0)}]
        run = new_run(note, experiment, start_time=100 - 3 * i % 7, run_name=f"r{i}", tags=tags)
        if i % 3:
            note.post("runs/log-metric", {"run_id": run, "key": "loss", "value": i / 10, "timestamp": i})
    note.post("runs/delete", {"run_id": run})
    ids = {"experiment_ids": [experiment]}
    note.post("runs/search", {**ids, "order_by": ["attributes.run_name ASC"]})
    note.post("runs/search", {**ids, "filter": "metrics.loss < 0.3", "order_by": ["metrics.loss DESC"]})
    note.post("runs/search", {**ids, "filter": "tags.even = 'True'", "run_view_type": "ALL", "order_by": ["run_name"]})
    note.post("runs/search", {**ids, "run_view_type": 2})
    note.post("runs/search", {"experimentIds": [experiment], "runViewType": "DELETED_ONLY"})
    note.post("runs/search", {**ids, "run_view_type": "NEVER", "order_by": ["run_name"]})
    note.post("runs/search", {**ids, "run_view_type": 9, "filter": "read no more", "order_by": ["run_name"]})
    note.post("runs/search", {"run_view_type": 9, **ids})
    page = note.post("runs/search", {**ids, "max_results": 4, "order_by": ["run_name"]})
    assert page["next_page_token"]
    note.post("runs/search", {**ids, "max_results": "2", "order_by": ["run_name"]})
    note.post("runs/search", {})
    note.post("runs/search", {"experiment_ids": ["77777"]})
    note.post("runs/search", {"experiment_ids": ["x"]})
    note.post("runs/search", {**ids, "max_results": 0})
    note.post("runs/search", {**ids, "max_results": -1})
    note.post("runs/search", {**ids, "max_results": 50_001})
    note.post("runs/search", {**ids, "max_results": 2.5})
    note.post("runs/search", {**ids, "order_by": "run_name"})
    note.post("runs/search", {**ids, "order_by": [1]})


def datasets_and_models_are_read_and_written(note: Notes) -> None:
    run = new_run(note)
    dataset = {"name": "d", "digest": "1", "source_type": "local", "source": "here"}
    tags = [{"key": "mlflow.data.context", "value": "train"}]
    note.post("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": dataset, "tags": tags}]})
    more = dataset | {"name": "e", "schema": "s", "profile": ""}
    note.post("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": more}], "models": [{"model_id": "m-1"}]})
    note.post("runs/log-inputs", {"run_id": run})
    note.post("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": {"name": "n" * 501}}]})
    note.post("runs/log-inputs", {"run_id": NOTHING, "datasets": []})
    note.post("runs/log-inputs", {"datasets": []})
    note.post("runs/outputs", {"run_id": run, "models": [{"model_id": "m-1", "step": "3"}, {"model_id": "m-2"}]})
    note.post("runs/outputs", {"run_id": run, "models": []})
    note.post("runs/outputs", {"run_id": run})
    note.get("runs/get", run_id=run)
    model = '{"artifact_path": "a", "flavors": {"f": {"config": 1, "k": 2}}, "utc_time_created": "t", "run_id": "r"}'
    note.post("runs/log-model", {"run_id": run, "model_json": model})
    note.post("runs/log-model", {"run_id": run, "model_json": "no json"})
    note.get("runs/get", run_id=run)


def logged_models_live(note: Notes) -> None:
    run = new_run(note)
    texts = [{"key": "k", "value": "v"}]
    created = note.post("logged-models", {"experiment_id": "0", "name": "model", "tags": texts, "params": texts})
    path = f"logged-models/{created['model']['info']['model_id']}"
    model_id = path.partition("/")[2]
    note.post("logged-models", {"experiment_id": "0", "source_run_id": run, "model_type": "t", "tags": [{"key": "a"}]})
    note.post("logged-models", {"experiment_id": "0", "name": "a/b"})
    note.post("logged-models", {"experiment_id": "77777"})
    note.post("logged-models", {"name": "x"})
    note.get(path)
    note.get("logged-models/none")
    point = {"run_id": run, "key": "m", "value": 0.5, "timestamp": 1, "model_id": model_id}
    note.post("runs/log-metric", {**point, "dataset_name": "d", "dataset_digest": "1"})
    note.post("runs/log-metric", {**point, "model_id": "none"})
    for status in (2, "LOGGED_MODEL_UPLOAD_FAILED", "nonsense"):
        note.post(path, {"model_id": model_id, "status": status}, "PATCH")
    note.post(path, {"status": 2}, "PATCH")
    note.post(path, {"model_id": model_id}, "PATCH")
    note.post(f"{path}/tags", {"tags": [{"key": "k", "value": "w"}, {"key": "l", "value": "x"}]}, "PATCH")
    note.get(f"{path}/tags/l", "DELETE")
    note.get(f"{path}/tags/l", "DELETE")
    note.post(f"{path}/params", {"model_id": model_id, "params": [{"key": "p", "value": "1"}]})
    note.post(f"{path}/params", {"params": [{"key": "q", "value": "1"}]})
    note.get(f"{path}/artifacts/directories")
    note.get(f"{path}/artifacts/directories", artifact_directory_path="../x")
    files = f"/ajax-api/2.0/mlflow/{path}/artifacts/files"
    note.send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/models/{model_id}/artifacts/a/b.txt", b"weights")
    for file in ("a/b.txt", "a", "none", "../x", ""):
        note.get(files, artifact_file_path=file)
    note.get(files)
    note.get("/ajax-api/2.0/mlflow/logged-models/none/artifacts/files", artifact_file_path="a/b.txt")
    note.get(path)
    note.get(path, "DELETE")
    note.get(path)
    note.get(path, allow_deleted="true")
    note.get("logged-models/none", "DELETE")


def logged_models_are_searched(note: Notes) -> None:
    experiment = note.post("experiments/create", {"name": "rest models"})["experiment_id"]
    run = new_run(note, experiment)
    for i in range(5):
        texts = [{"key": "even", "value": str(i % 2 == 0)}]
        created = note.post(
            "logged-models", {"experiment_id": experiment, "name": f"m{i}", "params": texts, "tags": texts}
        )
        about = {"model_id": created["model"]["info"]["model_id"], "dataset_name": f"d{i % 2}", "dataset_digest": "1"}
        note.post("runs/log-metric", {"run_id": run, "key": "acc", "value": i / 10, "timestamp": i, **about})
    ids = {"experiment_ids": [experiment], "order_by": [{"field_name": "name"}]}
    for text in (
        *("name = 'm1'", "name LIKE 'm%' AND params.even = 'True'", "tags.`even` != 'True'", "metrics.acc >= 0.2"),
        *("attributes.name IN ('m1', 'm2')", "creation_time > 5", "model_type = ''", "name NOT IN ('m1')"),
        *("nothing", "name > 'm1'", "metrics.acc LIKE 'a'", "dataset.name = 'a'", "name = 'a' OR name = 'b'"),
    ):
        note.post("logged-models/search", {**ids, "filter": text})
    note.post("logged-models/search", {**ids, "datasets": [{"dataset_name": "d1"}]})
    note.post("logged-models/search", {**ids, "datasets": [{"dataset_name": "d1", "dataset_digest": "1"}]})
    note.post("logged-models/search", {**ids, "datasets": [{"dataset_digest": "1"}]})
    note.post("logged-models/search", {**ids, "order_by": [{"field_name": "metrics.acc", "ascending": False}]})
    note.post("logged-models/search", {**ids, "order_by": [{"field_name": "params.even"}]})
    page = note.post("logged-models/search", {**ids, "max_results": 2})
    note.post("logged-models/search", {**ids, "max_results": 2, "page_token": page["next_page_token"]})
    note.post("logged-models/search", {**ids, "filter": "name = 'm1'", "page_token": page["next_page_token"]})
    note.post("logged-models/search", {"experiment_ids": []})
    note.post("logged-models/search", {"experiment_ids": ["x"]})


def artifacts_come_and_go(note: Notes) -> None:
    run = new_run(note)
    proxy = "/api/2.0/mlflow-artifacts/artifacts"
    here = f"0/{run}/artifacts"
    note.get("artifacts/list", run_id=run)
    note.send("PUT", f"{proxy}/{here}/a/b.txt", b"hello")
    note.send("PUT", f"{proxy}/{here}/empty.bin", b"")
    note.send("PUT", f"{proxy}/{here}/%C3%BC%20b.txt", b"x")
    note.send("PUT", f"{proxy}/free/c.txt", b"free")
    for path in ("a", "a/", "a/b.txt", "none", "../x", "/a", "a/../a", ".", ""):
        note.get("artifacts/list", run_id=run, path=path)
        note.get(proxy, path=path if path == "../x" else f"{here}/{path}")
    note.get(proxy)
    note.get(proxy, path="0")
    note.get(proxy, path="free")
    for name in (
        "a/b.txt",
        "empty.bin",
        "%C3%BC%20b.txt",
        "none",
        "a%2F..%2F..%2F..%2Fx",
        "..%2Fx",
        "%2e%2e/x",
        "a%23b",
    ):
        note.send("GET", f"{proxy}/{here}/{name}")
    note.get("/get-artifact", run_id=run, path="a/b.txt")
    note.get("/get-artifact", run_uuid=run, path="a/b.txt")
    note.get("/get-artifact", run_id=NOTHING, path="a/b.txt")
    note.get("/get-artifact", run_id=run, path="../x")
    upload = "/ajax-api/2.0/mlflow/upload-artifact"
    note.send("POST", f"{upload}?run_uuid={run}&path=up/load.txt", b"up")
    note.send("POST", f"{upload}?run_uuid={run}", b"up")
    note.send("POST", f"{upload}?path=x", b"up")
    note.send("POST", f"{upload}?run_uuid={run}&path=x")
    note.send("POST", f"{upload}?run_uuid={run}&path=../x")
    note.send("POST", f"{upload}?run_uuid={run}&path=large", b"x" * (10 * 2**20 + 1))
    note.send("GET", f"//get-artifact?run_id={run}&path=../x")
    note.send("GET", "///health")
    note.get("artifacts/list", run_id=run, path="up")
    note.send("DELETE", f"{proxy}/{here}/a")
    note.send("DELETE", f"{proxy}/{here}/a")
    note.send("DELETE", f"{proxy}/..%2Fx")
    note.get("artifacts/list", run_id=run)
    note.get("artifacts/list", run_id=NOTHING)
    note.get("artifacts/list")
    note.post("/api/2.0/mlflow-artifacts/mpu/create/a", {"path": "a", "num_parts": 2})
    note.get("/api/2.0/mlflow-artifacts/presigned/a")


def bodies_are_read_as_json(note: Notes) -> None:
    json = {"Content-Type": "application/json"}
    for content in (b"", b"null", b"{}", b'"{}"', b'{"name": "Default", "name": ""}'):
        note.send("POST", "experiments/create", content, json)
    note.send("POST", "experiments/create", b"{}")
    note.send("POST", "experiments/create", b"{}", {"Content-Type": "text/plain"})
    note.send("POST", "experiments/create", b"{}", {"Content-Type": "application/json; charset=utf-8"})
    note.post("experiments/create", {"name": "a", "artifact_location": "b", "artifactLocation": "c"})
    note.post("runs/search", {"experiment_ids": [], "experimentIds": []})
    for content in (b'{"experiment_name": "Default"}', b'{"experiment_name": 1}', b""):
        note.send("GET", "experiments/get-by-name", content, json)
    note.send("GET", "experiments/get-by-name", b'{"experiment_name": "Default"}')
    note.send("GET", "experiments/get-by-name?experiment_name=none", b'{"experiment_name": "Default"}', json)
    note.send("GET", "experiments/get-by-name?other=1", b'{"experiment_name": "Default"}', json)
    note.get("/health")


SCRIPTS = [
    experiments_live,
    experiments_are_searched,
    runs_live,
    data_is_logged,
    batches_are_logged,
    histories_are_read,
    histories_are_read_in_bulk,
    runs_are_searched,
    datasets_and_models_are_read_and_written,
    logged_models_live,
    logged_models_are_searched,
    artifacts_come_and_go,
    bodies_are_read_as_json,
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_the_server_answers_what_mlflows_answers(script: Callable[[Notes], None], theirs: Api, ours: Api) -> None:
    expected, actual = Notes(theirs), Notes(ours)

    script(expected)
    script(actual)

    for their_answer, our_answer in zip(expected.seen, actual.seen, strict=True):
        assert their_answer == our_answer


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/2.0/mlflow//runs///get?run_id=5"), ("POST", "/api/2.0//mlflow/runs/search")],
)
def test_slashes_that_are_repeated_lead_to_the_path_without(method: str, path: str, theirs: Api, ours: Api) -> None:
    found = [api.send(method, path) for api in (theirs, ours)]

    assert [308, 308] == [reply.status for reply in found]
    locations = [urlsplit(reply.headers["location"]) for reply in found]
    assert "//" not in locations[0].path
    assert [(there.path, there.query) for there in locations] == [(locations[0].path, locations[0].query)] * 2


# --- fields that do not fit -----------------------------------------------------------------------------------------

ODD: list[Any] = [None, "", "x", "5", " 5", 0, -1, 1.5, 2**63, True, [], [None], [5], ["66666"], {}, {"key": 5}, [{}]]
POINT = {"key": "m", "value": 1, "timestamp": 1, "step": 1}
PAIR = {"key": "k", "value": "v"}
DATASET = {"dataset": {"name": "d", "digest": "1", "source_type": "t", "source": "s"}, "tags": [PAIR]}
# Calls that are right if nothing is exchanged in them; "run" and "model" stand for ids.
RIGHT: dict[str, dict[str, Any]] = {
    "experiments/search": {"max_results": 3, "filter": "name = 'none'", "order_by": ["name"], "view_type": 1},
    "experiments/delete": {"experiment_id": "77777"},
    "experiments/restore": {"experiment_id": "77777"},
    "experiments/update": {"experiment_id": "0", "new_name": "Default"},
    "experiments/set-experiment-tag": {"experiment_id": "0", **PAIR},
    "experiments/delete-experiment-tag": {"experiment_id": "0", "key": "none"},
    "runs/update": {"run_id": "run", "status": "FINISHED", "end_time": 5, "run_name": "n"},
    "runs/delete": {"run_id": "none"},
    "runs/restore": {"run_id": "none"},
    "runs/log-metric": {"run_id": "run", **POINT, "model_id": "", "dataset_name": "", "dataset_digest": ""},
    "runs/log-parameter": {"run_id": "run", **PAIR},
    "runs/set-tag": {"run_id": "run", **PAIR},
    "runs/delete-tag": {"run_id": "run", "key": "none"},
    "runs/log-batch": {"run_id": "run", "metrics": [POINT], "params": [PAIR], "tags": [PAIR]},
    "runs/log-inputs": {"run_id": "run", "datasets": [DATASET], "models": []},
    "runs/search": {"experiment_ids": ["77777"], "filter": "", "max_results": 3, "run_view_type": 1, "order_by": []},
    "logged-models/search": {"experiment_ids": ["77777"], "filter": "", "max_results": 3, "order_by": []},
}
FAILED = 500


def exchanged(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a body with each field left out, and with each odd value in the place of each field."""
    for name, value in body.items():
        yield {key: each for key, each in body.items() if key != name}
        yield from ({**body, name: odd} for odd in ODD)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield from ({**body, name: [part]} for part in exchanged(value[0]))


@pytest.mark.parametrize("path", RIGHT)
def test_a_field_that_does_not_fit_is_answered_as_by_mlflow(path: str, theirs: Api, ours: Api) -> None:
    answers = []
    for api in (theirs, ours):
        note = Notes(api)
        run = new_run(note)
        right = {key: run if value == "run" else value for key, value in RIGHT[path].items()}
        for body in exchanged(right):
            note.post(path, body)
        answers.append(note.seen)

    for their_answer, our_answer in zip(*answers, strict=True):
        if their_answer[1] >= FAILED:
            assert our_answer[1] in (200, 400)
            assert our_answer[1] == 200 or our_answer[2]["error_code"]
        else:
            assert without_words(their_answer) == without_words(our_answer)


def without_words(answer: tuple[Any, int, Any]) -> tuple[Any, int, Any]:
    """Return an answer without the words about a filter or an order, and their finer classes: each side has its own."""
    request, status, body = answer
    is_about_query = re.search(r"[Ff]ilter|order[_ ]by|clause|attribute", str(body.get("message")))
    return request, status, body["error_code"] if is_about_query else body
