"""Runs as they were at one moment, column by column, for those who read for long while others write."""

from __future__ import annotations

from mlquery.store.run_table import RunTable


class RunSnapshot(RunTable):
    """The columns, ids, datasets and places of artifacts that a table of runs has now, to be read only.

    It costs little however many runs there are, and has no order of rows and no keys by row: runs cannot be read as
    entities. For all of a table there is `RunTable.copy`.

    Args:
        table: The runs, which can be written to meanwhile; the caller holds the lock of their store.
    """

    def __init__(self, table: RunTable) -> None:
        self._size = table.size
        super().__init__()
        self.share_cells(table)
        table.keep_ids()
        self.ids, self.row_of = table.ids, table.row_of  # nobody takes one away, and `size` says which there were
        self.strings.cells["run_id"] = table.strings.cells["run_id"]
        self.inputs, self.roots = table.inputs.copy(), table.roots.copy()
        self.hashed = table.hashed
        self.own_artifact_uris = table.own_artifact_uris.copy()

    @property
    def size(self) -> int:
        """Return the number of rows."""
        return self._size
