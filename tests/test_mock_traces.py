"""Code that traces runs under a mock and its traces are lost, with one warning; MLflow's own store keeps them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

import mlquery
from mlquery.errors import MockWarning
from mlquery.mlflow_plugin import uris

# From the first import of `mlflow.pyfunc`, in the first trace of a process; for an error MLflow gives up the trace.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")

WAY_OUT = r"mlflow.set_tracking_uri\('sqlite:///mlflow.db'\).*passthrough=\('sqlite:',\)"


def work(times: int) -> list[int]:
    """Trace a function and a block, as often as given."""
    traced = mlflow.trace(lambda number: number + 1)
    found = [traced(number) for number in range(times)]
    with mlflow.start_span("block"):
        pass
    return found


def test_code_that_traces_runs_with_one_warning_and_no_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(MockWarning, match=f"^traces are not kept.*{WAY_OUT}") as caught, mlquery.mock():
        assert work(3) == [1, 2, 3]

    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert capsys.readouterr().err == ""


def test_code_that_does_not_trace_is_not_warned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with mlquery.mock(), mlflow.start_run():
            mlflow.log_metric("m", 1)


def test_the_traces_of_a_store_without_a_mock_are_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    before, uri = mlflow.get_tracking_uri(), uris.new_private()
    try:
        mlflow.tracing.reset()
        mlflow.set_tracking_uri(uri)
        with pytest.warns(MockWarning, match="^traces are not kept") as caught:
            work(3)
    finally:
        mlflow.set_tracking_uri(before)
        mlflow.tracing.reset()
        uris.forget(uri)

    assert len(caught) == 1


def test_the_service_forbids_traces_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with mlquery.mock("azure"):
        assert work(1) == [1]

    assert "403" in capsys.readouterr().err


@pytest.mark.parametrize(
    "call",
    [
        lambda: mlflow.search_traces(),
        lambda: mlflow.genai.register_prompt("p", "Say {{x}}"),
        lambda: mlflow.genai.load_prompt("prompts:/p/1"),
        lambda: mlflow.genai.create_dataset("d"),
        lambda: mlflow.log_feedback(trace_id="tr-1", name="right", value=True),
    ],
)
def test_what_needs_traces_or_prompts_is_refused_with_the_way_out(call: Callable[[], Any]) -> None:
    with mlquery.mock(), pytest.raises(MlflowException, match=WAY_OUT):
        call()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
def test_the_way_out_leads_to_mlflows_own_store(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    SqlAlchemyStore(uri, str(tmp_path))

    with mlquery.mock(passthrough=("sqlite:",)):
        mlflow.set_tracking_uri(uri)
        work(2)
        mlflow.genai.register_prompt("p", "Say {{x}}")

        assert len(mlflow.search_traces(return_type="list")) == 3
        assert mlflow.genai.load_prompt("prompts:/p/1").template == "Say {{x}}"
