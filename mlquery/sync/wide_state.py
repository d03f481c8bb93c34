"""What an export keeps for the next one to compare with: fingerprints and parts of the runs, row by row of the store.

It serves as long as the store has the same runs in the same rows, and more behind them. For another store with the same
runs everything is written anew.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import attrs
import numpy as np

from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.layouts.manifest import Manifest, Part
from mlquery.store.columns import StringCells
from mlquery.store.growing import Hashes
from mlquery.store.model_table import ModelTable
from mlquery.store.run_table import RunTable
from mlquery.sync.fingerprints import fingerprints, long_columns
from mlquery.sync.incremental import Exported, Ints

FOLDER: Final = "_state"
_IDS: Final = "run ids"
_NO_ROWS: Final = np.empty(0, np.int64)

_SCHEME: Final = 3
"""How fingerprints are made. What was made otherwise is not compared, and everything is written anew."""


@attrs.frozen
class Beginning:
    """How a list of strings begins: how many there were, and their digest."""

    size: int
    digest: str


@attrs.frozen(eq=False)
class State:
    """What was exported, and how the tables of strings began that fingerprints refer to, by name.

    Attributes:
        parts: The parts of the export before.
        fingerprints: Of each row, (k,).
        places: The place of the part of each row, -1 for none, (k,).
        beginnings: How the run ids and the long tables of strings began.
    """

    parts: tuple[Part, ...] = ()
    fingerprints: Hashes = attrs.field(factory=lambda: np.empty(0, np.uint64))
    places: Ints = _NO_ROWS
    beginnings: Mapping[str, Beginning] = attrs.field(factory=dict)

    def exported(self) -> Exported:
        """Return what was exported."""
        return Exported(self.fingerprints, self.places, self.parts)

    def compared(self, runs: RunTable, models: ModelTable) -> tuple[State, Hashes, State]:
        """Return the state that fingerprints can be compared with, those fingerprints, and the state to be.

        The first is without runs if the store is another one. Of the last only the places are not known yet.
        """
        long = long_columns(runs)
        columns = {_IDS: (runs.strings.cells["run_id"], runs.size)}
        columns |= {name: (cells, len(cells.table)) for name, cells in long.items()}
        is_same = columns.keys() >= self.beginnings.keys() and self.beginnings == _beginnings(
            {name: (columns[name][0], min(one.size, columns[name][1])) for name, one in self.beginnings.items()}
        )
        old = self if is_same else State()
        coded = old.beginnings.keys() - {_IDS} if old.beginnings else long.keys()
        found = fingerprints(runs, models, coded)
        # Columns that became long are compared string by string once more, and kept by code.
        kept = found if coded == long.keys() else fingerprints(runs, models, long)
        return old, found, State((), kept, _NO_ROWS, _beginnings(columns))

    def written(self, places: Ints) -> bytes:
        """Return the state as a file, with the places (n,) of the parts of all rows."""
        beginnings = {name: attrs.astuple(one) for name, one in self.beginnings.items()}
        about = np.array(json.dumps({"scheme": _SCHEME, "beginnings": beginnings}))
        file = io.BytesIO()
        np.savez(file, about=about, fingerprints=self.fingerprints, places=places.astype(np.int32))
        return file.getvalue()


def _beginnings(columns: Mapping[str, tuple[StringCells, int]]) -> dict[str, Beginning]:
    """Return how the tables of columns begin, by name, each up to a size; equal tables are read once."""
    found: dict[str, Beginning] = {}
    for name, (cells, size) in columns.items():
        if not cells.digest.size:
            others = (one for one, _ in columns.values() if one.digest.size == size and one.table == cells.table)
            cells.digest = next(others, cells).digest
        found[name] = Beginning(size, cells.digest_of(size).hex())
    return found


def read_state(folder: Path, old: Manifest | None) -> State:
    """Return the state that the export before left; an empty one for the first, or if that was of another release.

    Raises:
        SourceUnavailableError: it is missing or damaged.
    """
    if old is None:
        return State()
    try:
        with (folder / old.state).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            about: dict[str, Any] = json.loads(str(arrays["about"]))
            if about["scheme"] != _SCHEME:
                return State()
            beginnings = {name: Beginning(*one) for name, one in about["beginnings"].items()}
            return State(old.parts, arrays["fingerprints"], arrays["places"].astype(np.int64), beginnings)
    except (OSError, EOFError, BadZipFile, KeyError, ValueError, TypeError) as error:
        problem = f"has no state to compare with ({error}); instead: remove it, or export to another folder"
        raise SourceUnavailableError(f"the export {str(folder)!r}", problem) from None
