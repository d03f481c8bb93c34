"""MLflow's own UI, in a browser, over databases that are searched in place: tables, runs, models, and no writes."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from selenium.webdriver.common.by import By

import mlquery
from mlquery.resources import example_database
from tests.support.browser import CHROMIUM, DRIVER, MISSING, browser, resize
from tests.support.databases import ON_POSTGRES
from tests.support.mlflow_server import ui_in_place
from tests.support.mlflow_ui import drawn_names, sorted_table

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("chromium")) as running:
        resize(running, 1400, 900)
        yield running


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(example_database(), tmp_path_factory.mktemp("database") / "sweep.db"))


@pytest.fixture(scope="module")
def ui(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ui_in_place(str(database), tmp_path_factory.mktemp("ui")) as url:
        yield url


def sees(driver: Any, *words: str) -> str:
    """Return the text of the page once all words are in it."""
    end = time.monotonic() + PATIENCE
    while True:
        shown: str = driver.find_element(By.TAG_NAME, "body").text
        if all(word in shown for word in words):
            return shown
        assert time.monotonic() < end, f"{words} not in: {shown[-2000:]}"
        time.sleep(0.1)


def names_by(source: str, experiment_id: str, metric: str) -> list[str | None]:
    with mlquery.connect(source) as client:
        runs = client.search_runs([experiment_id], order_by=[f"metrics.{metric} DESC"])
        return [run.info.run_name for run in runs]


@pytest.mark.xdist_group("ui in place")
def test_the_table_of_runs_is_drawn_in_the_order_of_a_metric(driver: Any, ui: str, database: Path) -> None:
    driver.get(sorted_table(ui, "4", "auc"))

    names = drawn_names(driver)

    assert len(names) > 10
    assert names == names_by(str(database), "4", "auc")[: len(names)]


@pytest.mark.xdist_group("ui in place")
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("experiments", ("five_models",)),
        ("experiments/4/runs/071ca53f44e041048369ad43a20496e6", ("random_forest-seed3", "accuracy", "epochs")),
        ("experiments/4/runs/071ca53f44e041048369ad43a20496e6/model-metrics", ("loss",)),
        ("models", ("Registered Models",)),
    ],
)
def test_pages_are_shown_without_an_error(place: str, words: tuple[str, ...], driver: Any, ui: str) -> None:
    driver.get("about:blank")
    driver.get(f"{ui}/#/{place}")

    shown = sees(driver, *words)

    assert "is refused" not in shown
    assert "Can't load" not in shown


@pytest.mark.xdist_group("ui in place")
def test_a_client_of_the_ui_cannot_write_and_the_file_stays_as_it_is(ui: str, database: Path) -> None:
    before = hashlib.sha256(database.read_bytes()).hexdigest()

    with pytest.raises(MlflowException, match="create_run is refused"):
        MlflowClient(ui).create_run("4")

    assert before == hashlib.sha256(database.read_bytes()).hexdigest()


@ON_POSTGRES
def test_the_table_is_drawn_on_postgresql(driver: Any, postgres_url: str, tmp_path: Path) -> None:
    writer = MlflowClient(postgres_url)
    experiment = writer.create_experiment("many", artifact_location="mlflow-artifacts:/1")
    for number in range(12):
        run = writer.create_run(experiment, run_name=f"run-{number:02d}").info.run_id
        writer.log_metric(run, "auc", (number * 7 % 12) / 12)
    with ui_in_place(postgres_url, tmp_path) as url:
        driver.get(sorted_table(url, experiment, "auc"))
        names = drawn_names(driver)
    writer._tracking_client.store.engine.dispose()

    assert names == names_by(postgres_url, experiment, "auc")
