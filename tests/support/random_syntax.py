"""Hypothesis strategies for the language: syntax trees, their spellings, strings from the grammar, damaged strings.

They are independent of existing fields and of dialects.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark
from lark.exceptions import LarkError

from mlquery.language import render as canonical
from mlquery.language.syntax import (
    Aggregate,
    And,
    Call,
    Comparison,
    Expression,
    Group,
    Items,
    Literal,
    Name,
    Not,
    Number,
    Operand,
    Or,
    OrderTerm,
    Range,
    String,
)

GRAMMAR_FILE = Path(__file__).resolve().parents[2] / "grammar" / "mlquery.lark"
STARTS = ["filter", "order_by", "operand", "aggregates"]
EXAMPLES = int(os.environ.get("MLQUERY_FUZZ", "150"))
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@cache
def lark_parser() -> Lark:
    """Read the normative grammar as its first comment says."""
    source = GRAMMAR_FILE.read_text(encoding="utf-8")
    return Lark(source, parser="earley", lexer="dynamic", start=STARTS)


def is_in_grammar(text: str, start: str) -> bool:
    """Tell whether the normative grammar derives a string."""
    try:
        lark_parser().parse(text, start=start)
    except LarkError:
        return False
    return True


# ---- Syntax trees ---------------------------------------------------------------------------------------------------

_SEGMENTS = st.sampled_from(
    ["a", "acc", "é", "mlflow", "x_1", "5x", "1_a", "_", "like", "null", "insert", "From_", "K", "desc", "ﬁ"]
)
_BARE_KEYS = st.lists(_SEGMENTS, min_size=1, max_size=3).map(".".join)
_PREFIXES = st.one_of(st.sampled_from(["metrics", "params", "tags", "run", "and", "NOT", "or"]), _SEGMENTS)
_BARE_NAMES = _SEGMENTS.filter(lambda word: word not in ("like", "null"))

_AWKWARD = "a1 '\"`\\().,%_=\n\0é\u2028😀-"
_ANY_STRING = st.one_of(
    st.sampled_from(["", "x", "it's", 'say "hi"', "a b", "''", "\\'", "x.y", "` `", "`a`", "a``b", "AND", "50%"]),
    st.text(st.sampled_from(_AWKWARD), max_size=6),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)


def _can_be_written(node: Expression | Literal | Operand | OrderTerm) -> bool:
    try:
        canonical.render(node)
    except ValueError:
        return False
    return True


NAMES = st.one_of(
    st.builds(Name, _PREFIXES, _BARE_KEYS),
    st.builds(Name, st.none(), _BARE_NAMES),
    st.builds(Name, st.one_of(st.none(), _PREFIXES), _ANY_STRING, st.just(True)),
).filter(_can_be_written)

NUMBERS = st.one_of(
    st.sampled_from(["0", "-1", "007", "1.5", "-.5", "5.", "1e3", "-1.5E-3", "1e999", "9" * 25, "٣"]),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: f"{number:.3f}"),
).map(Number)
_FUNCTIONS = st.sampled_from(["max", "min", "at", "count", "argmax", "foo", "_x1", "order_by", "a"])
CALLS = st.builds(Call, _FUNCTIONS, NAMES, st.one_of(st.none(), NUMBERS))
OPERANDS = st.one_of(NAMES, NAMES, CALLS)
AGGREGATES = st.lists(st.builds(Aggregate, _FUNCTIONS, st.one_of(st.none(), OPERANDS)), min_size=1, max_size=3)
STRINGS = _ANY_STRING.map(String).filter(_can_be_written)
_LITERALS = st.one_of(STRINGS, NUMBERS)
_ITEMS = st.one_of(_ANY_STRING.map(String), NUMBERS).filter(lambda item: _can_be_written(Items((item,))))
_LISTS = st.lists(_ITEMS, min_size=1, max_size=4).map(tuple).map(Items)

_PLAIN_OPS = st.sampled_from(
    ["=", "!=", ">", ">=", "<", "<=", "==", "<>"]
    + [f"{negation}{word}" for negation in ("", "NOT ") for word in ("LIKE", "ILIKE", "RLIKE")]
)
COMPARISONS = st.one_of(
    st.builds(Comparison, OPERANDS, _PLAIN_OPS, _LITERALS),
    st.builds(Comparison, OPERANDS, st.sampled_from(["IN", "NOT IN"]), _LISTS),
    st.builds(Comparison, OPERANDS, st.sampled_from(["IS NULL", "IS NOT NULL"]), st.none()),
    st.builds(Comparison, OPERANDS, st.just("BETWEEN"), st.builds(Range, _LITERALS, _LITERALS)),
)


def _joined(operands: st.SearchStrategy[Expression], join: type[And | Or]) -> st.SearchStrategy[Expression]:
    """Return one operand or a join of several, as the parser builds them: no join of a single operand."""
    several = st.lists(operands, min_size=2, max_size=3).map(lambda found: join(tuple(found)))
    return st.one_of(operands, several)


def _factors(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    """Return what may stand between ANDs, around smaller factors."""
    disjunctions = _joined(_joined(inner, And), Or)
    return st.one_of(inner.map(Not), disjunctions.map(Group))


_FACTORS = st.recursive(COMPARISONS, _factors, max_leaves=6)
TREES = st.one_of(_joined(_joined(_FACTORS, And), Or), st.just(And(())))
"""Every shape of tree that a filter can have."""
ORDER_TERMS = st.builds(OrderTerm, OPERANDS, st.booleans()).filter(_can_be_written)


# ---- Spellings ------------------------------------------------------------------------------------------------------

_ANY_WHITESPACE = st.sampled_from(["", "", " ", "  ", "\n", "\t", "\r\n", "\u00a0", "\x0b"])
_SOME_WHITESPACE = _ANY_WHITESPACE.filter(bool)
_ASCII_WHITESPACE = st.sampled_from(["", "", " ", "\t\n"])


def _item(item: String | Number) -> str:
    return canonical.render(Items((item,)))[1:-1]


class _Speller:
    """Writes a tree in any spelling of the grammar: case, whitespace, ANDs omitted or repeated."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def word(self, text: str) -> str:
        """Write words in any case with any whitespace between them."""
        cased = self.draw(st.sampled_from([str.upper, str.lower, str.title]))(text)
        if text == "IS NOT NULL":
            return cased.replace(" ", self.draw(_SOME_WHITESPACE), 1)
        return self.draw(_SOME_WHITESPACE).join(cased.split())

    def around(self, word: str) -> str:
        """Write a word of letters so that it touches no other."""
        return self.draw(_SOME_WHITESPACE) + word + self.draw(_SOME_WHITESPACE)

    def operator(self, op: str) -> str:
        if op[0].isalpha():
            return self.around(self.word(op))
        return self.draw(_ANY_WHITESPACE) + op + self.draw(_ANY_WHITESPACE)

    def operand(self, node: Operand) -> str:
        if isinstance(node, Name):
            return canonical.render(node)
        step = "" if node.step is None else f"{self.draw(_ANY_WHITESPACE)},{self.padded(canonical.render(node.step))}"
        return self.call(node.function, self.padded(canonical.render(node.name)) + step)

    def call(self, function: str, arguments: str) -> str:
        return f"{self.word(function)}{self.draw(_ANY_WHITESPACE)}({arguments})"

    def padded(self, text: str) -> str:
        return self.draw(_ANY_WHITESPACE) + text + self.draw(_ANY_WHITESPACE)

    def aggregate(self, node: Aggregate) -> str:
        operand = "" if node.operand is None else self.operand(node.operand)
        return self.padded(self.call(node.function, self.padded(operand)))

    def items(self, node: Items) -> str:
        items = [self.draw(_ASCII_WHITESPACE) + _item(item) + self.draw(_ASCII_WHITESPACE) for item in node.items]
        return f"({','.join(items)}{self.draw(st.sampled_from(['', ',', ', ']))})"

    def comparison(self, node: Comparison) -> str:
        name = self.operand(node.name)
        match node.value:
            case None:
                return name + self.draw(_SOME_WHITESPACE) + self.word(node.op)
            case Items():
                return name + self.operator(node.op) + self.items(node.value)
            case Range(low, high):
                ends = canonical.render(low) + self.around(self.word("AND")) + canonical.render(high)
                return name + self.operator(node.op) + ends
        return name + self.operator(node.op) + canonical.render(node.value)

    def conjunction(self, operands: tuple[Expression, ...]) -> str:
        text = self.expression(operands[0])
        for operand in operands[1:]:
            text += self.joint(operand) + self.expression(operand)
        return text

    def joint(self, operand: Expression) -> str:
        is_plain = isinstance(operand, Comparison) and isinstance(operand.value, String | Number)
        if is_plain and self.draw(st.integers(0, 3)) == 0:
            return self.draw(_SOME_WHITESPACE)
        return "".join(self.around(self.word("AND")) for _ in range(self.draw(st.integers(1, 2))))

    def expression(self, node: Expression) -> str:
        match node:
            case And(operands):
                return self.conjunction(operands)
            case Or(operands):
                return self.around(self.word("OR")).join(map(self.expression, operands))
            case Not(operand):
                return self.word("NOT") + self.draw(_SOME_WHITESPACE) + self.expression(operand)
            case Group(operand):
                return f"({self.draw(_ANY_WHITESPACE)}{self.expression(operand)}{self.draw(_ANY_WHITESPACE)})"
            case Comparison():
                return self.comparison(node)

    def padding(self) -> str:
        return self.draw(st.one_of(_ANY_WHITESPACE, st.just(" AND "), st.just("\tand and\n")))


@st.composite
def spelled_trees(draw: st.DrawFn) -> tuple[Expression, str]:
    """Draw a tree and one of its many spellings."""
    tree, speller = draw(TREES), _Speller(draw)
    if tree == And(()):
        return tree, draw(st.sampled_from(["", "and", " AND and\n"]))
    return tree, speller.padding() + speller.expression(tree) + speller.padding()


SPELLINGS = spelled_trees().map(lambda pair: pair[1])


@st.composite
def spelled_order_terms(draw: st.DrawFn) -> tuple[OrderTerm, str]:
    """Draw an order term and one of its spellings."""
    term = draw(ORDER_TERMS)
    words = ["desc", "DESC", "Desc"] if term.descending else ["", "ASC", "asc"]
    direction = draw(st.sampled_from(words if _can_be_written(evolve(term, descending=True)) else [""]))
    is_name = isinstance(term.name, Name)
    name = canonical.render(OrderTerm(term.name)) if is_name else _Speller(draw).operand(term.name)
    return term, name + (draw(_SOME_WHITESPACE) + direction if direction else "")


ORDER_SPELLINGS = spelled_order_terms().map(lambda pair: pair[1])


@st.composite
def spelled_operands(draw: st.DrawFn) -> tuple[Operand, str]:
    """Draw a field or a call and one of its spellings."""
    operand = draw(OPERANDS)
    return operand, _Speller(draw).operand(operand)


@st.composite
def spelled_aggregates(draw: st.DrawFn) -> tuple[tuple[Aggregate, ...], str]:
    """Draw aggregates and one of their spellings."""
    aggregates = draw(AGGREGATES)
    return tuple(aggregates), ",".join(map(_Speller(draw).aggregate, aggregates))


OPERAND_SPELLINGS = spelled_operands().map(lambda pair: pair[1])
AGGREGATE_SPELLINGS = spelled_aggregates().map(lambda pair: pair[1])


# ---- Texts from the grammar -----------------------------------------------------------------------------------------

_LIKES = st.sampled_from(["LIKE", "ilike", "not  like", "NOT\nRLIKE"])
_QUOTED = STRINGS.map(canonical.render)
_TERMINALS = {
    "PREFIX": _PREFIXES,
    "ATTRIBUTE": _BARE_NAMES,
    "KEY": _BARE_KEYS,
    "FUNCTION": st.sampled_from(["max", "MAX", "at", "foo", "x_1", "_"]),
    "BACKTICKED": st.sampled_from(["``", "`a b`", '`it\'s "x"`', "`a``b`", "`x.y`"]),
    "STRING": _QUOTED,
    "DOUBLE_QUOTED": _QUOTED.filter(lambda text: text[0] == '"'),
    "LIST_STRING": _ITEMS.map(_item).filter(lambda text: text[0] in "'\""),
    "NUMBER": NUMBERS.map(canonical.render),
    "SYMBOL": st.sampled_from(["=", "!=", ">", ">=", "<", "<=", "==", "<>"]),
    "LIKE": _LIKES,
    "IN": st.sampled_from(["IN", "not in", "Not\tIn"]),
    "NULL": st.sampled_from(["IS NULL", "is not null", "IS \n NOT NULL"]),
    "BETWEEN": st.sampled_from(["BETWEEN", "between"]),
    "_BETWEEN_AND": st.sampled_from(["AND", "and"]),
    "_AND": st.sampled_from(["AND", "and", "And"]),
    "_OR": st.sampled_from(["OR", "or"]),
    "_NOT": st.sampled_from(["NOT", "not"]),
    "_WHITESPACE": _SOME_WHITESPACE,
    "_GAP": _ASCII_WHITESPACE.filter(bool),
}
_ORDER_KEYS = st.sampled_from(["", "a", " a", "a b", "x-y", "a\nb", "FROM", "é.ü", "5"])
_ORDER_TERMINALS = {
    "PREFIX": _PREFIXES,
    "ATTRIBUTE": _BARE_NAMES,
    "KEY": _BARE_KEYS,
    "ORDER_BACKTICKED": _ORDER_KEYS.map("`{}`".format),
    "ORDER_SINGLE_QUOTED": _ORDER_KEYS.map("'{}'".format),
    "ORDER_DOUBLE_QUOTED": _ORDER_KEYS.map('"{}"'.format),
    "FUNCTION": _TERMINALS["FUNCTION"],
    "BACKTICKED": _TERMINALS["BACKTICKED"],
    "STRING": _TERMINALS["STRING"],
    "DOUBLE_QUOTED": _TERMINALS["DOUBLE_QUOTED"],
    "NUMBER": _TERMINALS["NUMBER"],
    "_WHITESPACE": _TERMINALS["_WHITESPACE"],
    "DIRECTION": st.sampled_from(["ASC", "DESC", "desc"]),
    "_ORDER_WHITESPACE": _SOME_WHITESPACE,
}
_WORDS = ("LIKE", "IN", "NULL", "BETWEEN", "_BETWEEN_AND", "_AND", "_OR", "_NOT")


def derived_filters() -> st.SearchStrategy[str]:
    """Draw filters that the rules of the grammar derive; no pieces run together, so all of them are in the language."""
    apart = {name: _TERMINALS[name].map(" {} ".format) for name in _WORDS}
    apart |= {name: _TERMINALS[name].map("{} ".format) for name in ("STRING", "NUMBER", "LIST_STRING")}
    return from_lark(lark_parser(), start="filter", explicit={**_TERMINALS, **apart})


def loosely_derived_filters() -> st.SearchStrategy[str]:
    """Draw filters by the same rules whose pieces may touch, so that many of them are not in the language."""
    return from_lark(lark_parser(), start="filter", explicit=_TERMINALS)


def derived_orders() -> st.SearchStrategy[str]:
    """Draw entries of order_by that the rules of the grammar derive."""
    return from_lark(lark_parser(), start="order_by", explicit=_ORDER_TERMINALS)


# ---- Damage ---------------------------------------------------------------------------------------------------------

_NASTY = [*"'\"`().,;= !<>-_%&|+*/#$@[]{}\\\t\nab15eANDORINé\0", "\u2028", "\x1c", "ſ", "ı", "İ", "K", "😀"]
_PIECES = [*_NASTY, *_NASTY, " AND ", " or ", "not ", " in ", " is null", " like ", "()", "''", "between "]


@st.composite
def damaged(draw: st.DrawFn, strings: st.SearchStrategy[str]) -> str:
    """Draw a string with one to three characters or words inserted, deleted, replaced or swapped."""
    text = draw(strings)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(text)))
        piece = draw(st.sampled_from(_PIECES))
        changes = [
            text[:place] + piece + text[place:],
            text[:place] + text[place + 1 :],
            text[:place] + piece + text[place + 1 :],
            text[:place] + text[place + 1 : place + 2] + text[place : place + 1] + text[place + 2 :],
        ]
        text = changes[draw(st.integers(0, 3))]
    return text
