"""Every system that answers in SQL finds what the reference engine finds, for every plan, and reads what was logged.

`MLQUERY_SQL_QUERIES=100000` asks so many queries of each engine instead of a few; see docs/contributing/set-up.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import product, starmap
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import mlquery
from mlquery.client.in_place import InPlaceClient
from mlquery.conformance.engines import MIRRORS, Mirror, server_mirror
from mlquery.engine import reference
from mlquery.entities import ViewType
from mlquery.errors import StoreError
from mlquery.language.plan import Entity, FieldRef, Function, Kind, Plan, predicates
from mlquery.query.search import check, plan_of
from mlquery.sql import compiling
from mlquery.sql.conditions import required_fields
from mlquery.sql.errors import NotAskableError
from mlquery.sql.layouts.first_table import TABLES, FirstTable
from mlquery.sql.layouts.points import stored
from mlquery.sql.opening import open_in_place
from mlquery.sql.ordering import Position
from mlquery.sql.reading import is_ordered_by_mean
from mlquery.sql.rewriting import rewritten
from mlquery.sql.source import Page, Source
from mlquery.store import Store
from mlquery.sync.content import summary_of
from mlquery.sync.exporting import export
from tests.support import random_queries, sql_stores
from tests.support.databases import ON_DUCKDB, ON_MARIADB, ON_POSTGRES, ON_SPARK
from tests.support.statements import statements_run

_AT_ONCE = 20
_FEW = 6  # where a query takes hundreds of milliseconds
_PHASES = (Phase.generate,)  # to shrink so many queries at once would take minutes, and a failure shows its statement
_QUERIES = int(os.environ.get("MLQUERY_SQL_QUERIES", "0"))

SCHEMA = [
    pytest.param("sqlite", marks=pytest.mark.xdist_group("sqlite")),
    pytest.param("postgres", marks=ON_POSTGRES),
    pytest.param("mariadb", marks=ON_MARIADB),
]
LAKE = [
    pytest.param("duckdb", marks=ON_DUCKDB),
    pytest.param("duckdb-wide", marks=ON_DUCKDB),
    pytest.param("spark", marks=ON_SPARK),
    pytest.param("spark-wide", marks=ON_SPARK),
]
LARGE = sql_stores.new_store(1, 200)
SMALL = sql_stores.new_store(2, 40)
LARGE_WITHOUT_NUL = sql_stores.new_store(1, 200, has_nul=False)
SMALL_WITHOUT_NUL = sql_stores.new_store(2, 40, has_nul=False)
LAKE_NAMES = ["duckdb", "duckdb-wide", "spark", "spark-wide"]

VIEWS = st.sampled_from([ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL])
LIMITS = st.sampled_from([None, None, 0, 1, 2, 5, 17])
SOME_EXPERIMENTS = st.sampled_from(
    [None, None, frozenset("0123456"), frozenset({"1", "10"}), frozenset({"99"}), frozenset()]
)
DIALECTS = st.sampled_from(["extended", "extended", "oss", "oss:2.9", "azure"])


def examples(engine: str, divisor: int = 1) -> int:
    """Return how many examples of `at_once` queries to draw."""
    if _QUERIES:
        return max(_QUERIES // _AT_ONCE, 1)
    return 1 if engine.startswith("spark") else 16 // divisor


def at_once(engine: str, size: int = _AT_ONCE) -> dict[str, Any]:
    """Return how many queries to put to one copy of a store."""
    size = min(size, _FEW) if engine.startswith("spark") and not _QUERIES else size
    return {"min_size": size, "max_size": size}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw the plan of a search of runs, in one of several dialects where it is accepted there."""
    filter_string, order_by, view = draw(sql_stores.FILTERS), draw(sql_stores.ORDERS), draw(VIEWS)
    dialect, experiments = draw(DIALECTS), draw(SOME_EXPERIMENTS)
    for name, order in ((dialect, order_by), ("extended", order_by), ("extended", order_by[:1])):
        if check(filter_string, order, dialect=name):
            plan = plan_of(filter_string, order, dialect=name, view_type=view)
            return attrs.evolve(plan, experiment_ids=experiments)
    return attrs.evolve(plan_of(filter_string, [], dialect="extended", view_type=view), experiment_ids=experiments)


@st.composite
def experiment_plans(draw: st.DrawFn) -> Plan:
    """Draw the plan of a search of experiments."""
    filter_string = draw(random_queries.filters(random_queries.EXPERIMENT_CLAUSES))
    order_by = draw(random_queries.EXPERIMENT_ORDERS)
    return plan_of(filter_string, order_by, entity="experiment", view_type=draw(VIEWS))


@attrs.frozen(eq=False)
class Asked:
    """An engine with what mirrors a store there."""

    name: str
    mirror: Mirror

    @property
    def is_lake(self) -> bool:
        """Tell whether its data are files, which hold less than MLflow's database."""
        return self.name in LAKE_NAMES

    @property
    def is_of_databricks(self) -> bool:
        """Tell whether the files are those of Databricks' tables, which have neither datasets nor logged models."""
        return self.name in ("duckdb", "spark")

    @property
    def large(self) -> Store:
        """Return a store of some 200 runs."""
        return LARGE_WITHOUT_NUL if self.name == "postgres" else LARGE

    @property
    def small(self) -> Store:
        """Return a store of some 40 runs."""
        return SMALL_WITHOUT_NUL if self.name == "postgres" else SMALL


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[Asked]:
    """Give an engine; skip where it cannot be had."""
    name = request.param
    with ExitStack() as stack:
        if name in ("postgres", "mariadb"):
            mirror = stack.enter_context(server_mirror(request.getfixturevalue(f"{name}_server")))
        else:
            try:
                mirror = stack.enter_context(MIRRORS[name]())
            except StoreError as error:
                pytest.skip(str(error))
        yield Asked(name, mirror)


def needs_what_a_lake_lacks(plan: Plan) -> bool:
    """Tell whether a plan is about what is in MLflow's database and in no file of an export."""
    fields = [*(predicate.field for predicate in predicates(plan.where)), *(key.field for key in plan.order)]
    return any(field.kind is Kind.DATASET or field.key == "artifact_uri" for field in fields)


def answers(engine: Asked, source: Source, store: Store, plan: Plan, limit: int | None) -> list[tuple[str, Any, Any]]:
    """Return what the engine and the reference say about a plan where they differ."""
    table = store.runs if plan.entity is Entity.RUN else store.experiments
    expected = [table.ids[row] for row in reference.rows(store, plan)]
    try:
        found = [("ids", expected[:limit], source.ids(plan, limit)), ("count", len(expected), source.count(plan))]
    except NotAskableError:
        assert engine.is_lake, "MLflow's own database answers everything"
        assert needs_what_a_lake_lacks(plan)
        return []
    return [answer for answer in found if answer[1] != answer[2]]


@pytest.mark.slow
@pytest.mark.parametrize("engine", SCHEMA + LAKE, indirect=True)
def test_every_engine_finds_the_runs_that_the_reference_finds(engine: Asked) -> None:
    ask_at_random(engine, plans(), examples(engine.name))


@pytest.mark.slow
@pytest.mark.parametrize("engine", SCHEMA, indirect=True)
def test_every_engine_of_mlflows_schema_finds_the_experiments_that_the_reference_finds(engine: Asked) -> None:
    ask_at_random(engine, experiment_plans(), examples(engine.name, 2))


def ask_at_random(engine: Asked, drawn: st.SearchStrategy[Plan], most: int) -> None:
    """Ask an engine and the reference, `most` times, for some plans each."""
    store = engine.large

    @settings(max_examples=most, phases=_PHASES, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(drawn, LIMITS), **at_once(engine.name)))
    def ask(queries: list[tuple[Plan, int | None]]) -> None:
        source: Any = engine.mirror.source(store)
        for plan, limit in queries:
            assert [] == answers(engine, source, store, plan, limit), f"{plan}\n{source.statement(plan, limit)}"

    ask()


@pytest.mark.slow
@pytest.mark.parametrize("engine", SCHEMA[:1], indirect=True)
def test_sqlite_finds_the_same_runs_with_whichever_table_it_begins(engine: Asked) -> None:
    store = engine.large

    @settings(max_examples=examples(engine.name), phases=_PHASES, suppress_health_check=list(HealthCheck))
    @given(st.lists(plans(), **at_once(engine.name)))
    def ask(queries: list[Plan]) -> None:
        source: Any = engine.mirror.source(store)
        for plan in queries:
            if not is_ordered_by_mean(plan):
                expected = [store.runs.ids[row] for row in reference.rows(store, plan)]
                for first, ids in ids_by_first_table(source, plan):
                    assert expected == ids, f"{first}\n{plan}"

    ask()


def ids_by_first_table(source: Source, plan: Plan) -> Iterator[tuple[FirstTable, list[str]]]:
    """Yield everything that a search can begin with, and what it finds so."""
    layout: Any = source.layout
    with source.engine.snapshot() as session:
        asked = rewritten(plan, layout, session)
        keys = [field for field in required_fields(asked.where) if field.kind in TABLES]
        for first in (FirstTable(), *starmap(FirstTable, product(keys, (True, False)))):
            statement = compiling.page(asked, attrs.evolve(layout, first=first), session.dialect, None).statement
            yield first, [row[0] for row in session.rows(statement)]


@pytest.mark.slow
@pytest.mark.parametrize("engine", SCHEMA + LAKE, indirect=True)
def test_pages_of_any_size_together_are_the_result_with_the_data_of_every_run(engine: Asked) -> None:
    store = engine.small
    sizes = st.integers(1, 17) if not engine.name.startswith("spark") else st.integers(12, 25)

    @settings(max_examples=max(examples(engine.name) // 2, 1), phases=_PHASES, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(plans(), st.lists(sizes, min_size=1, max_size=4)), **at_once(engine.name, 5)))
    def walk(queries: list[tuple[Plan, list[int]]]) -> None:
        source: Any = engine.mirror.source(store)
        for plan, turns in queries:
            if engine.is_lake and needs_what_a_lake_lacks(plan):
                continue
            expected = [store.runs.ids[row] for row in reference.rows(store, plan)]
            pages = walked(source, plan, turns)
            assert expected == [page.store.runs.ids[row] for page in pages for row in page.rows]
            for page in pages:
                for row in page.rows:
                    assert [] == differences(engine, store, page.store, page.store.runs.ids[row])

    walk()


def walked(source: Source, plan: Plan, sizes: Sequence[int]) -> list[Page]:
    """Return all pages of a search; their sizes follow each other in turn."""
    pages = [source.page(plan, sizes[0])]
    while pages[-1].next is not None:
        size = sizes[len(pages) % len(sizes)]
        position = Position(tuple(json.loads(json.dumps(pages[-1].next.values))))  # a page token is JSON
        pages.append(source.page(plan, size, position))
        assert len(pages) <= LARGE.runs.size
    return pages


def differences(engine: Asked, store: Store, found: Store, run_id: str) -> list[str]:
    """Return what of a run is otherwise than in the store that was mirrored."""
    own, there = summary_of(store, run_id), summary_of(found, run_id)
    wrong = [name for name in ("params", "tags") if getattr(own, name) != getattr(there, name)]
    if not engine.is_of_databricks:
        wrong += ["outputs"] if own.outputs != there.outputs else []
        for name in ("inputs", "model_inputs"):  # in any order
            if sorted(getattr(own, name), key=repr) != sorted(getattr(there, name), key=repr):
                wrong.append(name)
    lacking = ("artifact_uri",) if engine.is_lake else ()
    infos = [{k: v for k, v in attrs.asdict(one.info).items() if k not in lacking} for one in (own, there)]
    wrong += [f"info.{name}" for name in infos[0] if infos[0][name] != infos[1][name]]
    points = [{key: plain(engine, point) for key, point in one.latest.items()} for one in (own, there)]
    experiment = store.experiments.row_of[own.info.experiment_id]
    wrong += ["experiment"] if own.info.experiment_id not in found.experiments.row_of else []
    assert store.experiments.ids[experiment] == own.info.experiment_id
    return wrong if points[0] == points[1] else [*wrong, f"metrics {points}"]


def plain(engine: Asked, point: tuple[float, int, int]) -> tuple[Any, ...]:
    """Return a latest point to be compared; files have its value alone."""
    value = "NaN" if point[0] != point[0] else point[0]
    return (value,) if engine.is_lake else (value, *point[1:])


@pytest.mark.slow
@pytest.mark.parametrize("engine", SCHEMA + LAKE, indirect=True)
def test_histories_are_read_as_they_were_logged(engine: Asked) -> None:
    store = engine.small
    source = engine.mirror.source(store)
    run_ids = [*store.runs.ids[:30], "nobody"]

    found = source.histories(run_ids, [*sql_stores.METRIC_KEYS, "nowhere"])

    logged = {
        (r, key): store.history(r, key) for r in run_ids[:-1] for key in store.runs.metric_keys[store.runs.row_of[r]]
    }
    assert logged.keys() == found.keys()
    for place, history in logged.items():
        assert all(np.array_equal(*pair, equal_nan=True) for pair in zip(history, found[place], strict=True)), place
    assert found.keys() == source.histories(run_ids).keys()


@pytest.mark.slow
@pytest.mark.parametrize("engine", SCHEMA + LAKE, indirect=True)
def test_values_of_fields_are_those_of_the_runs(engine: Asked) -> None:
    store = engine.small
    functions = [
        FieldRef(Kind.HISTORY, "loss", function)
        for function in Function
        if function not in (Function.AT, Function.LAST)
    ]
    fields = [
        *(FieldRef(Kind.METRIC, key) for key in sql_stores.METRIC_KEYS),
        *(FieldRef(Kind.PARAM, key) for key in sql_stores.PARAM_KEYS),
        *(FieldRef(Kind.ATTRIBUTE, key) for key in ("run_name", "start_time", "end_time", "duration", "status")),
        *functions,
        FieldRef(Kind.HISTORY, "loss", Function.AT, 1),
    ]
    plan = plan_of("", ["metrics.acc DESC"], dialect="extended", view_type=ViewType.ALL)

    found = engine.mirror.source(store).values(plan, fields)

    runs = store.runs.runs_at(reference.rows(store, plan))
    expected = [(run.info.run_id, *(_value(run, field, store) for field in fields)) for run in runs]
    assert list(map(_comparable, expected)) == list(map(_comparable, found))


@ON_SPARK
@pytest.mark.slow
@pytest.mark.parametrize("layout", ["tables", "wide"])
def test_a_lazy_frame_of_spark_has_what_is_asked_for(spark_session: Any, layout: str, tmp_path: Path) -> None:
    from pyspark.sql import DataFrame

    store = SMALL
    export(store, tmp_path, layout=layout)
    client = client_of_spark(spark_session, tmp_path, layout)
    columns = ["run_id", "metrics.loss", "status", "params.model", "max(metrics.loss)", "count(metrics.acc)"]
    query = (store.experiments.ids, "metrics.loss != 0.5 OR tags.team LIKE '%a%'", ViewType.ALL, 9, ["metrics.acc"])

    with statements_run() as asked:
        frame = client.search_frame(*query, columns=columns, output_format="spark")

    assert isinstance(frame, DataFrame)
    assert not asked
    expected = mlquery.search_frame(store, *query, columns=columns, dialect="extended", output_format="arrow")
    rows = zip(*(column.to_pylist() for column in expected), strict=True)
    assert columns == frame.columns
    found = (tuple(stored(cell) if isinstance(cell, float) else cell for cell in row) for row in frame.collect())
    assert list(map(_comparable, rows)) == list(map(_comparable, found))  # it has infinities, as the tables have
    with pytest.raises(NotAskableError, match="an exact mean is not computed by Spark"):
        client.search_frame(*query, columns=["mean(metrics.loss)"], output_format="spark")


def client_of_spark(session: Any, folder: Path, layout: str) -> InPlaceClient:
    """Return a client of files, or of a session in which they are tables already."""
    if layout == "wide":
        return InPlaceClient(open_in_place(folder, engine="spark"), "extended")
    for file in folder.glob("*.parquet"):
        session.read.parquet(str(file)).createOrReplaceTempView(file.stem)
    return mlquery.connect(session)


def _value(run: Any, field: FieldRef, store: Store) -> Any:
    values = reference.values_of(run, field, store)
    return values[0] if values else None


def _comparable(row: tuple[Any, ...]) -> list[Any]:
    return ["NaN" if value != value else value for value in row]


@pytest.mark.slow
@pytest.mark.parametrize("engine", SCHEMA, indirect=True)
def test_experiments_are_read_as_they_were_made(engine: Asked) -> None:
    store = engine.small
    source = engine.mirror.source(store)
    names = [store.experiments.string("name", row) or "" for row in (1, 2)]

    found = source.experiments([*store.experiments.ids, "4711"])
    named = source.experiments(names=[*names, "nobody"])

    expected = [store.experiments.experiment_at(row) for row in range(store.experiments.size)]
    assert expected == [found.experiments.experiment_at(row) for row in range(found.experiments.size)]
    assert expected[1:3] == [named.experiments.experiment_at(row) for row in range(named.experiments.size)]


@pytest.mark.slow
@pytest.mark.parametrize("engine", SCHEMA, indirect=True)
def test_what_a_database_cannot_hold_is_refused_and_not_altered(engine: Asked) -> None:
    for string in ["a\ud800b", *(["a\0b"] if engine.name == "postgres" else [])]:
        store = Store(seed=1)
        store.load_run("f" * 32, "0", params={"p": string})

        with pytest.raises(NotAskableError, match=r"the database (cannot hold|refuses) it"):  # by the driver or itself
            engine.mirror.source(store)
