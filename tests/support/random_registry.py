"""Random scripts of registry calls, a player that makes them through `MlflowClient`, and random registry queries."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import attrs
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList

NAMES = ["wine", "Wine", "iris 2", "ünï", "100%_net", "z'quote"]
BAD_NAMES = ["", "  ", "a/b", "a:b", ".", "..", None]
KEYS = ["team", "stage.note", "a b", "k/x", "Team"]
BAD_KEYS = ["a=b", "", None, "../x", "k" * 251]
VALUES = ["core", "Core", "", "x y", "ünï", "9", "v" * 300]
ALIASES = ["champion", "Champion", "b-2", "v", "latest", "Latest", "v1", "a b", "", "ö", "x" * 256]
STAGES = ["None", "Staging", "Production", "Archived", "staging", "PRODUCTION", "live", ""]
RUN_IDS = ["r1", "r2", None, "R1"]
SOURCES = ["s3://b/one", "s3://b/two", "models:/wine/1", "models:/wine/latest", "models:/gone/1", "models:/", "", None]
DESCRIPTIONS = ["first", "", None, "ünï"]


@attrs.frozen
class Step:
    """One call of `MlflowClient`."""

    call: str
    arguments: dict[str, Any]


class Script:
    """A number of steps, the same ones for the same seed. Most succeed, because names are few."""

    def __init__(self, seed: int, length: int = 25) -> None:
        self._random = random.Random(f"registry {seed}")
        self._names = self._random.sample(NAMES, 3)
        self._length = length

    @property
    def steps(self) -> Iterator[Step]:
        for name in self._names:
            yield Step("create_registered_model", {"name": name, "tags": self._tags()})
            for _ in range(self._random.choice([0, 1, 3])):
                yield Step("create_model_version", {"name": name, "source": self._one(SOURCES[:2])})
        for _ in range(self._length):
            yield self._step()

    def _step(self) -> Step:
        makers = {
            "create_registered_model": (1.5, self._new_model),
            "create_model_version": (5, self._new_version),
            "get_registered_model": (2, lambda: {"name": self._name()}),
            "get_model_version": (2, self._version),
            "get_model_version_download_uri": (1, self._version),
            "get_latest_versions": (2, lambda: {"name": self._name(), "stages": self._stages()}),
            "update_registered_model": (1, lambda: {"name": self._name(), "description": self._one(DESCRIPTIONS)}),
            "update_model_version": (1, lambda: {**self._version(), "description": self._one(DESCRIPTIONS)}),
            "rename_registered_model": (0.5, lambda: {"name": self._name(), "new_name": self._new_name()}),
            "delete_registered_model": (0.3, lambda: {"name": self._name()}),
            "delete_model_version": (1, self._version),
            "transition_model_version_stage": (5, self._transition),
            "set_registered_model_tag": (2, lambda: {"name": self._name(), "key": self._key(), "value": self._value()}),
            "delete_registered_model_tag": (1, lambda: {"name": self._name(), "key": self._key()}),
            "set_model_version_tag": (2, lambda: {**self._version(), "key": self._key(), "value": self._value()}),
            "delete_model_version_tag": (1, lambda: {**self._version(), "key": self._key()}),
            "set_registered_model_alias": (3, lambda: {**self._version(), "alias": self._one(ALIASES)}),
            "delete_registered_model_alias": (1, lambda: {"name": self._name(), "alias": self._one(ALIASES)}),
            "get_model_version_by_alias": (2, lambda: {"name": self._name(), "alias": self._one(ALIASES)}),
            "copy_model_version": (1, self._copy),
            "search_registered_models": (2, lambda: self._search(["name", "timestamp", "last_updated_timestamp DESC"])),
            "search_model_versions": (
                2,
                lambda: self._search(["name", "version_number DESC", "creation_timestamp", "last_updated_timestamp"]),
            ),
        }
        weights = [weight for weight, _ in makers.values()]
        call = self._random.choices(list(makers), weights)[0]
        return Step(call, makers[call][1]())

    def _one(self, things: list[Any]) -> Any:
        return self._random.choice(things)

    def _mostly(self, good: list[Any], bad: list[Any]) -> Any:
        return self._one(bad) if self._random.random() < 0.06 else self._one(good)

    def _name(self) -> Any:
        return self._mostly(self._names, [*BAD_NAMES, "gone"])

    def _new_name(self) -> Any:
        return self._mostly(NAMES, [name for name in BAD_NAMES if name is not None])

    def _key(self) -> Any:
        return self._mostly(KEYS, BAD_KEYS)

    def _value(self) -> Any:
        return self._mostly([*VALUES, 7, None, True], ["v" * 100_001])

    def _tags(self) -> Any:
        keys = [key for key in {self._key() for _ in range(self._random.choice([0, 0, 1, 2]))} if key is not None]
        return {key: self._value() for key in sorted(keys)} or None

    def _version(self) -> dict[str, Any]:
        version = self._mostly([1, 1, 1, 2, 3, "1", "2"], [0, -1, 99, "x", "1.0", " 2 ", 2.0, 2**64])
        return {"name": self._name(), "version": version}

    def _stages(self) -> Any:
        return self._one([None, None, [], ["Production"], [self._one(STAGES), self._one(STAGES)]])

    def _new_model(self) -> dict[str, Any]:
        return {"name": self._name(), "tags": self._tags(), "description": self._one(DESCRIPTIONS)}

    def _new_version(self) -> dict[str, Any]:
        return {
            "name": self._name(),
            "source": self._one(SOURCES[:3] * 3 + SOURCES),
            "run_id": self._one(RUN_IDS),
            "tags": self._tags(),
            "run_link": self._one([None, "http://x"]),
            "description": self._one(DESCRIPTIONS),
        }

    def _transition(self) -> dict[str, Any]:
        archives = self._one([True, False])
        return {**self._version(), "stage": self._one(STAGES), "archive_existing_versions": archives}

    def _copy(self) -> dict[str, Any]:
        source = f"models:/{self._one(self._names)}{self._one(['/1', '/2', '/latest', '/Production', '@champion'])}"
        return {"src_model_uri": source, "dst_name": self._name()}

    def _search(self, fields: list[str]) -> dict[str, Any]:
        name = self._one(self._names)
        filters = [None, "", f'name = "{name}"', f'name != "{name}"', "name LIKE '%i%'", "tags.team = 'core'"]
        order = self._random.sample(fields, self._random.choice([0, 1, 2]))
        size = self._mostly([100, 1, 2], [0, -1, 1000, 1001, 200_001])
        return {"filter_string": self._one(filters), "order_by": order or None, "max_results": size}


class Player:
    """Makes the calls of scripts through one client and returns what was answered, in plain values."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def begin(self) -> None:
        """Empty the registry."""
        for model in self._client._get_registry_client().search_registered_models():
            self._client.delete_registered_model(model.name)

    def play(self, step: Step) -> Any:
        """Make a call; return the answer, with all pages of a search, or how it was refused."""
        try:
            answer = getattr(self._client, step.call)(**step.arguments)
            pages = [plain(answer)]
            while isinstance(answer, PagedList) and answer.token and len(answer):
                answer = getattr(self._client, step.call)(**step.arguments, page_token=answer.token)
                pages.append(plain(answer))
            return pages
        except MlflowException as error:
            return "refused", error.error_code, worded(error)
        except (ValueError, TypeError, AttributeError) as error:
            return "failed", type(error).__name__


def worded(error: MlflowException) -> str:
    """Return the wording of a refusal, as far as it is not a database's or Python's."""
    if error.error_code in ("INTERNAL_ERROR", "BAD_REQUEST"):
        return ""
    return str(error.message).partition(" Error: ")[0].partition(" '{")[0]


def plain(answer: Any) -> Any:
    """Return an answer in values that compare equal when they say the same."""
    if isinstance(answer, list):
        return [plain(item) for item in answer]
    if isinstance(answer, RegisteredModel):
        latest = [plain(version) for version in answer.latest_versions]
        return {**vars(answer), "_latest_version": latest}
    return vars(answer) if isinstance(answer, ModelVersion) else answer


# Queries over a registry that `fill` has filled.

CONTENTS = {
    "wine": {"team": "core", "a b": "x y"},
    "Wine": {"team": "Core"},
    "iris 2": {"team": "", "k/x": "ünï"},
    "ünï": {"stage.note": "100%"},
    "100%_net": {},
    "greeting": {"mlflow.prompt.is_prompt": "true", "team": "core"},
    "no prompt": {"mlflow.prompt.is_prompt": "false"},
    "Prompt": {"mlflow.prompt.is_prompt": "TRUE"},
}


def fill(create_model: Any, create_version: Any, delete_version: Any, tick: Any) -> None:
    """Make models and versions: calls with name and tags, with name, source, run id and tags, with name and number."""
    source = random.Random("contents")
    for name, tags in CONTENTS.items():
        tick(source.choice([0, 1]))
        create_model(name, tags)
    for number in range(30):
        tick(source.choice([0, 0, 1, 5]))
        name = source.choice(list(CONTENTS))
        own = source.choice(list(CONTENTS.values()))
        tags = {key: value for key, value in own.items() if key in CONTENTS[name] or "prompt" not in key}
        create_version(name, source.choice(["s3://b/one", "s3://B/two", None]), source.choice(RUN_IDS), tags)
        if number % 9 == 8:
            delete_version(name, 1)


MODEL_TEXTS = [*CONTENTS, "W%", "%i%", "wine_", "nobody", ""]
_TEXT_OPS = ["=", "!=", "LIKE", "ILIKE", "like", "iLike", "<>", ">", "RLIKE", "NOT LIKE"]
_USUAL_OPS = st.sampled_from([*_TEXT_OPS[:6] * 4, *_TEXT_OPS])
_NUMBER_OPS = st.sampled_from(["=", "!=", ">", ">=", "<", "<=", "LIKE", "=="])
_PROMPT_TAGS = ["tag.`mlflow.prompt.is_prompt`", "tags.mlflow.prompt.is_prompt"]
_TAGS = st.sampled_from(
    ["tag.team", "tags.team", "tag.`a b`", 'tags."k/x"', "tag.stage.note", "tag.gone", "tags.`Team`", "TAG.team"]
)
_VERSIONS = st.sampled_from(
    [
        "1",
        "2",
        "0",
        "-1",
        "99",
        "'1'",
        "' 2 '",
        "'+3'",
        "'1_0'",
        "1.0",
        "'x'",
        "''",
        "1e0",
        "9" * 19,
        "'" + "9" * 20 + "'",
    ]
)
_JOINT = st.sampled_from([" AND ", " and ", "\nAnd  "])


def _quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"


def _clause(field: Any, op: Any, value: Any) -> Any:
    return st.tuples(field, op, value).map(" ".join)


_TEXTS = st.sampled_from([*MODEL_TEXTS, "core", "Core", "x y", "100%", "ÜNÏ"]).map(_quoted)
_PROMPT_TEXTS = st.sampled_from(["'true'", "'false'", "'TRUE'", "'False'", "'x'"])
_LISTS = st.lists(_TEXTS, min_size=1, max_size=3).map(lambda texts: f"({', '.join(texts)})")
_LIST_OPS = st.sampled_from(["IN", "NOT IN", "in", "not in"])
_NAME = st.sampled_from(["name", "attribute.name", "name", "`name`", "attribute.`name`", "attributes.name"])
_SHARED = [
    _clause(_NAME, _USUAL_OPS, _TEXTS),
    _clause(_NAME, _LIST_OPS, _LISTS),
    _clause(_TAGS, _USUAL_OPS, _TEXTS),
    _clause(st.sampled_from(_PROMPT_TAGS), _USUAL_OPS, _PROMPT_TEXTS),
    st.tuples(st.one_of(_NAME, _TAGS), st.sampled_from(["IS NULL", "is not null"])).map(" ".join),
]
MODEL_CLAUSES = st.one_of(*_SHARED, _clause(st.just("name"), st.just("="), st.sampled_from(["1", "wine", "`wine`"])))
"""Clauses about registered models, most of which `oss` reads."""
VERSION_CLAUSES = st.one_of(
    *_SHARED,
    _clause(
        st.sampled_from(["run_id", "attribute.run_id"]), _USUAL_OPS, st.sampled_from(["'r1'", "'R1'", "'r%'", "1"])
    ),
    _clause(st.just("run_id"), _LIST_OPS, st.sampled_from(["('r1')", "('r1', 'R1')", "('none')", "(1)"])),
    _clause(st.just("source_path"), _USUAL_OPS, st.sampled_from(["'s3://b/one'", "'%/two'", "'S3%'"])),
    _clause(st.sampled_from(["version_number", "attribute.version_number"]), _NUMBER_OPS, _VERSIONS),
    _clause(st.sampled_from(["source_path", "version_number", "tag.team"]), _LIST_OPS, _LISTS),
)
"""Clauses about model versions, most of which `oss` reads."""
_DIRECTIONS = st.sampled_from(["", " ASC", " DESC", " desc", "  Asc"])


def filters(clauses: Any, most: int = 3) -> Any:
    """Return filters of a few clauses joined with AND."""
    joined = st.tuples(st.lists(clauses, min_size=1, max_size=most), _JOINT).map(lambda p: p[1].join(p[0]))
    return st.one_of(st.just(""), joined, joined, joined)


def orders(*fields: str) -> Any:
    """Return lists of a few fields with directions."""
    return st.lists(st.tuples(st.sampled_from(fields), _DIRECTIONS).map("".join), max_size=3)


MODEL_ORDERS = orders("name", "timestamp", "last_updated_timestamp", "`name`", "attribute.name", "creation_timestamp")
VERSION_ORDERS = orders(
    *("name", "version_number", "creation_timestamp", "last_updated_timestamp", "`name`"),
    *("attribute.version_number", "attribute.`name`", "timestamp", "tag.team"),
)
