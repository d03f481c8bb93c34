"""`Client` and `fluent` beside MLflow: every call that both have takes the same arguments in the same order."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import mlflow
import mlflow.artifacts
import pytest

import mlquery
from mlquery import Client, fluent
from mlquery.fluent import artifacts

Call = Callable[..., Any]

# What this package leaves out on purpose, by what it would need: calls of MLflow that are about other things than
# experiments, runs, searches and artifacts.
OTHER_SUBJECTS = {
    "traces and spans": ("trace", "span"),
    "prompts": ("prompt",),
    "evaluation datasets": ("_dataset", "create_dataset", "search_datasets", "dataset_tag"),
    "webhooks": ("webhook",),
    "MCP servers": ("mcp_",),
    "workspaces": ("workspace",),
    "pictures and tables as artifacts": ("log_figure", "log_image", "log_table", "load_table"),
}
ADDED_TO_CLIENT = {"compare_runs"}
ADDED_TO_FLUENT = {"use", "list_experiments", "entities", "artifacts", "tracking", "ViewType", "Experiment"}


def calls_of(owner: Any) -> dict[str, Call]:
    return {name: call for name, call in inspect.getmembers(owner, inspect.isfunction) if not name.startswith("_")}


def arguments_of(call: Call) -> list[tuple[str, object]]:
    return [(p.name, p.default) for p in inspect.signature(call).parameters.values()]


@pytest.mark.parametrize("name", sorted(set(calls_of(Client)) - ADDED_TO_CLIENT))
def test_a_client_method_takes_what_mlflows_takes(name: str) -> None:
    theirs = getattr(mlflow.MlflowClient, name)

    assert arguments_of(theirs) == arguments_of(getattr(Client, name))


@pytest.mark.parametrize("name", sorted(set(calls_of(fluent)) - ADDED_TO_FLUENT))
def test_a_fluent_function_takes_what_mlflows_takes(name: str) -> None:
    theirs = getattr(mlflow, name)

    assert arguments_of(theirs) == arguments_of(getattr(fluent, name))


@pytest.mark.parametrize("name", artifacts.__all__)
def test_an_artifact_function_takes_what_mlflows_takes(name: str) -> None:
    theirs = getattr(mlflow.artifacts, name)

    assert arguments_of(theirs) == arguments_of(getattr(artifacts, name))


def test_the_fluent_client_is_made_like_mlflows() -> None:
    assert arguments_of(mlflow.MlflowClient) == arguments_of(fluent.MlflowClient)


def test_a_client_method_that_is_absent_is_about_another_subject() -> None:
    absent = set(calls_of(mlflow.MlflowClient)) - set(calls_of(Client))
    words = [word for words in OTHER_SUBJECTS.values() for word in words]

    unexplained = {name for name in absent if not any(word in name for word in words)}

    assert set() == unexplained


def test_every_kind_of_call_that_is_left_out_exists_in_mlflow() -> None:
    named = {name for owner in (mlflow, mlflow.MlflowClient) for name in calls_of(owner)}

    pointless = [word for words in OTHER_SUBJECTS.values() for word in words if not any(word in n for n in named)]

    assert [] == pointless


def test_a_fluent_function_that_is_absent_is_listed() -> None:
    theirs = {name for name, call in calls_of(mlflow).items() if call.__module__ == "mlflow.tracking.fluent"}
    words = [word for words in OTHER_SUBJECTS.values() for word in words]

    absent = {name for name in theirs - set(dir(fluent)) if not any(word in name for word in words)}

    assert {
        "autolog",  # patches training libraries
        "clear_active_model",
        "create_external_model",
        "flush_artifact_async_logging",  # nothing is ever pending
        "get_active_model_id",
        "import_checkpoints",
        "set_active_model",
    } == absent


def test_the_public_names_of_the_package_resolve() -> None:
    missing = [name for name in mlquery.__all__ if getattr(mlquery, name, None) is None]

    assert [] == missing


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mlquery.nothing


def test_dir_shows_exactly_the_public_names() -> None:
    hidden = {"open"}  # `import *` leaves it out, or it would hide Python's own

    assert sorted({*mlquery.__all__, *hidden}) == dir(mlquery)


@pytest.mark.parametrize("name", sorted(name for name in mlquery.__all__ if not name.startswith("_")))
def test_no_module_hides_a_public_name(name: str) -> None:
    with suppress(ModuleNotFoundError):
        import_module(f"mlquery.{name}")

    assert inspect.ismodule(getattr(mlquery, name)) == (name in {"entities", "errors", "fluent"})


@pytest.mark.parametrize(
    ("old", "name"), [("frame", "search_frame"), ("frame", "history_frame"), ("search", "count_runs")]
)
def test_the_paths_of_the_first_release_lead_to_the_new_ones_with_a_warning(old: str, name: str) -> None:
    module = import_module(f"mlquery.{old}")

    with pytest.warns(DeprecationWarning, match=f"from mlquery import {name}"):
        found = getattr(module, name)

    assert getattr(mlquery, name) is found


def test_a_moved_name_that_is_not_public_is_found_where_it_is_now() -> None:
    from mlquery import histories

    with pytest.warns(DeprecationWarning, match="from mlquery.query.histories import downsample"):
        assert histories.downsample is import_module("mlquery.query.histories").downsample
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = histories.nothing
