"""Runs cases through MLflow's own client, on any server that it supports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import attrs
import mlflow
from mlflow.exceptions import MlflowException
from mlflow.utils import rest_utils
from requests.exceptions import HTTPError, RequestException

from mlquery.conformance.execution import id_of
from mlquery.conformance.readback import described, described_experiment
from mlquery.conformance.suite import Case, Problem

_SETTINGS = {
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # an internal error is a result, not a reason to retry
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class UnansweredError(Exception):
    """The server gave no response that could be compared."""


class UnsentError(Exception):
    """MLflow's client did not send the request of the case, which therefore tells nothing about the server."""


@attrs.define
class MlflowSession:
    """MLflow's client on one store; `seen` has the values of each run and experiment that searches found."""

    client: Any
    ids: dict[str, str]
    entities: Any = mlflow.entities
    seen: dict[str, Any] = attrs.field(factory=dict)

    def page(self, case: Case, filter_string: str, ids: list[str], token: str | None) -> tuple[list[str], str | None]:
        """Return the ids on one page, and the token of the next one."""
        query = (getattr(mlflow.entities.ViewType, case.view), case.max_results)
        order_by = list(case.order_by) or None
        match case.entity:
            case "run":
                found = self.client.search_runs(ids, filter_string, *query, order_by, token)
                self.seen |= {run.info.run_id: described(run) for run in found}
            case "experiment":
                found = self.client.search_experiments(*query, filter_string or None, order_by, token)
                self.seen |= {experiment.experiment_id: described_experiment(experiment) for experiment in found}
            case _:  # MLflow's client adds a clause of its own to every search of registered models
                search = getattr(self.client._get_registry_client().store, f"search_{case.entity}s")
                found = search(filter_string, case.max_results, order_by, token)
        return [id_of(each) for each in found], found.token

    def problems(self, error: Exception) -> tuple[Problem, ...]:
        """Return the error code; an error other than MlflowException is an internal error of a server.

        Raises:
            UnansweredError: there was no response.
            UnsentError: there was no request, because the client lacks the call or failed before it sent one.
        """
        if isinstance(error, AttributeError) and error.obj in (self.client, self.entities):
            raise UnsentError(f"unsupported by this client: {error.name}") from error
        code = _code_in_response(error)
        if code is not None:
            return (Problem(code),)
        if is_connection_error(error):
            raise UnansweredError(first_line(error)) from error
        if not isinstance(error, MlflowException) and hasattr(self.client._tracking_client.store, "get_host_creds"):
            raise UnsentError(f"MLflow's client does not send this: {first_line(error)}") from error
        return (Problem(error.error_code if isinstance(error, MlflowException) else "INTERNAL_ERROR"),)


def _code_in_response(error: Exception) -> str | None:
    """Return the error code in an answer about artifacts, which MLflow's client raises as an error of HTTP."""
    if not isinstance(error, HTTPError) or error.response is None:
        return None
    try:
        code: str | None = error.response.json().get("error_code")
    except (ValueError, AttributeError):  # of a server that says it otherwise
        return None
    return code


def first_line(error: Exception) -> str:
    """Return the beginning of the first line of an error."""
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__


def is_connection_error(error: BaseException) -> bool:
    """Tell whether an error comes from the connection: refused, closed or timed out."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RequestException | ConnectionError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def serves_registry(client: Any) -> bool:
    """Tell whether a client's server has a model registry."""
    registry = client._get_registry_client().store
    try:
        registry.search_registered_models(max_results=1)
        registry.get_registered_model("mlquery checks for a registry")
    except MlflowException as error:
        return bool(error.error_code == "RESOURCE_DOES_NOT_EXIST")
    return True


@contextmanager
def settings() -> Iterator[None]:
    """Set the environment variables of MLflow for a run of the suite."""
    # Otherwise MLflow's client discards the body, and with it the error code, of responses that it could retry.
    http_request = partial(rest_utils.http_request, raise_on_status=False)
    with mock.patch.dict(os.environ, _SETTINGS), mock.patch.object(rest_utils, "http_request", http_request):
        yield
