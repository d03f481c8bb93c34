"""Requests about registered models to `mlflow server` (SQLite) and to this server: the same statuses and bodies.

What is left out is what `tests/test_server_beside_mlflow.py` leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.http_calls import Api, Notes
from tests.test_server_beside_mlflow import FAILED, NOTHING, PAIR, exchanged, new_run, without_words

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow server")]

MODELS, VERSIONS = "registered-models/", "model-versions/"
SOURCE = "s3://bucket/model"


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


def delete(note: Notes, path: str, **fields: Any) -> Any:
    return note.post(path, fields, "DELETE")


def patch(note: Notes, path: str, **fields: Any) -> Any:
    return note.post(path, fields, "PATCH")


def new_version(note: Notes, name: str, **fields: Any) -> Any:
    return note.post(f"{VERSIONS}create", {"name": name, "source": SOURCE, **fields})


# --- scripts --------------------------------------------------------------------------------------------------------


def models_live(note: Notes) -> None:
    tags = [{"key": "a", "value": "1"}, {"key": "b", "value": ""}, {"key": "a", "value": "2"}]
    note.post(f"{MODELS}create", {"name": "life", "tags": tags, "description": "first"})
    note.post(f"{MODELS}create", {"name": "life"})
    note.post(f"{MODELS}create", {"name": "plain", "deployment_job_id": "j"})
    for name in ("", "a/b", "a:b", "..", ".", " ", "ü", "n" * 300):
        note.post(f"{MODELS}create", {"name": name})
        note.get(f"{MODELS}get", name=name)
    note.post(f"{MODELS}create", {"name": "tagged", "tags": [{"key": "k" * 251, "value": "v"}]})
    note.post(f"{MODELS}create", {"name": "tagged", "tags": [{"key": "", "value": "v"}]})
    note.post(f"{MODELS}create", {"name": "tagged", "tags": [{"value": "v"}]})
    note.post(f"{MODELS}create", {"name": "tagged", "tags": [{"key": "a//b"}]})
    note.get(f"{MODELS}get", name="life")
    note.get(f"{MODELS}get", name="none")
    note.get(f"{MODELS}get")
    patch(note, f"{MODELS}update", name="life", description="second")
    patch(note, f"{MODELS}update", name="life")
    patch(note, f"{MODELS}update", name="none", description="x")
    patch(note, f"{MODELS}update", description="x")
    note.post(f"{MODELS}rename", {"name": "plain", "new_name": "renamed"})
    note.post(f"{MODELS}rename", {"name": "renamed", "new_name": "life"})
    note.post(f"{MODELS}rename", {"name": "renamed", "new_name": "renamed"})
    note.post(f"{MODELS}rename", {"name": "renamed", "new_name": "a/b"})
    note.post(f"{MODELS}rename", {"name": "renamed", "new_name": ""})
    note.post(f"{MODELS}rename", {"name": "none", "new_name": "other"})
    note.post(f"{MODELS}set-tag", {"name": "life", **PAIR})
    note.post(f"{MODELS}set-tag", {"name": "life", "key": "empty"})
    note.post(f"{MODELS}set-tag", {"name": "life", "key": "long", "value": "v" * 100_001})
    note.post(f"{MODELS}set-tag", {"name": "none", **PAIR})
    delete(note, f"{MODELS}delete-tag", name="life", key="k")
    delete(note, f"{MODELS}delete-tag", name="life", key="k")
    delete(note, f"{MODELS}delete-tag", name="life", key="x" * 300)
    delete(note, f"{MODELS}delete-tag", name="none", key="k")
    delete(note, f"{MODELS}delete-tag", name="life")
    note.get(f"{MODELS}get", name="life")
    delete(note, f"{MODELS}delete", name="life")
    delete(note, f"{MODELS}delete", name="life")
    delete(note, f"{MODELS}delete")
    note.get(f"{MODELS}delete", "DELETE", name="renamed")
    note.get(f"{MODELS}get", name="life")


def versions_live(note: Notes) -> None:
    run = new_run(note)
    note.post(f"{MODELS}create", {"name": "versions"})
    note.post(
        f"{VERSIONS}create",
        {"name": "versions", "source": SOURCE, "run_id": run, "run_link": "l", "description": "d", "tags": [PAIR]},
    )
    new_version(note, "versions")
    new_version(note, "versions", tags=[PAIR, {"key": "k", "value": "w"}])
    new_version(note, "versions", tags=[{"key": "k" * 251, "value": "v"}])
    new_version(note, "none")
    new_version(note, "a/b")
    note.post(f"{VERSIONS}create", {"name": "versions"})
    for version in ("1", "3", "4", "0", "-1", "x", "1.0", " 2 ", "", "9" * 30):
        note.get(f"{VERSIONS}get", name="versions", version=version)
        note.get(f"{VERSIONS}get-download-uri", name="versions", version=version)
    note.get(f"{VERSIONS}get", name="none", version="1")
    note.get(f"{VERSIONS}get", version="1")
    note.get(f"{VERSIONS}get", name="versions")
    note.get(f"{VERSIONS}get-download-uri", name="none", version="1")
    note.get(f"{VERSIONS}get-download-uri", name="versions")
    note.get(f"{VERSIONS}get-download-uri")
    patch(note, f"{VERSIONS}update", name="versions", version="1", description="new")
    patch(note, f"{VERSIONS}update", name="versions", version="1", description="")
    patch(note, f"{VERSIONS}update", name="versions", version="1")
    patch(note, f"{VERSIONS}update", name="versions", version="9", description="new")
    patch(note, f"{VERSIONS}update", name="versions", version=1, description="new")
    note.post(f"{VERSIONS}set-tag", {"name": "versions", "version": "2", "key": "a", "value": "b"})
    note.post(f"{VERSIONS}set-tag", {"name": "versions", "version": "2", "key": "a"})
    note.post(f"{VERSIONS}set-tag", {"name": "versions", "version": "9", "key": "a", "value": "b"})
    note.post(f"{VERSIONS}set-tag", {"name": "versions", "version": "x", "key": "a", "value": "b"})
    note.post(f"{VERSIONS}set-tag", {"name": "versions", "version": "2", "key": "a//b", "value": "b"})
    delete(note, f"{VERSIONS}delete-tag", name="versions", version="2", key="a")
    delete(note, f"{VERSIONS}delete-tag", name="versions", version="2", key="a")
    delete(note, f"{VERSIONS}delete-tag", name="versions", version="9", key="a")
    delete(note, f"{VERSIONS}delete-tag", name="versions", version="x", key="a")
    note.get(f"{VERSIONS}get", name="versions", version="2")
    note.get(f"{MODELS}get", name="versions")
    delete(note, f"{VERSIONS}delete", name="versions", version="3")
    delete(note, f"{VERSIONS}delete", name="versions", version="3")
    delete(note, f"{VERSIONS}delete", name="versions", version="x")
    delete(note, f"{VERSIONS}delete", name="versions")
    note.get(f"{VERSIONS}get", name="versions", version="3")
    new_version(note, "versions")
    note.get(f"{MODELS}get", name="versions")
    note.post(f"{MODELS}rename", {"name": "versions", "new_name": "moved"})
    note.get(f"{VERSIONS}get", name="moved", version="1")


def versions_move_between_stages(note: Notes) -> None:
    note.post(f"{MODELS}create", {"name": "stages"})
    for _ in range(3):
        new_version(note, "stages")
    move = f"{VERSIONS}transition-stage"
    note.post(move, {"name": "stages", "version": "1", "stage": "Production"})
    note.post(move, {"name": "stages", "version": "2", "stage": "production", "archive_existing_versions": True})
    note.post(move, {"name": "stages", "version": "3", "stage": "Staging", "archive_existing_versions": False})
    note.post(move, {"name": "stages", "version": "3", "stage": "None", "archive_existing_versions": True})
    note.post(move, {"name": "stages", "version": "3", "stage": "Winter"})
    note.post(move, {"name": "stages", "version": "3", "stage": ""})
    note.post(move, {"name": "stages", "version": "3", "stage": "Staging", "archive_existing_versions": "yes"})
    note.post(move, {"name": "stages", "version": "9", "stage": "Staging"})
    note.post(move, {"name": "none", "version": "9", "stage": "Staging"})
    latest = f"{MODELS}get-latest-versions"
    note.get(latest, name="stages")
    note.post(latest, {"name": "stages"})
    note.get(latest, name="stages", stages=["Production"])
    note.get(latest, name="stages", stages=["production", "None"])
    note.post(latest, {"name": "stages", "stages": ["Archived", "Staging"]})
    note.post(latest, {"name": "stages", "stages": ["Winter"]})
    note.post(latest, {"name": "stages", "stages": "Staging"})
    note.post(latest, {"name": "none"})
    note.get(latest)
    note.get(f"{MODELS}get", name="stages")


def aliases_name_versions(note: Notes) -> None:
    note.post(f"{MODELS}create", {"name": "aliases"})
    new_version(note, "aliases")
    new_version(note, "aliases")
    alias = f"{MODELS}alias"
    for name, version in (("b", "1"), ("a", "1"), ("c", "2"), ("b", "2"), ("d", "9"), ("e", "x")):
        note.post(alias, {"name": "aliases", "alias": name, "version": version})
    for name in ("latest", "Latest", "v1", "V2", "a b", "a" * 256, "", "A_-1"):
        note.post(alias, {"name": "aliases", "alias": name, "version": "1"})
        note.get(alias, name="aliases", alias=name)
    note.post(alias, {"name": "none", "alias": "a", "version": "1"})
    note.post(alias, {"name": "aliases", "alias": "a"})
    note.get(alias, name="aliases", alias="a")
    note.get(alias, name="aliases", alias="zzz")
    note.get(alias, name="none", alias="a")
    note.get(alias, name="aliases")
    note.get(f"{MODELS}get", name="aliases")
    note.get(f"{VERSIONS}get", name="aliases", version="2")
    delete(note, alias, name="aliases", alias="b")
    delete(note, alias, name="aliases", alias="b")
    delete(note, alias, name="none", alias="b")
    delete(note, alias, name="aliases")
    delete(note, f"{VERSIONS}delete", name="aliases", version="1")
    note.get(alias, name="aliases", alias="a")
    note.get(f"{MODELS}get", name="aliases")


def models_and_versions_are_searched(note: Notes) -> None:
    for place, name in enumerate(("s.one", "s.two", "s.three")):
        note.post(f"{MODELS}create", {"name": name, "tags": [{"key": "place", "value": str(place)}]})
        for number in range(place + 1):
            run_id = {"run_id": NOTHING} if number else {}
            new_version(note, name, tags=[{"key": "number", "value": str(number)}], **run_id)
    ours = {"filter": "name LIKE 's.%'"}
    for fields in (
        ours,
        {"filter": "name = 's.one'"},
        {"filter": "name ILIKE 'S.T%' AND tags.place = '1'"},
        {"filter": "name = 'none'"},
        {"filter": "colour = 'red'"},
        {"filter": "name ="},
        {**ours, "order_by": ["name DESC"]},
        {**ours, "order_by": ["colour"]},
        {**ours, "max_results": 2},
        {**ours, "max_results": "2"},
        {**ours, "max_results": 0},
        {**ours, "max_results": -1},
        {**ours, "max_results": 1000},
        {**ours, "max_results": 1001},
        {**ours, "max_results": 200_001},
        {**ours, "max_results": "x"},
        {**ours, "max_results": 2**63},
        {**ours, "page_token": ""},
    ):
        note.get(f"{MODELS}search", **fields)
        note.get(f"{VERSIONS}search", **fields)
    note.get(f"{VERSIONS}search", filter=f"run_id = '{NOTHING}' AND name LIKE 's.%'")
    note.get(f"{VERSIONS}search", filter="run_id = '' AND name LIKE 's.%'")
    note.get(
        f"{VERSIONS}search", filter=f"run_id != '{NOTHING}' AND name LIKE 's.%'", order_by=["name", "version_number"]
    )
    note.get(f"{VERSIONS}search", filter="tags.number = '1'", order_by=["name ASC", "version_number DESC"])
    for kind in (MODELS, VERSIONS):
        page = note.get(f"{kind}search", max_results=2, order_by=["name"], **ours)
        note.get(f"{kind}search", max_results=2, order_by=["name"], page_token=page["next_page_token"], **ours)


def sources_are_checked(note: Notes) -> None:
    run = new_run(note)
    model = note.post("logged-models", {"experiment_id": "0", "name": "m", "source_run_id": run})["model"]["info"]
    model_id, location = note.name(model["model_id"]), model["artifact_uri"]
    artifacts = f"mlflow-artifacts:/0/{run}/artifacts"
    note.post(f"{MODELS}create", {"name": "sources"})
    for source in (
        *(SOURCE, "s3://bucket", "s3://bucket/", "s3://bucket/a/../b", "s3://bucket/a/./b", "s3://bucket/a//b"),
        *("s3://bucket/%2e%2e/b", "s3:bucket", "dbfs:/a/b", "s3://bucket/a b", "s3://bucket/a\0b", "mlflow-artifacts:"),
        *("/m/model", "/m/../model", "file:///m/model", "file://host/m", "file://localhost/m", "databricks"),
        *(f"runs:/{run}/model", f"runs:/{run}", "runs:/", "runs:x", f"runs://host/{run}/model", f"runs:/{NOTHING}/m"),
        *(artifacts, f"{artifacts}/model", "mlflow-artifacts:/0", "mlflow-artifacts://host/0", f"{location}/x"),
        *("http://host/a", "https://host/a", "ftp://host/a", "hdfs://host/a", "http:", "gs://b/c", "abfss://a@b/c"),
        *(f"models:/{model_id}", "models:/m-none", "models:/", "models:x", "models://host/sources/1", "models:/a/b/c"),
        *("models:/sources/1", "models:/sources/99", "models:/sources/latest", "models:/sources/Production"),
        *("models:/sources/None", "models:/sources@none", "models:/none/1", "models:/sources@", "models:/sources/ "),
    ):
        for owner in ({}, {"run_id": run}, {"run_id": NOTHING}, {"model_id": model_id}, {"model_id": "m-none"}):
            note.post(f"{VERSIONS}create", {"name": "sources", "source": source, **owner})
        note.post(f"{VERSIONS}create", {"name": "sources", "source": source, "run_id": run, "model_id": model_id})
    experiment = note.post("experiments/create", {"name": "on a disk", "artifact_location": "/m"})["experiment_id"]
    local = new_run(note, experiment)
    for source in (f"/m/{local}/artifacts/model", f"file:///m/{local}/artifacts", f"/m/{local}/artifacts/../x"):
        note.post(f"{VERSIONS}create", {"name": "sources", "source": source})
        note.post(f"{VERSIONS}create", {"name": "sources", "source": source, "run_id": local})
    note.post(f"{MODELS}alias", {"name": "sources", "alias": "best", "version": "2"})
    note.post(f"{VERSIONS}transition-stage", {"name": "sources", "version": "3", "stage": "Production"})
    for source in ("models:/sources@best", "models:/sources/production", "models:/sources/Staging"):
        note.post(f"{VERSIONS}create", {"name": "sources", "source": source})
    note.get(f"logged-models/{model_id}")
    note.get(f"{VERSIONS}get-download-uri", name="sources", version="2")


def files_of_versions_are_sent(note: Notes) -> None:
    run = new_run(note)
    note.post(f"{MODELS}create", {"name": "files"})
    note.send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/model/a.txt", b"hello")
    source = f"mlflow-artifacts:/0/{run}/artifacts/model"
    note.post(f"{VERSIONS}create", {"name": "files", "source": source, "run_id": run})
    for path in ("a.txt", "../a.txt", "none"):
        note.get("/model-versions/get-artifact", name="files", version="1", path=path)
    note.get("/model-versions/get-artifact", name="files", version="9", path="a.txt")
    note.get("/model-versions/get-artifact", name="none", version="1", path="a.txt")


def datasets_are_searched(note: Notes) -> None:
    run = new_run(note)
    dataset = {"name": "d", "digest": "1", "source_type": "t", "source": "s"}
    context = [{"key": "mlflow.data.context", "value": "train"}]
    note.post("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": dataset, "tags": context}]})
    path = "/ajax-api/2.0/mlflow/experiments/search-datasets"
    note.post(path, {"experiment_ids": ["77777"]})
    note.post(path, {"experiment_ids": ["0"]})
    note.post(path, {"experiment_ids": []})
    note.post(path, {"experiment_ids": ["0"] * 21})


def the_user_interface_asks_below_another_prefix(note: Notes) -> None:
    path = f"/ajax-api/2.0/mlflow/{MODELS}"
    note.post(f"{path}create", {"name": "ajax"})
    note.get(f"{path}get", name="ajax")
    note.get(f"{path}alias", name="ajax", alias="x")
    note.post(f"{path}delete", {"name": "ajax"}, "DELETE")


SCRIPTS = [
    models_live,
    versions_live,
    versions_move_between_stages,
    aliases_name_versions,
    models_and_versions_are_searched,
    sources_are_checked,
    files_of_versions_are_sent,
    datasets_are_searched,
    the_user_interface_asks_below_another_prefix,
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_the_server_answers_what_mlflows_answers(script: Callable[[Notes], None], theirs: Api, ours: Api) -> None:
    expected, actual = Notes(theirs), Notes(ours)

    script(expected)
    script(actual)

    assert_same(expected, actual)


def assert_same(expected: Notes, actual: Notes) -> None:
    """Compare answers, whatever page tokens were sent; where `mlflow server` fails, this one says what is wrong."""
    for their_answer, our_answer in zip(expected.seen, actual.seen, strict=True):
        if their_answer[1] >= FAILED:
            assert our_answer[1] in (200, 400), our_answer
            assert our_answer[1] == 200 or our_answer[2]["error_code"]
        elif isinstance(their_answer[2], dict):
            assert without_words(their_answer)[1:] == without_words(our_answer)[1:], our_answer[0]
        else:
            assert their_answer == our_answer


# Requests that are right if nothing is exchanged in them.
RIGHT: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", f"{MODELS}create"): {"name": "a", "tags": [PAIR], "description": "d"},
    ("POST", f"{MODELS}rename"): {"name": "odd", "new_name": "odd"},
    ("PATCH", f"{MODELS}update"): {"name": "odd", "description": "d"},
    ("DELETE", f"{MODELS}delete"): {"name": "none"},
    ("POST", f"{MODELS}get-latest-versions"): {"name": "odd", "stages": ["None"]},
    ("POST", f"{MODELS}set-tag"): {"name": "odd", **PAIR},
    ("DELETE", f"{MODELS}delete-tag"): {"name": "odd", "key": "none"},
    ("POST", f"{MODELS}alias"): {"name": "odd", "alias": "a", "version": "1"},
    ("DELETE", f"{MODELS}alias"): {"name": "odd", "alias": "none"},
    ("POST", f"{VERSIONS}create"): {
        **{"name": "odd", "source": SOURCE, "run_id": "r", "tags": [PAIR], "run_link": "l", "description": "d"},
        "model_id": "",
    },
    ("PATCH", f"{VERSIONS}update"): {"name": "odd", "version": "1", "description": "d"},
    ("POST", f"{VERSIONS}transition-stage"): {
        **{"name": "odd", "version": "1", "stage": "Staging", "archive_existing_versions": True}
    },
    ("DELETE", f"{VERSIONS}delete"): {"name": "odd", "version": "99999"},
    ("POST", f"{VERSIONS}set-tag"): {"name": "odd", "version": "1", **PAIR},
    ("DELETE", f"{VERSIONS}delete-tag"): {"name": "odd", "version": "1", "key": "none"},
}


@pytest.mark.parametrize(("method", "path"), RIGHT)
def test_a_field_that_does_not_fit_is_answered_as_by_mlflow(method: str, path: str, theirs: Api, ours: Api) -> None:
    notes = [Notes(theirs), Notes(ours)]
    for note in notes:
        note.api.post(f"{MODELS}create", {"name": "odd"})
        note.api.post(f"{VERSIONS}create", {"name": "odd", "source": SOURCE})
        for body in exchanged(RIGHT[method, path]):
            note.post(path, body, method)

    assert_same(*notes)


# --- what is not kept -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "webhooks"), ("POST", "webhooks"), ("GET", "webhooks/1"), ("PATCH", "webhooks/1")),
        *(("DELETE", "webhooks/1"), ("POST", "webhooks/1/test")),
    ],
)
def test_webhooks_are_not_implemented(method: str, path: str, ours: Api) -> None:
    reply = ours.get(path) if method == "GET" else ours.post(path, {}, method)

    assert (501, "NOT_IMPLEMENTED") == (reply.status, reply.json["error_code"])
    assert reply.json["message"].startswith("mlquery does not keep webhooks: ")


def test_prompts_are_not_implemented(ours: Api) -> None:
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]

    reply = ours.post(f"{MODELS}create", {"name": "prompt", "tags": tags})
    ours.post(f"{MODELS}create", {"name": "no prompt"})
    version = ours.post(f"{VERSIONS}create", {"name": "no prompt", "source": "prompt-template", "tags": tags})

    assert [(501, "NOT_IMPLEMENTED")] * 2 == [(each.status, each.json["error_code"]) for each in (reply, version)]
