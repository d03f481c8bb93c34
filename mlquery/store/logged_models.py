"""The calls about logged models: create, read, finish, tag, delete, and what runs log for them, write and read.

**Source** of order, error codes and wording: `SqlAlchemyStore` of MLflow 3.17 on SQLite. Where the wording there is the
database's (BAD_REQUEST) it is our own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import attrs

from mlquery.entities import LifecycleStage, Metric, Param, RunTag
from mlquery.entities.logged_models import LoggedModel, Models, PointKey
from mlquery.errors import BAD_REQUEST, RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.store.artifacts import Artifacts
from mlquery.store.limits import MLFLOW_LIMITS, Limits
from mlquery.store.locations import run_location
from mlquery.store.logging import LogCalls
from mlquery.store.names import Names
from mlquery.store.validation import check_batch, check_metric, check_run_id

_NOT_IN_NAMES: Final = ("/", ":", ".", "%", '"', "'")
_NewPoints = dict[tuple[str, PointKey], Metric]


class KeyValue(Protocol):
    """A tag or a param, of ours or of MLflow's."""

    @property
    def key(self) -> str:
        """Return the name."""
        ...

    @property
    def value(self) -> str:
        """Return the text."""
        ...


class ModelCalls(LogCalls):
    """Calls about logged models. A deleted model can still be written to, as in MLflow."""

    def __init__(self, clock: Callable[[], int] | None, names: Names, artifact_root: str, guid_ids: bool) -> None:
        super().__init__(clock, names, artifact_root, guid_ids)
        self.models = Models()
        self.artifacts = Artifacts(self.lock, self._require_owner)

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Sequence[KeyValue] | None = None,
        params: Sequence[KeyValue] | None = None,
        model_type: str | None = None,
    ) -> LoggedModel:
        """Create a pending model in an active experiment and return it; the name is by default made up.

        Raises: INVALID_PARAMETER_VALUE for a bad name, BAD_REQUEST for a tag or param without value or given twice.
        """
        _check_name(name)
        if not experiment_id:
            raise StoreError(f"A logged model needs an experiment: {experiment_id!r}", BAD_REQUEST)
        with self.lock:
            experiment_id = self.experiments.ids[self._active_experiment_row(experiment_id)]
            new_params, new_tags = _added("param", {}, params or ()), _added("tag", {}, tags or ())
            model_id = f"m-{self._names.new_id().replace('-', '')}"
            time = self.clock()
            model = LoggedModel(
                model_id,
                experiment_id,
                name or self._names.new_run_name(),
                run_location(self.runs.roots[experiment_id], f"models/{model_id}"),
                time,
                time,
                model_type=model_type,
                source_run_id=source_run_id,
                tags=new_tags,
                params=new_params,
            )
            self._put_model(model)
            return model

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> LoggedModel:
        """Return a model; raise RESOURCE_DOES_NOT_EXIST if there is none, or none that is not deleted."""
        with self.lock:
            model = self._model(model_id)
        if not (model.is_active or allow_deleted):
            raise _missing(model_id)
        return model

    def finalize_logged_model(self, model_id: str, status: int) -> LoggedModel:
        """Set the status of a model, a number of `LoggedModelStatus`, and return the model."""
        with self.lock:
            model = attrs.evolve(self._model(model_id), status=status, last_updated_timestamp=self.clock())
            self._put_model(model)
            return model

    def delete_logged_model(self, model_id: str) -> None:
        """Mark a model as deleted."""
        with self.lock:
            model, stage = self._model(model_id), LifecycleStage.DELETED
            self._put_model(attrs.evolve(model, lifecycle_stage=stage, last_updated_timestamp=self.clock()))

    def log_logged_model_params(self, model_id: str, params: Sequence[KeyValue]) -> None:
        """Add params; raise BAD_REQUEST if the model has one of them already, with whatever value."""
        with self.lock:
            model = self._model(model_id)
            self._put_model(attrs.evolve(model, params=_added("param", model.params, params)))

    def set_logged_model_tags(self, model_id: str, tags: Sequence[KeyValue]) -> None:
        """Set tags of a model."""
        with self.lock:
            model = self._model(model_id)
            new = {tag.key: _text("tag", tag.key, tag.value) for tag in tags}
            self._put_model(attrs.evolve(model, tags={**model.tags, **new}))

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Delete a tag of a model; raise RESOURCE_DOES_NOT_EXIST if it has none of that key."""
        with self.lock:
            model = self._model(model_id)
            if key not in model.tags:
                message = f"No tag with key {key!r} found for model with ID {model_id!r}."
                raise StoreError(message, RESOURCE_DOES_NOT_EXIST)
            rest = {name: value for name, value in model.tags.items() if name != key}
            self._put_model(attrs.evolve(model, tags=rest))

    def log_outputs(self, run_id: str, steps: Sequence[tuple[str, int]]) -> None:
        """Record that a run wrote models, given as ids and steps; raise BAD_REQUEST for one that is recorded already.

        The models need not exist.
        """
        with self.lock:
            self._active_run_row(run_id)
            written = dict(self.models.outputs.get(run_id, {}))
            for model_id, step in steps:
                if model_id in written:
                    raise StoreError(f"The run {run_id} wrote the model {model_id} already.", BAD_REQUEST)
                written[model_id] = step
            self.models.outputs[run_id] = written
            self.version += 1

    def log_model_inputs(self, run_id: str, model_ids: Iterable[str]) -> None:
        """Record that a run read models, each once; they need not exist."""
        check_run_id(run_id)
        with self.lock:
            self._active_run_row(run_id)
            self.models.inputs.setdefault(run_id, {}).update(dict.fromkeys(model_ids))
            self.version += 1

    def log_metric(self, run_id: str, metric: Metric, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Log one point of a metric, also for the model it names; its timestamp is in ms UTC."""
        if metric.model_id is None:
            super().log_metric(run_id, metric, limits=limits)
            return
        with self.lock:
            points = self._points_of_models(run_id, [metric], limits)
            super().log_metric(run_id, metric, limits=limits)
            self._put_points(points)

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric],
        params: Sequence[Param],
        tags: Sequence[RunTag],
        *,
        limits: Limits = MLFLOW_LIMITS,
    ) -> None:
        """Log metrics, params and tags together, metrics also for the models they name, or nothing if one is refused.

        Raises: BAD_REQUEST for a model that does not exist, or that has another value for the same metric, timestamp,
            step and run.
        """
        about_models = [metric for metric in metrics if metric.model_id is not None]
        if not about_models:
            super().log_batch(run_id, metrics, params, tags, limits=limits)
            return
        check_run_id(run_id)
        _, own_params, _ = check_batch(metrics, params, tags, limits)
        with self.lock:
            self._check_params(self._active_run_row(run_id), run_id, own_params, limits)
            points = self._points_of_models(run_id, about_models, limits)
            super().log_batch(run_id, metrics, params, tags, limits=limits)
            self._put_points(points)

    def _points_of_models(self, run_id: str, metrics: Sequence[Metric], limits: Limits) -> _NewPoints:
        """Return the points that models do not have yet; nothing is logged here."""
        self._active_run_row(run_id)
        new: _NewPoints = {}
        for metric in metrics:
            name, value, timestamp, step = check_metric(metric, limits)
            model_id, key = str(metric.model_id), (name, timestamp, step, run_id)
            if model_id not in self.models.by_id:
                raise StoreError(f"Logged model with ID '{model_id}' does not exist.", BAD_REQUEST)
            number = 0.0 if math.isnan(value) else value
            about = (model_id, metric.dataset_name, metric.dataset_digest, run_id)
            point = Metric(name, number, timestamp, step, *about)
            old = new.get((model_id, key)) or self.models.points.get(model_id, {}).get(key)
            if old is None:
                new[model_id, key] = point
            elif old != point:
                message = f"The model {model_id} has another value of '{name}' at step {step} and time {timestamp}."
                raise StoreError(message, BAD_REQUEST)
        return new

    def owner_of_artifact(self, path: str) -> tuple[str, str]:
        """Return whose artifact a path below the root of all artifacts is, and its path there.

        What lies below the `artifacts` of a run or of a model belongs to it, everything else to the store itself ("").
        """
        whole = [part for part in path.split("/") if part not in ("", ".")]
        for place, folder in enumerate(whole):
            owner = whole[place - 1]
            if folder == "artifacts" and place and (owner in self.runs.row_of or owner in self.models.by_id):
                return owner, "/".join(whole[place + 1 :])
        return "", "/".join(whole)

    def _require_owner(self, owner_id: str) -> None:
        """Raise if no run and no model that artifacts could belong to has an id; "" stands for the store itself."""
        if owner_id and owner_id not in self.models.by_id:
            self._run_row(owner_id)

    def _put_points(self, points: _NewPoints) -> None:
        for (model_id, key), point in points.items():
            self.models.points.setdefault(model_id, {})[key] = point

    def _model(self, model_id: str) -> LoggedModel:
        model = self.models.by_id.get(model_id)
        if model is None:
            raise _missing(model_id)
        return model

    def _put_model(self, model: LoggedModel) -> None:
        self.models.by_id[model.model_id] = model
        self.version += 1


def _missing(model_id: str) -> StoreError:
    return StoreError(f"Logged model with ID '{model_id}' not found.", RESOURCE_DOES_NOT_EXIST)


def _check_name(name: str | None) -> None:
    if name is not None and (not name or any(character in name for character in _NOT_IN_NAMES)):
        raise invalid_parameter(
            f"Invalid model name ({name!r}) provided. Model name must be a non-empty string "
            f"and cannot contain the following characters: {_NOT_IN_NAMES}"
        )


def _added(what: str, old: Mapping[str, str], new: Sequence[KeyValue]) -> dict[str, str]:
    """Return old and new tags or params; raise BAD_REQUEST for a key that comes twice."""
    found = dict(old)
    for one in new:
        if one.key in found:
            raise StoreError(f"The {what} '{one.key}' of the model is given twice.", BAD_REQUEST)
        found[one.key] = _text(what, one.key, one.value)
    return found


def _text(what: str, key: str | None, value: str | None) -> str:
    if key is None or value is None:
        raise StoreError(f"A {what} of a model needs a key and a value: {key!r}, {value!r}", BAD_REQUEST)
    return str(value)
