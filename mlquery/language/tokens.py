"""The words of the language as regular expressions, all read without regard to case. Knows nothing but text.

They follow what MLflow's tokenizer (sqlparse) reads, as far as it is deliberate; `grammar/mlquery.lark` holds the same
expressions. Operators carry the blanks around them, everything else carries none.
"""

from __future__ import annotations

import re

# MLflow's tokenizer takes these words for keywords wherever they stand, even behind a dot.
NEVER_BARE = r"(?!(?:CASE|IN|VALUES|USING|FROM|AS)\b)"
SEGMENT = rf"(?:{NEVER_BARE}[^\W\d]\w*|(?!0x[\da-f])\d(?!e-?\d)[_a-zà-ü]\w*)"
DOTTED = rf"{SEGMENT}(?:\.{SEGMENT})*"
BACKTICKED = r"`(?:``|[^`])*`"
SINGLE_QUOTED = r"'(?:''|\\'|[^'])*'"
DOUBLE_QUOTED = r'"(?:""|\\"|[^"])*"'
STRING = f"{SINGLE_QUOTED}|{DOUBLE_QUOTED}"
RESERVED = r"(?:AND|OR|NOT|IN|IS|LIKE|ILIKE|RLIKE|BETWEEN|NULL)(?![\w.])"
# Before a dot and a digit MLflow's tokenizer takes this prefix for a keyword.
PREFIX = rf"(?!PARAMETERS?\.\d){SEGMENT}"


def _name(quoted: str, bare_quoted: str) -> str:
    return (
        rf"(?P<name>(?P<prefix>{PREFIX})\.(?:(?P<quoted>{quoted})|(?P<key>{DOTTED}))"
        rf"|(?!{RESERVED})(?P<bare>{SEGMENT})|(?P<bare_quoted>{bare_quoted}))"
    )


NAME = _name(f"{BACKTICKED}|{STRING}", f"{BACKTICKED}|{DOUBLE_QUOTED}")
NUMBER = r"-?\d+(?:\.\d+)?e-?\d+(?!\w)|-?(?:\d+\.\d*|\.\d+)(?!\w)|-?\d+(?!\w)"

SYMBOL = r"\s*(?P<op>!=|>=|<=|==|<>|=|>|<)(?![<>=~!])\s*"
LIKE = r"\s*(?<!\w)(?P<op>(?:NOT\s+)?(?:LIKE|ILIKE|RLIKE))(?!\w)\s*"
IN = r"\s*(?<!\w)(?P<op>(?:NOT\s+)?IN)(?!\w)\s*"
# MLflow knows IS NOT NULL with one blank between NOT and NULL.
NULL = r"\s*(?<!\w)(?P<op>IS\s+(?:NOT )?NULL)(?!\w)"
BETWEEN = r"\s*(?<!\w)(?P<op>BETWEEN)(?!\w)\s*"
BETWEEN_AND = r"\s*(?<!\w)AND(?!\w)\s*"
AND = r"(?:\s*(?<!\w)AND(?![\w.]))+\s*"  # before a dot it is a prefix
OR = r"\s*(?<!\w)(?P<op>OR)(?!\w)\s*"
NOT = r"NOT(?!\w)\s*"

GAP = r"[ \t\n\r\f]*"
ITEM = rf"'[^'\\\n\r\0]*'|\"[^\"\\\n\r\0]*\"|{NUMBER}"
ITEMS = rf"\({GAP}(?:{ITEM})(?:{GAP},{GAP}(?:{ITEM}))*{GAP}(?:,{GAP})?\)"

# MLflow takes an entry of order_by apart once more, as a shell would; these keys come out of that unchanged, save for
# blanks at the end, which are lost when a direction follows.
ORDER_KEY = r"""[^`'"\\]*"""
ORDER_NAME = _name(f"`{ORDER_KEY}`|'{ORDER_KEY}'|\"{ORDER_KEY}\"", f'`{ORDER_KEY}`|"{ORDER_KEY}"')
ORDER_WHITESPACE = r"""(?<!\s[`'"])\s+"""
ORDER_BY = rf"{ORDER_NAME}(?:{ORDER_WHITESPACE}(?P<direction>ASC|DESC))?"

_TWO_WORDS = r"NOT\s+(?:NULL|LIKE|ILIKE|RLIKE)\b"
PIECE = re.compile(rf"{BACKTICKED}|{STRING}|{NUMBER}|\r\n|\s|{_TWO_WORDS}|\w+|[<>=~!]+|.", re.DOTALL | re.IGNORECASE)
"""Any piece of text at all, as large as a tokenizer would take it; for counting and for pointing at mistakes."""
