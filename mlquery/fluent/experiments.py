"""Experiments as a script sees them: the active one, and creating, finding, tagging and deleting them."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from mlquery.entities import Experiment, LifecycleStage, ViewType
from mlquery.errors import invalid_parameter
from mlquery.fluent.session import client, session
from mlquery.fluent.session import experiment_id as current_experiment_id
from mlquery.query.page_tokens import all_pages

_logger = logging.getLogger("mlquery.fluent")
_PAGE = 1000


def set_experiment(
    experiment_name: str | None = None, experiment_id: str | None = None, trace_location: None = None
) -> Experiment:
    """Make an experiment the active one, creating it if no experiment has that name, and return it.

    Args:
        experiment_name: The name; give either this or the id.
        experiment_id: The id of an experiment that exists.
        trace_location: Must be None, there are no traces here.

    Raises:
        StoreError: Both or neither is given, there is no such id, or the experiment is deleted.

    **Source**: `mlflow.set_experiment` of MLflow 3.17. Unlike there, the environment keeps its MLFLOW_EXPERIMENT_ID: a
    child process does not see this store.
    """
    if (experiment_name is None) == (experiment_id is None):
        raise invalid_parameter("Must specify exactly one of: `experiment_id` or `experiment_name`.")
    _refuse_trace_location(trace_location)
    with session().experiment_lock:
        experiment = _by_name(experiment_name) if experiment_id is None else client().get_experiment(experiment_id)
        if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
            raise invalid_parameter(
                f"Cannot set a deleted experiment {experiment.name!r} as the active experiment. You can restore the "
                "experiment, or permanently delete the experiment to create a new one."
            )
        session().experiment_id = experiment.experiment_id
    return experiment


def _by_name(name: Any) -> Experiment:
    experiment = client().get_experiment_by_name(name)
    if experiment is not None:
        return experiment
    _logger.info("Experiment with name '%s' does not exist. Creating a new experiment.", name)
    return client().get_experiment(client().create_experiment(name))


def _refuse_trace_location(trace_location: Any) -> None:
    if trace_location is not None:
        raise invalid_parameter("`trace_location` is only supported with a Databricks tracking URI.")


def create_experiment(
    name: str,
    artifact_location: str | None = None,
    tags: dict[str, Any] | None = None,
    trace_location: None = None,
) -> str:
    """Create an experiment and return its id; it does not become the active one."""
    _refuse_trace_location(trace_location)
    return client().create_experiment(name, artifact_location, tags)


def get_experiment(experiment_id: str) -> Experiment:
    """Return an experiment."""
    return client().get_experiment(experiment_id)


def get_experiment_by_name(name: str) -> Experiment | None:
    """Return an experiment, or None if no experiment has that name."""
    return client().get_experiment_by_name(name)


def search_experiments(
    view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: list[str] | None = None,
) -> list[Experiment]:
    """Return the experiments that match a filter, all of them unless `max_results` is given."""
    search = partial(client().search_experiments, view_type, filter_string=filter_string, order_by=order_by)
    return list(all_pages(search, _PAGE, max_results))


def list_experiments(view_type: int = ViewType.ACTIVE_ONLY, max_results: int | None = None) -> list[Experiment]:
    """Return all experiments.

    **Source**: `mlflow.list_experiments` of MLflow 1.x, which MLflow 2 replaced by `search_experiments`.
    """
    return search_experiments(view_type, max_results)


def delete_experiment(experiment_id: str) -> None:
    """Archive an experiment and its runs."""
    client().delete_experiment(experiment_id)


def restore_experiment(experiment_id: str) -> None:
    """Bring an archived experiment and its runs back."""
    client().restore_experiment(experiment_id)


def set_experiment_tag(key: str, value: Any) -> None:
    """Set a tag of the active experiment; the value is stored as a string."""
    client().set_experiment_tag(current_experiment_id(), key, value)


def set_experiment_tags(tags: dict[str, Any]) -> None:
    """Set several tags of the active experiment."""
    for key, value in tags.items():
        set_experiment_tag(key, value)


def delete_experiment_tag(key: str) -> None:
    """Delete a tag of the active experiment."""
    client().delete_experiment_tag(current_experiment_id(), key)
