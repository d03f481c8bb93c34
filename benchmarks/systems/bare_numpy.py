"""The limit: what numpy and plain Python can do when nothing is parsed, checked, locked or kept up to date.

Dense columns and dictionary codes, the answer to each query written by hand, entities as plain objects with slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from workload import ABSENT, NAN, NUMBER, Query, Texts, Workload

Rows = np.ndarray
_ALL = slice(None)


class Info:
    __slots__ = (
        *("run_id", "experiment_id", "user_id", "status", "start_time", "end_time", "lifecycle_stage"),
        *("artifact_uri", "run_name"),
    )

    def __init__(
        self,
        run_id: str,
        experiment_id: str,
        user_id: str,
        status: str,
        start_time: int,
        end_time: int | None,
        artifact_uri: str,
        run_name: str,
    ) -> None:
        self.run_id = run_id
        self.experiment_id = experiment_id
        self.user_id = user_id
        self.status = status
        self.start_time = start_time
        self.end_time = end_time
        self.lifecycle_stage = "active"
        self.artifact_uri = artifact_uri
        self.run_name = run_name


class Data:
    __slots__ = ("metrics", "params", "tags")

    def __init__(self, metrics: dict[str, float], params: dict[str, str], tags: dict[str, str]) -> None:
        self.metrics = metrics
        self.params = params
        self.tags = tags


class Run:
    __slots__ = ("data", "info")

    def __init__(self, info: Info, data: Data) -> None:
        self.info = info
        self.data = data


class BareNumpy:
    """Columns of a workload and its default order."""

    def __init__(self, runs: Workload) -> None:
        self.runs = runs
        ids = np.array(runs.run_ids, dtype="S32")
        self.order = np.lexsort((ids, -runs.start_times))
        self.row_of = {run_id: row for row, run_id in enumerate(runs.run_ids)}
        self.tags = runs.all_tags()
        self.uris = tuple(runs.artifact_uri(row) for row in range(runs.size))
        self._masks = self._tests()

    def _tests(self) -> dict[str, Callable[[Rows | slice], np.ndarray]]:
        runs = self.runs
        auc, opt, lr = runs.metrics["auc"].values, runs.params["opt"], runs.params["lr"]
        adam, tenth = opt.table.index("adam"), lr.table.index("0.1")
        team, stage = runs.tags["team"], runs.tags["stage"]
        prod = stage.table.index("prod")
        finished = runs.statuses.table.index("FINISHED")
        return {
            "Q1": lambda at: auc[at] > 0.8,
            "Q2": lambda at: (opt.codes[at] == adam) & (auc[at] > 0.9),
            "Q3": lambda at: _starting(team, "vis")[team.codes[at]] & (lr.codes[at] != tenth),
            "Q4": lambda at: runs.statuses.codes[at] == finished,
            "Q5": lambda at: (opt.codes[at] == adam) & (auc[at] > 0.7) & (stage.codes[at] == prod),
        }

    def rows(self, query: Query, limit: int | None = None) -> Rows:
        """Return the rows of the first page, all rows being looked at."""
        limit = query.limit if limit is None else limit
        if query.name == "Q6":
            return self._listed(query)
        if query.name == "Q7":
            return self.order[:limit]
        mask = self._masks[query.name](_ALL)
        found = self.order[mask[self.order]]
        return found[:limit] if query.name != "Q4" else self._by_metric(found, "loss", limit)

    def newest(self, query: Query, limit: int | None = None) -> Rows:
        """Return the rows of the first page; a page in default order is looked for in growing chunks."""
        limit = query.limit if limit is None else limit
        test = self._masks.get(query.name)
        if test is None or query.order_by or limit >= len(self.order):
            return self.rows(query, limit)
        found, count, start, size = [], 0, 0, 4 * limit
        while count < limit and start < len(self.order):
            chunk = self.order[start : start + size]
            hits = chunk[test(chunk)]
            found.append(hits)
            count, start, size = count + len(hits), start + size, 2 * size
        return (found[0] if len(found) == 1 else np.concatenate(found))[:limit]

    def _listed(self, query: Query) -> Rows:
        row_of, starts = self.row_of, self.runs.start_times
        ids = query.filter_string.partition("(")[2].rstrip(")").replace("'", "").split(", ")
        found = sorted((-int(starts[row_of[run_id]]), run_id) for run_id in ids if run_id in row_of)
        return np.array([row_of[run_id] for _, run_id in found], np.int64)

    def _by_metric(self, found: Rows, key: str, limit: int) -> Rows:
        """Return the rows with the smallest values first, then NaN, then those without the metric."""
        metric = self.runs.metrics[key]
        values = metric.values[found]
        if limit < len(values):
            bound = np.partition(values, limit - 1)[limit - 1]  # NaN sorts last
            if bound == bound:
                found, values = found[values <= bound], values[values <= bound]
                return found[np.argsort(values, kind="stable")][:limit]
        states = metric.states[found]
        numbers = found[states == NUMBER]
        ordered = numbers[np.argsort(metric.values[numbers], kind="stable")]
        return np.concatenate([ordered, found[states == NAN], found[states == ABSENT]])[:limit]

    def order_by_metric(self, key: str, limit: int) -> Rows:
        """Return the rows of all runs by ascending metric."""
        return self._by_metric(self.order, key, limit)

    def ids(self, rows: Rows) -> list[str]:
        return list(map(self.runs.run_ids.__getitem__, rows.tolist()))

    def entities(self, rows: Rows) -> list[Run]:
        """Return runs as objects with slots and their data as dictionaries, all made now."""
        runs, taken = self.runs, rows.tolist()
        ends = runs.end_times[rows]
        infos = map(
            Info,
            map(runs.run_ids.__getitem__, taken),
            _texts(runs.experiments, rows),
            _texts(runs.users, rows),
            _texts(runs.statuses, rows),
            runs.start_times[rows].tolist(),
            [None if end < 0 else end for end in ends.tolist()],
            map(self.uris.__getitem__, taken),
            map(runs.run_names.__getitem__, taken),
        )
        keys = list(runs.metrics)
        values = zip(*[metric.values[rows].tolist() for metric in runs.metrics.values()], strict=True)
        states = zip(*[metric.states[rows].tolist() for metric in runs.metrics.values()], strict=True)
        metrics = [
            {key: value for key, value, state in zip(keys, some, there, strict=True) if state}
            for some, there in zip(values, states, strict=True)
        ]
        data = map(Data, metrics, _records(runs.params, rows), _records(self.tags, rows))
        return list(map(Run, infos, data))

    def frame(self, rows: Rows) -> pd.DataFrame:
        """Return the frame of the rows with the columns and dtypes of `mlflow.search_runs`."""
        runs = self.runs
        columns: dict[str, Any] = {}
        columns["run_id"] = _array(map(runs.run_ids.__getitem__, rows.tolist()))
        columns["experiment_id"] = _gathered(runs.experiments, rows)
        columns["status"] = _gathered(runs.statuses, rows)
        columns["artifact_uri"] = _array(map(self.uris.__getitem__, rows.tolist()))
        columns["start_time"] = _times(runs.start_times[rows])
        columns["end_time"] = _times(runs.end_times[rows])
        columns |= {f"metrics.{key}": metric.values[rows] for key, metric in runs.metrics.items()}
        columns |= {f"params.{key}": _gathered(column, rows) for key, column in runs.params.items()}
        columns |= {f"tags.{key}": _gathered(column, rows) for key, column in self.tags.items()}
        return pd.DataFrame(columns, copy=False)


def _starting(column: Texts, start: str) -> np.ndarray:
    return np.array([text.startswith(start) for text in column.table])


def _texts(column: Texts, rows: Rows) -> list[str]:
    return list(map(column.table.__getitem__, column.codes[rows].tolist()))


def _records(columns: dict[str, Texts], rows: Rows) -> list[dict[str, str]]:
    """Return a dictionary per row; every run of the workload has every param and tag."""
    keys = list(columns)
    table = zip(*[_texts(column, rows) for column in columns.values()], strict=True)
    return [dict(zip(keys, some)) for some in table]  # noqa: B905  # a check per row would cost a tenth


def _array(texts: Iterable[str | None]) -> pd.api.extensions.ExtensionArray:
    return pd.array(np.array(list(texts), dtype=object), dtype="str")


def _gathered(column: Texts, rows: Rows) -> pd.api.extensions.ExtensionArray:
    """Return the texts of the rows: a cast of the dictionary, then `take`, or the texts alone if they are fewer."""
    codes = column.codes[rows]
    if len(column.table) < len(codes):
        return pd.array(np.array(column.table, dtype=object), dtype="str").take(codes)
    return _array(map(column.table.__getitem__, codes.tolist()))


def _times(values: np.ndarray) -> pd.DatetimeIndex:
    times = np.where(values < 0, np.int64(-(2**63)), values).view("M8[ms]")
    return pd.DatetimeIndex(times).as_unit(pd.to_datetime(0, unit="ms", utc=True).unit).tz_localize("UTC")
