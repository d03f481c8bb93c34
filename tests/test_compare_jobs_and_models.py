"""Microsoft's page, section "Compare jobs and models": what it says of selected jobs and models, in both its dialects.

The studio is not there to be asked; what is compared is what the section names: params, metrics and tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import mlquery
from mlquery import Client, ModelVersion, Run
from tests.support.http_calls import Api

SWEEP = Path(__file__).resolve().parents[1] / "examples" / "sweep.db"
KINDS = ("params", "metrics", "tags")
FILTER = "params.model = 'mlp' AND metrics.validation_loss < 1"


@pytest.fixture(params=["oss", "azure"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    from mlquery.server.testing import running_server

    with running_server(mlquery.load(SWEEP), request.param) as running:
        yield running


def selected_jobs(client: Client) -> list[Run]:
    return client.search_runs(["4"], FILTER, max_results=3)


def selected_models(client: Client, jobs: Sequence[Run]) -> list[ModelVersion]:
    """Return a version of one registered model for each job."""
    client.create_registered_model("classifier")
    return [
        client.create_model_version("classifier", f"runs:/{job.info.run_id}/model", job.info.run_id, {"stage": str(n)})
        for n, job in enumerate(jobs)
    ]


def parts_of_job(job: Run) -> dict[str, dict[str, Any]]:
    return {"params": job.data.params, "metrics": job.data.metrics, "tags": job.data.tags}


def parts_in_table(table: Any, name: str) -> dict[str, dict[str, Any]]:
    """Return what a table of fields has of a run or model, by kind and key."""
    values = table["value"][name]
    return {kind: {key: one for key, one in values.loc[kind].items() if one is not None} for kind in KINDS}


def parts_in_columns(columns: dict[str, Any], row: int) -> dict[str, dict[str, Any]]:
    """Return what columns of the page have of a run or model, by kind and key."""
    found: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for name, column in columns.items():
        kind, _, key = name.partition(".")
        if kind not in found:
            continue
        if column["kind"] == "string":
            value = column["table"][column["codes"][row]] if column["codes"][row] >= 0 else None
        else:
            value = column["values"][row]
        if value is not None:
            found[kind][key] = value
    return found


def test_params_metrics_and_tags_of_selected_jobs_are_side_by_side(server: Any) -> None:
    jobs = selected_jobs(server.client)

    table = server.client.compare_runs(jobs).table

    assert 3 == len(jobs)
    for job in jobs:
        assert parts_of_job(job) == parts_in_table(table, job.info.run_id)
    assert {"seed"} == {key for kind, key in table.index[table["differs"]] if kind == "params"}


def test_params_metrics_and_tags_of_selected_models_are_side_by_side(server: Any) -> None:
    jobs = selected_jobs(server.client)
    versions = selected_models(server.client, jobs)

    table = server.client.compare_runs(jobs).model_table

    for job, version in zip(jobs, versions, strict=True):
        expected = parts_of_job(job) | {"tags": version.tags}
        assert expected == parts_in_table(table, f"classifier/{version.version}")
    assert table["differs"]["tags", "stage"]


def test_the_page_compares_the_selected_jobs_and_models(server: Any) -> None:
    jobs = selected_jobs(server.client)
    versions = selected_models(server.client, jobs)
    ids = [job.info.run_id for job in jobs]
    api = Api(server.url)

    compared = api.post("/mlquery/page/compare", {"run_ids": ids}).json
    models = api.post("/mlquery/page/models", {}).json
    api.close()

    assert ids == compared["run_ids"]
    for row, job in enumerate(jobs):
        assert parts_of_job(job) == parts_in_columns(compared["columns"], row)
    for job, version in zip(jobs, versions, strict=True):
        row = models["ids"].index(f"classifier/{version.version}")
        assert parts_of_job(job) | {"tags": version.tags} == parts_in_columns(models["columns"], row)
