"""The fixture `mlquery_server`, as the suites of other people use it."""

from __future__ import annotations

import threading
import time

import mlflow
import pytest
from freezegun import freeze_time

from mlquery.server.testing import RunningServer, running_server
from mlquery.store import Store
from tests.support.http_calls import Api

pytest_plugins = ["pytester"]


def test_it_gives_a_server_and_its_store(mlquery_server: RunningServer) -> None:
    api = Api(mlquery_server.url)
    experiment_id = api.post("experiments/create", {"name": "churn"}).json["experiment_id"]
    api.close()

    assert "churn" == mlquery_server.store.get_experiment(experiment_id).name
    assert "churn" == mlquery_server.client.get_experiment(experiment_id).name
    assert mlquery_server.url == mlquery_server.tracking_uri


@pytest.mark.parametrize("place", [1, 2])
def test_each_test_begins_with_an_empty_store(mlquery_server: RunningServer, place: int) -> None:
    assert 1 == mlquery_server.store.experiments.size

    mlquery_server.store.create_experiment(f"left behind {place}")


@pytest.mark.parametrize("mlquery_server", ["azure"], indirect=True)
def test_it_answers_in_another_dialect_where_a_test_asks(mlquery_server: RunningServer) -> None:
    client = mlflow.MlflowClient(mlquery_server.tracking_uri)
    run = client.create_run("0")

    with pytest.raises(mlflow.exceptions.RestException, match="Operator 'LIKE' not supported for key type 'Tag'"):
        client.search_runs([run.info.experiment_id], "tags.a LIKE 'b'")

    assert 4 == run.info.run_id.count("-")


def test_it_shows_another_store_until_it_is_reset(mlquery_server: RunningServer) -> None:
    store = Store()
    store.create_experiment("prepared")
    client = mlflow.MlflowClient(mlquery_server.tracking_uri)

    mlquery_server.show(store)
    shown = client.get_experiment_by_name("prepared")
    mlquery_server.reset()

    assert shown is not None
    assert client.get_experiment_by_name("prepared") is None


@pytest.mark.slow
def test_a_server_stops_although_a_test_has_frozen_the_time() -> None:
    threads = {*threading.enumerate()}
    with running_server() as server, freeze_time("2020-01-01"):
        time.sleep(0.2)  # in which uvicorn begins to wait by the frozen clock
        api = Api(server.url)
        assert 200 == api.get("/health").status
        api.close()

    assert {*threading.enumerate()} <= threads


def test_a_suite_needs_no_import_to_use_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import urllib.request

        def test_health(mlquery_server):
            with urllib.request.urlopen(mlquery_server.url + "/health") as answer:
                assert answer.read() == b"OK"
    """)

    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.slow
def test_the_plugin_imports_no_server_before_a_test_asks_for_one(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import subprocess, sys

        def test_light():
            code = "import sys, mlquery.pytest_plugin; print(*sys.modules)"
            loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
            assert not {"starlette", "uvicorn", "numpy", "pandas", "mlflow"} & set(loaded)
    """)

    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
