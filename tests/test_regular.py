"""RLIKE finds what `re.search` finds, in a time that no pattern can stretch."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlquery.language import linear_regex
from mlquery.language.linear_regex import PatternError, search_test

LETTERS = st.sampled_from(["a", "b", "A", ".", "^", "$", r"\b", r"\w", "[ab]", "[^a]", r"\.", "é", r"\x61", r"\n", "{"])
REPEATS = st.sampled_from(["*", "+", "?", "{2}", "{,2}", "{1,}", "{0,3}", "*?", "+?", "{1,2}?"])


def _grown(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    groups = st.tuples(st.sampled_from(["({})", "(?:{})", "(?P<n>{})"]), parts).map(lambda p: p[0].replace("{}", p[1]))
    return st.one_of(
        st.tuples(parts, parts).map("".join),
        st.tuples(parts, parts).map("|".join),
        st.tuples(groups, REPEATS).map("".join),
        groups,
    )


ATOMS = st.one_of(LETTERS, st.tuples(LETTERS.filter(lambda x: x not in ("^", "$", r"\b")), REPEATS).map("".join))
PATTERNS = st.tuples(
    st.sampled_from(["", "(?i)", "(?s)", "(?m)", "(?im)"]), st.recursive(ATOMS, _grown, max_leaves=6)
).map("".join)
TEXTS = st.text(st.sampled_from("abAÉé.\n {"), max_size=8)


def compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None


@given(PATTERNS.filter(compiled), TEXTS)
def test_a_simulated_pattern_finds_what_re_finds(pattern: str, text: str) -> None:
    program = linear_regex._Reader(pattern, re.compile(pattern).flags).program()

    assert (re.search(pattern, text) is not None) == linear_regex._is_found(program, text)
    assert (re.search(pattern, text) is not None) == search_test(pattern)(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 6000 + "!"),
        ("a*a*a*b", "a" * 6000),
        ("a?" * 30 + "a" * 30 + "b", "a" * 60),
        ("(a|aa){30}b", "a" * 6000),
        ("(a|aa)(a|aa)" * 20 + "b", "a" * 6000),
        ("(.*)*x", "a\n" * 3000),
        (".*.*.*x", "a" * 6000),
        ("(a*)*b", "a" * 6000),
    ],
)
def test_patterns_that_take_others_exponential_time_are_fast(pattern: str, text: str) -> None:
    start = time.process_time()

    assert not search_test(pattern)(text)

    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(", r"not a regular expression: missing \)"),
        ("(" * 3000 + ")" * 3000, "nested too deeply"),
        ("(" * 30 + ")" * 30, "nested at most 20 levels deep"),
        (r"(a)\1", r"cannot use \\1"),
        ("(?=a)b", r"cannot use \(\?="),
        ("(?<!a)b", r"cannot use \(\?<"),
        ("(?>a*)b", r"cannot use \(\?>"),
        ("(?i:a)b", r"cannot use \(\?i"),
        ("(?P<n>a)(?P=n)", r"cannot use \(\?P"),
        ("a*+b", r"cannot use \*\+"),
        ("(?x) a", r"cannot use \(\?x\)"),
        ("a" * 1001, "at most 1,000 characters"),
        ("a|" * 3000, "at most 1,000 characters"),
        ("a" * 100_000, "at most 1,000 characters"),
        ("a{2000}", "at most 1,000 characters"),
        ("((a{30}){30}){30}", "at most 1,000 characters"),
        ("[[a]", "Possible nested set"),  # a warning of `re`, and warnings are errors here
    ],
)
def test_what_cannot_be_followed_is_refused_in_words(pattern: str, says: str) -> None:
    with pytest.raises(PatternError, match=says):
        search_test(pattern)
