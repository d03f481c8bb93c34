"""The registry itself, without MLflow: what its calls keep and refuse, and what searches over it mean."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from mlquery import QueryError, QueryWarning, StoreError, check, explain
from mlquery.backend import Backend
from mlquery.registry import Registry


@pytest.fixture
def clock() -> Callable[[], int]:
    """Tell a time that is a millisecond later with every call."""
    times = iter(range(1_000, 2_000))
    return lambda: next(times)


@pytest.fixture
def registry(clock: Callable[[], int]) -> Registry:
    """Hold two versions of "wine", made at 1000 to 1002 ms."""
    registry = Registry(clock)
    registry.create_registered_model("wine", {"team": "core"})
    registry.create_model_version("wine", "s3://one", "r1", {"kind": "tree"})
    registry.create_model_version("wine", "s3://two")
    return registry


def refusal(call: Callable[..., Any], *arguments: Any, **more: Any) -> tuple[str, str]:
    with pytest.raises(StoreError) as error:
        call(*arguments, **more)
    return error.value.error_code, error.value.message


def test_what_was_handed_out_does_not_change(registry: Registry) -> None:
    model, version = registry.get_registered_model("wine"), registry.get_model_version("wine", 1)
    before = (attrs.asdict(model), attrs.asdict(version))

    registry.set_registered_model_tag("wine", "team", "edge")
    registry.set_model_version_tag("wine", 1, "kind", "linear")
    registry.set_registered_model_alias("wine", "champion", 1)
    registry.rename_registered_model("wine", "wines")

    assert before == (attrs.asdict(model), attrs.asdict(version))


def test_a_clone_goes_its_own_way(registry: Registry) -> None:
    clone = registry.clone()

    clone.create_model_version("wine", "s3://three")
    registry.delete_registered_model("wine")

    assert [3] == [v.version for v in clone.get_registered_model("wine").latest_versions]
    assert [] == registry.models()
    assert "<Registry: 1 models>" == repr(clone)


def test_times_follow_the_changes(registry: Registry) -> None:
    registry.update_model_version("wine", 1, "older")
    registry.transition_model_version_stage("wine", 2, "Staging")
    registry.set_model_version_tag("wine", 2, "kind", "none")

    model, first, second = (
        registry.get_registered_model("wine"),
        registry.get_model_version("wine", 1),
        registry.get_model_version("wine", 2),
    )
    assert (1000, 1004) == (model.creation_timestamp, model.last_updated_timestamp)
    assert (1001, 1003) == (first.creation_timestamp, first.last_updated_timestamp)
    assert (1002, 1004) == (second.creation_timestamp, second.last_updated_timestamp)


def test_a_version_that_was_deleted_leaves_its_number_and_nothing_else(registry: Registry) -> None:
    registry.set_registered_model_alias("wine", "champion", "2")

    registry.delete_model_version("wine", "2")

    assert {} == registry.get_registered_model("wine").aliases
    missing = ("RESOURCE_DOES_NOT_EXIST", "Model Version (name=wine, version=2) not found")
    assert missing == refusal(registry.get_model_version, "wine", "2")
    assert 3 == registry.create_model_version("wine", "s3://three").version


def test_a_model_takes_versions_tags_and_aliases_along_to_a_new_name(registry: Registry) -> None:
    registry.set_registered_model_alias("wine", "champion", 1)

    renamed = registry.rename_registered_model("wine", "wines")

    assert ({"team": "core"}, {"champion": 1}) == (renamed.tags, renamed.aliases)
    assert ["wines", "wines"] == [version.name for version in registry.versions()]
    assert ("champion",) == registry.get_model_version_by_alias("wines", "champion").aliases
    assert "RESOURCE_DOES_NOT_EXIST" == refusal(registry.get_registered_model, "wine")[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "Missing value for required parameter 'name'."),
        ("  ", "Missing value for required parameter 'name'."),
        ("a/b", "Invalid model name 'a/b'. Names cannot contain '/' or ':'."),
        ("..", "Invalid value \"..\" for parameter 'name' supplied: Names may be treated as files"),
        (7, "Invalid value 7 for parameter 'name' supplied: Expects a string."),
    ],
)
def test_a_bad_name_is_refused(registry: Registry, name: Any, message: str) -> None:
    code, said = refusal(registry.create_registered_model, name)

    assert "INVALID_PARAMETER_VALUE" == code
    assert said.startswith(message)


@pytest.mark.parametrize(
    ("version", "code"),
    [
        *(("x", "INVALID_PARAMETER_VALUE"), ("1.0", "INVALID_PARAMETER_VALUE")),
        *((None, "INTERNAL_ERROR"), (2**63, "INTERNAL_ERROR")),
        *((0, "RESOURCE_DOES_NOT_EXIST"), ("99", "RESOURCE_DOES_NOT_EXIST")),
    ],
)
def test_a_version_that_is_none_is_refused(registry: Registry, version: Any, code: str) -> None:
    assert code == refusal(registry.get_model_version, "wine", version)[0]


def test_of_a_key_that_is_too_long_and_a_version_that_is_too_large_the_key_is_named(registry: Registry) -> None:
    assert "INVALID_PARAMETER_VALUE" == refusal(registry.set_model_version_tag, "wine", 2**64, "k" * 251, "v")[0]
    assert "INTERNAL_ERROR" == refusal(registry.set_model_version_tag, "wine", 2**64, "k", "v")[0]


def test_is_null_fails_before_the_field_is_looked_at(registry: Registry) -> None:
    with pytest.raises(QueryError) as caught:
        Backend(registry=registry, dialect="oss:3.17").search_registered_models("attributes.name IS NULL")

    assert ["unsupported", "unknown-field"] == [problem.code for problem in caught.value.diagnostics]
    assert "INTERNAL_ERROR" == caught.value.error_code


def test_the_tags_of_models_and_versions_are_checked(registry: Registry) -> None:
    for call in (
        lambda key, value: registry.set_registered_model_tag("wine", key, value),
        lambda key, value: registry.set_model_version_tag("wine", 1, key, value),
        lambda key, value: registry.create_registered_model("iris", {key: value}),
        lambda key, value: registry.create_model_version("wine", "s3://three", tags={key: value}),
    ):
        assert "Tag value cannot be None" == refusal(call, "a", None)[1]
        assert "'key' exceeds the maximum length of 250 characters" == refusal(call, "k" * 251, "v")[1]
        assert "'value' exceeds the maximum length of 100000 characters" == refusal(call, "k", "v" * 100_001)[1]
        assert 'Invalid value "a=b" for parameter' in refusal(call, "a=b", "v")[1]


def test_a_stage_that_is_none_is_refused(registry: Registry) -> None:
    message = "Invalid Model Version stage: live. Value must be one of None, Staging, Production, Archived."
    inactive = (
        "Model version transition cannot archive existing model versions because 'none' is not an Active stage. "
        "Valid stages are ['Staging', 'Production']"
    )

    assert ("INVALID_PARAMETER_VALUE", message) == refusal(registry.transition_model_version_stage, "wine", 1, "live")
    assert ("INTERNAL_ERROR", inactive) == refusal(
        registry.transition_model_version_stage, "wine", 1, "none", archive_existing_versions=True
    )
    assert "INVALID_PARAMETER_VALUE" == refusal(registry.get_latest_versions, "wine", ["live"])[0]
    assert "INTERNAL_ERROR" == refusal(registry.get_latest_versions, "wine", [None])[0]


def test_a_version_made_of_another_has_the_files_of_that_one(registry: Registry) -> None:
    copy = registry.create_model_version("wine", "models:/wine/1")
    copy_of_copy = registry.create_model_version("wine", f"models:/wine/{copy.version}")

    assert "s3://one" == registry.get_model_version_download_uri("wine", copy_of_copy.version)
    assert "models:/wine/3" == copy_of_copy.source


def test_a_version_made_of_a_logged_model_has_its_files_and_its_run(registry: Registry) -> None:
    @attrs.frozen
    class Logged:
        artifact_location: str = "s3://logged"
        source_run_id: str = "r9"

    of_source = registry.create_model_version("wine", "models:/m-1", find_model=lambda model_id: Logged())
    of_id = registry.create_model_version("wine", "s3://copied", model_id="m-1", find_model=lambda model_id: Logged())

    assert ("s3://logged", "r9") == (of_source.storage_location, of_source.run_id)
    assert ("s3://copied", "r9") == (of_id.storage_location, of_id.run_id)


@pytest.mark.parametrize(
    "source", ["models:/", "models:/wine/9", "models:/wine/latest", "models:/wine@a", "models:/@a/b/c", "models:/m-1"]
)
def test_a_source_below_models_that_means_nothing_is_refused(registry: Registry, source: str) -> None:
    code, message = refusal(registry.create_model_version, "wine", source)

    assert "INTERNAL_ERROR" == code
    assert source in message
    assert 2 == len(registry.versions())


def test_a_name_is_taken_by_a_model_or_by_a_prompt(registry: Registry) -> None:
    prompt = {"mlflow.prompt.is_prompt": "true"}
    registry.create_registered_model("greeting", prompt)

    assert "Registered Model (name=wine) already exists." == refusal(registry.create_registered_model, "wine")[1]
    assert "Prompt (name=greeting) already exists." == refusal(registry.create_registered_model, "greeting", prompt)[1]
    assert "already taken by a prompt" in refusal(registry.create_registered_model, "greeting")[1]
    assert "already taken by a registered model" in refusal(registry.create_registered_model, "wine", prompt)[1]


def test_threads_make_every_version_once() -> None:
    registry = Registry()
    registry.create_registered_model("wine")

    def work() -> None:
        for _ in range(50):
            registry.create_model_version("wine", "s3://one")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert list(range(1, 401)) == sorted(version.version for version in registry.versions())


# --- searches ---------------------------------------------------------------------------------------------------------


def test_every_search_says_what_it_is_about(registry: Registry) -> None:
    with pytest.raises(QueryError, match="registered models have no attribute 'run_id' to filter by, only name"):
        Backend(registry=registry).search_registered_models("run_id = 'r1'")
    with pytest.raises(QueryError, match="unknown prefix 'metrics' in a search of model versions"):
        Backend(registry=registry).search_model_versions("metrics.a > 1")
    with pytest.raises(QueryError, match="version_number is an integer, not 'x'"):
        Backend(registry=registry).search_model_versions("version_number = 'x'")


def test_the_extended_dialect_searches_registries_too(registry: Registry) -> None:
    extended = Backend(None, registry, "extended")

    found = extended.search_model_versions("NOT (tags.kind = 'tree' OR version_number BETWEEN 5 AND 9)")

    assert [2] == [version.version for version in found]


def test_a_search_can_be_checked_and_explained_without_a_registry() -> None:
    assert check("name LIKE 'w%'", entity="registered_model")
    assert not check("name LIKE 'w%'", dialect="azure", entity="registered_model")
    text = explain("version_number > '1'", ["name"], entity="model_version")
    assert "finds     active model versions" in text
    assert "version > 1" in text
    assert "order     name ascending, then version descending" in text


@pytest.mark.parametrize("size", [0, -1, 200_001, "2", None])
def test_a_page_of_an_impossible_size_is_refused(registry: Registry, size: Any) -> None:
    assert "INVALID_PARAMETER_VALUE" == refusal(Backend(registry=registry).search_model_versions, "", size)[0]


def test_as_many_clauses_as_sqlite_takes_are_taken(registry: Registry) -> None:
    backend = Backend(registry=registry)

    def code(clause: str, times: int, search: Any) -> str:
        try:
            search(" AND ".join([clause] * times))
        except QueryError as error:
            return error.error_code
        return "found"

    assert "found" == code("name != 'x'", 995, backend.search_registered_models)
    assert "TEMPORARILY_UNAVAILABLE" == code("name != 'x'", 996, backend.search_registered_models)
    assert "found" == code("name != 'x'", 994, backend.search_model_versions)
    assert "TEMPORARILY_UNAVAILABLE" == code("name != 'x'", 995, backend.search_model_versions)
    assert "found" == code("tag.a != 'x'", 995, backend.search_model_versions)
    assert "TEMPORARILY_UNAVAILABLE" == code("tag.a != 'x'", 996, backend.search_model_versions)


# --- a client ---------------------------------------------------------------------------------------------------------


def test_a_client_has_the_rules_of_its_dialect(registry: Registry) -> None:
    azure = Backend(None, registry, "azure")

    assert "registry.rename" in refusal(azure.rename_registered_model, "wine", "wines")[1]
    with pytest.warns(QueryWarning, match="no source says whether azure supports this: find model versions") as caught:
        azure.search_model_versions("run_id = 'r'")
    assert __file__ == caught[0].filename
    assert "<Registry: 1 models>" == repr(azure.registry)


def test_a_client_without_a_registry_has_an_empty_one() -> None:
    client = Backend()

    client.create_registered_model("wine")
    client.create_model_version("wine", "s3://one")

    assert ["wine"] == [model.name for model in client.search_registered_models()]
    assert [1] == [version.version for version in client.search_model_versions("name = 'wine'")]
