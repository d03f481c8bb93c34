"""The tokens of the language as case-insensitive regular expressions.

They follow MLflow's tokenizer (sqlparse), as far as its behaviour is deliberate; `grammar/mlquery.lark` has the same
expressions. Operators include the whitespace around them, other tokens do not.
"""

from __future__ import annotations

import re

# MLflow's tokenizer reads these words as keywords everywhere, even after a dot.
NEVER_BARE = r"(?!(?:CASE|IN|VALUES|USING|FROM|AS)\b)"
SEGMENT = rf"(?:{NEVER_BARE}[^\W\d]\w*|(?!0x[\da-f])\d(?!e-?\d)[_a-zà-ü]\w*)"
DOTTED = rf"{SEGMENT}(?:\.{SEGMENT})*"
# Runs of plain characters are read at once: character by character, a string of a megabyte takes long and much memory.
BACKTICKED = r"`(?:[^`]++|``)*`"
SINGLE_QUOTED = r"'(?:[^'\\]++|''|\\'|\\)*'"
DOUBLE_QUOTED = r'"(?:[^"\\]++|""|\\"|\\)*"'
STRING = f"{SINGLE_QUOTED}|{DOUBLE_QUOTED}"
RESERVED = r"(?:AND|OR|NOT|IN|IS|LIKE|ILIKE|RLIKE|BETWEEN|NULL)(?![\w.])"
# Before a dot and a digit, MLflow's tokenizer reads this prefix as a keyword.
PREFIX = rf"(?!PARAMETERS?\.\d){SEGMENT}"


def _name(quoted: str, bare_quoted: str) -> str:
    return (
        rf"(?P<name>(?P<prefix>{PREFIX})\.(?:(?P<quoted>{quoted})|(?P<key>{DOTTED}))"
        rf"|(?!{RESERVED})(?P<bare>{SEGMENT})|(?P<bare_quoted>{bare_quoted}))"
    )


NAME = _name(f"{BACKTICKED}|{STRING}", f"{BACKTICKED}|{DOUBLE_QUOTED}")
FUNCTION = rf"(?!{RESERVED})(?-i:[A-Za-z_][A-Za-z0-9_]*)"
NUMBER = r"-?\d+(?:\.\d+)?e-?\d+(?!\w)|-?(?:\d+\.\d*|\.\d+)(?!\w)|-?\d+(?!\w)"

SYMBOL = r"\s*(?P<op>!=|>=|<=|==|<>|=|>|<)(?![<>=~!])\s*"
LIKE = r"\s*(?<!\w)(?P<op>(?:NOT\s+)?(?:LIKE|ILIKE|RLIKE))(?!\w)\s*"
IN = r"\s*(?<!\w)(?P<op>(?:NOT\s+)?IN)(?!\w)\s*"
# MLflow accepts IS NOT NULL only with a single space between NOT and NULL.
NULL = r"\s*(?<!\w)(?P<op>IS\s+(?:NOT )?NULL)(?!\w)"
BETWEEN = r"\s*(?<!\w)(?P<op>BETWEEN)(?!\w)\s*"
BETWEEN_AND = r"\s*(?<!\w)AND(?!\w)\s*"
AND = r"(?:\s*(?<!\w)AND(?![\w.]))+\s*"  # before a dot, it is a prefix
OR = r"\s*(?<!\w)(?P<op>OR)(?!\w)\s*"
NOT = r"NOT(?!\w)\s*"
OPEN = rf"(?P<function>{FUNCTION})\s*\(\s*"
COMMA = r"\s*,\s*"
CLOSE = r"\s*\)"

GAP = r"[ \t\n\r\f]*"
ITEM = rf"'[^'\\\n\r\0]*'|\"[^\"\\\n\r\0]*\"|{NUMBER}"
ITEMS = rf"\({GAP}(?:{ITEM})(?:{GAP},{GAP}(?:{ITEM}))*{GAP}(?:,{GAP})?\)"

# MLflow splits an entry of order_by again, as a shell does. That does not change these keys, except for
# whitespace at the end, which is lost before a direction.
ORDER_KEY = r"""[^`'"\\]*"""
ORDER_NAME = _name(f"`{ORDER_KEY}`|'{ORDER_KEY}'|\"{ORDER_KEY}\"", f'`{ORDER_KEY}`|"{ORDER_KEY}"')
ORDER_WHITESPACE = r"""(?<!\s[`'"])\s+"""
ORDER_BY = rf"{ORDER_NAME}(?:{ORDER_WHITESPACE}(?P<direction>ASC|DESC))?"

ORDER_DIRECTION = r"\s+(?P<direction>ASC|DESC)"

_TWO_WORDS = r"NOT\s+(?:NULL|LIKE|ILIKE|RLIKE)\b"
PIECE = re.compile(rf"{BACKTICKED}|{STRING}|{NUMBER}|\r\n|\s|{_TWO_WORDS}|\w+|[<>=~!]+|.", re.DOTALL | re.IGNORECASE)
"""Any token of any string, as long as a tokenizer would make it; for counting and for pointing at mistakes."""
