"""Decides which parts of a wide export are written anew: those with runs that changed, and small ones beside new runs.

How runs are read or written is not known here; a run is the number of its row in the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.sql.layouts.manifest import HISTORY, RUNS, Part

Ints = npt.NDArray[np.int64]
PART_ROWS: Final = 4 * 122_880
"""The most runs of a part: what is written anew when one of them changes."""
PART_POINTS: Final = 1 << 23
_NO_PART: Final = -1


@attrs.frozen(eq=False)
class Exported:
    """The runs of an export.

    Attributes:
        fingerprints: The fingerprint of each row that the store had, (k,).
        places: The place of its part among `parts`, -1 if the run was not exported, (k,).
        parts: The parts.
    """

    fingerprints: npt.NDArray[np.uint64]
    places: Ints
    parts: tuple[Part, ...]


@attrs.frozen(eq=False)
class Changes:
    """The parts that stay, and for each row of the store (n,) its place among them or -1, and whether to write it."""

    kept: tuple[Part, ...]
    places: Ints
    to_write: npt.NDArray[np.bool_]


def changes(
    old: Exported, is_wanted: npt.NDArray[np.bool_], fingerprints: Any, experiments: tuple[Any, Sequence[str]]
) -> Changes:
    """Return what is to be written.

    Args:
        old: What the export before wrote.
        is_wanted: Whether each row of the store is exported, (n,).
        fingerprints: The fingerprint of each row, (n,).
        experiments: The experiment of each row, (n,), as a number, and the ids by number.
    """
    before = len(old.places)
    was_there = old.places != _NO_PART
    is_same = was_there & is_wanted[:before] & (fingerprints[:before] == old.fingerprints)
    is_dirty = np.zeros(len(old.parts), np.bool_)
    is_dirty[old.places[was_there & ~is_same]] = True
    places = np.full(len(is_wanted), _NO_PART, np.int64)
    places[:before] = np.where(is_same, old.places, _NO_PART)
    _leave(places, is_dirty)
    codes, ids = experiments
    new = np.bincount(codes[is_wanted & (places == _NO_PART)], minlength=len(ids))
    _merge_small(old.parts, is_dirty, dict(zip(ids, new.tolist(), strict=True)))
    _leave(places, is_dirty)
    stay = np.flatnonzero(~is_dirty)
    renumbered = np.full(len(old.parts) + 1, _NO_PART, np.int64)
    renumbered[stay] = np.arange(len(stay))
    kept = tuple(old.parts[place] for place in stay.tolist())
    return Changes(kept, renumbered[places], is_wanted & (places == _NO_PART))


def _leave(places: Ints, is_dirty: npt.NDArray[np.bool_]) -> None:
    """Give rows of dirty parts no place."""
    if is_dirty.any():
        places[np.append(is_dirty, False)[places]] = _NO_PART  # the last one is for rows that have none


def _merge_small(parts: Sequence[Part], is_dirty: Any, new: dict[str, int]) -> None:
    """Write parts anew that are no larger than what is written beside them: so parts stay few, however many exports."""
    for place in sorted(np.flatnonzero(~is_dirty).tolist(), key=lambda place: parts[place].rows[RUNS]):
        part = parts[place]
        is_small = 2 * part.rows[RUNS] <= PART_ROWS and 2 * part.rows.get(HISTORY, 0) <= PART_POINTS
        if is_small and part.rows[RUNS] <= new.get(part.experiment_id, 0):
            is_dirty[place] = True
            new[part.experiment_id] += part.rows[RUNS]


def pieces(rows: Ints, points: Ints) -> list[Ints]:
    """Return rows in pieces for one part each, with as many rows each, and fewer where they have many points."""
    found, start = [], 0
    ends = np.cumsum(points)
    wanted = -(-len(rows) // max(1, -(-len(rows) // PART_ROWS)))
    while start < len(rows):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + PART_POINTS, "right")))
        stop = min(stop, start + wanted)
        found.append(rows[start:stop])
        start = stop
    return found
