"""The artifacts of a workspace request by request: listings, reservations, signed URLs, and what these refuse."""

from __future__ import annotations

import json
import re
import ssl
from base64 import b64encode
from collections.abc import Iterator
from time import time
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlquery.errors import StoreError
from mlquery.server import blobs
from mlquery.server.blobs import LIFETIME, BlobError, Blocks, SignedUrls, part
from mlquery.server.certificates import made_for_session
from mlquery.server.locations import Locations
from mlquery.server.security import Security
from mlquery.server.testing import RunningServer, running_server
from tests.support.http_calls import JSON, Api, Reply

SCOPE = "/subscriptions/123/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/ws"
UPLOADS = f"/artifact/v2.0{SCOPE}/artifacts/LocalUpload/a-container"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(dialect="azure") as running:
        yield running


@pytest.fixture(scope="module")
def api(server: RunningServer) -> Iterator[Api]:
    api = Api(server.url)
    yield api
    api.close()


@pytest.fixture
def run_id(server: RunningServer) -> str:
    return str(server.client.create_run("0").info.run_id)


def of_run(run_id: str) -> str:
    return f"/history/v1.0{SCOPE}/experiments/any/runs/{run_id}/artifacts"


def reserve(api: Api, container: str, *paths: str) -> Any:
    reply = api.post(f"{container}/batch/metadata", {"paths": [{"path": path} for path in paths]})
    assert 200 == reply.status
    return reply.json


def put(api: Api, url: str, content: bytes, **query: str) -> Reply:
    """Send a content as Microsoft's client does."""
    parts = urlsplit(url)
    path = f"{parts.path}?{urlencode(query)}{'&' if query else ''}{parts.query}"
    return api.send("PUT", path, content, {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*"})


def write(api: Api, container: str, path: str, content: bytes) -> None:
    url = reserve(api, container, path)["artifactContentInformation"][path]["contentUri"]
    assert 201 == put(api, url, content).status


def read(api: Api, container: str, path: str, **headers: str) -> Reply:
    located = api.get(f"{container}/contentinfo", path=path)
    assert 200 == located.status
    parts = urlsplit(located.json["contentUri"])
    return api.send("GET", f"{parts.path}?{parts.query}", None, headers)


def test_a_file_is_reserved_written_listed_and_read(server: RunningServer, api: Api, run_id: str) -> None:
    reserved = reserve(api, of_run(run_id), "model/MLmodel")
    name = f"ExperimentRun/dcid.{run_id}/model/MLmodel"
    url = reserved["artifactContentInformation"]["model/MLmodel"]["contentUri"]

    assert {} == reserved["errors"]
    assert name == reserved["artifacts"]["model/MLmodel"]["artifactId"]
    assert url.startswith(f"{server.url}/mlquery.blob.core.windows.net/azureml/{name}?")
    assert [] == api.get(of_run(run_id)).json["value"]
    assert 201 == put(api, url, b"flavors").status
    assert ["model/MLmodel"] == [file["path"] for file in api.get(of_run(run_id)).json["value"]]
    assert b"flavors" == read(api, of_run(run_id), "model/MLmodel").content
    assert {"model/MLmodel": b"flavors"} == server.service.backend.download_artifacts(run_id)


def test_files_of_an_upload_belong_to_no_run(server: RunningServer, api: Api, run_id: str) -> None:
    write(api, UPLOADS, "regressor/MLmodel", b"flavors")

    assert ["regressor/MLmodel"] == [file["path"] for file in api.get(UPLOADS).json["value"]]
    assert b"flavors" == read(api, UPLOADS, "regressor/MLmodel").content
    assert [] == api.get(of_run(run_id)).json["value"]
    listed = server.service.backend.list_artifacts("", "LocalUpload/a-container/regressor")
    assert ["LocalUpload/a-container/regressor/MLmodel"] == [file.path for file in listed]


@settings(max_examples=40, deadline=None)
@given(
    name=st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1, max_size=20),
    content=st.binary(max_size=50),
)
def test_every_name_and_content_comes_back(api: Api, server: RunningServer, name: str, content: bytes) -> None:
    if name in (".", ".."):
        return
    run_id = server.client.create_run("0").info.run_id
    path = f"folder/{name}"
    write(api, of_run(run_id), path, content)

    assert [path] == [file["path"] for file in api.get(of_run(run_id)).json["value"]]
    assert content == read(api, of_run(run_id), path).content


def test_a_file_that_is_there_is_not_reserved_and_the_others_are(api: Api, run_id: str) -> None:
    write(api, of_run(run_id), "a.txt", b"first")

    reserved = reserve(api, of_run(run_id), "a.txt", "b.txt")

    error = reserved["errors"]["a.txt"]["error"]
    message = f"Resource Conflict: ArtifactId ExperimentRun/dcid.{run_id}/a.txt already exists."
    assert ("UserError", message) == (error["code"], error["message"])
    assert ["b.txt"] == list(reserved["artifactContentInformation"])


def test_of_two_who_reserved_a_file_the_first_who_writes_it_wins(api: Api, run_id: str) -> None:
    urls = [
        reserve(api, of_run(run_id), "a.txt")["artifactContentInformation"]["a.txt"]["contentUri"] for _ in range(2)
    ]

    replies = [put(api, url, content) for url, content in zip(urls, (b"first", b"second"), strict=True)]

    assert [201, 409] == [reply.status for reply in replies]
    assert "BlobAlreadyExists" == replies[1].headers["x-ms-error-code"]
    assert b"first" == read(api, of_run(run_id), "a.txt").content


def test_a_large_file_is_sent_in_blocks_and_fetched_by_ranges(api: Api, run_id: str) -> None:
    url = reserve(api, of_run(run_id), "large")["artifactContentInformation"]["large"]["contentUri"]
    ids = [b64encode(f"{number:032}".encode()).decode() for number in range(3)]
    for block_id, block in zip(ids, (b"012", b"345", b"67"), strict=True):
        assert 201 == put(api, url, block, comp="block", blockid=block_id).status
    listed = "".join(f"<Latest>{block_id}</Latest>" for block_id in ids)
    assert 201 == put(api, url, f"<BlockList>{listed}</BlockList>".encode(), comp="blocklist").status

    middle = read(api, of_run(run_id), "large", **{"x-ms-range": "bytes=2-4"})
    rest = read(api, of_run(run_id), "large", Range="bytes=5-")
    beyond = read(api, of_run(run_id), "large", **{"x-ms-range": "bytes=8-9"})

    assert (206, b"234", "bytes 2-4/8") == (middle.status, middle.content, middle.headers["content-range"])
    assert (206, b"567", "bytes 5-7/8") == (rest.status, rest.content, rest.headers["content-range"])
    assert (416, "InvalidRange") == (beyond.status, beyond.headers["x-ms-error-code"])


def test_blocks_are_bounded_together_and_forgotten_when_their_urls_have_expired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Blocks(10)
    held.put("a", "1", b"12345")
    held.put("a", "1", b"123456")
    with pytest.raises(BlobError, match="may have at most 10 bytes together"):
        held.put("b", "1", b"12345")
    with pytest.raises(BlobError, match="block list is invalid"):
        held.joined("b", b"<BlockList><Latest>MQ==</Latest></BlockList>")

    monkeypatch.setattr(blobs, "time", lambda: time() + LIFETIME + 1)
    held.put("b", "MQ==", b"1234567890")

    assert b"1234567890" == held.joined("b", b"<BlockList><Latest>MQ==</Latest></BlockList>")


@given(content=st.binary(max_size=20), first=st.integers(0, 25), last=st.integers(0, 25))
def test_a_range_is_the_slice_that_it_names(content: bytes, first: int, last: int) -> None:
    if not content[first : last + 1]:
        with pytest.raises(BlobError, match="range specified is invalid"):
            part(content, f"bytes={first}-{last}")
        return

    status, sent, headers = part(content, f"bytes={first}-{last}")

    assert (206, content[first : last + 1]) == (status, sent)
    assert f"bytes {first}-{first + len(sent) - 1}/{len(content)}" == headers["Content-Range"]


# What is refused


def changed(url: str, **query: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{urlencode(dict(parse_qsl(parts.query)) | query)}"


@pytest.mark.parametrize("wanted", [f"bytes={'9' * 5000}-", "bytes=-1", "lines=1-2", "bytes=1-2,4-5"])
def test_a_range_of_another_form_is_passed_over(wanted: str) -> None:
    assert (200, b"content") == part(b"content", wanted)[:2]


def test_a_url_holds_for_one_file_one_use_and_one_hour(
    server: RunningServer, api: Api, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(api, of_run(run_id), "a.txt", b"secret")
    write(api, of_run(run_id), "b.txt", b"secret")
    url = api.get(f"{of_run(run_id)}/contentinfo", path="a.txt").json["contentUri"]
    parts = urlsplit(url)
    attempts = [
        parts.path,
        changed(url, sig="0" * 64),
        changed(url, sig="é"),
        changed(url, se="2999-01-01T00:00:00Z"),
        changed(url, sp="cw"),
        changed(url).replace("a.txt", "b.txt"),
        changed(SignedUrls().signed(f"{server.url}/mlquery.blob.core.windows.net/azureml", "x", "r")),
    ]

    refusals = [api.send("GET", path) for path in attempts] + [put(api, url, b"new")]

    assert {(403, "AuthenticationFailed")} == {(reply.status, reply.headers["x-ms-error-code"]) for reply in refusals}
    assert 200 == api.send("GET", f"{parts.path}?{parts.query}").status
    monkeypatch.setattr(blobs, "time", lambda: time() + LIFETIME + 1)
    assert 403 == api.send("GET", f"{parts.path}?{parts.query}").status


def test_a_server_with_a_token_asks_for_it_everywhere_but_at_signed_urls() -> None:
    bearer = {"Authorization": "Bearer s3cret"}
    with running_server(dialect="azure", security=Security(token="s3cret")) as server:
        run_id, api = server.client.create_run("0").info.run_id, Api(server.url)
        server.service.backend.log_artifact(run_id, "a.txt", b"content")
        path = f"{of_run(run_id)}/contentinfo?path=a.txt"
        without = api.send("GET", path)
        parts = urlsplit(api.send("GET", path, None, bearer).json["contentUri"])
        signed = api.send("GET", f"{parts.path}?{parts.query}")
        unsigned = [api.send("GET", parts.path), api.send("GET", parts.path, None, bearer)]
        listed = [api.send("GET", of_run(run_id)), api.post(f"{of_run(run_id)}/batch/metadata", {"paths": []})]
        identity = api.send("GET", "/mlquery/identity?resource=x", None, {"X-IDENTITY-HEADER": "mine"}).json
        api.close()

    assert (401, 200, b"content") == (without.status, signed.status, signed.content)
    assert [401, 403] == [reply.status for reply in unsigned]
    assert [401, 401] == [reply.status for reply in listed]
    assert "mine" == identity["access_token"]  # whoever asks gets back what it named, never the server's own


def test_other_hosts_and_pages_of_other_sites_are_refused_at_signed_urls_too(api: Api, run_id: str) -> None:
    write(api, of_run(run_id), "a.txt", b"content")
    parts = urlsplit(api.get(f"{of_run(run_id)}/contentinfo", path="a.txt").json["contentUri"])
    new = urlsplit(reserve(api, of_run(run_id), "b.txt")["artifactContentInformation"]["b.txt"]["contentUri"])

    elsewhere = api.send("GET", f"{parts.path}?{parts.query}", None, {"Host": "evil.example"})
    foreign = api.send("PUT", f"{new.path}?{new.query}", b"x", {"Origin": "https://evil.example"})

    assert (403, 403) == (elsewhere.status, foreign.status)


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "a/../../b", ""])
def test_paths_that_lead_elsewhere_are_not_written(api: Api, run_id: str, server: RunningServer, path: str) -> None:
    reply = api.post(f"{of_run(run_id)}/batch/metadata", {"paths": [{"path": path}]})
    if reply.status == 200 and (urls := reply.json["artifactContentInformation"]):
        parts = urlsplit(urls[path]["contentUri"])
        assert 400 == api.send("PUT", f"{quote(parts.path)}?{parts.query}", b"x").status

    assert {} == server.service.backend.download_artifacts(run_id)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "{none}", None, 404, "Run with id=none not found"),
        ("GET", "{run}/contentinfo?path=none", None, 404, "No such artifact|does not exist|Failed to download"),
        ("GET", "{run}/contentinfo?path=folder", None, 404, "does not exist"),
        ("POST", "{run}/batch/metadata", b'{"paths": "a"}', 400, "The request is invalid."),
        ("POST", "{run}/batch/metadata", b'{"paths": [{"path": 1}]}', 400, "The request is invalid."),
        ("POST", "{run}/batch/metadata", b'{"paths": [{"path": "\\ud800"}]}', 400, "The request is invalid."),
        ("POST", "{run}/batch/metadata", b"[]", 400, "The request is invalid."),
        ("POST", "{run}/batch/metadata", b"no", 400, "Bad Request. The body is not JSON."),
    ],
)
def test_errors_have_the_shape_of_the_run_history(
    api: Api, server: RunningServer, run_id: str, method: str, path: str, body: bytes | None, status: int, message: str
) -> None:
    server.service.backend.log_artifact(run_id, "folder/file", b"")

    reply = api.send(method, path.format(none=of_run("none"), run=of_run(run_id)), body, JSON)

    assert (status, "UserError") == (reply.status, reply.json["error"]["code"])
    assert re.search(message, reply.json["error"]["message"])
    assert {"error", "correlation", "environment", "location", "time", "componentName"} == reply.json.keys()


def test_more_than_a_hundred_files_are_not_reserved_at_once(api: Api, run_id: str) -> None:
    paths = [{"path": f"{number}.txt"} for number in range(101)]

    reply = api.post(f"{of_run(run_id)}/batch/metadata", {"paths": paths})

    assert (400, "Artifact batch size exceeded the limit of 100") == (reply.status, reply.json["error"]["message"])
    assert 200 == api.post(f"{of_run(run_id)}/batch/metadata", {"paths": paths[:100]}).status


def test_folders_are_as_deep_as_a_client_wants(api: Api, run_id: str) -> None:
    deep = "a/" * 3000 + "b"
    write(api, of_run(run_id), deep, b"content")

    assert [deep] == [file["path"] for file in api.get(of_run(run_id)).json["value"]]
    assert 404 == api.get(f"{of_run(run_id)}/contentinfo", path="a").status


def test_a_fault_on_demand_reaches_the_client(api: Api, server: RunningServer, run_id: str) -> None:
    server.store.fail_next("list_artifacts", StoreError("out of order", "BAD_REQUEST"))

    failed = api.get(of_run(run_id))

    assert (400, "out of order") == (failed.status, failed.json["error"]["message"])
    assert 200 == api.get(of_run(run_id)).status


def test_open_source_mlflow_has_no_such_paths() -> None:
    with running_server(dialect="oss") as server:
        api = Api(server.url)
        paths = (of_run("x"), "/mlquery.blob.core.windows.net/azureml/a", "/mlquery/identity")
        assert [404] * 3 == [api.send("GET", path).status for path in paths]
        api.close()


# Locations


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ("mlflow-artifacts:/e/r/artifacts", "azureml://h/w/experiments/e/runs/r/artifacts"),
        ("mlflow-artifacts:/e/r/artifacts/model/a", "azureml://h/w/experiments/e/runs/r/artifacts/model/a"),
        ("mlflow-artifacts:/LocalUpload/c/model", "azureml://artifacts/LocalUpload/c/model"),
        ("mlflow-artifacts:/LocalUpload/c/my%20model", "azureml://artifacts/LocalUpload/c/my model"),
    ],
)
def test_a_location_is_read_as_it_is_written(stored: str, written: str) -> None:
    locations = Locations("azureml://h/w")

    assert (written, stored) == (locations.written(stored), locations.read(written))
    assert (stored, None) == (Locations().written(stored), Locations().read(written))


@pytest.mark.parametrize("elsewhere", ["s3://bucket/model", "file:///mlruns/0/r/artifacts", "models:/m-1"])
def test_a_location_elsewhere_stays_as_it_is(elsewhere: str) -> None:
    locations = Locations("azureml://h/w")

    assert (elsewhere, None) == (locations.written(elsewhere), locations.read(elsewhere))


@pytest.mark.parametrize("version", ["v2.0", "v1.0"])
def test_over_https_runs_have_the_locations_of_the_service(version: str) -> None:
    with (
        made_for_session("127.0.0.1") as certificate,
        running_server(dialect="azure", certificate=certificate) as server,
    ):
        run_id = server.client.create_run("0").info.run_id
        experiment_id = server.client.get_run(run_id).info.experiment_id
        context = ssl.create_default_context(cafile=certificate.authority)
        found = []
        for prefix in (f"/mlflow/{version}{SCOPE}", ""):
            request = Request(f"{server.url}{prefix}/api/2.0/mlflow/runs/get?run_id={run_id}")
            with urlopen(request, context=context) as answer:
                found.append(json.load(answer)["run"]["info"]["artifact_uri"])

    host = server.url.removeprefix("https://")
    assert [
        f"azureml://{host}/mlflow/{version}{SCOPE}/experiments/{experiment_id}/runs/{run_id}/artifacts",
        f"mlflow-artifacts:/{experiment_id}/{run_id}/artifacts",
    ] == found
