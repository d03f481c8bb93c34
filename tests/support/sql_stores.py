"""Random stores and queries for engines that answer in SQL: every value that some system takes for another one.

Values are those that MLflow can log: infinities are the largest floats, and no point is there twice. A string may have
a NUL, which all systems but PostgreSQL can hold, and at which a pattern and what it is compared with end.
"""

from __future__ import annotations

import random

import numpy as np
from hypothesis import strategies as st

from mlquery.store import Store
from tests.support import random_data, random_queries

LARGEST = 1.7976931348623157e308
METRIC_VALUES = [
    *[0.0, 1.0, -1.0, 0.5, 1e-3, 1e300, -1e300, 5e-324, LARGEST, -LARGEST, float("nan"), float("nan")],
    *[0.1 + 0.2, 0.3, 2.0**53, 2.0**53 + 2, 1.0, 1.0],
]
# Keys that only a system that minds case, accents and spaces tells apart; a run has one of them at most, since MySQL
# has room for no more.
METRIC_KEYS = [*random_data.METRIC_KEYS, "Loss"]
PARAM_KEYS = [*random_data.PARAM_KEYS, "LR", "lr "]
TAG_KEYS = [*random_data.TAG_KEYS, "Team", "tëam", "mlflow.note.content"]
AWKWARD_TEXTS = [
    *["a\\b", "\\%", "\\_", "a\\", "%", "_", "%_", "|", "||", "a|b", "a ", "a\t", "b", "B", "é", "e\u0301", "e"],
    *["ß", "SS", "ss", "İ", "i̇", "ı", "I", "i", "K", "k", "K", "ſ", "s", "Σ", "ς", "σ", "\ufffd", "😀", "𝒂", "中"],
    *["NaN", "NULL", "null", "true", "1e3", "1000", "0x10", "'", '"', "`", "$1", ":p0", "%s", "{a}", "?", "--", "/*"],
    *["a\nb", "a\r\nb", "\u2028", "\ue000", "a" * 300],
]
TEXTS_WITH_NUL = ["\0", "a\0", "a\0b", "A\0B", "\0b", "ab\0%", "x\ny\0", "ä\0Ä", "1\0x"]
TEXTS = [*random_data.TEXTS, *AWKWARD_TEXTS, *TEXTS_WITH_NUL]
TIMES = [*random_data.TIMES, -1, 1, 253_402_300_799_999]
STEPS = random_data.STEPS
NAMES = ["run", "Run", "r%", "rün", "a\\b", "", "run\0", "r\0n", None]
USERS = [*random_data.USERS, None]
MODELS = [f"m-{number:032x}" for number in range(6)]
EXPERIMENTS = [str(number) for number in [*range(7), 10, 100]]
EXPERIMENT_NAMES = ["Default", *random_data._NAMES, "alpha 2", "Σ\\%"]


def new_store(seed: int, runs: int, *, has_nul: bool = True) -> Store:
    """Return a store with random runs.

    Args:
        seed: Decides on everything.
        runs: How many.
        has_nul: Whether some strings have a NUL.
    """
    rng, store = random.Random(seed), Store(seed=seed)
    texts = [text for text in TEXTS if has_nul or "\0" not in text]
    names = [name for name in NAMES if has_nul or "\0" not in (name or "")]
    for experiment_id, name in zip(EXPERIMENTS, EXPERIMENT_NAMES, strict=True):
        tags = {key: rng.choice(texts) for key in _some(rng, TAG_KEYS)}
        times = {"creation_time": rng.choice([None, *TIMES]), "last_update_time": rng.choice([None, *TIMES])}
        location, stage = f"s3://bucket/{experiment_id}", rng.choice(["active", "active", "deleted"])
        store.load_experiment(
            experiment_id, name, artifact_location=location, tags=tags, lifecycle_stage=stage, **times
        )
    for _ in range(runs):
        _load_run(store, rng, texts, names)
    return store


def _load_run(store: Store, rng: random.Random, texts: list[str], names: list[str | None]) -> None:
    run_id = f"{rng.getrandbits(128):032x}"
    context = random_data._own_dataset
    store.load_run(
        run_id,
        rng.choice(EXPERIMENTS),
        user_id=rng.choice(USERS),
        status=rng.choice(random_data.STATUSES),
        start_time=rng.choice([None, *TIMES]),
        end_time=rng.choice([None, *TIMES]),
        lifecycle_stage=rng.choice(["active", "active", "active", "deleted"]),
        artifact_uri=rng.choice([f"s3://bucket/{run_id}", "s3://Bucket/%", ""]),
        run_name=rng.choice(names),
        params={key: rng.choice(texts) for key in _some(rng, PARAM_KEYS)},
        tags={key: rng.choice(texts) for key in _some(rng, TAG_KEYS)},
        inputs=[context(rng) for _ in range(rng.choice([0, 0, 1, 2]))],
    )
    for key in _some(rng, METRIC_KEYS):
        size = rng.choice([1, 1, 2, 5])
        values = np.array([rng.choice(METRIC_VALUES) for _ in range(size)])
        times = np.array([rng.choice([0, 0, 1, 2, 1_700_000_000_000]) for _ in range(size)])
        steps = np.array([rng.choice(STEPS) for _ in range(size)])
        store.load_history(run_id, key, values, times, steps)
    if written := rng.sample(MODELS, rng.choice([0, 0, 1, 3])):  # the order in which a run wrote them is not recorded
        store.models.outputs[run_id] = {model_id: rng.choice([0, 0, 7, 2**31]) for model_id in sorted(written)}
    if read := rng.sample(MODELS, rng.choice([0, 0, 1, 2])):
        store.models.inputs[run_id] = dict.fromkeys(sorted(read))


def _some(rng: random.Random, keys: list[str]) -> list[str]:
    """Return some keys, never two that MySQL takes for the same."""
    chosen = rng.sample(keys, rng.randrange(len(keys)))
    folded: dict[str, str] = {}
    for key in chosen:
        folded.setdefault(key.lower().strip().replace("ë", "e"), key)
    return list(folded.values())


# Queries


def _quoted(text: str) -> str | None:
    if ("'" in text and '"' in text) or text.endswith("\\"):
        return None
    return f'"{text}"' if "'" in text else f"'{text}'"


_SPELLED = [quoted for text in [*AWKWARD_TEXTS, *TEXTS_WITH_NUL] if (quoted := _quoted(text)) is not None]
_PATTERNS = [
    *(f"'{p}'" for p in ("%\\%", "%\\b", "_", "__", "%|%", "a_", "% ", "%\n%", "É", "İ", "ss", "%😀", "\\__")),
    *(f"'{p}'" for p in ("a\0%", "%\0%", "a%\0b", "_\0_")),
]
_STRING_FIELDS = st.sampled_from(
    [*(f"params.`{key}`" for key in PARAM_KEYS), *(f"tags.`{key}`" for key in TAG_KEYS), "attributes.run_name"]
)
_VALUES = st.sampled_from([*_SPELLED, *_PATTERNS])
_LISTS = random_queries._list_of(_VALUES.filter(lambda value: "\0" not in value))
_OPERATORS = st.sampled_from(["=", "!=", "LIKE", "ILIKE", "NOT LIKE", "NOT ILIKE"])
_NUMBERS = ["9007199254740993", "9007199254740992", "0.30000000000000004", "0.3", "1e999", "-1e999", "5e-324", "1e-400"]
AWKWARD_CLAUSES = st.one_of(
    st.tuples(_STRING_FIELDS, _OPERATORS, _VALUES).map(" ".join),
    st.tuples(_STRING_FIELDS, st.sampled_from(["IN", "NOT IN"]), _LISTS).map(" ".join),
    st.tuples(
        st.sampled_from([f"metrics.`{key}`" for key in METRIC_KEYS]),
        random_queries.NUMBER_OPS,
        st.sampled_from(_NUMBERS),
    ).map(" ".join),
    st.tuples(
        st.sampled_from(["start_time", "end_time", "attributes.duration"]),
        random_queries.NUMBER_OPS,
        st.sampled_from(["9007199254740993", "253402300799999", "-1", "0", "1e999", "0.5"]),
    ).map(" ".join),
    st.tuples(_STRING_FIELDS, st.sampled_from(["IS NULL", "IS NOT NULL"])).map(" ".join),
)
FILTERS = st.one_of(
    random_queries.EXTENDED_FILTERS,
    st.recursive(
        st.one_of(AWKWARD_CLAUSES, AWKWARD_CLAUSES, random_queries.EXTENDED_CLAUSES),
        random_queries._joined,
        max_leaves=4,
    ),
)
ORDERS = st.one_of(
    random_queries.EXTENDED_ORDERS,
    st.lists(
        st.tuples(
            st.one_of(_STRING_FIELDS, st.sampled_from([f"metrics.`{key}`" for key in METRIC_KEYS])),
            random_queries._DIRECTIONS,
        ).map("".join),
        min_size=1,
        max_size=2,
    ),
)
