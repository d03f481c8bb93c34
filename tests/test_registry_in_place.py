"""Registered models, logged models and runs in MLflow's own databases, read in place beside MLflow's own client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import LoggedModelOutput
from mlflow.tracking import MlflowClient

import mlquery
from mlquery.client.in_place import InPlaceClient
from tests.support.databases import ON_MARIADB, ON_POSTGRES

pytestmark = pytest.mark.slow
SYSTEMS = ["sqlite", pytest.param("postgres", marks=ON_POSTGRES), pytest.param("mariadb", marks=ON_MARIADB)]


@pytest.fixture(params=SYSTEMS)
def clients(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[MlflowClient, InPlaceClient]]:
    """Give MLflow's client of a database with some of everything, and ours of the same database."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    if request.param != "sqlite":
        url = request.getfixturevalue(f"{request.param}_url")
    theirs = MlflowClient(url, url)
    fill(theirs)
    with mlquery.connect(url) as ours:
        yield theirs, ours
    for store in (theirs._tracking_client.store, theirs._get_registry_client().store):
        store.engine.dispose()


def fill(client: MlflowClient) -> None:
    experiment = client.create_experiment("Ä", artifact_location="mlflow-artifacts:/1")
    run = client.create_run(experiment, start_time=1_700_000_000_000, run_name="first").info.run_id
    for step in range(4):
        client.log_metric(run, "loss", 1 / (step + 1), timestamp=1000 + step, step=step)
    model = client.create_logged_model(experiment, "net", run, {"team": "red"}, {"n": "1"}, "classifier")
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run, [LoggedModelOutput(model.model_id, 3)])
    client.create_registered_model("forest", {"team": "wood"}, "trees")
    client.create_registered_model("lake")
    for number in range(3):
        client.create_model_version("forest", f"s3://bucket/{number}", run, {"n": str(number)}, description="one")
    client.create_model_version("lake", "s3://bucket/lake", None)
    with pytest.warns(FutureWarning, match="stage"):
        client.transition_model_version_stage("forest", "1", "Production")
    client.set_registered_model_alias("forest", "best", "2")
    client.delete_model_version("forest", "3")


READS: list[Callable[[Any], Any]] = [
    lambda c: [one.name for one in c.search_registered_models()],
    lambda c: [(v.name, int(v.version), v.current_stage) for v in c.search_model_versions("name = 'forest'")],
    lambda c: sorted(c.get_registered_model("forest").aliases.items()),
    lambda c: dict(c.get_registered_model("forest").tags),
    lambda c: sorted((v.current_stage, int(v.version)) for v in c.get_registered_model("forest").latest_versions),
    lambda c: dict(c.get_model_version("forest", "2").tags),
    lambda c: list(c.get_model_version_by_alias("forest", "best").aliases),
    lambda c: c.get_model_version_download_uri("forest", "1"),
    lambda c: [(v.creation_timestamp, v.last_updated_timestamp) for v in c.search_model_versions("name = 'lake'")],
    lambda c: [(m.name, m.model_type, dict(m.tags), dict(m.params)) for m in c.search_logged_models(["1"])],
    lambda c: [c.get_logged_model(m.model_id).name for m in c.search_logged_models(["1"])],
    lambda c: [
        (p.value, p.timestamp, p.step) for p in c.get_metric_history(c.search_runs(["1"])[0].info.run_id, "loss")
    ],
    lambda c: [(o.model_id, o.step) for o in c.search_runs(["1"])[0].outputs.model_outputs],
    lambda c: [(e.name, e.artifact_location, e.lifecycle_stage) for e in c.search_experiments()],
]


def test_reads_in_place_are_those_of_mlflows_own_client(clients: tuple[MlflowClient, InPlaceClient]) -> None:
    theirs, ours = clients

    for number, read in enumerate(READS):
        assert read(theirs) == read(ours), number


def test_everything_but_the_registry_can_be_loaded(clients: tuple[MlflowClient, InPlaceClient]) -> None:
    theirs, ours = clients

    loaded = mlquery.Client(ours.load())

    for number, read in enumerate(READS[9:]):
        assert read(theirs) == read(loaded), number


def test_what_is_written_meanwhile_is_found_at_once(clients: tuple[MlflowClient, InPlaceClient]) -> None:
    theirs, ours = clients
    run = theirs.search_runs(["1"])[0].info.run_id
    assert ours.count_runs(["1"], "metrics.fresh > 1") == 0

    theirs.log_metric(run, "fresh", 2.0)

    assert ours.count_runs(["1"], "metrics.fresh > 1") == 1
    assert ours.get_run(run).data.metrics["fresh"] == 2.0
