"""Builds syntax trees of filters from Python expressions: `(F.metrics.auc > 0.8) & F.params.model.isin(["a", "b"])`.

Values are written as literals by `python_values`; what a dialect accepts is decided by `spelling`. Independent of
dialects, of existing fields and of data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NoReturn

import attrs

from mlquery.language import tokens as lexical
from mlquery.language.joining import all_of, any_of, negated
from mlquery.language.matrix import DEFAULT_DIALECT, Dialect
from mlquery.language.python_values import Value, items_of, literal_of, step_of
from mlquery.language.render import render
from mlquery.language.spelling import filter_for, order_for
from mlquery.language.syntax import Call, Comparison, Expression, Literal, Name, Operand, OrderTerm, Range

_BARE_KEY = re.compile(lexical.DOTTED, re.IGNORECASE)
_BARE_NAME = re.compile(rf"(?!{lexical.RESERVED}){lexical.SEGMENT}", re.IGNORECASE)
_OTHER_SPELLINGS: Final = {
    "metric": "metrics",
    "param": "params",
    "parameter": "params",
    "parameters": "params",
    "tag": "tags",
    "attr": "attributes",
    "attribute": "attributes",
    "run": "attributes",
}


def _refuse_truth(what: str) -> NoReturn:
    raise TypeError(
        f"{what} is neither true nor false; instead of and, or, not, in and a < b < c: "
        "&, |, ~, isin() and between(), with parentheses around comparisons"
    )


@attrs.frozen(repr=False)
class Condition:
    """A filter that was built from `F`: `&`, `|` and `~` join conditions, and `str` writes them.

    `str(condition)` is the filter in the dialect `extended`, which has all of the language; `to_string` writes it for
    another one. `tree` is its syntax tree, the one that `parse_filter` returns for the string.
    """

    tree: Expression

    def __and__(self, other: Condition) -> Condition:
        return Condition(all_of((self.tree, other.tree))) if isinstance(other, Condition) else NotImplemented

    def __or__(self, other: Condition) -> Condition:
        return Condition(any_of((self.tree, other.tree))) if isinstance(other, Condition) else NotImplemented

    def __invert__(self) -> Condition:
        return Condition(negated(self.tree))

    def __bool__(self) -> bool:
        _refuse_truth("a condition")

    def __str__(self) -> str:
        return render(self.tree)

    def __repr__(self) -> str:
        return f"<Condition: {self}>"

    def to_string(self, dialect: str | Dialect = DEFAULT_DIALECT, *, entity: str = "run") -> str:
        """Return the filter as a string that a dialect accepts, with the same meaning.

        Where the dialect does not accept the filter as it was built, another spelling is taken: `>= AND <=` for
        BETWEEN, `!=` joined by AND for NOT IN, `=` for a list of one value, quotes around times.

        Args:
            dialect: A column of the support matrix.
            entity: What is searched: "run", "experiment", "registered_model" or "model_version".

        Raises:
            QueryError: the dialect accepts no spelling of the filter; with what `check` says about it.
            ValueError: there is no such dialect or entity.
        """
        return filter_for(self.tree, dialect, entity)


@attrs.frozen(repr=False)
class Ordering:
    """An entry of order_by that was built from a field of `F` by `asc` or `desc`; `str` writes it."""

    term: OrderTerm

    def __str__(self) -> str:
        return render(self.term)

    def __repr__(self) -> str:
        return f"<Ordering: {self}>"

    def to_string(self, dialect: str | Dialect = DEFAULT_DIALECT, *, entity: str = "run") -> str:
        """Return the entry as a string that a dialect accepts.

        Raises:
            QueryError: the dialect does not order by the field; with what `check` says about it.
            ValueError: there is no such dialect or entity.
        """
        return order_for(self.term, dialect, entity)


@attrs.frozen(eq=False, repr=False)
class Field:
    """A field of `F`, or a function of its history; compare it, or order by it. `str` writes it as in a filter."""

    operand: Operand
    __array_ufunc__ = None  # NumPy's scalars on the left leave the comparison to the field
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, value: Value) -> Condition:  # type: ignore[override]
        return self._compared("=", self._literal(value))

    def __ne__(self, value: Value) -> Condition:  # type: ignore[override]
        return self._compared("!=", self._literal(value))

    def __gt__(self, value: Value) -> Condition:
        return self._compared(">", self._literal(value))

    def __ge__(self, value: Value) -> Condition:
        return self._compared(">=", self._literal(value))

    def __lt__(self, value: Value) -> Condition:
        return self._compared("<", self._literal(value))

    def __le__(self, value: Value) -> Condition:
        return self._compared("<=", self._literal(value))

    def isin(self, values: Iterable[Value]) -> Condition:
        """Return that the field has one of some values."""
        return self._compared("IN", items_of(values, "isin"))

    def notin(self, values: Iterable[Value]) -> Condition:
        """Return that the field is there and has none of some values."""
        return self._compared("NOT IN", items_of(values, "notin"))

    def between(self, low: Value, high: Value) -> Condition:
        """Return that the field is in a range, both ends included."""
        return self._compared("BETWEEN", Range(self._literal(low), self._literal(high)))

    def isnull(self) -> Condition:
        """Return that the field is missing."""
        return self._compared("IS NULL", None)

    def notnull(self) -> Condition:
        """Return that the field is there."""
        return self._compared("IS NOT NULL", None)

    isna, notna = isnull, notnull

    def like(self, pattern: str) -> Condition:
        """Return that the field matches a pattern; `%` stands for any characters, `_` for one."""
        return self._compared("LIKE", _pattern(pattern))

    def notlike(self, pattern: str) -> Condition:
        """Return that the field is there and does not match a pattern."""
        return self._compared("NOT LIKE", _pattern(pattern))

    def ilike(self, pattern: str) -> Condition:
        """Return that the field matches a pattern, regardless of case."""
        return self._compared("ILIKE", _pattern(pattern))

    def notilike(self, pattern: str) -> Condition:
        """Return that the field is there and does not match a pattern, regardless of case."""
        return self._compared("NOT ILIKE", _pattern(pattern))

    def rlike(self, pattern: str) -> Condition:
        """Return that a regular expression finds something in the field."""
        return self._compared("RLIKE", _pattern(pattern))

    def notrlike(self, pattern: str) -> Condition:
        """Return that the field is there and a regular expression finds nothing in it."""
        return self._compared("NOT RLIKE", _pattern(pattern))

    def max(self) -> Field:
        """Return the greatest value of the metric."""
        return self._function("max")

    def min(self) -> Field:
        """Return the least value of the metric."""
        return self._function("min")

    def mean(self) -> Field:
        """Return the mean of all values of the metric."""
        return self._function("mean")

    def first(self) -> Field:
        """Return the first value of the metric."""
        return self._function("first")

    def last(self) -> Field:
        """Return the last value of the metric, which is the metric itself."""
        return self._function("last")

    def count(self) -> Field:
        """Return the number of points of the metric."""
        return self._function("count")

    def argmax(self) -> Field:
        """Return the first step at which the metric has its greatest value."""
        return self._function("argmax")

    def argmin(self) -> Field:
        """Return the first step at which the metric has its least value."""
        return self._function("argmin")

    def at(self, step: int) -> Field:
        """Return the last value of the metric at a step."""
        return self._function("at", step)

    def asc(self) -> Ordering:
        """Return the entry of order_by that orders by the field, the least value first."""
        return self._ordering(descending=False)

    def desc(self) -> Ordering:
        """Return the entry of order_by that orders by the field, the greatest value first."""
        return self._ordering(descending=True)

    def __and__(self, other: Any) -> NoReturn:
        raise TypeError(f"compare {self} before joining it, in parentheses: ({self} > 1) & …")

    __rand__ = __or__ = __ror__ = __and__

    def __invert__(self) -> NoReturn:
        raise TypeError(f"compare {self} before negating it, in parentheses: ~({self} > 1)")

    def __bool__(self) -> bool:
        _refuse_truth("a field")

    def __str__(self) -> str:
        return render(self.operand)

    def __repr__(self) -> str:
        return f"<Field: {self}>"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_") or name == "operand":
            raise AttributeError(name)
        raise AttributeError(
            f"a field has no {name!r}; a key with a dot is written {_with_brackets(self.operand, name)}"
        )

    def _literal(self, value: object) -> Any:
        if isinstance(value, Field):
            raise TypeError(f"a filter compares a field with a value, and not {self} with {value}")
        return literal_of(value)

    def _compared(self, op: str, value: Literal) -> Condition:
        return Condition(Comparison(self.operand, op, value, op))

    def _function(self, name: str, step: int | None = None) -> Field:
        if isinstance(self.operand, Call):
            raise TypeError(f"functions do not nest: {name}() of {self}")
        return Field(Call(name, self.operand, None if step is None else step_of(step)))

    def _ordering(self, descending: bool) -> Ordering:
        term = OrderTerm(self.operand, descending)
        try:
            render(term)
        except ValueError:
            raise ValueError(
                f"the key of {self} cannot be written in order_by: it has quotes, a backslash or whitespace at its end"
            ) from None
        return Ordering(term)


@attrs.frozen
class Keys:
    """The fields of one kind: `F.metrics.auc`, or with any key `F.metrics["val loss"]`."""

    _prefix: str  # underscored, since any other name is that of a key

    def __getitem__(self, key: str) -> Field:
        return _field(self._prefix, key, _BARE_KEY)

    def __getattr__(self, key: str) -> Field:
        if key.startswith("_"):  # Python and notebooks look for methods of theirs
            raise AttributeError(f"a key with an underscore first is written F.{self._prefix}[{key!r}]")
        return self[key]


@attrs.frozen
class Fields:
    """All fields: metrics, params, tags, datasets and, without a prefix, attributes such as `F.status`."""

    metrics: Keys = Keys("metrics")
    params: Keys = Keys("params")
    tags: Keys = Keys("tags")
    attributes: Keys = Keys("attributes")
    datasets: Keys = Keys("datasets")
    dataset: Keys = Keys("dataset")

    def __getitem__(self, attribute: str) -> Field:
        return _field(None, attribute, _BARE_NAME)

    def __getattr__(self, attribute: str) -> Field:
        if attribute.startswith("_"):  # Python and notebooks look for methods of theirs
            raise AttributeError(f"F has no {attribute!r}")
        if attribute in _OTHER_SPELLINGS:
            raise AttributeError(f"F has no {attribute!r}; instead: F.{_OTHER_SPELLINGS[attribute]}")
        return self[attribute]


F = Fields()
"""The fields of a filter: `F.metrics["val loss"]`, `F.params.model`, `F.tags["mlflow.runName"]`, `F.status`."""


def _field(prefix: str | None, key: object, bare: re.Pattern[str]) -> Field:
    if not isinstance(key, str):
        raise TypeError(f"a key is a string, not {key!r}")
    name = Name(prefix, str.__str__(key), quoted=bare.fullmatch(key) is None)
    try:
        render(name).encode()
    except ValueError:
        raise ValueError(f"the key {key!r} cannot be written: no kind of quotes can enclose it") from None
    return Field(name)


def _pattern(pattern: object) -> Literal:
    if not isinstance(pattern, str):
        raise TypeError(f"a pattern is a string, not {pattern!r}")
    return literal_of(pattern)


def _with_brackets(operand: Operand, name: str) -> str:
    inner = operand.name if isinstance(operand, Call) else operand
    return f"F.{inner.prefix or 'tags'}[{f'{inner.key}.{name}'!r}]"
