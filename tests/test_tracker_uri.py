"""The tracking URI of a store on disk, as MLflow's client uses it, in one process and in several."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

import mlquery
from mlquery import mlflow_plugin
from mlquery.durable.opening import open as open_store
from mlquery.mlflow_plugin import uris

pytestmark = pytest.mark.slow

TOP = Path(__file__).resolve().parents[1]
mlflow_plugin.register()


@pytest.fixture(autouse=True)
def _closed_at_the_end() -> Iterator[None]:
    yield
    uris.reset()


def test_mlflow_logs_to_a_folder_and_finds_it_again(tmp_path: Path) -> None:
    uri = f"mlquery://{tmp_path}/runs.mlq"
    client = mlflow.MlflowClient(uri)
    run_id = client.create_run("0", run_name="first").info.run_id
    client.log_metric(run_id, "loss", 0.25, step=3)
    client.log_text(run_id, "hello", "notes/a.txt")
    uris.reset()

    found = mlflow.MlflowClient(uri).search_runs(["0"], "metrics.loss < 1")

    assert [("first", {"loss": 0.25})] == [(run.info.run_name, run.data.metrics) for run in found]
    assert b"hello" == (tmp_path / "runs.mlq" / "artifacts" / run_id / "notes" / "a.txt").read_bytes()
    assert ["notes"] == [info.path for info in mlflow.MlflowClient(uri).list_artifacts(run_id)]


def test_a_store_on_disk_keeps_its_dialect(tmp_path: Path) -> None:
    uri = f"mlquery://{tmp_path}/runs.mlq"
    assert "azure" == uris.store_for(f"{uri}?dialect=azure").dialect.name
    uris.reset()

    backend = uris.store_for(uri)

    assert "azure" == backend.dialect.name
    assert "-" in backend.store.default_experiment_id
    with pytest.raises(MlflowException, match="answers in dialect 'azure', not 'oss'"):
        mlflow.MlflowClient(f"{uri}?dialect=oss").search_experiments()


def test_a_uri_says_how_a_store_is_synced(tmp_path: Path) -> None:
    store = uris.store_for(f"mlquery://{tmp_path}/runs.mlq?durability=fast").store

    assert "fast" == store.durability  # type: ignore[attr-defined]
    with pytest.raises(MlflowException, match="the only option is 'dialect'"):
        mlflow.MlflowClient("mlquery://team?durability=fast").search_experiments()


def test_a_folder_that_is_no_store_is_one_error_of_mlflow(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")

    with pytest.raises(MlflowException, match="only other things are in that folder"):
        mlflow.MlflowClient(f"mlquery://{tmp_path}").search_experiments()


def test_a_script_that_uses_mlflow_logs_to_the_store_that_another_process_reads(tmp_path: Path) -> None:
    script = (
        "import mlflow, os; from mlquery import mlflow_plugin; mlflow_plugin.register();"
        "mlflow.set_tracking_uri(os.environ['STORE']); mlflow.set_experiment('sweep');\n"
        "with mlflow.start_run(run_name='child'): mlflow.log_params({'lr': 0.1}); mlflow.log_metric('auc', 0.9)"
    )
    with open_store(tmp_path / "runs.mlq") as store:
        environment = os.environ | {"STORE": f"mlquery://{tmp_path}/runs.mlq", "PYTHONPATH": str(TOP)}
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True)

        (run,) = mlquery.Client(store).search_runs(["1"])

        assert ("child", "FINISHED", {"auc": 0.9}) == (run.info.run_name, run.info.status, run.data.metrics)
