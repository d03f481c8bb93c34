"""MLflow's REST API and MLflow's plugin over what is searched in place: the answers are those over a store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mlquery.mlflow_plugin import uris
from mlquery.mlflow_plugin.schemes import IN_PLACE, IN_PLACE_VARIABLE
from mlquery.remote import opening
from mlquery.server.process import serving
from mlquery.server.service import new_service, service_in_place
from tests.support.doors import contents
from tests.support.source_over_store import SourceOverStore

API = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def data() -> Any:
    """Return a store with some of everything, and the ids in it."""
    service, ids = contents("oss", "mlflow-artifacts:/")
    return service.store, ids


@pytest.fixture(scope="module")
def loaded(data: Any) -> Iterator[str]:
    with serving(new_service(data[0])) as url:
        yield url


@pytest.fixture(scope="module")
def in_place(data: Any) -> Iterator[str]:
    with serving(service_in_place(SourceOverStore(data[0]))) as url:
        yield url


def answer(url: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return status and JSON of the answer to a request; one with a body is a POST."""
    content = None if body is None else json.dumps(body).encode()
    request = Request(f"{url}{path}", content, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=30) as response:
            found = json.load(response)
            found |= {"next_page_token": True} if "next_page_token" in found else {}  # it differs, as it should
            return response.status, found
    except HTTPError as error:
        return error.code, json.load(error)


def requests(ids: Any) -> list[tuple[str, Any]]:
    """Return what MLflow's clients and its UI ask, as paths and bodies."""
    experiment = [ids.work]
    return [
        (f"{API}/experiments/search", {"max_results": 2}),
        (f"{API}/experiments/search", {"max_results": 25, "filter": "name LIKE 'w%'", "view_type": "ALL"}),
        (f"{API}/experiments/get?experiment_id={ids.work}", None),
        (f"{API}/experiments/get?experiment_id=999", None),
        (f"{API}/experiments/get-by-name?experiment_name=work", None),
        (f"{API}/experiments/get-by-name?experiment_name=nowhere", None),
        (f"{API}/experiments/search-datasets", {"experiment_ids": experiment}),
        (f"{API}/runs/search", {"experiment_ids": experiment}),
        (f"{API}/runs/search", {"experiment_ids": experiment, "order_by": ["metrics.loss DESC"], "max_results": 100}),
        (f"{API}/runs/search", {"experiment_ids": experiment, "filter": "metrics.loss >"}),
        (f"{API}/runs/get?run_id={ids.run}", None),
        (f"{API}/runs/get?run_id={'0' * 32}", None),
        (f"{API}/logged-models/search", {"experiment_ids": experiment}),
        (f"{API}/registered-models/search?max_results=25&order_by=name+ASC", None),
        (f"{API}/model-versions/search?filter=run_id%3D%27{ids.run}%27", None),
        (f"{API}/metrics/get-history?run_id={ids.run}&metric_key=loss", None),
        (f"{API}/metrics/get-history-bulk?run_id={ids.run}&run_id={ids.child}&metric_key=loss", None),
        (f"{API}/metrics/get-history-bulk-interval?run_ids={ids.run}&metric_key=loss&max_results=2", None),
    ]


@pytest.mark.parametrize("number", range(18))
def test_the_server_answers_in_place_as_from_memory(number: int, data: Any, loaded: str, in_place: str) -> None:
    asked = requests(data[1])[number]

    assert answer(loaded, *asked) == answer(in_place, *asked)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/runs/create", {"experiment_id": "1"}, 403, "create_run is refused"),
        ("/runs/log-metric", {"run_id": "a", "key": "m", "value": 1, "timestamp": 1}, 403, "log_metric is refused"),
        ("/runs/update", {"run_id": "a", "status": "FINISHED"}, 403, "update_run_info is refused"),
        ("/experiments/delete", {"experiment_id": "1"}, 403, "delete_experiment is refused"),
        ("/registered-models/create", {"name": "forest"}, 403, "create_registered_model is refused"),
        ("/artifacts/list?run_id=a", None, 501, "is searched in place"),
    ],
)
def test_what_is_not_answered_in_place_is_refused_in_a_sentence(
    path: str, body: Any, status: int, words: str, in_place: str
) -> None:
    found, shown = answer(in_place, API + path, body)

    assert status == found
    assert words in shown["message"]
    assert "; instead: " in shown["message"]


@pytest.mark.parametrize(("path", "body"), [("/", None), ("/mlquery/reset", {}), ("/mlquery/page/about", None)])
def test_the_page_and_resets_say_that_they_need_the_runs_in_memory(path: str, body: Any, in_place: str) -> None:
    status, shown = answer(in_place, path, body)

    assert status == 501
    assert "in place" in shown["message"]


def test_threads_are_answered_at_once(data: Any, in_place: str) -> None:
    asked = requests(data[1])[8]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: answer(in_place, *asked), range(40)))

    assert all(one == answers[0] for one in answers)


@pytest.fixture
def plugin(data: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """Give MLflow's client of the URI that means what is searched in place."""
    monkeypatch.setattr(opening, "open_anywhere", lambda address: SourceOverStore(data[0], address))
    monkeypatch.setenv(IN_PLACE_VARIABLE, "sqlite:///elsewhere.db")
    yield MlflowClient(IN_PLACE, IN_PLACE)
    uris.reset()


def test_mlflows_client_reads_in_place_through_the_plugin(plugin: MlflowClient, data: Any, loaded: str) -> None:
    over_http, ids = MlflowClient(loaded), data[1]

    def seen(client: MlflowClient) -> Any:
        runs = client.search_runs([ids.work], "metrics.loss < 1", order_by=["metrics.loss"])
        history = client.get_metric_history(ids.run, "loss")
        return (
            [run.to_dictionary()["data"] for run in runs],
            [(point.step, point.timestamp, repr(point.value)) for point in history],
            [experiment.name for experiment in client.search_experiments()],
            client.get_run(ids.run).data.metrics.keys(),
        )

    assert seen(over_http) == seen(plugin)


def test_writes_through_the_plugin_are_refused(plugin: MlflowClient, data: Any) -> None:
    with pytest.raises(MlflowException, match="log_metric is refused: sqlite:///elsewhere") as refusal:
        plugin.log_metric(data[1].run, "m", 1.0)

    assert refusal.value.error_code == "PERMISSION_DENIED"


def test_the_uri_without_an_address_says_which_variable_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(IN_PLACE_VARIABLE, raising=False)

    with pytest.raises(MlflowException, match=IN_PLACE_VARIABLE):
        mlflow.tracking.MlflowClient(IN_PLACE).search_experiments()
