"""Hypothesis strategies for filters that are built from `mlquery.F`: any of them, and those about random runs.

The latter come with what they mean, as a function of a run that knows nothing of mlquery's language.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import numpy as np
from hypothesis import strategies as st

from mlquery.entities import Run
from mlquery.language.building import Condition, F, Field, Ordering
from tests.support import random_data

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# ---- Any condition --------------------------------------------------------------------------------------------------

_WORDS = ["a", "val loss", "mlflow.runName", "é", "5x", "like", "NULL", "in", "from", "order", "a-b", "x.y", "AND", ""]
_AWKWARD = "a1 '\"`\\().,%_=\n\0é\u2028😀-"
_STRINGS = st.one_of(
    st.sampled_from([*_WORDS, "it's", 'say "hi"', "''", "\\'", "` `", "`a`", "50%", "NOT a = 1 OR"]),
    st.text(st.sampled_from(_AWKWARD), max_size=6),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)


def _can_be_built(build: Callable[[], Any]) -> bool:
    try:
        build()
    except ValueError:
        return False
    return True


_KEYS = _STRINGS.filter(lambda key: _can_be_built(lambda: F.metrics[key]))
_ATTRIBUTES = _STRINGS.filter(lambda key: _can_be_built(lambda: F[key]))
_NAMES = st.one_of(
    st.builds(getattr, st.sampled_from([F.metrics, F.params, F.tags, F.dataset, F.attributes]), st.just("auc")),
    st.builds(operator.getitem, st.sampled_from([F.metrics, F.params, F.tags, F.datasets, F.attributes]), _KEYS),
    st.builds(operator.getitem, st.just(F), _ATTRIBUTES),
    st.sampled_from([F.status, F.start_time, F.run_id, F["Run name"], F.name, F.creation_time, F.version_number]),
)
_FUNCTIONS = ["max", "min", "mean", "first", "last", "count", "argmax", "argmin"]
FIELDS: st.SearchStrategy[Field] = st.one_of(
    _NAMES,
    _NAMES,
    st.builds(lambda name, function: getattr(name, function)(), _NAMES, st.sampled_from(_FUNCTIONS)),
    st.builds(lambda name, step: name.at(step), _NAMES, st.integers()),
)
_TIMES = st.datetimes(timezones=st.just(UTC))
NUMBERS = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.builds(np.int64, st.integers(-(2**63), 2**63 - 1)),
    st.builds(np.float32, st.floats(allow_nan=False, allow_infinity=False, width=32)),
)
STRINGS = _STRINGS.filter(lambda value: _can_be_built(lambda: F.params.a == value))
VALUES = st.one_of(STRINGS, STRINGS, NUMBERS, _TIMES)
_ITEMS = st.one_of(STRINGS.filter(lambda value: _can_be_listed(value)), NUMBERS)
_COMPARE = [operator.eq, operator.ne, operator.gt, operator.ge, operator.lt, operator.le]
_PATTERN = ["like", "notlike", "ilike", "notilike", "rlike", "notrlike"]
COMPARISONS: st.SearchStrategy[Condition] = st.one_of(
    st.builds(lambda compare, field, value: compare(field, value), st.sampled_from(_COMPARE), FIELDS, VALUES),
    st.builds(lambda compare, field, value: compare(value, field), st.sampled_from(_COMPARE), FIELDS, VALUES),
    st.builds(lambda name, field, value: getattr(field, name)(value), st.sampled_from(_PATTERN), FIELDS, STRINGS),
    st.builds(
        lambda name, field, values: getattr(field, name)(values),
        *(st.sampled_from(["isin", "notin"]), FIELDS, st.lists(_ITEMS, min_size=1, max_size=4)),
    ),
    st.builds(lambda name, field: getattr(field, name)(), st.sampled_from(["isnull", "notnull"]), FIELDS),
    st.builds(lambda field, low, high: field.between(low, high), FIELDS, VALUES, VALUES),
)


def _joined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(operator.and_, inner, inner), st.builds(operator.or_, inner, inner), st.builds(operator.invert, inner)
    )


_CONDITIONS: st.SearchStrategy[Condition] = st.recursive(COMPARISONS, _joined, max_leaves=8)


@st.composite
def _any_condition(
    draw: st.DrawFn,
) -> Condition:  # a function, since the name of a strategy is all of what it is made of
    return draw(_CONDITIONS)


CONDITIONS = _any_condition()
"""Any condition: any keys, values and shapes."""
ORDERINGS: st.SearchStrategy[Ordering] = st.builds(
    lambda field, direction: getattr(field, direction)(),
    FIELDS.filter(lambda field: _can_be_built(field.desc)),
    st.sampled_from(["asc", "desc"]),
)


# ---- Conditions about random runs, with their meaning ---------------------------------------------------------------

Meaning = Callable[[Run], bool]


@attrs.frozen(eq=False)
class Meant:
    """A condition and what it means; `~`, `&` and `|` are those of both."""

    condition: Condition
    holds: Meaning

    def __and__(self, other: Meant) -> Meant:
        return Meant(self.condition & other.condition, lambda run: self.holds(run) and other.holds(run))

    def __or__(self, other: Meant) -> Meant:
        return Meant(self.condition | other.condition, lambda run: self.holds(run) or other.holds(run))

    def __invert__(self) -> Meant:
        return Meant(~self.condition, lambda run: not self.holds(run))

    def __repr__(self) -> str:
        return repr(self.condition)


Read = Callable[[Run], Any]
"""Returns the value of a field of a run; None if it is missing."""


def _data(part: str, key: str) -> tuple[Field, Read]:
    return getattr(F, part)[key], lambda run: getattr(run.data, part).get(key)


def _info(key: str) -> tuple[Field, Read]:
    return getattr(F, key), lambda run: getattr(run.info, key)


_METRIC_FIELDS = [_data("metrics", key) for key in [*random_data.METRIC_KEYS, "nowhere"]]
_STRING_FIELDS = [
    *(_data("params", key) for key in [*random_data.PARAM_KEYS, "nowhere"]),
    *(_data("tags", key) for key in random_data.TAG_KEYS),
    *(_info(key) for key in ("status", "user_id")),
]
_TIME_FIELDS = [_info("start_time"), _info("end_time")]


def _can_be_listed(value: str) -> bool:
    return _can_be_built(lambda: F.params.a.isin([value]))


_TEXTS = list(filter(_can_be_listed, [*random_data.TEXTS, *random_data.STATUSES, "ann"]))
_METRIC_VALUES = [0, 1, -1.0, 0.5, np.float64(1e-3), np.int64(1), 1e300]
_MOMENTS = [_EPOCH + timedelta(milliseconds=time) for time in random_data.TIMES]


def _compared(compare: Callable[[Any, Any], Any], field: tuple[Field, Read], value: Any) -> Meant:
    built, read = field
    plain = (value - _EPOCH) // timedelta(milliseconds=1) if isinstance(value, datetime) else value
    return Meant(compare(built, value), lambda run: read(run) is not None and bool(compare(read(run), plain)))


def _listed(field: tuple[Field, Read], values: list[Any]) -> Meant:
    built, read = field
    return Meant(built.isin(values), lambda run: read(run) is not None and any(read(run) == value for value in values))


def _listed_out(field: tuple[Field, Read], values: list[Any]) -> Meant:
    built, read = field
    return Meant(built.notin(values), lambda run: read(run) is not None and all(read(run) != value for value in values))


def _within(field: tuple[Field, Read], low: Any, high: Any) -> Meant:
    built, read = field
    return Meant(built.between(low, high), lambda run: read(run) is not None and bool(low <= read(run) <= high))


def _missing(field: tuple[Field, Read]) -> Meant:
    built, read = field
    return Meant(built.isnull(), lambda run: read(run) is None)


def _prefixed(field: tuple[Field, Read], prefix: str) -> Meant:
    built, read = field
    return Meant(built.like(f"{prefix}%"), lambda run: (read(run) is not None) and read(run).startswith(prefix))


_EQUALITIES = st.sampled_from([operator.eq, operator.ne])
_MEANT_COMPARISONS = st.one_of(
    st.builds(_compared, st.sampled_from(_COMPARE), st.sampled_from(_METRIC_FIELDS), st.sampled_from(_METRIC_VALUES)),
    st.builds(_compared, _EQUALITIES, st.sampled_from(_STRING_FIELDS), st.sampled_from(_TEXTS)),
    st.builds(_compared, st.sampled_from(_COMPARE), st.sampled_from(_TIME_FIELDS), st.sampled_from(_MOMENTS)),
    st.builds(_within, st.sampled_from(_METRIC_FIELDS), *[st.sampled_from([0, 0.5, 1])] * 2),
    st.builds(_listed, st.sampled_from(_STRING_FIELDS), st.lists(st.sampled_from(_TEXTS), min_size=1, max_size=3)),
    st.builds(_listed_out, st.sampled_from(_STRING_FIELDS), st.lists(st.sampled_from(_TEXTS), min_size=1, max_size=3)),
    st.builds(_listed_out, st.sampled_from(_METRIC_FIELDS), st.lists(st.sampled_from([0, 1, 0.5]), min_size=1)),
    st.builds(_missing, st.sampled_from([*_METRIC_FIELDS, *_STRING_FIELDS, *_TIME_FIELDS])),
    st.builds(_prefixed, st.sampled_from(_STRING_FIELDS), st.sampled_from(["a", "F", "x\n", ""])),
)
MEANT: st.SearchStrategy[Meant] = st.recursive(_MEANT_COMPARISONS, _joined, max_leaves=6)
"""Conditions about runs of `random_data`, of any shape."""
MEANT_CONJUNCTIONS: st.SearchStrategy[Meant] = st.one_of(
    _MEANT_COMPARISONS,
    st.recursive(_MEANT_COMPARISONS, lambda inner: st.builds(operator.and_, inner, inner), max_leaves=4),
    st.builds(operator.invert, st.builds(_missing, st.sampled_from(_STRING_FIELDS))),
)
"""Conditions about runs of `random_data` of which services without OR accept many."""
