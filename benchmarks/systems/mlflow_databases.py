"""MLflow's schema on SQLite and PostgreSQL, filled with a workload as a server would have filled it: run after run.

SQLite gets no ANALYZE, because nobody runs it; PostgreSQL collects statistics by itself, some minutes later.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from workload import ABSENT, EXPERIMENTS, NAN, Workload, artifact_root

from systems.mlflow_sql import _COLUMNS as RUN_COLUMNS
from systems.mlflow_sql import empty_store, quiet, run_rows

_PIECE = 50_000
_EXPERIMENT = ("experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time", "last_update_time")
_STRING = ("key", "value", "run_uuid")
_POINT = ("key", "value", "timestamp", "step", "is_nan", "run_uuid")
_FILLED = ("runs", "params", "tags", "metrics", "latest_metrics")

Table = tuple[str, Sequence[str], Iterable[Sequence[Any]]]


def lean(runs: Workload) -> Workload:
    """Return the runs with five params, five metrics and three tags each."""
    return replace(
        runs,
        params=dict(islice(runs.params.items(), 5)),
        tags=dict(islice(runs.tags.items(), 3)),
        metrics=dict(islice(runs.metrics.items(), 5)),
    )


def store(url: str) -> Any:
    """Return MLflow's store on a database, whose tables it makes if there are none."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    quiet()
    return SqlAlchemyStore(url, "mlflow-artifacts:/")


def sqlite_file(runs: Workload, folder: Path) -> Path:
    """Return a SQLite database with the runs of a workload, made now unless the folder has it."""
    path = folder / f"engines-{runs.size}-{runs.digest()}.db"
    if not path.exists():
        building = path.with_suffix(".building")
        building.unlink(missing_ok=True)
        empty_store(building).engine.dispose()
        connection = sqlite3.connect(building)
        connection.execute("PRAGMA synchronous = OFF")
        for table, columns, rows in _tables(runs):
            places = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)
        connection.commit()
        connection.close()
        building.rename(path)
    return path


def fill_postgres(runs: Workload, url: str, *, has_statistics: bool = True) -> None:
    """Copy the runs of a workload into an empty database, as it is once it has statistics or before."""
    from sqlalchemy import create_engine

    store(url).engine.dispose()
    engine = create_engine(url)
    connection = engine.raw_connection()
    cursor: Any = connection.cursor()
    again = _without_indexes(cursor)
    for table, columns, rows in _tables(runs):
        lines = ("\t".join(map(_cell, columns, row)) + "\n" for row in rows)
        for piece in _pieces(lines):
            cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN", io.StringIO(piece))
    for statement in again:
        cursor.execute(statement)
    if not has_statistics:
        for table in _FILLED:
            cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    connection.commit()
    engine.dispose()
    if has_statistics:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connected:
            connected.exec_driver_sql("VACUUM ANALYZE")
        engine.dispose()


def _tables(runs: Workload) -> Iterator[Table]:
    roots = ((int(number), f"experiment {number}", artifact_root(number)) for number in EXPERIMENTS)
    yield "experiments", _EXPERIMENT, ((*root, "active", 0, 0) for root in roots)
    yield "runs", RUN_COLUMNS, run_rows(runs)
    for table, columns in (("params", runs.params), ("tags", runs.tags)):
        yield table, _STRING, _strings(runs, columns)
    for table in ("metrics", "latest_metrics"):
        yield table, _POINT, _points(runs)


def _strings(runs: Workload, columns: dict[str, Any]) -> Iterator[Sequence[Any]]:
    for run_id, *values in zip(runs.run_ids, *columns.values(), strict=True):
        for key, value in zip(columns, values, strict=True):
            yield key, value, run_id


def _points(runs: Workload) -> Iterator[Sequence[Any]]:
    numbers = chain.from_iterable((metric.values.tolist(), metric.states.tolist()) for metric in runs.metrics.values())
    for run_id, start, *cells in zip(runs.run_ids, runs.start_times.tolist(), *numbers, strict=True):
        for key, value, state in zip(runs.metrics, cells[::2], cells[1::2], strict=True):
            if state != ABSENT:
                yield key, 0.0 if state == NAN else value, start, 1, int(state == NAN), run_id


def _without_indexes(cursor: Any) -> list[str]:
    """Drop the constraints and indexes of the tables that are filled, and return what makes them again."""
    listed = ", ".join(f"'{table}'::regclass" for table in _FILLED)
    cursor.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        f"WHERE conrelid IN ({listed}) AND contype IN ('p', 'f') ORDER BY contype DESC"
    )
    constraints = cursor.fetchall()
    cursor.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
        f"WHERE indrelid IN ({listed}) AND NOT indisprimary"
    )
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    for table, name, _ in constraints:
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name} CASCADE")
    made = [f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}" for table, name, definition in constraints]
    return [*made, *(definition for _, definition in indexes)]


def _pieces(lines: Iterator[str]) -> Iterator[str]:
    while piece := "".join(islice(lines, _PIECE)):
        yield piece


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "\\N"
    return ("t" if value else "f") if column == "is_nan" else str(value)  # the workload has no tab and no backslash
