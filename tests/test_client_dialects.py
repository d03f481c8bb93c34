"""What a dialect changes in the calls of `Client`: ids, the root tag, limits, and the calls it refuses."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mlquery import MATRIX, Client, Metric, Param, QueryError, QueryWarning, RunTag, Store, StoreError
from mlquery.client import RunOperations
from mlquery.entities import LoggedModelInput
from mlquery.errors import MissingEndpointError
from mlquery.language.tables import to_markdown

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_azure_gives_experiments_and_runs_guids() -> None:
    client = Client(dialect="azure")

    experiment = client.create_experiment("guids")
    run = client.create_run(experiment)

    assert GUID.fullmatch(experiment)
    assert GUID.fullmatch(run.info.run_id)


@pytest.mark.parametrize(
    ("feature", "dialect", "evidence"),
    [
        ("join.parentheses", "azure", ("no", "refit-script", "2026-01-22", "observed")),
        ("registry.alias", "azure", ("no", "public-clients", "2026-09-22", "observed")),
        ("order.default.newest-first", "azure", ("no", "nested-notebook", "2022-06-02", "observed")),
        ("order.default.newest-first", "azure:documented", ("no", "page-text", "2025-11-13", "inferred")),
    ],
)
def test_a_cell_rests_on_the_newest_evidence(feature: str, dialect: str, evidence: tuple[str, ...]) -> None:
    cell = MATRIX.feature(feature).cells[dialect]

    assert evidence == (cell.state, cell.source, cell.date, cell.confidence)


def test_the_table_of_the_matrix_shows_what_cells_note() -> None:
    table = to_markdown(MATRIX.of(["azure"]))

    assert "says that the service ignores run_view_type for runs (public-clients, second-hand)" in table
    assert "✓ <sup>5</sup>" in table.split("`join.and`")[1].splitlines()[0]
    assert "5. Confirmed for `and` in lower case (metric-client)." in table


def test_azure_finds_an_experiment_with_a_slash_in_its_name_by_its_id_only() -> None:
    client = Client(dialect="azure")
    client.create_experiment("plain")
    experiment = client.create_experiment("team/churn")

    assert client.get_experiment_by_name("team/churn") is None
    assert {"Default", "plain"} == {found.name for found in client.search_experiments()}
    assert "team/churn" == client.get_experiment(experiment).name
    assert Client(client.store).get_experiment_by_name("team/churn") is not None


def test_pages_of_experiments_are_full_whatever_they_leave_out() -> None:
    client = Client(dialect="azure")
    for number in range(6):
        client.create_experiment(f"a/{number}" if number % 2 else f"a{number}")

    first = client.search_experiments(max_results=2)
    second = client.search_experiments(max_results=2, page_token=first.token)

    assert ([2, 2], None) == ([len(first), len(second)], second.token)
    assert not any("/" in found.name for found in [*first, *second])


def test_azure_replaces_no_artifact_and_stores_none_of_the_files_beside_it(tmp_path: Path) -> None:
    client = Client(dialect="azure")
    run_id = client.create_run("0").info.run_id
    client.log_text(run_id, "old", "folder/b.txt")
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("new")

    logs: tuple[Callable[[], None], ...] = (
        lambda: client.log_text(run_id, "new", "folder/./b.txt"),
        lambda: client.log_artifacts(run_id, tmp_path, "folder"),
        lambda: client.log_stream(run_id, io.BytesIO(b"new"), "folder/b.txt"),
    )
    for log in logs:
        with pytest.raises(StoreError) as refused:
            log()
        conflict = f"Resource Conflict: ArtifactId ExperimentRun/dcid.{run_id}/folder/b.txt already exists."
        assert (conflict, "RESOURCE_CONFLICT") == (str(refused.value), refused.value.error_code)

    assert ["folder/b.txt"] == [file.path for file in client.list_artifacts(run_id, "folder")]
    assert b"old" == client.store.artifacts.read(run_id, "folder/b.txt")


def test_open_source_mlflow_counts_experiments_and_gives_runs_plain_ids() -> None:
    client = Client()

    experiment = client.create_experiment("plain")
    run = client.create_run(experiment)

    assert "1" == experiment
    assert re.fullmatch(r"[0-9a-f]{32}", run.info.run_id)


def test_azure_tags_every_run_with_the_root_of_its_tree() -> None:
    client = Client(dialect="azure")
    experiment = client.create_experiment("tree")

    root = client.create_run(experiment)
    child = client.create_run(experiment, tags={"mlflow.parentRunId": root.info.run_id})
    grandchild = client.create_run(experiment, tags={"mlflow.parentRunId": child.info.run_id})
    orphan = client.create_run(experiment, tags={"mlflow.parentRunId": "unknown"})

    roots = [run.data.tags["mlflow.rootRunId"] for run in (root, child, grandchild, orphan)]
    assert [root.info.run_id] * 3 + ["unknown"] == roots
    found = client.search_runs([experiment], f"tags.mlflow.rootRunId = '{root.info.run_id}'")
    assert {root.info.run_id, child.info.run_id, grandchild.info.run_id} == {run.info.run_id for run in found}


def test_open_source_mlflow_writes_no_root_tag() -> None:
    client = Client()

    assert {"mlflow.runName"} == set(client.create_run("0").data.tags)


def log_params(client: Client, count: int) -> None:
    run_id = client.create_run(client.store.default_experiment_id).info.run_id
    client.log_batch(run_id, params=[Param(f"p{i}", "1") for i in range(count)])


def log_values(client: Client, count: int) -> None:
    run_id = client.create_run(client.store.default_experiment_id).info.run_id
    client.log_batch(run_id, metrics=[Metric("m", 1.0, i, i) for i in range(count)])


@pytest.mark.parametrize(
    ("log", "limit", "words"),
    [
        (log_params, 200, "FieldName=Parameters, Limit=200, Size=201."),
        (log_values, 250, "FieldName=MetricV2Dto.Value/Count, Limit=250, Size=251."),
    ],
)
def test_azure_refuses_what_is_over_its_limits(log: Callable[[Client, int], None], limit: int, words: str) -> None:
    client = Client(dialect="azure")

    log(client, limit)
    with pytest.raises(StoreError, match=re.escape(words)) as refused:
        log(client, limit + 1)

    assert "INVALID_PARAMETER_VALUE" == refused.value.error_code


@pytest.mark.parametrize("log", [log_params, log_values])
def test_open_source_mlflow_has_none_of_those_limits(log: Callable[[Client, int], None]) -> None:
    log(Client(), 900)


def test_azure_refuses_to_rename_an_experiment_and_says_which_line_decides() -> None:
    client = Client(dialect="azure")
    experiment = client.create_experiment("stays")

    with pytest.raises(StoreError, match="azure does not support rename_experiment") as refused:
        client.rename_experiment(experiment, "goes")

    assert refused.value.feature is not None
    assert "stays" == client.get_experiment(experiment).name


@pytest.mark.parametrize(
    ("dialect", "field", "listed"),
    [
        ("oss", "params.lr", "; use one of: =, !=, LIKE, ILIKE, IS NULL, IS NOT NULL"),
        ("oss", "status", "; use one of: =, !=, LIKE, ILIKE"),
        ("azure", "tags.team", "; use one of: ="),
        ("azure", "dataset.name", ""),
    ],
)
def test_an_operator_of_the_wrong_type_is_refused_with_those_that_the_dialect_has(
    dialect: str, field: str, listed: str
) -> None:
    with pytest.raises(QueryError) as caught:
        Client(dialect=dialect).search_runs(["0"], f"{field} > 'a'")

    assert f"{field} is a string, which > cannot compare{listed}" == caught.value.diagnostics[0].message


def test_a_call_that_no_source_speaks_of_is_done_with_a_warning() -> None:
    client = Client(dialect="azure")
    experiment = client.create_experiment("back")
    client.delete_experiment(experiment)

    with pytest.warns(QueryWarning, match="no source says that azure supports restore_experiment") as warned:
        client.restore_experiment(experiment)

    assert "active" == client.get_experiment(experiment).lifecycle_stage
    assert __file__ == warned[0].filename


def test_a_clock_sets_all_times_that_are_not_given() -> None:
    client = Client(Store(clock=lambda: 1234))

    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "m", 1.0)
    client.set_terminated(run_id)

    info = client.get_run(run_id).info
    assert (1234, 1235, 1234) == (info.start_time, info.end_time, client.get_metric_history(run_id, "m")[0].timestamp)


def test_two_clients_of_one_store_see_the_same_runs() -> None:
    store = Store()
    run_id = Client(store).create_run("0").info.run_id

    assert run_id == Client(store, "extended").get_run(run_id).info.run_id


def test_a_run_keeps_the_models_that_it_read() -> None:
    client = Client()
    run_id = client.create_run("0").info.run_id
    model_id = client.create_logged_model("0", "net").model_id

    client.log_inputs(run_id, models=[LoggedModelInput(model_id)])

    inputs = client.get_run(run_id).inputs
    assert inputs is not None
    assert [model_id] == [found.model_id for found in inputs.model_inputs]


def test_a_dialect_without_logged_models_has_none_of_their_calls() -> None:
    client = Client(dialect="azure")
    run_id = client.create_run(client.store.default_experiment_id).info.run_id

    for call in (
        lambda: client.create_logged_model("0", "net"),
        lambda: client.search_logged_models(["0"]),
        lambda: client.log_inputs(run_id, models=[LoggedModelInput("m-1")]),
    ):
        with pytest.raises(MissingEndpointError, match="failed with error code 404") as missing:
            call()
        assert missing.value.error_code == "ENDPOINT_NOT_FOUND"


def test_a_service_writes_its_display_name_in_place_of_the_user() -> None:
    user = MATRIX.dialect("azure").service["user"]
    client = Client(dialect="azure")

    run = client.create_run(client.store.default_experiment_id, tags={"mlflow.user": "ada"})

    assert (user, user) == (run.info.user_id, run.data.tags["mlflow.user"])
    assert "ada" == Client().create_run("0", tags={"mlflow.user": "ada"}).info.user_id


def test_clients_of_one_store_share_its_registered_models() -> None:
    store = Store()
    Client(store).create_registered_model("shared")

    assert "shared" == Client(store, "extended").get_registered_model("shared").name


@pytest.mark.parametrize("value", ["true", "1"])
def test_the_environment_may_ask_for_operations_to_wait_for(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    run_id = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", value)

    operations = [
        client.log_metric(run_id, "m", 1.0),
        client.log_param(run_id, "p", "x"),
        client.set_tag(run_id, "t", "x"),
        client.log_batch(run_id, tags=[RunTag("u", "x")]),
    ]

    assert [RunOperations] * 4 == [type(each) for each in operations]
    assert client.log_metric(run_id, "m", 1.0, synchronous=True) is None
