"""Opens the source that a path or a tracking URI names: a database, an `mlruns` folder, a store on disk or a server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs

from mlquery.durable import journal, locations
from mlquery.durable.files import FileArtifacts
from mlquery.durable.store import DurableStore
from mlquery.engine import columnar
from mlquery.entities import Experiment, ViewType
from mlquery.errors import invalid_parameter
from mlquery.query.search import plan_of
from mlquery.readers import load
from mlquery.remote.names import target_name
from mlquery.store import Store
from mlquery.store.registered_models import Entry
from mlquery.sync.content import ModelContent, Points, Summary, model_of, summary_of
from mlquery.sync.source import Source, SourceFile


class StoreSource:
    """A source that is read from files at once.

    Args:
        store: The store that was read.
        name: Identifies the source.
        base: The folder that relative artifact locations start at.
    """

    workers = 1

    def __init__(self, store: Store, name: str, base: Path | None = None) -> None:
        self.store, self.name, self._base = store, name, base

    def experiments(self) -> list[Experiment]:
        """Return all experiments, deleted ones too."""
        return experiments_of(self.store)

    def runs(self, experiment_ids: Sequence[str], filter_string: str) -> Iterator[Summary]:
        """Yield the runs that a filter finds, deleted ones too, the oldest first."""
        for run_id in run_ids_of(self.store, experiment_ids, filter_string):
            with self.store.lock:
                yield summary_of(self.store, run_id)

    def details(self, run: Summary) -> tuple[Summary, dict[str, Points]]:
        """Return a complete run, and the points of all its metrics."""
        return run, {key: self.store.history(run.info.run_id, key) for key in run.latest}

    def models(self, experiment_ids: Sequence[str]) -> Iterator[ModelContent]:
        """Yield the logged models of experiments."""
        chosen = set(experiment_ids)
        for model_id, model in list(self.store.models.by_id.items()):
            if model.experiment_id in chosen:
                with self.store.lock:
                    yield model_of(self.store, model_id)

    def registered_models(self) -> Iterable[Entry]:
        """Return the registered models with their versions."""
        with self.store.lock:
            return [entry.copy() for entry in self.store.registered_models.values()]

    def files(self, owner_id: str, location: str | None) -> Iterator[SourceFile]:
        """Yield the artifacts of a run or model at an artifact location; raise LookupError if it cannot be reached."""
        artifacts = self.store.artifacts
        if isinstance(artifacts, FileArtifacts) and (folder := artifacts.folder_of(owner_id)).is_dir():
            return _files_below(folder)
        return _files_below(local_folder(location or "", self._base))

    def close(self) -> None:
        """Close the source."""
        if isinstance(self.store, DurableStore):
            self.store.close()


def local_folder(location: str, base: Path | None = None) -> Path:
    """Return the local folder of an artifact location.

    Raises:
        LookupError: it is not on this machine.
    """
    scheme = urlsplit(location).scheme.lower()
    if scheme == "file":
        return Path(unquote(urlsplit(location).path))
    if len(scheme) > 1 or not location:
        raise LookupError(f"{scheme or 'no'} location")
    path = Path(location)
    return path if path.is_absolute() or base is None or path.exists() else base / path


def _files_below(folder: Path) -> Iterator[SourceFile]:
    top = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            is_inside = path.resolve().is_relative_to(top)
            fetch = partial(shutil.copyfile, path) if is_inside else partial(_refuse_link, path)
            yield SourceFile(path.relative_to(folder).as_posix(), path.stat().st_size, fetch)


def _refuse_link(path: Path, _: Path) -> None:
    """Raise instead of copying what somebody else's link leads to."""
    raise invalid_parameter(f"{path} is a link that leads out of the folder; put a copy in its place")


def open_source(source: str) -> Source:
    """Return the source that a path or a tracking URI names.

    Raises:
        StoreError: it does not exist, it cannot be read, or MLflow is needed for it and not installed.
    """
    path, name = store_folder(source), target_name(source)
    if path is not None:
        return StoreSource(DurableStore(path, read_only=True), name)
    scheme = urlsplit(source).scheme.lower()
    if os.path.exists(source) or scheme in ("sqlite", "file"):
        return StoreSource(load(source), name, Path(name.partition("://")[2]).parent)
    if len(scheme) < 2:
        load(source)  # raises
    from mlquery.sync.mlflow_source import MlflowSource  # MLflow takes a second to import

    return MlflowSource(source)


def store_folder(uri: str) -> Path | None:
    """Return the folder of the store on disk that a path or a URI names, None if it names something else."""
    if uri.startswith(locations.PREFIX):
        return locations.folder_of(uri)
    return Path(uri) if (Path(uri) / journal.NAME).is_file() else None


def experiments_of(store: Store) -> list[Experiment]:
    """Return all experiments of a store, deleted ones too."""
    with store.lock:
        return [store.experiments.experiment_at(row) for row in range(store.experiments.size)]


def run_ids_of(store: Store, experiment_ids: Sequence[str], filter_string: str) -> list[str]:
    """Return the ids of the runs that a filter finds, those of deleted ones too, the oldest first."""
    plan = plan_of(filter_string, ["start_time ASC"], view_type=ViewType.ALL)
    with store.lock:  # ids of experiments are those of the store, which need not be numbers
        rows = columnar.rows(store, attrs.evolve(plan, experiment_ids=frozenset(experiment_ids)))
        return [store.runs.ids[row] for row in rows]


def require_on_disk(store: Store) -> None:
    """Raise StoreError for a store in memory: it keeps no record of what other servers have."""
    if not isinstance(store, DurableStore):
        raise invalid_parameter("pull and push need a store on disk; instead: mlquery.open(path)")


def chosen_experiments(found: Iterable[Experiment], names: Sequence[str], where: str) -> list[Experiment]:
    """Return the experiments of these names, all of them if `names` is empty.

    Raises:
        StoreError: a name is unknown.
    """
    by_name = {experiment.name: experiment for experiment in found}
    for name in names:
        if name not in by_name:
            raise invalid_parameter(f"{where} has no experiment named {name!r}")
    return [by_name[name] for name in names] if names else list(by_name.values())
