"""Random requests on all routes, in random order, on one store: never a status of 500, always JSON, always JSON errors.

`python tests/test_server_fuzz.py 180` goes on for that many seconds, with new examples.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from mlquery.server.app import create_app
from mlquery.server.endpoints import Endpoint
from mlquery.server.proto_json import Field, Message
from mlquery.server.routes import endpoint_table
from mlquery.server.service import new_service

pytestmark = pytest.mark.slow

PREFIXES = ("/api/2.0",)
DIALECTS = ("oss", "azure", "extended")
TABLES = {dialect: endpoint_table(PREFIXES, new_service(dialect=dialect)) for dialect in DIALECTS}
OTHER_PATHS = [
    *("/", "/health", "/version", "/get-artifact", "/mlquery/reset", "/api/3.0/mlflow/server-info"),
    *(f"/mlquery/page/{name}" for name in ("about", "runs", "values", "run", "compare", "curves", "models", "none")),
    *("/mlquery/assets/app.css", "/mlquery/assets/none"),
    *("/api/2.0/mlflow-artifacts/artifacts/a", "/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/b"),
    *("/api/2.0/mlflow-artifacts/mpu/create/a", "/api/2.0/mlflow-artifacts/presigned/a", "/api/2.0/mlflow/traces"),
    *("/ajax-api/2.0/mlflow/upload-artifact", "/ajax-api/2.0/mlflow/logged-models/model/artifacts/files", "//health"),
]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]

# "run", "experiment" and "model" stand for ids that exist.
known = st.sampled_from(["run", "other run", "experiment", "0", "model", "none", ""])
words = st.sampled_from(
    [
        *("metrics.m > 0.5", "params.k = 'v'", "tags.t LIKE '%'", "start_time > 5", "name = 'a'", "m", "k", "t"),
        *(
            "metrics.m DESC",
            "start_time",
            "FINISHED",
            "NaN",
            "Infinity",
            "5",
            "../x",
            "a/b",
            "mlflow.runName",
            "a" * 300,
        ),
    ]
)
texts = known | words | st.text(max_size=8)
numbers = st.integers(-2, 3) | st.sampled_from([2**31, 2**63 - 1, 2**63, -(2**63), 10**30, 50_001]) | st.floats()
junk = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)

# Bodies and query strings that are hardly text.
BODIES = [
    *(
        b"",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 5_000,
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"\0",
        b"NaN",
        b"1e999",
        b"'name'",
    ),
    *(b'{"run_id":"\\ud800"}', b'{"filter":"\\u0000"}', b'{"max_results":1e400}', b"9" * 5_000, b"'name'"),
    *(b'{"max_results":' + b"9" * 5_000 + b"}", b'{"name":"a"}{}', b'{"name":"a","name":"b"}', b'{"name":"a",}'),
]
QUERIES = [
    *(b"%", b"%ff=%fe", b"run_id=%00", b"run_id=%ed%a0%80", b"a=1&a=2&a", b"=", b"&&;;", b"\xff=\xfe", b"a[]=1"),
    *(b"max_results=1e9", b"max_results=0x10", b"max_results=%D9%A3", b"run_id=" + b"x" * 70_000, b"a&" * 5_000),
]


def fitting(field: Field) -> st.SearchStrategy[Any]:
    """Draw values that are right for a field, or nearly."""
    one: st.SearchStrategy[Any]
    if field.message is not None:
        one = body_of(field.message)
    elif "id" in field.name.split("_") or "ids" in field.name.split("_"):
        one = known
    elif isinstance(field.default, bool):
        one = st.booleans()
    elif isinstance(field.default, int):
        one = st.integers(1, 3) | st.sampled_from([0, -1, "5", 10**12, 2**63 - 1])
    elif isinstance(field.default, float):
        one = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["NaN", "-Infinity", 1])
    else:
        one = texts
    return st.lists(one, max_size=3) if field.is_list else one


def body_of(message: Message) -> st.SearchStrategy[Any]:
    """Draw objects that are right for a message, some with one field left out or exchanged."""
    fields = {field.name: fitting(field) for field in message.fields_by_name.values()} or {"unknown": junk}
    right = st.fixed_dictionaries(fields)
    names = st.sampled_from(sorted(fields))
    spoiled = st.builds(lambda body, name, value: body | {name: value}, right, names, junk)
    shorter = st.builds(lambda body, some: {k: v for k, v in body.items() if k not in some}, right, st.sets(names))
    return right | shorter | spoiled


def requests_to(dialect: str) -> st.SearchStrategy[Any]:
    endpoints = [(path, endpoint) for path, methods in TABLES[dialect].items() for endpoint in methods.values()]
    right = st.sampled_from(endpoints).flatmap(lambda pair: right_request(*pair))
    wrong = st.tuples(
        st.sampled_from(METHODS),
        st.sampled_from([*OTHER_PATHS, *(path for path, _ in endpoints)])
        | st.text(max_size=8).map(lambda text: f"/{text}"),
        junk | st.binary(max_size=8),
        st.sampled_from(["application/json", "text/plain", "", "application/json; charset=\xff"]),
    )
    return right | right | right | wrong


def right_request(path: str, endpoint: Endpoint) -> st.SearchStrategy[Any]:
    return st.tuples(
        st.just(endpoint.method), st.just(path), body_of(endpoint.message) | junk, st.just("application/json")
    )


def with_ids(value: Any, ids: dict[str, str]) -> Any:
    """Return a value with real ids in the place of their names."""
    if isinstance(value, dict):
        return {key: with_ids(each, ids) for key, each in value.items()}
    if isinstance(value, list):
        return [with_ids(each, ids) for each in value]
    return ids.get(value, value) if isinstance(value, str) else value


class Caller:
    """Calls the application without a socket."""

    def __init__(self, dialect: str) -> None:
        service = new_service(dialect=dialect)
        store = service.store
        self.app: Starlette = create_app(service)
        experiment = store.create_experiment("a")
        self.ids = {
            "experiment": experiment,
            "run": store.create_run(experiment, "u", 1, [], None).info.run_id,
            "other run": store.create_run(experiment, "u", 2, [], None).info.run_id,
            "model": store.create_logged_model(experiment).model_id,
        }

    async def send(self, method: str, path: str, value: Any, content_type: str) -> tuple[int, dict[str, str], bytes]:
        value = with_ids(value, self.ids)
        path = (
            path.replace("{model_id}", self.ids["model"])
            .replace("{tag_key}", "t")
            .replace("/run/", f"/{self.ids['run']}/")
        )
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        query = b""
        if method == "GET" and isinstance(value, dict):
            query = urlencode(value, doseq=True, errors="surrogatepass").encode()
        elif method == "GET" and isinstance(value, bytes):
            query = value
        headers = [(b"host", b"localhost"), (b"content-type", content_type.encode("latin-1"))]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": quote(path, errors="surrogatepass").encode(),
            "root_path": "",
            "query_string": query,
            "headers": headers,
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 5),
            "scheme": "http",
            "http_version": "1.1",
        }
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start, *rest = sent
        answer = {key.decode(): text.decode("latin-1") for key, text in start["headers"]}
        return start["status"], answer, b"".join(part.get("body", b"") for part in rest)


def assert_well_answered(request: Any, status: int, headers: dict[str, str], content: bytes) -> None:
    assert status < 500 or status == 501, (request, content)
    if "application/json" in headers.get("content-type", ""):
        body = json.loads(content or "{}", parse_constant=no_constant)
        assert status < 400 or {"error_code", "message"} <= body.keys() or {"Error", "error_code"} <= body.keys()
    else:
        assert status == 200 or content == b"" or (status == 404 and b"; instead: " in content)


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


async def all_answered(dialect: str, requests: list[Any]) -> None:
    caller = Caller(dialect)
    for request in requests:
        assert_well_answered(request, *await caller.send(*request))


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=150, deadline=None)
@given(drawn=st.data())
def test_whatever_is_asked_is_answered(dialect: str, drawn: st.DataObject) -> None:
    asyncio.run(all_answered(dialect, drawn.draw(st.lists(requests_to(dialect), min_size=1, max_size=12))))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_bodies_and_queries_that_are_hardly_text_are_answered(dialect: str) -> None:
    requests = [
        (endpoint.method, path, raw, "application/json")
        for path, methods in TABLES[dialect].items()
        for endpoint in methods.values()
        for raw in (*BODIES, *QUERIES)
    ]
    some = (*BODIES[:6], *QUERIES)
    requests += [(method, path, raw, "text/plain") for path in OTHER_PATHS for method in METHODS for raw in some]

    asyncio.run(all_answered(dialect, requests))


if __name__ == "__main__":
    end, rounds = time.monotonic() + float(sys.argv[1]), 0
    while time.monotonic() < end:
        for dialect in DIALECTS:
            test_whatever_is_asked_is_answered(dialect)
        rounds += 1
    print(f"{rounds} rounds of {150 * len(DIALECTS)} sequences, no status of 500")
