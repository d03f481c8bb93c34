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
_CELLS: Final = 4_000_000  # numbers that are resampled at a time
PAIRED: Final = "paired t-test"
WELCH: Final = "Welch's t-test"


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
        return "equal" if all((one == one[0]).all() for one in numbers) else None


@attrs.frozen
class Outcome:
    """A test of a group against the baseline's: `low` and `high` are the interval of the difference of means."""

    test: str | None
    n: int
    n_baseline: int
    difference: float
    low: float = np.nan
    high: float = np.nan
    statistic: float = np.nan
    df: float = np.nan
    p: float = np.nan
    p_holm: float = np.nan
    effect_size: float = np.nan
    effect: str | None = None


def outcomes(contrasts: Sequence[Contrast]) -> list[Outcome]:
    """Return the tests of the groups of one metric, in their order, with p-values that are corrected together."""
    found = [_test(contrast) for contrast in contrasts]
    tested = [place for place, test in enumerate(found) if test.p == test.p]
    for place, p in zip(tested, holm([found[place].p for place in tested]), strict=True):
        found[place] = attrs.evolve(found[place], p_holm=p)
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by the step-down method of Holm (1979), which controls the family-wise error rate."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.minimum(1, np.maximum.accumulate(np.array(p_values, np.float64)[order] * factors))
    corrected = np.empty(len(p_values))
    corrected[order] = stepped
    return [float(p) for p in corrected]


def _test(contrast: Contrast) -> Outcome:
    values, baseline = contrast.values, contrast.baseline
    with np.errstate(all="ignore"):
        difference = float(np.mean(values) - np.mean(baseline)) if len(values) and len(baseline) else np.nan
    found = Outcome(None, len(values), len(baseline), difference)
    if contrast.problem:
        return found
    stats = require("scipy.stats")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of numbers that are nearly equal
        if contrast.is_paired:
            result = stats.ttest_rel(values, baseline)
            effect, name = _hedges(difference, np.std(values - baseline, ddof=1), len(values) - 1), "g_z"
        else:
            result = stats.ttest_ind(values, baseline, equal_var=False)
            pooled, df = _pooled(values, baseline)
            effect, name = _hedges(difference, pooled, df), "g"
        low, high = result.confidence_interval(LEVEL)
    about: dict[str, Any] = {
        "low": low,
        "high": high,
        "statistic": result.statistic,
        "df": result.df,
        "p": result.pvalue,
    }
    numbers: dict[str, Any] = {key: float(number) for key, number in about.items()}
    return attrs.evolve(
        found, test=PAIRED if contrast.is_paired else WELCH, **numbers, effect_size=float(effect), effect=name
    )


def _pooled(values: Floats, baseline: Floats) -> tuple[Any, int]:
    """Return the pooled standard deviation of two groups and its degrees of freedom."""
    df = len(values) + len(baseline) - 2
    squares = (len(values) - 1) * np.var(values, ddof=1) + (len(baseline) - 1) * np.var(baseline, ddof=1)
    return np.sqrt(squares / df), df


def _hedges(difference: float, std: Any, df: int) -> Any:
    """Return a difference in standard deviations, without the bias that a std with few degrees of freedom has.

    **Source**: Hedges (1981), "Distribution theory for Glass's estimator of effect size", the exact correction.
    """
    log_gamma = require("scipy.special").gammaln
    correction = np.exp(log_gamma(df / 2) - log_gamma((df - 1) / 2)) / np.sqrt(df / 2)
    return np.divide(difference, std) * correction
