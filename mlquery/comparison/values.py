"""Turns the points of a metric into the one value that a run is compared by: last, best, min, max, mean or at a step.

What these are is specified by the functions of the language. Runs are given as rows of a store's table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlquery.engine.histories import history_column
from mlquery.errors import invalid_parameter
from mlquery.language.plan import FieldRef, Function, Kind
from mlquery.store import Store

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


def chosen_values(store: Store, rows: list[int], key: str, how: str) -> tuple[Floats, States]:
    """Return the values of a metric and their states (absent, number, NaN), each (n,).

    They are those of the functions of the language (`max(metrics.loss)`, `at(metrics.loss, 100)` …).

    Args:
        store: Where the runs are; its lock is held.
        rows: The rows of the runs.
        key: A metric that some of the runs have.
        how: "last", "min", "max", "mean" or "step:N".
    """
    if how == LAST:
        column: Any = store.runs.metrics[key]
    else:
        step = _AT_STEP.fullmatch(how)
        function = Function.AT if step else Function(how)
        store.runs.derived.renew(store.version)
        column = history_column(store.runs, FieldRef(Kind.HISTORY, key, function, int(step[1]) if step else None))
    return column.values[rows], column.states[rows]
