"""The calls about logged models: create, read, finish, tag, delete, and what runs log for them, write and read.

**Source** of order, error codes and wording: `SqlAlchemyStore` of MLflow 3.17 on SQLite. Where the wording there is the
database's (BAD_REQUEST) it is our own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from mlquery.entities import LifecycleStage, Metric
from mlquery.entities.tracking import KeyValue
from mlquery.errors import BAD_REQUEST, RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.store.changes import LogModelInputs, LogModelPoints, LogOutputs, PutModel
from mlquery.store.entity_fields import model_fields, model_point_fields
from mlquery.store.limits import MLFLOW_LIMITS, Limits
from mlquery.store.locations import run_location
from mlquery.store.model_table import PointKey, StoredModel
from mlquery.store.state import StoreState
from mlquery.store.validation import Point, check_run_id, clean_value

_NOT_IN_NAMES: Final = ("/", ":", ".", "%", '"', "'")
_ModelPoints = dict[str, dict[PointKey, Metric]]


class LoggedModels(StoreState):
    """Calls about logged models. A deleted model can still be written to, as in MLflow."""

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Sequence[KeyValue] | None = None,
        params: Sequence[KeyValue] | None = None,
        model_type: str | None = None,
    ) -> StoredModel:
        """Create a pending model in an active experiment and return it; the name is by default made up.

        Raises: INVALID_PARAMETER_VALUE for a bad name, BAD_REQUEST for a tag or param without value or given twice.
        """
        _check_name(name)
        if not experiment_id:
            raise StoreError(f"A logged model needs an experiment: {experiment_id!r}", BAD_REQUEST)
        with self.writing:
            experiment_id = self.experiments.ids[self._active_experiment_row(experiment_id)]
            new_params, new_tags = _added("param", {}, params or ()), _added("tag", {}, tags or ())
            model_id = f"m-{self._names.new_id()}"
            time = self._model_time()
            model = StoredModel(
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
            self._write(PutModel(model_fields(model)))
            return model

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> StoredModel:
        """Return a model; raise RESOURCE_DOES_NOT_EXIST if there is none, or none that is not deleted."""
        with self.lock:
            model = self._model(model_id)
        if not (model.is_active or allow_deleted):
            raise _missing(model_id)
        return model

    def finalize_logged_model(self, model_id: str, status: int) -> StoredModel:
        """Set the status of a model, a number of `LoggedModelStatus`, and return the model."""
        with self.writing:
            self._change_model(self._model(model_id), status=status, last_updated_timestamp=self._model_time())
            return self._model(model_id)

    def delete_logged_model(self, model_id: str) -> None:
        """Mark a model as deleted."""
        with self.writing:
            model, stage = self._model(model_id), LifecycleStage.DELETED
            self._change_model(model, lifecycle_stage=stage, last_updated_timestamp=self._model_time())

    def log_logged_model_params(self, model_id: str, params: Sequence[KeyValue]) -> None:
        """Add params; raise BAD_REQUEST if the model has one of them already, with whatever value."""
        with self.writing:
            model = self._model(model_id)
            self._change_model(model, params=_added("param", model.params, params))

    def set_logged_model_tags(self, model_id: str, tags: Sequence[KeyValue]) -> None:
        """Set tags of a model."""
        with self.writing:
            model = self._model(model_id)
            new = {tag.key: _string("tag", tag.key, tag.value) for tag in tags}
            self._change_model(model, tags={**model.tags, **new})

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Delete a tag of a model; raise RESOURCE_DOES_NOT_EXIST if it has none of that key."""
        with self.writing:
            model = self._model(model_id)
            if key not in model.tags:
                message = f"No tag with key {key!r} found for model with ID {model_id!r}."
                raise StoreError(message, RESOURCE_DOES_NOT_EXIST)
            self._change_model(model, tags={name: value for name, value in model.tags.items() if name != key})

    def log_outputs(self, run_id: str, steps: Sequence[tuple[str, int]]) -> None:
        """Record that a run wrote models, given as ids and steps; raise BAD_REQUEST for one that is recorded already.

        The models need not exist.
        """
        with self.writing:
            self._active_run_row(run_id)
            written = set(self.models.outputs.get(run_id, ()))
            for model_id, _ in steps:
                if model_id in written:
                    raise StoreError(f"The run {run_id} wrote the model {model_id} already.", BAD_REQUEST)
                written.add(model_id)
            self._write(LogOutputs(run_id, dict(steps)))

    def log_model_inputs(self, run_id: str, model_ids: Iterable[str], *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Record that a run read models, each once; they need not exist."""
        check_run_id(run_id, limits)
        with self.writing:
            self._active_run_row(run_id)
            self._write(LogModelInputs(run_id, list(model_ids)))

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

    def _new_model_points(self, run_id: str, metrics: Sequence[Metric], points: Sequence[Point]) -> _ModelPoints:
        """Return the points that the models of metrics do not have yet; nothing is logged here.

        `points` are those that the run gets of the metrics.
        """
        new: _ModelPoints = {}
        for metric, (name, value, timestamp, step) in zip(metrics, points, strict=True):
            if metric.model_id is None:
                continue
            model_id, key = str(metric.model_id), (name, timestamp, step, run_id)
            if model_id not in self.models.by_id:
                raise StoreError(f"Logged model with ID '{model_id}' does not exist.", BAD_REQUEST)
            number = 0.0 if math.isnan(value) else clean_value(value)
            about = (model_id, metric.dataset_name, metric.dataset_digest, run_id)
            point = Metric(name, number, timestamp, step, *about)
            of_model = new.setdefault(model_id, {})
            old = of_model.get(key) or self.models.points.get(model_id, {}).get(key)
            if old is None:
                of_model[key] = point
            elif old != point:
                message = f"The model {model_id} has another value of '{name}' at step {step} and time {timestamp}."
                raise StoreError(message, BAD_REQUEST)
        return new

    def _log_model_points(self, new: _ModelPoints) -> None:
        for model_id, points in new.items():
            if points:
                self._write(LogModelPoints(model_id, list(map(model_point_fields, points.values()))))

    def _model(self, model_id: str) -> StoredModel:
        model = self.models.by_id.get(model_id)
        if model is None:
            raise _missing(model_id)
        return model

    def _model_time(self) -> int:
        return self.model_times.next(self.clock)

    def _change_model(self, model: StoredModel, **new: Any) -> None:
        self._write(PutModel(model_fields(attrs.evolve(model, **new))))


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
        found[one.key] = _string(what, one.key, one.value)
    return found


def _string(what: str, key: str | None, value: str | None) -> str:
    if key is None or value is None:
        raise StoreError(f"A {what} of a model needs a key and a value: {key!r}, {value!r}", BAD_REQUEST)
    return str(value)
