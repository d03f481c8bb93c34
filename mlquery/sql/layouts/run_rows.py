"""The runs of a wide export once more, row by row: what a page shows of runs that lie anywhere in it.

Columns are what searches read, but a run that is shown has a value in each of them, and a page of a thousand runs would
read all of them to the end. Here the data of one run is together, in Arrow files of small compressed blocks, one beside
each file of columns and with the same runs in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.layouts.manifest import ATTRIBUTES, INTEGER, STRING

METRICS: Final = "metrics"
STRINGS: Final = "strings"
BLOCK: Final = 128
"""The runs of a block: for one run of it all are decompressed, and each has a few hundred bytes of its own."""


def schema() -> Any:
    """Return the columns: all attributes, metrics with their latest points, and params and tags.

    A key is the number of its column in the manifest. Values are as they were logged.
    """
    import pyarrow as arrow

    column, integer, string = arrow.int32(), arrow.int64(), arrow.string()
    types = {STRING: string, INTEGER: integer}
    metric = {"column": column, "value": arrow.float64(), "timestamp": integer, "step": integer}
    fields = {name: types[kind] for name, kind in ATTRIBUTES.items()}
    fields[METRICS] = arrow.list_(arrow.struct(list(metric.items())))
    fields[STRINGS] = arrow.list_(arrow.struct([("column", column), ("value", string)]))
    return arrow.schema(list(fields.items()))


def write_rows(path: Path, table: Any) -> None:
    """Write a table of this schema."""
    from pyarrow import ipc

    options = ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with ipc.new_file(path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=BLOCK)


def read_rows(places: Iterable[tuple[Path, int]], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return rows, each by its file and number, as a mapping by column.

    Args:
        places: The rows.
        columns: Those to read; by default all.

    Raises:
        SourceUnavailableError: a file is gone or damaged.
    """
    import pyarrow as arrow
    from pyarrow import ipc

    names = schema().names
    included = None if columns is None else [names.index(column) for column in columns]
    options = ipc.IpcReadOptions(included_fields=included, use_threads=False)  # blocks are too small to be shared out
    files: dict[Path, Any] = {}
    found = []
    for path, number in places:
        try:
            if path not in files:
                files[path] = ipc.open_file(arrow.memory_map(str(path)), options=options)
            found.append(files[path].get_batch(number // BLOCK).slice(number % BLOCK, 1))
        except (OSError, arrow.ArrowInvalid) as error:
            raise SourceUnavailableError(str(path), f"cannot be read: {error}") from None
    rows: list[dict[str, Any]] = arrow.Table.from_batches(found).to_pylist() if found else []
    return rows
