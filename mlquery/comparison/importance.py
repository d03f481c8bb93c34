"""Measures how much params say about a metric: permutation importance of a random forest, and Spearman's correlation.

scikit-learn and scipy do the work. A forest is judged on runs that it was not fitted on (five folds), so that a param
that it has only learnt by heart gets no credit. Params whose values are all numbers are numbers; the others are
categories, whose codes follow the order of their names. A category of more than two values has no order, and so no
Spearman correlation. Params that are the same in all runs are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.comparison.extras import require
from mlquery.comparison.fields import Field

Floats = npt.NDArray[np.float64]

FEWEST: Final = 10
"""The fewest runs that importances are computed of."""
_RUNS_OF_A_PARAM: Final = 10  # fewer than that for each param deserve a warning
_LARGE: Final = 1e150  # squares of more overflow; MLflow stores infinity as 1.8e308
SEED: Final = 0
FOLDS: Final = 5
TREES: Final = 50
REPEATS: Final = 4


@attrs.frozen
class Importance:
    """What a param says about a metric.

    `importance` is by how much the squared error grows when its values are shuffled, as a part of the variance of the
    metric, and `std` its standard deviation over folds and repetitions; `n` runs have both the metric and the param,
    and their rank correlation is `spearman` with the p-value `p`, not corrected.
    """

    param: str
    importance: float
    std: float
    spearman: float
    p: float
    n: int


@attrs.frozen
class Importances:
    """The importances of params, the largest first; `score` is R² on runs that a forest was not fitted on."""

    rows: tuple[Importance, ...]
    n: int
    score: float
    warning: str | None


@attrs.frozen(eq=False)
class Column:
    """A param as numbers (n,), NaN where it is missing; `has_order` says whether their order means something."""

    key: str
    numbers: Floats
    has_order: bool


def importances(params: Sequence[Field], metric: Field) -> Importances:
    """Return the importances of params for a metric, over the runs that have a number of it that is not infinite.

    Raises:
        StoreError: scipy or scikit-learn is not installed.
    """
    rows = np.flatnonzero(np.abs(metric.values) < _LARGE)  # no NaN either
    target: Floats = metric.values[rows]
    columns = [column for column in (encoded(param, rows) for param in params) if not _is_constant(column.numbers)]
    is_enough = len(rows) >= FEWEST and bool(columns) and not _is_constant(target)
    nothing = np.full(len(columns), np.nan)
    means, stds, score = permuted(columns, target) if is_enough else (nothing, nothing, np.nan)
    found = [
        Importance(column.key, float(mean), float(std), *_spearman(column, target, is_enough))
        for column, mean, std in zip(columns, means, stds, strict=True)
    ]
    found.sort(key=lambda row: (-row.importance if row.importance == row.importance else np.inf, row.param))
    return Importances(tuple(found), len(rows), score, _warning(metric.key, len(rows), len(columns), target, score))


def encoded(param: Field, rows: npt.NDArray[np.int64]) -> Column:
    """Return a param of some runs as numbers: as they are, or the codes of categories."""
    strings = param.values[rows].tolist()
    known = [string for string in strings if string is not None]
    try:
        numbers = [np.nan if string is None else float(string) for string in strings]
        return Column(param.key, np.clip(np.array(numbers, np.float64), -1e30, 1e30), True)  # trees take 32-bit floats
    except ValueError:
        code = {string: float(place) for place, string in enumerate(sorted(set(known)))}
        numbers = [np.nan if string is None else code[string] for string in strings]
        return Column(param.key, np.array(numbers, np.float64), len(code) <= 2)


def permuted(columns: Sequence[Column], target: Floats) -> tuple[Floats, Floats, float]:
    """Return mean and standard deviation of the permutation importance of each column, and R², all on held-out runs.

    The error is that of all runs: R² of the few runs of one fold would be wild.

    **Source**: `sklearn.inspection.permutation_importance` of a `RandomForestRegressor`, on each fold of a `KFold`.
    """
    forest_of = require("sklearn.ensemble").RandomForestRegressor
    importance_of = require("sklearn.inspection").permutation_importance
    folds = require("sklearn.model_selection").KFold(FOLDS, shuffle=True, random_state=SEED)
    inputs = np.column_stack([column.numbers for column in columns])
    found, predicted = [], np.empty(len(target))
    for fitted, held_out in folds.split(inputs):
        forest = forest_of(TREES, random_state=SEED).fit(inputs[fitted], target[fitted])
        result = importance_of(
            forest,
            *(inputs[held_out], target[held_out]),
            scoring="neg_mean_squared_error",
            n_repeats=REPEATS,
            random_state=SEED,
        )
        found.append(result.importances)
        predicted[held_out] = forest.predict(inputs[held_out])
    together = np.concatenate(found, axis=1) / np.var(target)
    return together.mean(axis=1), together.std(axis=1), float(require("sklearn.metrics").r2_score(target, predicted))


def _spearman(column: Column, target: Floats, is_enough: bool) -> tuple[float, float, int]:
    """Return correlation, p-value and the number of runs that have the param."""
    known = ~np.isnan(column.numbers)
    n = int(known.sum())
    if not (is_enough and column.has_order) or n < FEWEST or _is_constant(column.numbers[known]):
        return np.nan, np.nan, n
    result = require("scipy.stats").spearmanr(column.numbers[known], target[known])
    return float(result.statistic), float(result.pvalue), n


def _is_constant(numbers: Floats) -> bool:
    """Tell whether all are the same, a missing one being a value of its own."""
    is_missing = np.isnan(numbers)
    return not len(numbers) or bool(is_missing.all() or (not is_missing.any() and (numbers == numbers[0]).all()))


def _warning(key: str, runs: int, params: int, target: Floats, score: float) -> str | None:
    about = f"of {key!r} from {runs} run{'' if runs == 1 else 's'}"
    if runs < FEWEST:
        return f"no importances {about}: at least {FEWEST} with a number are needed"
    if not params:
        return f"no importances {about}: no param differs"
    if _is_constant(target):
        return f"no importances {about}: all have the same value"
    if score <= 0:
        return f"importances {about} say nothing: the params do not predict runs that were held out (R² {score:.2f})"
    if runs < _RUNS_OF_A_PARAM * params:
        return f"importances {about} and {params} params are rough: {_RUNS_OF_A_PARAM * params} runs would be enough"
    return None
