"""What an export keeps for the next one to compare with: fingerprints and parts of the runs, row by row of the store.

It serves as long as the store has the same runs in the same rows, and more behind them. For another store with the same
runs everything is written anew.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.layouts.manifest import Manifest, Part
from mlquery.store.model_table import ModelTable
from mlquery.store.run_table import RunTable
from mlquery.sync.fingerprints import Beginning, beginnings, fingerprints, long_tables
from mlquery.sync.incremental import Exported, Ints
from mlquery.sync.mixing import Hashes

FOLDER: Final = "_state"
_IDS: Final = "run ids"
_NO_ROWS: Final = np.empty(0, np.int64)


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
        tables: dict[str, Sequence[str]] = {_IDS: runs.ids, **long_tables(runs)}
        begin = _beginnings(tables, {name: one.size for name, one in self.beginnings.items()})
        is_same = all(name in begin and begin[name][0] == one for name, one in self.beginnings.items())
        old = self if is_same else State()
        long = tables.keys() - {_IDS}
        coded = old.beginnings.keys() - {_IDS} if old.beginnings else long
        found = fingerprints(runs, models, coded)
        # Columns that became long are compared string by string once more, and kept by code.
        kept = found if coded == long else fingerprints(runs, models, long)
        return old, found, State((), kept, _NO_ROWS, {name: one for name, (_, one) in begin.items()})

    def written(self, places: Ints) -> bytes:
        """Return the state as a file, with the places (n,) of the parts of all rows."""
        about = {name: [one.size, one.digest] for name, one in self.beginnings.items()}
        file = io.BytesIO()
        np.savez(file, beginnings=np.array(json.dumps(about)), fingerprints=self.fingerprints, places=places)
        return file.getvalue()


def _beginnings(tables: Mapping[str, Sequence[str]], sizes: Mapping[str, int]) -> dict[str, tuple[Any, Beginning]]:
    """Return how tables began at earlier sizes and how they begin now; equal ones are looked at once."""
    found: dict[str, tuple[Any, Beginning]] = {}
    for name, strings in tables.items():
        size = sizes.get(name, 0)
        equal = (n for n in found if sizes.get(n, 0) == size and tables[n] == strings)
        same = next(equal, None)
        found[name] = beginnings(strings, size) if same is None else found[same]
    return found


def read_state(folder: Path, old: Manifest | None) -> State:
    """Return the state that the export before left; an empty one for the first.

    Raises:
        SourceUnavailableError: it is missing or damaged.
    """
    if old is None:
        return State()
    try:
        with np.load(folder / old.state, allow_pickle=False) as arrays:
            about: dict[str, Any] = json.loads(str(arrays["beginnings"]))
            beginnings = {name: Beginning(*one) for name, one in about.items()}
            return State(old.parts, arrays["fingerprints"], arrays["places"], beginnings)
    except (OSError, KeyError, ValueError, TypeError) as error:
        problem = f"has no state to compare with ({error}); instead: remove it, or export to another folder"
        raise SourceUnavailableError(f"the export {str(folder)!r}", problem) from None
