"""Scripts about logged and registered models through MLflow on SQLite and through this package: the same answers."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import mlflow
import mlflow.tracking.fluent as mlflow_fluent
import pytest

from mlquery import Client, Store, entities, fluent
from tests.support.installed_mlflow import INSTALLED
from tests.support.notes import Notes

# One worker runs them all: an MLflow database takes a second to make.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("client beside mlflow")]
Script = Callable[[Any, Notes], None]
MISSING = "m-" + "0" * 32


@pytest.fixture(scope="module", autouse=True)
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep MLflow quiet, its artifacts out of the checkout, and the experiment that it makes active to itself."""
    logging.disable(logging.CRITICAL)
    with pytest.MonkeyPatch.context() as patch, mock.patch.dict(os.environ):
        patch.chdir(tmp_path_factory.mktemp("artifacts"))
        patch.setattr(mlflow_fluent, "_active_experiment_id", None)
        yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def ours() -> Client:
    """Return a client whose clock moves on with every look, as MLflow is never so quick as to do two things at once."""
    times = count(1_700_000_000_000)
    return Client(Store(clock=lambda: next(times)), INSTALLED)


# --- scripts for the client -----------------------------------------------------------------------------------------


def logged_models_are_made_and_changed(client: Any, note: Notes) -> None:
    experiment = client.create_experiment("logged")
    run = note.run(client.create_run(experiment, 1))
    model = note.model(client.create_logged_model(experiment, "net", run, {"a": 1}, {"lr": 0.1}, "classifier"))
    note(client.get_logged_model, model)
    note(client.log_model_params, model, {"depth": 3})
    note(client.log_model_params, MISSING, {"depth": 3})
    note(client.set_logged_model_tags, model, {"b": 2})
    note(client.set_logged_model_tags, MISSING, {"b": 2})
    note(client.delete_logged_model_tag, model, "a")
    note(client.delete_logged_model_tag, model, "none")
    note(client.delete_logged_model_tag, "", "none")
    note(client.finalize_logged_model, model, "READY")
    note(client.finalize_logged_model, model, "DONE")
    note(client.finalize_logged_model, MISSING, "FAILED")
    note(client.create_logged_model, experiment, "a/b")
    note(client.create_logged_model, "77", "net")
    note(client.get_logged_model, "")
    note(client.get_logged_model, MISSING)
    client.log_metric(run, "acc", 0.5, 7, 1, model_id=model)
    note(client.get_logged_model, model)
    note(client.delete_logged_model, model)
    note(client.get_logged_model, model)
    note(client.delete_logged_model, MISSING)


def runs_read_and_write_models(client: Any, note: Notes) -> None:
    experiment = client.create_experiment("inputs and outputs")
    run = note.run(client.create_run(experiment, 1))
    first, second = (note.model(client.create_logged_model(experiment, name)) for name in ("first", "second"))
    kinds = client_entities(client)
    note(client.log_inputs, run, models=[kinds.LoggedModelInput(first)])
    note(client.log_outputs, run, [kinds.LoggedModelOutput(second, 3)])
    note(lambda: client.get_run(run).inputs.model_inputs)
    note(lambda: client.get_run(run).outputs.model_outputs)
    note(lambda: client.search_runs([experiment])[0].outputs.model_outputs)


def logged_models_are_found(client: Any, note: Notes) -> None:
    experiment = client.create_experiment("found")
    for number, name in enumerate(("a", "b", "c", "b")):
        tags, params = {"even": str(not number % 2)}, {"n": str(number)}
        note.model(client.create_logged_model(experiment, name, params=params, tags=tags))
    for text in (None, "name = 'b'", "params.n = '2'", "tags.even = 'True'", "name LIKE 'a%'", "name = 'b' AND x"):
        note(client.search_logged_models, [experiment], text, order_by=[{"field_name": "name"}])
    for text in ("= 'PENDING'", "!= 'READY'", "IN ('READY', 'PENDING')", "NOT IN ('PENDING')", "= '1'", "LIKE 'P%'"):
        note(lambda text=text: [m.name for m in client.search_logged_models([experiment], f"status {text}")])
    page = note(client.search_logged_models, [experiment], max_results=3, order_by=[{"field_name": "name"}])
    note(client.search_logged_models, [experiment], None, None, 3, [{"field_name": "name"}], page.token)
    note(client.search_logged_models, experiment)
    note(client.search_logged_models, [experiment], order_by=[{"field_name": "nothing"}])


# The value, time, step, run and dataset of the points of a metric that each model has.
_POINTS: dict[str, list[tuple[float, int, int, int, str | None]]] = {
    "step over time": [(1.0, 10, 5, 0, None), (9.0, 20, 1, 0, None)],
    "one": [(5.0, 10, 1, 0, None)],
    "two runs": [(2.0, 10, 5, 0, None), (7.0, 10, 5, 1, None)],
    "datasets": [(3.0, 30, 5, 0, "x"), (8.0, 10, 9, 0, "y"), (6.0, 40, 5, 0, "x")],
    "not a number": [(float("nan"), 1, 9, 0, None), (4.0, 1, 8, 0, None)],
    "time over value": [(6.5, 10, 5, 0, None), (4.5, 20, 5, 1, None)],
    "none": [],
}


def logged_models_are_found_by_their_metrics(client: Any, note: Notes) -> None:
    experiment = client.create_experiment("found by metrics")
    runs = [client.create_run(experiment, number).info.run_id for number in range(2)]
    for name, points in _POINTS.items():
        if name == "two runs" and "latest_by" in INSTALLED.logged_models:
            continue  # before 3.18, the first of their random ids decided
        model = note.model(client.create_logged_model(experiment, name))
        for value, time, step, run, dataset in points:
            about = {"dataset_name": dataset, "dataset_digest": dataset and "d", "model_id": model}
            client.log_metric(runs[run], "k", value, time, step, **about)

    def found(**query: Any) -> list[str]:
        return [model.name for model in client.search_logged_models([experiment], **query)]

    datasets = [None, [{"dataset_name": "x"}], [{"dataset_name": "x", "dataset_digest": "d"}, {"dataset_name": "y"}]]
    for chosen in datasets:
        note(found, datasets=chosen)
        for term in ({}, {"dataset_name": "x"}, {"dataset_name": "y", "dataset_digest": "d"}, {"dataset_digest": "q"}):
            for ascending in (True, False):
                order_by = [{"field_name": "metrics.k", "ascending": ascending, **term}]
                note(found, datasets=chosen, order_by=order_by)
        for text in ("> 6", "< 2", "= 4", "!= 4", "> 4 AND metrics.k < 7", "= 0", ">= 0"):
            note(found, datasets=chosen, filter_string=f"metrics.k {text}")


def registered_models_have_versions(client: Any, note: Notes) -> None:
    note(client.create_registered_model, "forest", {"team": 7}, "trees")
    note(client.create_registered_model, "forest")
    note(client.create_registered_model, "")
    run = note.run(client.create_run(client.create_experiment("versions"), 1))
    note(client.create_model_version, "forest", "s3://here", run, {"a": 1}, "link", "first")
    note(client.create_model_version, "forest", "models:/forest/1")
    note(client.create_model_version, "forest", "models:/forest/9")
    note(client.create_model_version, "none", "s3://here")
    note(client.get_registered_model, "forest")
    note(client.get_model_version, "forest", "1")
    note(client.get_model_version, "forest", "x")
    note(client.get_model_version_download_uri, "forest", 2)
    note(client.update_registered_model, "forest", "more trees")
    note(client.update_model_version, "forest", "1", "old")
    note(client.update_model_version, "forest", "1")
    note(client.transition_model_version_stage, "forest", "1", "Staging")
    note(client.transition_model_version_stage, "forest", "2", "Staging", True)
    note(client.transition_model_version_stage, "forest", "2", " ")
    note(client.get_latest_versions, "forest")
    note(client.get_latest_versions, "forest", ["Staging"])
    note(client.get_model_version_stages, "forest", "1")
    note(client.rename_registered_model, "forest", " ")
    note(lambda: client.rename_registered_model("forest", "wood") and None)
    note(client.get_registered_model, "wood")
    note(client.delete_model_version, "wood", "1")
    note(client.get_model_version, "wood", "1")
    note(client.delete_registered_model, "wood")
    note(client.delete_registered_model, "wood")


def tags_and_aliases_of_models(client: Any, note: Notes) -> None:
    client.create_registered_model("tagged")
    for _ in range(2):
        client.create_model_version("tagged", "s3://here")
    note(client.set_registered_model_tag, "tagged", "k", 5)
    note(client.set_registered_model_tag, "none", "k", 5)
    note(client.delete_registered_model_tag, "tagged", "none")
    note(client.set_model_version_tag, "tagged", "1", "k", 5)
    note(client.set_model_version_tag, "tagged", None, "k", 5)
    note(client.set_model_version_tag, "tagged", "1", "k", 5, "Staging")
    note(client.set_model_version_tag, "tagged", key="s", value=6, stage="None")
    note(client.set_model_version_tag, "tagged", key="s", value=6, stage="Production")
    note(client.delete_model_version_tag, "tagged", "1", "k")
    note(client.set_registered_model_alias, "tagged", "best", "2")
    note(client.set_registered_model_alias, "tagged", "latest", "2")
    note(client.get_model_version_by_alias, "tagged", "best")
    note(client.get_model_version_by_alias, "tagged", "none")
    note(client.get_registered_model, "tagged")
    note(client.delete_registered_model_alias, "tagged", "best")
    note(client.get_registered_model, "tagged")


def versions_are_copied(client: Any, note: Notes) -> None:
    client.create_registered_model("source")
    client.create_model_version("source", "s3://here", tags={"a": "1"}, description="one")
    client.set_registered_model_alias("source", "best", "1")
    for uri in ("models:/source/1", "models:/source@best", "models:/source/latest", "models:/source/None"):
        note(client.copy_model_version, uri, "copy")
    for uri in ("models:/source/9", "models:/source@none", "models:/none/1", "s3://here"):
        note(lambda uri=uri: code_of(lambda: client.copy_model_version(uri, "copy")))
    note(client.get_registered_model, "copy")


def models_are_searched(client: Any, note: Notes) -> None:
    for name in ("search-a", "search-b", "search-c"):
        client.create_registered_model(name, {"n": name[-1]})
        client.create_model_version(name, f"s3://{name}")
    for text in ("name LIKE 'search-%'", "name = 'search-a'", "tags.n = 'b'", "version = 1", None):
        note(client.search_registered_models, text, 2)
    for text in ("name LIKE 'search-%'", "name = 'search-a'", "source_path = 's3://search-b'", "nothing = 1"):
        note(client.search_model_versions, text, order_by=["name DESC"])
    page = note(client.search_registered_models, "name LIKE 'search-%'", 2, ["name DESC"])
    note(client.search_registered_models, "name LIKE 'search-%'", 2, ["name DESC"], page.token)


def client_entities(client: Any) -> Any:
    return entities if isinstance(client, Client) else mlflow.entities


def code_of(call: Callable[[], Any]) -> Any:
    """Return the error code of what a call raises, whose wording is partly the database's."""
    try:
        return call()
    except Exception as error:
        return getattr(error, "error_code", type(error).__name__)


CLIENT_SCRIPTS: list[Script] = [
    logged_models_are_made_and_changed,
    runs_read_and_write_models,
    logged_models_are_found,
    logged_models_are_found_by_their_metrics,
    registered_models_have_versions,
    tags_and_aliases_of_models,
    versions_are_copied,
    models_are_searched,
]


@pytest.mark.parametrize("script", CLIENT_SCRIPTS, ids=lambda script: script.__name__)
def test_the_client_answers_about_models_what_mlflow_answers(
    script: Script, database: str, ours: Client, tmp_path: Path
) -> None:
    expected, actual = Notes(tmp_path), Notes(tmp_path)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script(mlflow.MlflowClient(database), expected)
        script(ours, actual)

    assert expected.seen == actual.seen


# --- scripts for the module -----------------------------------------------------------------------------------------


def models_are_logged_in_a_run(module: Any, note: Notes) -> None:
    module.set_experiment("fluent models")
    with module.start_run() as run:
        note.run(run)
        model = module.initialize_logged_model("net", tags={"a": "1"}, params={"b": "2"}, model_type="t")
        model_id = note.model(model)
        note(module.log_model_params, {"c": 3}, model_id)
        note(module.set_logged_model_tags, model_id, {"d": 4})
        note(module.delete_logged_model_tag, model_id, "a")
        note(module.finalize_logged_model, model_id, "READY")
        note(module.get_logged_model, model_id)
        note(module.last_logged_model)
        kinds = entities if module is fluent else mlflow.entities
        note(module.log_outputs, [kinds.LoggedModelOutput(model_id, 2)])
        note(module.log_input, model=kinds.LoggedModelInput(model_id))
    note(lambda: module.last_active_run().outputs.model_outputs)
    note(lambda: module.last_active_run().inputs.model_inputs)
    note(module.search_logged_models, output_format="list")
    note(lambda: sorted(module.search_logged_models().columns))
    note(module.search_logged_models, output_format="wrong")


def models_are_registered(module: Any, note: Notes) -> None:
    module.set_experiment("registered")
    with module.start_run() as run:
        run_id = note.run(run)
        module.log_text("flavors: {}", "here/MLmodel")
        model_id = note.model(module.initialize_logged_model("net"))
    note(lambda: module.register_model(f"runs:/{run_id}/here", "wood", tags={"a": 1}).version)
    note(lambda: module.register_model(f"models:/{model_id}", "wood").run_id)
    note(lambda: module.register_model("s3://somewhere", "wood").source)
    note(lambda: module.register_model(f"runs:/{run_id}/net", "wood").source)
    note(lambda: code_of(lambda: module.register_model(f"runs:/{run_id}/none", "wood")))
    note(lambda: module.get_logged_model(model_id).tags)
    note(module.set_model_version_tag, "wood", "1", "k", 5)
    note(lambda: [found.version for found in module.search_model_versions(filter_string="name = 'wood'")])
    note(lambda: [found.name for found in module.search_registered_models(filter_string="name = 'wood'")])
    note(lambda: len(module.search_model_versions(max_results=2, filter_string="name = 'wood'")))


@pytest.mark.parametrize(
    "script", [models_are_logged_in_a_run, models_are_registered], ids=lambda script: script.__name__
)
def test_the_module_answers_about_models_what_mlflow_answers(script: Script, tmp_path: Path) -> None:
    expected, actual = Notes(tmp_path), Notes(tmp_path)
    fluent.use(dialect=INSTALLED.name)

    before = mlflow.get_tracking_uri()
    try:
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            script(mlflow, expected)
    finally:
        mlflow.set_tracking_uri(before)
    script(fluent, actual)

    assert expected.seen == actual.seen
