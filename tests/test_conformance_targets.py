"""The suite on targets that belong to somebody: what is asked, what is noticed, and that nothing of theirs changes."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import mlflow
import pytest
from mlflow.tracking._tracking_service import utils as tracking_service

from mlquery.conformance.applicability import Applicability
from mlquery.conformance.inprocess import LOCAL, REMOTE, Sessions
from mlquery.conformance.namespacing import NamespacedClient, UnownedEntityError, prefixed_names
from mlquery.conformance.remote_target import RemoteTarget
from mlquery.conformance.report import Report
from mlquery.conformance.runner import Runner
from mlquery.conformance.suite import Expectation
from mlquery.conformance.targets import opened
from mlquery.errors import StoreError
from mlquery.language.matrix import MATRIX
from mlquery.mlflow_plugin.server_warnings import raise_server_warnings
from mlquery.server.testing import running_server
from tests.support.installed_mlflow import INSTALLED
from tests.support.suite import SUITE

pytestmark = pytest.mark.slow

CASES = {case.id: case for case in SUITE.cases}
OSS = MATRIX.dialect("oss")
# What writes, searches experiments and models by name, deletes, restores and leaves artifacts.
CALLING = ["lifecycle.delete-experiment", "lifecycle.rename", "lifecycle.restore-run", "writing.create-experiment"]
CALLING += ["registry-calls.rename", "registry-calls.delete-model", "page-data.artifacts", "page-experiments.by-name"]
BUSY = [*(name for name in CALLING if name in CASES), "experiment-names", "registry-models", "ties"]
# Every case needs a minute for each dialect: asked for by the reports under conformance/, and here with this set.
STEP = 1 if "MLQUERY_EVERY_CASE" in os.environ else 4


def asked(uri: str, names: list[str], dialect: str = "oss", silent: bool = True) -> Report:
    with opened(uri, SUITE) as target:
        return Runner(target, SUITE, MATRIX.dialect(dialect), includes_silent=silent).report(names)


def bad(report: Report) -> dict[str, tuple[str, ...]]:
    return {row.case: row.details for row in report.rows if row.outcome in ("fail", "errored")}


def fill(client: Any) -> None:
    """Make what somebody may have on a server, with names and tags that the suite uses too."""
    for name in ("alpha", "Beta", "live"):
        experiment_id = client.create_experiment(name, tags={"framework": "torch", "t": "x"})
        run = client.create_run(experiment_id, 1_700_000_000_000, {"t": "x"}, "active")
        client.log_metric(run.info.run_id, "m", 1.0, 1, 0)
        client.log_param(run.info.run_id, "p", "x")
    client.delete_run(run.info.run_id)
    client.delete_experiment(experiment_id)
    client.create_registered_model("wine", {"team": "core"})
    client.create_model_version("wine", "s3://models/one")


@pytest.mark.xdist_group("conformance targets")
@pytest.mark.parametrize("dialect", ["oss", "azure"])
def test_mlquery_serve_answers_the_cases_as_its_dialect_says(dialect: str) -> None:
    names = [case.id for case in SUITE.cases[::STEP]]
    left_out = {"page-data.model-files"} if dialect == "azure" else set()  # conformance/tweaks says why
    with running_server(dialect=dialect) as server:
        report = asked(server.tracking_uri, [*names, "values"], dialect)

        assert set() == bad(report).keys() - left_out
        assert report.totals["pass"] + report.totals["refused-as-declared"] > 0.85 * len(names)
        assert ["Default"] == [experiment.name for experiment in server.client.search_experiments()]


def test_what_a_server_refuses_about_artifacts_and_warns_of_is_part_of_the_answers() -> None:
    raise_server_warnings()
    with running_server(dialect="azure") as server:
        report = asked(server.tracking_uri, ["service-writes.artifact-twice", "experiment-names.capital-like"], "azure")

    assert ["pass", "pass"] == [row.outcome for row in report.rows]


@pytest.mark.xdist_group("conformance targets")
def test_a_database_is_the_same_afterwards_to_the_last_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")  # where MLflow, in this very process, keeps the artifacts of a database
    path = tmp_path / "theirs.db"
    uri = f"sqlite:///{path}"
    fill(mlflow.MlflowClient(uri))
    before = rows_of(path)

    report = asked(uri, BUSY, INSTALLED.name)

    assert {} == bad(report)
    assert report.totals["pass"] > 60
    assert before == rows_of(path)
    assert [path] == [found for found in tmp_path.rglob("*") if found.is_file()]


def rows_of(path: Path) -> dict[str, list[Any]]:
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {table: sorted(connection.execute(f'SELECT * FROM "{table}"'), key=repr) for table in tables}
    connection.close()
    return found


@pytest.mark.xdist_group("conformance targets")
def test_a_folder_is_the_same_afterwards_to_the_last_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    theirs = tmp_path / "theirs"
    # MLflow's registry in a folder asks the current tracking server, by default a database in the working directory.
    monkeypatch.setattr(tracking_service, "_tracking_uri", f"file://{theirs}")
    monkeypatch.chdir(tmp_path)
    fill(mlflow.MlflowClient(f"file://{theirs}"))
    before = files_in(theirs)

    report = asked(f"file:{theirs}", BUSY, INSTALLED.name)

    assert report.totals["pass"] > 50
    assert before == files_in(theirs)


def files_in(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.xdist_group("mlflow server")
def test_a_server_keeps_what_it_had_and_shows_nothing_of_ours(mlflow_server_url: str) -> None:
    client = mlflow.MlflowClient(mlflow_server_url)
    theirs = client.create_experiment("theirs, beside the suite", tags={"framework": "torch"})
    client.log_metric(client.create_run(theirs).info.run_id, "m", 1.0, 1, 0)
    before = shown(client)

    report = asked(mlflow_server_url, BUSY, INSTALLED.name)

    assert {} == bad(report)
    assert before == shown(client)


def shown(client: Any) -> Any:
    experiments = client.search_experiments()
    runs = client.search_runs([e.experiment_id for e in experiments], run_view_type=3, max_results=50_000)
    return (
        {e.experiment_id: (e.name, e.tags, e.last_update_time) for e in experiments},
        {run.info.run_id: run.to_dictionary() for run in runs},
        [model.name for model in client.search_registered_models()],
    )


@pytest.fixture
def crowded() -> Iterator[Any]:
    """Give a server on which somebody else has experiments of the same names."""
    with running_server() as server:
        fill_without_models(server.client)
        yield server


def fill_without_models(client: Any) -> None:
    for name in ("alpha", "Beta", "my_experiment"):
        client.create_run(client.create_experiment(name, tags={"framework": "torch"}), run_name="first")


def test_experiments_are_found_by_name_beside_others_of_the_same_name(crowded: Any) -> None:
    report = asked(
        crowded.url, ["experiment-filter.name-equal", "experiment-filter.name-ilike", "page-experiments.by-name"]
    )

    assert ["pass"] * 3 == [row.outcome for row in report.rows]


def test_a_server_of_another_dialect_is_noticed_in_rows_and_in_refusals() -> None:
    with running_server(dialect="azure") as server:
        report = asked(server.tracking_uri, ["page-runs.metric", "ties.metric", "ties.default", "page-runs.or"])

    assert {"page-runs.metric", "ties.metric", "ties.default"} == bad(report).keys()
    assert "expected error nothing, not INVALID_PARAMETER_VALUE" in bad(report)["ties.metric"][0]
    assert "expected rows" in bad(report)["ties.default"][0]


def test_a_case_that_expects_something_else_fails(crowded: Any) -> None:
    wrong = attrs.evolve(CASES["ties.filter"], expect=dict.fromkeys(SUITE.dialects, Expectation(rows=("d",))))
    suite = attrs.evolve(SUITE, cases=(wrong,))

    with opened(crowded.url, suite) as target:
        report = Runner(target, suite, OSS).report(["ties.filter"])

    assert ["fail"] == [row.outcome for row in report.rows]


def test_values_that_differ_are_noticed_although_the_rows_are_right(
    crowded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    values_read_back = RemoteTarget.values_read_back

    def other(self: RemoteTarget, store: str) -> Any:
        return {name: {**values, "metric score": "3.0"} for name, values in values_read_back(self, store).items()}

    monkeypatch.setattr(RemoteTarget, "values_read_back", other)
    report = asked(crowded.url, ["ties.filter", "values"])

    assert {"ties.filter"} == bad(report).keys() - {"values.ties"}
    assert "run.a: metric score is '1.0', not '3.0'" in bad(report)["ties.filter"]
    assert "a: metric score is '3.0', not '1.0'" in bad(report)["values.ties"]


def test_every_skipped_case_has_a_reason_and_few_are_skipped() -> None:
    applicability = Applicability(Sessions(SUITE.stores))
    reasons = {case.id: applicability.reason_to_skip(case, OSS, REMOTE) for case in SUITE.cases}

    skipped = {case_id: reason for case_id, reason in reasons.items() if reason is not None}

    assert "times" in skipped["experiment-times.created-greater"]
    assert "default experiment" in skipped["lifecycle.delete-default"]
    assert "otherwise empty server" in skipped["experiment-order.walk-all"]
    assert "users" in str(
        applicability.reason_to_skip(CASES["page-runs.user"], OSS, attrs.evolve(REMOTE, has_one_user=True))
    )
    assert len(skipped) < 0.05 * len(SUITE.cases)
    assert {None} == {applicability.reason_to_skip(case, OSS, LOCAL) for case in SUITE.cases}


def test_an_experiment_that_a_server_refuses_is_told_and_missed_by_no_other_case() -> None:
    conditions = attrs.evolve(LOCAL, missing=("quoted",))
    applicability = Applicability(Sessions(SUITE.stores))

    reasons = {case.id: applicability.reason_to_skip(case, OSS, conditions) for case in SUITE.cases}

    assert "cannot store" in str(reasons["experiment-order.limit"])
    assert reasons["experiment-order.name"] is None


def test_a_guest_writes_to_nothing_that_it_did_not_make(crowded: Any) -> None:
    theirs = crowded.client.get_experiment_by_name("alpha").experiment_id
    run_id = crowded.client.search_runs([theirs])[0].info.run_id
    guest = NamespacedClient(mlflow.MlflowClient(crowded.url), "guest-")

    for call, arguments in [
        ("delete_experiment", {"experiment_id": theirs}),
        ("rename_experiment", {"experiment_id": theirs, "new_name": "x"}),
        ("create_run", {"experiment_id": theirs}),
        ("delete_run", {"run_id": run_id}),
        ("log_metric", {"run_id": run_id, "key": "m", "value": 1.0}),
    ]:
        with pytest.raises(UnownedEntityError, match="of its own"):
            getattr(guest, call)(**arguments)
    assert "active" == crowded.client.get_experiment(theirs).lifecycle_stage
    assert {} == crowded.client.get_run(run_id).data.metrics


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = 'a'", "name = 'p-a'"),
        ('attribute.name!="a"', 'attribute.name!="p-a"'),
        ("name LIKE 'a%' AND tags.x = 'a'", "name LIKE 'p-a%' AND tags.x = 'a'"),
        ("run_name = 'a'", "run_name = 'a'"),
        ("tags.surname = 'a'", "tags.surname = 'a'"),
    ],
)
def test_only_what_a_name_is_compared_with_gets_the_prefix(text: str, expected: str) -> None:
    assert expected == prefixed_names(text, "p-")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://127.0.0.1:9", "cannot be reached"),
        ("sqlite:///nowhere/mlflow.db", "nowhere/mlflow.db does not exist; instead: sqlite: without a path"),
        ("file:///nowhere/mlruns", "nowhere/mlruns does not exist; instead: file: without a path"),
        ("azureml://host/mlflow/v2.0/subscriptions/s", "azureml-mlflow"),
        ("databricks", "does not respond: "),
        ("ftp://host", "MLflow has no tracking store"),
    ],
)
def test_a_target_that_cannot_be_asked_is_one_clear_error(uri: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=words) as raised, opened(uri, SUITE):
        pass

    assert "\n" not in str(raised.value)
