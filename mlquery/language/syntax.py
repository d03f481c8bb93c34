"""The syntax tree of a query as written: any prefix, any operator, with spans. Independent of any dialect."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from mlquery.errors import Span


@attrs.frozen
class Name:
    """A field as written: `metrics.acc`, ``params.`a b` ``, `start_time`. `quoted` keys were in quotes or backticks."""

    prefix: str | None
    key: str
    quoted: bool = False
    span: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class Call:
    """A function of the history of a field: `max(metrics.loss)`, `at(metrics.loss, 100)`; its name in lower case."""

    function: str
    name: Name
    step: Number | None = None
    span: Span = attrs.field(default=Span(0, 0), eq=False)
    word: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class String:
    """A string literal; `value` is the characters between the quotes, unchanged."""

    value: str
    span: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class Number:
    """A numeric literal; `value` is its spelling."""

    value: str
    span: Span = attrs.field(default=Span(0, 0), eq=False)

    @property
    def is_integer(self) -> bool:
        """Tell whether the literal has neither a fraction nor an exponent."""
        return self.value.lstrip("-").isdigit()


@attrs.frozen
class Items:
    """A parenthesised list of literals."""

    items: tuple[String | Number, ...]
    span: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class Range:
    """The two ends of a BETWEEN."""

    low: String | Number
    high: String | Number
    span: Span = attrs.field(default=Span(0, 0), eq=False)


Literal = String | Number | Items | Range | None
Operand = Name | Call
"""What a comparison tests, an order sorts by and a column shows."""


@attrs.frozen
class Comparison:
    """One clause. `op` is in upper case with single spaces; `written` is the operator as written."""

    name: Operand
    op: str
    value: Literal
    written: str = attrs.field(default="", eq=False)
    span: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class And:
    """All operands hold. The empty conjunction matches everything."""

    operands: tuple[Expression, ...]
    span: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class Or:
    """At least one operand holds. `spans` are those of the OR keywords."""

    operands: tuple[Expression, ...]
    span: Span = attrs.field(default=Span(0, 0), eq=False)
    spans: tuple[Span, ...] = attrs.field(default=(), eq=False)


@attrs.frozen
class Not:
    """The operand does not hold. `word` is the span of the NOT keyword."""

    operand: Expression
    span: Span = attrs.field(default=Span(0, 0), eq=False)
    word: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class Group:
    """A parenthesised expression, kept so that a dialect can refuse the parentheses."""

    operand: Expression
    span: Span = attrs.field(default=Span(0, 0), eq=False)


Expression = Comparison | And | Or | Not | Group


def comparisons(node: Expression) -> Iterator[Comparison]:
    """Yield the clauses of an expression, from left to right."""
    match node:
        case Comparison():
            yield node
        case And(operands) | Or(operands):
            for operand in operands:
                yield from comparisons(operand)
        case Not(operand) | Group(operand):
            yield from comparisons(operand)


@attrs.frozen
class OrderTerm:
    """One entry of `order_by`."""

    name: Operand
    descending: bool = False
    span: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class Aggregate:
    """A function over runs: `count()`, `mean(metrics.auc)`, `mean(max(metrics.auc))`; its name in lower case."""

    function: str
    operand: Operand | None = None
    span: Span = attrs.field(default=Span(0, 0), eq=False)
    word: Span = attrs.field(default=Span(0, 0), eq=False)
