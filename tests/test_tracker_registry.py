"""Registered models in stores on disk: kept, pulled and pushed, each version once and named as the target names it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from mlquery import Client, mlflow_plugin
from mlquery.durable.opening import open as open_store
from mlquery.durable.store import DurableStore
from mlquery.mlflow_plugin import uris
from mlquery.registry import Registry
from mlquery.server.testing import running_server
from mlquery.sync import pulling
from mlquery.sync.mlflow_registry import INCOMPLETE_TAG
from mlquery.sync.mlflow_source import MlflowSource
from mlquery.sync.pulling import pull
from mlquery.sync.pushing import LimitViolationError, plan_push, push
from mlquery.sync.sources import open_source
from tests.support.fault_proxy import fault_proxy
from tests.support.tracker_mlflow import new_database
from tests.test_tracker_faults import at_first, push_until_done

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tracker_mlflow")]
mlflow_plugin.register()


@pytest.fixture(autouse=True)
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    yield
    uris.reset()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DurableStore]:
    """Return a store with two registered models, one of them with three versions."""
    with open_store(tmp_path / "runs.mlq", "fast") as opened:
        run_id = opened.create_run("0", "me", 1, [], "one").info.run_id
        opened.artifacts.put(run_id, "model/MLmodel", b"{}")
        registry = Registry(opened.clock, opened)
        registry.create_registered_model("wine", {"team": "core"}, "about wine")
        registry.create_registered_model("empty")
        model = opened.create_logged_model("0", "net", run_id)
        registry.create_model_version("wine", f"runs:/{run_id}/model", run_id, {"a": "b"}, description="first")
        registry.create_model_version("wine", f"models:/{model.model_id}", run_id, find_model=opened.get_logged_model)
        registry.create_model_version("wine", f"{opened.get_run(run_id).info.artifact_uri}/model", run_id)
        registry.transition_model_version_stage("wine", 2, "Production")
        registry.set_registered_model_alias("wine", "champion", 3)
        yield opened


def test_a_copy_in_memory_has_the_registered_models_and_is_independent(store: DurableStore) -> None:
    copy = Client(store.clone())
    copy.create_model_version("wine", "s3://bucket/new")
    copy.delete_registered_model("empty")

    kept = Client(store)
    assert ["empty", "wine"] == sorted(model.name for model in kept.search_registered_models())
    assert [1, 2, 3] == sorted(version.version for version in kept.search_model_versions())
    assert [1, 2, 3, 4] == sorted(version.version for version in copy.search_model_versions())
    assert 3 == copy.get_model_version_by_alias("wine", "champion").version


def registered(uri: str) -> dict[str, Any]:
    """Return all that is registered at a URI, with names in the place of ids."""
    client = mlflow.MlflowClient(uri, registry_uri=uri)
    experiments = [found.experiment_id for found in client.search_experiments(3)]
    ids = {run.info.run_id: f"run {run.info.run_name}" for run in client.search_runs(experiments, run_view_type=3)}
    ids |= {model.model_id: f"model {model.name}" for model in client.search_logged_models(experiments)}
    found: dict[str, Any] = {}
    for model in client.search_registered_models():
        versions = client.search_model_versions(f"name = '{model.name}'")
        found[model.name] = [
            *(model.description or "", dict(model.tags), client.get_registered_model(model.name).aliases),
            sorted(
                [
                    *(int(one.version), one.description or "", one.current_stage, dict(one.tags)),
                    *(ids.get(one.run_id or "", one.run_id), with_names(one.source, ids)),
                ]
                for one in versions
            ),
        ]
    return found


def with_names(source: str | None, ids: dict[str, str]) -> str:
    source = source or ""
    for one, name in ids.items():
        source = source.replace(one, name)
    return source if source.startswith(("runs:", "models:")) else f"… {source.rpartition('/')[2]}"


EXPECTED: dict[str, Any] = {
    "empty": ["", {}, {}, []],
    "wine": [
        *("about wine", {"team": "core"}, {"champion": 3}),
        [
            [1, "first", "None", {"a": "b"}, "run one", "runs:/run one/model"],
            [2, "", "Production", {}, "run one", "models:/model net"],
            [3, "", "None", {}, "run one", "… model"],
        ],
    ],
}


def as_integers(found: dict[str, Any]) -> dict[str, Any]:
    for about in found.values():
        about[2] = {alias: int(number) for alias, number in about[2].items()}
    return found


def test_registered_models_are_pushed_once_and_changes_later(store: DurableStore) -> None:
    with running_server() as server:
        plan = plan_push(store, server.url)
        done = push(store, server.url)
        assert EXPECTED == as_integers(registered(server.url))
        assert (2, 3) == (done.registered_models, done.versions)
        assert [("wine", 3), ("empty", 0)] == [(part.model.name, len(part.versions)) for part in plan.registered]
        seq = store.seq
        assert (0, 0) == ((again := push(store, server.url)).registered_models, again.versions)
        assert seq == store.seq

        registry = Registry(store.clock, store)
        registry.set_model_version_tag("wine", 1, "new", "tag")
        registry.transition_model_version_stage("wine", 2, "Archived")
        registry.set_registered_model_alias("wine", "champion", 1)
        registry.delete_model_version("wine", 3)
        registry.update_registered_model("wine", "more about wine")
        push(store, server.url)

        found = as_integers(registered(server.url))["wine"]
        assert ("more about wine", {"champion": 1}) == (found[0], found[2])
        assert [(1, "None", {"a": "b", "new": "tag"}), (2, "Archived", {})] == [(one[0], *one[2:4]) for one in found[3]]


@pytest.mark.parametrize("fault", ["503 after", "reset after", "late", "cut"])
def test_registered_models_are_created_once_whatever_gets_lost(fault: str, store: DurableStore) -> None:
    choose = [at_first(fault)]
    with running_server() as server, fault_proxy(server.url, lambda *about: choose[0](*about), stall=0.02) as proxied:
        push_until_done(store, proxied, most=60 if fault == "cut" else 1)
        choose[0] = lambda *_: "pass"
        push(store, proxied)

        found = as_integers(registered(server.url))
        if fault == "late":  # a version that came late was deleted, and its number is not given again
            names = {one: [version[1:] for version in found[one][3]] for one in found}
            assert {one: [version[1:] for version in about[3]] for one, about in EXPECTED.items()} == names
        else:
            assert EXPECTED == found


def test_versions_have_the_next_numbers_of_a_target_that_has_others(store: DurableStore) -> None:
    with running_server() as server:
        client = mlflow.MlflowClient(server.url)
        client.create_registered_model("wine", {"team": "theirs"}, "theirs")
        client.create_model_version("wine", "s3://b/theirs")
        client.set_registered_model_alias("wine", "champion", "1")
        others = client.create_model_version("wine", "s3://b/x", tags={INCOMPLETE_TAG: "another-store/wine/1"})
        registry = Registry(store.clock, store)
        registry.create_model_version("wine", "models:/wine/1")

        push(store, server.url)
        push(store, server.url)

        found = as_integers(registered(server.url))["wine"]
        assert ["theirs", {"team": "theirs"}, {"champion": 1}] == found[:3]
        assert [1, int(others.version), 3, 4, 5, 6] == [one[0] for one in found[3]]
        assert "models:/wine/3" == found[3][5][5]


def test_registered_models_of_a_database_are_pulled_and_pushed_to_another(store: DurableStore, tmp_path: Path) -> None:
    source, target = new_database(tmp_path / "source"), new_database(tmp_path / "target")
    push(store, source)
    expected = registered(source)
    with open_store(tmp_path / "other", "fast") as other:
        pulled = pull(other, source)
        again = pull(other, source)
        assert (2, 3) == (pulled.registered_models, pulled.versions)
        assert (0, 0) == (again.registered_models, again.versions)
        assert expected == registered(f"mlquery://{other.path}")

        push(other, target)
        assert expected == registered(target)
        back = push(other, source)
        assert (0, 0) == (back.registered_models, back.versions)
    pulled = pull(store, source)  # what was pushed is not pulled back
    assert (0, 0) == (pulled.registered_models, pulled.versions)


@pytest.mark.filterwarnings("ignore:.*no source says whether azure supports this:mlquery.QueryWarning")
def test_registered_models_of_a_service_that_does_not_search_by_tags_are_pulled(tmp_path: Path) -> None:
    service = Client(dialect="azure")
    for name in ("wine", "empty"):
        service.create_registered_model(name, {"team": "core"})
    service.create_model_version("wine", "azureml://there/1", tags={"a": "b"})
    service.create_model_version("wine", "azureml://there/2")
    with running_server(service.store, dialect="azure") as server, open_store(tmp_path / "mine", "fast") as mine:
        pulled, again = pull(mine, server.url), pull(mine, server.url)

        assert (2, 2, "") == (pulled.registered_models, pulled.versions, pulled.unlisted)
        assert (0, 0) == (again.registered_models, again.versions)
        assert {"team": "core"} == mine.registered_models["empty"].model.tags
        versions = mine.registered_models["wine"].versions
        assert {1: "azureml://there/1", 2: "azureml://there/2"} == {one: versions[one].source for one in versions}


@pytest.mark.parametrize("opened", [open_source, MlflowSource], ids=["read as a file", "through MLflow's client"])
def test_prompts_are_not_pulled(opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "open_source", opened)
    uri = new_database(tmp_path)
    client = mlflow.MlflowClient(uri, uri)
    client.create_registered_model("wine")
    client.register_prompt("greeting", "Hello {{name}}")
    with open_store(tmp_path / "mine", "fast") as mine:
        pull(mine, uri)
        assert {"wine"} == mine.registered_models.keys()


def test_registered_models_of_a_folder_are_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    folder = str(tmp_path / "mlruns")
    client = mlflow.MlflowClient(folder, folder)
    run_id = client.create_run("0").info.run_id
    client.log_text(run_id, "{}", "model/MLmodel")
    client.create_registered_model("wine", {"team": "core"})
    client.create_model_version("wine", f"runs:/{run_id}/model", run_id)
    client.set_registered_model_alias("wine", "champion", "1")
    with open_store(tmp_path / "mine", "fast") as mine:
        pulled, again = pull(mine, folder), pull(mine, folder)

        assert (1, 1) == (pulled.registered_models, pulled.versions)
        assert (0, 0) == (again.registered_models, again.versions)
        (own,) = mine.runs.ids
        assert own == mine.registered_models["wine"].versions[1].run_id
        assert {"champion": 1} == mine.registered_models["wine"].model.aliases


def test_what_changed_on_a_server_is_pulled(store: DurableStore) -> None:
    with running_server() as server:
        push(store, server.url)
        client = mlflow.MlflowClient(server.url)
        client.set_model_version_tag("wine", "1", "new", "theirs")
        client.create_model_version("wine", "s3://b/theirs")
        client.set_registered_model_alias("wine", "theirs", "4")
        Registry(store.clock, store).create_model_version("wine", "s3://b/mine")  # has the number 4 here

        done = pull(store, server.url)

        wine = store.registered_models["wine"]
        assert (1, 2) == (done.registered_models, done.versions)
        assert {"a": "b", "new": "theirs"} == wine.versions[1].tags
        assert ["s3://b/mine", "s3://b/theirs"] == [wine.versions[number].source for number in (4, 5)]
        assert {"champion": 3, "theirs": 5} == wine.model.aliases
        push(store, server.url)
        sources = {
            one.source for one in client.search_model_versions("name = 'wine'") if str(one.source).startswith("s3:")
        }
        assert {"s3://b/mine", "s3://b/theirs"} == sources
        assert 5 == len(client.search_model_versions("name = 'wine'"))


def test_only_the_versions_of_chosen_runs_are_pushed(store: DurableStore) -> None:
    other = store.create_run("0", "me", 2, [], "other").info.run_id
    Registry(store.clock, store).create_model_version("wine", "s3://b/other", other)
    with running_server() as server:
        push(store, server.url, filter_string="attributes.run_name = 'other'")

        assert ["s3://b/other"] == [one.source for one in mlflow.MlflowClient(server.url).search_model_versions()]
        push(store, server.url)
        assert 4 == len(mlflow.MlflowClient(server.url).search_model_versions())


def test_aliases_that_a_target_lacks_are_listed_before_anything_is_sent(
    store: DurableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlquery.sync import pushing
    from mlquery.sync.limit_violations import TargetLimits, target_limits

    def without_aliases(uri: str, dialect: str | None = None) -> TargetLimits:
        import attrs

        return attrs.evolve(target_limits(uri, dialect), supports_aliases=False)

    monkeypatch.setattr(pushing, "target_limits", without_aliases)
    with running_server() as server:
        with pytest.raises(LimitViolationError) as refused:
            push(store, server.url)
        assert ["registered model 'wine': aliases, which this target does not support: 1, at most 0"] == list(
            map(str, refused.value.violations)
        )
        assert [] == list(mlflow.MlflowClient(server.url).search_registered_models())
        push(store, server.url, leave_out=True)
        assert {} == mlflow.MlflowClient(server.url).get_registered_model("wine").aliases
