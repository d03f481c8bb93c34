"""The same scripts with the module `mlflow` and with `mlquery.fluent`: the same answers, the same errors.

What a script sees is written down as text, in which ids, random names and the time of day give way to place holders.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import mlflow
import pytest
from mlflow.tracking import fluent as mlflow_state

from mlquery import Store, entities, fluent
from tests.support.installed_mlflow import INSTALLED

# One worker runs them all: an MLflow database takes a second to make.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("fluent beside mlflow")]

NOTHING = "a" * 32


class Notes:
    """What a script saw, as lines of text."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._ids: dict[str, str] = {}

    def __call__(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make a call, write down what it returns or raises, and return it."""
        try:
            result = call(*args, **kwargs)
        except Exception as error:
            code = getattr(error, "error_code", "")
            result, shown = None, f"{code} {error}".partition("\n\nThe cause")[0].partition("operations: [")[0][:400]
        else:
            shown = json.dumps(plain(result), sort_keys=True)
        self.lines.append(self._without_chance(shown))
        return result

    def _without_chance(self, text: str) -> str:
        for found in re.findall(r"\b[0-9a-f]{32}\b", text):
            self._ids.setdefault(found, f"id {len(self._ids)}")
            text = text.replace(found, self._ids[found])
        text = re.sub(r'"[a-z]+-[a-z]+-\d{1,3}"', '"random"', text)
        return re.sub(r"\b1\d{12}\b", "now", text).replace("MlflowException(", "(").replace("StoreError(", "(")


def plain(value: Any) -> Any:
    kind = type(value).__name__
    if kind in ("Run", "ActiveRun"):
        info = {k: v for k, v in dict(value.info).items() if k not in ("artifact_uri", "run_uuid")}
        tags = {key: tag for key, tag in value.data.tags.items() if not key.startswith("mlflow.source.git")}
        inputs = [(i.dataset.name, {t.key: t.value for t in i.tags}) for i in value.inputs.dataset_inputs]
        return [info, value.data.metrics, value.data.params, tags, inputs]
    if kind == "Experiment":
        return [value.experiment_id, value.name, value.lifecycle_stage, value.tags]
    if kind == "Metric":
        return [value.key, value.value, value.step]
    if kind == "FileInfo":
        return [value.path, value.is_dir]
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value if isinstance(value, str | int | float | None) else kind


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    kept = dict(os.environ)
    logging.disable(logging.CRITICAL)
    top = tmp_path_factory.mktemp("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{top / 'mlflow.db'}")
    mlflow.create_experiment("stored", str(top / "stored"))
    yield "stored"
    logging.disable(logging.NOTSET)
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type] # None forgets the URI
    mlflow_state._active_experiment_id = None
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture(scope="module")
def store() -> Store:
    store = Store()
    store.create_experiment("stored")
    return store


@pytest.fixture(autouse=True)
def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


def experiments_are_set_and_found(m: Any, note: Notes) -> None:
    note(m.set_experiment, "by name")
    note(m.set_experiment, "by name")
    other = note(m.create_experiment, "other", tags={"a": "b"})
    note(m.set_experiment, experiment_id=other)
    note(m.set_experiment)
    note(m.set_experiment, "other", other)
    note(m.set_experiment, experiment_id="77777")
    note(m.set_experiment, "")
    note(m.set_experiment_tag, "number", 1)
    note(m.set_experiment_tags, {"more": None, "most": True})
    note(m.delete_experiment_tag, "number")
    note(m.delete_experiment_tag, "number")
    note(m.get_experiment, other)
    note(m.get_experiment_by_name, "none")
    note(m.delete_experiment, other)
    note(m.set_experiment, "other")
    note(m.start_run)
    note(m.search_experiments, view_type=2)
    note(m.restore_experiment, other)
    note(m.search_experiments, max_results=1, filter_string="name = 'other'")
    note(m.search_experiments, max_results=0)
    note(m.search_experiments, order_by=["name DESC"], filter_string="name LIKE '%o%'")


def runs_are_nested(m: Any, note: Notes) -> None:
    m.set_experiment("nested")
    note(m.last_active_run)
    with note(m.start_run, run_name="parent", tags={"a": "1"}, description="about") as parent:
        note(m.active_run)
        note(m.start_run)
        with note(m.start_run, run_name="child", nested=True) as child:
            note(m.get_parent_run, child.info.run_id)
            note(m.start_run, nested=True, parent_run_id=NOTHING)
            note(m.start_run, nested=True, parent_run_id=parent.info.run_id)
        note(m.last_active_run)
    note(m.active_run)
    note(m.last_active_run)
    with note(m.start_run, run_name="late child", parent_run_id=parent.info.run_id):
        pass
    note(m.start_run, parent_run_id=NOTHING)
    note(m.start_run, parent_run_id="no id")
    children = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    note(m.search_runs, filter_string=children, order_by=["run_name"], output_format="list")
    m.delete_run(parent.info.run_id)
    note(m.start_run, parent_run_id=parent.info.run_id)
    note(m.restore_run, parent.info.run_id)


def runs_end_as_they_should(m: Any, note: Notes) -> None:
    m.set_experiment("ends")

    def fails() -> None:
        with m.start_run(run_name="fails"):
            raise RuntimeError("inside")

    def is_ended_inside() -> None:
        with m.start_run(run_name="ended"):
            m.end_run("KILLED")

    note(fails)
    note(m.last_active_run)
    note(is_ended_inside)
    note(m.last_active_run)
    note(m.end_run)
    m.start_run(run_name="unknown status")
    note(m.end_run, "DONE")
    note(m.active_run)
    note(m.last_active_run)
    note(m.start_run, description="x", tags={"mlflow.note.content": "y"})
    note(m.start_run, experiment_id=1.5)
    note(m.start_run, experiment_id="77777")
    note(m.active_run)


def runs_are_resumed(m: Any, note: Notes) -> None:
    m.set_experiment("resumed")
    with m.start_run(run_name="first") as run:
        m.log_param("p", 1)
    run_id = run.info.run_id
    with note(m.start_run, run_id, run_name="second", tags={"t": 5}, description="again"):
        note(m.log_param, "p", 2)
        note(m.log_param, "q", 2)
    note(m.get_run, run_id)
    note(m.start_run, NOTHING)
    note(m.start_run, "no id")
    os.environ["MLFLOW_RUN_ID"] = run_id
    note(m.start_run)
    note(lambda: os.environ.get("MLFLOW_RUN_ID"))
    m.end_run()
    m.set_experiment("another")
    note(m.start_run, run_id)
    m.set_experiment("resumed")
    m.delete_run(run_id)
    note(m.start_run, run_id)
    note(m.active_run)


def experiments_come_from_the_environment(m: Any, note: Notes) -> None:
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "from the environment"
    with m.start_run(run_name="one") as run:
        note(m.get_experiment, run.info.experiment_id)
    os.environ["MLFLOW_EXPERIMENT_ID"] = "0"
    note(m.start_run)
    del os.environ["MLFLOW_EXPERIMENT_NAME"]
    note(m.start_run, run_name="two")
    m.end_run()
    os.environ["MLFLOW_EXPERIMENT_ID"] = "77777"
    note(m.start_run)
    del os.environ["MLFLOW_EXPERIMENT_ID"]
    with m.start_run(run_name="three") as run:
        note(m.get_experiment, run.info.experiment_id)


def everything_is_logged(m: Any, note: Notes) -> None:
    m.set_experiment("logged")
    note(m.log_param, "starts a run", 1)
    note(m.log_params, {"a": 1, "b": None, "c": [1]})
    note(m.log_params, {"a": 2})
    note(m.log_metric, "m", 1, step=2)
    note(m.log_metric, "m", "2.5", step=3)
    note(m.log_metric, "m", None)
    note(m.log_metric, "m", "x")
    note(m.log_metric, "m", [1])
    note(m.log_metrics, {"m": 7, "n": 0.5}, step=9)
    note(m.log_metrics, {})
    note(m.log_metrics, {"m": None})
    note(m.set_tag, "t", 1)
    note(m.set_tags, {"t": 2, "u": None})
    note(m.delete_tag, "u")
    note(m.delete_tag, "u")
    note(m.log_input)
    note(m.log_inputs, [None], ["x"], [])
    note(m.log_inputs, [None], ["x"], [None])
    dataset = mlflow.entities.Dataset("d", "1", "local", "here")
    note(m.log_metric, "with dataset", 1.0, dataset=dataset)
    note(m.log_metrics, {"with dataset too": 1.0}, dataset=dataset)
    run_id = m.active_run().info.run_id
    note(m.get_run, run_id)
    note(m.tracking.MlflowClient().get_metric_history, run_id, "m")
    m.end_run()
    note(m.log_metric, "later", 1.0, run_id=run_id)
    note(m.log_params, {"later": 1}, run_id=run_id)
    note(m.log_metric, "later", 1.0, run_id=NOTHING)
    note(m.active_run)
    note(m.get_run, run_id)


def a_time_of_zero_is_given(m: Any, note: Notes) -> None:
    m.set_experiment("at zero")
    with m.start_run(run_name="r") as run:
        m.log_metric("one", 1.0, timestamp=0)
        m.log_metrics({"several": 1.0}, timestamp=0)
        m.log_metric("later", 1.0, timestamp=1)
        m.log_metric("now", 1.0)
    client = m.tracking.MlflowClient()
    for key in ("one", "several", "later", "now"):
        note(lambda key=key: [point.timestamp for point in client.get_metric_history(run.info.run_id, key)])


def operations_can_be_asynchronous(m: Any, note: Notes) -> None:
    m.set_experiment("asynchronous")
    with m.start_run(run_name="r") as run:
        note(m.log_param("p", 1, synchronous=False).wait)
        note(m.log_param("p", 2, synchronous=False).wait)
        note(m.log_metric("m", 1, synchronous=False).wait)
        note(m.log_metrics({"n": 1}, synchronous=False).wait)
        note(m.set_tags({"t": 1}, synchronous=False).wait)
        note(m.log_params, {}, synchronous=False)
    note(m.get_run, run.info.run_id)


def artifacts_are_stored(m: Any, note: Notes) -> None:
    m.set_experiment("stored")
    with m.start_run(run_name="r") as run:
        m.log_text("text", "folder/x.txt")
        m.log_dict({"a": 1}, "d.json")
    run_id = run.info.run_id
    note(m.artifacts.list_artifacts, run_id=run_id)
    note(m.artifacts.list_artifacts, f"runs:/{run_id}/folder")
    note(m.artifacts.load_text, f"runs:/{run_id}/folder/x.txt")
    note(m.artifacts.load_dict, f"runs:/{run_id}/d.json")
    note(m.artifacts.load_dict, f"runs:/{run_id}/folder/x.txt")
    note(m.artifacts.download_artifacts)
    note(m.artifacts.download_artifacts, f"runs:/{run_id}/d.json", artifact_path="a")
    note(m.artifacts.download_artifacts, run_id=run_id, artifact_path="none")
    note(lambda: m.artifacts.download_artifacts(run_id=run_id, artifact_path="d.json").rpartition("/")[2])
    note(lambda: m.artifacts.download_artifacts(f"runs:/{run_id}/folder").rpartition("/")[2])


def searches_choose_their_experiments(m: Any, note: Notes) -> None:
    for name in ("search one", "search two"):
        m.set_experiment(name)
        for i in range(3):
            with m.start_run(run_name=f"{name} {i}", tags={"common": "yes"}):
                m.log_metric("m", i)
    by_name = {"order_by": ["run_name"], "output_format": "list"}
    one = m.get_experiment_by_name("search one").experiment_id
    note(m.search_runs, **by_name)
    note(m.search_runs, [one], "metrics.m > 0", **by_name)
    note(m.search_runs, one, **by_name)
    note(m.search_runs, experiment_names=["search one", "none", "search two"], **by_name)
    note(m.search_runs, experiment_names=["none"], filter_string="no filter", **by_name)
    note(m.search_runs, [one], experiment_names=["search one"])
    note(m.search_runs, search_all_experiments=True, filter_string="tags.common = 'yes'", **by_name)
    note(m.search_runs, [one], search_all_experiments=True, **by_name)
    note(m.search_runs, max_results=1, **by_name)
    note(m.search_runs, max_results=None, **by_name)
    note(m.search_runs, max_results=0, filter_string="no filter", **by_name)
    note(m.search_runs, max_results=-1, **by_name)
    note(m.search_runs, output_format="table")


def every_thread_has_its_own_runs(m: Any, note: Notes) -> None:
    m.set_experiment("threads")

    def elsewhere() -> None:
        note(m.active_run)
        note(m.last_active_run)
        with m.start_run(run_name="elsewhere"):
            note(m.active_run)

    with m.start_run(run_name="here"):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        note(m.active_run)
    note(m.last_active_run)


SCRIPTS = [
    experiments_are_set_and_found,
    runs_are_nested,
    runs_end_as_they_should,
    runs_are_resumed,
    experiments_come_from_the_environment,
    everything_is_logged,
    a_time_of_zero_is_given,
    operations_can_be_asynchronous,
    artifacts_are_stored,
    searches_choose_their_experiments,
    every_thread_has_its_own_runs,
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
@pytest.mark.filterwarnings("ignore::Warning:mlflow")
def test_a_script_sees_what_it_sees_with_mlflow(
    script: Callable[[Any, Notes], None], database: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, actual = Notes(), Notes()

    mlflow_state._active_experiment_id = None
    mlflow_state._last_active_run_id.set(None)
    script(mlflow, expected)
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    fluent.use(store, INSTALLED.name)
    script(fluent, actual)

    assert expected.lines == actual.lines


def test_a_bare_string_names_one_experiment() -> None:
    fluent.use()
    fluent.set_experiment("one")
    with fluent.start_run() as run:
        pass
    fluent.set_experiment("other")

    found = fluent.search_runs(experiment_names="one", output_format="list")

    assert [run.info.run_id] == [each.info.run_id for each in found]


def only_dataset(run: entities.Run) -> entities.DatasetInput:
    assert run.inputs is not None
    (found,) = run.inputs.dataset_inputs
    return found


def test_an_entity_is_taken_as_the_dataset_of_a_run() -> None:
    fluent.use()
    with fluent.start_run() as run:
        fluent.log_input(entities.Dataset("d", "1", "local", "here"), context="train", tags={"a": "b"})

    found = only_dataset(fluent.get_run(run.info.run_id))

    assert "d" == found.dataset.name
    assert {"a": "b", "mlflow.data.context": "train"} == {tag.key: tag.value for tag in found.tags}


def test_what_mlflow_data_makes_is_taken_as_the_dataset_of_a_run() -> None:
    import numpy as np
    from mlflow.data.numpy_dataset import from_numpy

    made = from_numpy(np.array([1.0, 2.0]), name="made")
    fluent.use()
    with fluent.start_run() as run:
        fluent.log_input(made)

    found = only_dataset(fluent.get_run(run.info.run_id))

    assert ("made", made.digest) == (found.dataset.name, found.dataset.digest)


def test_system_metrics_are_not_recorded_without_a_word() -> None:
    fluent.use()

    with pytest.warns(UserWarning, match="no system metrics"), fluent.start_run(log_system_metrics=True):
        pass


def test_using_another_store_forgets_what_was_active() -> None:
    fluent.use()
    fluent.set_experiment("left behind")
    fluent.start_run()

    client = fluent.use(Store(), "azure")

    assert fluent.active_run() is None
    assert fluent.last_active_run() is None
    assert "azure" == fluent.MlflowClient().dialect == client.dialect
    assert client.store is fluent.MlflowClient().store


def test_a_client_is_used_as_it_is() -> None:
    from mlquery import Client

    client = Client(Store(), "extended")

    assert client is fluent.use(client)
    assert "oss" == fluent.use(client, "oss").dialect


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown dialect 'nothing'"):
        fluent.use(dialect="nothing")
