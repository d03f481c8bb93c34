"""The JSON Schemas of the suite: every file fits its schema, and what is misspelt or says too much does not."""

from __future__ import annotations

import json
import re
import tomllib
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from mlquery.conformance import load_suite, suite
from mlquery.conformance.protocol import run_message
from mlquery.resources import data_path

FOLDER = data_path("conformance")
FILES = {
    "suite": [FOLDER / "suite.toml"],
    "store": sorted((FOLDER / "stores").glob("*.toml")),
    "cases": sorted((FOLDER / "cases").glob("*.toml")),
}
PAIRS = [pytest.param(kind, path, id=path.stem) for kind, paths in FILES.items() for path in paths]

STORE = {
    "about": "One of everything.",
    "experiment": [{"id": "main", "creation_time": 1, "tags": {"a": "b"}}],
    "run": [
        {
            "id": "a",
            "start_time": 1,
            "status": "FAILED",
            "end_time": 2,
            "metrics": {"m": [{"value": float("nan")}]},
            "params": {"p": "1"},
            "datasets": [{"name": "iris", "digest": "d"}],
        }
    ],
    "model": [{"id": "wine", "time": 1}],
    "version": [{"id": "wine-1", "model": "wine", "time": 2, "source": "s3://models/one"}],
}
CASES = {
    "title": "One",
    "about": "One case.",
    "defaults": {"store": "basic", "source": "mlflow", "expect": {"azure": "as oss reversed"}},
    "case": [
        {
            "id": "one.a",
            "title": "One",
            "calls": [{"call": "delete_run", "run_id": "${run.a}"}],
            "expect": {"oss": {"rows": ["a", ["b", "c"]]}, "all": {"error": {"error_code": "INTERNAL_ERROR"}}},
        }
    ],
}
SUITE = {"dialects": ["oss", "azure:documented"]}
VALID: dict[str, Any] = {"suite": SUITE, "store": STORE, "cases": CASES}

CASE, RUN, EXPECT = ("case", 0), ("run", 0), ("case", 0, "expect", "oss")
REFUSED = [
    ("a misspelt key of a file", "cases", ("default",), {}),
    ("a misspelt key of a case", "cases", (*CASE, "orderby"), ["a"]),
    ("a misspelt key of the defaults", "cases", ("defaults", "stores"), "basic"),
    ("a misspelt key of a call", "cases", (*CASE, "calls", 0, "runid"), "x"),
    ("a call that no case has", "cases", (*CASE, "calls", 0, "call"), "remove_run"),
    ("a call that fails and returns", "cases", (*CASE, "calls", 0), {"call": "get_run", "fails": "A", "returns": 1}),
    ("a case without a title", "cases", CASE, {"id": "one.a"}),
    ("a case without an id", "cases", CASE, {"title": "One"}),
    ("an id without a topic", "cases", (*CASE, "id"), "a"),
    ("an entity that is none", "cases", (*CASE, "entity"), "model"),
    ("a view as a number", "cases", (*CASE, "view"), 1),
    ("a text for a list", "cases", (*CASE, "order_by"), "start_time"),
    ("an unknown dialect", "cases", (*CASE, "expect", "databricks"), {"rows": []}),
    ("a misspelt key of an expectation", "cases", (*EXPECT, "warn"), ["join.or"]),
    ("rows and pages", "cases", (*EXPECT, "pages"), [["a"]]),
    ("rows and an error", "cases", (*EXPECT, "error"), {"error_code": "INTERNAL_ERROR"}),
    ("rows and another dialect's answer", "cases", (*EXPECT, "as"), "azure"),
    ("no expectation", "cases", EXPECT, {"warns": ["join.or"]}),
    ("further problems of what is no error", "cases", (*EXPECT, "also"), [{"error_code": "A"}]),
    ("an answer of two dialects", "cases", (*CASE, "expect", "oss"), "as azure and oss"),
    ("a tie of one", "cases", (*EXPECT, "rows"), [["a"]]),
    ("an error without a code of MLflow", "cases", EXPECT, {"error": {"code": "syntax"}}),
    ("an error with a code of its own", "cases", EXPECT, {"error": {"error_code": "A", "code": "typo"}}),
    ("a span of three", "cases", EXPECT, {"error": {"error_code": "A", "span": [1, 2, 3]}}),
    ("a misspelt key of a store", "store", ("runs",), []),
    ("a misspelt key of a run", "store", (*RUN, "starttime"), 1),
    ("a run without a start", "store", RUN, {"id": "a"}),
    ("a run that ended at no time", "store", RUN, {"id": "a", "start_time": 1, "status": "FINISHED"}),
    ("a status that is none", "store", (*RUN, "status"), "DONE"),
    ("a param that is no text", "store", (*RUN, "params", "p"), 1),
    ("a metric that is a text", "store", (*RUN, "metrics", "m"), "1"),
    ("a point without a value", "store", (*RUN, "metrics", "m"), [{"step": 1}]),
    ("a dataset without a digest", "store", (*RUN, "datasets"), [{"name": "iris"}]),
    ("a time with a fraction", "store", ("experiment", 0, "creation_time"), 1.5),
    ("a version without a source", "store", ("version", 0), {"id": "a", "model": "wine", "time": 1}),
    ("a misspelt key of the suite", "suite", ("dialect",), ["oss"]),
    ("a dialect twice", "suite", ("dialects",), ["oss", "oss"]),
    ("no dialect", "suite", ("dialects",), []),
]


@cache
def validator(kind: str) -> Draft202012Validator:
    schema = json.loads((FOLDER / "schema" / f"{kind}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def schema_of(kind: str) -> Any:
    return validator(kind).schema


def complaint(kind: str, document: Any) -> str:
    """Return the most telling complaint about a document, with its place."""
    error = best_match(validator(kind).iter_errors(document))
    return f"{error.json_path}: {error.message}" if error else ""


def changed(kind: str, path: tuple[Any, ...], value: Any) -> Any:
    """Return a valid document with one thing put in."""
    document = inner = deepcopy(VALID[kind])
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return document


@pytest.mark.parametrize(("kind", "path"), PAIRS)
def test_every_file_fits_its_schema(kind: str, path: Path) -> None:
    document = tomllib.loads(path.read_text("utf-8"))

    assert "" == complaint(kind, document)


@pytest.mark.parametrize("kind", VALID)
def test_what_is_right_is_let_through(kind: str) -> None:
    assert "" == complaint(kind, VALID[kind])


@pytest.mark.parametrize(("kind", "path", "value"), [pytest.param(*rest, id=name) for name, *rest in REFUSED])
def test_what_is_wrong_is_refused(kind: str, path: tuple[Any, ...], value: Any) -> None:
    assert complaint(kind, changed(kind, path, value))


def test_the_schemas_know_the_keys_that_the_loader_knows() -> None:
    cases, stores = schema_of("cases")["$defs"], schema_of("store")

    assert suite._CASE_KEYS == set(cases["case"]["properties"])
    assert suite._EXPECTATION_KEYS == set(cases["expectation"]["oneOf"][1]["properties"])
    assert {a.name for a in attrs.fields(suite.Problem)} == set(cases["problem"]["properties"])
    assert suite._STORE_KEYS == set(stores["properties"])
    assert suite._EXPERIMENT_KEYS == set(stores["$defs"]["experiment"]["properties"])
    assert suite._RUN_KEYS == set(stores["$defs"]["run"]["properties"])
    assert suite._MODEL_KEYS == set(stores["$defs"]["model"]["properties"])
    assert suite._VERSION_KEYS == set(stores["$defs"]["version"]["properties"])


@pytest.mark.slow
def test_the_schemas_know_the_dialects_and_the_calls_of_the_suite() -> None:
    definitions = schema_of("cases")["$defs"]
    dialects = definitions["case"]["properties"]["expect"]["propertyNames"]["enum"]
    calls = definitions["call"]["properties"]["call"]["enum"]

    loaded = load_suite()

    assert {"all", *loaded.dialects} == set(dialects)
    assert sorted({call["call"] for case in loaded.cases for call in case.calls}) == calls


def test_the_messages_shown_to_implementers_are_messages_of_the_protocol() -> None:
    text = (FOLDER / "IMPLEMENTING.md").read_text("utf-8")
    (shown,) = re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    assert [] == [wrong for line in shown.splitlines() if (wrong := complaint("stdio", json.loads(line)))]


def test_implementers_are_told_of_every_call_and_its_arguments() -> None:
    text = (FOLDER / "IMPLEMENTING.md").read_text("utf-8")
    told: dict[str, set[str]] = {}
    for calls, arguments in re.findall(
        r"^\| (`[a-z_`, ]+) \| (`[a-z_`, ]+) \|$", text.partition("## The calls")[2], re.M
    ):
        told |= {name: set(re.findall(r"\w+", arguments)) for name in re.findall(r"\w+", calls)}

    loaded, made = load_suite(), dict[str, set[str]]()
    for case in loaded.cases:
        for message in run_message(1, case, loaded.stores[case.store])["case"]["calls"]:
            made.setdefault(message["call"], set()).update(message["arguments"])

    assert told == made
