"""Draw `grammar/railroad.svg` from the parser: its pyparsing elements, and the regular expressions inside them.

`python grammar/make_railroad.py` writes the file; a test compares it with the parser. The drawing leaves out whitespace
and look-arounds that only separate words and symbols.
"""

from __future__ import annotations

import re
import re._constants as sre  # type: ignore[import-not-found] # the module has no stub
import re._parser as sre_parser  # type: ignore[import-not-found]
from collections.abc import Iterable, Iterator
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import pyparsing as pp
import railroad

from mlquery.language import tokens
from mlquery.language.grammar import GRAMMAR

FILE = Path(__file__).with_name("railroad.svg")
NOTICE = "<!-- Generated from mlquery/language/grammar.py by `python grammar/make_railroad.py`; do not edit. -->"
CAPTION = (
    "Words are case-insensitive. Whitespace is allowed between any two tokens, except around the dots",
    "of a field, and required between two words. Green boxes are literal, blue boxes have a diagram of",
    "their own, italics are conditions. The empty string is a filter too, and so is AND alone. The",
    "normative grammar is mlquery.lark.",
)
STYLE = """
svg { background: white }
path { stroke-width: 2; stroke: #333; fill: none }
text { font: bold 14px monospace; text-anchor: middle; fill: #000 }
text.comment { font: italic 12px monospace; fill: #555 }
text.title { font: bold 18px sans-serif; text-anchor: start }
text.caption { font: 14px sans-serif; text-anchor: start }
rect { stroke-width: 2; stroke: #333; fill: #e8f0fe }
g.terminal rect { fill: #e6f4ea }
"""

# Elements of the parser with a diagram of their own; all others are drawn in place.
SECTIONS = (
    "filter",
    "disjunction",
    "conjunction",
    "factor",
    "comparison",
    "plain comparison",
    "plain operator",
    "operand",
    "call",
    "aggregates",
    "aggregate",
    "literal",
    "list",
    "name",
    "string",
    "number",
)
# Parts of the regular expressions that are drawn as a box (they have a diagram of their own), ...
BOXES = {
    tokens.ITEM: "item",
    tokens.NAME: "name",
    tokens.ORDER_NAME: "name in order_by",
    tokens.ORDER_KEY: "key in order_by",
    tokens.SEGMENT: "word",
    tokens.NUMBER: "number",
    tokens.STRING: "string",
    tokens.FUNCTION: "function",
    tokens.BACKTICKED: "backticked",
    tokens.SINGLE_QUOTED: "single-quoted",
    tokens.DOUBLE_QUOTED: "double-quoted",
}
# ... as a set of characters, ...
SETS = {
    r"[^\W\d]": "letter or _",
    r"[_a-zà-ü]": "_ a…z à…ü",
    "(?-i:[A-Za-z_][A-Za-z0-9_]*)": "A…Z a…z _, then 0…9 too",
    r"\w": "letter, digit or _",
    r"\d": "digit",
    "[^`]++": "any characters but `",
    r"[^'\\]++": "any characters but ' \\",
    r'[^"\\]++': 'any characters but " \\',
    "[^`'\"\\\\]": "any character but ` ' \" \\",
    r"[^'\\\n\r\0]": r"any character but ' \ line break NUL",
    r"[^\"\\\n\r\0]": r'any character but " \ line break NUL',
}
# ... as a condition, ...
CONDITIONS = {
    f"(?!{tokens.RESERVED})": "not AND OR NOT IN IS LIKE ILIKE RLIKE BETWEEN NULL",
    tokens.PREFIX.removesuffix(tokens.SEGMENT): "not PARAMETER before a digit",
    tokens.NEVER_BARE: "not CASE IN VALUES USING FROM AS",
    tokens.ORDER_WHITESPACE: "key without whitespace at its end",
    r"(?!0x[\da-f])": "not 0x1…",
    r"(?!e-?\d)": "not e5…",
}
# ... or not at all.
LEFT_OUT = (r"\s*", r"\s+", tokens.GAP, r"(?<!\w)", r"(?!\w)", r"(?![\w.])", r"(?![<>=~!])")
_FIRST_PLACEHOLDER = 0xE000


def drawings() -> Iterator[tuple[str, Any]]:
    """Return the title and the diagram of every section."""
    elements = {element.name: element for start in GRAMMAR for element in _elements(start) if element.name in SECTIONS}
    for name in SECTIONS:
        yield name, _inside(elements[name])
        if name == "filter":
            by_name, by_call = _drawn_regex(tokens.ORDER_BY), _inside(GRAMMAR.order_by)
            yield "entry of order_by", railroad.Choice(0, by_name, by_call)
    for expression, name in BOXES.items():
        if name not in SECTIONS:
            yield name, _drawn_regex(expression, except_for=expression)


def _elements(element: pp.ParserElement, seen: set[int] | None = None) -> Iterator[pp.ParserElement]:
    seen = set() if seen is None else seen
    if id(element) not in seen:
        seen.add(id(element))
        yield element
        for inner in element.recurse():
            yield from _elements(inner, seen)


def _drawn(element: pp.ParserElement) -> Any:
    """Return the diagram of an element inside another one; None if it is not drawn."""
    return railroad.NonTerminal(element.name) if element.name in SECTIONS else _inside(element)


def _inside(element: pp.ParserElement) -> Any:
    if isinstance(element, pp.Regex):
        return _drawn_regex(str(element.pattern), except_for=str(element.pattern))
    if isinstance(element, pp.StringEnd):
        return None
    inner = [drawing for drawing in map(_drawn, element.recurse()) if drawing is not None]
    if isinstance(element, pp.MatchFirst):
        return railroad.Choice(0, *inner)
    if not inner:
        return None
    if isinstance(element, pp.ZeroOrMore):
        return railroad.ZeroOrMore(_sequence(inner))
    if isinstance(element, pp.Opt):
        return railroad.Optional(_sequence(inner))
    return _sequence(inner)


def _sequence(parts: Iterable[Any]) -> Any:
    """Return a sequence of the parts, or None if there are none."""
    visible = [part for part in parts if part is not None]
    return visible[0] if len(visible) == 1 else railroad.Sequence(*visible) if visible else None


def _drawn_regex(expression: str, except_for: str = "") -> Any:
    """Return the diagram of a regular expression; `except_for` is the part that must not become a box."""
    shown: dict[int, Any] = {}
    named = [(part, railroad.NonTerminal(name)) for part, name in BOXES.items() if part != except_for]
    named += [(part, railroad.Terminal(name)) for part, name in SETS.items()]
    named += [(part, railroad.Comment(condition)) for part, condition in CONDITIONS.items()]
    named += [(part, None) for part in LEFT_OUT]
    for code, (part, drawing) in enumerate(sorted(named, key=lambda pair: -len(pair[0])), _FIRST_PLACEHOLDER):
        expression = expression.replace(part, chr(code))
        shown[code] = drawing
    return _drawn_pattern(sre_parser.parse(expression), shown)


def _drawn_pattern(pattern: Iterable[tuple[Any, Any]], shown: dict[int, Any]) -> Any:
    parts: list[Any] = []
    word = ""
    for op, value in pattern:
        if op is sre.LITERAL and value not in shown:
            word += chr(value).upper()
            continue
        parts += [railroad.Terminal(word)] if word else []
        parts.append(_drawn_node(op, value, shown))
        word = ""
    return _sequence([*parts, railroad.Terminal(word) if word else None])


def _drawn_node(op: Any, value: Any, shown: dict[int, Any]) -> Any:
    if op is sre.LITERAL:
        return shown[value]
    if op is sre.SUBPATTERN:
        return _drawn_pattern(value[-1], shown)
    if op is sre.BRANCH:
        return railroad.Choice(0, *(_drawn_pattern(branch, shown) for branch in value[1]))
    if op is sre.IN:
        return railroad.Choice(0, *(shown.get(code) or railroad.Terminal(chr(code)) for _, code in value))
    if op is sre.MAX_REPEAT:
        least, most, repeated = value
        inner = _drawn_pattern(repeated, shown)
        if inner is None:
            return None
        loop = {(0, 1): railroad.Optional, (0, sre.MAXREPEAT): railroad.ZeroOrMore}.get((least, most))
        return loop(inner) if loop else railroad.OneOrMore(inner)
    raise NotImplementedError(f"no diagram for {op}")


def svg() -> str:
    """Return the whole picture."""
    pieces, top, width = [], 24, 700
    for line in CAPTION:
        pieces.append(f'<text class="caption" x="20" y="{top}">{escape(line)}</text>')
        top += 20
    for title, drawing in drawings():
        diagram = railroad.Diagram(drawing, type="complex", css=None)
        pieces.append(f'<text class="title" x="20" y="{top + 24}">{escape(title)}</text>')
        pieces.append(f'<g transform="translate(20 {top + 34})">{_body(diagram)}</g>')
        top += 44 + round(float(diagram.attrs["height"]))
        width = max(width, 40 + round(float(diagram.attrs["width"])))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" viewBox="0 0 {width} {top}">'
    return "\n".join([NOTICE, head, f"<style>{STYLE}</style>", *pieces, "</svg>", ""])


def _body(diagram: Any) -> str:
    """Return the content of the <svg> element of one diagram."""
    out = StringIO()
    diagram.writeSvg(out.write)
    return re.sub(r"\s*\n\s*", "", re.sub(r"^<svg[^>]*>|</svg>\s*$", "", out.getvalue().strip()))


if __name__ == "__main__":
    FILE.write_text(svg(), encoding="utf-8")
