"""Writes the files of a wide export: parts with the runs of one experiment each, and the manifest that makes them live.

What wrote nothing but files that no manifest names has changed nothing: the manifest is replaced at the end, at once,
when all that it names is on the disk, and only then are files removed that it does not name. Where the columns come
from is not known here: from a store, or made by a benchmark.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np

from mlquery.durable.files import sync_file, sync_folder
from mlquery.errors import invalid_parameter
from mlquery.sql.layouts import manifest
from mlquery.sql.layouts.manifest import EXPERIMENTS, HISTORY, PARTITIONED, RUN_ROWS, RUNS, Manifest, Names, Part
from mlquery.sql.layouts.run_rows import write_rows
from mlquery.sync.wide_rows import Latest, Points, Values
from mlquery.sync.wide_run_rows import row_table

ROW_GROUP: Final = 122_880
"""The runs of a row group, which is what engines read in parallel: a multiple of DuckDB's vectors."""
_PAGE_ROWS: Final = 2_048  # so that few pages are read for few rows
_SYNCS: Final = 16
_FEW: Final = 4  # a dictionary pays where strings occur so often


class Writer:
    """Writes one export into a folder.

    Args:
        folder: The folder; made if it is not there.
        old: The manifest of the export before; None for the first one.
        generated_by: What writes it.

    Raises:
        StoreError: pyarrow is not installed.
    """

    def __init__(self, folder: Path, old: Manifest | None, generated_by: str) -> None:
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise invalid_parameter("Parquet needs pyarrow: pip install 'mlquery[tracker]'") from None
        self.folder = folder
        self.generation = 1 if old is None else old.generation + 1
        self.names = Names(() if old is None else old.columns)
        self._generated_by = generated_by
        self._numbers = count()
        self._new: list[Path] = []
        folder.mkdir(parents=True, exist_ok=True)

    def write_part(
        self,
        experiment_id: str,
        values: Values,
        latest: Mapping[str, Latest],
        points: tuple[Sequence[str], Sequence[str], Iterable[Points]] | None = None,
        extras: Mapping[str, Any] | None = None,
    ) -> Part:
        """Write runs of one experiment and return the part, which is not live yet.

        Args:
            experiment_id: The experiment.
            values: The columns, each (n,): all attributes, and the metrics, params and tags that any of the runs has.
            latest: The latest points of each of these metrics.
            points: The run ids and keys that points refer to, and the points, by key, run id and time.
            extras: Tables with a column run_id by name: datasets, models.
        """
        name = f"part-{self.generation:06d}-{next(self._numbers):05d}"
        part = Part(name, experiment_id, {})
        rows = dict.fromkeys((RUNS, RUN_ROWS), self._write_runs(part, values))
        with self._file(part.path(RUN_ROWS)) as path:
            write_rows(path, row_table(values, latest, self.names.column))
        if points is not None:
            rows[HISTORY] = self._write_points(part, *points)
        for table, content in (extras or {}).items():
            if content.num_rows:
                with self._file(part.path(table)) as path:
                    _write_table(path, content)
                rows[table] = content.num_rows
        return Part(name, experiment_id, rows)

    def write_table(self, folder: str, content: Any) -> str:
        """Write a table as one file in a folder, and return its path."""
        relative = f"{folder}/part-{self.generation:06d}.parquet"
        with self._file(relative) as path:
            _write_table(path, content)
        return relative

    def write_file(self, folder: str, name: str, content: bytes) -> str:
        """Write a file in a folder, and return its path."""
        relative = f"{folder}/{name}-{self.generation:06d}"
        with self._file(relative) as path:
            path.write_bytes(content)
        return relative

    def commit(
        self,
        parts: Sequence[Part],
        experiments: str,
        state: str,
        selection: Mapping[str, Any],
        keys: Collection[tuple[str, str]],
    ) -> Manifest:
        """Make an export of parts, of this and of earlier exports, live, and remove the files of no part.

        `keys` are kind and key of all metrics, params and tags in the parts.
        """
        columns = tuple(
            column
            for column in self.names.columns
            if column.kind not in ("metric", "param", "tag") or (column.kind, column.key) in keys
        )
        new = Manifest(self.generation, self._generated_by, columns, tuple(parts), experiments, state, selection)
        self._sync()
        with self._file(manifest.NAME) as path:
            path.write_text(new.written(), encoding="utf-8")
            sync_file(path)
        sync_folder(self.folder)
        self._sweep(new)
        return new

    def _sync(self) -> None:
        """Make sure that new files and their names are on the disk: many at once, because a disk waits for each."""
        folders = {folder for path in self._new for folder in path.parents if folder.is_relative_to(self.folder)}
        with ThreadPoolExecutor(_SYNCS) as pool:
            for sync, paths in ((sync_file, self._new), (sync_folder, folders)):
                list(pool.map(sync, paths))  # raises what went wrong

    def _sweep(self, live: Manifest) -> None:
        """Remove what earlier exports left, whether they ended or not."""
        kept = {self.folder / path for table in PARTITIONED for path in live.paths(table)}
        kept |= {self.folder / live.experiments, self.folder / live.state}
        for table in (*PARTITIONED, EXPERIMENTS, live.state.partition("/")[0]):
            for path in (self.folder / table).rglob("*"):
                if path.name.removeprefix(".").startswith(("part-", "state-")) and path not in kept:
                    path.unlink(missing_ok=True)
            for path in (self.folder / table).glob("experiment_id=*"):
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()

    @contextmanager
    def _file(self, relative: str) -> Iterator[Path]:
        """Give the path for a file that appears once it is complete; only `_sync` makes sure that it is on the disk."""
        path = self.folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}")
        try:
            yield new
            new.replace(path)
            self._new.append(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    def _write_runs(self, part: Part, values: Values) -> int:
        import pyarrow as arrow

        columns = sorted(
            ((self.names.column(kind, key), array) for (kind, key), array in values.items()),
            key=lambda pair: pair[0].number,
        )
        fields = [
            arrow.field(column.name, array.type, metadata={"PARQUET:field_id": str(column.number)})
            for column, array in columns
        ]
        table = arrow.Table.from_arrays([array for _, array in columns], schema=arrow.schema(fields))
        with self._file(part.path(RUNS)) as path:
            _write_table(
                path,
                table,
                use_dictionary=[column.name for column, array in columns if arrow.types.is_dictionary(array.type)],
                write_statistics=[column.name for column, array in columns if not _has_nan(array)],
                write_batch_size=_PAGE_ROWS,
                data_page_size=1,  # a page ends with each batch
            )
        return int(table.num_rows)

    def _write_points(self, part: Part, run_ids: Sequence[str], keys: Sequence[str], points: Iterable[Points]) -> int:
        import pyarrow as arrow
        from pyarrow import parquet

        ids, names, rows = arrow.array(run_ids, arrow.string()), arrow.array(keys, arrow.string()), 0
        left = iter(points)
        first = next(left, None)
        if first is None:
            return 0
        with (
            self._file(part.path(HISTORY)) as path,
            parquet.ParquetWriter(path, _points_schema(), **_POINTS_OPTIONS) as writer,
        ):
            for some in (first, *left):
                arrays = [ids.take(arrow.array(some.runs)), names.take(arrow.array(some.keys))]
                arrays += [arrow.array(column) for column in (some.values, some.timestamps, some.steps)]
                writer.write_table(arrow.Table.from_arrays(arrays, schema=_points_schema()), row_group_size=ROW_GROUP)
                rows += len(some.values)
        return rows


_POINTS_OPTIONS: Final[dict[str, Any]] = {
    "compression": "zstd",
    "store_schema": False,
    "use_dictionary": ["run_id", "metric"],
    "write_statistics": ["run_id", "metric", "timestamp", "step"],  # for `value`, see `_has_nan`
}


def _points_schema() -> Any:
    import pyarrow as arrow

    string, integer = arrow.string(), arrow.int64()
    columns = {"run_id": string, "metric": string, "value": arrow.float64(), "timestamp": integer, "step": integer}
    return arrow.schema(list(columns.items()))


def _write_table(path: Path, table: Any, **options: Any) -> None:
    from pyarrow import parquet

    parquet.write_table(table, path, row_group_size=ROW_GROUP, compression="zstd", store_schema=False, **options)


def _has_nan(array: Any) -> bool:
    """Tell whether a column has NaN, and so gets no statistics.

    NaN is not part of a minimum and a maximum, and engines to whom it is the greatest number would skip rows with it.
    """
    if str(array.type) != "double":
        return False
    return bool(np.isnan(array.to_numpy(zero_copy_only=False)[~np.asarray(array.is_null())]).any())
