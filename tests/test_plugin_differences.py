"""The list of what MLflow's store on SQLite does otherwise is short and true: each entry is shown on both stores."""

from __future__ import annotations

import logging
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

import mlquery
from mlquery.mlflow_plugin import exits, register, uris
from tests.support.installed_mlflow import INSTALLED

FILE = Path(__file__).resolve().parents[1] / "conformance" / "differences.toml"
ENTRIES: list[dict[str, str]] = tomllib.loads(FILE.read_text(encoding="utf-8"))["store"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("plugin differences"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]
TAGS = {"b": "", "c": "kept", "mlflow.runName": "x"}


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MlflowClient, MlflowClient]]:
    """Return a client of MLflow's store and one of mlquery's."""
    register()
    folder = tmp_path_factory.mktemp("mlflow")
    logging.disable(logging.CRITICAL)  # MLflow logs the SQL of every statement that fails
    uri = uris.new_private(uris.new_backend(INSTALLED.name))
    yield MlflowClient(f"sqlite:///{folder}/mlflow.db"), MlflowClient(uri)
    uris.forget(uri)
    logging.disable(logging.NOTSET)


def refusal(call: Callable[[], Any]) -> str | None:
    try:
        call()
    except MlflowException as error:
        return str(error.error_code)
    return None


def batches(client: MlflowClient, experiment_id: str, run_id: str, folder: Path) -> Any:
    batch: dict[str, Any] = {"metrics": [Metric("m", 1.0, 0, 2**70)], "params": [Param("lr", "1")]}
    return refusal(lambda: client.log_batch(run_id, **batch)), client.get_run(run_id).data.params


def fractions(client: MlflowClient, experiment_id: str, run_id: str, folder: Path) -> Any:
    codes = [refusal(partial(client.log_metric, run_id, "m", 1.0, *at)) for at in ((1.5, 0), (1, 0.5))]
    return codes, [(point.timestamp, point.step) for point in client.get_metric_history(run_id, "m")]


def times(client: MlflowClient, experiment_id: str, run_id: str, folder: Path) -> Any:
    is_ours = client.tracking_uri.startswith("mlquery:")
    clock = "mlflow.tracking._tracking_service.client.get_current_time_millis"
    with mlquery.mock(clock=5) if is_ours else mock.patch(clock, return_value=5):
        client = MlflowClient() if is_ours else client
        experiment_id = "0" if is_ours else experiment_id
        runs = [client.create_run(experiment_id).info.run_id for _ in range(2)]
        for run in runs:
            client.set_terminated(run)
        infos = [client.get_run(run).info for run in runs]
    return [(info.start_time, info.end_time) for info in infos]


def wording(client: MlflowClient, experiment_id: str, run_id: str, folder: Path) -> Any:
    with pytest.raises(MlflowException) as caught:
        client.search_runs([experiment_id], "nonsense = 'x'")
    return caught.value.error_code, caught.value.message.startswith("filter_string: ")


def empty_tags(client: MlflowClient, experiment_id: str, run_id: str, folder: Path) -> Any:
    run_id = client.create_run(experiment_id, tags={"a": None, "b": ""}, run_name="x").info.run_id
    for key, value in (("c", "kept"), ("d", "lost")):
        client.set_tag(run_id, key, value)
    client.log_batch(run_id, tags=[RunTag(key, None) for key in ("d", "e")])  # type: ignore[arg-type]
    return client.get_run(run_id).data.tags


def asynchronous(client: MlflowClient, experiment_id: str, run_id: str, folder: Path) -> Any:
    queue: Any = client._tracking_client.store._async_logging_queue  # which has taken `log_batch` from the store
    log_batch, looked = queue._logging_func, threading.Event()

    def log_after_the_look(**batch: Any) -> Any:
        """Log a batch, not before the asking thread has looked, however slow the machine is."""
        assert looked.wait(60)
        return log_batch(**batch)

    with mock.patch.object(queue, "_logging_func", log_after_the_look):
        right = client.log_metric(run_id, "later", 1.0, synchronous=False)
        is_there_at_once = "later" in client.get_run(run_id).data.metrics
        looked.set()
        assert right is not None
        right.wait()
    wrong = client.log_batch(run_id, params=[Param("bad@", "x")], synchronous=False)
    assert wrong is not None
    return is_there_at_once, refusal(wrong.wait)


def empty_folders(client: MlflowClient, experiment_id: str, run_id: str, folder: Path) -> Any:
    (folder / "files" / "empty").mkdir(parents=True)
    (folder / "files" / "one.txt").write_text("one")
    client.log_artifacts(run_id, str(folder / "files"))
    return [file.path for file in client.list_artifacts(run_id)]


def failed_scripts(client: MlflowClient, experiment_id: str, run_id: str, folder: Path) -> Any:
    is_ours = client.tracking_uri.startswith("mlquery:")
    at_exit = exits._end_active_run if is_ours else mlflow.tracking.fluent._safe_end_run
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri := f"mlquery:///{folder}" if is_ours else client.tracking_uri)
    try:
        run = mlflow.start_run(experiment_id="0" if is_ours else experiment_id)
        with mock.patch.object(sys, "last_value", ValueError(), create=True):
            at_exit()
        return mlflow.get_run(run.info.run_id).info.status
    finally:
        mlflow.set_tracking_uri(before)
        if is_ours:
            uris.forget(uri)


def out_of_scope(client: MlflowClient, experiment_id: str, run_id: str, folder: Path) -> Any:
    return refusal(lambda: client.search_traces(locations=[experiment_id]))


SHOWN: dict[str, tuple[Callable[..., Any], Any, Any]] = {
    "batches": (batches, ("INTERNAL_ERROR", {"lr": "1"}), ("INTERNAL_ERROR", {})),
    "fractions": (fractions, ([None] * 2, [(1, 0.5), (1.5, 0)]), (["INVALID_PARAMETER_VALUE"] * 2, [])),
    "times": (times, [(5, 5), (5, 5)], [(5, 6), (6, 7)]),
    "wording": (wording, ("INVALID_PARAMETER_VALUE", False), ("INVALID_PARAMETER_VALUE", True)),
    "empty-tags": (empty_tags, TAGS | dict.fromkeys("ade"), TAGS),
    "asynchronous": (asynchronous, (False, "INTERNAL_ERROR"), (True, "INTERNAL_ERROR")),
    "empty-folders": (empty_folders, ["empty", "one.txt"], ["one.txt"]),
    "failed-scripts": (failed_scripts, "FINISHED", "FAILED"),
    "out-of-scope": (out_of_scope, None, "NOT_IMPLEMENTED"),
}


@pytest.mark.parametrize("entry", SHOWN)
def test_an_entry_of_the_list_is_true(clients: tuple[MlflowClient, MlflowClient], entry: str, tmp_path: Path) -> None:
    show, *expected = SHOWN[entry]
    actual: list[Any] = []

    for client, place in zip(clients, [(tmp_path / "artifacts").as_uri(), None], strict=True):
        experiment_id = client.create_experiment(entry, place)
        run_id = client.create_run(experiment_id).info.run_id
        actual.append(show(client, experiment_id, run_id, tmp_path / str(len(actual))))

    assert expected == actual


def test_the_list_is_under_ten_entries_each_with_a_reason_and_shown() -> None:
    assert list(SHOWN) == [entry["id"] for entry in ENTRIES]
    assert len(ENTRIES) < 10
    assert all(entry["what"].endswith(".") and entry["reason"].endswith(".") for entry in ENTRIES)
