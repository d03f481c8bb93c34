"""The same scripts through MLflow on SQLite and through this package: the same answers, the same errors.

A script calls what it is given, `MlflowClient` or `Client`, and notes what comes back.
Ids of runs, random names and the times of the clock are left out of the notes; error codes and wording are in them.
"""

from __future__ import annotations

import io
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from mlquery import Client, Store, entities
from tests.support.installed_mlflow import INSTALLED
from tests.support.notes import NOTHING, Notes

# One worker runs them all: an MLflow database takes a second to make.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("client beside mlflow")]


@pytest.fixture(scope="module", autouse=True)
def calm() -> Iterator[None]:
    """Keep MLflow quiet and its environment variables to itself."""
    kept = dict(os.environ)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def theirs(database: str) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(database)


@pytest.fixture(scope="module")
def ours() -> Client:
    return Client(Store(), INSTALLED)


# --- scripts for the client -----------------------------------------------------------------------------------------


def names_and_lifecycle_of_experiments(client: Any, note: Notes) -> None:
    first = note(client.create_experiment, "life", tags={"a": "1"})
    note(client.create_experiment, "life")
    note(client.create_experiment, "")
    note(client.create_experiment, None)
    note(client.create_experiment, 5)
    note(client.create_experiment, "n" * 501)
    note(client.create_experiment, " \t")
    note(client.rename_experiment, first, "\u2003")
    note(client.rename_experiment, first, "life")
    note(client.create_experiment, "located", "runs:/a/b")
    note(client.get_experiment, first)
    note(client.get_experiment, int(first))
    note(client.get_experiment, "77777")
    note(client.get_experiment, "seven")
    note(client.get_experiment_by_name, "life")
    note(client.get_experiment_by_name, "nowhere")
    note(client.rename_experiment, first, "renamed")
    with pytest.raises(Exception, match="Default") as refused:
        client.rename_experiment(first, "Default")
    note(lambda: getattr(refused.value, "error_code", None))
    note(client.rename_experiment, first, None)
    note(client.get_experiment, first)
    note(client.delete_experiment, first)
    note(client.delete_experiment, first)
    note(client.rename_experiment, first, "again")
    note(client.get_experiment_by_name, "renamed")
    note(client.create_experiment, "renamed")
    note(client.set_experiment_tag, first, "b", 2)
    note(client.create_run, first)
    note(client.restore_experiment, first)
    note(client.restore_experiment, first)
    note(client.delete_experiment, "77777")
    note(client.restore_experiment, "77777")


def tags_of_experiments(client: Any, note: Notes) -> None:
    experiment = note(client.create_experiment, "tagged")
    note(client.set_experiment_tag, experiment, "number", 5)
    note(client.set_experiment_tag, experiment, "nothing", None)
    note(client.set_experiment_tag, experiment, "number", 6.5)
    note(client.set_experiment_tag, experiment, "a//b", "x")
    note(client.set_experiment_tag, "77777", "a", "x")
    note(client.get_experiment, experiment)
    note(client.delete_experiment_tag, experiment, "number")
    note(client.delete_experiment_tag, experiment, "number")
    note(client.get_experiment, experiment)


def creating_and_ending_runs(client: Any, note: Notes) -> None:
    experiment = client.create_experiment("runs")
    run = note.run(client.create_run(experiment, 1000, {"mlflow.user": "ann", "k": "v"}, "named"))
    note(client.get_run, run)
    unnamed = note.run(client.create_run(experiment, start_time=2000))
    note(client.get_run, unnamed)
    clocked = note.run(client.create_run(experiment, start_time=0, tags={"mlflow.runName": "by tag"}))
    note(client.get_run, clocked)
    note(client.create_run, experiment, tags={"mlflow.runName": "one"}, run_name="two")
    numbers = note.run(client.create_run(experiment, 1, {"a": 1, "b": True, "c": 1.5, "mlflow.user": 7}, 8))
    note(client.get_run, numbers)
    note(client.create_run, experiment, 1, {"mlflow.user": None})
    note(client.update_run, run, "FAILED")
    note(client.update_run, run, name="other")
    note(client.update_run, run)
    note(client.update_run, run, "Finished")
    note(client.get_run, run)
    note(client.set_terminated, run, end_time=5000)
    note(client.get_run, run)
    note(client.set_terminated, unnamed, "KILLED", 6000)
    note(client.set_terminated, clocked)
    note(client.set_terminated, clocked, "Done")
    note(client.get_run, clocked)
    note(client.get_run, unnamed)
    note(client.create_run, "77777")
    note(client.get_run, NOTHING)
    note(client.get_run, "not an id")
    note(client.get_run, "")
    note(client.get_run, None)
    note(client.update_run, NOTHING, "FAILED")
    note(client.set_terminated, NOTHING)


def parents_of_runs(client: Any, note: Notes) -> None:
    experiment = client.create_experiment("parents")
    parent = note.run(client.create_run(experiment, 1))
    child = note.run(client.create_run(experiment, 2, {"mlflow.parentRunId": parent}))
    orphan = note.run(client.create_run(experiment, 3, {"mlflow.parentRunId": NOTHING}))
    note(client.get_parent_run, parent)
    note(client.get_parent_run, child)
    note(client.get_parent_run, orphan)
    note(client.get_parent_run, NOTHING)


def deleted_runs_refuse_writes(client: Any, note: Notes) -> None:
    experiment = client.create_experiment("deleted runs")
    run = note.run(client.create_run(experiment, 1))
    note(client.delete_run, run)
    note(client.delete_run, run)
    note(client.log_metric, run, "m", 1.0, 1)
    note(client.log_param, run, "p", 1)
    note(client.set_tag, run, "t", 1)
    note(client.delete_tag, run, "mlflow.runName")
    note(client.log_batch, run, [entities.Metric("m", 1.0, 1, 0)])
    note(client.set_terminated, run, end_time=9)
    note(client.update_run, run, "FAILED")
    note(client.get_run, run)
    note(client.restore_run, run)
    note(client.restore_run, run)
    note(client.get_run, run)
    note(client.delete_run, NOTHING)
    note(client.restore_run, NOTHING)


def runs_follow_their_experiment(client: Any, note: Notes) -> None:
    experiment = client.create_experiment("follow")
    run = note.run(client.create_run(experiment, 1))
    client.delete_experiment(experiment)
    note(client.get_run, run)
    note(client.log_param, run, "p", 1)
    client.restore_experiment(experiment)
    note(client.get_run, run)


def values_are_converted(client: Any, note: Notes) -> None:
    run = note.run(client.create_run(client.create_experiment("values"), 1))
    given = [1, True, "2.5", "x", None, [1], math.inf, -math.inf, math.nan, np.float32(0.5), np.int64(3), 10**400]
    for place, value in enumerate([*given, np.array([4.0]), np.array([1.0, 2.0]), np.array([[7]])]):
        note(client.log_metric, run, f"m{place}", value, 1)
    for place, value in enumerate([1, 2.5, None, True, "text", [1, 2], {"a": 1}, np.float64(1.5), ""]):
        note(client.log_param, run, f"p{place}", value)
        note(client.set_tag, run, f"t{place}", value)
    note(client.log_metric, run, "default step", 1.0, timestamp=7)
    note(client.log_metric, run, "default time", 1.0)
    note(client.log_metric, run, "step", 1.0, 7, -3)
    note(client.log_metric, run, "negative", 1.0, -1)
    note(client.log_metric, run, "half a dataset", 1.0, 1, dataset_name="d")
    note(client.log_metric, run, "dataset", 1.0, 1, dataset_name="d", dataset_digest="1")
    note(client.get_run, run)


def bad_keys_are_refused(client: Any, note: Notes) -> None:
    run = note.run(client.create_run(client.create_experiment("keys"), 1))
    for key in [None, "", "a b", "a/b", "a//b", "/a", "..", ".", "a*b", "é", "a:b", "k" * 250, "k" * 251]:
        note(client.log_metric, run, key, 1.0, 1)
        note(client.log_param, run, key, 1)
        note(client.set_tag, run, key, 1)
    note(client.get_run, run)


def params_cannot_change_and_tags_can(client: Any, note: Notes) -> None:
    run = note.run(client.create_run(client.create_experiment("changes"), 1))
    note(client.log_param, run, "p", 1)
    note(client.log_param, run, "p", "1")
    note(client.log_param, run, "p", 2)
    note(client.set_tag, run, "t", 1)
    note(client.set_tag, run, "t", 2)
    note(client.set_tag, run, "mlflow.runName", "renamed")
    note(client.delete_tag, run, "t")
    note(client.delete_tag, run, "t")
    note(client.log_param, NOTHING, "p", 1)
    note(client.set_tag, NOTHING, "p", 1)
    note(client.log_metric, NOTHING, "p", 1)
    note(client.delete_tag, NOTHING, "p")
    note(client.get_run, run)


def batches_are_cut_and_checked(client: Any, note: Notes) -> None:
    untyped: Any = entities
    run = note.run(client.create_run(client.create_experiment("batches"), 1))
    metrics = [entities.Metric(f"m{i % 7}", float(i), i, i) for i in range(1100)]
    params = [entities.Param(f"p{i}", str(i)) for i in range(130)]
    tags = [entities.RunTag(f"t{i}", str(i)) for i in range(110)]
    note(client.log_batch, run, metrics, params, tags)
    note(client.get_run, run)
    note(client.log_batch, run)
    note(client.log_batch, run, params=[untyped.Param("number", 5)])
    note(client.log_batch, run, params=[entities.Param("new", "1"), entities.Param("p0", "other")])
    note(client.log_batch, run, params=[entities.Param("twice", "1"), entities.Param("twice", "1")])
    note(client.log_batch, run, [entities.Metric("fresh", 1.0, 1, 0), untyped.Metric("bad", None, 1, 0)])
    note(client.log_batch, run, [entities.Metric("int", 3, 1, 0), untyped.Metric("text", "x", 1, 0)])
    note(client.log_batch, NOTHING, params=[entities.Param("a", "1")])
    note(client.get_run, run)


def histories_keep_every_point(client: Any, note: Notes) -> None:
    run = note.run(client.create_run(client.create_experiment("histories"), 1))
    for value, timestamp, step in [(3.0, 5, 1), (1.0, 2, 2), (math.nan, 3, 3), (4.0, 9, 0), (4.0, 9, 0)]:
        client.log_metric(run, "m", value, timestamp, step)
    note(client.get_metric_history, run, "m")
    note(client.get_metric_history, run, "none")
    note(client.get_metric_history, NOTHING, "m")
    note(client.get_run, run)


def datasets_are_inputs(client: Any, note: Notes) -> None:
    run = note.run(client.create_run(client.create_experiment("datasets"), 1))
    made = mlflow.entities.Dataset("d", "1", "local", "here", "s", "p")
    tags = [mlflow.entities.InputTag("mlflow.data.context", "train")]
    note(client.log_inputs, run, [mlflow.entities.DatasetInput(made, tags)])
    note(client.log_inputs, run, [mlflow.entities.DatasetInput(made, [])])
    note(client.log_inputs, run)
    note(client.log_inputs, NOTHING, [mlflow.entities.DatasetInput(made, [])])
    note(client.get_run, run)


def asynchronous_calls_return_operations(client: Any, note: Notes) -> None:
    run = note.run(client.create_run(client.create_experiment("asynchronous"), 1))
    note(client.log_metric(run, "m", 1.0, 1, synchronous=False).wait)
    note(client.set_tag(run, "t", 1, synchronous=False).wait)
    note(client.log_param(run, "p", 1, synchronous=False).wait)
    note(client.log_param(run, "p", 2, synchronous=False).wait)
    note(client.log_batch(run, tags=[entities.RunTag("b", "1")], synchronous=False).wait)
    note(client.log_batch, run, synchronous=False)
    note(client.get_run, run)


def searches_and_pages(client: Any, note: Notes) -> None:
    experiment = client.create_experiment("search")
    for i in range(7):
        run = note.run(client.create_run(experiment, 100 - i % 3, {"even": str(i % 2 == 0)}, f"r{i}"))
        client.log_metric(run, "loss", [0.5, math.nan, 0.1][i % 3], 1)
        client.log_param(run, "lr", 10.0**-i)
    client.delete_run(run)
    for filter_string in ["", "metrics.loss < 0.3", "tags.even = 'True' and params.lr LIKE '1%'", " ", "a b"]:
        note(client.search_runs, [experiment], filter_string, 1, 1000, ["attributes.run_name ASC"])
    for view in (1, 2, 3):
        note(client.search_runs, experiment, run_view_type=view, order_by=["params.lr DESC"])
    note(client.search_runs, int(experiment), order_by=["metrics.loss", "run_name"])
    page = note(client.search_runs, [experiment], max_results=4, order_by=["run_name"])
    note(client.search_runs, [experiment], max_results=4, order_by=["run_name"], page_token=page.token)
    note(client.search_runs, [experiment], page_token="nonsense")
    note(client.search_runs, [experiment], max_results=0)
    note(client.search_runs, [experiment], max_results=50_001)
    note(client.search_runs, [])


def searches_of_experiments(client: Any, note: Notes) -> None:
    client.create_experiment("find.1", tags={"find": "x"})
    second = client.create_experiment("find.2", tags={"find": "y"})
    client.delete_experiment(second)
    note(client.search_experiments, filter_string="tags.find = 'x'")
    note(client.search_experiments, 3, 1000, "name LIKE 'find%'", ["name DESC"])
    note(client.search_experiments, 2, 1000, "name ILIKE 'FIND%'")
    note(client.search_experiments, 3, 1, "name LIKE 'find%'", ["name"])
    note(client.search_experiments, filter_string="nothing")
    note(client.search_experiments, max_results=0)


def artifacts_are_listed(client: Any, note: Notes) -> None:
    run = note.run(client.create_run(client.create_experiment("artifacts", str(note.top / "stored")), 1))
    (note.top / "local/deep").mkdir(parents=True, exist_ok=True)
    (note.top / "local/deep/a.bin").write_bytes(b"123")
    (note.top / "local/b.bin").write_bytes(b"1")
    note(client.log_text, run, "hé", "folder/x.txt")
    note(client.log_text, run, "top", "./y/../x.txt")
    note(client.log_text, run, "no", "/abs/x.txt")
    note(client.log_text, run, "no", "../x.txt")
    note(client.log_dict, run, {"a": {1}}, "d.json")
    note(client.log_dict, run, {"a": [1]}, "d.yaml")
    note(client.log_stream, run, io.BytesIO(b"0123456789"), "s.bin")
    note(client.log_artifact, run, str(note.top / "local/b.bin"))
    note(client.log_artifact, run, str(note.top / "local"), "up")
    note(client.log_artifact, run, str(note.top / "none"))
    note(client.log_artifact, run, str(note.top / "local/b.bin"), "../up")
    note(client.log_artifacts, run, str(note.top / "local"), "all")
    note(client.log_artifacts, run, str(note.top / "none"))
    note(client.log_text, NOTHING, "no", "x.txt")
    for path in [None, "", "folder", "folder/", "folder/x.txt", "up", "up/local", "all/deep", "none", "..", "/a", "."]:
        note(client.list_artifacts, run, path)
    note(client.list_artifacts, NOTHING)
    note(client.list_artifacts, NOTHING, "a")


def artifacts_are_downloaded(client: Any, note: Notes) -> None:
    run = note.run(client.create_run(client.create_experiment("downloads", str(note.top / "stored")), 1))
    client.log_text(run, "hé", "folder/deep/x.txt")
    client.log_text(run, "y", "y.txt")
    goal = note.top / "downloads"
    goal.mkdir(exist_ok=True)
    for path in ["y.txt", "folder/deep/x.txt", "folder", "folder/deep", "", "none", "folder/none.txt"]:
        note(client.download_artifacts, run, path, str(goal))
        note(lambda: sorted((str(f.relative_to(goal)), f.read_text("utf-8")) for f in goal.rglob("*.txt")))
    note(client.download_artifacts, NOTHING, "a", str(goal))
    note(lambda: Path(client.download_artifacts(run, "folder/deep/x.txt")).read_text("utf-8"))


CLIENT_SCRIPTS = [
    names_and_lifecycle_of_experiments,
    tags_of_experiments,
    creating_and_ending_runs,
    parents_of_runs,
    deleted_runs_refuse_writes,
    runs_follow_their_experiment,
    values_are_converted,
    bad_keys_are_refused,
    params_cannot_change_and_tags_can,
    batches_are_cut_and_checked,
    histories_keep_every_point,
    datasets_are_inputs,
    asynchronous_calls_return_operations,
    searches_and_pages,
    searches_of_experiments,
    artifacts_are_listed,
    artifacts_are_downloaded,
]


@pytest.mark.parametrize("script", CLIENT_SCRIPTS, ids=lambda script: script.__name__)
def test_the_client_answers_what_mlflow_answers(
    script: Callable[[Any, Notes], None], theirs: Any, ours: Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected, actual = Notes(tmp_path_factory.mktemp("theirs")), Notes(tmp_path_factory.mktemp("ours"))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script(theirs, expected)
    script(ours, actual)

    assert expected.seen == actual.seen
