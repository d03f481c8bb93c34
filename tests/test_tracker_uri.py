"""The tracking URI of a store on disk, as MLflow's client uses it, in one process and in several."""

from __future__ import annotations

import os
import re
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
from mlquery.errors import StoreError
from mlquery.mlflow_plugin import uris

pytestmark = pytest.mark.slow

TOP = Path(__file__).resolve().parents[1]
mlflow_plugin.register()


@pytest.fixture(autouse=True)
def _closed_at_the_end() -> Iterator[None]:
    yield
    uris.reset()


def test_mlflow_logs_to_a_folder_and_finds_it_again(tmp_path: Path) -> None:
    uri = f"mlquery:///{tmp_path}/runs.mlq"
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
    uri = f"mlquery:///{tmp_path}/runs.mlq"
    assert "azure" == uris.store_for(f"{uri}?dialect=azure").dialect.name
    uris.reset()

    backend = uris.store_for(uri)

    assert "azure" == backend.dialect.name
    assert "-" in backend.store.default_experiment_id
    with pytest.raises(MlflowException, match="answers in dialect 'azure', not 'oss'"):
        mlflow.MlflowClient(f"{uri}?dialect=oss").search_experiments()


def test_a_uri_says_how_a_store_is_synced(tmp_path: Path) -> None:
    store = uris.store_for(f"mlquery:///{tmp_path}/runs.mlq?durability=fast").store

    assert "fast" == store.durability  # type: ignore[attr-defined]
    with pytest.raises(MlflowException, match="the only option is 'dialect'"):
        mlflow.MlflowClient("mlquery://team?durability=fast").search_experiments()


@pytest.mark.parametrize(
    ("uri", "instead"),
    [
        ("mlquery://runs.mlq", "mlquery:///runs.mlq"),
        ("mlquery:runs.mlq", "mlquery:///runs.mlq"),
        ("mlquery:./runs.mlq", "mlquery:///runs.mlq"),
        ("mlquery://../runs", "mlquery:///../runs"),
        ("mlquery:/data/runs", "mlquery:////data/runs"),
        ("mlquery://data/runs", "mlquery:///data/runs"),
        ("mlquery://stored", "mlquery:///stored"),
    ],
)
def test_a_name_that_looks_like_a_file_is_refused(
    uri: str, instead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("stored").close()

    for wrong in (uri, f"{uri}?dialect=azure"):
        with pytest.raises(MlflowException, match="in memory, which is lost when the process ends") as caught:
            mlflow.MlflowClient(wrong).search_experiments()
        assert f"write '{instead}' for a store on disk" in str(caught.value)
    assert ["stored"] == os.listdir(tmp_path)


def test_names_in_memory_are_as_free_as_before() -> None:
    for name in ("team", "test_a[0.5-oss]", "v1.2", "a b", "tests.test_long_module_name"):
        assert not uris.store_for(f"mlquery://{name}").store.is_on_disk


def test_three_slashes_begin_a_relative_path_and_four_an_absolute_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)

    for uri in (
        "mlquery:///a.mlq",
        "mlquery:///data/b",
        "mlquery:///./c",
        "mlquery:///d/e",
        f"mlquery:///{tmp_path}/f",
    ):
        assert uris.store_for(uri).store.is_on_disk
    a = uris.store_for("mlquery:///a.mlq")
    monkeypatch.chdir(tmp_path / "data")

    assert a is uris.store_for("mlquery:///a.mlq")  # what a URI means does not change with the present folder
    made = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("journal.db")}
    assert {"a.mlq", "c", "data/b", "d/e", "f"} == made


def test_an_absolute_path_behind_three_slashes_still_finds_its_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    open_store(tmp_path / "old.mlq").close()

    old = uris.store_for(f"mlquery://{tmp_path}/old.mlq").store
    with pytest.warns(FutureWarning, match=rf"write 'mlquery:///{tmp_path}/new.mlq': behind three slashes"):
        new = uris.store_for(f"mlquery://{tmp_path}/new.mlq").store

    assert [tmp_path / "old.mlq", tmp_path / "new.mlq"] == [old.path, new.path]  # type: ignore[attr-defined]
    assert [] == os.listdir(tmp_path / "here")
    open_store(Path(f"{tmp_path}/here{tmp_path}/old.mlq")).close()
    uris.reset()
    with pytest.raises(StoreError, match=r"there is a store in .* and one in .*; write 'mlquery:///./tmp"):
        uris.store_for(f"mlquery://{tmp_path}/old.mlq")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("durabilty=fast", "did you mean 'durability'? the options are 'dialect', 'durability', 'read_only'"),
        ("readonly=true", "did you mean 'read_only'?"),
        ("colour=red", "there is no option 'colour'; the options are 'dialect', 'durability', 'read_only'"),
        ("read_only=perhaps", "read_only is 'true' or 'false', not 'perhaps'"),
        ("durability=slow", "durability is 'commit' or 'fast', not 'slow'"),
        ("dialect=azur", "azure"),
    ],
)
def test_a_wrong_option_names_the_right_ones(option: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=re.escape(said)):
        uris.store_for(f"mlquery:///{tmp_path}/runs.mlq?{option}")
    assert [] == os.listdir(tmp_path)


def test_a_uri_may_say_that_nothing_is_written(tmp_path: Path) -> None:
    uri = f"mlquery:///{tmp_path}/runs.mlq"
    with pytest.raises(MlflowException, match="does not exist"):
        mlflow.MlflowClient(f"{uri}?read_only=true").search_experiments()
    run_id = mlflow.MlflowClient(uri).create_run("0").info.run_id

    reading = mlflow.MlflowClient(f"{uri}?read_only=true")

    assert [run_id] == [run.info.run_id for run in reading.search_runs(["0"])]
    with pytest.raises(MlflowException, match="is open for reading only"):
        reading.set_tag(run_id, "a", "b")
    mlflow.MlflowClient(uri).set_tag(run_id, "a", "c")  # the other way to open it is open, too
    assert "c" == reading.get_run(run_id).data.tags["a"]


def test_a_folder_that_is_no_store_is_one_error_of_mlflow(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")

    with pytest.raises(MlflowException, match="only other things are in that folder"):
        mlflow.MlflowClient(f"mlquery:///{tmp_path}").search_experiments()


def test_a_script_that_uses_mlflow_logs_to_the_store_that_another_process_reads(tmp_path: Path) -> None:
    script = (
        "import mlflow, os; from mlquery import mlflow_plugin; mlflow_plugin.register();"
        "mlflow.set_tracking_uri(os.environ['STORE']); mlflow.set_experiment('sweep');\n"
        "with mlflow.start_run(run_name='child'): mlflow.log_params({'lr': 0.1}); mlflow.log_metric('auc', 0.9)"
    )
    with open_store(tmp_path / "runs.mlq") as store:
        environment = os.environ | {"STORE": f"mlquery:///{tmp_path}/runs.mlq", "PYTHONPATH": str(TOP)}
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True)

        (run,) = mlquery.Client(store).search_runs(["1"])

        assert ("child", "FINISHED", {"auc": 0.9}) == (run.info.run_name, run.info.status, run.data.metrics)


def test_open_takes_the_uri_of_a_folder_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for uri, folder in (("mlquery:///runs.mlq", "runs.mlq"), (f"mlquery:///{tmp_path}/more.mlq", "more.mlq")):
        with open_store(uri) as store:
            assert tmp_path / folder == store.path

    for uri, said in (
        ("mlquery:///runs.mlq?read_only=true", "has options, which are for MLflow; here they are arguments"),
        ("mlquery://runs.mlq", "'mlquery://runs.mlq' names no store on disk; write its path, or mlquery:///PATH"),
        ("mlquery:runs.mlq", "'mlquery:runs.mlq' names no store on disk"),
    ):
        with pytest.raises(StoreError, match=re.escape(said)):
            open_store(uri)
    assert {"runs.mlq", "more.mlq"} == set(os.listdir(tmp_path))
