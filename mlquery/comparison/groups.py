"""Turns the metrics of groups of runs into what statistics work on, and their results into DataFrames and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from pandas import DataFrame

from mlquery.comparison.fields import METRIC, Field
from mlquery.comparison.frames import labels, named_frame, strings, typed_column
from mlquery.comparison.grouping import Groups, agreeing, find_field
from mlquery.comparison.statistics import FEWEST, LEVEL, Contrast, Outcomes, Summaries, outcomes, summaries

Floats = npt.NDArray[np.float64]
Contrasts = dict[str, dict[int, Contrast]]
"""What is tested in each metric, by the code of the group."""


def groups_frame(fields: Sequence[Field], groups: Groups) -> DataFrame:
    """Return one row per group and metric: what tells the group from others, how many runs it has, and its numbers."""
    metrics = [field for field in fields if field.kind == METRIC]
    numbers = [_numbers(field)[rows] for rows in groups.rows for field in metrics]
    found = summaries([values[~np.isnan(values)] for values in numbers])
    first = [rows[0] for rows in groups.rows]
    columns: dict[str, Any] = {"group": labels(np.repeat(np.arange(len(first)), len(metrics)), groups)}
    for field in groups.fields:
        if field.differs:
            columns[field.name] = typed_column(field).take(np.repeat(first, len(metrics)))
    columns["metric"] = strings([field.key for field in metrics] * len(first))
    columns["runs"] = np.repeat([len(rows) for rows in groups.rows] or np.empty(0, np.int64), len(metrics))
    columns |= {field.name: getattr(found, field.name) for field in attrs.fields(Summaries)}
    return _with_level(named_frame(columns))


def tests_frame(contrasts: Contrasts, groups: Groups, baseline: int | None) -> DataFrame:
    """Return one row per metric and group other than that of the run `baseline`; no rows without a baseline."""
    rows: list[tuple[int, str]] = []
    found: list[Outcomes] = []
    for metric, by_group in contrasts.items():
        found.append(outcomes(list(by_group.values())))
        rows += [(code, metric) for code in by_group]
    codes = np.array([code for code, _ in rows], np.int64)
    base = np.full(len(rows), 0 if baseline is None else groups.codes[baseline], np.int64)
    columns = {
        "metric": strings([key for _, key in rows]),
        "group": labels(codes, groups),
        "baseline": labels(base, groups),
    }
    for name in (field.name for field in attrs.fields(Outcomes)):
        parts = [getattr(one, name) for one in found or [outcomes([])]]
        joined = np.concatenate(parts)
        columns[name] = strings(joined) if joined.dtype == object else joined
    return _with_level(named_frame(columns))


def warnings_of(fields: Sequence[Field], ignore: Sequence[str], contrasts: Contrasts) -> Iterator[str]:
    """Yield what a reader of the numbers must know, in plain sentences; scipy is not needed."""
    for name in ignore:
        if find_field(fields, name) is None:
            yield f"none of the runs has the field {name!r}, which is to be ignored"
    for field in fields:
        nan = int((field.present & np.isnan(field.values)).sum()) if field.kind == METRIC else 0
        if nan:
            yield f"the metric {field.key!r} is NaN in {nan} of {len(field.values)} runs, which its numbers leave out"
    problems = [(metric, one.problem) for metric, by_group in contrasts.items() for one in by_group.values()]
    few = sum(problem == "few" for _, problem in problems)
    if few:
        needed = f"a test needs at least {FEWEST} runs with a value in the group and in the baseline's"
        yield f"no p-value for {few} of {len(problems)} tests: {needed}"
    for key in dict.fromkeys(key for key, problem in problems if problem == "equal"):
        yield f"no p-value for some groups in {key!r}: the values (or the differences of pairs) are all equal"


def contrasts_of(fields: Sequence[Field], groups: Groups, ignore: Sequence[str], baseline: int | None) -> Contrasts:
    """Return what is tested; nothing without a baseline."""
    if baseline is None:
        return {}
    partners = [field for name in ignore if (field := find_field(fields, name)) is not None]
    pairs = agreeing(partners, len(groups.codes))[0] if partners else None
    own = int(groups.codes[baseline])
    found: Contrasts = {}
    for field in fields:
        if field.kind == METRIC:
            having = [rows[~np.isnan(_numbers(field)[rows])] for rows in groups.rows]
            others = (code for code in range(len(groups.rows)) if code != own)
            found[field.key] = {code: _contrast(_numbers(field), having[code], having[own], pairs) for code in others}
    return found


def _contrast(values: Floats, group: Any, base: Any, pairs: npt.NDArray[np.int64] | None) -> Contrast:
    """Return the numbers of two groups, in the order of their pairs if each run has exactly one partner."""
    if pairs is not None:
        ours, theirs = pairs[group], pairs[base]
        if len(np.unique(ours)) == len(ours) and np.array_equal(np.sort(ours), np.sort(theirs)):
            return Contrast(values[group[np.argsort(ours)]], values[base[np.argsort(theirs)]], True)
    return Contrast(values[group], values[base], False)


def _numbers(field: Field) -> Floats:
    numbers: Floats = field.values
    return numbers


def _with_level(frame: DataFrame) -> DataFrame:
    frame.attrs["level"] = LEVEL
    return frame
