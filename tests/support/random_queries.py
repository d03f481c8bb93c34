"""Hypothesis strategies for queries: filters that a dialect can read, orders, and filters with small damages."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support import random_data as data


def _written_key(key: str) -> st.SearchStrategy[str]:
    quoted = [f"`{key}`", f'"{key}"']
    is_plain = all(c.isalnum() or c in "._" for c in key)
    return st.sampled_from([key, key, key, *quoted] if is_plain else quoted)


def _field(prefixes: list[str], keys: list[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(prefixes), st.sampled_from(keys).flatmap(_written_key)).map(".".join)


METRICS = _field(["metric", "metrics"], [*data.METRIC_KEYS, "nowhere"])
FUNCTIONS = ["max", "min", "mean", "first", "last", "argmax", "argmin", "count", "COUNT", "Max"]


def _call(words: list[str]) -> str:
    function, field, before, after, step = words
    return f"{function}({before}{field}{after})" if function else f"at({before}{field}, {step}{after})"


_STEPS = [*map(str, data.STEPS), "-0", "7"]
HISTORIES = (
    st.tuples(
        st.sampled_from([*FUNCTIONS, *FUNCTIONS, "", "", ""]),
        METRICS,
        *(st.sampled_from(["", "", " ", "\n"]) for _ in range(2)),
        st.sampled_from(_STEPS),
    )
    .map(list)
    .map(_call)
)
"""Functions of the points of a metric."""
PARAMS = _field(["param", "params", "parameter", "parameters"], [*data.PARAM_KEYS, "nowhere"])
TAGS = _field(["tag", "tags"], [*data.TAG_KEYS, "mlflow.runName", "nowhere"])
DATASETS = _field(["dataset", "datasets"], ["name", "digest", "context"])


def _attribute(keys: list[str]) -> st.SearchStrategy[str]:
    prefixed = _field(["attribute", "attributes", "attr", "run"], keys)
    return st.one_of(prefixed, st.sampled_from(keys))


TEXT_ATTRIBUTES = _attribute(["run_id", "run_name", "status", "user_id", "artifact_uri"])
TIME_ATTRIBUTES = _attribute(["start_time", "end_time", "created"])

NUMBER_OPS = st.sampled_from(["=", "!=", ">", ">=", "<", "<="])
TEXT_OPS = st.sampled_from(["=", "!=", "LIKE", "ILIKE", "like", "ilike"])
_BLANKS = st.sampled_from(["", " ", "  ", "\t", "\n"])
_SOME_BLANKS = st.sampled_from([" ", "  ", "\n", " \t"])


def _quoted(text: str) -> str:
    quote = '"' if "'" in text else "'"
    return f"{quote}{text}{quote}"


def _texts(*texts: str) -> st.SearchStrategy[str]:
    """Return texts as literals, each of them, and parts of them as patterns."""
    patterns = {f"{t[:1]}%" for t in texts} | {f"%{t[-2:]}" for t in texts} | {t.swapcase() for t in texts}
    wanted = [*texts, *texts, *sorted(patterns), "%", "_", "__", "%a%", ""]
    return st.sampled_from([_quoted(t) for t in wanted if _can_be_quoted(t)])


def _can_be_quoted(text: str) -> bool:
    return not ("'" in text and '"' in text) and not text.endswith("\\")


TEXT_VALUES = _texts(*data.TEXTS, "a%b", "A_B", "x%y", "Ä%")
TEXT_FIELDS = [
    (PARAMS, TEXT_VALUES),
    (TAGS, TEXT_VALUES),
    (_attribute(["status"]), _texts(*data.STATUSES, "Finished")),
    (_attribute(["user_id"]), _texts(*data.USERS)),
    (_attribute(["run_name"]), _texts("run", "Run", "r%")),
    (_attribute(["run_id"]), st.sampled_from(["'%0%'", "'0%'", "'%A%'", "'nobody'"])),
    (_attribute(["artifact_uri"]), _texts("artifacts", "%artifacts")),
    (_field(["dataset", "datasets"], ["name"]), _texts(*(name for name, _ in data.DATASETS))),
    (_field(["dataset", "datasets"], ["digest"]), _texts("d1", "d2")),
    (_field(["dataset", "datasets"], ["context"]), _texts("training", "eval")),
]
"""Fields of text, each with values that some runs have."""
_NUMBER_SPELLINGS = [
    "0",
    "1",
    "-1",
    "0.5",
    ".5",
    "1.",
    "-0",
    "1e300",
    "1E-3",
    "1e999",
    "-1e999",
    "00",
    "1.7976931348623157e308",
]
NUMBER_VALUES = st.sampled_from(_NUMBER_SPELLINGS)
STEP_VALUES = st.sampled_from(
    [*_STEPS, "2.5", "9007199254740992.0", "9223372036854775808", "-9223372036854775809", "1" + "0" * 400]
)
TIME_VALUES = st.sampled_from(
    [*map(str, data.TIMES), "1700000000000.5", "1.7e12", "-5", "0.5", "1e999", "9223372036854775807"]
)
ID_VALUES = st.sampled_from(["0", "1", "2", "3", "99", "01"]).map(_quoted)


def _comparison(
    field: st.SearchStrategy[str], op: st.SearchStrategy[str], value: st.SearchStrategy[str]
) -> st.SearchStrategy[str]:
    def written(parts: tuple[str, str, str, str, str]) -> str:
        name, before, operator, after, literal = parts
        is_word = operator[0].isalpha()
        return f"{name}{before or ' ' * is_word}{operator}{after or ' ' * is_word}{literal}"

    return st.tuples(field, _BLANKS, op, _BLANKS, value).map(written)


def _list_of(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    plain = values.filter(lambda v: "\\" not in v and "\n" not in v)
    return st.lists(plain, min_size=1, max_size=4).map(lambda items: f"({', '.join(items)})")


_IN = st.sampled_from(["IN", "in", "NOT IN", "not  in"])
_UPPER_IN = st.sampled_from(["IN", "NOT IN"])
_NULL = st.sampled_from(["IS NULL", "is not null", "IS  NOT NULL"])
_DATASET_NAMES = _texts(*(text for pair in data.DATASETS for text in pair), "training", "eval")
NUMBER_CLAUSES = st.one_of(
    _comparison(METRICS, NUMBER_OPS, NUMBER_VALUES), _comparison(TIME_ATTRIBUTES, NUMBER_OPS, TIME_VALUES)
)
RUN_CLAUSES = st.one_of(
    NUMBER_CLAUSES,
    NUMBER_CLAUSES,
    *(_comparison(field, TEXT_OPS, values) for field, values in TEXT_FIELDS),
    _comparison(DATASETS, _IN, _list_of(_DATASET_NAMES)),
    _comparison(st.just("attributes.run_id"), _IN, _list_of(TEXT_VALUES)),
    st.tuples(st.one_of(PARAMS, TAGS), _NULL).map(" ".join),
)
"""Clauses about runs that `oss` reads, most of which find something."""

_EXPERIMENT_TAGS = _field(["tag", "tags"], [*data.TAG_KEYS, "nowhere"])
EXPERIMENT_CLAUSES = st.one_of(
    _comparison(_EXPERIMENT_TAGS, st.sampled_from(["=", "!=", "LIKE", "ILIKE"]), TEXT_VALUES),
    _comparison(
        st.sampled_from(["name", "attribute.name"]),
        st.sampled_from(["=", "!=", "LIKE", "ILIKE"]),
        st.sampled_from(["'alpha'", "'%ta'", "'be_ta'", "'BE%'", "'ÜNÏ'", "'100%'", "'Default'"]),
    ),
    _comparison(st.sampled_from(["experiment_id", "attribute.experiment_id"]), st.sampled_from(["=", "!="]), ID_VALUES),
    _comparison(st.just("experiment_id"), _UPPER_IN, _list_of(ID_VALUES)),
    _comparison(
        st.sampled_from(["creation_time", "last_update_time"]),
        NUMBER_OPS,
        st.sampled_from(["0", "1700000000000", "99999999999999"]),
    ),
    st.tuples(_EXPERIMENT_TAGS, _NULL).map(" ".join),
)


def filters(clauses: st.SearchStrategy[str], most: int = 3) -> st.SearchStrategy[str]:
    """Return filters of a few clauses joined with AND, in any case and spacing."""
    joint = st.tuples(_SOME_BLANKS, st.sampled_from(["AND", "and", "And"]), _SOME_BLANKS).map("".join)
    return st.one_of(
        st.just(""), st.tuples(st.lists(clauses, min_size=1, max_size=most), joint).map(lambda p: p[1].join(p[0]))
    )


_DIRECTIONS = st.sampled_from(["", " ASC", " DESC", " asc", "  Desc"])
RUN_ORDERS = st.lists(
    st.tuples(
        st.one_of(
            METRICS,
            PARAMS,
            TAGS,
            _attribute(
                ["start_time", "end_time", "run_id", "run_name", "status", "user_id", "artifact_uri", "Created"]
            ),
        ),
        _DIRECTIONS,
    ).map("".join),
    max_size=3,
)
EXPERIMENT_ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["name", "experiment_id", "creation_time", "attribute.last_update_time"]), _DIRECTIONS
    ).map("".join),
    max_size=2,
)

_NASTY = "'\"`().,;= !<>-_%&|+*/#$@[]{}\\\t\nab1eANDORINé\0"


@st.composite
def damaged(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """Draw a text with one or two characters inserted, deleted, replaced or swapped."""
    text = draw(texts)
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(text)))
        letter = draw(st.sampled_from(_NASTY))
        changes = [
            text[:place] + letter + text[place:],
            text[:place] + text[place + 1 :],
            text[:place] + letter + text[place + 1 :],
            text[:place] + text[place + 1 : place + 2] + text[place : place + 1] + text[place + 2 :],
        ]
        text = changes[draw(st.integers(0, 3))]
    return text


def _between(field: st.SearchStrategy[str], value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(field, value, value).map(lambda p: f"{p[0]} BETWEEN {p[1]} AND {p[2]}")


_ANY_TEXT_FIELD = st.one_of(PARAMS, TAGS, TEXT_ATTRIBUTES, DATASETS)
_ANY_NUMBER_FIELD = st.one_of(METRICS, TIME_ATTRIBUTES, st.just("attributes.duration"))
_OTHER_TEXT_OPS = st.sampled_from(["NOT LIKE", "not ilike", "==", "<>"])
_PATTERNS = st.sampled_from(["'^a'", "'[aA]b?$'", "'x.y'", "'.'", "''"])
EXTENDED_CLAUSES = st.one_of(
    RUN_CLAUSES,
    _between(METRICS, NUMBER_VALUES),
    _between(st.one_of(TIME_ATTRIBUTES, st.just("attributes.duration")), TIME_VALUES),
    *(_comparison(field, _IN, _list_of(values)) for field, values in TEXT_FIELDS),
    _comparison(METRICS, _IN, _list_of(NUMBER_VALUES)),
    _comparison(HISTORIES, NUMBER_OPS, st.one_of(NUMBER_VALUES, STEP_VALUES)),
    _comparison(HISTORIES, _IN, _list_of(st.one_of(NUMBER_VALUES, STEP_VALUES))),
    _between(HISTORIES, st.one_of(NUMBER_VALUES, STEP_VALUES)),
    st.tuples(HISTORIES, _NULL).map(" ".join),
    _comparison(TIME_ATTRIBUTES, _IN, _list_of(TIME_VALUES)),
    _comparison(_ANY_TEXT_FIELD, st.sampled_from(["RLIKE", "NOT RLIKE"]), _PATTERNS),
    *(_comparison(field, _OTHER_TEXT_OPS, values) for field, values in TEXT_FIELDS),
    _comparison(METRICS, st.sampled_from(["==", "<>"]), NUMBER_VALUES),
    _comparison(st.just("attributes.duration"), NUMBER_OPS, st.sampled_from(["0", "1000", "'1500'", "-1"])),
    st.tuples(st.one_of(_ANY_TEXT_FIELD, _ANY_NUMBER_FIELD), _NULL).map(" ".join),
)
"""Clauses about runs that only `extended` reads, and those of `oss`."""


def _joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(parts, st.sampled_from([" AND ", " OR "]), parts).map("".join)
    return st.one_of(pair, parts.map("NOT {}".format), parts.map("({})".format), pair.map("NOT ({})".format))


EXTENDED_FILTERS = st.one_of(st.just(""), st.recursive(EXTENDED_CLAUSES, _joined, max_leaves=5))
EXTENDED_ORDERS = st.one_of(
    RUN_ORDERS,
    st.just(["attributes.duration DESC"]),
    st.just(["attributes.duration"]),
    st.lists(st.tuples(HISTORIES, _DIRECTIONS).map("".join), min_size=1, max_size=2),
)
