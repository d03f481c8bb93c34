"""`compare`: turns what a caller gives into a checked `Comparison`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mlquery.comparison.fields import metric_keys, read_fields
from mlquery.comparison.reported import Comparison
from mlquery.comparison.selection import Search, Selection, dialect_of, run_named, select
from mlquery.comparison.values import LAST, Value, check_directions, check_value, how_of
from mlquery.errors import invalid_parameter
from mlquery.language.matrix import Dialect
from mlquery.query.reading import OnWarning, warn_caller

MAX_RUNS: Final = 10_000


def compare(
    runs: Any,
    value: Value = LAST,
    baseline: str | None = None,
    group_by: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
    *,
    source: Any = None,
    experiment_ids: Sequence[str] | None = None,
    dialect: str | Dialect | None = None,
    directions: Mapping[str, str] | None = None,
    order_by: Sequence[str] | None = None,
    max_runs: int | None = MAX_RUNS,
    on_warning: OnWarning = warn_caller,
) -> Comparison:
    """Put runs side by side.

    Args:
        runs: A filter, a list of ids, a page of runs, a list of runs of mlquery's or MLflow's, a DataFrame of
            `search_runs`, or a `Comparison`.
        value: What metrics are compared by: "last", "best", "min", "max", "mean" or "step:100" (the value at step 100),
            or a dict of these by metric. NaN is left out unless a run has nothing else.
        baseline: The run that the others are compared with: its id, the beginning of it, or a name that no other of the
            runs has.
        group_by: Fields in which the runs of a group agree, such as "params.model", "model" (that param) or "status";
            by default all params but those to ignore.
        ignore: Params that tell the runs of a group apart, such as "seed"; tests pair runs by them.
        source: Where runs are: a Store, a Client, an mlflow.MlflowClient or a Comparison. Filters and ids need it, and
            so does all that needs points of metrics: values other than "last", and curves.
        experiment_ids: The experiments that a filter searches; by default all that are active.
        dialect: The dialect of the filter; by default that of the source. An mlflow.MlflowClient has its own.
        directions: What is better of a metric, "min" or "max"; by default what its name says, see `Comparison.best`.
        order_by: The order of the runs that a filter finds.
        max_runs: The most runs that are compared; None for any number.
        on_warning: Receives warnings about the filter; by default they are issued as `QueryWarning`.

    Returns:
        The comparison. Values are read now; curves and models are read when they are first asked for.

    Raises:
        QueryError: the dialect refuses the filter or the order.
        StoreError: a run, a field or an argument is not valid, a source is missing, or more than `max_runs` are found.
    """
    check_value(value)
    check_directions(directions or {})
    chosen = dialect_of(dialect, source)
    found = select(runs, source, Search(experiment_ids, chosen, order_by, max_runs, on_warning))
    _load_points(found, value)
    fields = read_fields(found.store, found.run_ids, value, directions or {})
    return Comparison(
        found,
        fields,
        value if isinstance(value, str) else dict(value),
        None if baseline is None else run_named(found.store, found.run_ids, baseline, "the baseline"),
        None if group_by is None else _names("group_by", group_by),
        _names("ignore", ignore),
        dict(directions or {}),
        chosen.name,
    )


def _load_points(found: Selection, value: Value) -> None:
    """Make the points be there that values need, before the metrics are read."""
    for key in metric_keys(found.store, found.run_ids):
        if how_of(value, key) != LAST:
            found.load_points(key)


def _names(argument: str, given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise invalid_parameter(f"{argument} must be a list of fields, such as {argument}=[{given!r}]")
    return tuple(dict.fromkeys(given))
