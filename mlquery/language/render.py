"""Write a syntax tree as a string, in one canonical spelling: a space around operators, AND between clauses.

Parsing the string returns the same tree. Independent of any dialect and of field names.
"""

from __future__ import annotations

import re

from mlquery.language import tokens as lexical
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

_BARE_KEY = re.compile(lexical.DOTTED, re.IGNORECASE)
_BARE_NAME = re.compile(rf"(?!{lexical.RESERVED}){lexical.SEGMENT}", re.IGNORECASE)


def render(node: Expression | OrderTerm | Aggregate | Operand | Literal) -> str:
    """Return the string of a syntax tree.

    Raises:
        ValueError: the tree cannot be written (a key that contains every kind of quote, a string that contains both
            kinds or ends with a backslash).
    """
    match node:
        case Comparison(name, op, value):
            return f"{render(name)} {op}" if value is None else f"{render(name)} {op} {render(value)}"
        case And() | Or() | Not() | Group():
            return _join(node)
        case OrderTerm(name, descending):
            return _order_term(name, descending)
        case Name():
            return _name(node, _KEY_QUOTES)
        case Call(function, name, step):
            return f"{function}({render(name)}{'' if step is None else f', {render(step)}'})"
        case Aggregate(function, operand):
            return f"{function}({'' if operand is None else render(operand)})"
        case String(value):
            return _between(value, _STRING_QUOTES)
        case Number(value):
            return value
        case Items(items):
            return f"({', '.join(map(_item, items))})"
        case Range(low, high):
            return f"{render(low)} AND {render(high)}"
    raise TypeError(f"not a syntax tree: {node!r}")


def _join(node: And | Or | Not | Group) -> str:
    match node:
        case And(operands):
            return " AND ".join(map(render, operands))
        case Or(operands):
            return " OR ".join(map(render, operands))
        case Not(operand):
            return f"NOT {render(operand)}"
        case Group(operand):
            return f"({render(operand)})"


_Quotes = tuple[tuple[str, re.Pattern[str]], ...]
_STRING_QUOTES = (("'", re.compile(lexical.SINGLE_QUOTED)), ('"', re.compile(lexical.DOUBLE_QUOTED)))
_ITEM_QUOTES = tuple((quote, re.compile(lexical.ITEM, re.IGNORECASE)) for quote in "'\"")
_KEY_QUOTES = (("`", re.compile(lexical.BACKTICKED)), *reversed(_STRING_QUOTES))
_ORDER_QUOTES = tuple((quote, re.compile(quote + lexical.ORDER_KEY + quote)) for quote in "`\"'")


def _order_term(name: Operand, descending: bool) -> str:
    if isinstance(name, Call):
        return render(name) + (" DESC" if descending else "")
    if descending and name.quoted and name.key[-1:].isspace():
        raise ValueError(f"the key {name.key!r} cannot be quoted before a direction")
    return _name(name, _ORDER_QUOTES) + (" DESC" if descending else "")


def _item(item: String | Number) -> str:
    return render(item) if isinstance(item, Number) else _between(item.value, _ITEM_QUOTES)


def _name(name: Name, quotes: _Quotes) -> str:
    prefix = f"{name.prefix}." if name.prefix is not None else ""
    if not name.quoted:
        is_plain = (_BARE_KEY if prefix else _BARE_NAME).fullmatch(name.key)
        if not is_plain:
            raise ValueError(f"the key {name.key!r} cannot be written without quotes")
        return prefix + name.key
    usable = quotes if prefix else quotes[:2]
    is_backticked = len(name.key) > 1 and name.key[0] == name.key[-1] == "`"
    # Within quotes, backticks around the whole key are removed too, so such a key needs another pair.
    return prefix + (_between(f"`{name.key}`", usable[1:]) if is_backticked else _between(name.key, usable))


def _between(value: str, quotes: _Quotes) -> str:
    """Return the value in the first kind of quotes that can enclose it; no quote may follow a backslash."""
    for quote, literal in quotes:
        written = f"{quote}{value}{quote}"
        read = literal.match(written)
        hides_the_end = value.endswith("\\") and quote != "`"
        if not hides_the_end and read and read.end() == len(written):
            return written
    raise ValueError(f"{value!r} cannot be quoted")
