"""The syntax tree of a query as written: any prefix, any operator, with spans; no dialect and no decision."""

from __future__ import annotations

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
class Text:
    """A quoted literal; `value` is what stands between the quotes, untouched."""

    value: str
    span: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class Number:
    """A numeric literal, as written."""

    text: str
    span: Span = attrs.field(default=Span(0, 0), eq=False)

    @property
    def is_integer(self) -> bool:
        """Tell whether the literal has neither a fraction nor an exponent."""
        return self.text.lstrip("-").isdigit()


@attrs.frozen
class Items:
    """A parenthesised list of literals."""

    items: tuple[Text | Number, ...]
    span: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class Range:
    """The two ends of a BETWEEN."""

    low: Text | Number
    high: Text | Number
    span: Span = attrs.field(default=Span(0, 0), eq=False)


Literal = Text | Number | Items | Range | None


@attrs.frozen
class Comparison:
    """One clause. `op` is upper case with single blanks; `written` is the operator as it stands in the text."""

    name: Name
    op: str
    value: Literal
    written: str = attrs.field(default="", eq=False)
    span: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class And:
    """All operands hold. An empty conjunction is the filter that accepts everything."""

    operands: tuple[Expression, ...]
    span: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class Or:
    """At least one operand holds. `spans` are those of the OR words."""

    operands: tuple[Expression, ...]
    span: Span = attrs.field(default=Span(0, 0), eq=False)
    spans: tuple[Span, ...] = attrs.field(default=(), eq=False)


@attrs.frozen
class Not:
    """The operand does not hold. `word` is the span of the NOT."""

    operand: Expression
    span: Span = attrs.field(default=Span(0, 0), eq=False)
    word: Span = attrs.field(default=Span(0, 0), eq=False)


@attrs.frozen
class Group:
    """A parenthesised expression, kept so that a dialect can refuse the parentheses."""

    operand: Expression
    span: Span = attrs.field(default=Span(0, 0), eq=False)


Expression = Comparison | And | Or | Not | Group


@attrs.frozen
class OrderTerm:
    """One entry of `order_by`."""

    name: Name
    descending: bool = False
    span: Span = attrs.field(default=Span(0, 0), eq=False)
