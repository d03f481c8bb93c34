"""Turns all that a source has into a store in memory: experiments, runs with all points of metrics, logged models."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from mlquery.language.plan import Entity, Plan
from mlquery.query.sources import Source
from mlquery.readers.contents import put_models
from mlquery.sql.errors import NotAskableError
from mlquery.store import Store
from mlquery.store.entity_fields import experiment_fields

_RUNS_AT_A_TIME: Final = 1000
_EVERYTHING: Final = frozenset({"active", "deleted"})


def loaded(source: Source) -> Store:
    """Return a store with the contents of a source; its parts are read one after the other.

    Registered models and artifacts stay where they are.

    Raises:
        SourceUnavailableError: the source cannot be read.
    """
    store = source.page(Plan(Entity.RUN, stages=_EVERYTHING), None).store
    known = source.page(Plan(Entity.EXPERIMENT, stages=_EVERYTHING), None).store
    for row in range(known.experiments.size):
        found = known.experiments.experiment_at(row)
        if found.experiment_id not in store.experiments.row_of:
            store.load_experiment(**experiment_fields(found))
    for start in range(0, store.runs.size, _RUNS_AT_A_TIME):
        part = store.runs.ids[start : start + _RUNS_AT_A_TIME]
        keys = sorted({key for logged in store.runs.metric_keys[start : start + len(part)] for key in logged})
        for (run_id, key), points in (source.histories(part, keys) if keys else {}).items():
            if len(points[0]) > 1:  # the only point of a metric is its latest one
                store.load_history(run_id, key, *points)
    with suppress(NotAskableError):  # then there are none
        put_models(store, source.models(list(store.experiments.ids)).models)
    return store
