"""Turns runs into cells by column, and these into an aligned table for a terminal, without columns that do not fit."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mlquery.language.plan import FieldRef, Kind, Plan, predicates
from mlquery.tables.lines import aligned, counted, one_line, shown_time

if TYPE_CHECKING:
    from mlquery.entities import Run
    from mlquery.query.histories import PointsByKey, ReadPoints


def columns_named(plan: Plan) -> set[str]:
    """Return the columns of the fields that a query compares or orders by."""
    return set(map(column_of, fields_named(plan)))


def histories_named(plan: Plan, read_points: ReadPoints, runs: Sequence[Run]) -> list[dict[str, str]]:
    """Return the cells of the functions of histories that a query compares or orders by, for each run."""
    return history_cells(fields_named(plan), read_points, runs)


def history_cells(fields: Iterable[FieldRef], read_points: ReadPoints, runs: Sequence[Run]) -> list[dict[str, str]]:
    """Return the cells of those fields that are functions of histories, for each run."""
    wanted = [field for field in fields if field.kind is Kind.HISTORY]
    if not wanted or not runs:
        return [{} for _ in runs]
    ids = [run.info.run_id for run in runs]
    points = read_points(ids, list(dict.fromkeys(field.key for field in wanted)))
    return [{column_of(field): _history_cell(field, run, points) for field in wanted} for run in runs]


def _history_cell(field: FieldRef, run: Run, points: PointsByKey) -> str:
    from mlquery.engine.history_values import Point, history_value  # few queries have any

    if field.key not in run.data.metrics:
        return ""
    values, timestamps, steps = (column.tolist() for column in points[run.info.run_id, field.key])
    value = history_value(field, list(map(Point, steps, timestamps, values)), run.data.metrics[field.key])
    return "" if value is None else f"{value:.6g}"


def fields_named(plan: Plan) -> list[FieldRef]:
    """Return the fields that a query compares or orders by."""
    return [predicate.field for predicate in predicates(plan.where)] + [key.field for key in plan.order]


def column_of(field: FieldRef) -> str:
    """Return the name of the column of a field."""
    if field.function is not None:
        step = "" if field.step is None else f", {field.step}"
        return f"{field.function.value}(metrics.{field.key}{step})"
    return field.key if field.kind is Kind.ATTRIBUTE else f"{field.kind.value}s.{field.key}"


def runs_table(
    runs: Sequence[Run],
    named: Collection[str],
    width: int | None = None,
    others: Sequence[Mapping[str, str]] | None = None,
) -> Iterator[str]:
    """Yield the lines of a table: the run, then the columns that the query names, then as many others as fit.

    Args:
        runs: The rows, in their order.
        named: The columns to show before all others.
        width: Characters per line; the terminal's when None.
        others: Cells of each run by column, apart from those of its attributes and data.
    """
    rows = [run_cells(run) | dict(other) for run, other in zip(runs, others or ({} for _ in runs), strict=True)]
    names = _named_first(dict.fromkeys(name for row in rows for name in row), named)
    columns = [[name, *(row.get(name, "") for row in rows)] for name in names]
    kept = _fitting(columns, width or shutil.get_terminal_size((120, 24)).columns)
    yield from aligned(kept)
    left_out = len(columns) - len(kept)
    more = f"; {counted(left_out, 'more column')} with --format csv" if left_out else ""
    yield f"({counted(len(runs), 'run')}{more})"


def run_cells(run: Run) -> dict[str, str]:
    """Return the cells of a run by column: its id and name, its data, then the rest of its attributes."""
    info, data = run.info, run.data
    names = {"run_id": info.run_id, "run_name": info.run_name or "", "status": info.status}
    cells = names | {"start_time": shown_time(info.start_time)}
    cells |= {f"metrics.{key}": f"{value:.6g}" for key, value in sorted(data.metrics.items())}
    cells |= {f"params.{key}": value for key, value in sorted(data.params.items())}
    cells |= {f"tags.{key}": value for key, value in sorted(data.tags.items())}
    cells |= {"end_time": shown_time(info.end_time), "user_id": info.user_id or "", "experiment_id": info.experiment_id}
    if info.start_time is not None and info.end_time is not None:
        cells["duration"] = str(info.end_time - info.start_time)
    return {name: one_line(cell) for name, cell in cells.items()}


def _named_first(columns: Iterable[str], named: Collection[str]) -> list[str]:
    """Return the columns that name the run, those in `named`, then the rest, with MLflow's own tags last.

    The start names a run too, and makes room for `named` where there is the experiment.
    """
    names = list(columns)
    first = ("run_id", "run_name", "status", "experiment" if "experiment" in names else "start_time")

    def rank(column: str) -> int:
        if column in first:
            return first.index(column)
        if column == "start_time":  # by which runs are ordered that are ordered by nothing else
            return 5
        return 4 if column in named else 7 if column.startswith("tags.mlflow.") else 6

    return sorted(names, key=rank)


def _fitting(columns: list[list[str]], width: int) -> list[list[str]]:
    """Return the columns from the left that fit into `width`; the first one always does."""
    kept, used = columns[:1], max(map(len, columns[0])) if columns else 0
    for column in columns[1:]:
        used += 2 + max(map(len, column))
        if used > width:
            break
        kept.append(column)
    return kept
