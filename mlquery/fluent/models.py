"""Logged models and registered models as a script sees them: logged, tagged, found, and registered under a name.

**Source** of arguments, defaults and steps: `mlflow.tracking.fluent` and `mlflow.register_model` of MLflow 3.17.
"""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from mlquery.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.errors import RESOURCE_ALREADY_EXISTS, StoreError, invalid_parameter
from mlquery.fluent.runs import active_run, context_tags, run_to_log_to
from mlquery.fluent.session import client, session
from mlquery.fluent.session import experiment_id as current_experiment_id
from mlquery.query.page_tokens import all_pages
from mlquery.registry.sources import parse_model_uri

if TYPE_CHECKING:
    from mlquery.query.dataframe import DataFrame

_logger: Final = logging.getLogger("mlquery.fluent")
_MODEL_FILE: Final = "MLmodel"
_VERSIONS_TAG: Final = "mlflow.modelVersions"
_LOGGED_MODELS_OF_A_PAGE: Final = 100
_MODELS_OF_A_PAGE: Final = 100
_VERSIONS_OF_A_PAGE: Final = 10_000

# Logged models


def initialize_logged_model(
    name: str | None = None,
    source_run_id: str | None = None,
    tags: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    model_type: str | None = None,
    experiment_id: str | None = None,
) -> LoggedModel:
    """Create a pending model, by default in the active experiment and as made by the active run, and return it."""
    run = active_run()
    if source_run_id is None and run is not None:
        source_run_id = run.info.run_id
    if experiment_id is None:
        experiment_id = run.info.experiment_id if run is not None else current_experiment_id()
    tags = {**context_tags(), **(tags or {})}
    model = client().create_logged_model(experiment_id, name, source_run_id, tags, params, model_type)
    session().thread.last_model_id = model.model_id
    return model


def finalize_logged_model(model_id: str, status: Literal["READY", "FAILED"] | LoggedModelStatus) -> LoggedModel:
    """Say how the logging of a model ended, and return the model."""
    return client().finalize_logged_model(model_id, status)


def get_logged_model(model_id: str) -> LoggedModel:
    """Return a model."""
    return client().get_logged_model(model_id)


def last_logged_model() -> LoggedModel | None:
    """Return the model that this thread logged last, or None."""
    model_id = session().thread.last_model_id
    return get_logged_model(model_id) if model_id else None


def log_model_params(params: dict[str, str], model_id: str | None = None) -> None:
    """Add params to a model; a param that is logged cannot be changed."""
    client().log_model_params(model_id or "", params)


def set_logged_model_tags(model_id: str, tags: dict[str, Any]) -> None:
    """Set tags of a model."""
    client().set_logged_model_tags(model_id, tags)


def delete_logged_model_tag(model_id: str, key: str) -> None:
    """Delete a tag of a model."""
    client().delete_logged_model_tag(model_id, key)


def log_outputs(models: list[LoggedModelOutput] | None = None) -> None:
    """Log the logged models that the active run wrote."""
    client().log_outputs(run_to_log_to(), models or [])


def search_logged_models(
    experiment_ids: list[str] | None = None,
    filter_string: str | None = None,
    datasets: list[dict[str, str]] | None = None,
    max_results: int | None = None,
    order_by: list[dict[str, Any]] | None = None,
    output_format: Literal["pandas", "list"] = "pandas",
) -> list[LoggedModel] | DataFrame:
    """Return the models that match a filter, by default those of the active experiment, as a DataFrame.

    Raises:
        StoreError: the filter or another argument is not valid.
    """
    ids = experiment_ids or [current_experiment_id()]
    search = partial(client().search_logged_models, ids, filter_string, datasets, order_by=order_by)
    found = list(all_pages(search, max_results or _LOGGED_MODELS_OF_A_PAGE, max_results))
    if output_format == "list":
        return found
    if output_format != "pandas":
        raise invalid_parameter(
            f"Unsupported output format: {output_format!r}. Supported string values are 'pandas' or 'list'"
        )
    from mlquery.query.dataframe import DataFrame

    return DataFrame([model.to_dictionary() | {"status": model.status} for model in found])


# Registered models


def register_model(
    model_uri: str,
    name: str,
    await_registration_for: int = 300,
    *,
    tags: dict[str, Any] | None = None,
    env_pack: None = None,
) -> ModelVersion:
    """Make the next version of a registered model, created if it is missing, of a model and return it.

    Args:
        model_uri: Where the model is: `runs:/<run id>/<path>`, `models:/<model id>`, a version, or any location.
        name: The registered model.
        await_registration_for: Has no meaning here: a version is ready at once.
        tags: Tags of the version.
        env_pack: Must be None; there is no Databricks here.

    Raises:
        StoreError: there is no such run, model or version.
    """
    if env_pack is not None:
        raise invalid_parameter("`env_pack` is for model serving on Databricks.")
    try:
        client().create_registered_model(name)
    except StoreError as error:
        if error.error_code != RESOURCE_ALREADY_EXISTS:
            raise
        _logger.info("Registered model %r already exists. Creating a new version of this model...", name)
    source, run_id, model_id = _origin(model_uri)
    version = client().create_model_version(name, source, run_id, tags, model_id=model_id)
    if model_id is not None:
        _link(model_id, version)
    return version


def search_registered_models(
    max_results: int | None = None, filter_string: str | None = None, order_by: list[str] | None = None
) -> list[RegisteredModel]:
    """Return the registered models that match a filter, all of them unless `max_results` is given."""
    search = partial(client().search_registered_models, filter_string, order_by=order_by)
    return list(all_pages(search, _MODELS_OF_A_PAGE, max_results))


def search_model_versions(
    max_results: int | None = None, filter_string: str | None = None, order_by: list[str] | None = None
) -> list[ModelVersion]:
    """Return the versions that match a filter, all of them unless `max_results` is given."""
    search = partial(client().search_model_versions, filter_string, order_by=order_by)
    return list(all_pages(search, _VERSIONS_OF_A_PAGE, max_results))


def set_model_version_tag(name: str, version: str | None = None, key: str | None = None, value: Any = None) -> None:
    """Set a tag of a version; the value is stored as a string."""
    client().set_model_version_tag(name, version, key, value)


def _origin(model_uri: str) -> tuple[str, str | None, str | None]:
    """Return source, run and logged model of what a URI names."""
    if model_uri.startswith("runs:/"):
        return _origin_in_run(model_uri)
    if model_uri.startswith("models:/"):
        return model_uri, None, parse_model_uri(model_uri).model_id
    return model_uri, None, None


def _origin_in_run(model_uri: str) -> tuple[str, str | None, str | None]:
    run_id, _, path = model_uri.removeprefix("runs:/").lstrip("/").partition("/")
    info = client().get_run(run_id).info
    files = {file.path for file in client().backend.list_artifacts(run_id, path)}  # not those of logged models
    if f"{path}/{_MODEL_FILE}".lstrip("/") in files:
        return f"{(info.artifact_uri or '').rstrip('/')}/{path}", run_id, None
    found = client().search_logged_models(
        [info.experiment_id], f"source_run_id = '{run_id}' AND name = '{path}'", max_results=1
    )
    if not found:
        raise StoreError(f"Unable to find a logged_model with artifact_path {path} under run {run_id}")
    return f"models:/{found[0].model_id}", run_id, found[0].model_id


def _link(model_id: str, version: ModelVersion) -> None:
    """Note a version in the tag that lists the versions of a logged model."""
    listed = json.loads(client().get_logged_model(model_id).tags.get(_VERSIONS_TAG, "[]"))
    listed.append({"name": version.name, "version": version.version})
    client().set_logged_model_tags(model_id, {_VERSIONS_TAG: json.dumps(listed)})
