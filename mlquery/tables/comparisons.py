"""Turns a comparison into tables: the fields that differ, and the groups of each metric with tests and intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from math import isnan
from typing import Any, Final

from mlquery.comparison import Comparison
from mlquery.comparison.fields import ATTRIBUTE, METRIC, PARAM, TAG, TIMES, Field
from mlquery.comparison.values import direction_of
from mlquery.tables.grids import BAD, BOLD, CHANGED, GOOD, Cell, Grid
from mlquery.tables.lines import one_line, shown_time

NEEDS_SCIPY: Final = "groups and tests need scipy: pip install 'mlquery[compare]'"
_ORDER: Final = {METRIC: 0, PARAM: 1, ATTRIBUTE: 2, TAG: 3}
_SHORT: Final = 8  # characters of an id
_SIGNIFICANT: Final = 0.05  # what is coloured


def grids_of(found: Comparison) -> Iterator[Grid]:
    """Yield the table of what differs, and those of the groups unless each run is one or scipy is missing."""
    yield _differing(found)
    if has_groups(found) and find_spec("scipy") is not None:
        yield from _groups(found)


def has_groups(found: Comparison) -> bool:
    """Tell whether a group has several runs."""
    return len(found.grouping.labels) < len(found)


def _differing(found: Comparison) -> Grid:
    """Return the fields that differ, one row per field; the baseline comes first."""
    fields = sorted((field for field in found.fields if field.differs), key=lambda field: _ORDER[field.kind])
    base = None if found.baseline is None else found.run_ids.index(found.baseline)
    places = sorted(range(len(found)), key=lambda place: place != base)
    same = len(found.fields) - len(fields)
    title = f"{_counted(len(found), 'run')}, {_counted(len(fields), 'field')} that differ, {same} the same"
    rows = [
        [Cell(one_line(field.name), BOLD), *(_cell(found, field, place, base) for place in places)] for field in fields
    ]
    names = _names(found, base)
    return Grid(title, ["field", *(names[place] for place in places)], rows, 1, "run")


def _names(found: Comparison, base: int | None) -> list[str]:
    """Return what runs are called: their names, with the beginning of the id where several have one name or none."""
    names = found.run_names
    counts = Counter(names)
    shown = (
        one_line(name) if name and counts[name] == 1 else f"{one_line(name or '')} {run_id[:_SHORT]}"
        for name, run_id in zip(names, found.run_ids, strict=True)
    )
    return [f"{name.strip()}{' (baseline)' * (place == base)}" for place, name in enumerate(shown)]


def _cell(found: Comparison, field: Field, place: int, base: int | None) -> Cell:
    if not field.present[place]:
        return Cell("")
    value = field.values[place].item() if field.values.dtype.kind in "fi" else field.values[place]
    if field.kind == METRIC:
        return _metric_cell(found, field, value, None if base in (None, place) else field.values[base].item())
    if field.kind == ATTRIBUTE and field.key in TIMES:
        return Cell(shown_time(value))
    changed = base is not None and value != field.values[base]
    return Cell(one_line(str(value)), CHANGED if changed else "")


def _metric_cell(found: Comparison, field: Field, value: float, base: float | None) -> Cell:
    if base is None or isnan(base) or isnan(value):
        return Cell(f"{value:.6g}")
    delta = value - base
    relative = f", {100 * delta / abs(base):+.3g} %" if base else ""
    return Cell(f"{value:.6g} ({delta:+.3g}{relative})", _style(found, field.key, delta))


def _style(found: Comparison, metric: str, delta: float) -> str:
    """Return the style of a difference: whether it is for the better, if that is known."""
    direction = direction_of(metric, found.directions)
    if not delta or direction is None:
        return ""
    return GOOD if (delta > 0) == (direction == "max") else BAD


def _groups(found: Comparison) -> Iterator[Grid]:
    """Yield the groups of each metric, the best first if it is known what is better."""
    groups, tests = found.groups, found.tests
    level = f"{100 * groups.attrs['level']:g} %"
    header = ["group", "n", "mean", "std", f"{level} interval"]
    header += ["difference", "its interval", "p (Holm)", "effect"] if len(tests) else []
    for metric in dict.fromkeys(groups["metric"].tolist()):
        rows = groups[groups["metric"] == metric].to_dict("records")
        direction = direction_of(metric, found.directions)
        if direction:
            rows.sort(key=lambda row: (isnan(row["mean"]), row["mean"] if direction == "min" else -row["mean"]))
        against = {row["group"]: row for row in tests[tests["metric"] == metric].to_dict("records")}
        title = f"{one_line(metric)} by group" + (
            f", {'lower' if direction == 'min' else 'higher'} is better" if direction else ""
        )
        yield Grid(
            title, header, [list(_group_cells(found, row, against, len(header))) for row in rows], 5, complete="json"
        )


def _group_cells(found: Comparison, row: dict[str, Any], against: dict[str, Any], columns: int) -> Iterator[Cell]:
    yield Cell(one_line(row["group"], 60), BOLD)
    yield Cell(str(row["n"]))
    yield from map(Cell, (_shown(row["mean"]), _shown(row["std"]), _interval(row["low"], row["high"])))
    test = against.get(row["group"])
    if test is None:
        yield from [Cell("baseline" if against and place == 0 else "") for place in range(columns - 5)]
        return
    is_significant = test["p_holm"] < _SIGNIFICANT
    yield Cell(
        _shown(test["difference"], "+"), _style(found, row["metric"], test["difference"]) if is_significant else ""
    )
    yield Cell(_interval(test["low"], test["high"]))
    yield Cell("" if isnan(test["p_holm"]) else f"{test['p_holm']:.2g}", BOLD if is_significant else "")
    effect = test["effect_size"]
    yield Cell("" if isnan(effect) else f"{test['effect']} {effect:+.2f}")


def _interval(low: float, high: float) -> str:
    return "" if isnan(low) else f"{low:.4g} to {high:.4g}"


def _shown(number: float, sign: str = "") -> str:
    return "" if isnan(number) else f"{number:{sign}.4g}"


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
