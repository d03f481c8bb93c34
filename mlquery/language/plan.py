"""The plan: a fully resolved query. It depends on no dialect, and running it cannot fail."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import attrs


class Kind(Enum):
    """The kind of a field."""

    METRIC = "metric"
    PARAM = "param"
    TAG = "tag"
    ATTRIBUTE = "attribute"
    DATASET = "dataset"
    HISTORY = "history"


class Function(Enum):
    """What a field of the kind HISTORY takes from all points of a metric."""

    MAX = "max"
    MIN = "min"
    MEAN = "mean"
    FIRST = "first"
    LAST = "last"
    COUNT = "count"
    AT = "at"
    ARGMAX = "argmax"
    ARGMIN = "argmin"

    @property
    def is_integer(self) -> bool:
        """Tell whether the result is a number of points or a step."""
        return self in (Function.COUNT, Function.ARGMAX, Function.ARGMIN)


class Op(Enum):
    """The operator of a predicate."""

    EQ = "="
    NE = "!="
    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="
    LIKE = "LIKE"
    ILIKE = "ILIKE"
    RLIKE = "RLIKE"
    NOT_LIKE = "NOT LIKE"
    NOT_ILIKE = "NOT ILIKE"
    NOT_RLIKE = "NOT RLIKE"
    IN = "IN"
    NOT_IN = "NOT IN"
    IS_NULL = "IS NULL"
    IS_NOT_NULL = "IS NOT NULL"


class Entity(Enum):
    """The kind of entity that is searched."""

    RUN = "run"
    EXPERIMENT = "experiment"
    REGISTERED_MODEL = "registered_model"
    MODEL_VERSION = "model_version"

    @property
    def noun(self) -> str:
        """Return the name of the kind in a sentence."""
        return self.value.replace("_", " ")


Value = str | float | int | tuple[str, ...] | tuple[float, ...] | None


@attrs.frozen
class FieldRef:
    """A field under its canonical name; the id of a row is the attribute `run_id` or `experiment_id`.

    A history has the key of its metric and a `function` of its points, `AT` also a `step`. `LAST` is none of them: the
    last value is the metric itself.
    """

    kind: Kind
    key: str
    function: Function | None = None
    step: int | None = None


@attrs.frozen
class Predicate:
    """One test of one field. Times are integer milliseconds since the Unix epoch, UTC.

    `nan` is the number that NaN is compared as; None if NaN differs from every number.
    """

    field: FieldRef
    op: Op
    value: Value
    nan: float | None = None


@attrs.frozen
class All:
    """Every part holds; without parts, everything matches."""

    parts: tuple[Where, ...] = ()


@attrs.frozen
class AnyOf:
    """At least one part holds."""

    parts: tuple[Where, ...]


@attrs.frozen
class Negation:
    """The part does not hold (two-valued: what is not true is false)."""

    part: Where


Where = Predicate | All | AnyOf | Negation


def predicates(where: Where) -> Iterator[Predicate]:
    """Yield every test in a condition, from left to right."""
    match where:
        case Predicate():
            yield where
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from predicates(part)
        case Negation(part):
            yield from predicates(part)


@attrs.frozen
class SortKey:
    """One key of the order. Numbers come first, then NaN, then missing values, in both directions.

    With `missing_is_least`, missing values come before all others when ascending and after them when descending.
    """

    field: FieldRef
    descending: bool = False
    missing_is_least: bool = False


@attrs.frozen
class Plan:
    """A resolved search: which rows (`where`, `experiment_ids`, `stages`) in which total `order`.

    `experiment_ids` is None except for searches of runs. `stages` holds lifecycle stages: "active", "deleted", and
    "prompt" for the registered models that are prompts.
    """

    entity: Entity
    where: Where = All()
    order: tuple[SortKey, ...] = ()
    stages: frozenset[str] = frozenset({"active"})
    experiment_ids: frozenset[str] | None = None
