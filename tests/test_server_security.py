"""Hostile requests over a real socket: right statuses, nothing leaks, and the server goes on serving."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlquery.server.security import Security
from mlquery.server.testing import RunningServer, running_server
from tests.support.http_calls import API, JSON, Api

TOKEN = "open sesame"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(security=Security(body_limit=10_000, artifact_limit=20_000, timeout=0.5)) as running:
        yield running


@pytest.fixture
def api(server: RunningServer) -> Iterator[Api]:
    api = Api(server.url)
    yield api
    api.close()


@pytest.fixture(scope="module")
def locked() -> Iterator[str]:
    with running_server(security=Security(token=TOKEN)) as running:
        yield running.url


def spoken(server: RunningServer, text: bytes, patience: float = 5.0) -> bytes:
    """Send bytes as they are and return all that comes back until the server closes."""
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=patience) as connection:
        connection.sendall(text)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def is_alive(server: RunningServer) -> bool:
    api = Api(server.url)
    try:
        return api.post("runs/search", {"experiment_ids": ["0"]}).status == 200
    finally:
        api.close()


def error_of(reply: Any) -> tuple[int, str]:
    assert {"error_code", "message"} <= reply.json.keys()
    return reply.status, reply.json["error_code"]


# --- bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{'a': 1}",
        b"\xff\xfe{\x00}",
        b"\x00",
        b"[]",
        b"5",
        b"true",
        b'"text"',
        b'"[1]"',
        b"[" * 9_000,
        b'{"a":' * 1_500,
        b'{"max_results": ' + b"9" * 5_000 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(server: RunningServer, api: Api, content: bytes) -> None:
    assert (400, "INVALID_PARAMETER_VALUE") == error_of(api.send("POST", "runs/search", content, JSON))
    assert is_alive(server)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: RunningServer, api: Api) -> None:
    assert (413, "BAD_REQUEST") == error_of(api.send("POST", "runs/search", b"{}" + b" " * 10_000, JSON))
    assert (413, "BAD_REQUEST") == error_of(
        api.send("PUT", "/api/2.0/mlflow-artifacts/artifacts/large.bin", b"0" * 20_001)
    )
    assert b"413" == spoken(server, request("POST", "runs/search", b"Content-Length: 99999999999"))[9:12]
    assert is_alive(server)


@pytest.mark.slow
def test_a_body_that_grows_too_large_in_chunks_is_refused(server: RunningServer) -> None:
    chunks = b"".join(b"1000\r\n" + b" " * 0x1000 + b"\r\n" for _ in range(4))

    answer = spoken(server, request("POST", "runs/search", b"Transfer-Encoding: chunked") + chunks)

    assert b"413" == answer[9:12]
    assert is_alive(server)


def request(method: str, path: str, *headers: bytes) -> bytes:
    lines = [f"{method} {API}{path} HTTP/1.1".encode(), b"Host: localhost", b"Content-Type: application/json"]
    return b"\r\n".join([*lines, *headers, b"", b""])


@pytest.mark.slow
def test_clients_that_are_slow_get_a_timeout_and_hold_up_no_one(server: RunningServer) -> None:
    parts = urlsplit(server.url)
    # One after the other they would take 25 s, five times as long as any of them waits for its answer.
    slow = [socket.create_connection((parts.hostname, parts.port), timeout=5) for _ in range(50)]
    for connection in slow:
        connection.sendall(request("POST", "runs/search", b"Content-Length: 100") + b"{")

    assert is_alive(server)
    for connection in slow:
        assert b"408" == connection.recv(65536)[9:12]
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("beginning", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_headers_that_never_end_time_out_as_bodies_do(server: RunningServer, beginning: bytes) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        connection.sendall(beginning)
        start = time.monotonic()
        answer = b""
        with suppress(ConnectionError):
            while True:
                connection.settimeout(0.1)
                try:
                    chunk = connection.recv(65536)
                except TimeoutError:
                    assert time.monotonic() - start < 4
                    connection.sendall(b"y" if beginning else b"")
                    continue
                if not chunk:
                    break
                answer += chunk

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"BAD_REQUEST" in answer


@pytest.mark.slow
def test_headers_of_a_later_request_time_out_too(server: RunningServer) -> None:
    whole = request("GET", "experiments/get?experiment_id=0")

    answer = spoken(server, whole + b"GET /health HTTP/1.1\r\n", patience=8)

    assert answer.startswith(b"HTTP/1.1 200")
    assert is_alive(server)


@pytest.mark.slow
def test_a_body_that_trickles_in_is_not_waited_for_longer_than_one_that_does_not_come(server: RunningServer) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        connection.sendall(request("POST", "runs/search", b"Content-Length: 5000"))
        connection.settimeout(0.1)
        for _ in range(40):
            connection.sendall(b" ")
            try:
                answer = connection.recv(65536)
                break
            except TimeoutError:
                continue

    assert b"408" == answer[9:12]


def test_a_client_that_sends_on_sees_why_it_is_refused(server: RunningServer) -> None:
    """It sends all before it reads, as most clients do: much more than fits between it and the server."""
    parts = urlsplit(server.url)
    for headers, status in (((b"Content-Length: 30000000",), b"413"), ((b"Transfer-Encoding: chunked",), b"413")):
        body = b" " * 30_000_000 if status else b""
        if b"chunked" in headers[0]:
            body = (b"100000\r\n" + b" " * 0x100000 + b"\r\n") * 28 + b"0\r\n\r\n"
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall(request("POST", "runs/search", *headers) + body)
            answer = connection.recv(65536)

        assert status == answer[9:12]
        assert b"at most 10000 bytes" in answer


def test_a_client_that_is_not_admitted_sees_why_although_it_sends_on(locked: str) -> None:
    parts = urlsplit(locked)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(request("POST", "runs/search", b"Content-Length: 30000000") + b" " * 30_000_000)

        assert b"401" == connection.recv(65536)[9:12]


def test_a_request_with_both_a_length_and_a_transfer_encoding_is_refused(server: RunningServer) -> None:
    both = (b"Content-Length: 2", b"Transfer-Encoding: chunked")

    answer = spoken(server, request("POST", "runs/search", *both) + b"2\r\n{}\r\n0\r\n\r\nGET /health HTTP/1.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"either Content-Length or Transfer-Encoding" in answer
    assert 1 == answer.count(b"HTTP/1.1")
    assert is_alive(server)


def test_a_client_that_goes_away_in_the_middle_is_forgotten(server: RunningServer) -> None:
    parts = urlsplit(server.url)
    for text in (b"POST", request("POST", "runs/search", b"Content-Length: 100"), request("POST", "runs/search")):
        with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
            connection.sendall(text)

    assert is_alive(server)


@pytest.mark.parametrize(
    "text",
    [
        b"\r\n\r\n\r\n",
        b"GET / HTTP/x.y\r\n\r\n",
        b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: five\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_with_400_or_not_at_all(server: RunningServer, text: bytes) -> None:
    try:
        answer = spoken(server, text)
    except ConnectionError:
        answer = b""

    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert is_alive(server)


def test_what_goes_wrong_inside_is_not_told_outside(
    server: RunningServer, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(server.service.backend, "list_artifacts", broken)
    reply = api.get("artifacts/list", run_id="a")

    assert (500, "INTERNAL_ERROR") == error_of(reply)
    assert b"secret" not in reply.content
    assert "the secret of the house" in caplog.text
    assert is_alive(server)


# --- paths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("../x", "..%2Fx", "%2e%2e/x", "a/../../x", "a/..%2f..%2fx", "%252e%252e%252fx", "%2Fetc/passwd"),
        *("C:%5Cx", "a%23b", "..%5Cx", "a%5C..%5C..%5Cx", "file:%2F%2F%2Fetc", f"%{'25' * 12}2e./x"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_path_that_leads_elsewhere_is_refused(server: RunningServer, api: Api, method: str, path: str) -> None:
    reply = api.send(method, f"/api/2.0/mlflow-artifacts/artifacts/{path}", b"x")

    assert (400, "INVALID_PARAMETER_VALUE") == error_of(reply)
    assert [] == server.store.artifacts.list("")


def test_an_artifact_is_never_shown_in_the_browser_and_its_name_breaks_no_header(api: Api) -> None:
    name = "a%22;%20filename=%5C%22%C3%BC%01.html"
    api.send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{name}", b"<script>")

    reply = api.send("GET", f"/api/2.0/mlflow-artifacts/artifacts/{name}")
    api.send("DELETE", f"/api/2.0/mlflow-artifacts/artifacts/{name}")

    assert (200, b"<script>") == (reply.status, reply.content)
    assert reply.headers["content-disposition"].startswith("attachment")
    assert "nosniff" == reply.headers["x-content-type-options"]
    assert (
        'attachment; filename="a_; filename=__%01.html"'
        == reply.headers["content-disposition"].partition("; filename*")[0]
    )


def test_a_line_break_in_a_path_breaks_no_header(api: Api) -> None:
    reply = api.send("GET", "/api/2.0/mlflow-artifacts/artifacts/a%0D%0ASet-Cookie:%20x")

    assert (404, "ENDPOINT_NOT_FOUND") == error_of(reply)
    assert "set-cookie" not in reply.headers


def test_an_endpoint_that_is_not_there_is_a_json_404_and_a_wrong_method_a_405(api: Api) -> None:
    assert (404, "ENDPOINT_NOT_FOUND") == error_of(api.get("runs/none"))
    assert (404, "ENDPOINT_NOT_FOUND") == error_of(api.get("/etc/passwd"))
    assert (405, "BAD_REQUEST") == error_of(api.get("runs/create"))
    assert "POST" == api.get("runs/create").headers["allow"]
    assert (405, "BAD_REQUEST") == error_of(api.send("DELETE", "/health"))


# --- who may ask ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer open", f"Bearer {TOKEN}x"])
def test_without_the_token_nothing_is_told(locked: str, header: str | None) -> None:
    api = Api(locked)
    headers = {} if header is None else {"Authorization": header}

    replies = [
        api.send("GET", "experiments/search?max_results=1", None, headers),
        api.send("PUT", "/api/2.0/mlflow-artifacts/artifacts/a", b"x", headers),
        api.send("POST", "/mlquery/reset", None, headers),
        api.send("GET", "/no/such/path", None, headers),
    ]
    api.close()

    assert {(401, "UNAUTHENTICATED")} == {error_of(reply) for reply in replies}
    assert {"Bearer"} == {reply.headers["www-authenticate"] for reply in replies}
    assert not any(TOKEN.encode() in reply.content for reply in replies)


def test_with_the_token_everything_works_and_health_needs_none(locked: str) -> None:
    api = Api(locked)

    answered = api.send("GET", "experiments/search?max_results=1", None, {"Authorization": f"Bearer {TOKEN}"})
    health = api.get("/health")
    api.close()

    assert (200, 200, b"OK") == (answered.status, health.status, health.content)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:5000", "", "[::1"),
        *(
            "[::1].evil.com",
            "localhost:5810:evil.com",
            "[::1]:80:evil.com",
            "[::1]evil.com",
            "localhost:",
            "localhost:x",
        ),
        *(
            "evil.com#@localhost",
            "localhost/evil.com",
            "user@localhost",
            "localhost evil.com",
            "::1",
            "localhost:123456",
        ),
    ],
)
def test_a_server_on_the_loopback_answers_to_no_other_name(api: Api, host: str) -> None:
    assert (403, "PERMISSION_DENIED") == error_of(api.send("GET", "experiments/search", None, {"Host": host}))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:5000", "127.8.8.8"])
def test_a_server_on_the_loopback_answers_to_every_name_of_the_loopback(api: Api, host: str) -> None:
    assert 200 == api.send("GET", "experiments/search?max_results=1", None, {"Host": host}).status


ORIGINS = [
    "https://evil.example",
    "http://localhost:3000",
    "http://127.0.0.1:1",
    "null",
    "http://[::1].evil.com",
    "",
    "x",
]


@pytest.mark.parametrize("origin", [*ORIGINS, "http://localhost", "http://localhost:{port}.evil.com"])
def test_a_page_of_another_origin_changes_nothing_also_from_another_port(
    api: Api, server: RunningServer, origin: str
) -> None:
    evil = {**JSON, "Origin": origin.format(port=urlsplit(server.url).port)}

    assert (403, "PERMISSION_DENIED") == error_of(api.send("POST", "experiments/create", b'{"name": "x"}', evil))
    assert (403, "PERMISSION_DENIED") == error_of(api.send("POST", "/mlquery/reset", b"", evil))
    assert 404 == api.get("experiments/get-by-name", experiment_name="x").status


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST", "[::1]"])
def test_a_page_of_the_server_changes_what_it_wants_by_any_name_of_the_loopback(
    api: Api, server: RunningServer, host: str
) -> None:
    own = {**JSON, "Origin": f"http://{host}:{urlsplit(server.url).port}"}

    assert 200 == api.send("POST", "experiments/search", b'{"max_results": 1}', own).status


def test_pages_of_an_origin_that_is_allowed_may_read_and_write_and_others_not() -> None:
    allowed, other = "http://localhost:3000", "http://localhost:3001"
    with running_server(security=Security(origins=frozenset({allowed}))) as server:
        api = Api(server.url)
        asked = {"Origin": allowed, "Access-Control-Request-Method": "POST"}
        preflight = api.send("OPTIONS", "experiments/search", None, asked | {"Access-Control-Request-Headers": "x-a"})
        written = api.send("POST", "experiments/search", b'{"max_results": 1}', {**JSON, "Origin": allowed})
        refused = api.send("POST", "experiments/search", b'{"max_results": 1}', {**JSON, "Origin": other})
        api.close()

    assert (200, allowed) == (preflight.status, preflight.headers["access-control-allow-origin"])
    assert (200, allowed) == (written.status, written.headers["access-control-allow-origin"])
    assert (403, "PERMISSION_DENIED") == error_of(refused)
    assert "access-control-allow-origin" not in refused.headers


def test_beyond_the_loopback_a_page_writes_only_if_its_origin_is_allowed() -> None:
    allowed = "http://ml.example:5000"
    origins = (allowed, "http://ml.example", "http://localhost:5000")

    def statuses(security: Security) -> list[int]:
        with running_server(security=security) as server:
            api = Api(server.url)
            headers = {**JSON, "Host": "ml.example:5000"}
            replies = [
                api.send("POST", "experiments/search", b'{"max_results": 1}', headers | {"Origin": origin})
                for origin in origins
            ]
            api.close()
        return [reply.status for reply in replies]

    assert [403, 403, 403] == statuses(Security(is_loopback=False))
    assert [200, 403, 403] == statuses(Security(is_loopback=False, origins=frozenset({allowed})))


# --- reset ----------------------------------------------------------------------------------------------------------


def test_a_reset_goes_back_to_the_beginning(server: RunningServer, api: Api) -> None:
    api.post("experiments/create", {"name": "before"})

    assert (200, {}) == (api.send("POST", "/mlquery/reset").status, api.send("POST", "/mlquery/reset").json)
    assert 404 == api.get("experiments/get-by-name", experiment_name="before").status
    assert "1" == api.post("experiments/create", {"name": "after"}).json["experiment_id"]


def test_there_is_no_reset_beyond_the_loopback() -> None:
    with running_server(security=Security(is_loopback=False)) as server:
        api = Api(server.url)
        reset = api.send("POST", "/mlquery/reset")
        by_name = api.send("GET", "experiments/search?max_results=1", None, {"Host": "ml.example"})
        api.close()

    assert (404, "ENDPOINT_NOT_FOUND") == error_of(reset)
    assert 200 == by_name.status


def test_an_answer_names_no_path_of_this_machine_and_no_package(api: Api) -> None:
    reply = api.get("/health")

    assert reply.headers["server"].startswith("mlquery/")
    assert "uvicorn" not in json.dumps(reply.headers)
