"""Turn an expression of a program into the strings that it may be, as far as the source tells; never guess.

Known are literals, f-strings, sums, `format`, `%`, `join`, conditional expressions, and names with no other value.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from itertools import product

import attrs

from mlquery.lint.safety import field_of
from mlquery.lint.scopes import Module, Scope
from mlquery.lint.sources import Source
from mlquery.lint.string_literals import Character, characters_of
from mlquery.lint.templates import Place, Template

Strings = tuple[Template, ...]
"""The strings that an expression may be."""

_MOST = 8
"""The most strings that one expression may be, of those that are looked at."""
_DEEPEST = 8
_FORMAT_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_PERCENT_FIELD = re.compile(r"%%|%[-+ #0]*\d*(?:\.\d+)?([sdifgr])")


@attrs.frozen
class Evaluator:
    """What turns expressions of one scope into strings."""

    source: Source
    module: Module
    scope: Scope
    depth: int = 0

    def strings(self, node: ast.expr) -> Strings | None:
        """Return the strings that an expression may be; None if that is not known."""
        if self.depth > _DEEPEST:
            return None
        match node:
            case ast.Constant(str() as value):
                return self._literal(node, value)
            case ast.JoinedStr():
                return self._formatted(node)
            case ast.BinOp(_, ast.Add(), _):
                return self._sum(_terms(node))
            case ast.BinOp(left, ast.Mod(), right):
                return self._percent(left, right)
            case ast.IfExp(_, one, other):
                return self._either([one, other])
            case ast.Call(ast.Attribute(owner, "format"), arguments, keywords):
                return self._format(owner, arguments, keywords)
            case ast.Call(ast.Attribute(owner, "strip"), [], []):
                known = self._deeper.strings(owner)
                return None if known is None else tuple(map(_stripped, known))
            case ast.Call(ast.Attribute(owner, "join"), [ast.List(items) | ast.Tuple(items)], []) if items:
                between = [node for item in items for node in (owner, item)][1:]
                return None if self._deeper.strings(owner) is None else self._sum(between)
            case ast.Name(name):
                return self._named(name)
        return None

    def place(self, node: ast.expr | ast.keyword) -> Place:
        """Return the place of an expression."""
        start = self.source.offset(node.lineno, node.col_offset)
        return Place(start, self.source.offset(node.end_lineno or node.lineno, node.end_col_offset or 0))

    @property
    def _deeper(self) -> Evaluator:
        return attrs.evolve(self, depth=self.depth + 1)

    def _named(self, name: str) -> Strings | None:
        owner, values = self.scope.owner_of(name), self.scope.values_of(name)
        if owner is None or values is None:
            return None
        return attrs.evolve(self, scope=owner)._either(values)

    def _either(self, nodes: Sequence[ast.expr]) -> Strings | None:
        found: list[Template] = []
        for node in nodes:
            if isinstance(node, ast.Constant) and node.value is None:
                continue
            known = self._deeper.strings(node)
            if known is None:
                return None
            found += known
        return tuple(found) if 0 < len(found) <= _MOST else None

    def _characters(self, node: ast.expr) -> list[Character] | None:
        place = self.place(node)
        return characters_of(self.source.text, place.start, place.stop)

    def _literal(self, node: ast.expr, value: str) -> Strings:
        characters = self._characters(node)
        if characters is not None and _read(characters) == value:
            return (Template(tuple(value), tuple(Place(c.start, c.stop, c.quoting) for c in characters)),)
        return (Template(tuple(value), (self.place(node),) * len(value)),)

    def _formatted(self, node: ast.JoinedStr) -> Strings | None:
        characters = self._characters(node)
        parsed = "".join(str(v.value) if isinstance(v, ast.Constant) else "\0" for v in node.values)
        if characters is None or _read(characters) != parsed:
            return None
        fields = iter([value for value in node.values if isinstance(value, ast.FormattedValue)])
        pieces: list[Strings] = []
        for character in characters:
            place = Place(character.start, character.stop, character.quoting)
            literal = None if character.value is None else Template((character.value,), (place,))
            pieces.append((literal,) if literal is not None else self._field(next(fields), place))
        return _concatenated(pieces)

    def _field(self, node: ast.FormattedValue, place: Place) -> Strings:
        if node.conversion in (-1, ord("s")) and node.format_spec is None:
            return tuple(template.at(place) for template in self._or_field(node.value))
        field = field_of(node.value, self.scope, self.module)
        field = attrs.evolve(field, is_safe=field.is_safe or _is_numeric(node), is_from_outside=False)
        return (Template((field,), (attrs.evolve(place, quoting=None),)),)

    def _or_field(self, node: ast.expr) -> Strings:
        known = self._deeper.strings(node)
        if known is not None:
            return known
        return (Template((field_of(node, self.scope, self.module),), (self.place(node),)),)

    def _sum(self, nodes: Sequence[ast.expr]) -> Strings | None:
        """Return a sum of strings; nothing says that a sum of unknown values is one."""
        is_string = any(self._deeper.strings(node) is not None for node in nodes)
        has_unpacked = any(isinstance(node, ast.Starred) for node in nodes)
        return _concatenated([self._or_field(node) for node in nodes]) if is_string and not has_unpacked else None

    def _percent(self, left: ast.expr, right: ast.expr) -> Strings | None:
        values = right.elts if isinstance(right, ast.Tuple) else [right]
        return self._filled(left, _PERCENT_FIELD, lambda number, _: values[number])

    def _format(self, owner: ast.expr, values: Sequence[ast.expr], keywords: Sequence[ast.keyword]) -> Strings | None:
        named = {keyword.arg: keyword.value for keyword in keywords}

        def value_of(number: int, name: str) -> ast.expr:
            return values[int(name or number)] if not name or name.isdecimal() else named[name]

        has_unpacked = None in named or any(isinstance(value, ast.Starred) for value in values)
        return None if has_unpacked else self._filled(owner, _FORMAT_FIELD, value_of)

    def _filled(
        self, node: ast.expr, fields: re.Pattern[str], value_of: Callable[[int, str], ast.expr]
    ) -> Strings | None:
        """Return a string whose fields are replaced by values."""
        patterns = self._deeper.strings(node)
        if patterns is None or len(patterns) != 1 or not patterns[0].is_known:
            return None
        (pattern,) = patterns
        if set(fields.sub("", pattern.text)) & set("{}" if fields is _FORMAT_FIELD else "%"):
            return None
        pieces: list[Strings] = []
        position = number = 0
        for found in fields.finditer(pattern.text):
            pieces.append((pattern.part(position, found.start()),))
            position = found.end()
            if found[1] is None:
                pieces.append((pattern.part(found.start(), found.start() + 1),))
                continue
            try:
                value = value_of(number, found[1] if fields is _FORMAT_FIELD else "")
            except (IndexError, KeyError):
                return None
            number += 1
            place = Place(pattern.places[found.start()].start, pattern.places[found.end() - 1].stop)
            pieces.append(tuple(template.at(place) for template in self._or_field(value)))
        return _concatenated([*pieces, (pattern.part(position, len(pattern.parts)),)])


def _terms(node: ast.expr) -> list[ast.expr]:
    """Return what a sum adds, from left to right: there may be too many to go into each."""
    terms: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        terms.append(node.right)
        node = node.left
    return [node, *reversed(terms)]


def _read(characters: Sequence[Character]) -> str:
    return "".join("\0" if c.value is None else c.value for c in characters)


def _is_numeric(node: ast.FormattedValue) -> bool:
    match node.format_spec:
        case ast.JoinedStr([ast.Constant(str() as written)]):
            return written[-1:] in ("d", "f", "e", "g", "x", "%", "b")
    return False


def _stripped(template: Template) -> Template:
    text = template.text
    start = len(text) - len(text.lstrip())
    return template.part(start, max(start, len(text.rstrip())))


def _concatenated(pieces: Sequence[Strings]) -> Strings | None:
    count = 1
    for piece in pieces:
        count *= len(piece)
    return tuple(map(_sum_of, product(*pieces))) if count <= _MOST else None


def _sum_of(templates: Sequence[Template]) -> Template:
    parts = tuple(part for template in templates for part in template.parts)
    return Template(parts, tuple(place for template in templates for place in template.places))
