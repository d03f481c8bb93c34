"""The tracking store plugin: what its URIs mean, what its answers are made of, how it refuses, and how fast it is."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, ExperimentTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.store.tracking.rest_store import RestStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils import name_utils

import mlquery
from mlquery import QueryError, QueryWarning, Store, StoreError
from mlquery.mlflow_plugin import register, uris
from mlquery.mlflow_plugin.tracking import _INHERITED, REFUSED, TrackingStore

REPOSITORY = Path(__file__).resolve().parents[1]
NOTHING: Any = None


@pytest.fixture(scope="module", autouse=True)
def schemes() -> None:
    register()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Begin and end without named stores."""
    uris.reset()
    yield
    uris.reset()


@pytest.fixture
def client() -> MlflowClient:
    return MlflowClient("mlquery://")


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    """Return a client of MLflow's own database."""
    return MlflowClient(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")


@pytest.fixture
def azure() -> MlflowClient:
    return MlflowClient("mlquery://?dialect=azure")


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    run_id: str = client.create_run("0").info.run_id
    return run_id


# --- URIs -------------------------------------------------------------------------------------------------------------


def test_a_name_is_shared_in_the_process_and_other_names_are_not() -> None:
    MlflowClient("mlquery://team").create_experiment("e")

    assert MlflowClient("mlquery://team").get_experiment_by_name("e") is not None
    assert MlflowClient("mlquery://other").get_experiment_by_name("e") is None
    assert MlflowClient("mlquery://").get_experiment_by_name("e") is None


@pytest.mark.parametrize("dialect", ["oss", "azure"])
def test_the_store_names_its_default_experiment_as_mlflows_stores_do(dialect: str) -> None:
    store = TrackingStore(f"mlquery://team?dialect={dialect}")  # type: ignore[abstract]

    assert "Default" == store.get_experiment(store.DEFAULT_EXPERIMENT_ID).name
    assert store.DEFAULT_EXPERIMENT_ID == SqlAlchemyStore.DEFAULT_EXPERIMENT_ID


def test_a_uri_without_a_dialect_takes_the_store_that_is_there() -> None:
    MlflowClient("mlquery://team?dialect=azure").create_experiment("e")

    assert MlflowClient("mlquery://team").get_experiment_by_name("e") is not None


def test_a_name_has_one_dialect() -> None:
    MlflowClient("mlquery://team").search_experiments()

    with pytest.raises(MlflowException, match="answers in dialect 'oss', not 'azure'"):
        MlflowClient("mlquery://team?dialect=azure").search_experiments()


@pytest.mark.parametrize("uri", ["mlquery://a?dialect=bigtable", "mlquery://a?color=red", "mlquery://private-0"])
def test_a_uri_that_means_nothing_is_refused_when_a_client_is_made(uri: str) -> None:
    with pytest.raises(MlflowException):
        MlflowClient(uri)


def test_the_private_store_can_be_replaced_under_a_client_and_put_back(client: MlflowClient) -> None:
    client.create_experiment("mine")
    other = uris.new_backend()

    before = uris.put_private(other)
    client.create_experiment("other")

    assert other.store.get_experiment_by_name("other") is not None
    assert client.get_experiment_by_name("mine") is None
    assert uris.put_private(before) is other
    assert client.get_experiment_by_name("mine") is not None


def test_a_store_under_a_private_uri_is_gone_when_it_is_forgotten() -> None:
    uri = uris.new_private(uris.new_backend("azure", Store(guid_ids=True)))
    other = MlflowClient(uri)
    other.create_experiment("e")

    uris.forget(uri)

    with pytest.raises(MlflowException, match="is gone"):
        other.get_experiment_by_name("e")


def test_a_clone_of_a_backend_is_independent() -> None:
    backend = uris.new_backend("azure")
    backend.create_experiment("before")
    backend.create_registered_model("both")

    clone = backend.clone()
    clone.create_experiment("after")
    clone.create_registered_model("clone")

    assert "azure" == clone.dialect.name
    assert clone.get_experiment_by_name("before") is not None
    assert backend.get_experiment_by_name("after") is None
    assert ["both"] == list(backend.registry._entries)
    assert ["both", "clone"] == list(mlquery.Client(clone.store).backend.registry._entries)


@pytest.mark.slow
def test_mlflow_finds_the_plugins_by_their_entry_points(tmp_path: Path) -> None:
    points = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]
    groups = {name: entries for name, entries in points.items() if name.startswith("mlflow.")}
    about = tmp_path / "mlquery_here-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mlquery-here\nVersion: 0\n")
    text = [f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in entries.items()) for group, entries in groups.items()]
    (about / "entry_points.txt").write_text("\n".join(text))
    code = (
        "import sys, mlflow; loaded = 'mlquery.store' in sys.modules; mlflow.set_tracking_uri('mlquery://x');"
        "run = mlflow.start_run(); mlflow.log_text('a', 'b.txt'); mlflow.end_run();"
        "print(loaded, mlflow.get_run(run.info.run_id).info.status,"
        " mlflow.artifacts.load_text(run.info.artifact_uri + '/b.txt'));"
        "import mlflow.tracking.request_header.registry; from mlflow.utils.rest_utils import verify_rest_response;"
        "print(verify_rest_response.raises_server_warnings)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(REPOSITORY)])}
    env.pop("MLFLOW_TRACKING_URI", None)

    shown = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout

    assert "False FINISHED a\nTrue\n" == shown
    names = ("tracking_store", "model_registry_store", "artifact_repository", "request_header_provider")
    assert {f"mlflow.{name}" for name in names} == set(groups)


# --- answers ----------------------------------------------------------------------------------------------------------


def full_run(client: MlflowClient) -> str:
    """Create a run with something of everything and return its id."""
    experiment = client.create_experiment("full", tags={"team": "x"}, artifact_location="s3://bucket/place")
    run_id: str = client.create_run(experiment, 5, {"t": "u"}, "named").info.run_id
    model = client.create_logged_model(experiment, "model", run_id, {"a": "b"}, {"c": "d"}, "agent")
    client.log_batch(run_id, [Metric("m", 0.5, 7, 3), Metric("m", 0.25, 6, 2)], [Param("p", "1")], [RunTag("x", "y")])
    client.log_metric(run_id, "quality", 0.75, 8, 1, model_id=model.model_id)
    client.log_inputs(run_id, [DatasetInput(Dataset("d", "1", "local", "{}"), [])])
    client.set_terminated(run_id, "FAILED", 99)
    return run_id


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.xdist_group("plugin store")
def test_answers_are_mlflows_entities_in_all_that_can_be_done_with_them(
    sqlite: MlflowClient, client: MlflowClient
) -> None:
    expected_id, run_id = full_run(sqlite), full_run(client)
    expected, run = sqlite.get_run(expected_id), client.get_run(run_id)

    def shown(value: Any) -> str:
        return str(value).replace(expected_id, "ID").replace(run_id, "ID")

    assert type(expected) is type(run)
    assert shown(expected) == shown(run)
    assert shown(expected.to_dictionary()) == shown(run.to_dictionary())
    assert sorted(shown(expected.to_proto()).split("\n")) == sorted(shown(run.to_proto()).split("\n"))
    assert shown(run) == shown(pickle.loads(pickle.dumps(run)))
    found = client.search_runs([run.info.experiment_id])[0]
    assert sorted(shown(run.to_proto()).split("\n")) == sorted(shown(found.to_proto()).split("\n"))
    history = client.get_metric_history(run_id, "m")
    assert sqlite.get_metric_history(expected_id, "m") == history
    named = sqlite.get_experiment_by_name("full"), client.get_experiment_by_name("full")
    expected_fields, fields = (dict(found) | {"creation_time": 0, "last_update_time": 0} for found in named if found)
    assert expected_fields == fields


def test_names_come_from_mlflows_own_generator(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow.utils.name_utils._generate_random_name", lambda: "silent-name-1")

    assert client.create_run("0").info.run_name == "silent-name-1"
    assert client.create_logged_model("0").name == "silent-name-1"
    assert client.create_run("0", run_name="mine").info.run_name == "mine"
    assert client.create_run("0", tags={"mlflow.runName": "tagged"}).info.run_name == "tagged"


def test_names_are_words_that_mlflow_knows(client: MlflowClient) -> None:
    predicate, noun, number = str(client.create_run("0").info.run_name).split("-")

    assert predicate in name_utils._GENERATOR_PREDICATES
    assert noun in name_utils._GENERATOR_NOUNS
    assert 0 <= int(number) <= 1000


def test_names_of_a_store_with_a_seed_repeat() -> None:
    names = []
    for _ in range(2):
        uri = uris.new_private(uris.new_backend(store=Store(seed=7)))
        client = MlflowClient(uri)
        names.append((client.create_run("0").info.run_name, client.create_logged_model("0").name))
        uris.forget(uri)

    assert names[0] == names[1]


def test_an_answer_is_a_snapshot(client: MlflowClient, run_id: str) -> None:
    client.log_metric(run_id, "m", 1.0, timestamp=5, step=1)
    found = client.search_runs(["0"])

    client.log_metric(run_id, "m", 2.0, timestamp=6, step=2)

    assert {"m": 1.0} == found[0].data.metrics
    assert [(1.0, 5, 1)] == [(m.value, m.timestamp, m.step) for m in found[0].data._metric_objs]


def test_what_is_logged_asynchronously_is_there_when_the_call_returns(client: MlflowClient, run_id: str) -> None:
    operations = [
        client.log_metric(run_id, "m", 1.0, synchronous=False),
        client.log_param(run_id, "p", 1, synchronous=False),
        client.set_tag(run_id, "t", "x", synchronous=False),
        client.log_batch(run_id, [Metric("n", 2.0, 1, 0)], synchronous=False),
    ]

    run = client.get_run(run_id)

    assert ({"m": 1.0, "n": 2.0}, {"p": "1"}, "x") == (run.data.metrics, run.data.params, run.data.tags["t"])
    for operation in operations:
        operation.wait()
    client.set_terminated(run_id)


def test_the_failure_of_an_asynchronous_call_waits_until_it_is_asked_for(client: MlflowClient, run_id: str) -> None:
    client.log_param(run_id, "p", 1)

    operation = client.log_param(run_id, "p", 2, synchronous=False)

    with pytest.raises(MlflowException, match="Changing param values is not allowed"):
        operation.wait()


@pytest.mark.slow
def test_a_history_of_many_points_comes_in_pages(client: MlflowClient, run_id: str) -> None:
    points = [Metric("m", float(i), i, i) for i in range(30_000)]
    client.log_batch(run_id, points)

    history = client.get_metric_history(run_id, "m")

    assert 30_000 == len(history)
    assert [0.0, 29_999.0] == [history[0].value, history[-1].value]


def test_a_sample_keeps_the_first_and_the_last_point(client: MlflowClient, run_id: str) -> None:
    client.log_batch(run_id, [Metric("m", float(i), i, i) for i in range(100)])
    store = client._tracking_client.store

    sample = store.get_metric_history_bulk_interval([run_id], "m", 7, None, None)

    assert 7 == len(sample)
    assert [0, 99] == [sample[0].step, sample[-1].step]
    assert {run_id} == {metric.run_id for metric in sample}


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_an_open_source_refusal_is_mlflows_exception_with_the_reason_behind_it(client: MlflowClient) -> None:
    with pytest.raises(MlflowException) as refused:
        client.search_runs(["0"], "metrics.m = 'a'")

    assert type(refused.value) is MlflowException
    assert "INVALID_PARAMETER_VALUE" == refused.value.error_code
    assert isinstance(refused.value.__cause__, QueryError)
    assert refused.value.__cause__.diagnostics


def test_an_error_about_data_keeps_mlflows_words(client: MlflowClient) -> None:
    with pytest.raises(MlflowException, match=r"^Run with id=abc not found$") as refused:
        client.get_run("abc")

    assert "RESOURCE_DOES_NOT_EXIST" == refused.value.error_code
    assert isinstance(refused.value.__cause__, StoreError)


def test_every_method_of_mlflows_stores_is_served_or_refused_by_name() -> None:
    public = {name for store in (AbstractStore, RestStore) for name in dir(store) if not name.startswith("_")}

    served = public - set(REFUSED) - _INHERITED

    assert all(vars(TrackingStore)[name].__doc__.startswith("Refuse") for name in REFUSED)
    assert all(inspect.getattr_static(TrackingStore, n).__module__.startswith("mlquery.") for n in served)
    assert {"create_run", "search_logged_models", "log_outputs", "delete_tag", "log_logged_model_params"} <= served
    abstract = {n for n, method in vars(AbstractStore).items() if getattr(method, "__isabstractmethod__", False)}
    assert {"link_traces_to_run"} == abstract - served - {"_search_runs"}


@pytest.mark.parametrize("call", REFUSED)
def test_what_is_outside_is_refused_in_a_sentence(call: str, client: MlflowClient) -> None:
    with pytest.raises(MlflowException, match=f"mlquery does not keep .*'{call}' is outside") as refused:
        getattr(client._tracking_client.store, call)()

    assert "NOT_IMPLEMENTED" == refused.value.error_code


def test_traces_are_refused_where_mlflow_would_search_them(client: MlflowClient) -> None:
    with pytest.raises(MlflowException, match="does not keep traces"):
        client.search_traces(["0"])


def refusal(call: Callable[[], Any]) -> str | None:
    try:
        call()
    except MlflowException as error:
        return str(error.error_code)
    except TypeError:
        return "TypeError"
    return None


@pytest.mark.slow
def test_values_that_are_none_and_models_of_a_wrong_type_meet_the_errors_of_mlflow(
    client: MlflowClient, sqlite: MlflowClient
) -> None:
    codes = []
    for one in (sqlite, client):
        store, run_id = one._tracking_client.store, one.create_run("0").info.run_id
        calls = (
            partial(store.log_param, run_id, Param("k", NOTHING)),
            partial(store.log_batch, run_id, [], [Param("k", NOTHING)], []),
            partial(store.set_tag, run_id, RunTag("k", NOTHING)),
            partial(store.set_tag, run_id, RunTag(NOTHING, NOTHING)),
            partial(store.set_tag, run_id, RunTag("mlflow.runName", NOTHING)),
            partial(store.log_batch, run_id, [], [], [RunTag("k", NOTHING)]),
            partial(store.set_experiment_tag, "0", ExperimentTag("k", NOTHING)),
            partial(store.create_experiment, f"with nothing {run_id}", tags=[ExperimentTag("k", NOTHING)]),
            partial(store.set_tag, "f" * 32, RunTag("k", NOTHING)),
            partial(store.record_logged_model, run_id, {"flavors": {}}),
        )
        codes.append([refusal(call) for call in calls])

    assert codes[0] == codes[1]
    assert codes[0][0] == "BAD_REQUEST"
    assert codes[0][-1] == "TypeError"


def test_a_tag_that_is_set_to_none_is_gone(client: MlflowClient, run_id: str) -> None:
    store = client._tracking_client.store
    client.set_tag(run_id, "k", "v")
    client.set_experiment_tag("0", "k", "v")

    store.set_tag(run_id, RunTag("k", NOTHING))
    store.set_experiment_tag("0", ExperimentTag("k", NOTHING))

    assert "k" not in client.get_run(run_id).data.tags
    assert "k" not in client.get_experiment("0").tags


def test_the_versions_of_a_logged_model_are_in_its_tags(client: MlflowClient, sqlite: MlflowClient) -> None:
    found = []
    for one in (sqlite, client):
        store = one._tracking_client.store
        model_id = one.create_logged_model("0").model_id
        for version in ("1", "2", "2"):
            store.set_model_versions_tags("iris", version, model_id)
        found.append(one.get_logged_model(model_id).tags)

    assert found[0] == found[1]
    assert json.loads(found[1]["mlflow.modelVersions"])[-1] == {"name": "iris", "version": "2"}


def test_a_fault_is_met_by_mlflows_client_too(client: MlflowClient, run_id: str) -> None:
    store = uris.store_for("mlquery://").store
    store.faults.fail_next("log_batch", MlflowException("busy"))

    with pytest.raises(MlflowException, match="busy"):
        client.log_batch(run_id, [Metric("m", 1.0, 1, 0)])
    client.log_batch(run_id, [Metric("m", 1.0, 1, 0)])

    assert {"m": 1.0} == client.get_run(run_id).data.metrics


# --- the dialect of Azure Machine Learning ------------------------------------------------------------------------


def test_a_refusal_of_the_service_is_a_rest_exception_with_its_body(azure: MlflowClient) -> None:
    with pytest.raises(RestException) as refused:
        azure.search_runs(["0"], "tags.x LIKE 'a%'")

    error = refused.value
    message = "Operator 'LIKE' not supported for key type 'Tag'."
    keys = {"Error", "Correlation", "Environment", "Location", "Time", "ComponentName", "statusCode", "error_code"}
    assert keys == set(error.json)
    assert (message, "UserError", []) == tuple(error.json["Error"][key] for key in ("Message", "Code", "Details"))
    assert ("mlflow", 400, "INVALID_PARAMETER_VALUE") == tuple(
        error.json[key] for key in ("ComponentName", "statusCode", "error_code")
    )
    assert f"INVALID_PARAMETER_VALUE: Response: {error.json}" == str(error)
    assert ("INVALID_PARAMETER_VALUE", 400) == (error.error_code, error.get_http_status_code())
    assert str(error) == str(pickle.loads(pickle.dumps(error)))


@pytest.mark.parametrize(
    ("call", "origin"),
    [
        (lambda client: client.search_runs(["0"], "tags.x LIKE 'a'"), "was seen in an answer of the service"),
        (lambda client: client.search_runs(["0"], order_by=["metrics.m"]), "is inferred"),
        (lambda client: client.rename_experiment("0", "other"), "is inferred"),
        (lambda client: client.get_run("nothing"), "is inferred"),
    ],
)
def test_a_note_says_what_the_wording_rests_on(azure: MlflowClient, call: Callable[[Any], Any], origin: str) -> None:
    with pytest.raises(RestException) as refused:
        call(azure)

    assert origin in refused.value.__notes__[0]


def test_more_than_200_params_are_refused_as_the_service_does(azure: MlflowClient) -> None:
    run_id = azure.create_run("0").info.run_id
    azure.log_batch(run_id, params=[Param(f"p{i}", "1") for i in range(200)])

    with pytest.raises(RestException) as refused:
        azure.log_batch(run_id, params=[Param(f"q{i}", "1") for i in range(10)])

    body = refused.value.json
    assert "ValidationError" == body["Error"]["Code"]
    assert body["Error"]["Message"].startswith(
        "A field of the entity is over the size limit. FieldName=Parameters, Limit=200, Size=210."
    )
    assert 200 == len(azure.get_run(run_id).data.params)


def test_more_than_250_values_of_a_metric_in_a_batch_are_refused(azure: MlflowClient) -> None:
    run_id = azure.create_run("0").info.run_id

    with pytest.raises(RestException, match=r"MetricV2Dto.Value/Count, Limit=250, Size=699"):
        azure.log_batch(run_id, [Metric("m", 1.0, i, i) for i in range(699)])


def test_runs_of_the_service_have_guids_roots_and_display_names(azure: MlflowClient) -> None:
    experiment = azure.create_experiment("e")
    parent = azure.create_run(experiment, 1, tags={"mlflow.user": "ann"})
    child = azure.create_run(experiment, 2, tags={"mlflow.parentRunId": parent.info.run_id})

    run_id = parent.info.run_id

    assert [8, 4, 4, 4, 12] == [len(part) for part in run_id.split("-")]
    assert [8, 4, 4, 4, 12] == [len(part) for part in experiment.split("-")]
    assert [run_id, run_id] == [run.data.tags["mlflow.rootRunId"] for run in (parent, child)]
    assert ["Display Name"] * 2 == [parent.info.user_id, parent.data.tags["mlflow.user"]]
    assert [parent.info.run_id, child.info.run_id] == [r.info.run_id for r in azure.search_runs([experiment])]


def test_statuses_are_in_title_case_in_filters_and_in_upper_case_in_results(azure: MlflowClient) -> None:
    run_id = azure.create_run("0").info.run_id
    azure.set_terminated(run_id)

    (run,) = azure.search_runs([azure.get_experiment("0").experiment_id], "attributes.status = 'Finished'")

    assert "FINISHED" == run.info.status


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.create_logged_model("0", "model"),
        lambda client: client.get_logged_model("m-1"),
        lambda client: client.search_logged_models(["0"]),
        lambda client: client.log_outputs("run", []),
    ],
)
def test_the_service_has_no_logged_models(azure: MlflowClient, call: Callable[[Any], Any]) -> None:
    with pytest.raises(MlflowException, match=r"failed with error code 404 != 200. Response body: ") as refused:
        call(azure)

    assert ("ENDPOINT_NOT_FOUND", 404) == (refused.value.error_code, refused.value.get_http_status_code())
    assert all(word in refused.value.message for word in ("save_model", "log_artifacts", "register_model"))


def test_the_service_forbids_traces(azure: MlflowClient) -> None:
    with pytest.raises(MlflowException, match="403") as refused:
        azure.search_traces(["0"])

    assert "PERMISSION_DENIED" == refused.value.error_code


def test_a_warning_points_at_the_code_that_uses_mlflow(azure: MlflowClient) -> None:
    with pytest.warns(QueryWarning) as warned:
        azure.search_runs(["0"], "attributes.creation_time > '1700000000'")

    assert __file__ == warned[0].filename


# --- the fluent functions ---------------------------------------------------------------------------------------------


def test_nested_runs_are_logged_and_found_with_mlflows_functions() -> None:
    with mlquery.mock():
        mlflow.set_experiment("nested")
        with mlflow.start_run(run_name="parent") as parent:
            for depth in range(3):
                with mlflow.start_run(run_name=f"child {depth}", nested=True):
                    mlflow.log_params({"depth": depth})
                    mlflow.log_metrics({"auc": depth / 10})
        frame = mlflow.search_runs(
            filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}' AND metrics.auc > 0",
            order_by=["metrics.auc DESC"],
        )
        last = mlflow.last_active_run()

    assert ["child 2", "child 1"] == frame["tags.mlflow.runName"].tolist()
    assert ["2", "1"] == frame["params.depth"].tolist()
    assert last is not None
    assert "parent" == last.info.run_name


# --- threads ----------------------------------------------------------------------------------------------------------


def all_runs(client: MlflowClient, experiment_id: str) -> list[Run]:
    found: list[Run] = []
    token = None
    while token is not None or not found:
        page = client.search_runs([experiment_id], page_token=token)
        found += page
        token = page.token
    return found


@pytest.mark.slow
def test_threads_that_log_and_search_at_once_lose_nothing(client: MlflowClient) -> None:
    """`MLQUERY_THREAD_SECONDS=20` gives them more time."""
    seconds = float(os.environ.get("MLQUERY_THREAD_SECONDS", "1.5"))
    experiment = client.create_experiment("threads")
    logged: dict[str, int] = {}
    failures: list[BaseException] = []
    end = time.monotonic() + seconds

    def work(number: int) -> None:
        try:
            while time.monotonic() < end:
                run_id = client.create_run(experiment, tags={"thread": str(number)}).info.run_id
                for step in range(20):
                    client.log_batch(run_id, [Metric("a", step, step, step), Metric("b", -step, step, step)])
                    client.log_metric(run_id, "m", float(step), step, step, synchronous=step % 2 == 0)
                client.log_param(run_id, "number", number)
                client.set_terminated(run_id)
                logged[run_id] = number
                look(client.search_runs([experiment], f"tags.thread = '{number}'", order_by=["metrics.m"]))
        except BaseException as error:
            failures.append(error)

    def look(found: Any) -> None:
        for run in found:
            a, b = run.data.metrics.get("a", 0), run.data.metrics.get("b", 0)
            assert a == -b, "a batch was torn"

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == failures
    pages = all_runs(client, experiment)
    assert set(logged) == {run.info.run_id for run in pages}
    for run in pages:
        assert ({"a": 19.0, "b": -19.0, "m": 19.0}, "FINISHED") == (run.data.metrics, run.info.status)
        assert str(logged[run.info.run_id]) == run.data.params["number"]
    some = pages[:: max(1, len(pages) // 50)]
    for run in some:
        for key in ("a", "b", "m"):
            assert list(range(20)) == [point.step for point in client.get_metric_history(run.info.run_id, key)]
