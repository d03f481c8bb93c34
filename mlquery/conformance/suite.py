"""Reads the conformance suite: turns stores and cases in TOML into values.

`conformance/README.md` describes the format. An unknown key is an error, so that a misspelt one cannot weaken a case.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from mlquery.resources import data_path

Table = Mapping[str, Any]


@attrs.frozen
class Tied:
    """Rows that only their ids order, ascending or descending."""

    names: tuple[str, ...]
    descending: bool = False


Row = str | Tied


@attrs.frozen
class Problem:
    """A problem of a query, or of a call, which has an error code only; `span` is in code points of the argument."""

    error_code: str
    code: str | None = None
    feature: str | None = None
    argument: str | None = None
    span: tuple[int, int] | None = None


@attrs.frozen
class Expectation:
    """The result in a dialect: rows, or pages of rows, or problems; and the features that it warns about, each once."""

    rows: tuple[Row, ...] | None = None
    pages: tuple[tuple[Row, ...], ...] | None = None
    problems: tuple[Problem, ...] = ()
    warns: tuple[str, ...] = ()

    @property
    def tied(self) -> list[Tied]:
        """Return the rows that only their ids order."""
        return [row for page in (self.rows or (), *(self.pages or ())) for row in page if isinstance(row, Tied)]


@attrs.frozen
class Case:
    """One query, or calls and then a query, on one store, and the expected result in each dialect."""

    id: str
    title: str
    topic: str
    store: str
    source: str
    expect: Mapping[str, Expectation]
    features: tuple[str, ...] = ()
    cites: str = ""
    entity: str = "run"
    filter: str = ""
    order_by: tuple[str, ...] = ()
    view: str = "ACTIVE_ONLY"
    max_results: int = 1000
    page_token: str | None = None
    walk: bool = False
    experiment_ids: tuple[str, ...] | None = None
    calls: tuple[Table, ...] = ()


@attrs.frozen
class StoreContents:
    """The contents of a store: tables of experiments, runs, registered models and versions, in order of creation."""

    name: str
    about: str
    experiments: tuple[Table, ...]
    runs: tuple[Table, ...]
    models: tuple[Table, ...] = ()
    versions: tuple[Table, ...] = ()


@attrs.frozen
class Suite:
    """All cases in the order of the files, the stores by name, the titles of the files by topic, and the dialects."""

    cases: tuple[Case, ...]
    stores: Mapping[str, StoreContents]
    topics: Mapping[str, str]
    dialects: tuple[str, ...] = ()


_STORE_KEYS = {"about", "experiment", "run", "model", "version"}
_EXPERIMENT_KEYS = {"id", "name", "tags", "artifact_location", "creation_time", "last_update_time", "deleted"}
_RUN_KEYS = {
    *("id", "experiment", "run_name", "status", "start_time", "end_time", "deleted"),
    *("metrics", "params", "tags", "datasets"),
}
_MODEL_KEYS = {"id", "time", "tags", "description"}
_VERSION_KEYS = {*_MODEL_KEYS, "model", "source", "run_id", "deleted"}
_CASE_KEYS = {a.name for a in attrs.fields(Case)} - {"topic"} | {"filter_times"}
_EXPECTATION_KEYS = {"as", "rows", "pages", "error", "also", "warns"}
_PROBLEM_KEYS = {a.name for a in attrs.fields(Problem)}


def load_suite(folder: Path | None = None) -> Suite:
    """Return the suite in a folder, by default the one that ships with mlquery.

    Raises:
        ValueError: a file does not follow the format; the message names it.
    """
    folder = folder or data_path("conformance")
    stores = {path.stem: _store(path) for path in sorted((folder / "stores").glob("*.toml"))}
    topics = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in sorted((folder / "cases").glob("*.toml"))}
    settings = tomllib.loads((folder / "suite.toml").read_text("utf-8"))
    dialects, inherits = tuple(settings["dialects"]), settings.get("inherits", {})
    cases = tuple(case for topic, data in topics.items() for case in _cases(topic, data, dialects, inherits))
    return Suite(cases, stores, {topic: data["title"] for topic, data in topics.items()}, dialects)


def _store(path: Path) -> StoreContents:
    data = tomllib.loads(path.read_text("utf-8"))
    _require_known(data, _STORE_KEYS, path.name)
    known = {"experiment": _EXPERIMENT_KEYS, "run": _RUN_KEYS, "model": _MODEL_KEYS, "version": _VERSION_KEYS}
    tables = {kind: tuple(data.get(kind, ())) for kind in known}
    for kind, found in tables.items():
        for table in found:
            _require_known(table, known[kind], f"{path.name}: {table['id']}")
    return StoreContents(path.stem, data["about"], *tables.values())


def _cases(topic: str, data: Table, dialects: tuple[str, ...], inherits: Mapping[str, str]) -> Iterator[Case]:
    _require_known(data, {"title", "about", "defaults", "case"}, topic)
    defaults = data.get("defaults", {})
    for written in data["case"]:
        label = f"{topic}: {written.get('id', 'a case without an id')}"
        _require_known({**defaults, **written}, _CASE_KEYS, label)
        yield _case(topic, {**defaults, **written}, _expected(defaults, written, label, dialects, inherits))


def _case(topic: str, table: dict[str, Any], expect: Mapping[str, Expectation]) -> Case:
    times = table.pop("filter_times", 1)
    table["filter"] = " AND ".join([table.get("filter", "")] * times)
    for name in ("features", "order_by", "experiment_ids", "calls"):
        if name in table:
            table[name] = tuple(table[name])
    return Case(**{**table, "topic": topic, "expect": expect})


def _expected(
    defaults: Table, written: Table, label: str, dialects: tuple[str, ...], inherits: Mapping[str, str]
) -> dict[str, Expectation]:
    """Return the expectation of each dialect: the case's own, else its `all`, else those of the file's defaults.

    A dialect that inherits has its own or that of the dialect it inherits from.
    """
    own = dict(written.get("expect", {}))
    every = dict.fromkeys((d for d in dialects if d not in inherits), own.pop("all")) if "all" in own else {}
    inherited = {name: f"as {other}" for name, other in inherits.items()}
    tables = {**inherited, **defaults.get("expect", {}), **every, **own}
    _require_known(tables, set(dialects), label)
    return {name: _expectation(name, tables, label, ()) for name in dialects}


def _expectation(name: str, tables: Table, label: str, seen: tuple[str, ...]) -> Expectation:
    if name not in tables or name in seen:
        raise ValueError(f"{label}: no expectation for {name}")
    table = {"as": tables[name]} if isinstance(tables[name], str) else tables[name]
    _require_known(table, _EXPECTATION_KEYS, f"{label}, {name}")
    if len(table.keys() & {"as", "rows", "pages", "error"}) != 1:
        raise ValueError(f"{label}: {name} needs exactly one of rows, pages, error and as")
    if "as" not in table:
        return _written(table)
    other, _, direction = table["as"].removeprefix("as ").partition(" ")
    found = _expectation(other, tables, label, (*seen, name))
    if direction == "reversed" and found.rows is not None:  # tied rows keep the order of their ids
        found = attrs.evolve(found, rows=found.rows[::-1])
    return attrs.evolve(found, warns=tuple(table["warns"])) if "warns" in table else found


def _written(table: Table) -> Expectation:
    problems = [table["error"], *table.get("also", [])] if "error" in table else []
    return Expectation(
        tuple(map(_row, table["rows"])) if "rows" in table else None,
        tuple(tuple(map(_row, page)) for page in table["pages"]) if "pages" in table else None,
        tuple(map(_problem, problems)),
        tuple(table.get("warns", ())),
    )


def _row(written: Any) -> Row:
    match written:
        case str():
            return written
        case {"ids_descending": names}:
            return Tied(tuple(names), descending=True)
    return Tied(tuple(written))


def _problem(table: Table) -> Problem:
    _require_known(table, _PROBLEM_KEYS, "an error")
    return Problem(**{**table, "span": tuple(table["span"]) if "span" in table else None})


def _require_known(table: Table, known: set[str], label: str) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        raise ValueError(f"{label}: unknown {', '.join(unknown)}")


def chosen(suite: Suite, names: Sequence[str]) -> list[Case]:
    """Return the cases of the given ids and topics, all cases if `names` is empty.

    Raises:
        ValueError: a name is unknown.
    """
    known = {case.id for case in suite.cases} | set(suite.topics) | {"values"}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"unknown case or topic {', '.join(map(repr, unknown))}")
    return [case for case in suite.cases if not names or case.id in names or case.topic in names]
