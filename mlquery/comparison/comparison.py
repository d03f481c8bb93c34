"""`Comparison`: chosen runs side by side, each view of them computed when it is first asked for.

It decides nothing: where runs come from, what values are and how frames are made is known to the modules below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import attrs

from mlquery.backend.runs import PARENT
from mlquery.comparison import curves as curve
from mlquery.comparison.fields import ATTRIBUTE, METRIC, PARAM, TAG, Field
from mlquery.comparison.grouping import Groups, field_named, group_runs
from mlquery.comparison.importance import Importances, importances
from mlquery.comparison.models import Model, model_fields, models_of
from mlquery.comparison.selection import Selection
from mlquery.comparison.values import require_direction
from mlquery.errors import invalid_parameter
from mlquery.store import Store

if TYPE_CHECKING:
    from pandas import DataFrame

    from mlquery.comparison.groups import Contrasts

S = TypeVar("S")


def _frame(make: Callable[[S], DataFrame]) -> property:
    """Return a property whose frame is made once; each caller gets a copy."""
    name = f"frame of {make.__name__}"

    def get(self: S) -> DataFrame:
        cache = self.__dict__
        if name not in cache:
            cache[name] = make(self)
        found: DataFrame = cache[name].copy()
        return found

    get.__doc__ = make.__doc__
    return property(get)


@attrs.frozen(eq=False, repr=False, slots=False)
class Comparison:
    """Runs side by side, as `compare` returns them.

    All frames are the caller's own. Values of runs are those of the moment of `compare`; points of metrics and models
    are read from the store when they are first asked for.

    Attributes:
        selection: The runs and where they are.
        fields: Everything that the runs have, field by field.
        value: What metrics are compared by.
        baseline: The id of the run that the others are compared with, None for none.
        group_by: The fields in which the runs of a group agree; None for all params but those to ignore.
        ignore: The params that tell the runs of a group apart.
        directions: What is better of metrics, as far as it was given.
        dialect: The name of the dialect of the filter.
    """

    selection: Selection
    fields: tuple[Field, ...]
    value: str | Mapping[str, str]
    baseline: str | None
    group_by: tuple[str, ...] | None
    ignore: tuple[str, ...]
    directions: Mapping[str, str]
    dialect: str

    @property
    def store(self) -> Store:
        """Return the store that the runs are in."""
        return self.selection.store

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Return the ids of the runs, in their order."""
        return self.selection.run_ids

    @cached_property
    def grouping(self) -> Groups:
        """Return which runs belong together.

        Raises:
            StoreError: none of the runs has a field to group by.
        """
        return group_runs(self.fields, len(self.run_ids), self.group_by, self.ignore)

    def __len__(self) -> int:
        return len(self.run_ids)

    def __repr__(self) -> str:
        about = f"{len(self)} runs" if len(self) != 1 else "1 run"
        baseline = "" if self.baseline is None else f", baseline={self.baseline!r}"
        return f"<Comparison: {about}, value={self.value!r}{baseline}>"

    @_frame
    def table(self) -> DataFrame:
        """Return what the runs have, side by side: one row per field, one column per run.

        The index has the levels kind ("attributes", "params", "metrics", "tags") and key. The columns have the levels
        part and run_id: `table["differs"]` tells which fields differ, `table["value"]` has the values (None where one
        is missing), and with a baseline `table["delta"]` and `table["relative"]` have the differences of metrics from
        it, `relative` as a fraction of the size of the baseline's value (missing where that is 0).
        """
        from mlquery.comparison.frames import side_by_side

        return side_by_side(self.fields, self.run_ids, self._baseline_row)

    @property
    def diff(self) -> DataFrame:
        """Return the rows of `table` that differ."""
        table = self.table
        differing: DataFrame = table[table["differs"]]
        return differing

    def to_frame(self) -> DataFrame:
        """Return one row per run, typed as in `mlflow.search_runs`, with the chosen value of each metric.

        Columns are run_id, run_name, experiment_id, status, start_time, end_time (UTC), duration (ms), user_id, then
        `params.*`, `metrics.*` and `tags.*` by key.
        """
        from mlquery.comparison.frames import by_run

        return by_run(self.fields, self.run_ids)

    def curves(self, metric: str, x: str = "step", points: int = 500, smoothing: float = 0) -> DataFrame:
        """Return lines to draw of a metric: run_id, group, x and y, run by run and by rising x.

        Args:
            metric: The key of the metric.
            x: "step", "time" (UTC) or "relative" (seconds since the run's first point of the metric). Of several points
                at one place the one logged last counts.
            points: The most points of a run: the extremes of equal parts, and the first and the last point.
            smoothing: The weight of what came before in a moving average, from 0 (none) to below 1, as in TensorBoard.

        Raises:
            StoreError: none of the runs has the metric, its points are not known, or an argument is not valid.
        """
        from mlquery.comparison.frames import curve_frame

        lines = [line.thinned(points) for line in self._lines(metric, x, points, smoothing)]
        return curve_frame(lines, self.run_ids, self.grouping, x)

    def bands(self, metric: str, x: str = "step", points: int = 500, smoothing: float = 0) -> DataFrame:
        """Return what the runs of each group do together: group, x, n, mean, std, min, max, low and high.

        Lines are straight between their points, and count from their first to their last number. `low` and `high` are
        one standard deviation (of the runs, with n - 1) below and above the mean; both are missing for one run.

        Args and raises: as of `curves`; `points` are those of a group.
        """
        from mlquery.comparison.frames import band_frame

        lines = self._lines(metric, x, points, smoothing)
        codes = self.grouping.codes
        groups = range(len(self.grouping.labels))
        found = [curve.band([line for line in lines if codes[line.run] == code], points) for code in groups]
        return band_frame(found, self.grouping, x)

    def best(self, metric: str, mode: str | None = None) -> DataFrame:
        """Return the runs that have a metric, the best first: rank, run_id, run_name, group and value.

        `value` is the chosen value of the metric; equals share a rank, and NaN comes last and has none.

        Args:
            metric: The key of the metric.
            mode: What is better: "min" or "max". By default what `directions` says, else the name of the metric: names
                with a word such as loss, error or rmse are better when small, such as accuracy, auc or f1 when large.

        Raises:
            StoreError: none of the runs has the metric, or what is better of it is not known.
        """
        from mlquery.comparison.frames import ranking_frame

        if mode not in (None, "min", "max"):
            raise invalid_parameter(f"mode is 'min' or 'max', not {mode!r}")
        field = self._metric(metric)
        direction = mode or require_direction([metric], self.directions)[metric]
        return ranking_frame(field, direction, self.run_ids, self.run_names, self.grouping)

    @_frame
    def groups(self) -> DataFrame:
        """Return the numbers of runs that belong together, one row per group and metric.

        Columns are group (its name), the fields that tell groups apart, metric, runs (how many the group has), n (how
        many have a number), mean, std (with n - 1), min, max, and low and high: the bootstrap interval of the mean
        (scipy, BCa, seeded), missing below three runs or if all values are equal. `groups.attrs["level"]` is its level.

        Raises:
            StoreError: scipy is not installed, or none of the runs has a field to group by.
        """
        from mlquery.comparison.groups import groups_frame

        return groups_frame(self.fields, self.grouping)

    @_frame
    def tests(self) -> DataFrame:
        """Return each group against the group of the baseline, one row per metric and group; none without a baseline.

        Columns are metric, group, baseline (the name of its group), test, n, n_baseline, difference (of means), low and
        high (its interval), statistic, df, p, p_holm (corrected for the groups of the metric), effect_size and effect.

        The test is a paired t-test if every run has exactly one partner that agrees with it in the params to ignore
        (effect "g_z"), else Welch's t-test (effect "g", Hedges'). Below four runs in a group there is none, and p is
        missing: see `warnings`.

        Raises:
            StoreError: scipy is not installed, or none of the runs has a field to group by.
        """
        from mlquery.comparison.groups import tests_frame

        return tests_frame(self._contrasts, self.grouping, self._baseline_row)

    def importance(self, metric: str) -> DataFrame:
        """Return what params say about a metric, the largest importance first.

        Columns are param, importance, std, spearman, p and n. `importance` is by how much the error of a random forest
        grows when the values of a param are shuffled, as a part of the variance of the metric, on runs that the forest
        was not fitted on; `std` is its standard deviation over folds and repetitions. `spearman` is the rank
        correlation of params that are numbers (or have two values), `p` its p-value, not corrected, and `n` the number
        of runs.

        The `attrs` of the frame have n, the number of runs with a value, score, the R² of the forest, and warning: what
        to know before reading it, None if there is nothing. Below ten runs there are no numbers. Params that are the
        same in all runs are left out.

        Raises:
            StoreError: scipy or scikit-learn is not installed, or none of the runs has the metric.
        """
        from mlquery.comparison.frames import importance_frame

        if metric not in self._importances:
            params = [field for field in self.fields if field.kind == PARAM]
            self._importances[metric] = importances(params, self._metric(metric))
        return importance_frame(self._importances[metric])

    @cached_property
    def _importances(self) -> dict[str, Importances]:
        return {}

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Return what a reader of the numbers must know, in plain sentences."""
        from mlquery.comparison.groups import warnings_of

        return tuple(warnings_of(self.fields, self.ignore, self._contrasts))

    @_frame
    def tree(self) -> DataFrame:
        """Return the runs with nested runs below their parents: run_id, run_name, parent_id and depth.

        A run whose parent is not among the runs has depth 0.
        """
        from mlquery.comparison.frames import tree_frame

        return tree_frame(self.run_ids, self.run_names, self._strings(TAG, PARENT))

    @_frame
    def models(self) -> DataFrame:
        """Return the models of the runs, one per row: logged models, then the versions that are registered of them.

        Columns are id, kind ("logged" or "version"), name, version, run_id, status, model_type, aliases, stage,
        creation_time, then `params.*`, `metrics.*` and `tags.*`. A version has the params and metrics of the logged
        model that it was registered from, else those of its run. Deleted models are left out.
        """
        from mlquery.comparison.frames import by_run

        return by_run(model_fields(self._models), [model.id for model in self._models], "id")

    @_frame
    def model_table(self) -> DataFrame:
        """Return the models of the runs side by side: one row per field, one column per model, as in `table`."""
        from mlquery.comparison.frames import side_by_side

        return side_by_side(model_fields(self._models), [model.id for model in self._models], None, "model_id")

    @cached_property
    def _contrasts(self) -> Contrasts:
        from mlquery.comparison.groups import contrasts_of

        return contrasts_of(self.fields, self.grouping, self.ignore, self._baseline_row)

    @cached_property
    def _models(self) -> list[Model]:
        return models_of(self.store, self.run_ids, self.selection.versions())

    @property
    def run_names(self) -> list[str | None]:
        """Return the names of the runs, in their order."""
        return self._strings(ATTRIBUTE, "run_name")

    @property
    def _baseline_row(self) -> int | None:
        return None if self.baseline is None else self.run_ids.index(self.baseline)

    def _lines(self, metric: str, x: str, points: int, smoothing: float) -> list[curve.Line]:
        curve.check_curve(x, points, smoothing)
        self._metric(metric)
        self.selection.load_points(metric)
        return list(curve.lines(self.store, self.run_ids, metric, x, smoothing))

    def _metric(self, key: str) -> Field:
        return field_named([field for field in self.fields if field.kind == METRIC], f"metrics.{key}")

    def _strings(self, kind: str, key: str) -> list[str | None]:
        found = (field.values.tolist() for field in self.fields if (field.kind, field.key) == (kind, key))
        return next(found, [None] * len(self))
