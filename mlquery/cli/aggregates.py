"""Defines the command that aggregates runs, and writes its DataFrame as a table, as CSV, JSON or Markdown."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlquery.cli.commands import VIEWS, dialect_named, experiment_ids
from mlquery.cli.options import add_choice, add_list, add_source
from mlquery.cli.outcomes import ACCEPTED
from mlquery.cli.sources import opened
from mlquery.tables.frames import plain_values, shown_value
from mlquery.tables.lines import aligned, counted

if TYPE_CHECKING:
    from mlquery.query.dataframe import DataFrame


def add_command(names: Any) -> None:
    """Add the command to those of `mlquery`."""
    command = names.add_parser("aggregate", help="aggregate runs of a database, of tables or of an mlruns folder")
    command.add_argument(
        "aggregates", metavar="AGGREGATES", help='functions over runs, such as "mean(metrics.auc), count()"'
    )
    add_list(command, "--by", "FIELD", "field to group by, such as params.model; may be repeated")
    add_source(command)
    command.add_argument("--filter", metavar="FILTER", default="", help="filter, such as \"status = 'FINISHED'\"")
    add_list(command, "--experiment", "NAME", "experiment to search; may be repeated; default: all")
    add_list(command, "--experiment-id", "ID", "id of an experiment; may be repeated")
    add_choice(command, "--view", VIEWS, "runs to aggregate by lifecycle stage")
    command.add_argument("--dialect", metavar="NAME", help="dialect to follow; default: extended")
    add_choice(command, "--format", FORMATS, "output format")
    command.set_defaults(command=aggregate)


def aggregate(options: argparse.Namespace) -> int:
    """Print aggregates of the runs that match a filter, by group."""
    from mlquery.language.matrix import MATRIX
    from mlquery.query.aggregate import aggregate as aggregate_runs

    dialect = MATRIX.local_dialect if options.dialect is None else dialect_named(options.dialect)
    with opened(options, dialect) as backend:
        frame = aggregate_runs(
            backend,
            options.aggregates,
            options.by,
            options.filter,
            experiment_ids=experiment_ids(backend, options),
            run_view_type=VIEWS[options.view],
            dialect=dialect,
        )
    print(*FORMATS[options.format](frame), sep="\n")
    return ACCEPTED


def _table(frame: DataFrame) -> Iterator[str]:
    yield from aligned([[name, *map(shown_value, values)] for name, values in plain_values(frame).items()])
    yield f"({counted(len(frame), 'group')})"


def _csv(frame: DataFrame) -> Iterator[str]:
    yield frame.to_csv(index=False).rstrip("\n")


def _json(frame: DataFrame) -> Iterator[str]:
    """Yield a list of records as JSON; infinity is a string, what is missing is null, times are in ms UTC."""
    from mlquery.store.entity_fields import without_nan

    columns = plain_values(frame)
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    yield json.dumps([without_nan(record) for record in records], indent=2, ensure_ascii=False)


def _markdown(frame: DataFrame) -> Iterator[str]:
    columns = plain_values(frame)
    is_string = [any(isinstance(value, str) for value in values) for values in columns.values()]
    yield _markdown_row(columns)
    yield _markdown_row("---" if left else "--:" for left in is_string)
    yield from (_markdown_row(map(shown_value, row)) for row in zip(*columns.values(), strict=True))


def _markdown_row(cells: Any) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


FORMATS = {"table": _table, "csv": _csv, "json": _json, "md": _markdown}
