"""Faults on demand behind HTTP: all requests meet them, are answered with an error code, and hold up no others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from mlquery.errors import StoreError
from mlquery.language.matrix import MATRIX
from mlquery.server.endpoints import Endpoint
from mlquery.server.metrics_params_tags import ASYNC_ENDPOINTS
from mlquery.server.routes import ENDPOINTS
from mlquery.server.testing import RunningServer, running_server
from mlquery.store import faults
from tests.support.http_calls import Api, Reply

LATENCY = 0.3
RUN, MODEL = "{run}", "{model}"  # stand for ids
NAME = {"name": "forest"}
VERSION = {**NAME, "version": "1"}
PAIR = {"key": "k", "value": "v"}
POINT = {"key": "m", "value": 1, "timestamp": 1}

# The call of the service that every endpoint makes, and what is sent to it.
REQUESTS: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("POST", "experiments/create"): ("create_experiment", {"name": "new"}),
    ("GET", "experiments/get"): ("get_experiment", {"experiment_id": "0"}),
    ("GET", "experiments/get-by-name"): ("get_experiment_by_name", {"experiment_name": "Default"}),
    ("GET", "experiments/search"): ("search_experiments", {"max_results": 5}),
    ("POST", "experiments/search"): ("search_experiments", {"max_results": 5}),
    ("GET", "experiments/list"): ("search_experiments", {}),
    ("POST", "experiments/search-datasets"): ("search_datasets", {"experiment_ids": ["0"]}),
    ("POST", "experiments/delete"): ("delete_experiment", {"experiment_id": "0"}),
    ("POST", "experiments/restore"): ("restore_experiment", {"experiment_id": "0"}),
    ("POST", "experiments/update"): ("rename_experiment", {"experiment_id": "0", "new_name": "other"}),
    ("POST", "experiments/set-experiment-tag"): ("set_experiment_tag", {"experiment_id": "0", **PAIR}),
    ("POST", "experiments/delete-experiment-tag"): ("delete_experiment_tag", {"experiment_id": "0", "key": "k"}),
    ("POST", "runs/create"): ("create_run", {"experiment_id": "0"}),
    ("GET", "runs/get"): ("get_run", {"run_id": RUN}),
    ("POST", "runs/search"): ("search_runs", {"experiment_ids": ["0"]}),
    ("POST", "runs/update"): ("update_run_info", {"run_id": RUN, "status": "FAILED"}),
    ("POST", "runs/delete"): ("delete_run", {"run_id": RUN}),
    ("POST", "runs/restore"): ("restore_run", {"run_id": RUN}),
    ("POST", "runs/log-inputs"): ("log_inputs", {"run_id": RUN, "datasets": []}),
    ("POST", "runs/outputs"): ("log_outputs", {"run_id": RUN, "models": [{"model_id": MODEL, "step": 1}]}),
    ("POST", "runs/log-metric"): ("log_metric", {"run_id": RUN, **POINT}),
    ("POST", "runs/log-parameter"): ("log_param", {"run_id": RUN, **PAIR}),
    ("POST", "runs/set-tag"): ("set_tag", {"run_id": RUN, **PAIR}),
    ("POST", "runs/delete-tag"): ("delete_tag", {"run_id": RUN, "key": "k"}),
    ("POST", "runs/log-batch"): ("log_batch", {"run_id": RUN, "metrics": [POINT]}),
    ("POST", "runs/log-model"): (
        "record_logged_model",
        {
            "run_id": RUN,
            "model_json": '{"artifact_path": "a", "flavors": {}, "utc_time_created": "now", "run_id": "{run}"}',
        },
    ),
    ("GET", "metrics/get-history"): ("get_metric_history", {"run_id": RUN, "metric_key": "m"}),
    ("GET", "metrics/get-history-bulk"): ("get_metric_history_bulk", {"run_id": [RUN], "metric_key": "m"}),
    ("GET", "metrics/get-history-bulk-interval"): (
        "get_metric_history_bulk_interval",
        {"run_ids": [RUN], "metric_key": "m"},
    ),
    ("GET", "artifacts/list"): ("list_artifacts", {"run_id": RUN}),
    ("POST", "logged-models"): ("create_logged_model", {"experiment_id": "0"}),
    ("GET", "logged-models/{model_id}"): ("get_logged_model", {}),
    ("PATCH", "logged-models/{model_id}"): (
        "finalize_logged_model",
        {"model_id": MODEL, "status": "LOGGED_MODEL_READY"},
    ),
    ("DELETE", "logged-models/{model_id}"): ("delete_logged_model", {}),
    ("POST", "logged-models/search"): ("search_logged_models", {"experiment_ids": ["0"]}),
    ("PATCH", "logged-models/{model_id}/tags"): ("set_logged_model_tags", {"tags": [PAIR]}),
    ("DELETE", "logged-models/{model_id}/tags/{tag_key}"): ("delete_logged_model_tag", {}),
    ("POST", "logged-models/{model_id}/params"): ("log_logged_model_params", {"model_id": MODEL, "params": [PAIR]}),
    ("GET", "logged-models/{model_id}/artifacts/directories"): ("list_artifacts", {}),
    ("POST", "registered-models/create"): ("create_registered_model", {"name": "new"}),
    ("POST", "registered-models/rename"): ("rename_registered_model", {**NAME, "new_name": "new"}),
    ("PATCH", "registered-models/update"): ("update_registered_model", NAME),
    ("DELETE", "registered-models/delete"): ("delete_registered_model", NAME),
    ("GET", "registered-models/get"): ("get_registered_model", NAME),
    ("GET", "registered-models/search"): ("search_registered_models", {"max_results": 5}),
    ("GET", "registered-models/get-latest-versions"): ("get_latest_versions", NAME),
    ("POST", "registered-models/get-latest-versions"): ("get_latest_versions", NAME),
    ("POST", "registered-models/set-tag"): ("set_registered_model_tag", {**NAME, **PAIR}),
    ("DELETE", "registered-models/delete-tag"): ("delete_registered_model_tag", {**NAME, "key": "k"}),
    ("POST", "registered-models/alias"): ("set_registered_model_alias", {**VERSION, "alias": "a"}),
    ("DELETE", "registered-models/alias"): ("delete_registered_model_alias", {**NAME, "alias": "a"}),
    ("GET", "registered-models/alias"): ("get_model_version_by_alias", {**NAME, "alias": "latest"}),
    ("POST", "model-versions/create"): ("create_model_version", {**NAME, "source": "s3://bucket/model"}),
    ("GET", "model-versions/get"): ("get_model_version", VERSION),
    ("PATCH", "model-versions/update"): ("update_model_version", VERSION),
    ("POST", "model-versions/transition-stage"): ("transition_model_version_stage", {**VERSION, "stage": "Staging"}),
    ("DELETE", "model-versions/delete"): ("delete_model_version", VERSION),
    ("GET", "model-versions/get-download-uri"): ("get_model_version_download_uri", VERSION),
    ("GET", "model-versions/search"): ("search_model_versions", {"max_results": 5}),
    ("POST", "model-versions/set-tag"): ("set_model_version_tag", {**VERSION, **PAIR}),
    ("DELETE", "model-versions/delete-tag"): ("delete_model_version_tag", {**VERSION, "key": "k"}),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts"): ("list_artifacts", {"path": "0/{run}/artifacts"}),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/a.txt"): ("download_artifacts", {}),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/b.txt"): ("log_artifact", {"any": "content"}),
    ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/a.txt"): ("delete_artifacts", {}),
    ("GET", "/get-artifact"): ("download_artifacts", {"run_id": RUN, "path": "a.txt"}),
    ("GET", "/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files"): (
        "download_artifacts",
        {"artifact_file_path": "b.txt"},
    ),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=c.txt"): ("log_artifact", {"any": "content"}),
    ("GET", "/model-versions/get-artifact"): ("get_model_version_download_uri", {**VERSION, "path": "a.txt"}),
}
# Where a dialect has them.
ASYNC_REQUESTS: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("POST", "runs/log-batch-async"): ("log_batch", {"run_id": RUN, "metrics": [POINT]}),
    ("GET", "runs/get-run-data-status"): ("get_run", {"run_id": RUN}),
}


@pytest.fixture(scope="module", params=["oss", "azure"])
def running(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with running_server(dialect=request.param) as server:
        yield server


@pytest.fixture
def server(running: RunningServer) -> RunningServer:
    running.reset()
    return running


@pytest.fixture
def api(server: RunningServer) -> Iterator[Api]:
    api = Api(server.url)
    yield api
    api.close()


@pytest.fixture
def ids(server: RunningServer) -> dict[str, str]:
    """Put something of everything into the store and return the ids."""
    store, registry = server.store, server.service.backend.registry
    run_id = store.create_run("0", "ann", 1, [], None).info.run_id
    model_id = store.create_logged_model("0", "net", run_id).model_id
    store.artifacts.put(run_id, "a.txt", b"a")
    registry.create_registered_model("forest")
    registry.create_model_version("forest", store.get_run(run_id).info.artifact_uri)
    return {"{run}": run_id, "{model}": model_id, "{model_id}": model_id, "{tag_key}": "k"}


def with_ids(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: with_ids(each, ids) for key, each in value.items()}
    if isinstance(value, list):
        return [with_ids(each, ids) for each in value]
    for name, real in ids.items() if isinstance(value, str) else ():
        value = value.replace(name, real)
    return value


def sent(api: Api, method: str, path: str, fields: dict[str, Any], ids: dict[str, str]) -> Reply:
    path, fields = with_ids(path, ids), with_ids(fields, ids)
    return api.get(path, method, **fields) if method == "GET" else api.post(path, fields, method)


def test_every_endpoint_has_a_request() -> None:
    def named(endpoints: tuple[Endpoint, ...]) -> set[tuple[str, str]]:
        return {(each.method, each.path) for each in endpoints if not each.path.startswith("webhooks")}

    assert named(ENDPOINTS) == {(method, path) for method, path in REQUESTS if not path.startswith("/")}
    assert named(ASYNC_ENDPOINTS) == set(ASYNC_REQUESTS)


@pytest.mark.parametrize(("method", "path"), REQUESTS, ids=" ".join)
def test_a_request_meets_the_faults_of_the_call_that_it_makes(
    method: str, path: str, server: RunningServer, api: Api, ids: dict[str, str]
) -> None:
    call, fields = REQUESTS[method, path]
    if "/{model_id}/artifacts/" in path and "logged_models" in server.service.backend.missing:
        assert 404 == sent(api, method, path, fields, ids).status
        return

    server.store.offline = True
    offline = sent(api, method, path, fields, ids)
    server.store.offline = False
    server.store.fail_next(call, StoreError("too many requests", "REQUEST_LIMIT_EXCEEDED"))
    refused = sent(api, method, path, fields, ids)
    server.store.fail_next(call, ConnectionError("reset by peer"))
    failed = sent(api, method, path, fields, ids)
    server.store.fail_next(call, KeyboardInterrupt)
    interrupted = sent(api, method, path, fields, ids)

    assert (400, "INTERNAL_ERROR") == said(offline)[:2]
    assert "the store is offline" in said(offline)[2]
    assert (400, "REQUEST_LIMIT_EXCEEDED", "too many requests") == said(refused)
    assert (400, "INTERNAL_ERROR", "ConnectionError: reset by peer") == said(failed)
    assert (400, "INTERNAL_ERROR", "KeyboardInterrupt: ") == said(interrupted)
    assert [] == server.store.faults.waiting()


def said(reply: Reply) -> tuple[int, str, str]:
    body = reply.json
    return reply.status, body["error_code"], body["Error"]["Message"] if "Error" in body else body["message"]


@pytest.mark.parametrize(("method", "path"), ASYNC_REQUESTS, ids=" ".join)
def test_asynchronous_logging_meets_faults(
    method: str, path: str, server: RunningServer, api: Api, ids: dict[str, str]
) -> None:
    if not server.service.answers.get("asynchronous"):
        assert 404 == api.get(f"/api/2.0/preview/mlflow/{path}").status
        return
    _, fields = ASYNC_REQUESTS[method, path]
    server.store.offline = True

    reply = sent(api, method, f"/api/2.0/preview/mlflow/{path}", fields, ids)

    assert (400, "INTERNAL_ERROR") == said(reply)[:2]


def test_an_error_that_a_test_asked_for_is_not_logged(
    server: RunningServer, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    server.store.fail_next("get_experiment", ConnectionError("reset by peer"))

    with caplog.at_level(logging.DEBUG, "mlquery.server"):
        reply = api.get("experiments/get", experiment_id="0")

    assert 400 == reply.status
    assert [] == caplog.records


def test_a_request_without_a_fault_goes_through_again(server: RunningServer, api: Api) -> None:
    server.store.fail_next("get_experiment", ConnectionError, times=2)

    statuses = [api.get("experiments/get", experiment_id="0").status for _ in range(3)]

    assert [400, 400, 200] == statuses


def test_a_request_that_waits_holds_up_no_other(
    server: RunningServer, api: Api, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four requests wait until all four do and another one was answered."""
    meeting = threading.Barrier(5, timeout=30)
    monkeypatch.setattr(faults, "time", SimpleNamespace(sleep=lambda seconds: meeting.wait()))
    server.store.latency = LATENCY
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(slow_request, server.url) for _ in range(4)]

        health = api.send("GET", "/health").status
        meeting.wait()

        assert 200 == health
        assert [200] * 4 == [each.result() for each in waiting]


def slow_request(url: str) -> int:
    api = Api(url)
    status = api.post("runs/search", {"experiment_ids": ["0"]}).status
    api.close()
    return status


def test_a_request_waits_for_as_long_as_was_asked(server: RunningServer, api: Api, ids: dict[str, str]) -> None:
    server.store.latency = LATENCY / 3
    start = time.monotonic()

    replies = [
        api.send("PUT", with_ids("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/b.txt", ids), b"b"),
        api.get("runs/get", run_id=ids[RUN]),
    ]

    assert [200, 200] == [reply.status for reply in replies]
    assert time.monotonic() - start >= 2 * LATENCY / 3


@pytest.mark.slow
def test_the_warnings_of_requests_that_wait_do_not_mix() -> None:
    filters = {"attributes.start_time > 5": 1, "attributes.end_time > 5": 1, "tags.a = 'b'": 0}
    found: dict[str, int] = {}
    with running_server(dialect="azure") as server:
        server.store.latency = LATENCY
        threads = [threading.Thread(target=warned, args=(server.url, each, found)) for each in filters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert filters == found


def warned(url: str, filter_string: str, found: dict[str, int]) -> None:
    """Search and count the warnings that come with the answer."""
    api = Api(url)
    reply = api.post("runs/search", {"experiment_ids": ["0"], "filter": filter_string})
    assert 200 == reply.status
    found[filter_string] = reply.headers.get("warning", "").count("299 mlquery")
    api.close()


def test_a_call_that_no_source_speaks_of_is_warned_of(server: RunningServer, api: Api, ids: dict[str, str]) -> None:
    reply = api.post("runs/restore", {"run_id": ids[RUN]})
    unknown = api.post("runs/restore", {"run_id": "none"})

    verdict = MATRIX.dialect(server.service.backend.dialect).require_call("restore_run", "run")
    is_warned = verdict is not None and verdict.state == "silent"
    assert [is_warned, is_warned] == ["warning" in each.headers for each in (reply, unknown)]
