"""The real client `azureml-mlflow` against this server in the azure dialect, over https, in each release that is there.

Nothing of the client is replaced: what it reads from its environment leads it here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support import azureml_remote, served_runs
from tests.support.microsofts_client import PYTHONS, needs_azureml, seen_by

pytestmark = needs_azureml


@pytest.fixture(scope="module", params=PYTHONS)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def seen(python: str) -> Any:
    """Return what the client saw of experiments and runs."""
    return seen_by(python, "azureml_session.py")


@pytest.fixture(scope="module")
def files(python: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what the client saw of artifacts and models."""
    return seen_by(python, "azureml_artifacts.py", str(tmp_path_factory.mktemp("azureml")))


def test_experiments_and_runs_have_dashed_guids_and_zero_means_the_default_experiment(seen: Any) -> None:
    assert [[4, "by store"], True, [4, "FINISHED"]] == [seen["experiment"], seen["experiment zero"], seen["id"]]
    assert ["Default", "by store", "fluent"] == seen["experiments"]


def test_batches_are_logged_asynchronously_and_polled(seen: Any) -> None:
    assert [{"m": 0.5}, {"p": "1"}] == seen["async"]


def test_numbers_of_64_bits_survive_the_way_through_json(seen: Any) -> None:
    assert [[1_700_000_000_123, 2**40]] == seen["history"]


def test_the_fluent_functions_search_as_microsofts_notebooks_do(seen: Any) -> None:
    assert [["parent"], ["FINISHED"]] == seen["search"]
    assert ["parent", "child"] == seen["family, oldest first"]
    assert seen["children"] is True
    assert "deleted" == seen["archived"]


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("like on a tag", "UserError", "Operator 'LIKE' not supported for key type 'Tag'."),
        ("or", "UserError", "Currently unsupported filter string format (we currently do not support OR)."),
        ("order by metric", "UserError", ""),
        ("rename", "UserError", ""),
        ("params", "ValidationError", "A field of the entity is over the size limit. FieldName=Parameters, Limit=200"),
        ("points", "ValidationError", "A field of the entity is over the size limit. FieldName=MetricV2Dto.Value"),
    ],
)
def test_a_refusal_is_a_rest_exception_with_the_services_body(seen: Any, what: str, code: str, words: str) -> None:
    error_code, service_code, message, component = seen[what]

    assert ("INVALID_PARAMETER_VALUE", code, "mlflow") == (error_code, service_code, component)
    assert message.startswith(words)


def test_a_missing_run_has_its_own_code(seen: Any) -> None:
    assert "RESOURCE_DOES_NOT_EXIST" == seen["no such run"][0]


def test_logged_models_have_no_endpoint(seen: Any, files: Any) -> None:
    if not files["has logged models"]:  # before MLflow 3 a model is a folder of a run
        assert ("logged", "registered") == (files["log_model"], files["register a run's"])
        assert ["made/deep", "made/empty"] == files["folder"]
        return
    assert ["MlflowException", "ENDPOINT_NOT_FOUND"] == seen["model"][:2]
    assert "error code 404 != 200. Response body: 'azure has no logged models; instead: " in seen["model"][2]
    # MLflow 3 asks for logged models here too.
    assert all("error code 404 != 200" in files[what] for what in ("log_model", "register a run's", "folder"))


def test_the_extended_language_finds_what_the_local_engine_finds(python: str) -> None:
    searches = int(os.environ.get("MLQUERY_REMOTE_TREES", "40"))
    store = served_runs.served_store(azureml_remote.SEED, azureml_remote.RUNS)

    seen = seen_by(python, "azureml_remote.py", str(searches), "5", store=store, timeout=3600)

    print(f"\n{python}: {seen['costs']}")
    assert ("azureml", "azure", []) == (seen["scheme"], seen["dialect"], seen["differing"])


# Artifacts and models


def test_a_run_says_where_its_artifacts_are_as_on_the_service(files: Any) -> None:
    assert [True, True] == files["uri"]


def test_artifacts_are_listed_without_their_sizes(files: Any) -> None:
    listed = [["config.json", False], ["large", False], ["made", True], ["notes", True]]
    assert [[*file, -1] for file in listed] == files["top"]


def test_artifacts_come_back_as_they_were_logged(files: Any) -> None:
    assert ("hello", {"a": 1}, True, 65_000_000) == tuple(files[what] for what in ("text", "json", "bytes", "large"))
    assert ["deep/x.bin", "empty"] == files["made"]


def test_an_artifact_that_is_missing_is_not_downloaded(files: Any) -> None:
    assert files["missing"].startswith("MlflowException: ")


def test_an_artifact_is_never_overwritten(files: Any) -> None:
    conflict = "Resource Conflict: ArtifactId ExperimentRun/dcid.ID/config.json already exists."
    assert f"Exception: UserError: {conflict}" == files["again"]


def test_models_are_registered_from_a_run_and_from_a_folder_and_loaded(files: Any) -> None:
    assert ("registered", "registered") == (files["register by place"], files["register a folder"])
    assert ["RUN/artifacts/model", "azureml://artifacts/LocalUpload/CONTAINER/regressor"] == files["sources"]
    assert {(2, 4)} == {*map(tuple, files["predictions"]), tuple(files["model of the run"]), tuple(files["by stage"])}
    assert files["files"] is True
    assert files["register no model"].startswith(
        "ValueError: Model source must be a directory containing an mlflow MLmodel"
    )


def test_the_registry_answers_as_model_management_asks(files: Any) -> None:
    assert ("Staging", [True], "a sample") == (files["stage"], files["latest"], files["description"])
    assert (None, {"type": "regression"}, None) == (files["tag"], files["tags"], files["no tag"])
    assert ("doubled", None, True) == (files["model"], files["delete version"], files["versions"])


def test_what_the_registry_of_the_service_lacks_is_refused(files: Any) -> None:
    assert files["alias"].startswith("RestException: ENDPOINT_NOT_FOUND: ")
    # Every client since MLflow 2.21 asks for models that are no prompts, which the service refuses.
    assert "Currently unsupported filter string format" in files["search models"]


def test_runs_go_to_a_workspace_within_its_limits_and_come_back_the_same(python: str, tmp_path: Path) -> None:
    seen = seen_by(python, "azureml_tracker.py", str(tmp_path))

    assert (["params: 210, at most 200"], 0) == (seen["unfit"], seen["before"])
    assert ([2, 0], [2, 0]) == (seen["pushed"], seen["pulled"])
    assert seen["here"]["child"] == seen["back"]["child"]
    assert {"model/MLmodel": "flavors: {}"} == seen["back"]["child"][-1]
    assert ["RUNNING", 1_000, None, 210] == seen["here"]["parent"][:4]
    assert ["RUNNING", 1_000, None, 200] == seen["back"]["parent"][:4]
