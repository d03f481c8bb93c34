"""DuckDB and Polars: the same runs as one wide table with a column per attribute, metric, param and tag.

Texts with few distinct values are enums in both, their dictionary-coded type. An absent metric is NULL. Neither is
asked whether a run is deleted, because none is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from workload import ABSENT, Query, Texts, Workload

_FEW = 1000


def arrow_table(runs: Workload) -> Any:
    """Return the workload as an Arrow table, few distinct texts as dictionaries."""
    import pyarrow as pa

    def texts(column: Texts) -> Any:
        array = pa.DictionaryArray.from_arrays(pa.array(column.codes), pa.array(list(column.table)))
        return array if len(column.table) <= _FEW else array.cast(pa.string())

    columns: dict[str, Any] = {
        "row": pa.array(np.arange(runs.size)),
        "run_id": pa.array(list(runs.run_ids)),
        "experiment_id": texts(runs.experiments),
        "status": texts(runs.statuses),
        "artifact_uri": pa.array([runs.artifact_uri(row) for row in range(runs.size)]),
        "start_time": pa.array(runs.start_times),
        "end_time": pa.array(runs.end_times, mask=runs.end_times < 0),
    }
    for key, metric in runs.metrics.items():
        columns[f"metrics.{key}"] = pa.array(metric.values, mask=metric.states == ABSENT)
    columns |= {f"params.{key}": texts(column) for key, column in runs.params.items()}
    columns |= {f"tags.{key}": texts(column) for key, column in runs.all_tags().items()}
    return pa.table(columns)


class DuckDB:
    """A table in memory of DuckDB."""

    _WHERE = {  # noqa: RUF012  # a constant
        "Q1": '"metrics.auc" > 0.8',
        "Q2": '"params.opt" = \'adam\' AND "metrics.auc" > 0.9',
        "Q3": "\"tags.team\" LIKE 'vis%' AND \"params.lr\" <> '0.1'",
        "Q4": "status = 'FINISHED'",
        "Q5": '"params.opt" = \'adam\' AND "metrics.auc" > 0.7 AND "tags.stage" = \'prod\'',
        "Q7": "true",
    }
    _NEWEST = "start_time DESC, run_id ASC"

    def __init__(self, table: Any) -> None:
        import duckdb

        self.connection = duckdb.connect()
        self.connection.register("arrow", table)
        self.connection.execute("CREATE TABLE runs AS SELECT * FROM arrow")
        self.connection.unregister("arrow")

    def _sql(self, query: Query, columns: str, limit: int) -> str:
        where = self._WHERE.get(query.name) or query.filter_string.replace("attributes.", "")
        order = f'"metrics.loss" ASC NULLS LAST, {self._NEWEST}' if query.order_by else self._NEWEST
        return f"SELECT {columns} FROM runs WHERE {where} ORDER BY {order} LIMIT {limit}"

    def rows(self, query: Query) -> np.ndarray:
        return np.asarray(self.connection.execute(self._sql(query, "row", query.limit)).fetchnumpy()["row"])

    def order_by_metric(self, key: str, limit: int) -> np.ndarray:
        sql = f'SELECT row FROM runs ORDER BY "metrics.{key}" ASC NULLS LAST, {self._NEWEST} LIMIT {limit}'
        return np.asarray(self.connection.execute(sql).fetchnumpy()["row"])

    def frame(self, query: Query, limit: int = 100_000) -> Any:
        return self.connection.execute(self._sql(query, "* EXCLUDE (row)", limit)).df()


class Polars:
    """A DataFrame of Polars, searched lazily."""

    def __init__(self, table: Any) -> None:
        import polars as pl

        self.pl = pl
        self.table: Any = pl.from_arrow(table, rechunk=True)
        auc, opt, stage = pl.col("metrics.auc"), pl.col("params.opt"), pl.col("tags.stage")
        self._where = {
            "Q1": auc > 0.8,
            "Q2": (opt == "adam") & (auc > 0.9),
            "Q3": pl.col("tags.team").cast(pl.String).str.starts_with("vis") & (pl.col("params.lr") != "0.1"),
            "Q4": pl.col("status") == "FINISHED",
            "Q5": (opt == "adam") & (auc > 0.7) & (stage == "prod"),
            "Q7": pl.lit(True),
        }

    def _found(self, query: Query, limit: int) -> Any:
        where = self._where.get(query.name)
        if where is None:
            ids = query.filter_string.partition("(")[2].rstrip(")").replace("'", "").split(", ")
            where = self.pl.col("run_id").is_in(ids)
        runs = self.table.lazy().filter(where)
        return self._sorted(runs, "metrics.loss" if query.order_by else None).head(limit)

    def _sorted(self, runs: Any, metric: str | None) -> Any:
        keys = [metric] if metric else []
        return runs.sort(*keys, "start_time", "run_id", descending=[False] * len(keys) + [True, False], nulls_last=True)

    def rows(self, query: Query) -> np.ndarray:
        found: np.ndarray = self._found(query, query.limit).select("row").collect()["row"].to_numpy()
        return found

    def order_by_metric(self, key: str, limit: int) -> np.ndarray:
        rows = self._sorted(self.table.lazy(), f"metrics.{key}").head(limit)
        found: np.ndarray = rows.select("row").collect()["row"].to_numpy()
        return found

    def frame(self, query: Query, limit: int = 100_000) -> Any:
        return self._found(query, limit).drop("row").collect().to_pandas()
