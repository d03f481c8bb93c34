"""The model registry through `import mlflow`, as training code uses it: in memory, beside the runs, two dialects."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModelTag
from mlflow.exceptions import MlflowException, RestException
from sklearn.linear_model import LinearRegression

import mlquery
from mlquery.mlflow_plugin import uris
from mlquery.mlflow_plugin.registry import REFUSED, RegistryStore

# MLflow starts a Python to find out what a model needs, unless it is told.
NONE_INFERRED = ["mlflow"]
X = np.arange(20.0).reshape(10, 2)
MODEL = LinearRegression().fit(X, X[:, 0] * 2 - X[:, 1])
PREDICTED = MODEL.predict(X).tolist()

# Warnings of MLflow and of the libraries it saves models of, about their own affairs.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
    pytest.mark.filterwarnings("ignore:.*stages will be removed.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*pickle.*"),
]


def number_of(version: ModelVersion) -> int:
    """Return the number of a version, which MLflow's types call a string."""
    return cast(int, version.version)


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[mlquery.mocking.Mock]:
    """Stand in for MLflow's servers, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with mlquery.mock() as double:
        yield double


@pytest.fixture
def client(double: mlquery.mocking.Mock) -> MlflowClient:
    return MlflowClient()


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """Stand in for a workspace of Azure Machine Learning, with two versions of one model."""
    monkeypatch.chdir(tmp_path)
    with mlquery.mock("azure"):
        client = MlflowClient()
        client.create_registered_model("wine")
        for _ in range(2):
            client.create_model_version("wine", "azureml://somewhere/model", "a-run")
        yield client


def logged(name: str | None = None) -> Any:
    """Log the model in a run of its own and return what MLflow says of it."""
    with mlflow.start_run():
        return mlflow.sklearn.log_model(MODEL, name="model", registered_model_name=name, pip_requirements=NONE_INFERRED)


def predicted(uri: str) -> list[float]:
    found: list[float] = mlflow.pyfunc.load_model(uri).predict(X).tolist()
    return found


# --- in the dialect of MLflow -----------------------------------------------------------------------------------------


def test_a_model_that_is_logged_under_a_name_is_registered_and_loads_from_every_uri(client: Any) -> None:
    info = logged("wine")

    client.set_registered_model_alias("wine", "champion", 1)
    client.transition_model_version_stage("wine", "1", "production")

    version = client.get_model_version("wine", 1)
    assert (1, info.run_id, f"models:/{info.model_id}") == (version.version, version.run_id, version.source)
    assert ("Production", ["champion"], "READY") == (version.current_stage, version.aliases, version.status)
    for uri in ("models:/wine/1", "models:/wine@champion", "models:/wine/Production", "models:/wine/latest"):
        assert PREDICTED == predicted(uri)
    assert PREDICTED == mlflow.sklearn.load_model("models:/wine/1").predict(X).tolist()
    assert '[{"name": "wine", "version": 1}]' == mlflow.get_logged_model(info.model_id).tags["mlflow.modelVersions"]


def test_a_model_of_a_run_is_registered_afterwards(client: MlflowClient) -> None:
    info = logged()

    of_run = mlflow.register_model(f"runs:/{info.run_id}/model", "wine", tags={"by": "hand"})
    of_model = mlflow.register_model(info.model_uri, "wine")

    assert [1, 2] == [number_of(of_run), number_of(of_model)]
    assert [info.run_id] * 2 == [of_run.run_id, of_model.run_id]
    assert {"by": "hand"} == of_run.tags
    assert PREDICTED == predicted("models:/wine/1") == predicted("models:/wine/2")


def test_a_version_is_copied_with_its_files_and_its_run(client: MlflowClient) -> None:
    info = logged("staging")

    copied = client.copy_model_version("models:/staging/1", "production")
    again = client.copy_model_version("models:/staging/latest", "production")

    assert [("production", 1), ("production", 2)] == [(v.name, number_of(v)) for v in (copied, again)]
    assert (info.run_id, "models:/staging/1") == (copied.run_id, copied.source)
    assert PREDICTED == predicted("models:/production/2")


def test_the_newest_version_of_each_stage_is_found(client: MlflowClient) -> None:
    client.create_registered_model("wine")
    for _ in range(4):
        client.create_model_version("wine", "s3://somewhere")
    client.transition_model_version_stage("wine", 1, "Production")
    client.transition_model_version_stage("wine", 2, "Production", archive_existing_versions=True)
    client.transition_model_version_stage("wine", 3, "Staging")

    found = {v.current_stage: v.version for v in client.get_latest_versions("wine")}

    assert {"Archived": 1, "Production": 2, "Staging": 3, "None": 4} == found
    assert [2] == [v.version for v in client.get_latest_versions("wine", ["production"])]


def test_both_searches_find_what_is_registered(client: MlflowClient) -> None:
    for name in ("wine", "iris", "Wine"):
        client.create_registered_model(name, {"team": name.lower()}, f"about {name}")
    client.create_model_version("wine", "s3://one", "r1", {"kind": "linear"})
    client.create_model_version("iris", "s3://two", "r2", {"kind": "tree"})

    assert ["Wine", "iris", "wine"] == [model.name for model in mlflow.search_registered_models()]
    assert ["wine"] == [m.name for m in client.search_registered_models("tags.team = 'wine' AND name LIKE 'w%'")]
    found = mlflow.search_model_versions(filter_string="run_id IN ('r1') AND tags.kind = 'linear'")
    assert [("wine", 1)] == [(version.name, number_of(version)) for version in found]


def test_pages_of_a_search_are_read_with_the_client_s_own_tokens(client: MlflowClient) -> None:
    for number in range(5):
        client.create_registered_model(f"model {number}")

    first = client.search_registered_models(max_results=2)
    second = client.search_registered_models(max_results=2, page_token=first.token)
    last = client.search_registered_models(max_results=2, page_token=second.token)

    assert [2, 2, 1] == [len(page) for page in (first, second, last)]
    assert "model 4" == last[0].name
    assert not last.token


def test_a_refused_call_raises_the_exception_of_mlflow_with_its_cause(client: MlflowClient) -> None:
    with pytest.raises(MlflowException, match="Registered Model with name=wine not found") as missing:
        client.get_registered_model("wine")
    with pytest.raises(MlflowException, match=r"oss does not support .*\[join.or\]") as refused:
        client.search_model_versions("name = 'a' OR name = 'b'")

    assert "RESOURCE_DOES_NOT_EXIST" == missing.value.error_code
    assert "INVALID_PARAMETER_VALUE" == refused.value.error_code
    assert "join.or" == refused.value.__cause__.diagnostics[0].feature  # type: ignore[union-attr]


def test_prompts_and_webhooks_are_refused_with_a_sentence(client: MlflowClient) -> None:
    for call in (
        lambda: mlflow.genai.register_prompt("greeting", "Hello {{ name }}"),
        lambda: client.create_webhook("hook", "https://example.com", ["registered_model.created"]),
        lambda: client.list_webhooks(),
    ):
        with pytest.raises(MlflowException, match=r"mlquery does not keep (prompts|webhooks)") as error:
            call()
        assert "NOT_IMPLEMENTED" == error.value.error_code


@pytest.mark.parametrize("name", REFUSED)
def test_every_other_call_of_a_registry_is_refused_by_name(name: str) -> None:
    with pytest.raises(MlflowException, match=f"mlquery does not keep .*: '{name}' is outside"):
        getattr(RegistryStore(), name)()


def test_a_prompt_is_not_registered_as_a_model() -> None:
    with pytest.raises(MlflowException, match="mlquery does not keep prompts"):
        RegistryStore().create_registered_model("p", [RegisteredModelTag("mlflow.prompt.is_prompt", "true")])


def test_what_mlquery_does_not_have_is_not_said_in_the_words_of_a_service(azure: MlflowClient) -> None:
    prompt = [RegisteredModelTag("mlflow.prompt.is_prompt", "true")]
    calls: tuple[Callable[[], Any], ...] = (
        lambda: RegistryStore().create_registered_model("p", prompt),
        lambda: azure._tracking_client.store.register_scorer("0", "s", "{}"),
    )
    for call in calls:
        with pytest.raises(MlflowException, match=r"mlquery does not keep (prompts|scorers)") as refused:
            call()

        assert type(refused.value) is MlflowException
        assert "NOT_IMPLEMENTED" == refused.value.error_code


# --- in the dialect of Azure ------------------------------------------------------------------------------------------


def test_azure_refuses_every_search_of_registered_models_in_the_words_of_the_service(azure: MlflowClient) -> None:
    with pytest.raises(RestException) as error:
        azure.search_registered_models()

    assert "INVALID_PARAMETER_VALUE" == error.value.error_code
    assert (
        "Currently unsupported filter string format (we currently do not support OR). "
        "Provided filter string: tag.`mlflow.prompt.is_prompt` != 'true'" == error.value.json["Error"]["Message"]
    )
    assert "this wording was seen in an answer of the service" in error.value.__notes__[0]


def test_azure_finds_versions_by_name(azure: MlflowClient) -> None:
    found = azure.search_model_versions("name='wine'", order_by=["version DESC"])

    assert ["2", "1"] == [version.version for version in found]


def test_azure_refuses_patterns_and_tags_of_versions(azure: MlflowClient) -> None:
    for refused in ("name LIKE 'w%'", "tags.team = 'core'"):
        with pytest.raises(RestException, match="do not support OR"):
            azure.search_model_versions(refused)


def test_azure_neither_renames_nor_deletes_a_registered_model(azure: MlflowClient) -> None:
    with pytest.raises(RestException, match=r"rename_registered_model +\[registry.rename\]"):
        azure.rename_registered_model("wine", "wines")
    with pytest.raises(RestException, match="delete every version of it"):
        azure.delete_registered_model("wine")

    assert "wine" == azure.get_registered_model("wine").name


def test_azure_deletes_versions_and_changes_them(azure: MlflowClient) -> None:
    azure.update_model_version("wine", "1", "the first one")
    azure.set_model_version_tag("wine", "1", "checked", "yes")
    azure.delete_model_version("wine", "2")

    (version,) = azure.search_model_versions("name='wine'")
    assert ("1", "the first one", {"checked": "yes"}) == (version.version, version.description, version.tags)


def test_azure_minds_the_case_of_stages(azure: MlflowClient) -> None:
    with pytest.raises(RestException, match="Invalid Model Version stage: production"):
        azure.transition_model_version_stage("wine", "1", "production")

    moved = azure.transition_model_version_stage("wine", "1", "Production")

    assert "Production" == moved.current_stage
    assert ["1"] == [version.version for version in azure.get_latest_versions("wine", ["Production"])]


def test_azure_warns_of_searches_that_no_source_speaks_of_where_the_call_is_written(azure: MlflowClient) -> None:
    with pytest.warns(mlquery.QueryWarning, match=r"\[registry.filter.version\]") as caught:
        azure.search_model_versions("run_id = 'r'")

    assert __file__ == caught[0].filename


def test_azure_has_no_aliases_and_says_what_to_do_instead(azure: MlflowClient) -> None:
    calls = (
        lambda: azure.set_registered_model_alias("wine", "champion", "1"),
        lambda: azure.delete_registered_model_alias("wine", "champion"),
        lambda: azure.get_model_version_by_alias("wine", "champion"),
    )
    for call in calls:
        with pytest.raises(RestException, match="instead: a stage or a tag of the version") as refused:
            call()

        assert ("ENDPOINT_NOT_FOUND", 404) == (refused.value.error_code, refused.value.get_http_status_code())


def test_azure_takes_a_copy_of_the_model_in_a_relative_folder(azure: MlflowClient, tmp_path: Path) -> None:
    mlflow.sklearn.save_model(MODEL, "regressor", pip_requirements=NONE_INFERRED)

    version = mlflow.register_model("file://regressor", "forest")
    shutil.rmtree(tmp_path / "regressor")

    assert "LocalUpload/" in str(version.source)
    assert str(version.source).endswith("/regressor")
    assert PREDICTED == mlflow.sklearn.load_model(f"models:/forest/{version.version}").predict(X).tolist()


def test_azure_uploads_each_version_to_a_place_of_its_own(azure: MlflowClient, tmp_path: Path) -> None:
    mlflow.sklearn.save_model(MODEL, "a model", pip_requirements=NONE_INFERRED)

    first = azure.create_model_version("wine", "file://a model")
    second = azure.create_model_version("wine", f"file://{tmp_path}/a model")

    assert first.source != second.source
    assert PREDICTED == mlflow.sklearn.load_model(f"models:/wine/{second.version}").predict(X).tolist()


def test_azure_refuses_a_folder_without_a_model_before_the_service_is_asked(
    azure: MlflowClient, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()

    for source in ("file:///nonexistent", "file://empty", "file://regressor"):
        with pytest.raises(ValueError, match="must be a directory containing an mlflow MLmodel") as refused:
            azure.create_model_version("wine", source)
        assert not isinstance(refused.value, MlflowException)
    with pytest.raises(ValueError, match="provided when registering local file"):
        azure.create_model_version("wine", "file://empty", "some run")
    assert ["1", "2"] == sorted(version.version for version in azure.search_model_versions("name = 'wine'"))


def test_open_source_mlflow_leaves_a_folder_where_it_is(client: MlflowClient) -> None:
    client.create_registered_model("wine")

    assert "file:///nonexistent" == client.create_model_version("wine", "file:///nonexistent").source


# --- stores and URIs --------------------------------------------------------------------------------------------------


def test_a_registry_belongs_to_the_store_of_its_name() -> None:
    try:
        one, same, other = (MlflowClient(uri) for uri in ("mlquery://one", "mlquery://one", "mlquery://other"))
        one.create_registered_model("wine")

        assert ["wine"] == [model.name for model in same.search_registered_models()]
        assert [] == list(other.search_registered_models())
        beside = mlquery.Client(uris.store_for("mlquery://one").store)
        assert "wine" == beside.get_registered_model("wine").name
    finally:
        uris.forget("mlquery://one")
        uris.forget("mlquery://other")


def test_a_mock_inside_another_has_a_registry_and_a_clock_of_its_own(client: MlflowClient) -> None:
    client.create_registered_model("wine")
    with mlquery.mock() as inner:
        assert [] == list(MlflowClient().search_registered_models())
        inner.clock.set(7_000)

        MlflowClient().create_registered_model("iris")

        assert 7_000 == MlflowClient().get_registered_model("iris").creation_timestamp
    assert ["wine"] == [model.name for model in client.search_registered_models()]


def test_what_a_mock_begins_with_is_copied_with_its_registry() -> None:
    with mlquery.mock() as seed:
        MlflowClient().create_registered_model("wine", {"team": "core"})
        MlflowClient().create_model_version("wine", "s3://one")
    for _ in range(2):
        with mlquery.mock(store=seed):
            client: Any = MlflowClient()
            client.set_registered_model_tag("wine", "team", "edge")
            client.delete_model_version("wine", 1)
            assert {"team": "edge"} == client.get_registered_model("wine").tags
    with mlquery.mock(store=seed):
        assert {"team": "core"} == MlflowClient().get_registered_model("wine").tags
        assert 1 == number_of(MlflowClient().get_model_version("wine", "1"))


def test_a_fault_that_a_test_asks_for_comes(double: mlquery.mocking.Mock, client: MlflowClient) -> None:
    double.store.fail_next("create_registered_model", MlflowException("no space left"))

    with pytest.raises(MlflowException, match="no space left"):
        client.create_registered_model("wine")

    assert "wine" == client.create_registered_model("wine").name


def test_a_store_on_disk_keeps_what_is_registered(tmp_path: Path) -> None:
    uri = f"mlquery:///{tmp_path / 'store'}"
    try:
        MlflowClient(uri).create_registered_model("wine", {"team": "core"}, "a description")
        MlflowClient(uri).create_model_version("wine", "s3://b/one", description="first")
        MlflowClient(uri).set_registered_model_alias("wine", "champion", "1")
        MlflowClient(uri).transition_model_version_stage("wine", "1", "Staging")
    finally:
        uris.forget(uri)

    try:
        found = MlflowClient(uri).get_model_version_by_alias("wine", "champion")
        assert ("1", "first", "Staging") == (str(found.version), found.description, found.current_stage)
        (model,) = MlflowClient(uri).search_registered_models("name = 'wine'")
        assert ({"team": "core"}, "a description") == (model.tags, model.description)
    finally:
        uris.forget(uri)


def test_a_uri_that_means_nothing_is_refused_when_the_registry_is_made() -> None:
    with pytest.raises(MlflowException, match="Invalid tracking URI 'mlquery:x"):
        RegistryStore("mlquery:x?dialect=none")
