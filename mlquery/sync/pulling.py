"""Pulls experiments, runs, histories, logged models and artifacts from another store into a store on disk.

A run is written in one transaction, and only if it is new or changed, so that an interrupted pull can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import Final

import attrs

from mlquery.durable.store import DurableStore
from mlquery.entities import Experiment
from mlquery.errors import INVALID_PARAMETER_VALUE, StoreError
from mlquery.registry.state import is_prompt
from mlquery.store.changes import (
    DeleteTag,
    LogBatch,
    LogInputs,
    LogModelInputs,
    LogModelPoints,
    LogOutputs,
    PutExperiment,
    PutModel,
    SetArtifactUri,
    SetRunInfo,
    SetRunStage,
)
from mlquery.store.entity_fields import dataset_input_fields, experiment_fields, model_fields, model_point_fields
from mlquery.store.state import Change
from mlquery.sync.content import ModelContent, Points, Summary, digest_of, model_of, rows_of, summary_of
from mlquery.sync.pulling_registry import RegistryPull
from mlquery.sync.pushed import Pushed
from mlquery.sync.source import Progress, Source, SourceFile
from mlquery.sync.sources import chosen_experiments, open_source, require_on_disk

_RUNS_OF_A_TRANSACTION: Final = 100
_NOT_LISTED: Final = (
    "ENDPOINT_NOT_FOUND",
    "NOT_FOUND",
    "NOT_IMPLEMENTED",
    "FEATURE_DISABLED",
    "INVALID_PARAMETER_VALUE",
)
"""The codes with which a service refuses to list its registered models, as Azure does with MLflow 3."""


@attrs.define
class PullResult:
    """What a pull did: counts of what was transferred.

    Attributes:
        experiments: The experiments that were pulled.
        new_runs: The runs that were added.
        changed_runs: The runs that were updated.
        same_runs: The runs that were up to date.
        points: The points of metrics that were added.
        models: The logged models that were added or updated.
        files: The artifacts that were copied.
        unreachable: The runs and models whose artifacts cannot be reached from this machine.
        bad_files: The artifacts that were not copied because of their paths, each with its run or model.
        registered_models: The registered models that were added or updated.
        versions: The versions of registered models that were added or updated.
        unlisted: Why the source does not list its registered models; empty if it does.
    """

    experiments: int = 0
    new_runs: int = 0
    changed_runs: int = 0
    same_runs: int = 0
    points: int = 0
    models: int = 0
    files: int = 0
    unreachable: int = 0
    bad_files: list[str] = attrs.field(factory=list)
    registered_models: int = 0
    versions: int = 0
    unlisted: str = ""


def pull(
    store: DurableStore,
    source: str,
    *,
    experiments: Sequence[str] = (),
    filter_string: str = "",
    artifacts: bool = False,
    progress: Progress = lambda *_: None,
) -> PullResult:
    """Copy experiments, runs, metric histories and logged models of another store into a store on disk.

    Runs and logged models keep their ids; an experiment is added to the local one of the same name. A second pull
    transfers what is new or changed since the first.

    Args:
        store: The store to write to, as `mlquery.open` returns it.
        source: A tracking URI, or the path of an MLflow database, an `mlruns` folder or a store on disk.
        experiments: The names of the experiments to pull; all if empty.
        filter_string: The filter that selects runs, in the dialect of the source; all if empty.
        artifacts: Whether to copy artifacts; if not, the artifact locations of the source stay.
        progress: Called with a step, how many of its items are done, and how many there are.

    Returns:
        How much was transferred.

    Raises:
        StoreError: the store is not on disk, the source cannot be read, or an experiment is unknown. What was pulled
            before stays.
        QueryError: the filter is not valid.

    **Source** of the rest: `mlflow.MlflowClient` of MLflow 3.17, which reads servers.
    """
    require_on_disk(store)
    with closing(open_source(source)) as found:
        return _Pull(store, found, artifacts, progress).all(experiments, filter_string)


class _Pull:
    def __init__(self, store: DurableStore, source: Source, artifacts: bool, progress: Progress) -> None:
        self.store, self.source, self.artifacts, self.progress = store, source, artifacts, progress
        self.done = PullResult()
        self.local_ids: dict[str, str] = {}  # of experiments, by the source's
        self.pushed = Pushed(store, source.name)
        # What was pushed to the source has other ids there, and is not pulled again under these.
        self.pushed_runs, self.pushed_models = (
            {remote for local, remote in self.pushed.ids(kind).items() if remote != local} for kind in ("run", "model")
        )

    def all(self, names: Sequence[str], filter_string: str) -> PullResult:
        chosen = chosen_experiments(self.source.experiments(), names, self.source.name)
        # First, so that a filter that is not valid changes nothing.
        found = self.source.runs([experiment.experiment_id for experiment in chosen], filter_string)
        runs = [run for run in found if run.info.run_id not in self.pushed_runs]
        for experiment in chosen:
            self.local_ids[experiment.experiment_id] = self.local_experiment(experiment)
        self.done.experiments = len(self.local_ids)
        self.pull_runs(runs)
        self.pull_models({run.info.run_id for run in runs} if filter_string else None)
        self.pull_registered_models(frozenset(run.info.run_id for run in runs) if names or filter_string else None)
        if self.artifacts:
            self.pull_files(runs)
        return self.done

    def pull_registered_models(self, runs: frozenset[str] | None) -> None:
        pull = RegistryPull(self.store, self.source.name)
        try:
            for entry in self.source.registered_models():
                if not is_prompt(entry):
                    pull.add(entry, runs)
        except StoreError as error:
            if error.error_code not in _NOT_LISTED:
                raise
            self.done.unlisted = str(error)
        self.done.registered_models, self.done.versions = pull.models, pull.versions

    def local_experiment(self, remote: Experiment) -> str:
        """Return the id of the local experiment of the same name; create a missing one, with the same id if free."""
        store, name = self.store, remote.name
        with store.transaction():
            local = store.get_experiment_by_name(name)
            if local is None:
                is_free = remote.experiment_id not in store.experiments.row_of and not store._guid_ids
                experiment_id = remote.experiment_id if is_free else store.next_experiment_id()
                location = store.default_location(experiment_id)
                fields = {"experiment_id": experiment_id, "artifact_location": location}
                store.load_experiment(**experiment_fields(remote) | fields)
                return experiment_id
            new = {key: value for key, value in remote.tags.items() if local.tags.get(key) != value}
            if new:
                store.write(PutExperiment(experiment_fields(local) | {"tags": local.tags | new}))
            return local.experiment_id

    def pull_runs(self, runs: Sequence[Summary]) -> None:
        batches = iter(runs)
        with ThreadPoolExecutor(self.source.workers) as pool:
            while batch := list(islice(batches, _RUNS_OF_A_TRANSACTION)):
                wanted = [run for run in batch if self.is_new_or_changed(run)]
                self.done.same_runs += len(batch) - len(wanted)
                map_runs = pool.map if self.source.workers > 1 else map
                found = list(map_runs(self.source.details, wanted))
                with self.store.transaction():
                    for run, points in found:
                        self.pull_run(run, points)
                done = self.done.same_runs + self.done.new_runs + self.done.changed_runs
                self.progress("runs", done, len(runs))

    def is_new_or_changed(self, run: Summary) -> bool:
        with self.store.lock:
            run_id = run.info.run_id
            return run_id not in self.store.runs.row_of or not run.agrees_with(summary_of(self.store, run_id))

    def pull_run(self, run: Summary, histories: dict[str, Points]) -> None:
        """Add or update a run, and record that the source has it."""
        run_id = run.info.run_id
        if run_id not in self.store.runs.row_of:
            self.add_run(run, histories)
            self.done.new_runs += 1
        else:
            for change in _changes(summary_of(self.store, run_id), run):
                self.store.write(change)
            for key, points in histories.items():
                self.add_points(run_id, key, points)
            self.done.changed_runs += 1
        self.remember(run_id)

    def add_run(self, run: Summary, histories: dict[str, Points]) -> None:
        info, store = attrs.evolve(run.info, experiment_id=self.local_ids[run.info.experiment_id]), self.store
        if self.artifacts or not info.artifact_uri:
            info = attrs.evolve(info, artifact_uri=store.default_artifact_uri(info.experiment_id, info.run_id))
        fields = attrs.asdict(info, recurse=False)
        store.load_run(**fields, metrics=run.latest, params=run.params, tags=run.tags, inputs=run.inputs)
        for key, points in histories.items():
            self.done.points += len(points[0])
            if len(points[0]) > 1:
                store.load_history(info.run_id, key, *points)
        if run.outputs:
            store.write(LogOutputs(info.run_id, run.outputs))
        if run.model_inputs:
            store.write(LogModelInputs(info.run_id, list(run.model_inputs)))

    def add_points(self, run_id: str, key: str, points: Points) -> None:
        old = set(rows_of(self.store.history(run_id, key)))
        new = [number for number, row in enumerate(rows_of(points)) if row not in old]
        if new:
            self.store.load_history(run_id, key, *(column[new] for column in points))
            self.done.points += len(new)

    def remember(self, run_id: str) -> None:
        summary = summary_of(self.store, run_id)
        histories = {key: self.store.history(run_id, key) for key in summary.latest}
        digest = digest_of(summary, histories, self.store.artifacts_of(run_id))
        if self.pushed.known("run", run_id) != (run_id, digest):
            self.pushed.remember("run", run_id, run_id, digest)

    def pull_models(self, runs: set[str] | None) -> None:
        store = self.store
        for found in self.source.models(list(self.local_ids)):
            model = attrs.evolve(found.model, experiment_id=self.local_ids[found.model.experiment_id])
            is_chosen = runs is None or model.source_run_id in runs
            if not is_chosen or model.model_id in self.pushed_models:
                continue
            if self.artifacts:
                local = store.default_artifact_uri(model.experiment_id, f"models/{model.model_id}")
                model = attrs.evolve(model, artifact_location=local or model.artifact_location)
            new = ModelContent(model, found.points)
            if model.model_id not in store.models.by_id or model_of(store, model.model_id).digest(()) != new.digest(()):
                self.pull_model(new)
            if self.artifacts:
                self.pull_files_of(model.model_id, found.model.artifact_location)

    def pull_model(self, new: ModelContent) -> None:
        store, model_id = self.store, new.model.model_id
        with store.transaction():
            store.write(PutModel(model_fields(new.model)))
            if new.points:
                store.write(LogModelPoints(model_id, list(map(model_point_fields, new.points))))
            digest = model_of(store, model_id).digest(store.artifacts_of(model_id))
            self.pushed.remember("model", model_id, model_id, digest)
        self.done.models += 1

    def pull_files(self, runs: Sequence[Summary]) -> None:
        for number, run in enumerate(runs):
            self.progress("artifacts", number, len(runs))
            run_id = run.info.run_id
            before = self.done.files
            is_reachable = self.pull_files_of(run_id, run.info.artifact_uri)
            with self.store.transaction():
                row = self.store.runs.row_of[run_id]
                local_uri = self.store.default_artifact_uri(self.store.runs.string("experiment_id", row) or "", run_id)
                if is_reachable and self.store.runs.artifact_uri(row) != local_uri:
                    self.store.write(SetArtifactUri(run_id, local_uri))
                if self.done.files > before:
                    self.remember(run_id)
        self.progress("artifacts", len(runs), len(runs))

    def pull_files_of(self, owner_id: str, location: str | None) -> bool:
        """Copy the files that are missing here or differ in size; return whether they can be reached."""
        local = dict(self.store.artifacts_of(owner_id))
        try:
            for file in self.source.files(owner_id, location):
                if local.get(file.path) != file.size:
                    self.pull_file(owner_id, file)
        except LookupError:
            self.done.unreachable += 1
            return False
        return True

    def pull_file(self, owner_id: str, file: SourceFile) -> None:
        """Copy a file; one whose path no store can have is listed."""
        try:
            self.store.artifacts.adopt(owner_id, file.path, file.fetch)
            self.done.files += 1
        except StoreError as error:
            if error.error_code != INVALID_PARAMETER_VALUE:
                raise
            self.done.bad_files.append(f"{owner_id}: {error}")


def _changes(old: Summary, new: Summary) -> Iterator[Change]:
    """Yield the changes that turn the old run into the new one, points excepted."""
    run_id, before, after = old.info.run_id, old.info, new.info
    if (before.status, before.end_time, before.run_name) != (after.status, after.end_time, after.run_name):
        yield SetRunInfo(run_id, after.status, after.end_time, after.run_name)
    if before.lifecycle_stage != after.lifecycle_stage:
        yield SetRunStage(run_id, after.lifecycle_stage)
    params = {key: value for key, value in new.params.items() if old.params.get(key) != value}
    tags = {key: value for key, value in new.tags.items() if old.tags.get(key) != value}
    if params or tags:
        yield LogBatch(run_id, [], params, tags)
    for key in old.tags.keys() - new.tags.keys():
        yield DeleteTag(run_id, key)
    known = [dataset_input_fields(found) for found in old.inputs]
    inputs = [fields for fields in map(dataset_input_fields, new.inputs) if fields not in known]
    if inputs:
        yield LogInputs(run_id, inputs)
    if new.outputs != old.outputs:
        yield LogOutputs(run_id, new.outputs)
    read = [model_id for model_id in new.model_inputs or () if model_id not in (old.model_inputs or ())]
    if read:
        yield LogModelInputs(run_id, read)
