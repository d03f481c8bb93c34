"""MLflow's own client over HTTP: the scripts that run in the process, with `mlflow server` and with this server."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from mlquery.server.locations import ARTIFACT_ROOT
from mlquery.server.testing import running_server
from mlquery.store import Store
from tests.support.notes import Notes
from tests.support.random_registry import Player
from tests.support.random_registry import Script as RegistryScript
from tests.test_client_beside_mlflow import CLIENT_SCRIPTS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow server")]
REGISTRY_SCRIPTS = int(os.environ.get("MLQUERY_FUZZ", "10"))


@pytest.fixture(scope="module", autouse=True)
def calm() -> Iterator[None]:
    """Keep MLflow quiet, its environment to itself, and its client from repeating what failed with status 500."""
    kept = dict(os.environ)
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    tracking_uri = mlflow.get_tracking_uri()
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    mlflow.set_tracking_uri(tracking_uri)
    os.environ.clear()
    os.environ.update(kept)


class TextClient(mlflow.MlflowClient):
    """MLflow's client, with texts for what it can give to a database and not write into a request."""

    def create_run(
        self, experiment_id: str, start_time: int | None = None, tags: Any = None, run_name: Any = None
    ) -> Any:
        texts = {key: None if value is None else str(value) for key, value in (tags or {}).items()}
        return super().create_run(experiment_id, start_time, texts, None if run_name is None else str(run_name))


def artifacts_go_through_the_server(client: Any, note: Notes) -> None:
    run = note.run(client.create_run(client.create_experiment("proxied artifacts"), 1))
    (note.top / "local/deep").mkdir(parents=True, exist_ok=True)
    (note.top / "local/deep/a.bin").write_bytes(b"123" * 100_000)
    (note.top / "local/ü b.txt").write_text("hé", "utf-8")
    note(client.log_text, run, "hé", "folder/x.txt")
    note(client.log_dict, run, {"a": [1]}, "d.json")
    note(client.log_artifact, run, str(note.top / "local/deep/a.bin"))
    note(client.log_artifacts, run, str(note.top / "local"), "all")
    note(client.log_text, run, "no", "../x.txt")
    for path in [None, "folder", "folder/x.txt", "all", "all/deep", "none", "..", "/a"]:
        note(client.list_artifacts, run, path)
    goal = note.top / "downloads"
    goal.mkdir(exist_ok=True)
    for path in ["d.json", "folder", "all/ü b.txt", ""]:
        note(client.download_artifacts, run, path, str(goal))
    note(lambda: sorted((str(f.relative_to(goal)), f.stat().st_size) for f in goal.rglob("*") if f.is_file()))
    note(client.download_artifacts, run, "none", str(goal))
    repository = get_artifact_repository(client.get_run(run).info.artifact_uri, tracking_uri=client.tracking_uri)
    note(repository.delete_artifacts, "all")
    note(client.list_artifacts, run)


def models_are_logged(client: Any, note: Notes) -> None:
    experiment = client.create_experiment("client models")
    run = note.run(client.create_run(experiment, 1))
    model = client.create_logged_model(experiment, "m", run, {"t": "1"}, {"p": "2"}, "kind")
    note(lambda: (model.name, model.status.name, model.tags, model.params, model.model_type))
    client.log_model_params(model.model_id, {"q": 3})
    client.set_logged_model_tags(model.model_id, {"t": 2, "u": "x"})
    client.delete_logged_model_tag(model.model_id, "u")
    client.log_metric(run, "acc", 0.5, 1, 2, model_id=model.model_id, dataset_name="d", dataset_digest="1")
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run, [mlflow.entities.LoggedModelOutput(model.model_id, 4)])
    found = client.get_logged_model(model.model_id)
    note(lambda: (found.status.name, found.tags, found.params, [(m.key, m.value, m.step) for m in found.metrics]))
    note(lambda: [m.name for m in client.search_logged_models([experiment], "metrics.acc > 0.1")])
    note(lambda: [(m.step, m.model_id == model.model_id) for m in client.get_run(run).outputs.model_outputs])
    client.delete_logged_model(model.model_id)
    note(lambda: [m.name for m in client.search_logged_models([experiment])])


@pytest.mark.parametrize(
    "script",
    [*CLIENT_SCRIPTS, artifacts_go_through_the_server, models_are_logged],
    ids=lambda script: script.__name__,
)
def test_mlflows_client_gets_what_it_gets_from_mlflows_server(
    script: Callable[[Any, Notes], None],
    mlflow_server_url: str,
    server_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    seen = []
    for url in (mlflow_server_url, server_url):
        notes = Notes(tmp_path_factory.mktemp("artifacts"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            script(TextClient(url), notes)
        seen.append([_without_url(note, url) for note in notes.seen])

    for expected, actual in zip(*seen, strict=True):
        if "too many 500 error responses" in str(expected):
            assert "error" == actual[0]  # what went wrong is lost there; here the client is told
        else:
            assert expected == actual


@pytest.fixture(scope="module")
def players(mlflow_server_url: str) -> Iterator[tuple[Player, Player]]:
    """Give a client of each server; the clock of ours moves with every look, so that no two changes are at one time."""
    store = Store(clock=count(1_700_000_000_000).__next__, artifact_root=ARTIFACT_ROOT)
    with running_server(store) as server:
        yield Player(mlflow.MlflowClient(mlflow_server_url)), Player(mlflow.MlflowClient(server.url))


@pytest.mark.filterwarnings("ignore::FutureWarning:mlflow")
@pytest.mark.filterwarnings("ignore:.*stages will be removed.*:FutureWarning")
@pytest.mark.parametrize("seed", range(REGISTRY_SCRIPTS))
def test_mlflows_client_has_the_registry_that_it_has_from_mlflows_server(
    seed: int, players: tuple[Player, Player]
) -> None:
    for player in players:
        player.begin()
    for step in RegistryScript(seed).steps:
        expected, actual = (without_times(player.play(step)) for player in players)
        assert expected == actual, step


def without_times(value: Any) -> Any:
    """Return an answer without times, which no two servers share."""
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if not key.endswith(("_time", "_timestamp"))}
    return type(value)(map(without_times, value)) if isinstance(value, list | tuple) else value


def _without_url(note: Any, url: str) -> Any:
    """Return a note without what no two servers share: their URLs, and the blanks in JSON that a message quotes."""
    if isinstance(note, str):
        quoted = note.replace(url, "<server>").rstrip()
        return quoted.replace('": "', '":"').replace('", "', '","')
    return type(note)(_without_url(each, url) for each in note) if isinstance(note, tuple | list) else note


def test_the_fluent_functions_of_mlflow_work_over_http(tmp_path: Path) -> None:
    with running_server() as server:
        mlflow.set_tracking_uri(server.url)
        mlflow.set_experiment("fluent over http")
        for depth in (2, 4, 8):
            with mlflow.start_run(run_name=f"depth {depth}"):
                mlflow.log_params({"max_depth": depth})
                for step in range(3):
                    mlflow.log_metric("auc", depth / 10 + step / 8, step=step)
                mlflow.log_text("note", "notes/a.txt")
                mlflow.set_tag("team", "risk")

        text, order = "metrics.auc > 0.5 AND tags.team = 'risk'", ["metrics.auc DESC"]
        frame = mlflow.search_runs(filter_string=text, order_by=order)
        (run_id, *_) = frame["run_id"]
        copy = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="notes/a.txt", dst_path=str(tmp_path))
        history = mlflow.MlflowClient().get_metric_history(run_id, "auc")

    assert ["depth 8", "depth 4"] == list(frame["tags.mlflow.runName"])
    assert [0.8, 0.925, 1.05] == [point.value for point in history]
    assert "note" == Path(copy).read_text("utf-8")
