"""The server in the azure dialect, request by request: where it is mounted, what it adds, how it writes and refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlquery.server.testing import RunningServer, running_server
from tests.support.http_calls import Api, Reply

WORKSPACE = (
    "/mlflow/v2.0/subscriptions/123/resourceGroups/some-group/providers/Microsoft.MachineLearningServices/workspaces/ws"
)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(dialect="azure") as running:
        yield running


@pytest.fixture(scope="module")
def api(server: RunningServer) -> Iterator[Api]:
    api = Api(server.url, WORKSPACE)
    yield api
    api.close()


def new_run(api: Api, **fields: Any) -> Any:
    reply = api.post("runs/create", {"experiment_id": "0", "start_time": 1_700_000_000_123, **fields})
    assert 200 == reply.status
    return reply.json["run"]


def envelope(reply: Reply) -> Any:
    """Return the body of an error, its shape checked, without what changes from one to the next."""
    body = reply.json
    assert body.keys() == {
        *("Error", "Correlation", "Environment", "Location", "Time", "ComponentName", "statusCode", "error_code"),
    }
    empty = {name for name, value in body["Error"].items() if value is None}
    assert {"Severity", "MessageFormat", "ReferenceCode", "Target", "InnerError", "DebugInfo"} <= empty
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6,7}\+00:00", body["Time"])
    assert (32, 16) == (len(body["Correlation"]["operation"]), len(body["Correlation"]["request"]))
    assert (reply.status, "mlflow", []) == (body["statusCode"], body["ComponentName"], body["Error"]["Details"])
    return reply.status, body["Error"]["Code"], body["error_code"], body["Error"]["Message"]


def test_experiments_are_listed_below_both_versions_of_the_workspace(server: RunningServer) -> None:
    for version in ("v2.0", "v1.0"):
        api = Api(server.url, WORKSPACE.replace("v2.0", version))
        listed = api.send("GET", "experiments/list", None, {"Authorization": "Bearer any"}).json["experiments"]
        assert {"experiment_id", "name", "lifecycle_stage", "creation_time"} <= listed[0].keys()
        assert "Default" in [experiment["name"] for experiment in listed]
        api.close()


def test_the_api_is_below_the_workspace_and_at_the_root(server: RunningServer, api: Api) -> None:
    run_id = new_run(api)["info"]["run_id"]
    at_the_root = Api(server.url)

    assert run_id == api.get("runs/get", run_id=run_id).json["run"]["info"]["run_id"]
    assert run_id == at_the_root.get("runs/get", run_id=run_id).json["run"]["info"]["run_id"]
    at_the_root.close()


def test_integers_of_64_bits_are_strings_and_ids_dashed_guids(api: Api) -> None:
    info = new_run(api)["info"]

    assert "1700000000123" == info["start_time"]
    assert (4, 4) == (info["run_id"].count("-"), info["experiment_id"].count("-"))


def test_points_are_sent_and_answered_as_strings_too(api: Api) -> None:
    run_id = new_run(api)["info"]["run_id"]
    point = {"key": "m", "value": "NaN", "timestamp": "1700000000123", "step": str(2**53 + 1)}

    api.post("runs/log-metric", {"run_id": run_id, **point})

    assert [point] == api.get("metrics/get-history", run_id=run_id, metric_key="m").json["metrics"]
    assert [point] == api.get("runs/get", run_id=run_id).json["run"]["data"]["metrics"]


def test_an_experiment_lacks_what_the_service_leaves_out(api: Api) -> None:
    experiment = api.get("experiments/get", experiment_id="0").json["experiment"]

    assert {"experiment_id", "name", "lifecycle_stage", "creation_time"} == experiment.keys()
    assert isinstance(experiment["creation_time"], str)


def test_the_legacy_list_of_experiments_is_served(api: Api) -> None:
    assert ["Default"] == [found["name"] for found in api.get("experiments/list").json["experiments"]]


def test_every_run_names_the_root_of_its_tree_and_the_display_name_of_its_user(api: Api) -> None:
    root = new_run(api, user_id="me", tags=[{"key": "mlflow.user", "value": "me"}])
    child = new_run(api, tags=[{"key": "mlflow.parentRunId", "value": root["info"]["run_id"]}])

    tags = [{tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in (root, child)]
    assert [root["info"]["run_id"]] * 2 == [each["mlflow.rootRunId"] for each in tags]
    assert ("Display Name", "Display Name") == (tags[0]["mlflow.user"], root["info"]["user_id"])


def test_a_batch_without_metrics_needs_no_waiting(api: Api) -> None:
    run_id = new_run(api)["info"]["run_id"]
    path = "/api/2.0/preview/mlflow/runs/"

    texts = api.post(f"{path}log-batch-async", {"run_id": run_id, "params": [{"key": "p", "value": "1"}]})
    numbers = api.post(
        f"{path}log-batch-async", {"run_id": run_id, "metrics": [{"key": "m", "value": 1, "timestamp": "1"}]}
    )
    tracking_id = numbers.json["batch_tracking_id"]
    status = api.get(f"{path}get-run-data-status", run_id=run_id, batch_tracking_id=tracking_id)

    assert ({}, {"is_complete": True}) == (texts.json, status.json)
    assert tracking_id


@pytest.mark.parametrize(
    ("filter_string", "message"),
    [
        ("tags.x LIKE 'a%'", "Operator 'LIKE' not supported for key type 'Tag'."),
        (
            "metrics.a > 1 OR metrics.b > 1",
            "Currently unsupported filter string format (we currently do not support OR). "
            "Provided filter string: metrics.a > 1 OR metrics.b > 1",
        ),
        (
            "what?",
            "Currently unsupported filter string format (we currently do not support OR). "
            "Provided filter string: what?",
        ),
    ],
)
def test_a_query_is_refused_in_the_envelope_of_the_service(api: Api, filter_string: str, message: str) -> None:
    reply = api.post("runs/search", {"experiment_ids": ["0"], "filter": filter_string})

    assert (400, "UserError", "INVALID_PARAMETER_VALUE", message) == envelope(reply)


def test_fields_of_the_wrong_type_are_a_validation_error(api: Api) -> None:
    reply = api.post("runs/log-batch", {"run_id": "a", "metrics": [{"key": "m", "value": "x", "timestamp": 1}]})

    assert (400, "ValidationError", "INVALID_PARAMETER_VALUE", "The request is invalid.") == envelope(reply)


def test_renaming_an_experiment_is_refused(api: Api) -> None:
    status, code, error_code, _ = envelope(api.post("experiments/update", {"experiment_id": "0", "new_name": "other"}))

    assert (400, "UserError", "INVALID_PARAMETER_VALUE") == (status, code, error_code)


def test_limits_of_the_service_are_a_validation_error(api: Api) -> None:
    run_id = new_run(api)["info"]["run_id"]
    points = [{"key": "m", "value": i, "timestamp": i} for i in range(251)]

    status, code, error_code, message = envelope(api.post("runs/log-batch", {"run_id": run_id, "metrics": points}))

    assert (400, "ValidationError", "INVALID_PARAMETER_VALUE") == (status, code, error_code)
    assert message.startswith(
        "A field of the entity is over the size limit. FieldName=MetricV2Dto.Value/Count, Limit=250, Size=251."
    )


def test_what_does_not_exist_is_in_the_envelope_too(api: Api) -> None:
    assert (404, "UserError", "RESOURCE_DOES_NOT_EXIST", "Run with id=a not found") == envelope(
        api.get("runs/get", run_id="a")
    )
    assert 404 == envelope(api.get("runs/no-such-call"))[0]


def test_a_registered_model_has_times_and_versions_as_strings(api: Api) -> None:
    api.post("registered-models/create", {"name": "forest"})
    version = api.post("model-versions/create", {"name": "forest", "source": "s3://bucket/model"}).json["model_version"]
    model = api.get("registered-models/get", name="forest").json["registered_model"]

    assert ("1", "READY", "None") == (version["version"], version["status"], version["current_stage"])
    assert all(each[name].isdigit() for each in (model, version) for name in each if name.endswith("timestamp"))


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("POST", "registered-models/rename", {"name": "none", "new_name": "other"}),
        ("DELETE", "registered-models/delete", {"name": "none"}),
    ],
)
def test_what_the_service_cannot_do_with_models_is_refused(
    api: Api, method: str, path: str, fields: dict[str, Any]
) -> None:
    status, code, error_code, _ = envelope(api.post(path, fields, method))

    assert (400, "UserError", "INVALID_PARAMETER_VALUE") == (status, code, error_code)


def test_the_server_reads_no_folder_of_its_own_disk_for_a_version(api: Api, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("secret")
    api.post("registered-models/create", {"name": "local"})

    for source in (f"file://{tmp_path}", "file://."):
        assert 400 == api.post("model-versions/create", {"name": "local", "source": source}).status
    assert {} == api.get("model-versions/search", filter="name = 'local'").json


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_there_is_no_endpoint_for_aliases(api: Api, method: str) -> None:
    fields = {"name": "lake", "alias": "best"} | ({"version": "1"} if method == "POST" else {})

    status, code, error_code, message = envelope(api.post("registered-models/alias", fields, method))

    assert (404, "UserError", "ENDPOINT_NOT_FOUND") == (status, code, error_code)
    assert "[registry.alias]; instead: a stage or a tag of the version" in message


MODELS_ARE_MISSING = (
    b"azure has no logged models; instead: save_model into a folder, mlflow.log_artifacts of that folder, and "
    b"mlflow.register_model"
)


def test_a_malformed_request_without_an_endpoint_gets_the_same_answer(api: Api) -> None:
    replies = [
        api.send("POST", "logged-models/search", b"{"),
        api.send("POST", "logged-models/search", b"{}", {"Content-Type": "text/plain"}),
        api.post("runs/outputs", {"run_id": 5}),
        api.send("PATCH", "logged-models/m-1", b"[]"),
    ]

    assert [(404, MODELS_ARE_MISSING)] * 4 == [(reply.status, reply.content) for reply in replies]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "logged-models", 404),
        ("GET", "logged-models/m-1", 404),
        ("POST", "logged-models/search", 404),
        ("POST", "runs/outputs", 404),
        ("POST", "traces", 403),
        ("GET", "/api/3.0/mlflow/traces/1", 403),
    ],
)
def test_calls_without_an_endpoint_are_answered_with_what_to_do_instead(
    api: Api, method: str, path: str, status: int
) -> None:
    reply = api.post(path, {}) if method == "POST" else api.get(path)

    assert (status, MODELS_ARE_MISSING if status == 404 else b"") == (reply.status, reply.content)


def test_a_query_that_no_source_speaks_about_runs_with_a_warning(api: Api) -> None:
    silent = api.post("runs/search", {"experiment_ids": ["0"], "filter": "attributes.start_time > 1700000000000"})
    known = api.post("runs/search", {"experiment_ids": ["0"], "filter": "attributes.start_time > '1700000000000'"})

    assert (200, 200) == (silent.status, known.status)
    assert silent.headers["warning"].startswith('299 mlquery "filter_string')
    assert "[literal.bare-number]" in silent.headers["warning"]
    assert "warning" not in known.headers
