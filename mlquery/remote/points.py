"""Reads all points of a metric of many runs: in bulk where a server can, else run by run.

**Source**: `metrics/get-history-bulk` of `mlflow.server.handlers` of MLflow 3.17, which orders its points by run id and
returns at most 25,000 of at most 100 runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.remote.requests import Requests, in_parts
from mlquery.store.validation import clean_value

Points = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Values, timestamps (ms UTC) and steps of one metric of a run, each (points,)."""
_ENDPOINT: Final = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
_RUNS: Final = 100
_MOST: Final = 25_000
_FEW: Final = 3  # runs that are asked for one by one just as well


class PointReader:
    """Reads points; it remembers whether the server has the bulk call.

    Args:
        client: MLflow's client of the server.
    """

    def __init__(self, client: Any) -> None:
        store = getattr(getattr(client, "_tracking_client", None), "store", None)
        self._credentials = getattr(store, "get_host_creds", None)
        self._has_bulk = self._credentials is not None

    def read(self, requests: Requests, run_ids: Iterable[str], key: str) -> dict[str, Points]:
        """Return all points of a metric by the ids of the runs that have it.

        Raises:
            TooManyPagesError, StoreError: as of `Requests.send`.
        """
        wanted = sorted(set(run_ids))
        found: dict[str, Points] = {}
        singles: list[str] = []
        while self._has_bulk and len(wanted) > _FEW:
            parts = list(in_parts(wanted, _RUNS))
            answers = requests.each(lambda part: self._bulk(requests, part, key), parts)
            wanted = []
            for part, answer in zip(parts, answers, strict=True):
                complete, rest = _complete(part, answer)
                found |= complete
                if len(rest) == len(part):  # the first run alone has more points than an answer
                    singles.append(rest.pop(0))
                wanted += rest
        singles += wanted
        points = requests.each(lambda run_id: self._single(requests, run_id, key), singles)
        return found | {run_id: each for run_id, each in zip(singles, points, strict=True) if len(each[0])}

    def _bulk(self, requests: Requests, run_ids: Sequence[str], key: str) -> list[dict[str, Any]] | None:
        """Return points of runs by run id, the first 25,000; None where the server has no such call."""
        from mlflow.utils.rest_utils import http_request

        parameters = {"run_id": list(run_ids), "metric_key": key, "max_results": _MOST}
        assert self._credentials is not None
        credentials = self._credentials()
        answer = requests.send(http_request, credentials, _ENDPOINT, "GET", params=parameters)
        try:
            found: list[dict[str, Any]] | None = answer.json().get("metrics", []) if answer.status_code == 200 else None
        except ValueError:
            found = None
        if found is None:
            self._has_bulk = False
        return found

    def _single(self, requests: Requests, run_id: str, key: str) -> Points:
        try:
            points = requests.send(requests.client.get_metric_history, run_id, key)
        except StoreError as error:
            if error.error_code != RESOURCE_DOES_NOT_EXIST:
                raise
            points = []  # the run is gone, or some services say so of a metric that it has not
        return _points((point.value, point.timestamp, point.step or 0) for point in points)


def _complete(run_ids: Sequence[str], answer: list[dict[str, Any]] | None) -> tuple[dict[str, Points], list[str]]:
    """Return the points of the runs whose points are all in an answer, and the other runs."""
    if answer is None:
        return {}, list(run_ids)
    found = {
        run_id: _points((float(p["value"]), int(p["timestamp"]), int(p.get("step", 0))) for p in points)
        for run_id, points in groupby(answer, lambda point: str(point["run_id"]))
    }
    if len(answer) < _MOST:
        return found, []
    last = next(reversed(found))
    del found[last]
    return found, [run_id for run_id in run_ids if run_id >= last]


def _points(rows: Iterable[tuple[float, int, int]]) -> Points:
    columns: Iterator[Any] = zip(*rows, strict=True)
    values, timestamps, steps = tuple(columns) or ((), (), ())
    values = [clean_value(float(value)) for value in values]
    return np.array(values, np.float64), np.array(timestamps, np.int64), np.array(steps, np.int64)
