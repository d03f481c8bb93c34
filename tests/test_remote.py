"""Servers in the extended language: how they are recognised, what a search costs, and what others do meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlquery
from mlquery import Client, StoreError
from mlquery.client.in_place import InPlaceClient
from mlquery.engine import columnar
from mlquery.language.matrix import MATRIX
from mlquery.language.recorded import recorded_dialect
from mlquery.remote import points as remote_points
from mlquery.remote import search as remote_search
from mlquery.remote.dialects import _of_release
from mlquery.remote.points import PointReader
from mlquery.remote.requests import TooManyPagesError
from mlquery.server.testing import RunningServer, running_server
from mlquery.store import Store
from tests.support import served_runs
from tests.support.fault_proxy import FAULTS, fault_proxy
from tests.support.random_trees import Trees

HOUR = 3_600_000


def store_of(runs: int, seed: int = 1) -> Store:
    """Return a store with runs of different times and a metric that does not depend on these."""
    rng, store = random.Random(seed), Store(seed=seed)
    store.load_experiment("1", "one")
    for number in range(runs):
        store.load_run(
            f"{number:032x}",
            "1",
            user_id="ann",
            status="FINISHED",
            start_time=1_700_000_000_000 + number * HOUR,
            artifact_uri="s3://b/1",
            run_name="run",
            params={"model": rng.choice(["a", "b"])},
            tags={"mlflow.runName": "run"},
            metrics={"auc": (rng.random(), 1, 0)} | ({"rare": (rng.random(), 1, 0)} if number % 50 == 0 else {}),
        )
    return store


@pytest.fixture(scope="module")
def many() -> Iterator[RunningServer]:
    """Give a server in the dialect of Azure with 3,000 runs."""
    with running_server(store_of(3000), "azure") as server:
        yield server


def found(client: Client, *query: Any, **options: Any) -> list[str]:
    return [run.info.run_id for run in client.search_runs(["1"], *query, **options)]


def cost(client: InPlaceClient) -> tuple[int, int]:
    """Return how many requests the last search took, and how many runs came."""
    source: Any = client.source
    return source.last_cost.taken, source.last_cost.rows


# How servers are recognised


@pytest.mark.parametrize("dialect", ["oss", "azure", "extended", "oss:2.14"])
def test_a_server_of_mlquery_says_its_dialect(dialect: str) -> None:
    with running_server(dialect=dialect) as server:
        source: Any = mlquery.connect(server.tracking_uri).source
        assert dialect == source.server_dialect.name


@pytest.mark.parametrize(
    ("version", "dialect"),
    [
        ((3, 18, 0), "oss"),
        ((4, 0, 0), "oss"),
        ((3, 17, 0), "oss:3.17"),
        ((3, 16, 2), "oss:3.1"),
        ((2, 22, 4), "oss:2.22"),
        ((2, 9, 0), "oss:2.9"),
    ],
)
def test_a_release_of_mlflow_takes_what_the_newest_measured_one_before_it_takes(
    version: tuple[int, ...], dialect: str
) -> None:
    assert dialect == _of_release("http://x", version).name


def test_a_release_that_is_older_than_all_measured_ones_is_refused() -> None:
    with pytest.raises(
        StoreError, match=r"runs MLflow 2.8.1, and nothing older than 2.9.2 is known; instead: server_d"
    ):
        _of_release("http://x", (2, 8, 1))


def test_addresses_of_azure_are_recognised() -> None:
    workspace = "/subscriptions/a/resourceGroups/b/providers/Microsoft.MachineLearningServices/workspaces/c"
    claimed = MATRIX.claiming_dialect(f"https://westeurope.api.azureml.ms/mlflow/v2.0{workspace}")

    assert claimed is not None
    assert claimed is MATRIX.claiming_dialect("azureml://x/y")
    assert MATRIX.claiming_dialect("https://host/mlflow") is None


def test_a_server_that_says_nothing_of_itself_is_refused_unless_its_dialect_is_given(
    many: RunningServer,
) -> None:
    with fault_proxy(many.url, lambda method, path: "404 before" if path == "/version" else "pass") as url:
        uri = url + many.service.workspace_path.replace("Microsoft.MachineLearningServices", "Elsewhere")
        with pytest.raises(StoreError, match=r"does not say which filters it takes .*; instead: server_dialect='oss'"):
            mlquery.connect(uri)
        source: Any = mlquery.connect(uri, server_dialect="azure").source
    assert "azure" == source.server_dialect.name


def test_a_recorded_column_is_a_dialect(tmp_path: Path) -> None:
    file = tmp_path / "column.toml"
    file.write_text(
        '[dialect."other-1"]\nbase = "oss"\ntitle = "Other 1"\nsummary = "Recorded."\n'
        'defaults = { source = "other-1", date = "2026-11-29", confidence = "measured" }\n'
        '[cells]\n"compare.metric" = "no"\n"order.metric" = "no"\n'
    )
    with running_server(store_of(10)) as server:
        client = mlquery.connect(server.tracking_uri, server_dialect=str(file))
        explained = client.explain("metrics.auc > 0.5 AND params.model = 'a'", ["metrics.auc"], max_results=3)
        assert found(Client(server.store, "extended"), "metrics.auc > 0.5") == found(client, "metrics.auc > 0.5")
    assert "(dialect other-1)" in explained
    assert "order_by" not in explained


@pytest.mark.parametrize(
    "written", ["", "[dialect]", "x = ", '[dialect.a]\nbase = "nowhere"\n', '[dialect.a]\nbase="oss"']
)
def test_what_is_no_recorded_column_is_refused_in_one_sentence(written: str) -> None:
    with pytest.raises(
        StoreError, match=r"^a.toml is not a column of the support matrix .* instead: a file that"
    ) as seen:
        recorded_dialect(written, "a.toml")

    assert 1 == len(str(seen.value).splitlines())


# What a search costs


def test_the_best_of_many_runs_take_a_few_pages_where_the_server_does_not_order(many: RunningServer) -> None:
    client, local = mlquery.connect(many.tracking_uri), Client(many.store, "extended")
    for order in (["metrics.auc DESC"], ["metrics.auc"], ["metrics.rare DESC"]):
        query: dict[str, Any] = {"order_by": order, "max_results": 10}
        assert found(local, **query) == found(client, **query)
        calls, fetched = cost(client)
        assert calls <= 10
        assert fetched < 1000


def test_a_search_that_takes_too_many_pages_is_refused_with_one_that_does_not(
    many: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PAGE", "LATER_PAGE"):
        monkeypatch.setattr(remote_search, name, 100)
    client = mlquery.connect(many.tracking_uri, max_pages=5)

    with pytest.raises(
        TooManyPagesError, match=r"more than 5 pages of http.*; instead: \(FILTER\) AND attributes.start_time > "
    ):
        found(client, "params.model = 'a'", order_by=["params.model"])
    with pytest.raises(TooManyPagesError) as seen:
        found(client, "NOT metrics.auc = 2", order_by=["params.model"])
    clause = str(seen.value).partition("(FILTER) AND ")[2].partition(", ")[0]
    narrower = f"NOT metrics.auc = 2 AND {clause}"
    expected = found(Client(many.store, "extended"), narrower, order_by=["params.model"])
    assert expected == found(client, narrower, order_by=["params.model"])
    assert len(expected) >= 400


@pytest.mark.parametrize("size", [59, 60, 61])
def test_runs_without_a_value_follow_on_a_page_of_their_own(many: RunningServer, size: int) -> None:
    client = mlquery.connect(many.tracking_uri)  # 60 of the runs have the metric

    page = client.search_runs(["1"], order_by=["metrics.rare DESC"], max_results=size)
    after = client.search_runs(["1"], order_by=["metrics.rare DESC"], max_results=5, page_token=page.token)

    expected = found(Client(many.store, "extended"), order_by=["metrics.rare DESC"], max_results=size + 5)
    assert expected == [run.info.run_id for run in [*page, *after]]


def test_an_explanation_says_what_is_asked_what_is_decided_here_and_how_many_pages_it_takes(
    many: RunningServer,
) -> None:
    client = mlquery.connect(many.tracking_uri, max_pages=7)

    lines = client.explain("metrics.auc > 0.5 AND tags.team != 'x'", max_results=10).splitlines()

    assert ["asks", "          metrics.auc > 0.5"] == lines[lines.index("asks") :][:2]
    assert "          tags.team != 'x'" == lines[lines.index("decided here") + 1]
    assert "pages     at most 7 (max_pages) of up to 5,000 runs; a search that takes more is refused" == lines[-1]
    joined = client.explain("dataset.name = 'd' AND metrics.auc > 0.5").splitlines()
    assert "          datasets.name = 'd'" == joined[joined.index("decided here") + 1]
    assert "pages     1" == client.explain("metrics.auc > 0.5", max_results=9).splitlines()[-1]


def test_points_are_read_only_of_runs_that_the_rest_does_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(40)
    for run_id in store.runs.ids:
        store.load_history(run_id, "auc", np.array([2.0]), np.array([0]), np.array([-1]))
    with running_server(store) as server:
        client: Any = mlquery.connect(server.tracking_uri)
        read: list[str] = []
        bulk = PointReader._bulk

        def noted(reader: PointReader, requests: Any, run_ids: Any, key: str) -> Any:
            read.extend(run_ids)
            return bulk(reader, requests, run_ids, key)

        monkeypatch.setattr(PointReader, "_bulk", noted)
        written = "max(metrics.auc) = 2 AND params.model = 'a' OR attributes.start_time > 1700090000000"
        assert found(Client(store, "extended"), written) == found(client, written)
    questioned = [
        run_id
        for number, run_id in enumerate(store.runs.ids)
        if number <= 25 and store.runs.run_at(number).data.params["model"] == "a"
    ]
    assert sorted(questioned) == sorted(set(read))


@pytest.mark.parametrize("most", [3, 10, 40, 1000])
def test_runs_with_more_points_than_an_answer_are_read_whole(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_points, "_MOST", most)
    store, rng = store_of(12), random.Random(2)
    for run_id in store.runs.ids:
        size = rng.choice([1, 2, 5, 12, 30])
        steps = np.arange(size) - size
        store.load_history(run_id, "auc", np.array([rng.random() for _ in range(size)]), steps + size, steps)
    with running_server(store) as server:
        client = mlquery.connect(server.tracking_uri)
        for order in (["max(metrics.auc) DESC"], ["count(metrics.auc)"], ["mean(metrics.auc)"]):
            assert found(Client(store, "extended"), order_by=order) == found(client, order_by=order)
        assert client.source.histories(store.runs.ids, ["auc"]).keys() == {(run_id, "auc") for run_id in store.runs.ids}


# What others do meanwhile


@pytest.mark.parametrize("dialect", ["oss", "azure"])
@pytest.mark.parametrize("order_by", [[], ["metrics.auc DESC"], ["params.model"], ["start_time ASC"]])
def test_no_run_that_was_there_throughout_is_missing_while_others_come_and_go(
    dialect: str, order_by: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("PAGE", 10), ("LATER_PAGE", 10), ("_LARGEST_PAGE", 10), ("_SPARE", 1)):
        monkeypatch.setattr(remote_search, name, size)
    store, rng = store_of(120), random.Random(4)
    with running_server(store, dialect) as server:
        client: Any = mlquery.connect(server.tracking_uri)
        writer = server.client
        ask = client.source.client.search_runs
        gone: set[str] = set()

        def meanwhile(*arguments: Any, **options: Any) -> Any:
            for run_id in rng.sample(sorted(set(store.runs.ids) - gone), 3):
                writer.delete_run(run_id)
                gone.add(run_id)
            writer.create_run("1", start_time=1_800_000_000_000)
            return ask(*arguments, **options)

        monkeypatch.setattr(client.source.client, "search_runs", meanwhile)
        there = set(store.runs.ids)
        answer = found(client, "", max_results=None, order_by=order_by)
    assert len(answer) == len(set(answer))
    assert there - gone <= set(answer)
    assert len(gone) >= 9  # several pages were read


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["oss", "azure"])
@pytest.mark.filterwarnings("ignore::mlquery.QueryWarning")
def test_a_server_that_fails_gives_the_whole_answer_or_one_sentence(
    dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"MAX_RETRIES": "2", "BACKOFF_FACTOR": "0", "BACKOFF_JITTER": "0", "TIMEOUT": "5"}
    for name, value in settings.items():
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", value)
    for name in ("PAGE", "LATER_PAGE"):
        monkeypatch.setattr(remote_search, name, 7)
    store, trees, rng = served_runs.served_store(9, 60), Trees(3, 200), random.Random(8)

    def choose(method: str, path: str) -> str:
        return rng.choice(FAULTS) if rng.random() < 0.25 and "/version" not in path else "pass"

    whole, sentences = 0, []
    with running_server(store, dialect) as server, fault_proxy(server.url, choose, 0.02) as url:
        source: Any = mlquery.connect(url + server.service.workspace_path, max_pages=300).source
        for _ in range(60):
            asked = trees.search()
            try:
                answer = source.ids(asked.plan, asked.limit)
            except StoreError as error:
                sentences.append(str(error))
                continue
            assert [store.runs.ids[row] for row in columnar.rows(store, asked.plan)][: asked.limit] == answer, asked
            whole += 1
    assert whole >= 20
    assert len(sentences) >= 2
    assert all(len(sentence.splitlines()) == 1 for sentence in sentences)


# Beside searches of runs


def test_what_a_client_reads_is_what_the_store_has(many: RunningServer) -> None:
    client, local = mlquery.connect(many.tracking_uri), Client(many.store, "extended")
    run_id = many.store.runs.ids[0]

    assert local.get_run(run_id).data == client.get_run(run_id).data
    assert "one" == client.get_experiment("1").name
    assert client.get_experiment_by_name("none") is None
    assert ["one"] == [experiment.name for experiment in client.search_experiments()]
    assert local.get_metric_history(run_id, "auc") == client.get_metric_history(run_id, "auc")
    frame = client.search_frame(["1"], "metrics.rare > 0.9 OR metrics.auc > 0.999", order_by=["metrics.auc DESC"])
    expected = mlquery.search_frame(
        local, ["1"], "metrics.rare > 0.9 OR metrics.auc > 0.999", order_by=["metrics.auc DESC"], dialect="extended"
    )
    assert list(expected["run_id"]) == list(frame["run_id"])
    assert 3000 == client.count_runs(["1"], "")
    counted = client.aggregate("count(), max(metrics.auc)", ["params.model"])
    assert counted.equals(mlquery.aggregate(local, "count(), max(metrics.auc)", ["params.model"]))


def test_writes_registered_models_and_unknown_runs_are_refused_in_one_sentence(many: RunningServer) -> None:
    client = mlquery.connect(many.tracking_uri)

    with pytest.raises(StoreError, match="not found"):
        client.get_run("0" * 31 + "x")
    with pytest.raises(StoreError, match="read"):
        client.create_run("1")
    with pytest.raises(StoreError, match="on a server only runs, experiments and logged models are searched"):
        client.search_registered_models()


def test_a_server_is_loaded_with_all_points() -> None:
    store = served_runs.served_store(17, 40)
    with running_server(store) as server:
        loaded = mlquery.connect(server.tracking_uri).load()

    assert sorted(store.runs.ids) == sorted(loaded.runs.ids)
    for row, run_id in enumerate(loaded.runs.ids):
        theirs = store.runs.run_at(store.runs.row_of[run_id])
        assert str(theirs.data) == str(loaded.runs.run_at(row).data)  # of NaN, only strings are equal
        for key in theirs.data.metrics:
            assert points_of(store, run_id, key) == points_of(loaded, run_id, key)


def points_of(store: Store, run_id: str, key: str) -> list[str]:
    """Return the points of a metric as strings, in which NaN is equal to NaN."""
    values, timestamps, steps = store.runs.points(run_id, key)
    return sorted(map(str, zip(list(values), list(timestamps), list(steps), strict=True)))


def test_comparing_reads_the_points_that_are_needed(many: RunningServer) -> None:
    client = mlquery.connect(many.tracking_uri)

    comparison = mlquery.compare("metrics.rare > 0.8 OR metrics.auc > 0.9995", "max", source=client)

    expected = mlquery.compare(
        "metrics.rare > 0.8 OR metrics.auc > 0.9995", "max", source=Client(many.store, "extended")
    )
    assert expected.to_frame().equals(comparison.to_frame())


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("http://127.0.0.1:1", "cannot be reached: connection refused"),
        ("http://no.such.host.invalid", "cannot be reached"),
        ("azureml://nowhere", "pip install azureml-mlflow"),
    ],
)
def test_a_server_that_cannot_be_reached_is_one_sentence(uri: str, sentence: str) -> None:
    with pytest.raises(StoreError, match=sentence):
        mlquery.connect(uri)


def test_options_of_servers_and_of_databases_are_not_mixed(many: RunningServer, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="a server has neither layouts nor engines"):
        mlquery.connect(many.tracking_uri, layout="mlflow")
    with pytest.raises(StoreError, match="server_dialect is about servers"):
        mlquery.connect(str(tmp_path), server_dialect="oss")
    with pytest.raises(StoreError, match="unknown dialect 'azur'; did you mean 'azure'"):
        mlquery.connect(many.tracking_uri, server_dialect="azur")
    with pytest.raises(StoreError, match="at least one page"):
        mlquery.connect(many.tracking_uri, max_pages=0)
