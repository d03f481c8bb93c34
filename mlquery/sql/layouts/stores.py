"""Makes the small store in memory that the page of a search is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from mlquery.entities import Experiment
from mlquery.readers.contents import Contents, LoadedRun, Points
from mlquery.readers.errors import SourceError
from mlquery.sql.errors import SourceUnavailableError
from mlquery.store import Store
from mlquery.store.model_table import ModelTable

POINT_KINDS: Final = (np.int32, np.int32, np.float64, np.int64, np.int64)
"""Types of the columns of points: run, key, value, timestamp, step."""


def page_store(
    name: str, experiments: Sequence[Experiment], runs: Sequence[LoadedRun] = (), models: ModelTable | None = None
) -> Store:
    """Return a store with experiments, runs and models of a source; histories are not read.

    Raises:
        SourceUnavailableError: they contradict each other.
    """
    no_points = Points([], *(np.empty(0, kind) for kind in POINT_KINDS))
    contents = Contents(name, list(experiments), list(runs), no_points, models or ModelTable())
    try:
        return contents.into_new_store()
    except SourceError as error:
        raise SourceUnavailableError(name, error.problem) from None
