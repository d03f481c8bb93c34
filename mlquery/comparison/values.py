"""Turns the points of a metric into the one value that a run is compared by: last, best, min, max, mean or at a step.

NaN is left out unless a run has nothing else. Runs are given as rows of a store's table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlquery.errors import invalid_parameter
from mlquery.store.columns import ABSENT, NAN, NUMBER, MetricCells
from mlquery.store.history import read_only
from mlquery.store.run_table import RunTable

Floats = npt.NDArray[np.float64]
States = npt.NDArray[np.uint8]
Value = str | Mapping[str, str]
"""What a run is compared by, for all metrics or for each; metrics that a mapping leaves out are compared by "last"."""

LAST: Final = "last"
_NAMED: Final = (LAST, "best", "min", "max", "mean")
_AT_STEP: Final = re.compile(r"step:(-?\d{1,19})")
_WORDS: Final = re.compile(r"[a-z]+\d*|\d+")

SMALLER_IS_BETTER: Final = re.compile(
    "loss|error|err|mae|mse|rmse|mape|smape|rmsle|perplexity|ppl|brier|wer|cer|fid|crossentropy|logloss|nll|latency"
)
"""Words in the name of a metric of which less is better."""
LARGER_IS_BETTER: Final = re.compile(
    "accuracy|acc|auc|auroc|auprc|precision|recall|f1|fbeta|r2|score|map|ndcg|mrr|bleu|rouge|meteor|iou|dice|psnr|ssim|"
    "sensitivity|specificity|reward|throughput"
)
"""Words in the name of a metric of which more is better."""


def how_of(value: Value, key: str) -> str:
    """Return by what a metric is compared."""
    return value if isinstance(value, str) else value.get(key, LAST)


def check_value(value: Any) -> None:
    """Refuse what is neither one of the ways to compare nor a mapping to them."""
    for how in [value] if isinstance(value, str) else value.values():
        if how not in _NAMED and not (isinstance(how, str) and _AT_STEP.fullmatch(how)):
            ways = ", ".join(map(repr, _NAMED))
            close = get_close_matches(str(how), _NAMED, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise invalid_parameter(
                f"value is one of {ways} and 'step:100', or a dict of them by metric, not {how!r}{hint}"
            )


def direction_of(key: str, directions: Mapping[str, str]) -> str | None:
    """Return "min" or "max", what is better of a metric; None if neither `directions` nor its name says so."""
    if key in directions:
        return directions[key]
    words = _WORDS.findall(re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", key).lower())
    smaller, larger = (any(map(better.fullmatch, words)) for better in (SMALLER_IS_BETTER, LARGER_IS_BETTER))
    return None if smaller == larger else "min" if smaller else "max"


def check_directions(directions: Mapping[str, str]) -> None:
    """Refuse directions other than "min" and "max"."""
    for key, direction in directions.items():
        if direction not in ("min", "max"):
            raise invalid_parameter(f"the direction of {key!r} is 'min' or 'max', not {direction!r}")


def require_direction(keys: Iterable[str], directions: Mapping[str, str]) -> dict[str, str]:
    """Return what is better of metrics, by their keys.

    Raises:
        StoreError: that is not known of some of them.
    """
    found = {key: direction_of(key, directions) for key in keys}
    unknown = [key for key, direction in found.items() if direction is None]
    if unknown:
        example = ", ".join(f"{key!r}: 'max'" for key in unknown)
        names = ", ".join(map(repr, unknown))
        raise invalid_parameter(f"what is best of {names} is not known; instead: directions={{{example}}} (or 'min')")
    return {key: direction for key, direction in found.items() if direction is not None}


def chosen_values(runs: RunTable, rows: list[int], key: str, how: str) -> tuple[Floats, States]:
    """Return the values of a metric and their states (absent, number, NaN), each (n,).

    Args:
        runs: The table of the runs.
        rows: Their rows.
        key: The metric.
        how: "last", "min", "max", "mean" or "step:N".
    """
    cells = runs.metrics.cells.get(key)
    if cells is None:
        return np.full(len(rows), np.nan), np.zeros(len(rows), np.uint8)
    if how == LAST:
        return _last(runs, cells, rows, key)
    values = [_of_history(cells, row, how) for row in rows]
    numbers = np.array([np.nan if value is None else value for value in values], np.float64)
    states = [ABSENT if value is None else NUMBER if value == value else NAN for value in values]
    return numbers, np.array(states, np.uint8)


def _last(runs: RunTable, cells: MetricCells, rows: list[int], key: str) -> tuple[Floats, States]:
    if cells.rows is None:
        column = runs.metrics[key]
        return column.values[rows], column.states[rows]
    places = np.array([cells.slot(row) for row in rows], np.int64)
    states, values = (
        np.append(np.frombuffer(cells.arrays[i], cells.arrays[i].typecode), (0, np.nan)[i]) for i in (0, 1)
    )
    return values[places], states[places].astype(np.uint8)


def _of_history(cells: MetricCells, row: int, how: str) -> float | None:
    """Return the value of a run, None if it has none."""
    values, _, steps = read_only(*cells.points(row))
    at_step = _AT_STEP.fullmatch(how)
    if at_step:
        values = values[steps == int(at_step[1])]
    if not len(values):
        return None
    numbers = values[~np.isnan(values)]
    if not len(numbers):
        return float("nan")
    if at_step:
        return float(numbers[-1])
    with np.errstate(over="ignore"):
        return float(getattr(np, how)(numbers))  # min, max or mean
