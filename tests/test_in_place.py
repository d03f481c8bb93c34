"""What is above a source: every read call, frame, aggregate and page in place is what the same data say in a store."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import mlquery
from mlquery import Client, PagedList, QueryError, QueryWarning, Store, StoreError, ViewType
from mlquery.backend import Backend
from mlquery.backend.in_place import REFUSED, InPlaceBackend
from mlquery.backend.service import CALLS, registry_of
from mlquery.client.in_place import InPlaceClient
from mlquery.entities import Metric, RunTag
from mlquery.language.matrix import MATRIX
from mlquery.query.page_tokens import PageToken, all_pages
from mlquery.resources import example_database
from tests.support.doors import contents
from tests.support.source_over_store import SourceOverStore

DIALECTS = sorted({*MATRIX.main_dialects, MATRIX.local_dialect.name})
Call = Callable[[Any, Any], Any]


def both(dialect: str) -> tuple[Backend, InPlaceBackend, Any]:
    """Return a service over a store, one in place over the same data, and the ids in it."""
    service, ids = contents("oss", "mlquery-artifacts:")  # ids as a database has them
    store = service.store
    service.registry.copy_into(registry_of(store))
    return Backend(store, None, dialect), InPlaceBackend(SourceOverStore(store), dialect), ids


def outcome(call: Call, backend: Any, ids: Any) -> Any:
    """Return what a call answers, or how it is refused, and what it warns of, as plain values."""
    warned: list[str] = []
    backend.on_warning = lambda found: warned.extend(map(str, found))
    try:
        return plain(call(backend, ids)), warned
    except (StoreError, QueryError) as error:
        return type(error), str(error), error.error_code, warned


def plain(answer: Any) -> Any:
    if isinstance(answer, PagedList):
        return [plain(one) for one in answer], answer.token is not None
    if isinstance(answer, list | tuple):
        return [plain(one) for one in answer]
    if hasattr(answer, "to_dictionary"):
        return repr(answer.to_dictionary())
    return repr(answer)


READS: dict[str, Call] = {
    "get_run": lambda b, i: b.get_run(i.run),
    "get_run, a child": lambda b, i: b.get_run(i.child),
    "get_run, deleted": lambda b, i: b.get_run(i.deleted),
    "get_run, missing": lambda b, i: b.get_run("0" * 32),
    "search_runs": lambda b, i: b.search_runs([i.work, i.other]),
    "search_runs, filtered": lambda b, i: b.search_runs([i.work], "metrics.loss < 0.5 and params.lr = '0.2'"),
    "search_runs, all stages": lambda b, i: b.search_runs([i.work, i.other], "", ViewType.ALL),
    "search_runs, ordered": lambda b, i: b.search_runs([i.work], "", 1, 10, ["metrics.loss DESC"]),
    "search_runs, a page": lambda b, i: b.search_runs([i.work], "", 1, 1),
    "search_runs, a full page": lambda b, i: b.search_runs([i.work], "", 1, 2),
    "search_runs, none": lambda b, i: b.search_runs([i.work], "", 1, 0),
    "search_runs, all": lambda b, i: b.search_runs([i.work], "", 1, None),
    "search_runs, the default experiment": lambda b, i: b.search_runs(["0"]),
    "search_runs, no integer": lambda b, i: b.search_runs(["x"]),
    "search_runs, too many": lambda b, i: b.search_runs([i.work], "", 1, 50_001),
    "search_runs, wrong": lambda b, i: b.search_runs([i.work], "metric.loss <"),
    "search_runs, wrong order": lambda b, i: b.search_runs([i.work], "", 1, 1, ["loss"]),
    "search_runs, a damaged token": lambda b, i: b.search_runs([i.work], "", 1, 1, None, "abc"),
    "search_experiments": lambda b, i: b.search_experiments(),
    "search_experiments, all": lambda b, i: b.search_experiments(ViewType.ALL, 10, "name LIKE 'w%'", ["name DESC"]),
    "search_experiments, a page": lambda b, i: b.search_experiments(max_results=1),
    "search_experiments, none": lambda b, i: b.search_experiments(max_results=0),
    "get_experiment": lambda b, i: b.get_experiment(i.work),
    "get_experiment, archived": lambda b, i: b.get_experiment(i.archived),
    "get_experiment, another spelling": lambda b, i: b.get_experiment(f" +0{i.work}"),
    "get_experiment, default": lambda b, i: b.get_experiment(""),
    "get_experiment, missing": lambda b, i: b.get_experiment("999"),
    "get_experiment, no integer": lambda b, i: b.get_experiment("x"),
    "get_experiment_by_name": lambda b, i: b.get_experiment_by_name("work"),
    "get_experiment_by_name, missing": lambda b, i: b.get_experiment_by_name("elsewhere"),
    "filter_active_experiment_ids": lambda b, i: b.filter_active_experiment_ids([i.work, i.archived, "999"]),
    "search_datasets": lambda b, i: b.search_datasets([i.work, i.other]),
    "get_metric_history": lambda b, i: b.get_metric_history(i.run, "loss"),
    "get_metric_history, a page": lambda b, i: b.get_metric_history(i.run, "loss", 2),
    "get_metric_history, missing": lambda b, i: b.get_metric_history(i.run, "elsewhere"),
    "get_metric_history_bulk": lambda b, i: b.get_metric_history_bulk([i.child, i.run], "loss", 3),
    "get_max_step_for_metric": lambda b, i: b.get_max_step_for_metric(i.run, "loss"),
    "get_max_step_for_metric, missing": lambda b, i: b.get_max_step_for_metric("0" * 32, "loss"),
    "get_metric_history_bulk_interval": lambda b, i: b.get_metric_history_bulk_interval(
        [i.run, i.child], "loss", 2, 0, 9
    ),
    "get_metric_history_bulk_interval, half": lambda b, i: b.get_metric_history_bulk_interval(
        [i.run], "loss", 2, 0, None
    ),
    "get_logged_model": lambda b, i: b.get_logged_model(i.model),
    "get_logged_model, missing": lambda b, i: b.get_logged_model("m-nothing"),
    "search_logged_models": lambda b, i: b.search_logged_models([i.work]),
    "search_logged_models, filtered": lambda b, i: b.search_logged_models([i.work], "metrics.score > 0.5"),
    "search_logged_models, elsewhere": lambda b, i: b.search_logged_models([i.other]),
    "get_registered_model": lambda b, i: b.get_registered_model("forest"),
    "get_registered_model, missing": lambda b, i: b.get_registered_model("sea"),
    "search_registered_models": lambda b, i: b.search_registered_models("name LIKE 'f%'"),
    "get_model_version": lambda b, i: b.get_model_version("forest", 2),
    "get_model_version, missing": lambda b, i: b.get_model_version("forest", 9),
    "get_model_version_by_alias": lambda b, i: b.get_model_version_by_alias("forest", "best"),
    "get_model_version_download_uri": lambda b, i: b.get_model_version_download_uri("forest", 1),
    "get_latest_versions": lambda b, i: b.get_latest_versions("forest", ["Production"]),
    "search_model_versions": lambda b, i: b.search_model_versions(f"run_id = '{i.run}'"),
    "get_metric_history_bulk_interval_from_steps": lambda b, i: b.get_metric_history_bulk_interval_from_steps(
        i.run, "loss", [0, 2], 9
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", READS)
def test_a_read_in_place_answers_as_the_store_does(name: str, dialect: str) -> None:
    over_store, in_place, ids = both(dialect)

    assert outcome(READS[name], over_store, ids) == outcome(READS[name], in_place, ids)


def test_every_call_is_answered_or_refused_in_place() -> None:
    answered = {name.partition(",")[0] for name in READS}

    assert sorted(CALLS) == sorted({*answered, *REFUSED})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_no_source_answers_is_refused_by_name(dialect: str) -> None:
    _, in_place, _ = both(dialect)
    for name in REFUSED:
        with pytest.raises(StoreError) as refusal:
            getattr(in_place, name)()
        if type(refusal.value) is StoreError:  # else the dialect has no such endpoint
            assert str(refusal.value).startswith(f"{name} is refused: "), name
            assert "; instead: " in str(refusal.value), name


def test_a_write_is_refused_with_who_takes_it() -> None:
    client = InPlaceClient(both("oss")[1].source)
    writes: list[Callable[[], Any]] = [
        lambda: client.create_experiment("new"),
        lambda: client.create_run("1"),
        lambda: client.log_metric("a", "m", 1.0),
        lambda: client.log_batch("a", [Metric("m", 1.0, 1, 1)]),
        lambda: client.set_tag("a", "k", "v"),
        lambda: client.set_terminated("a"),
        lambda: client.delete_run("a"),
        lambda: client.create_registered_model("forest"),
    ]
    for write in writes:
        with pytest.raises(
            StoreError, match=r"is refused: sqlite:///runs.db is searched in place, read-only"
        ) as refusal:
            write()
        assert refusal.value.error_code == "PERMISSION_DENIED"
        assert str(refusal.value).endswith("instead: write to the server that owns the database")


def test_what_needs_all_runs_in_memory_says_so() -> None:
    client = InPlaceClient(both("oss")[1].source)

    with pytest.raises(StoreError, match="instead: load it"):
        client.compare_runs("")


def test_faults_are_met_in_place() -> None:
    _, in_place, ids = both("oss")
    in_place.faults.fail_next("search_runs", ConnectionError("reset by peer"))

    with pytest.raises(ConnectionError):
        in_place.search_runs([ids.work])

    assert len(in_place.search_runs([ids.work])) == 2


# --- pages ----------------------------------------------------------------------------------------------------------


def many(size: int = 25) -> Store:
    store = Store(seed=3)
    experiment = store.create_experiment("many")
    for number in range(size):
        run_id = store.create_run(experiment, "ada", 1000 + number % 4, [RunTag("n", str(number))], None).info.run_id
        value = math.nan if number % 5 == 0 else number % 3
        if number % 7:
            store.log_metric(run_id, Metric("m", value, 1, 0))
            store.log_metric(run_id, Metric("m", value + 1, 2, 1))
    return store


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("size", [1, 5, 7, 25, 26])
def test_all_pages_in_place_have_every_run_once(size: int, dialect: str) -> None:
    store = many()
    over_store, in_place = Backend(store, None, dialect), InPlaceBackend(SourceOverStore(store), dialect)

    def ids(backend: Any) -> list[str]:
        def search(max_results: int, page_token: str | None) -> PagedList[Any]:
            return backend.search_runs(["1"], "", 1, max_results, ["start_time DESC"], page_token)  # type: ignore[no-any-return]

        return [run.info.run_id for run in all_pages(search, size)]

    assert ids(over_store) == ids(in_place)
    assert len(ids(in_place)) == 25


def test_a_run_that_is_logged_between_two_pages_moves_none() -> None:
    store = many()
    in_place = InPlaceBackend(SourceOverStore(store))
    first = in_place.search_runs(["1"], "", 1, 10)
    store.create_run("1", "ada", 9999, [], None)

    second = in_place.search_runs(["1"], "", 1, 10, None, first.token)

    assert not {run.info.run_id for run in first} & {run.info.run_id for run in second}


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (lambda token: "abc", "not a valid page token"),
        (lambda token: token[:-8], "not a valid page token"),
        (lambda token: str(PageToken(10)), "not a page token of a search in place"),
        (lambda token: str(PageToken(10, after=("x",), check=1)), "a page token of another search, or damaged"),
        (lambda token: str(PageToken(10, after=(True,), check=1)), "not a valid page token"),
    ],
)
def test_a_damaged_or_foreign_token_is_refused_by_name(token: Callable[[str], str], words: str) -> None:
    in_place = InPlaceBackend(SourceOverStore(many()))
    written = in_place.search_runs(["1"], "", 1, 10).token
    assert written is not None

    with pytest.raises(QueryError, match=words) as refusal:
        in_place.search_runs(["1"], "", 1, 10, None, token(written))

    assert refusal.value.diagnostics[0].code == "bad-page-token"


def test_the_token_of_another_order_is_refused() -> None:
    in_place = InPlaceBackend(SourceOverStore(many()))
    token = in_place.search_runs(["1"], "", 1, 10, ["metrics.m"]).token

    with pytest.raises(QueryError, match="of another search"):
        in_place.search_runs(["1"], "", 1, 10, ["metrics.m DESC"], token)


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, query: client.search_runs(["1"], query),
        lambda client, query: client.search_frame(["1"], query),
        lambda client, query: client.count_runs(["1"], query),
        lambda client, query: client.aggregate("count()", (), query),
    ],
)
def test_a_warning_is_issued_for_who_asks(ask: Callable[[Any, str], Any]) -> None:
    client = InPlaceClient(SourceOverStore(many()), "azure")

    with pytest.warns(QueryWarning, match="looks like seconds") as warned:
        ask(client, "start_time < '1000'")

    assert [__file__] == [one.filename for one in warned]


# --- frames ---------------------------------------------------------------------------------------------------------

COLUMNS = [
    *("run_id", "status", "artifact_uri", "start_time", "end_time", "metrics.m", "metrics.none", "params.none"),
    *("tags.n", "max(metrics.m)", "count(metrics.m)", "argmax(metrics.m)", "first(metrics.m)"),
]
EXTENDED = MATRIX.local_dialect


@pytest.mark.parametrize("columns", [None, COLUMNS])
@pytest.mark.parametrize("limit", [None, 0, 1, 10])
def test_a_frame_in_place_is_that_of_the_store(columns: list[str] | None, limit: int | None) -> None:
    store = many()
    client = InPlaceClient(SourceOverStore(store), EXTENDED)
    query: Any = (["1"], "tags.n != '3'", 1, limit, ["metrics.m DESC"])

    loaded = mlquery.search_frame(store, *query, columns=columns, dialect=EXTENDED)

    assert loaded.equals(client.search_frame(*query, columns=columns))
    assert loaded.equals(mlquery.search_frame(client, *query, columns=columns, dialect=EXTENDED))
    assert loaded.dtypes.equals(client.search_frame(*query, columns=columns).dtypes)


def test_a_frame_of_chosen_columns_reads_nothing_else() -> None:
    source = SourceOverStore(many())

    InPlaceClient(source, EXTENDED).search_frame(columns=["metrics.m"])

    assert source.asked == ["values"]


@pytest.mark.parametrize("output_format", ["arrow", "polars"])
@pytest.mark.parametrize("columns", [None, COLUMNS])
def test_other_formats_tell_nan_from_what_is_missing(columns: list[str] | None, output_format: str) -> None:
    store = many()
    client = InPlaceClient(SourceOverStore(store), EXTENDED)
    query: Any = (["1"], "", 1, None, None)

    loaded = mlquery.search_frame(store, *query, columns=columns, dialect=EXTENDED, output_format=output_format)
    in_place = client.search_frame(*query, columns=columns, output_format=output_format)

    values = loaded["metrics.m"].to_pylist() if output_format == "arrow" else loaded["metrics.m"].to_list()
    assert values.count(None) == 4
    assert sum(value is not None and math.isnan(value) for value in values) == 4
    assert loaded.schema == in_place.schema
    assert repr(loaded.to_pydict() if output_format == "arrow" else loaded.to_dict(as_series=False)) == repr(
        in_place.to_pydict() if output_format == "arrow" else in_place.to_dict(as_series=False)
    )


def test_an_unknown_format_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="unknown output format 'csv'; formats are pandas, arrow, polars, spark"):
        mlquery.search_frame(Store(), ["0"], output_format="csv")


def test_a_lazy_frame_is_one_of_spark() -> None:
    with pytest.raises(ValueError, match="of what Spark searches in place"):
        mlquery.search_frame(Store(), ["0"], columns=["run_id"], output_format="spark")
    with pytest.raises(StoreError, match="only Spark has such frames"):
        mlquery.connect(str(example_database())).search_frame(columns=["run_id"], output_format="spark")


def test_aggregates_in_place_are_those_of_the_store() -> None:
    store = many()
    client = InPlaceClient(SourceOverStore(store), EXTENDED)
    query: Any = ("count(), mean(metrics.m), max(max(metrics.m)), count(params.none), min(start_time)", ["metrics.m"])

    loaded = mlquery.aggregate(store, *query)

    assert loaded.equals(client.aggregate(*query))
    assert loaded.equals(mlquery.aggregate(client, *query))


def test_histories_in_place_are_those_of_the_store() -> None:
    store = many()
    client = InPlaceClient(SourceOverStore(store))
    asked: Any = (store.runs.ids[:5], ["m", "none"], (1, None))

    assert mlquery.history_frame(store, *asked).equals(client.history_frame(*asked))


def test_counting_reads_no_run() -> None:
    source = SourceOverStore(many())

    assert InPlaceClient(source).count_runs(filter_string="metrics.m > 1") == mlquery.count_runs(
        source.store, ["1"], "metrics.m > 1"
    )
    assert source.asked == []


def test_an_explanation_has_the_statement_and_what_the_engine_makes_of_it() -> None:
    shown = InPlaceClient(SourceOverStore(many())).explain("metrics.m > 1", max_results=7)

    for line in ("latest value of metric 'm' > 1.0", "SELECT run_id FROM runs LIMIT :p0", "p0 = 7", "SCAN runs"):
        assert line in shown


def test_a_refused_query_is_explained_without_a_statement() -> None:
    shown = InPlaceClient(SourceOverStore(many())).explain("metrics.m >")

    assert "refused" in shown
    assert "SELECT" not in shown


def test_a_client_in_place_is_a_client_that_closes() -> None:
    closed: list[bool] = []
    source = SourceOverStore(many())
    source.engine.close = lambda: closed.append(True)  # type: ignore[method-assign]

    with InPlaceClient(source) as client:
        assert isinstance(client, Client)
        assert client.get_run(source.store.runs.ids[0]).info.run_id == source.store.runs.ids[0]

    assert closed == [True]


# --- addresses ------------------------------------------------------------------------------------------------------


def test_an_address_that_means_nothing_is_refused_with_those_that_do() -> None:
    with pytest.raises(
        StoreError, match=r"^oracle:… cannot be searched in place; what can is sqlite:///PATH, "
    ) as refusal:
        mlquery.connect("oracle://ada:secret@host/db")

    assert "secret" not in str(refusal.value)


def test_an_object_that_is_no_session_is_refused() -> None:
    with pytest.raises(StoreError, match="a dict cannot be searched in place"):
        mlquery.connect({})


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(StoreError, match="unknown layout 'star'; layouts are mlflow, databricks, wide"):
        mlquery.connect("sqlite:///runs.db", layout="star")


def test_a_path_without_anything_is_refused(tmp_path: Any) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        mlquery.connect(str(tmp_path / "runs.db"))
