"""Reads whatever `pull` accepts (a database, an `mlruns` folder, a store on disk, a server) as a store to look at."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs

from mlquery.entities import Experiment
from mlquery.query.loading import loaded
from mlquery.sql.opening import is_server, open_in_place
from mlquery.store import Store
from mlquery.store.changes import LogModelInputs, LogModelPoints, LogOutputs, PutModel
from mlquery.store.entity_fields import experiment_fields, model_fields, model_point_fields
from mlquery.sync.content import Points, Summary
from mlquery.sync.source import Progress, Source
from mlquery.sync.sources import StoreSource, chosen_experiments, open_source


def read_source(source: str, experiments: Sequence[str] = (), *, progress: Progress = lambda *_: None) -> Store:
    """Return a store with what a source has; nothing is written to the source.

    Files are read as a whole, and a store on disk is opened for reading: close it when done. The runs of a server are
    copied into a new store in memory, with their histories and logged models and without artifacts.

    Args:
        source: A tracking URI, the URI of a database server, or the path of an MLflow database, an `mlruns` folder or a
            store on disk.
        experiments: The names of the experiments to copy from a server; all if empty.
        progress: Called with a step, how many of its items are done, and how many there are.

    Raises:
        StoreError: the source cannot be read, or an experiment is unknown.
    """
    found = StoreSource(_read(source), source) if is_server(source) else open_source(source)
    if isinstance(found, StoreSource):
        chosen_experiments(found.experiments(), experiments, source)
        return found.store
    try:
        return _copied(found, chosen_experiments(found.experiments(), experiments, source), progress)
    finally:
        found.close()


def _read(source: str) -> Store:
    """Return a store with what a database server has."""
    found = open_in_place(source)
    try:
        return loaded(found)
    finally:
        found.close()


def _copied(source: Source, experiments: Sequence[Experiment], progress: Progress) -> Store:
    store = Store()
    for experiment in experiments:
        store.load_experiment(**experiment_fields(experiment))
    ids = [experiment.experiment_id for experiment in experiments]
    runs = list(source.runs(ids, ""))
    with ThreadPoolExecutor(source.workers) as pool:
        for number, (run, histories) in enumerate(pool.map(source.details, runs)):
            progress("runs", number, len(runs))
            _put_run(store, run, histories)
    progress("runs", len(runs), len(runs))
    for found in source.models(ids):
        store.write(PutModel(model_fields(found.model)))
        if found.points:
            points = list(map(model_point_fields, found.points))
            store.write(LogModelPoints(found.model.model_id, points))
    return store


def _put_run(store: Store, run: Summary, histories: dict[str, Points]) -> None:
    fields, run_id = attrs.asdict(run.info, recurse=False), run.info.run_id
    store.load_run(**fields, metrics=run.latest, params=run.params, tags=run.tags, inputs=run.inputs)
    for key, points in histories.items():
        if len(points[0]) > 1:
            store.load_history(run_id, key, *points)
    if run.outputs:
        store.write(LogOutputs(run_id, run.outputs))
    if run.model_inputs:
        store.write(LogModelInputs(run_id, list(run.model_inputs)))
