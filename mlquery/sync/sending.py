"""Sends experiments, runs and logged models to a target, one at a time; each can be cut anywhere and sent again.

First runs and models are placed: created, bearing a mark, their ids remembered. Then they are filled with what they do
not have there yet, and the mark is taken away. What is sent, and in which order, is not decided here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Final

import attrs

from mlquery.durable.entries import encode
from mlquery.durable.store import DurableStore
from mlquery.entities import Experiment, LifecycleStage, Metric
from mlquery.entities.logged_models import PENDING
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.store.changes import SetPushed
from mlquery.store.validation import LARGEST_FLOAT, clean_value
from mlquery.sync.batches import Point, batches
from mlquery.sync.content import ModelContent, Points, Summary, digest_of, model_of, summary_of
from mlquery.sync.limit_violations import TargetLimits, without_unfit
from mlquery.sync.references import with_ids_of_target
from mlquery.sync.target import MARK, Target

_INCOMPLETE: Final = ""  # the digest of what is not complete on the target; no id yet: its creation may have been cut
_Row = tuple[float | None, int, int]
"""A point's value (None for NaN), timestamp and step, to be compared."""


@attrs.define
class Pushed:
    """What a push did, or would do: runs by what became of them, and what was sent."""

    experiments: int = 0
    new_runs: int = 0
    changed_runs: int = 0
    same_runs: int = 0
    gone_runs: int = 0
    points: int = 0
    models: int = 0
    files: int = 0


class Sending:
    """The sending of one store to one target.

    Args:
        store: What is sent; what is there under which id is remembered in it.
        target: Where to.
        at_most: What the target takes; the rest is left out.
        artifacts: Whether files are sent.
    """

    def __init__(self, store: DurableStore, target: Target, at_most: TargetLimits, artifacts: bool) -> None:
        self.store, self.target, self.at_most, self.artifacts = store, target, at_most, artifacts
        self.done = Pushed()
        self._fresh: set[str] = set()  # runs and models that were created just now
        self._first_tags: dict[str, dict[str, str]] = {}  # of runs that were created just now
        self._points_there: dict[str, set[tuple[object, ...]]] = {}  # of models, by their ids there

    # What is known of the target

    def known(self, kind: str, own_id: str) -> tuple[str, str] | None:
        """Return the id on the target, empty if that is not known, and the digest of what is there."""
        return self.store.pushed.get(self.target.name, {}).get(kind, {}).get(own_id)

    def remember(self, kind: str, own_id: str, id_there: str, digest: str = _INCOMPLETE) -> None:
        """Write down what is on the target."""
        self.store.write(SetPushed(self.target.name, kind, own_id, id_there, digest))

    def id_there(self, kind: str, own_id: str) -> str:
        """Return the id on the target of what was placed."""
        known = self.known(kind, own_id)
        assert known is not None
        return known[0]

    def ids(self, kind: str) -> dict[str, str]:
        """Return all ids on the target by the ids here."""
        found = self.store.pushed.get(self.target.name, {}).get(kind, {})
        return {own: there for own, (there, _) in found.items() if there}

    def content(self, run_id: str) -> tuple[Summary, dict[str, Points], list[tuple[str, int]]]:
        """Return a run with histories and files as it is here now."""
        with self.store.lock:
            summary = summary_of(self.store, self.store.runs.row_of[run_id])
            histories = {key: self.store.history(run_id, key) for key in summary.latest}
        return summary, histories, self.store.artifacts_of(run_id) if self.artifacts else []

    def is_sent(self, run_id: str) -> bool:
        """Return whether the target has a run as it is here now."""
        known = self.known("run", run_id)
        return known is not None and known[1] != _INCOMPLETE and known[1] == digest_of(*self.content(run_id))

    def model_content(self, model_id: str) -> tuple[ModelContent, str]:
        """Return a model as it is here now, and its digest."""
        with self.store.lock:
            content = model_of(self.store, model_id)
        return content, content.digest(self.store.artifacts_of(model_id) if self.artifacts else ())

    def is_model_sent(self, model_id: str) -> bool:
        """Return whether the target has a model as it is here now."""
        known = self.known("model", model_id)
        return known is not None and known[1] == self.model_content(model_id)[1]

    # Placing

    def is_experiment_sent(self, found: Experiment) -> bool:
        """Return whether the target has an experiment with the tags it has here now."""
        known = self.known("experiment", found.experiment_id)
        return known is not None and known[1] == _digest_of_experiment(found)

    def place_experiment(self, found: Experiment) -> None:
        """See to it that the target has an experiment of this name, with these tags among others."""
        if self.is_experiment_sent(found):
            return
        limits, known = self.at_most.limits, self.known("experiment", found.experiment_id)
        there = self.target.experiment_named(found.name) if known is None else self.target.experiment(known[0])
        tags = {key: value for key, value in found.tags.items() if len(value) <= limits.experiment_tag_value}
        if there is None:
            id_there = self.target.create_experiment(found.name, tags)
            self.done.experiments += 1
            self._fresh.add(found.experiment_id)
        else:
            id_there = there.experiment_id
            for key, value in tags.items():
                # What someone wrote about an experiment that was there before us stays.
                if key not in there.tags or (known is not None and there.tags[key] != value):
                    self.target.set_experiment_tag(id_there, key, value)
        self.remember("experiment", found.experiment_id, id_there, _digest_of_experiment(found))

    def finish_experiment(self, found: Experiment) -> None:
        """Delete an experiment that was created by this push and is deleted here."""
        if found.lifecycle_stage == LifecycleStage.DELETED and found.experiment_id in self._fresh:
            self.target.delete_experiment(self.id_there("experiment", found.experiment_id))

    def place_run(self, run_id: str) -> None:
        """See to it that the target has the run, be it incomplete."""
        known = self.known("run", run_id)
        if known is not None and known[0]:
            return
        summary = self.content(run_id)[0]
        experiment_id, there = self.id_there("experiment", summary.info.experiment_id), None
        if known is None:
            self.remember("run", run_id, "")
        else:  # the last push did not come to know the id, but the run may be there
            there = self.target.run_marked(experiment_id, run_id)
        if there is None:
            tags = self.tags_there(without_unfit(summary, self.at_most)) | {MARK: run_id}
            there = self.target.create_run(experiment_id, summary.info, tags)
            self._fresh.add(run_id)
            self._first_tags[run_id] = tags
            self.done.new_runs += 1
        self.remember("run", run_id, there)

    def place_model(self, model_id: str) -> None:
        """See to it that the target has the logged model, be it incomplete."""
        known = self.known("model", model_id)
        if known is not None and known[0]:
            return
        content, _ = self.model_content(model_id)
        experiment_id, there = self.id_there("experiment", content.model.experiment_id), None
        if known is None:
            self.remember("model", model_id, "")
        else:
            there = self.target.model_marked(experiment_id, model_id)
        if there is None:
            source = content.model.source_run_id
            run_id = self.ids("run").get(source, source) if source else None
            there = self.target.create_model(experiment_id, content, run_id, model_id)
            self._fresh.add(model_id)
        self.remember("model", model_id, there)

    # Filling

    def fill_run(self, run_id: str) -> None:
        """Send what the run does not have on the target."""
        own, histories, files = self.content(run_id)
        digest, fitting, id_there = (
            digest_of(own, histories, files),
            without_unfit(own, self.at_most),
            self.id_there("run", run_id),
        )
        try:
            there, histories_there = self.there(run_id, id_there, fitting)
        except StoreError as error:
            if error.error_code != RESOURCE_DOES_NOT_EXIST:
                raise
            self.done.gone_runs += 1
            return
        self.done.changed_runs += run_id not in self._fresh
        if there.info.lifecycle_stage == LifecycleStage.DELETED:
            self.target.set_run_stage(id_there, LifecycleStage.ACTIVE)
        self._send_data(id_there, fitting, there, self.points_to_send(run_id, histories, histories_there, fitting))
        self.send_uses(id_there, fitting, there)
        if self.artifacts:
            self._send_files(run_id, files, there)
        if (own.info.status, own.info.end_time) != (there.info.status, there.info.end_time):
            self.target.end_run(id_there, own.info)
        if MARK in there.tags:
            self.target.delete_tag(id_there, MARK)
        if own.info.lifecycle_stage == LifecycleStage.DELETED:
            self.target.set_run_stage(id_there, LifecycleStage.DELETED)
        self.remember("run", run_id, id_there, digest)

    def there(self, run_id: str, id_there: str, fitting: Summary) -> tuple[Summary, dict[str, Points]]:
        """Return what the target has of a run; that of one that was created just now is known."""
        if run_id not in self._fresh:
            return self.target.run(id_there)
        info = attrs.evolve(fitting.info, run_id=id_there, status="RUNNING", end_time=None, lifecycle_stage="active")
        return Summary(info, {}, self._first_tags[run_id], {}), {}

    def tags_there(self, run: Summary) -> dict[str, str]:
        """Return the tags of a run as they are on the target."""
        return with_ids_of_target(run.tags, self.ids("run"))

    def _send_data(self, id_there: str, own: Summary, there: Summary, points: list[Point]) -> None:
        params = {key: value for key, value in own.params.items() if there.params.get(key) != value}
        tags = {key: value for key, value in self.tags_there(own).items() if there.tags.get(key) != value}
        for batch in batches(points, params, tags, self.at_most.limits):
            self.target.log(id_there, *batch)
            self.done.points += len(batch[0])

    def points_to_send(
        self, run_id: str, own: Mapping[str, Points], there: Mapping[str, Points], fitting: Summary
    ) -> list[Point]:
        """Return the points that the run, or one of its models, does not have on the target."""
        points, covered = self.points_of_models(run_id, own)
        for key in fitting.latest:
            present = set(_rows(there[key])) if key in there else set()
            for row in _rows(own[key]):
                if row not in present and (key, row) not in covered:
                    points.append((key, _sent(row[0]), row[1], row[2], None, None, None))
        return points

    def points_of_models(self, run_id: str, own: Mapping[str, Points]) -> tuple[list[Point], set[tuple[str, _Row]]]:
        """Return the points that models do not have on the target, and which of the run's points those are."""
        points: list[Point] = []
        covered: set[tuple[str, _Row]] = set()
        for model_id, logged in self.models_of(run_id).items():
            id_there = self.ids("model").get(model_id)
            if id_there is None:
                continue
            present = self.points_there(model_id, id_there)
            for point in logged:
                if (point.key, point.timestamp, point.step, self.id_there("run", run_id)) in present:
                    continue
                row = (_value_of_run(point, own), point.timestamp, point.step)
                about = (id_there, point.dataset_name, point.dataset_digest)
                points.append((point.key, _sent(row[0]), point.timestamp, point.step, *about))
                covered.add((point.key, row))
        return points, covered

    def models_of(self, run_id: str) -> dict[str, list[Metric]]:
        """Return the points that a run logged for models, by model."""
        found: defaultdict[str, list[Metric]] = defaultdict(list)
        with self.store.lock:
            for model_id, points in self.store.models.points.items():
                found[model_id] += [point for point in points.values() if point.run_id == run_id]
        return found

    def points_there(self, model_id: str, id_there: str) -> set[tuple[object, ...]]:
        """Return key, timestamp, step and run of the points that a model has on the target."""
        if model_id in self._fresh:
            return set()
        if id_there not in self._points_there:
            points = self.target.model(id_there).points
            self._points_there[id_there] = {(p.key, p.timestamp, p.step, p.run_id) for p in points}
        return self._points_there[id_there]

    def send_uses(self, id_there: str, own: Summary, there: Summary) -> None:
        """Send which datasets and models a run read and which models it wrote."""
        known = {(found.dataset.name, found.dataset.digest) for found in there.inputs}
        inputs = [found for found in own.inputs if (found.dataset.name, found.dataset.digest) not in known]
        ids, read, written = self.ids("model"), list[str](), dict[str, int]()
        if self.at_most.keeps_models:
            read = [
                ids.get(one, one)
                for one in own.model_inputs or ()
                if ids.get(one, one) not in (there.model_inputs or ())
            ]
            written = {
                ids.get(one, one): step for one, step in own.outputs.items() if ids.get(one, one) not in there.outputs
            }
        if inputs or read:
            self.target.log_inputs(id_there, inputs, read)
        if written:
            self.target.log_outputs(id_there, written)

    def _send_files(self, run_id: str, files: Iterable[tuple[str, int]], there: Summary) -> None:
        present = (
            {} if run_id in self._fresh or not files else self.target.files_of(lambda: self.target.run_files(there))
        )
        for path, size in files:
            if present.get(path) != size:
                self.target.send_run_file(there.info.run_id, *self.local(run_id, path))
                self.done.files += 1

    def finish_model(self, model_id: str) -> None:
        """Send the rest of a logged model; its points go with those of the runs."""
        content, digest = self.model_content(model_id)
        id_there, model = self.id_there("model", model_id), content.model
        there = self.target.model(id_there)
        tags = {key: value for key, value in model.tags.items() if there.model.tags.get(key) != value}
        if tags:
            self.target.set_model_tags(id_there, tags)
        params = {key: value for key, value in model.params.items() if key not in there.model.params}
        if params:
            self.target.log_model_params(id_there, params)
        if self.artifacts:
            files = self.store.artifacts_of(model_id)
            present = self.target.files_of(lambda: self.target.model_files(there)) if files else {}
            for path, size in files:
                if present.get(path) != size:
                    self.target.send_model_file(id_there, *self.local(model_id, path))
                    self.done.files += 1
        if model.status not in (PENDING, there.model.status):
            self.target.end_model(id_there, model.status)
        if MARK in there.model.tags:
            self.target.delete_model_tag(id_there, MARK)
        if not model.is_active:
            self.target.delete_model(id_there)
        self.remember("model", model_id, id_there, digest)
        self.done.models += 1

    def local(self, owner_id: str, path: str) -> tuple[Path, str]:
        """Return where a file is here, and the folder it belongs to."""
        folder = str(PurePosixPath(path).parent)
        return self.store.artifacts.folder_of(owner_id) / path, "" if folder == "." else folder


def _digest_of_experiment(found: Experiment) -> str:
    return blake2b(encode(sorted(found.tags.items())).encode(), digest_size=12).hexdigest()


def _rows(points: Points) -> Iterable[_Row]:
    values, timestamps, steps = points
    for value, timestamp, step in zip(values.tolist(), timestamps.tolist(), steps.tolist(), strict=True):
        yield None if value != value else clean_value(value), timestamp, step


def _value_of_run(point: Metric, own: Mapping[str, Points]) -> float | None:
    """Return the value that the run has for a point of its model: None, for NaN, where the model has 0 for it."""
    if point.value == 0.0 and point.key in own and (None, point.timestamp, point.step) in set(_rows(own[point.key])):
        return None
    return point.value


def _sent(value: float | None) -> float:
    """Return a value as it was logged: the largest floats stand for infinities."""
    if value is None:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) == LARGEST_FLOAT else value
