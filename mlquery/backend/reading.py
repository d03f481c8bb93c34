"""Makes entities of what a store holds: runs with the models they read and wrote, logged models with metrics."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mlquery.entities import LoggedModelInput, LoggedModelOutput, Metric, Run, RunInputs, RunOutputs
from mlquery.entities.logged_models import LoggedModel
from mlquery.store import Store
from mlquery.store.model_table import StoredModel


def read_run(store: Store, rows: Sequence[int]) -> list[Run]:
    """Return runs with everything that is known of them, the models that they read too."""
    return [_with_model_inputs(store, run) for run in read_found_runs(store, rows)]


def read_found_runs(store: Store, rows: Sequence[int]) -> list[Run]:
    """Return runs as a search does: without the models that they read.

    **Source**: `SqlAlchemyStore._search_runs` of MLflow 3.17.
    """
    found = store.runs.runs_at(rows)
    written = store.models.outputs
    if not written:
        return found
    return [_with_outputs(run, written.get(run.info.run_id)) for run in found]


def _with_outputs(run: Run, steps: dict[str, int] | None) -> Run:
    if not steps:
        return run
    return attrs.evolve(run, run_outputs=RunOutputs([LoggedModelOutput(*item) for item in sorted(steps.items())]))


def _with_model_inputs(store: Store, run: Run) -> Run:
    read = store.models.inputs.get(run.info.run_id)
    if not read:
        return run
    datasets = run.inputs.dataset_inputs if run.inputs else []
    return attrs.evolve(run, run_inputs=RunInputs(datasets, [LoggedModelInput(model_id) for model_id in sorted(read)]))


def read_model(model: StoredModel, points: list[Metric]) -> LoggedModel:
    """Return a model with the points that were logged for it."""
    return LoggedModel(
        model.experiment_id,
        model.model_id,
        model.name,
        model.artifact_location,
        model.creation_timestamp,
        model.last_updated_timestamp,
        model.model_type,
        model.source_run_id,
        model.status,
        tags=dict(model.tags),
        params=dict(model.params),
        metrics=points or None,
    )
