"""Runs as an aligned text table for a terminal. It leaves out what does not fit and says so; csv and json are whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlquery.entities import Run

_WIDEST_CELL = 40


def runs_table(runs: Sequence[Run], queries: Sequence[str], width: int | None = None) -> Iterator[str]:
    """Yield the lines of a table: the run, then the fields that the query names, then as many others as fit.

    Args:
        runs: The rows, in their order.
        queries: The texts of the query; the fields they mention are shown first.
        width: Characters per line; the terminal's when None.
    """
    rows = [_cells(run) for run in runs]
    names = _mentioned_first(dict.fromkeys(name for row in rows for name in row), " ".join(queries))
    columns = [[name, *(row.get(name, "") for row in rows)] for name in names]
    kept = _fitting(columns, width or shutil.get_terminal_size((120, 24)).columns)
    yield from aligned(kept)
    left_out = len(columns) - len(kept)
    more = f"; {_counted(left_out, 'more column')} with --format csv" if left_out else ""
    yield f"({_counted(len(runs), 'run')}{more})"


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


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _cells(run: Run) -> dict[str, str]:
    """Return what a row shows, fields in the order of MLflow's DataFrame; MLflow's own tags are left out."""
    info = {
        "run_id": run.info.run_id,
        "run_name": run.info.run_name or "",
        "status": run.info.status,
        "start_time": _time(run.info.start_time),
    }
    metrics = {f"metrics.{key}": f"{value:.6g}" for key, value in sorted(run.data.metrics.items())}
    params = {f"params.{key}": value for key, value in sorted(run.data.params.items())}
    tags = {f"tags.{key}": value for key, value in sorted(run.data.tags.items())}
    return {name: _one_line(cell) for name, cell in (info | metrics | params | tags).items()}


def _time(milliseconds: int | None) -> str:
    """Return a time, integer milliseconds UTC, to the second; as it is where no calendar goes that far."""
    if milliseconds is None:
        return ""
    try:
        return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)


def _one_line(cell: str) -> str:
    shown = "".join(c if c.isprintable() else "\N{MIDDLE DOT}" for c in cell)
    return shown if len(shown) <= _WIDEST_CELL else shown[: _WIDEST_CELL - 1] + "…"


def _mentioned_first(names: Iterable[str], query: str) -> list[str]:
    """Return the run's own names, then those that the query mentions, then the rest, MLflow's tags last."""

    def rank(name: str) -> int:
        kind, dot, key = name.partition(".")
        if not dot:
            return 0
        if key in query and kind[:-1] in query:
            return 1
        return 3 if key.startswith("mlflow.") else 2

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
