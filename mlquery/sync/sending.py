"""Sends experiments, runs and logged models to a target, one at a time; each can be interrupted and sent again.

Runs and models are first created with the tag `INCOMPLETE_TAG`, and their ids on the target are recorded. Then what
they lack is sent, and the tag is deleted.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from mlquery.durable.store import DurableStore
from mlquery.entities import Experiment, LifecycleStage, Metric
from mlquery.errors import RESOURCE_CONFLICT, RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.store.model_table import PENDING
from mlquery.sync.batches import Point, batches
from mlquery.sync.content import (
    ModelContent,
    Points,
    Summary,
    digest_of,
    digest_of_experiment,
    logged_value,
    model_of,
    rows_of,
    summary_of,
)
from mlquery.sync.limit_violations import TargetLimits, within_limits
from mlquery.sync.mlflow_registry import INCOMPLETE_TAG
from mlquery.sync.mlflow_target import MlflowTarget
from mlquery.sync.pushed import INCOMPLETE, UNKNOWN, Pushed
from mlquery.sync.references import with_remote_ids

_NO_SIZE: Final = -1
"""The size of a file that a target lists without one, as Azure Machine Learning does; it replaces no file."""
_Row = tuple[float | None, int, int]
"""The value (None for NaN), timestamp and step of a point, to be compared."""


@attrs.define
class PushResult:
    """What a push did: counts of what was transferred.

    Attributes:
        experiments: The experiments that were created.
        new_runs: The runs that were created.
        changed_runs: The runs that were updated.
        same_runs: The runs that were up to date.
        gone_runs: The runs that were removed from the target since an earlier push, and stay removed.
        gone_models: The logged models that were.
        points: The points of metrics that were sent.
        models: The logged models that were created or updated.
        files: The artifacts that were uploaded.
        kept_files: The artifacts that the target has otherwise and does not replace, each with its run or model.
        registered_models: The registered models that were created.
        versions: The versions of registered models that were created.
    """

    experiments: int = 0
    new_runs: int = 0
    changed_runs: int = 0
    same_runs: int = 0
    gone_runs: int = 0
    gone_models: int = 0
    points: int = 0
    models: int = 0
    files: int = 0
    kept_files: list[str] = attrs.field(factory=list)
    registered_models: int = 0
    versions: int = 0


class Sender(Pushed):
    """Sends one store to one target.

    Args:
        store: The store to send, which records the ids and digests of what the target has.
        target: The server.
        allowed: The limits of the target; what exceeds them is left out.
        artifacts: Whether artifacts are uploaded.
    """

    def __init__(self, store: DurableStore, target: MlflowTarget, allowed: TargetLimits, artifacts: bool) -> None:
        super().__init__(store, target.name)
        self.target, self.allowed, self.artifacts = target, allowed, artifacts
        self.done = PushResult()
        self._fresh: set[str] = set()  # runs and models that were created just now
        self._first_tags: dict[str, dict[str, str]] = {}  # of runs that were created just now
        self._remote_points: dict[str, set[tuple[object, ...]] | None] = {}  # of models, by their ids on the target

    # What is here

    def content(self, run_id: str) -> tuple[Summary, dict[str, Points], list[tuple[str, int]]]:
        """Return a run with its histories and artifacts."""
        with self.store.lock:
            summary = summary_of(self.store, run_id)
            histories = {key: self.store.history(run_id, key) for key in summary.latest}
        return summary, histories, self.files_of(run_id)

    def files_of(self, owner_id: str) -> list[tuple[str, int]]:
        """Return paths and sizes of the artifacts of a run or logged model; none if they are not to be sent."""
        return self.store.artifacts_of(owner_id) if self.artifacts else []

    def is_sent(self, run_id: str) -> bool:
        """Return whether a run is up to date on the target."""
        known = self.known("run", run_id)
        return known is not None and known[1] != INCOMPLETE and known[1] == digest_of(*self.content(run_id))

    def model_content(self, model_id: str) -> tuple[ModelContent, str]:
        """Return a logged model, and its digest."""
        with self.store.lock:
            content = model_of(self.store, model_id)
        return content, content.digest(self.files_of(model_id))

    def is_model_sent(self, model_id: str) -> bool:
        """Return whether a logged model is up to date on the target."""
        known = self.known("model", model_id)
        return known is not None and known[1] == self.model_content(model_id)[1]

    # Create what is missing

    def is_experiment_sent(self, found: Experiment) -> bool:
        """Return whether an experiment is up to date on the target."""
        known = self.known("experiment", found.experiment_id)
        return known is not None and known[1] == digest_of_experiment(found)

    def create_experiment(self, found: Experiment) -> None:
        """Create an experiment unless the target has one of its name, and set its tags."""
        if self.is_experiment_sent(found):
            return
        local_id, known = found.experiment_id, self.known("experiment", found.experiment_id)
        has_id = known is not None and bool(known[0])
        remote = self.target.experiment(known[0]) if known and has_id else self.target.experiment_named(found.name)
        # A push that was interrupted here had not found it, so that what is there now was created by it.
        is_own = known == UNKNOWN or known == (remote and remote.experiment_id, INCOMPLETE)
        limits = self.allowed.limits
        tags = {key: value for key, value in found.tags.items() if len(value) <= limits.experiment_tag_value}
        if remote is None:
            self.remember("experiment", local_id, "")
            remote = self.target.experiment(self.target.create_experiment(found.name, tags))
            self.done.experiments += 1
            is_own = True
        remote_id = remote.experiment_id
        for key, value in tags.items():
            # The tags of an experiment that this store did not create stay.
            if key not in remote.tags or (has_id and remote.tags[key] != value):
                self.target.set_experiment_tag(remote_id, key, value)
        is_to_be_deleted = is_own and found.lifecycle_stage == LifecycleStage.DELETED
        digest = INCOMPLETE if is_to_be_deleted else digest_of_experiment(found)
        self.remember("experiment", local_id, remote_id, digest)

    def finish_experiment(self, found: Experiment) -> None:
        """Delete an experiment that was created for this store, and is used by nobody else, if it is deleted here."""
        known = self.known("experiment", found.experiment_id)
        if known is None or known[1] != INCOMPLETE:
            return
        own = set(self.ids("run").values())
        if all(run.info.run_id in own for run in self.target.runs([known[0]], "")):
            self.target.delete_experiment(known[0])
        self.remember("experiment", found.experiment_id, known[0], digest_of_experiment(found))

    def create_run(self, run_id: str) -> None:
        """Create an incomplete run unless the target has it."""
        known = self.known("run", run_id)
        if known is not None and known[0]:
            return
        summary = self.content(run_id)[0]
        if known is None:
            self.remember("run", run_id, "")
        tags = self.remote_tags(within_limits(summary, self.allowed)) | {INCOMPLETE_TAG: self.mark(run_id)}
        remote = self.target.create_run(self.remote_id("experiment", summary.info.experiment_id), summary.info, tags)
        self._fresh.add(run_id)
        self._first_tags[run_id] = tags
        self.done.new_runs += 1
        self.remember("run", run_id, remote)

    def create_model(self, model_id: str) -> None:
        """Create an incomplete logged model unless the target has it."""
        known = self.known("model", model_id)
        if known is not None and known[0]:
            return
        content, _ = self.model_content(model_id)
        if known is None:
            self.remember("model", model_id, "")
        source = content.model.source_run_id
        run_id = self.ids("run").get(source, source) if source else None
        experiment_id = self.remote_id("experiment", content.model.experiment_id)
        remote = self.target.create_model(experiment_id, content, run_id, self.mark(model_id))
        self._fresh.add(model_id)
        self.remember("model", model_id, remote)

    # Send what they lack

    def send_run(self, run_id: str) -> None:
        """Send what a run lacks on the target."""
        local, histories, files = self.content(run_id)
        digest, fitting = digest_of(local, histories, files), within_limits(local, self.allowed)
        remote_id = self.remote_id("run", run_id)
        try:
            remote, remote_histories = self.remote(run_id, remote_id, fitting)
        except StoreError as error:
            if error.error_code != RESOURCE_DOES_NOT_EXIST:
                raise
            self.done.gone_runs += 1
            return
        self.done.changed_runs += run_id not in self._fresh
        if remote.info.lifecycle_stage == LifecycleStage.DELETED:
            self.target.set_run_stage(remote_id, LifecycleStage.ACTIVE)
        self._send_data(remote_id, fitting, remote, self.points_to_send(run_id, histories, remote_histories, fitting))
        self.send_uses(remote_id, fitting, remote)
        self._send_files("run", run_id, files, remote_id, remote.info.artifact_uri)
        if (local.info.status, local.info.end_time) != (remote.info.status, remote.info.end_time):
            self.target.end_run(remote_id, local.info)
        if INCOMPLETE_TAG in remote.tags:
            self.target.delete_tag(remote_id, INCOMPLETE_TAG)
        if local.info.lifecycle_stage == LifecycleStage.DELETED:
            self.target.set_run_stage(remote_id, LifecycleStage.DELETED)
        self.remember("run", run_id, remote_id, digest)

    def remote(self, run_id: str, remote_id: str, fitting: Summary) -> tuple[Summary, dict[str, Points]]:
        """Return what the target has of a run, without a request if this push created it."""
        if run_id not in self._fresh:
            return self.target.run(remote_id)
        info = attrs.evolve(fitting.info, run_id=remote_id, status="RUNNING", end_time=None, lifecycle_stage="active")
        return Summary(info, {}, self._first_tags[run_id], {}), {}

    def remote_tags(self, run: Summary) -> dict[str, str]:
        """Return the tags of a run with the ids of the target."""
        return with_remote_ids(run.tags, self.ids("run"))

    def _send_data(self, remote_id: str, local: Summary, remote: Summary, points: list[Point]) -> None:
        params = {key: value for key, value in local.params.items() if remote.params.get(key) != value}
        tags = {key: value for key, value in self.remote_tags(local).items() if remote.tags.get(key) != value}
        for batch in batches(points, params, tags, self.allowed.limits):
            self.target.log(remote_id, *batch)
            self.done.points += len(batch[0])

    def points_to_send(
        self, run_id: str, local: Mapping[str, Points], remote: Mapping[str, Points], fitting: Summary
    ) -> list[Point]:
        """Return the points that a run, or one of its models, lacks on the target."""
        points, covered = self.points_of_models(run_id, local)
        for key in fitting.latest:
            present = set(rows_of(remote[key])) if key in remote else set()
            for row in rows_of(local[key]):
                if row not in present and (key, row) not in covered:
                    points.append((key, logged_value(row[0]), row[1], row[2], None, None, None))
        return points

    def points_of_models(self, run_id: str, local: Mapping[str, Points]) -> tuple[list[Point], set[tuple[str, _Row]]]:
        """Return the points that logged models lack on the target, and those of the run that come with them."""
        points: list[Point] = []
        covered: set[tuple[str, _Row]] = set()
        for model_id, logged in self.models_of(run_id).items():
            remote_id = self.ids("model").get(model_id)
            if remote_id is None:
                continue
            present = self.remote_points(model_id, remote_id)
            for point in logged if present is not None else ():
                if present and (point.key, point.timestamp, point.step, self.remote_id("run", run_id)) in present:
                    continue
                row = (_value_of_run(point, local), point.timestamp, point.step)
                about = (remote_id, point.dataset_name, point.dataset_digest)
                points.append((point.key, logged_value(row[0]), point.timestamp, point.step, *about))
                covered.add((point.key, row))
        return points, covered

    def models_of(self, run_id: str) -> dict[str, list[Metric]]:
        """Return the points that a run logged for logged models, by model."""
        found: defaultdict[str, list[Metric]] = defaultdict(list)
        with self.store.lock:
            for model_id, points in self.store.models.points.items():
                found[model_id] += [point for point in points.values() if point.run_id == run_id]
        return found

    def remote_points(self, model_id: str, remote_id: str) -> set[tuple[object, ...]] | None:
        """Return key, timestamp, step and run of the points of a logged model on the target, None if it is gone."""
        if model_id in self._fresh:
            return set()
        if remote_id not in self._remote_points:
            found = self._remote_model(remote_id)
            self._remote_points[remote_id] = (
                None if found is None else {(p.key, p.timestamp, p.step, p.run_id) for p in found.points}
            )
        return self._remote_points[remote_id]

    def _remote_model(self, remote_id: str) -> ModelContent | None:
        """Return a logged model of the target, None if it was deleted there."""
        try:
            return self.target.model(remote_id)
        except StoreError as error:
            if error.error_code != RESOURCE_DOES_NOT_EXIST:
                raise
            return None

    def send_uses(self, remote_id: str, local: Summary, remote: Summary) -> None:
        """Send the datasets and models that a run read, and the models that it wrote."""
        known = {(found.dataset.name, found.dataset.digest) for found in remote.inputs}
        inputs = [found for found in local.inputs if (found.dataset.name, found.dataset.digest) not in known]
        read, written = list[str](), dict[str, int]()
        if self.allowed.supports_logged_models:
            ids = self.ids("model")
            read = [ids.get(model_id, model_id) for model_id in local.model_inputs or ()]
            read = [model_id for model_id in read if model_id not in (remote.model_inputs or ())]
            written = {ids.get(model_id, model_id): step for model_id, step in local.outputs.items()}
            written = {model_id: step for model_id, step in written.items() if model_id not in remote.outputs}
        if inputs or read:
            self.target.log_inputs(remote_id, inputs, read)
        if written:
            self.target.log_outputs(remote_id, written)

    def _send_files(
        self, kind: str, local_id: str, files: Sequence[tuple[str, int]], remote_id: str, location: str | None
    ) -> None:
        """Upload the artifacts that a run or model lacks at its location on the target, or has in another size."""
        is_listed = files and local_id not in self._fresh
        present = {file.path: file.size for file in self.target.files(remote_id, location)} if is_listed else {}
        for path, size in files:
            if present.get(path) not in (size, _NO_SIZE):
                self._send_file(kind, local_id, path, remote_id)

    def _send_file(self, kind: str, local_id: str, path: str, remote_id: str) -> None:
        local = self.store.artifacts.folder_of(local_id) / path
        try:
            self.target.upload_file(kind, remote_id, local, os.path.dirname(path))
            self.done.files += 1
        except StoreError as error:
            if error.error_code != RESOURCE_CONFLICT:
                raise
            self.done.kept_files.append(f"{local_id}: {path}")

    def send_model(self, model_id: str) -> None:
        """Send what a logged model lacks on the target; its points are sent with those of the runs."""
        content, digest = self.model_content(model_id)
        remote_id, model = self.remote_id("model", model_id), content.model
        remote = self._remote_model(remote_id)
        if remote is None:  # deleted by an interrupted push, or by others
            self.done.gone_models += model.is_active
            self.remember("model", model_id, remote_id, digest)
            return
        tags = {key: value for key, value in model.tags.items() if remote.model.tags.get(key) != value}
        if tags:
            self.target.set_model_tags(remote_id, tags)
        params = {key: value for key, value in model.params.items() if key not in remote.model.params}
        if params:
            self.target.log_model_params(remote_id, params)
        self._send_files("model", model_id, self.files_of(model_id), remote_id, remote.model.artifact_location)
        if model.status not in (PENDING, remote.model.status):
            self.target.end_model(remote_id, model.status)
        if INCOMPLETE_TAG in remote.model.tags:
            self.target.delete_model_tag(remote_id, INCOMPLETE_TAG)
        if not model.is_active:
            self.target.delete_model(remote_id)
        self.remember("model", model_id, remote_id, digest)
        self.done.models += 1


def _value_of_run(point: Metric, local: Mapping[str, Points]) -> float | None:
    """Return the value that the run has for a point of its model: None (NaN) where the model stores 0 for it."""
    nan = (None, point.timestamp, point.step)
    is_nan = point.value == 0.0 and point.key in local and nan in rows_of(local[point.key])
    return None if is_nan else point.value
