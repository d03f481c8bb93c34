"""MLflow's own UI on a store of ours: what is not kept is an empty page, and nothing is printed into the terminal."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from selenium.webdriver.common.by import By

import mlquery
from tests.support.browser import CHROMIUM, DRIVER, MISSING, browser, resize
from tests.support.mlflow_server import server_of

PATIENCE = 60.0
LISTS: dict[str, tuple[Any, ...]] = {
    "search_traces": (["0"],),
    "search_datasets": (["0"],),
    "list_scorers": ("0",),
    "query_trace_metrics": (),
    "list_gateway_endpoints": (),
    "list_endpoint_bindings": (),
}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be MLflow's UI."""
    monkeypatch.setenv("MLQUERY_UI", "1")


def store_of(double: Any) -> Any:
    return MlflowClient()._tracking_client.store


@pytest.mark.parametrize("name", LISTS)
def test_the_ui_gets_an_empty_list_of_what_is_not_kept_and_code_a_refusal(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlquery.mock() as double:
        call = getattr(store_of(double), name)
        with pytest.raises(MlflowException, match="does not keep"):
            call(*LISTS[name])
        monkeypatch.setenv("MLQUERY_UI", "1")
        found = call(*LISTS[name])

    assert [] == list(found[0] if isinstance(found, tuple) else found)


@pytest.mark.usefixtures("shown")
def test_the_ui_gets_a_refused_filter_in_one_line_without_the_filter() -> None:
    with mlquery.mock(), pytest.raises(MlflowException) as refused:
        MlflowClient().search_runs(["0"], "status = 1")

    assert "status is a string: quote the value; instead: '1'" == refused.value.message


@pytest.mark.usefixtures("shown")
def test_what_the_ui_writes_is_refused_as_ever() -> None:
    with mlquery.mock() as double, pytest.raises(MlflowException, match="does not keep"):
        store_of(double).register_scorer("0", "a", "{}")


PAGES = {
    "experiments": ("churn",),
    "experiments/1/runs": ("first", "second"),
    "experiments/1/traces": ("Start tracing",),
    "experiments/1/datasets": ("Create an evaluation dataset",),
    "experiments/1/judges": ("Add a judge",),
    "experiments/1/runs/{run}": ("first", "auc", "lr"),
    "experiments/1/runs/{run}/model-metrics": ("auc",),
    "experiments/1/runs/{run}/traces": ("No traces found",),
    "models": ("Registered Models",),
    "prompts": ("Prompts",),
    "gateway": ("Get started with AI Gateway",),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a store and a run in it."""
    folder = tmp_path_factory.mktemp("shown")
    with mlquery.open(folder / "store") as store:
        client = mlquery.Client(store)
        experiment = client.create_experiment("churn")
        runs = [client.create_run(experiment, run_name=name).info.run_id for name in ("first", "second")]
        client.log_param(runs[0], "lr", "0.1")
        client.log_metric(runs[0], "auc", 0.9)
    return folder, runs[0]


@pytest.fixture(scope="module")
def ui(run: tuple[Path, str]) -> Iterator[str]:
    folder, _ = run
    command = [sys.executable, "-m", "mlquery", "ui", "--store", str(folder / "store")]
    with server_of(command, folder) as url:
        yield url


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("chromium")) as running:
        resize(running, 1400, 900)
        yield running


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
@pytest.mark.xdist_group("ui on a store")
@pytest.mark.parametrize("place", PAGES)
def test_a_page_shows_no_refusal_and_prints_no_error(place: str, driver: Any, ui: str, run: tuple[Path, str]) -> None:
    driver.get("about:blank")
    driver.get_log("performance")
    driver.get(f"{ui}/#/{place.format(run=run[1])}")

    end = time.monotonic() + PATIENCE
    while not all(word in (text := driver.find_element(By.TAG_NAME, "body").text) for word in PAGES[place]):
        assert time.monotonic() < end, text[-2000:]
        time.sleep(0.1)
    time.sleep(1)  # requests that come after what is shown first

    assert not re.search("mlquery does|is refused|Request error|Can't load", text)
    assert [] == [url for url in refused_by(driver) if not url.endswith("/users/current")]  # MLflow's own has none
    assert not re.search("ERROR|Traceback|Exception", (run[0] / "log").read_text())


def refused_by(driver: Any) -> list[str]:
    """Return the addresses to which a server has answered with an error since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    answers = [e["params"]["response"] for e in events if e["method"] == "Network.responseReceived"]
    return [answer["url"] for answer in answers if answer["status"] >= 400]
