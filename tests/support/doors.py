"""The four doors of one service on the same contents, and what goes through them as plain values to compare.

`opened` gives a door to a fresh copy of contents that are the same in every door and dialect. `seen` makes a call
through it and returns everything that can be compared afterwards. MLflow's client brings a clock of its own:
`mlflow_at_rest` stops it where the clock of the stores stands, so that no time has to be left out.

What is made equal, because MLflow's client or a wire cannot say it otherwise: the scheme of artifact locations, numbers
of versions as strings, a run without inputs or outputs, which counts as one with none of them, and a logged or
registered model or version without type, run or description, which MLflow's client takes for empty strings. What a
service leaves out of an experiment is not looked at in its dialect.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final, Protocol

import attrs
import mlflow
import mlflow.tracking._model_registry.utils as registries
import mlflow.tracking._tracking_service.utils as trackers
import mlflow.tracking.fluent as mlflow_fluent
import mlflow.tracking.request_header.registry as request_headers
import mlflow.utils.time as mlflow_time
import pandas
import pytest
import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.prompt.registry_utils import add_prompt_filter_string
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils import rest_utils

from mlquery import Client, MissingEndpointError, QueryError, QueryWarning, Store, StoreError, entities, fluent
from mlquery.backend import Backend
from mlquery.backend.error_bodies import wording
from mlquery.entities import Dataset, DatasetInput, ExperimentTag, InputTag, Metric, Param, RunTag
from mlquery.fluent import session as fluent_session
from mlquery.language.matrix import MATRIX
from mlquery.mlflow_plugin import uris
from mlquery.mlflow_plugin.server_warnings import raise_server_warnings
from mlquery.registry import Registry
from mlquery.server.testing import RunningServer
from mlquery.store.faults import Faults

TIME: Final = 1_700_000_000_000
"""The time of every clock in ms UTC."""

_OF_THE_PROCESS, _OF_THE_SERVER = "mlquery-artifacts:", "mlflow-artifacts:/"
_HINT: Final = "\n\nThe cause of this error"  # what MLflow's client adds to errors of log_param
_FEATURE: Final = re.compile(r"\[([a-z][\w-]*(?:\.[\w-]+)+)\]")


# --- contents -------------------------------------------------------------------------------------------------------


@attrs.frozen
class Ids:
    """The ids of what is in the contents."""

    work: str  # an experiment
    other: str
    archived: str
    run: str
    child: str
    deleted: str
    model: str
    pending: str  # a model, too


@cache
def contents(dialect: str, artifact_root: str) -> tuple[Backend, Ids]:
    """Return a service with some of everything, and the ids in it; they are the same for all roots of artifacts."""
    column = MATRIX.dialect(dialect)
    store = Store(clock=lambda: TIME, seed=7, artifact_root=artifact_root, guid_ids=column.behaves("id.guid"))
    backend = Backend(store, Registry(store.clock), column)
    ids = _fill(store)
    _register(backend.registry, ids)
    return backend, ids


def _fill(store: Store) -> Ids:
    work, other, archived = (
        store.create_experiment(name, tags=[ExperimentTag("team", name)]) for name in ("work", "other", "archived")
    )
    run = store.create_run(work, "ada", TIME - 60_000, [RunTag("kind", "big")], "first").info.run_id
    nested = [RunTag("mlflow.parentRunId", run), RunTag("kind", "small")]
    child = store.create_run(work, "bob", TIME - 50_000, nested, "nested").info.run_id
    deleted = store.create_run(other, "ada", TIME - 40_000, [], "gone").info.run_id
    points = [Metric("loss", value, TIME - 1000 + step, step) for step, value in enumerate((0.5, 0.25, float("nan")))]
    store.log_batch(run, [*points, Metric("acc", 0.75, TIME, 1)], [Param("lr", "0.1"), Param("depth", "3")], ())
    store.log_batch(child, [Metric("loss", 0.125, TIME, 4)], [Param("lr", "0.2")], [RunTag("note", "été")])
    data = Dataset("train", "abc", "local", "{}", "{}", None)
    store.log_inputs(run, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
    store.update_run_info(child, 3, TIME - 1000, None)
    store.delete_run(deleted)
    tags, params = [RunTag("stage", "new")], [Param("n", "1")]
    model = store.create_logged_model(work, "net", run, tags, params, "classifier").model_id
    pending = store.create_logged_model(work, "tree", run).model_id
    store.finalize_logged_model(model, 2)
    store.log_metric(run, Metric("score", 0.9, TIME, 2, model_id=model))
    store.log_outputs(run, [(model, 1)])
    store.log_model_inputs(child, [model])
    for owner, path in ((run, "folder/a.txt"), (run, "folder/deep/b.txt"), (run, "top.bin"), (model, "MLmodel")):
        store.artifacts.put(owner, path, path.encode())
    store.delete_experiment(archived)
    return Ids(work, other, archived, run, child, deleted, model, pending)


def _register(registry: Registry, ids: Ids) -> None:
    registry.create_registered_model("forest", {"team": "wood"}, "trees")
    registry.create_registered_model("lake")
    for number in range(3):
        registry.create_model_version("forest", f"s3://bucket/{number}", ids.run, {"n": str(number)}, None, "one")
    registry.transition_model_version_stage("forest", 1, "Production", False)
    registry.set_registered_model_alias("forest", "best", 2)


# --- doors ----------------------------------------------------------------------------------------------------------


class StoreCalls(Protocol):
    """Calls of the service that no client has: those of MLflow's stores, its UI and its artifact repositories."""

    def record_logged_model(self, run_id: str, model: Any) -> None: ...
    def delete_artifacts(self, run_id: str, path: str | None) -> None: ...
    def search_datasets(self, experiment_ids: list[str]) -> Any: ...
    def filter_active_experiment_ids(self, experiment_ids: list[str]) -> Any: ...
    def get_metric_history_page(self, run_id: str, key: str, max_results: int, page_token: str | None) -> Any: ...
    def get_metric_history_bulk(self, run_ids: list[str], key: str, max_results: int) -> Any: ...
    def get_metric_history_bulk_interval(
        self, run_ids: list[str], key: str, max_results: int, start: int | None, stop: int | None
    ) -> Any: ...
    def get_metric_history_bulk_interval_from_steps(
        self, run_id: str, key: str, steps: list[int], max_results: int
    ) -> Any: ...
    def get_max_step_for_metric(self, run_id: str, key: str) -> Any: ...


@attrs.frozen
class Door:
    """A way into a service.

    Attributes:
        name: "client", "fluent", "plugin" or "HTTP".
        backend: The store and the registry behind it, in its dialect.
        ids: What is in them.
        client: Has the calls of `mlflow.MlflowClient`.
        module: Has the functions of `mlflow`; None where there are none.
        entities: What the client takes.
        calls: The calls that no client has.
        folder: A folder of local files, for artifacts.
    """

    name: str
    backend: Backend
    ids: Ids
    client: Any
    module: Any
    entities: ModuleType
    calls: StoreCalls
    folder: Path

    def without_prompts(self, filter_string: str | None) -> str | None:
        """Return a filter of registered models as MLflow's client sends it, which leaves prompts out."""
        if self.entities is mlflow.entities:
            return filter_string
        return add_prompt_filter_string(filter_string)

    def read(self, path: str) -> Any:
        """Return what was downloaded to a path, without the file that MLflow's client writes beside a model."""
        found = Path(path)
        files = [found] if found.is_file() else sorted(file for file in found.rglob("*") if file.is_file())
        files = [file for file in files if file.name != "registered_model_meta"]
        return {os.path.relpath(file, found): file.read_text() for file in files}


Servers = Callable[[str], RunningServer]
CLIENT, FLUENT, PLUGIN, HTTP = "client", "fluent", "plugin", "HTTP"
DOORS: Final = (CLIENT, FLUENT, PLUGIN, HTTP)
SCRIPT_DOORS: Final = (FLUENT, PLUGIN, HTTP)


_Parts = tuple[Any, Any, ModuleType, StoreCalls]
"""The client and the module of a door, what they take, and the calls that no client has."""


@contextmanager
def opened(name: str, dialect: str, servers: Servers, folder: Path) -> Iterator[Door]:
    """Open a door to a fresh copy of the contents; what is global is put back afterwards."""
    original, ids = contents(dialect, _OF_THE_SERVER if name == HTTP else _OF_THE_PROCESS)
    backend = original.clone()
    backend.store.faults = RecordedFaults()
    with _openers[name](backend, servers) as (client, module, kinds, calls):
        yield Door(name, backend, ids, client, module, kinds, calls, folder)


@contextmanager
def _client(backend: Backend, _: Servers) -> Iterator[_Parts]:
    client = Client(backend.store, backend.dialect, registry=backend.registry)
    yield client, None, entities, BackendCalls(client.backend)


@contextmanager
def _fluent(backend: Backend, _: Servers) -> Iterator[_Parts]:
    before = fluent_session.swap(None)
    fluent.use(Client(backend.store, backend.dialect, registry=backend.registry))
    try:
        client = fluent.MlflowClient()
        yield client, fluent, entities, BackendCalls(client.backend)
    finally:
        fluent_session.swap(before)


@contextmanager
def _plugin(backend: Backend, _: Servers) -> Iterator[_Parts]:
    uri = uris.new_private(backend)
    try:
        with _mlflow_on(uri):
            client = mlflow.MlflowClient()
            yield client, mlflow, mlflow.entities, PluginCalls(client)
    finally:
        uris.forget(uri)


@contextmanager
def _http(backend: Backend, servers: Servers) -> Iterator[_Parts]:
    server = servers(backend.dialect.name)
    server.show(backend.store)
    with _mlflow_on(server.tracking_uri):
        client = mlflow.MlflowClient()
        yield client, mlflow, mlflow.entities, HttpCalls(client, server)


_openers: Final = {CLIENT: _client, FLUENT: _fluent, PLUGIN: _plugin, HTTP: _http}


@contextmanager
def _mlflow_on(uri: str) -> Iterator[None]:
    """Let MLflow work on a URI, without an experiment, a run or a model that is active."""
    environment = dict(os.environ)
    variables: tuple[Any, ...] = (
        mlflow_fluent._active_run_stack,
        mlflow_fluent._last_active_run_id,
        mlflow_fluent._last_logged_model_id,
    )
    trackers._artifact_repos_cache.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trackers, "_tracking_uri", uri)
        patch.setattr(registries, "_registry_uri", uri)
        patch.setattr(mlflow_fluent, "_active_experiment_id", None)
        try:
            yield
        finally:
            for variable in variables:
                variable.set(variable.default_factory())
            trackers._artifact_repos_cache.clear()
            os.environ.clear()
            os.environ.update(environment)


@contextmanager
def mlflow_at_rest() -> Iterator[None]:
    """Stop MLflow's clock, keep MLflow quiet, and let it ask a server once only and find no repository of Git."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow_time, "time", SimpleNamespace(time=lambda: (TIME + 0.5) / 1000))
        patch.setattr(sys, "argv", ["script.py"])
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.setenv("LOGNAME", "ada")
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_USERNAME"):
            patch.delenv(name, raising=False)
        # What it tells of itself is looked up at every request, which takes longer than the request.
        patch.setattr(request_headers, "resolve_request_headers", dict)
        patch.setattr(rest_utils, "verify_rest_response", rest_utils.verify_rest_response)  # put back in the end
        raise_server_warnings()
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


# --- calls that no client has ---------------------------------------------------------------------------------------


@attrs.frozen
class BackendCalls:
    """The calls as `Client.backend` has them; there is no other way to them without MLflow."""

    backend: Backend

    def record_logged_model(self, run_id: str, model: Any) -> None:
        self.backend.record_logged_model(run_id, model.get_tags_dict())

    def delete_artifacts(self, run_id: str, path: str | None) -> None:
        self.backend.delete_artifacts(run_id, path)

    def search_datasets(self, experiment_ids: list[str]) -> Any:
        return [list(found) for found in self.backend.search_datasets(experiment_ids)]

    def filter_active_experiment_ids(self, experiment_ids: list[str]) -> Any:
        return self.backend.filter_active_experiment_ids(experiment_ids)

    def get_metric_history_page(self, run_id: str, key: str, max_results: int, page_token: str | None) -> Any:
        return self.backend.get_metric_history(run_id, key, max_results, page_token)

    def get_metric_history_bulk(self, run_ids: list[str], key: str, max_results: int) -> Any:
        return [_point(*found) for found in self.backend.get_metric_history_bulk(run_ids, key, max_results)]

    def get_metric_history_bulk_interval(
        self, run_ids: list[str], key: str, max_results: int, start: int | None, stop: int | None
    ) -> Any:
        found = self.backend.get_metric_history_bulk_interval(run_ids, key, max_results, start, stop)
        return [_point(*one) for one in found]

    def get_metric_history_bulk_interval_from_steps(
        self, run_id: str, key: str, steps: list[int], max_results: int
    ) -> Any:
        found = self.backend.get_metric_history_bulk_interval_from_steps(run_id, key, steps, max_results)
        return [_point(run_id, point) for point in found]

    def get_max_step_for_metric(self, run_id: str, key: str) -> Any:
        return self.backend.get_max_step_for_metric(run_id, key)


@attrs.frozen
class PluginCalls:
    """The calls as the tracking store of MLflow's client has them."""

    client: Any

    @property
    def store(self) -> Any:
        return self.client._tracking_client.store

    def record_logged_model(self, run_id: str, model: Any) -> None:
        self.store.record_logged_model(run_id, model)

    def delete_artifacts(self, run_id: str, path: str | None) -> None:
        artifacts: Any = get_artifact_repository(self.client.get_run(run_id).info.artifact_uri)
        artifacts.delete_artifacts(path)

    def search_datasets(self, experiment_ids: list[str]) -> Any:
        found = self.store._search_datasets(experiment_ids)
        return [[one.experiment_id, one.name, one.digest, one.context] for one in found]

    def filter_active_experiment_ids(self, experiment_ids: list[str]) -> Any:
        return self.store.filter_active_experiment_ids(experiment_ids)

    def get_metric_history_page(self, run_id: str, key: str, max_results: int, page_token: str | None) -> Any:
        return self.store.get_metric_history(run_id, key, max_results, page_token)

    def get_metric_history_bulk(self, run_ids: list[str], key: str, max_results: int) -> Any:
        return [_point(one.run_id, one) for one in self.store.get_metric_history_bulk(run_ids, key, max_results)]

    def get_metric_history_bulk_interval(
        self, run_ids: list[str], key: str, max_results: int, start: int | None, stop: int | None
    ) -> Any:
        found = self.store.get_metric_history_bulk_interval(
            run_ids=run_ids, metric_key=key, max_results=max_results, start_step=start, end_step=stop
        )
        return [_point(one.run_id, one) for one in found]

    def get_metric_history_bulk_interval_from_steps(
        self, run_id: str, key: str, steps: list[int], max_results: int
    ) -> Any:
        found = self.store.get_metric_history_bulk_interval_from_steps(run_id, key, steps, max_results)
        return [_point(one.run_id, one) for one in found]

    def get_max_step_for_metric(self, run_id: str, key: str) -> Any:
        return self.store.get_max_step_for_metric(run_id, key)


@attrs.frozen
class HttpCalls(PluginCalls):
    """The calls as requests, where the store of MLflow's client would not send them."""

    server: RunningServer

    def search_datasets(self, experiment_ids: list[str]) -> Any:
        found = self._ask("POST", "experiments/search-datasets", json={"experiment_ids": experiment_ids})
        return [
            [one["experiment_id"], one["name"], one["digest"], one.get("context")]
            for one in found.get("dataset_summaries", [])
        ]

    def get_metric_history_page(self, run_id: str, key: str, max_results: int, page_token: str | None) -> Any:
        given = {"run_id": run_id, "metric_key": key, "max_results": max_results, "page_token": page_token}
        found = self._ask("GET", "metrics/get-history", params=given)
        points = [
            Metric(one["key"], float(one["value"]), int(one["timestamp"]), int(one.get("step", 0)))
            for one in found.get("metrics", [])
        ]
        return entities.PagedList(points, found.get("next_page_token"))

    def get_metric_history_bulk(self, run_ids: list[str], key: str, max_results: int) -> Any:
        given = {"run_id": run_ids, "metric_key": key, "max_results": max_results}
        return self._points("metrics/get-history-bulk", given)

    def get_metric_history_bulk_interval(
        self, run_ids: list[str], key: str, max_results: int, start: int | None, stop: int | None
    ) -> Any:
        given = {
            "run_ids": run_ids,
            "metric_key": key,
            "max_results": max_results,
            "start_step": start,
            "end_step": stop,
        }
        return self._points("metrics/get-history-bulk-interval", given)

    def _points(self, path: str, given: dict[str, Any]) -> Any:
        found = self._ask("GET", path, params=given).get("metrics", [])
        return [
            [one["run_id"], one["key"], repr(float(one["value"])), int(one["timestamp"]), int(one.get("step", 0))]
            for one in found
        ]

    def _ask(self, method: str, path: str, **given: Any) -> Any:
        """Send a request; raise what MLflow's client raises where it is refused."""
        from mlflow.utils.rest_utils import verify_rest_response

        response = requests.request(
            method, f"{self.server.tracking_uri}/ajax-api/2.0/mlflow/{path}", timeout=60, **given
        )
        return json.loads(verify_rest_response(response, path).text)


def _point(run_id: str, point: Any) -> list[Any]:
    return [run_id, point.key, repr(float(point.value)), point.timestamp, point.step]


# --- faults ---------------------------------------------------------------------------------------------------------


class RecordedFaults(Faults):
    """Faults that know which calls have met them, once a fault is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.met: list[str] = []

    def before(self, call: str) -> None:
        self.met.append(call)
        super().before(call)


def calls_of(door: Door) -> list[str]:
    """Return the calls that have reached the service through a door, in their order."""
    faults = door.backend.store.faults
    assert isinstance(faults, RecordedFaults)
    return faults.met


# --- what is seen ---------------------------------------------------------------------------------------------------


@attrs.frozen
class Seen:
    """What a call through a door has done.

    Attributes:
        answer: What it has returned.
        refusal: Error code and message of what it has raised, or None.
        body: What the body of the error says, where the error has one: not for a client without MLflow.
        warnings: The ids of the features that were warned of.
        store: What is in store and registry afterwards.
    """

    answer: Any
    refusal: tuple[str, str] | None
    body: Any
    warnings: list[str]
    store: dict[str, Any]


def seen(door: Door, ask: Callable[[Door], Any]) -> Seen:
    """Make a call through a door and return what it has done."""
    answer, refusal, body = None, None, None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            answer = _as_sent(door, plain(ask(door)))
        except Exception as error:
            refusal, body = _refusal(door, error), _body(error)
    said = [str(warning.message) for warning in caught if issubclass(warning.category, QueryWarning)]
    features = [feature for message in said for feature in _FEATURE.findall(message)]
    return Seen(answer, refusal, body, features, everything(door.backend))


def _as_sent(door: Door, answer: Any) -> Any:
    """Return an answer without what a service leaves out of its experiments."""
    left_out = door.backend.dialect.service.get("experiment_without", ())
    if isinstance(answer, list):
        return [_as_sent(door, each) for each in answer]
    if isinstance(answer, dict) and "creation_time" in answer:
        return {name: value for name, value in answer.items() if name not in left_out}
    return answer


def _refusal(door: Door, error: Exception) -> tuple[str, str]:
    """Return the error code and the message, as the service words it."""
    error = _original(error)
    if isinstance(error, RestException):
        words = error.json["Error"]["Message"] if "Error" in error.json else error.json["message"]
    elif isinstance(error, MlflowException):
        words = error.message
    elif isinstance(error, QueryError | StoreError) and not isinstance(error, MissingEndpointError):
        words = wording(error)[0] if door.backend.dialect.service else error.message
    elif isinstance(error, MissingEndpointError):
        words = error.message
    else:
        return type(error).__name__, str(error)
    return error.error_code, _string(str(words).partition(_HINT)[0])


def _original(error: Exception) -> Exception:
    """Return the answer of a service that MLflow's client has made another exception of."""
    if isinstance(error, requests.HTTPError) and error.response is not None:  # about artifacts
        return _rest_exception(error.response.json())
    if _HINT in str(error) and isinstance(error.__context__, RestException):
        return error.__context__
    return error


_rest_exception: Callable[[Any], Exception] = RestException


def _body(error: Exception) -> Any:
    error = _original(error)
    if not isinstance(error, RestException) or "Error" not in error.json:
        return None
    body = dict(error.json)
    del body["Correlation"]
    return body


_FIELDS: Final = {
    "Experiment": (
        *("experiment_id", "name", "artifact_location", "lifecycle_stage", "tags", "creation_time"),
        "last_update_time",
    ),
    "RunInfo": (
        *("run_id", "experiment_id", "user_id", "status", "start_time", "end_time", "lifecycle_stage"),
        *("artifact_uri", "run_name"),
    ),
    "RunData": ("metrics", "params", "tags"),
    "DatasetInput": ("dataset", "tags"),
    "Dataset": ("name", "digest", "source_type", "source", "schema", "profile"),
    "InputTag": ("key", "value"),
    "LoggedModelInput": ("model_id",),
    "LoggedModelOutput": ("model_id", "step"),
    "Metric": ("key", "value", "timestamp", "step"),
    "FileInfo": ("path", "is_dir", "file_size"),
    "LoggedModel": (
        *("experiment_id", "model_id", "name", "artifact_location", "creation_timestamp", "last_updated_timestamp"),
        *("model_type", "source_run_id", "status", "tags", "params", "metrics"),
    ),
    "RegisteredModel": (
        *("name", "creation_timestamp", "last_updated_timestamp", "description", "tags", "aliases"),
        "latest_versions",
    ),
    "ModelVersion": (
        *("name", "version", "creation_timestamp", "last_updated_timestamp", "description", "user_id"),
        *("current_stage", "source", "run_id", "status", "status_message", "tags", "run_link", "aliases"),
    ),
}


_EMPTY_OVER_HTTP: Final = (
    *("model_type", "source_run_id", "description", "user_id", "source", "run_id", "run_link", "status_message"),
)


def plain(value: Any) -> Any:
    """Return an answer as strings, numbers, lists and dictionaries, the same for entities of either package."""
    kind = type(value).__name__
    if kind in ("Run", "ActiveRun"):
        return _run(value)
    if kind in _FIELDS:
        return {name: _field(value, name) for name in _FIELDS[kind]}
    if isinstance(value, pandas.DataFrame):
        return {name: plain(list(value[name])) for name in value}
    if isinstance(value, dict):
        return {_string(str(key)): plain(each) for key, each in sorted(value.items())}
    if isinstance(value, list | tuple):
        items = [plain(each) for each in value]
        return [*items, {"token": value.token or None}] if hasattr(value, "token") else items
    if isinstance(value, float):
        return repr(value)
    return _string(str(value)) if isinstance(value, str) else value if isinstance(value, bool | int) else _other(value)


def _run(run: Any) -> Any:
    inputs, outputs = run.inputs, run.outputs
    return {
        "info": plain(run.info),
        "data": plain(run.data),
        "datasets": plain(list(inputs.dataset_inputs)) if inputs else [],
        "models read": plain(list(inputs.model_inputs or ())) if inputs else [],
        "models written": plain(list(outputs.model_outputs or ())) if outputs else [],
    }


def _field(value: Any, name: str) -> Any:
    found = getattr(value, name)
    if name in _EMPTY_OVER_HTTP:
        return found or None
    if name == "version" or (name == "aliases" and isinstance(found, dict)):
        return plain({key: str(each) for key, each in found.items()} if isinstance(found, dict) else str(found))
    if name in ("metrics", "latest_versions", "aliases") and not isinstance(found, dict):
        return sorted(plain(list(found or ())), key=repr)
    return plain(found)


def _string(string: str) -> str:
    return string.replace(_OF_THE_SERVER, _OF_THE_PROCESS)


def _other(value: Any) -> Any:
    return None if value is None or value is pandas.NaT else str(value) if hasattr(value, "isoformat") else value


def everything(backend: Backend) -> dict[str, Any]:
    """Return all that a store and its registry hold."""
    store, models = backend.store, backend.store.models
    rows = range(store.experiments.size)
    return {
        "experiments": [plain(store.experiments.experiment_at(row)) for row in rows],
        "runs": [plain(store.get_run(run_id)) for run_id in store.runs.ids],
        "histories": {run_id: _histories(store, run_id) for run_id in store.runs.ids},
        "models": [_stored_model(model) for model in models.by_id.values()],
        "points of models": {key: sorted(map(str, points.values())) for key, points in models.points.items()},
        "models written": {run_id: dict(steps) for run_id, steps in models.outputs.items()},
        "models read": {run_id: sorted(read) for run_id, read in models.inputs.items()},
        "artifacts": {
            owner: {path: content.hex() for path, content in sorted(files.items())}
            for owner, files in sorted(store.artifacts._files.items())
            if files
        },
        "registry": {name: _registered(entry) for name, entry in sorted(backend.registry._entries.items())},
    }


def _stored_model(model: Any) -> Any:
    return {name: _field(model, name) for name in (*attrs.asdict(model), "lifecycle_stage")}


def _histories(store: Store, run_id: str) -> Any:
    keys = sorted(store.get_run(run_id).data.metrics)
    return {key: [[repr(one) for one in column.tolist()] for column in store.history(run_id, key)] for key in keys}


def _registered(entry: Any) -> Any:
    return [
        plain(entry.model),
        [plain(version) for version in entry.versions.values()],
        [version.is_deleted for version in entry.versions.values()],
    ]
