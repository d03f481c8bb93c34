"""Turns runs into an aligned table for a terminal, without the columns that do not fit; CSV and JSON are complete."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mlquery.entities.times import shown_time as entity_time
from mlquery.language.plan import FieldRef, Kind, Plan, predicates

if TYPE_CHECKING:
    from mlquery.entities import Run
    from mlquery.query.histories import PointsByKey, ReadPoints


def columns_named(plan: Plan) -> set[str]:
    """Return the columns of the fields that a query compares or orders by."""
    return set(map(_column, _fields(plan)))


def histories_named(plan: Plan, read_points: ReadPoints, runs: Sequence[Run]) -> list[dict[str, str]]:
    """Return the cells of the functions of histories that a query compares or orders by, for each run."""
    fields = [field for field in _fields(plan) if field.kind is Kind.HISTORY]
    if not fields or not runs:
        return [{} for _ in runs]
    ids = [run.info.run_id for run in runs]
    points = read_points(ids, list(dict.fromkeys(field.key for field in fields)))
    return [{_column(field): _history_cell(field, run, points) for field in fields} for run in runs]


def _history_cell(field: FieldRef, run: Run, points: PointsByKey) -> str:
    from mlquery.engine.history_values import Point, history_value  # few queries have any

    if field.key not in run.data.metrics:
        return ""
    values, timestamps, steps = (column.tolist() for column in points[run.info.run_id, field.key])
    value = history_value(field, list(map(Point, steps, timestamps, values)), run.data.metrics[field.key])
    return "" if value is None else f"{value:.6g}"


def _fields(plan: Plan) -> list[FieldRef]:
    return [predicate.field for predicate in predicates(plan.where)] + [key.field for key in plan.order]


def _column(field: FieldRef) -> str:
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
    rows = [_cells(run) | dict(other) for run, other in zip(runs, others or ({} for _ in runs), strict=True)]
    names = _named_first(dict.fromkeys(name for row in rows for name in row), named)
    columns = [[name, *(row.get(name, "") for row in rows)] for name in names]
    kept = _fitting(columns, width or shutil.get_terminal_size((120, 24)).columns)
    yield from aligned(kept)
    left_out = len(columns) - len(kept)
    more = f"; {counted(left_out, 'more column')} with --format csv" if left_out else ""
    yield f"({counted(len(runs), 'run')}{more})"


def aligned(columns: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield one line per row of `columns`, each a header and its cells; numbers stand at the right."""
    widths = [max(map(len, column)) for column in columns]
    right = [all(_is_number(cell) for cell in column[1:] if cell) for column in columns]
    for row in zip(*columns, strict=True):
        cells = (
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(row, widths, right, strict=True)
        )
        yield "  ".join(cells).rstrip()


def counted(number: int, thing: str) -> str:
    """Return a number of things."""
    return f"{number} {thing}{'s' * (number != 1)}"


def _cells(run: Run) -> dict[str, str]:
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


def shown_time(milliseconds: int | None) -> str:
    """Return the cell of a time in ms UTC, which is empty if it is missing."""
    return entity_time(milliseconds) or ""


def one_line(string: str, longest: int = 40) -> str:
    """Return the beginning of a string, with a dot for each character that cannot be printed."""
    shown = "".join(character if character.isprintable() else "\N{MIDDLE DOT}" for character in string)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


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


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
