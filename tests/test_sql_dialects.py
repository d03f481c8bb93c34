"""Each SQL dialect says what MLflow means, asked of the system itself: strings, patterns, arrays, numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from mlquery.language.plan import Op
from mlquery.language.semantics import string_test
from mlquery.sql.dialects import DUCKDB, MYSQL, POSTGRES, SPARK, SQLITE, SqlDialect
from mlquery.sql.dialects.protocol import fold
from mlquery.sql.expressions import ValueKind
from tests.support.databases import ON_MARIADB, ON_POSTGRES, ON_SPARK

Ask = Callable[[str, Mapping[str, Any]], Any]
"""Returns the only value of a statement."""


@pytest.fixture(scope="module")
def sqlite() -> Iterator[tuple[SqlDialect, Ask]]:
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA case_sensitive_like = ON")
    yield SQLITE, lambda text, values: connection.execute(text, values).fetchone()[0]
    connection.close()


def _relational(dialect: SqlDialect, url: str) -> Iterator[tuple[SqlDialect, Ask]]:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:

        def ask(text: str, values: Mapping[str, Any]) -> Any:
            lists = [sqlalchemy.bindparam(name, expanding=True) for name, one in values.items() if type(one) is tuple]
            return connection.execute(sqlalchemy.text(text).bindparams(*lists), dict(values)).scalar()

        yield dialect, ask
    engine.dispose()


@pytest.fixture(scope="module")
def postgres(postgres_server: Any) -> Iterator[tuple[SqlDialect, Ask]]:
    yield from _relational(POSTGRES, postgres_server.url)


@pytest.fixture(scope="module")
def mariadb(mariadb_server: Any) -> Iterator[tuple[SqlDialect, Ask]]:
    yield from _relational(MYSQL, mariadb_server.url)


@pytest.fixture(scope="module")
def duckdb() -> Iterator[tuple[SqlDialect, Ask]]:
    connection = pytest.importorskip("duckdb").connect()
    yield DUCKDB, lambda text, values: connection.execute(text, dict(values)).fetchone()[0]
    connection.close()


@pytest.fixture(scope="module")
def spark(spark_session: Any) -> tuple[SqlDialect, Ask]:
    return SPARK, lambda text, values: spark_session.sql(text, args=dict(values)).collect()[0][0]


@pytest.fixture(
    params=[
        "sqlite",
        "duckdb",
        pytest.param("postgres", marks=ON_POSTGRES),
        pytest.param("mariadb", marks=ON_MARIADB),
        pytest.param("spark", marks=[ON_SPARK, pytest.mark.slow]),
    ]
)
def system(request: pytest.FixtureRequest) -> tuple[SqlDialect, Ask]:
    found: tuple[SqlDialect, Ask] = request.getfixturevalue(request.param)
    return found


STRINGS = [
    *("", "a", "A", "ab", "a b", "a ", "a\n", "a\nb", "Ä", "ä", "é", "e", "ß", "ss", "İ", "K", "k"),
    *("a\\b", "a\\", "\\", "100%", "100", "a_b", "axb", "%", "_", "🙂", "a🙂b", "|", "a|b", "a||b", "\t", "'", '"'),
]
PATTERNS = [
    "",
    "%",
    "_",
    "a%",
    "%a",
    "a_b",
    "a\\b",
    "a\\%",
    "\\",
    "100%",
    "Ä",
    "ä",
    "A%",
    "_ß%",
    "%🙂%",
    "a_",
    "%%",
    "|",
    "a|_",
    "||",
    "'",
]


def _all_pairs(
    system: tuple[SqlDialect, Ask], condition: Callable[[str, str], str], pairs: list[tuple[str, str]]
) -> list[bool]:
    """Return the answers about pairs of strings, asked in one statement."""
    dialect, ask = system
    values: dict[str, Any] = {}
    parts = []
    for number, (left, right) in enumerate(pairs):
        values[f"l{number}"], values[f"r{number}"] = left, right
        asked = condition(dialect.bind(f"l{number}"), dialect.bind(f"r{number}"))
        parts.append(f"CASE WHEN {asked} THEN '1' ELSE '0' END")
    concatenated = f"CONCAT({', '.join(parts)})" if dialect is MYSQL else " || ".join(parts)
    answers = ask(f"SELECT {concatenated}", values)
    return [answer == "1" for answer in answers]


@pytest.mark.parametrize("start", range(0, len(PATTERNS), 5))
def test_like_minds_the_case_and_escapes_nothing(system: tuple[SqlDialect, Ask], start: int) -> None:
    dialect, _ = system
    pairs = [(string, pattern) for pattern in PATTERNS[start : start + 5] for string in STRINGS]

    found = _all_pairs(system, dialect.like, [(string, dialect.pattern(pattern)) for string, pattern in pairs])

    assert [pair for pair in pairs if string_test(Op.LIKE, pair[1])(pair[0])] == [
        pair for pair, holds in zip(pairs, found, strict=True) if holds
    ]


@pytest.mark.parametrize("start", range(0, len(PATTERNS), 5))
def test_ilike_folds_the_letters_of_ascii_alone(system: tuple[SqlDialect, Ask], start: int) -> None:
    dialect, _ = system
    pairs = [(string, pattern) for pattern in PATTERNS[start : start + 5] for string in STRINGS]
    folded = [(string, dialect.pattern(fold(pattern))) for string, pattern in pairs]

    found = _all_pairs(system, lambda string, pattern: dialect.like(dialect.folded(string), pattern), folded)

    assert [pair for pair in pairs if string_test(Op.ILIKE, pair[1])(pair[0])] == [
        pair for pair, holds in zip(pairs, found, strict=True) if holds
    ]


def test_strings_are_equal_where_their_code_points_are(system: tuple[SqlDialect, Ask]) -> None:
    dialect, _ = system
    pairs = [(left, right) for left in STRINGS for right in STRINGS[:20]]

    equal = _all_pairs(system, dialect.has_key, pairs)
    compared = _all_pairs(system, lambda left, right: f"{dialect.compared(left)} = {dialect.compared(right)}", pairs)

    assert [left == right for left, right in pairs] == equal == compared


def test_strings_are_ordered_by_code_points(system: tuple[SqlDialect, Ask]) -> None:
    dialect, _ = system
    pairs = [(left, right) for left in STRINGS for right in STRINGS[:20]]

    found = _all_pairs(system, lambda left, right: f"{dialect.ordered(left)} < {dialect.ordered(right)}", pairs)

    assert [left < right for left, right in pairs] == found


def test_digits_are_those_of_ascii(system: tuple[SqlDialect, Ask]) -> None:
    dialect, _ = system
    strings = [("0", ""), ("12", ""), ("", ""), ("a", ""), ("1a", ""), ("1\n", ""), ("٣", ""), ("-1", ""), ("1 ", "")]

    found = _all_pairs(system, lambda string, other: f"{dialect.is_digits(string)} AND {other} = ''", strings)

    assert [True, True] + [False] * 7 == found


@pytest.mark.parametrize(
    ("kind", "values", "others"),
    [
        (ValueKind.STRING, ["a", "ä", "a\\b", "'", "🙂"], ["A", "b", ""]),
        (ValueKind.INTEGER, [1, -(2**63), 2**63 - 1], [2, 0]),
    ],
)
def test_an_array_has_its_values_and_no_others(
    system: tuple[SqlDialect, Ask], kind: ValueKind, values: list[Any], others: list[Any]
) -> None:
    dialect, ask = system
    for value in [*values, *others]:
        bound = {"v": value, "a": dialect.array(values, kind)}
        asked = dialect.bind("v") if kind is ValueKind.INTEGER else dialect.compared(dialect.bind("v"))
        text = f"SELECT CASE WHEN {dialect.in_array(asked, dialect.bind('a'), kind)} THEN 1 ELSE 0 END"

        assert (value in values) == bool(ask(text, bound)), value


def test_numbers_that_are_bound_are_doubles_and_not_decimals(system: tuple[SqlDialect, Ask]) -> None:
    dialect, ask = system
    name = "DOUBLE PRECISION" if dialect is POSTGRES else "DOUBLE"
    left, right = (f"CAST({dialect.bind(value)} AS {name})" for value in "ab")

    assert ask(f"SELECT {left} + {right} > {dialect.bind('c')}", {"a": 0.1, "b": 0.2, "c": 0.3})
