"""The reader of requests beside protobuf's own, on MLflow's messages: the same fields, read just as far."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.protos.model_registry_pb2 import ModelRegistryService
from mlflow.protos.service_pb2 import MlflowService
from mlflow.utils.rest_utils import extract_all_api_info_for_service

from mlquery.errors import StoreError
from mlquery.server.endpoints import Endpoint
from mlquery.server.proto_json import Fields, Message
from mlquery.server.routes import ENDPOINTS
from mlquery.server.testing import running_server
from tests.support.http_calls import Api

# Not in MLflow's description of its API: one of MLflow 1, one that is read without a message; webhooks have no fields.
WITHOUT_MESSAGE = {"experiments/list", "metrics/get-history-bulk"}
PARTS_OF_PATH = {"model_id", "allow_deleted"}

THEIRS = {
    (method, path.removeprefix("/api/2.0").removeprefix("/").removeprefix("mlflow/")): message
    for service in (MlflowService, ModelRegistryService)
    for message, endpoints in extract_all_api_info_for_service(service, "/api/2.0").items()
    for path, method in endpoints
}


def message_of(endpoint: Endpoint) -> Any:
    return THEIRS[endpoint.method, endpoint.path]


WITH_MESSAGE = [
    endpoint
    for endpoint in ENDPOINTS
    if endpoint.path not in WITHOUT_MESSAGE and not endpoint.path.startswith("webhooks")
]
KINDS = {
    FieldDescriptor.TYPE_STRING: "",
    FieldDescriptor.TYPE_INT32: 0,
    FieldDescriptor.TYPE_INT64: 0,
    FieldDescriptor.TYPE_DOUBLE: 0.0,
    FieldDescriptor.TYPE_BOOL: False,
}


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


@pytest.mark.parametrize("endpoint", WITH_MESSAGE, ids=name_of)
def test_an_endpoint_has_the_fields_of_mlflows_message(endpoint: Endpoint) -> None:
    assert_same_fields(message_of(endpoint).DESCRIPTOR, endpoint.message)


def assert_same_fields(theirs: Descriptor, ours: Message) -> None:
    names = set(theirs.fields_by_name)
    assert names == set(ours.fields_by_name) - (PARTS_OF_PATH - names)
    for name, field in theirs.fields_by_name.items():
        mine = ours.fields_by_name[name]
        assert (name, field.is_repeated) == (name, mine.is_list)
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            assert mine.message is not None
            assert_same_fields(field.message_type, mine.message)
        elif field.type == FieldDescriptor.TYPE_ENUM:
            numbers = {value.name: value.number for value in field.enum_type.values}
            assert numbers == {value: mine.read(value) for value in numbers}
        elif not field.is_repeated:
            expected = field.default_value if field.has_default_value else KINDS[field.type]
            assert (name, expected, type(expected)) == (name, mine.default, type(mine.default))


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.integers(-3, 60_000),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        ["NaN", "Infinity", "-Infinity", "nan", "5", " 5", "5.0", "1e3", "0x1", "1_0", "ALL", "FINISHED", "\ud800"]
    ),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


def bodies(theirs: Descriptor, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    """Draw JSON objects most of whose fields fit the message."""
    fields = {
        field.json_name if index % 3 == 2 else field.name: fitting(field, depth)
        for index, field in enumerate(theirs.fields)
    }
    return st.fixed_dictionaries({}, optional={**fields, "unknown": values})


def fitting(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    one: st.SearchStrategy[Any]
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        one = bodies(field.message_type, depth + 1)
    elif field.type == FieldDescriptor.TYPE_STRING:
        one = st.text(max_size=5)
    elif field.type == FieldDescriptor.TYPE_ENUM:
        one = st.one_of(st.sampled_from([value.name for value in field.enum_type.values]), st.integers(-1, 6))
    else:
        one = scalars
    return (st.lists(one, max_size=3) if field.is_repeated else one) | values


def plain(value: Any) -> Any:
    """Return what was read as dictionaries and lists; NaN as a string, because it equals nothing."""
    if isinstance(value, Fields):
        return {name: plain(each) for name, each in value.items() if each != []}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return repr(value) if isinstance(value, float) and math.isnan(value) else value


def plain_message(message: Any) -> Any:
    found = {}
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            found[field.name] = [plain_message(one) for one in value] if field.is_repeated else plain_message(value)
        else:
            found[field.name] = plain(list(value) if field.is_repeated else value)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", WITH_MESSAGE, ids=name_of)
@settings(max_examples=40)
@given(drawn=st.data())
def test_a_request_is_read_as_far_as_protobuf_reads_it(endpoint: Endpoint, drawn: st.DataObject) -> None:
    message = message_of(endpoint)()
    body = drawn.draw(bodies(message.DESCRIPTOR))
    try:
        ParseDict(body, message, ignore_unknown_fields=True)
        expected = True
    except (ParseError, OverflowError, SystemError):  # the last two it lets out by mistake
        expected = False

    read, fits = endpoint.message.read(body)

    assert (expected, plain_message(message)) == (fits, plain(read))


def test_a_field_that_is_spelled_both_ways_is_refused_with_mlflows_words() -> None:
    message = next(endpoint.message for endpoint in ENDPOINTS if endpoint.path == "runs/get")

    with pytest.raises(StoreError, match=r"^Request specifies both 'run_id' and 'runId'; provide only one of them\.$"):
        message.read({"run_id": "a", "runId": "b"})


def test_a_file_of_a_logged_model_is_sent_below_both_prefixes() -> None:
    with running_server() as server:
        model = server.store.create_logged_model("0").model_id
        server.service.backend.log_artifact(model, "a/b.txt", b"text")
        api = Api(server.url)
        path = f"mlflow/logged-models/{model}/artifacts/files?artifact_file_path=a/b.txt"
        sent = [api.get(f"/{prefix}/2.0/{path}").content for prefix in ("api", "ajax-api")]
        api.close()

    assert [b"text"] * 2 == sent
