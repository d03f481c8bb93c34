"""Shows a comparison in notebooks: what differs between the runs, and the numbers of groups, as tables in HTML."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from mlquery.comparison.fields import METRIC, Field
from mlquery.comparison.frames import objects
from mlquery.entities.html import document, folded, paragraph, table

_MOST_RUNS: Final = 12
_MOST_FIELDS: Final = 100


def comparison_html(found: Any) -> str:
    """Return a comparison: the fields that differ and those that do not, and groups of more than one run."""
    differing = [field for field in found.fields if field.differs]
    same = [field for field in found.fields if not field.differs]
    parts = [
        _fields(found, differing, "what differs"),
        folded(f"the same in all runs ({len(same)})", _fields(found, same, None, 1)) if same and len(found) else "",
    ]
    if len(found.grouping.labels) < len(found) and find_spec("scipy") is not None:
        parts.append(_groups(found))
    return document(paragraph(repr(found)), *parts, *map(paragraph, found.warnings))


def _fields(found: Any, fields: list[Field], caption: str | None, most: int = _MOST_RUNS) -> str:
    runs = run_labels(found)[:most]
    header = ["field", *(runs if most > 1 else ["value"])]
    rows = [[field.name, *cells_of(found, field)[:most]] for field in fields[:_MOST_FIELDS]]
    notes = []
    if most > 1 and len(found) > most:
        notes.append(f"{len(found) - most} more runs: see to_frame()")
    if len(fields) > _MOST_FIELDS:
        notes.append(f"{len(fields) - _MOST_FIELDS} more fields: see table")
    return table(header, rows, caption) + "".join(map(paragraph, notes))


def run_labels(found: Any) -> list[str]:
    """Return what runs are called: their names, with the id where several have one name, and the baseline marked."""
    names = found.run_names
    counts: dict[str | None, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    labels = []
    for run_id, name in zip(found.run_ids, names, strict=True):
        label = name if name and counts[name] == 1 else f"{name} {run_id}" if name else run_id
        labels.append(f"{label} (baseline)" if run_id == found.baseline else label)
    return labels


def cells_of(found: Any, field: Field) -> list[Any]:
    """Return the values of a field; metrics with their relative difference from the baseline."""
    values: list[Any] = objects(field).tolist()
    if field.kind != METRIC or found.baseline is None:
        return values
    place = found.run_ids.index(found.baseline)
    base = field.values[place]
    return [value if row == place else with_difference(value, base) for row, value in enumerate(values)]


def with_difference(value: float | None, base: float) -> float | str | None:
    """Return a number and, where there is one, its difference from the baseline in percent."""
    if value is None or not np.isfinite([value, base]).all() or not base:
        return value
    return f"{value:.6g} ({100 * (value - base) / abs(base):+.3g} %)"


def _groups(found: Any) -> str:
    level = f"{100 * found.groups.attrs['level']:g} % interval of the mean"
    header = ["group", "metric", "runs", "n", "mean", "std", "min", "max", level]
    return table(header, _group_rows(found), "groups")


def _group_rows(found: Any) -> Iterator[list[Any]]:
    columns = ("group", "metric", "runs", "n", "mean", "std", "min", "max", "low", "high")
    frame = found.groups[list(columns)].head(_MOST_FIELDS)
    for *cells, low, high in zip(*(frame[name].tolist() for name in columns), strict=True):
        yield [*map(_number, cells), "" if np.isnan(low) else f"{low:.6g} to {high:.6g}"]


def _number(cell: Any) -> Any:
    return None if isinstance(cell, float) and np.isnan(cell) else cell
