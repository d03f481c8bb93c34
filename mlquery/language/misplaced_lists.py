"""Parse a filter that has lists after other operators than IN, so that what else is wrong with it can be found.

The grammar has no such lists and no dialect supports them; MLflow reads some of them, and fails later. Each list is
replaced by its first value, and put into the tree again.
"""

from __future__ import annotations

import re

import attrs

from mlquery.errors import QueryError, Span
from mlquery.language import tokens as lexical
from mlquery.language.literals import LIST_WITHOUT_IN
from mlquery.language.node_builders import literal_of
from mlquery.language.parser import parse_filter
from mlquery.language.syntax import And, Comparison, Expression, Group, Items, Not, Or

_LIST = re.compile(lexical.ITEMS, re.IGNORECASE)
_ITEM = re.compile(lexical.ITEM, re.IGNORECASE)
_MOST_READ = 100_000
"""How many characters are read, again and again, for the lists of a filter."""


def tree_with_lists(source: str) -> Expression | None:
    """Return the syntax tree of a filter of which nothing but such lists is not valid; None of any other."""
    lists: dict[int, Items] = {}
    while len(lists) * len(source) <= _MOST_READ:
        try:
            return _with(lists, parse_filter(source))
        except QueryError as error:
            (problem,) = error.diagnostics
        found = _LIST.match(source, problem.span.start)
        if problem.message != LIST_WITHOUT_IN or found is None:
            return None
        start, stop = found.span()
        items = tuple(map(literal_of, _ITEM.finditer(source, start + 1, stop - 1)))
        lists[start] = Items(items, Span(start, stop))
        first = source[items[0].span.start : items[0].span.stop]
        source = source[:start] + first.ljust(stop - start) + source[stop:]
    return None


def _with(lists: dict[int, Items], node: Expression) -> Expression:
    """Return a tree with lists as the values of the comparisons whose values begin where they do."""
    match node:
        case Comparison():
            value = None if node.value is None else lists.get(node.value.span.start)
            return node if value is None else attrs.evolve(node, value=value)
        case And() | Or():
            return attrs.evolve(node, operands=tuple(_with(lists, operand) for operand in node.operands))
        case Not() | Group():
            return attrs.evolve(node, operand=_with(lists, node.operand))
