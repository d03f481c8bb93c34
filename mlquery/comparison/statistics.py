"""Describes the metrics of groups of runs, and tests each group against that of the baseline; scipy does the work.

Groups are arrays of numbers here; runs, fields and frames are not known.

- A group is tested if it and the baseline's group have at least `FEWEST` runs. If each run of the one has a partner in
  the other (see `Contrast.is_paired`), the test is the paired t-test, else Welch's t-test, which does not assume equal
  variances. Both assume that means (of differences) are about normal; rank tests are no way out at this size: with four
  pairs, Wilcoxon's smallest p is 0.125.
- p-values of one metric are corrected by Holm's method, for the number of groups tested.
- The effect size is Hedges' g: the difference of means in (pooled) standard deviations, corrected for small samples;
  for pairs it is in standard deviations of the differences (g_z).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.comparison.extras import require

Floats = npt.NDArray[np.float64]

LEVEL: Final = 0.95
"""The confidence level of intervals."""
RESAMPLES: Final = 1999
SEED: Final = 0
FEWEST: Final = 4
"""The fewest runs (or pairs) of a group that is tested."""
FEWEST_OF_INTERVAL: Final = 3
_ROUNDING: Final = 16 * np.finfo(np.float64).eps  # differences that are as good as equal, as a part of the numbers
_CELLS: Final = 4_000_000  # numbers that are resampled at a time
PAIRED: Final = "paired t-test"
WELCH: Final = "Welch's t-test"
_NUMBERS: Final = ("difference", "low", "high", "statistic", "df", "p", "p_holm", "effect_size")


@attrs.frozen(eq=False)
class Summaries:
    """What groups do in a metric, each (groups,): `low` and `high` are the bootstrap interval of the mean."""

    n: npt.NDArray[np.int64]
    mean: Floats
    std: Floats
    min: Floats
    max: Floats
    low: Floats
    high: Floats


def summaries(groups: Sequence[Floats]) -> Summaries:
    """Return the summaries of groups of numbers; std has n - 1, and is missing for one number."""
    n = np.array([len(group) for group in groups], np.int64)
    found = Summaries(n, *(np.full(len(groups), np.nan) for _ in range(6)))
    for size in np.unique(n[n > 0]).tolist():
        together = max(1, _CELLS // (size * RESAMPLES))
        places = np.flatnonzero(n == size)
        for start in range(0, len(places), together):
            _summarize(found, places[start : start + together], groups)
    return found


def _summarize(found: Summaries, places: npt.NDArray[np.int64], groups: Sequence[Floats]) -> None:
    """Write the numbers of groups of one size, those at `places`."""
    samples = np.array([groups[place] for place in places.tolist()])
    size = samples.shape[1]
    with np.errstate(all="ignore"):
        found.mean[places] = samples.mean(axis=1)
        found.min[places], found.max[places] = samples.min(axis=1), samples.max(axis=1)
        if size > 1:
            found.std[places] = samples.std(axis=1, ddof=1)
    differing = (samples != samples[:, :1]).any(axis=1)
    if size >= FEWEST_OF_INTERVAL and differing.any():
        found.low[places[differing]], found.high[places[differing]] = interval(samples[differing])


def interval(samples: Floats) -> tuple[Floats, Floats]:
    """Return the bias-corrected and accelerated bootstrap interval of the mean of each row of numbers (groups, n).

    **Source**: `scipy.stats.bootstrap`, method "BCa". The seed is the same for each call, so that the interval of a
    group depends on its numbers alone.
    """
    stats = require("scipy.stats")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of intervals that do not exist: they are NaN
        found = stats.bootstrap(
            (samples,),
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=LEVEL,
            method="BCa",
            axis=-1,
            vectorized=True,
            rng=np.random.default_rng(SEED),
        ).confidence_interval
    return np.atleast_1d(found.low), np.atleast_1d(found.high)


@attrs.frozen(eq=False)
class Contrast:
    """The numbers of a group and of the baseline's group; if `is_paired`, those at one place belong together."""

    values: Floats
    baseline: Floats
    is_paired: bool

    @property
    def problem(self) -> str | None:
        """Return why there is no test of it, None if there is one."""
        if min(len(self.values), len(self.baseline)) < FEWEST:
            return "few"
        with np.errstate(all="ignore"):
            numbers = (self.values - self.baseline,) if self.is_paired else (self.values, self.baseline)
            rounding = _ROUNDING * max(np.abs(self.values).max(), np.abs(self.baseline).max())
            return "equal" if all(one.max() - one.min() <= rounding for one in numbers) else None


@attrs.frozen(eq=False)
class Outcomes:
    """Tests of groups against the baseline's, each (groups,): `low` and `high` are the interval of the difference.

    `test` and `effect` are names, None where there is no test.
    """

    test: npt.NDArray[Any]
    n: npt.NDArray[np.int64]
    n_baseline: npt.NDArray[np.int64]
    difference: Floats
    low: Floats
    high: Floats
    statistic: Floats
    df: Floats
    p: Floats
    p_holm: Floats
    effect_size: Floats
    effect: npt.NDArray[Any]


def outcomes(contrasts: Sequence[Contrast]) -> Outcomes:
    """Return the tests of the groups of one metric, in their order, with p-values that are corrected together."""
    found = _no_outcomes(contrasts)
    alike: dict[tuple[bool, int, int], list[int]] = {}
    for place, one in enumerate(contrasts):
        if len(one.values) and len(one.baseline):
            with np.errstate(all="ignore"):
                found.difference[place] = np.mean(one.values) - np.mean(one.baseline)
        if not one.problem:
            alike.setdefault((one.is_paired, len(one.values), len(one.baseline)), []).append(place)
    for (is_paired, _, _), places in alike.items():
        _test(found, places, [contrasts[place] for place in places], is_paired)
    tested = np.flatnonzero(~np.isnan(found.p))
    found.p_holm[tested] = holm(found.p[tested].tolist())
    return found


def _no_outcomes(contrasts: Sequence[Contrast]) -> Outcomes:
    """Return outcomes of which only the sizes are known."""
    size = len(contrasts)
    return Outcomes(
        test=np.full(size, None, object),
        n=np.array([len(one.values) for one in contrasts], np.int64),
        n_baseline=np.array([len(one.baseline) for one in contrasts], np.int64),
        **{name: np.full(size, np.nan) for name in _NUMBERS},
        effect=np.full(size, None, object),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by the step-down method of Holm (1979), which controls the family-wise error rate."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.minimum(1, np.maximum.accumulate(np.array(p_values, np.float64)[order] * factors))
    corrected = np.empty(len(p_values))
    corrected[order] = stepped
    return [float(p) for p in corrected]


def _test(found: Outcomes, places: list[int], contrasts: Sequence[Contrast], is_paired: bool) -> None:
    """Write the tests of contrasts of one kind and size, those at `places`."""
    stats = require("scipy.stats")
    values, baseline = (np.array([getattr(one, name) for one in contrasts]) for name in ("values", "baseline"))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of numbers that are nearly equal
        if is_paired:
            result = stats.ttest_rel(values, baseline, axis=1)
            std, df, effect = np.std(values - baseline, axis=1, ddof=1), values.shape[1] - 1, "g_z"
        else:
            result = stats.ttest_ind(values, baseline, axis=1, equal_var=False)
            (std, df), effect = _pooled(values, baseline), "g"
        found.effect_size[places] = found.difference[places] / std * _correction(df)
        found.low[places], found.high[places] = result.confidence_interval(LEVEL)
    found.test[places], found.effect[places] = PAIRED if is_paired else WELCH, effect
    found.statistic[places], found.df[places], found.p[places] = result.statistic, result.df, result.pvalue


def _pooled(values: Floats, baseline: Floats) -> tuple[Any, int]:
    """Return the pooled standard deviations of pairs of groups (groups, n) and their degrees of freedom."""
    n, m = values.shape[1], baseline.shape[1]
    squares = (n - 1) * np.var(values, axis=1, ddof=1) + (m - 1) * np.var(baseline, axis=1, ddof=1)
    return np.sqrt(squares / (n + m - 2)), n + m - 2


def _correction(df: int) -> float:
    """Return by what a difference in standard deviations loses the bias that few degrees of freedom give it.

    **Source**: Hedges (1981), "Distribution theory for Glass's estimator of effect size", the exact correction.
    """
    log_gamma = require("scipy.special").gammaln
    return float(np.exp(log_gamma(df / 2) - log_gamma((df - 1) / 2)) / np.sqrt(df / 2))
