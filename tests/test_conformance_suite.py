"""The suite itself: cases are well formed, cite what they rest on, differ from each other, and can fail."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from mlquery.conformance import Outcome, load_suite, outcome
from mlquery.conformance.execution import MismatchError, Result, disagreements, ids_of, outcome_disagreements
from mlquery.conformance.inprocess import Sessions, result_of
from mlquery.conformance.suite import Case, Expectation, Problem, Tied
from mlquery.engine import reference
from mlquery.language.matrix import MATRIX
from mlquery.language.plan import Op
from mlquery.language.semantics import number_test, string_test
from mlquery.resources import data_path
from tests.support.suite import SUITE
from tests.support.suite_uses import asks_alike

CASES = {case.id: case for case in SUITE.cases}


def test_the_suite_is_large_enough_to_mean_something() -> None:
    assert 1500 <= len(SUITE.cases)


def test_every_id_is_given_once_and_begins_with_its_topic() -> None:
    assert [] == [case_id for case_id, count in Counter(c.id for c in SUITE.cases).items() if count > 1]
    assert [] == [c.id for c in SUITE.cases if not re.fullmatch(rf"{re.escape(c.topic)}\.[\w-]+", c.id)]


def test_every_case_has_a_title_of_its_own_within_its_topic() -> None:
    titles = Counter((case.topic, case.title) for case in SUITE.cases)

    assert [] == [title for title, count in titles.items() if count > 1 and not title[1].startswith("…")]
    assert all(case.title for case in SUITE.cases)


def test_every_case_cites_a_source_that_the_matrix_knows() -> None:
    assert set() == {case.source for case in SUITE.cases} - set(MATRIX.sources)


def test_a_case_that_follows_the_page_names_the_place() -> None:
    assert [] == [c.id for c in SUITE.cases if c.topic.startswith("page-") and not c.cites]


def test_every_feature_that_a_case_lists_is_a_line_of_the_matrix() -> None:
    known = {feature.id for feature in MATRIX.features}

    assert set() == {feature for case in SUITE.cases for feature in case.features} - known
    assert set() == known - {feature for case in SUITE.cases for feature in case.features}


def test_every_case_names_every_dialect() -> None:
    assert tuple(MATRIX.dialects) == SUITE.dialects
    assert {SUITE.dialects} == {tuple(case.expect) for case in SUITE.cases}


def test_every_row_that_is_expected_is_in_the_store() -> None:
    strangers = [
        (case.id, dialect, name)
        for case, dialect, expected in expectations()
        for name in names_in(expected)
        if name not in names_of(case)
    ]

    assert [] == strangers


def test_every_warning_and_every_refusal_names_a_line_of_the_matrix_or_none() -> None:
    known = {feature.id for feature in MATRIX.features}
    named = {name for _, _, expected in expectations() for name in expected.warns}
    named |= {p.feature for _, _, expected in expectations() for p in expected.problems if p.feature}

    assert set() == named - known


def test_every_span_lies_inside_its_argument() -> None:
    outside = [
        (case.id, dialect, problem)
        for case, dialect, expected in expectations()
        for problem in expected.problems
        if problem.span is not None and not is_inside(problem, case)
    ]

    assert [] == outside


def is_inside(problem: Problem, case: Case) -> bool:
    assert problem.span is not None
    start, stop = problem.span
    match = re.fullmatch(r"order_by\[(\d+)\]", problem.argument or "")
    text = case.order_by[int(match[1])] if match else getattr(case, (problem.argument or "").removesuffix("_string"))
    return 0 <= start <= stop <= len(text)


def test_a_span_never_depends_on_the_length_of_an_id() -> None:
    depending = [
        case.id
        for case, _, expected in expectations()
        if "${" in case.filter
        and any(p.span for p in expected.problems if p.argument == "filter_string")
        and any(p.span[1] > case.filter.index("${") for p in expected.problems if p.span)
    ]

    assert [] == depending


def test_every_store_is_used() -> None:
    assert set(SUITE.stores) == {case.store for case in SUITE.cases}


def test_no_two_cases_of_a_topic_ask_the_same() -> None:
    asked = Counter((case.topic, asks_alike(case)) for case in SUITE.cases)

    assert [] == [question for question, count in asked.items() if count > 1]


def test_files_are_short_enough_to_read() -> None:
    files = [path for folder in ("cases", "stores") for path in data_path("conformance", folder).glob("*.toml")]

    long = [path.name for path in files if len(path.read_text("utf-8").splitlines()) > 410]

    assert [] == long


def expectations() -> Iterator[tuple[Case, str, Expectation]]:
    for case in SUITE.cases:
        for dialect, expected in case.expect.items():
            yield case, dialect, expected


def names_in(expected: Expectation) -> Iterator[str]:
    rows = [*(expected.rows or ()), *(row for page in expected.pages or () for row in page)]
    for row in rows:
        yield from row.names if isinstance(row, Tied) else [row]


def names_of(case: Case) -> set[str]:
    session = SESSIONS.session(attrs.evolve(case, calls=()), MATRIX.dialect("oss"), "columnar")
    named = ids_of(case.entity, session.ids)
    made = [call["as"].partition(".")[2] for call in case.calls if call.get("as", "").startswith(case.entity)]
    return {*named, *made}


# A case can fail only if some wrong implementation would fail it. These three are as wrong as can be.

ABSURD = {
    "finds everything": lambda case: Result((tuple(sorted(names_of(case))),)),
    "finds nothing": lambda case: Result(((),)),
    "refuses everything": lambda case: Result(problems=(Problem("INVALID_PARAMETER_VALUE"),)),
}


@pytest.mark.parametrize("way", ABSURD)
def test_an_implementation_that_always_answers_alike_fails_most_cases(way: str) -> None:
    failed = [case for case, dialect, expected in expectations() if dialect == "oss" and is_wrong(case, expected, way)]

    assert len(SUITE.cases) / 2 < len(failed)


@pytest.mark.slow
def test_every_case_is_failed_by_one_of_the_absurd_implementations_in_every_dialect() -> None:
    passed_by_all = [
        (case.id, dialect)
        for case, dialect, expected in expectations()
        if not any(is_wrong(case, expected, way) for way in ABSURD)
    ]

    assert [] == passed_by_all


def is_wrong(case: Case, expected: Expectation, way: str) -> bool:
    session = SESSIONS.session(case, MATRIX.dialect("oss"), "columnar")
    session.ids |= {
        f"{case.entity}.{name}": name for name in names_of(case) - {i.partition(".")[2] for i in session.ids}
    }
    return bool(outcome_disagreements(case, expected, ABSURD[way](case), session.ids))


SESSIONS = Sessions(SUITE.stores)


def test_a_case_that_expects_nothing_asks_a_store_that_holds_something() -> None:
    empty = [case.id for case, _, expected in expectations() if () == expected.rows and not names_of(case)]

    assert [] == empty


# Faults put into the specification: each of them is one reading of the rules that other implementations had.


def like_that_folds_case(op: Op, value: Any) -> Callable[[str], bool]:
    return STRING_TEST(Op.ILIKE if op is Op.LIKE else op, value)


def ilike_that_folds_all_letters(op: Op, value: Any) -> Callable[[str], bool]:
    if op is not Op.ILIKE:
        return STRING_TEST(op, value)
    test = STRING_TEST(Op.LIKE, value.lower())
    return lambda text: test(text.lower())


def like_that_stops_at_line_breaks(op: Op, value: Any) -> Callable[[str], bool]:
    if op not in (Op.LIKE, Op.ILIKE):
        return STRING_TEST(op, value)
    pattern = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in value)
    compiled = re.compile(pattern, re.IGNORECASE | re.ASCII if op is Op.ILIKE else 0)
    return lambda text: compiled.fullmatch(text) is not None


def like_that_allows_a_line_break_at_the_end(op: Op, value: Any) -> Callable[[str], bool]:
    test = STRING_TEST(op, value)
    return lambda text: test(text.removesuffix("\n")) or test(text) if op is Op.LIKE else test(text)


def like_that_knows_escapes(op: Op, value: Any) -> Callable[[str], bool]:
    is_pattern = op is Op.LIKE and "\\" in value
    return STRING_TEST(Op.EQ, value.replace("\\", "")) if is_pattern else STRING_TEST(op, value)


def texts_compared_without_blanks(op: Op, value: Any) -> Callable[[str], bool]:
    test = STRING_TEST(op, value)
    return lambda text: test(text.strip())


def lists_without_capitals(op: Op, value: Any) -> Callable[[str], bool]:
    return STRING_TEST(op, tuple(v for v in value if v == v.lower()) if op is Op.IN else value)


def nan_as_zero(op: Op, value: Any, nan: float | None = None) -> Callable[[float], bool]:
    test = NUMBER_TEST(op, value)
    return lambda number: test(0.0 if math.isnan(number) else number)


def nan_without_difference(op: Op, value: Any, nan: float | None = None) -> Callable[[float], bool]:
    test = NUMBER_TEST(op, value)
    return lambda number: not math.isnan(number) and test(number)


def equality_with_tolerance(op: Op, value: Any, nan: float | None = None) -> Callable[[float], bool]:
    return (lambda number: math.isclose(number, value)) if op is Op.EQ else NUMBER_TEST(op, value)


STRING_TEST, NUMBER_TEST = string_test, number_test
FAULTS: list[tuple[str, Callable[..., Any]]] = [
    ("string_test", like_that_folds_case),
    ("string_test", ilike_that_folds_all_letters),
    ("string_test", like_that_stops_at_line_breaks),
    ("string_test", like_that_allows_a_line_break_at_the_end),
    ("string_test", like_that_knows_escapes),
    ("string_test", texts_compared_without_blanks),
    ("string_test", lists_without_capitals),
    ("number_test", nan_as_zero),
    ("number_test", nan_without_difference),
    ("number_test", equality_with_tolerance),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fault"), FAULTS, ids=[fault.__name__ for _, fault in FAULTS])
def test_a_fault_in_the_rules_makes_a_case_fail(
    name: str, fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, name, fault)

    assert first_failure() is not None


def sorted_with_missing_rows_first(found: list[int], values: list[list[Any]], key: Any) -> list[int]:
    order = SORTED(found, values, key)
    missing = {row for row, value in zip(found, values, strict=True) if not value}
    return [row for row in order if row in missing] + [row for row in order if row not in missing]


def sorted_with_nan_last(found: list[int], values: list[list[Any]], key: Any) -> list[int]:
    order = SORTED(found, values, key)
    nan = {row for row, value in zip(found, values, strict=True) if value and value[0] != value[0]}
    return [row for row in order if row not in nan] + [row for row in order if row in nan]


def sorted_without_case(found: list[int], values: list[list[Any]], key: Any) -> list[int]:
    return SORTED(found, [[v.lower() if isinstance(v, str) else v for v in value] for value in values], key)


def sorted_with_ties_turned_round(found: list[int], values: list[list[Any]], key: Any) -> list[int]:
    pairs = list(zip(found, values, strict=True))[:: -1 if key.descending else 1]
    return SORTED([row for row, _ in pairs], [value for _, value in pairs], key)


SORTED = reference._sorted


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [sorted_with_missing_rows_first, sorted_with_nan_last, sorted_without_case, sorted_with_ties_turned_round],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_in_the_order_makes_a_case_fail(fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "_sorted", fault)

    assert first_failure() is not None


def first_failure() -> Outcome | None:
    outcomes = (outcome(case, MATRIX.dialect("oss"), "reference", SESSIONS) for case in SUITE.cases)
    return next((found for found in outcomes if not found.passed), None)


# The comparison notices every detail.

CASE = CASES["page-runs.or"]
SPANS = Expectation(problems=(Problem("A", "syntax", None, "filter_string", (1, 2)),), warns=("x",))


@pytest.mark.parametrize(
    ("expected", "given", "told"),
    [
        (Expectation(rows=("a", "b")), Result((("a", "b"),)), []),
        (Expectation(rows=("a", "b")), Result((("b", "a"),)), ["expected rows a, b, not b, a"]),
        (Expectation(rows=("a",)), Result((("a", "b"),)), ["expected rows a, not a, b"]),
        (Expectation(rows=()), Result(problems=(Problem("A"),)), ["expected error nothing, not A "]),
        (Expectation(problems=(Problem("A"),)), Result((("a",),)), ["expected error A, not nothing [('a',)]"]),
        (Expectation(problems=(Problem("A"),)), Result(problems=(Problem("B"),)), ["expected error A, not B "]),
        (Expectation(pages=(("a",), ("b",))), Result((("a",), ("b",))), []),
        (Expectation(pages=(("a",), ("b",))), Result((("a", "b"),)), ["expected pages ('a',), ('b',), not ('a', 'b')"]),
        (Expectation(rows=("a",), warns=("x",)), Result((("a",),)), ["expected warnings of x, not nothing"]),
        (Expectation(rows=("a",)), Result((("a",),), warns=("x",)), ["expected warnings of nothing, not x"]),
        (SPANS, Result(problems=SPANS.problems, warns=("x",)), []),
    ],
)
def test_an_answer_is_compared_with_all_that_is_expected(expected: Expectation, given: Result, told: list[str]) -> None:
    session = SESSIONS.session(CASE, MATRIX.dialect("oss"), "columnar")

    assert told == disagreements(CASE, expected, given, session.ids)


@pytest.mark.parametrize(
    "other",
    [
        Problem("A", "wrong-type", None, "filter_string", (1, 2)),
        Problem("A", "syntax", "join.or", "filter_string", (1, 2)),
        Problem("A", "syntax", None, "order_by[0]", (1, 2)),
        Problem("A", "syntax", None, "filter_string", (1, 3)),
    ],
)
def test_every_detail_of_a_refusal_counts(other: Problem) -> None:
    session = SESSIONS.session(CASE, MATRIX.dialect("oss"), "columnar")

    assert 1 == len(disagreements(CASE, SPANS, Result(problems=(other,), warns=("x",)), session.ids))


def test_tied_rows_come_in_the_order_of_their_ids() -> None:
    session = SESSIONS.session(CASE, MATRIX.dialect("oss"), "columnar")
    names = sorted(["first", "failed", "last"], key=lambda name: session.ids[f"run.{name}"])

    assert [] == disagreements(
        CASE, Expectation(rows=(Tied(("first", "failed", "last")),)), Result((tuple(names),)), session.ids
    )
    assert [] != disagreements(
        CASE, Expectation(rows=(Tied(("first", "failed", "last"), True),)), Result((tuple(names),)), session.ids
    )


def test_pages_but_the_last_have_to_be_full() -> None:
    case = CASES["ties.walk"]
    session = SESSIONS.session(case, MATRIX.dialect("oss"), "columnar")
    expected = Expectation(rows=("a", "b", "c"))

    assert [] == disagreements(case, expected, Result((("a", "b"), ("c",))), session.ids)
    assert ["pages of 1, 2 rows, not of 2"] == disagreements(case, expected, Result((("a",), ("b", "c"))), session.ids)


# The loader minds its format.


def suite_of(folder: Path, case: str, store: str = 'about = "x"\n[[experiment]]\nid = "main"\n') -> Path:
    for name in ("cases", "stores"):
        (folder / name).mkdir()
    (folder / "suite.toml").write_text('dialects = ["one", "two"]')
    (folder / "stores" / "empty.toml").write_text(store)
    (folder / "cases" / "topic.toml").write_text(f'title = "Topic"\n[defaults]\nstore = "empty"\n[[case]]\n{case}\n')
    return folder


GOOD = 'id = "topic.a"\ntitle = "A"\nsource = "mlflow"\n'


def test_an_expectation_may_be_that_of_another_dialect_or_that_of_all(tmp_path: Path) -> None:
    text = 'expect.one = { rows = ["a", ["b", "c"]], warns = ["x"] }\nexpect.two = "as one reversed"'

    case = load_suite(suite_of(tmp_path, GOOD + text)).cases[0]

    assert Expectation(("a", Tied(("b", "c"))), warns=("x",)) == case.expect["one"]
    assert Expectation((Tied(("b", "c")), "a"), warns=("x",)) == case.expect["two"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("expect.one.rows = []", "topic: topic.a: no expectation for two"),
        ('expect.one = "as two"\nexpect.two = "as one"', "topic: topic.a: no expectation for one"),
        ("expect.all.rows = []\nfiler = 'x'", "topic: topic.a: unknown filer"),
        ("expect.all.row = []", "topic: topic.a, one: unknown row"),
        ("expect.all = { rows = [], error = { error_code = 'A' } }", "one needs exactly one of rows, pages"),
        ("expect.three.rows = []\nexpect.all.rows = []", "topic: topic.a: unknown three"),
        ("expect.all.error = { error_code = 'A', text = 'x' }", "an error: unknown text"),
    ],
)
def test_a_case_that_does_not_follow_the_format_is_refused(text: str, message: str, tmp_path: Path) -> None:
    folder = suite_of(tmp_path, GOOD + text)

    with pytest.raises(ValueError, match=re.escape(message)):
        load_suite(folder)


def test_a_store_that_does_not_follow_the_format_is_refused(tmp_path: Path) -> None:
    folder = suite_of(tmp_path, GOOD + "expect.all.rows = []", 'about = "x"\n[[run]]\nid = "r"\nmetric = { a = 1 }\n')

    with pytest.raises(ValueError, match=r"empty.toml: r: unknown metric"):
        load_suite(folder)


def test_a_call_that_returns_something_else_is_a_failure() -> None:
    case = CASES["page-data.history"]
    call = {**case.calls[0], "returns": [1.0]}
    session = SESSIONS.session(case, MATRIX.dialect("oss"), "columnar")

    with pytest.raises(MismatchError, match=r"get_metric_history returned \[9.0, 5.0, 1.0\]"):
        result_of(attrs.evolve(case, calls=(call,)), session)
