"""Creates something on a server once, although the answer to a request may be lost: nothing is asked for blindly again.

MLflow's HTTP client repeats a request that fails, and what the lost one created then exists twice. Here such a request
is sent once; if it may have been carried out, the server is asked before the next attempt.

**Source**: `mlflow.utils.rest_utils` and the REST stores of MLflow 3.17. The number of attempts and the pauses between
them are those of MLflow's client: `MLFLOW_HTTP_REQUEST_MAX_RETRIES` and `MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR`.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

_UNCERTAIN: Final = frozenset((408, 429, 500, 502, 503, 504))
"""The statuses with which a request may have been carried out, or may be carried out at the next attempt."""
_LONGEST_PAUSE: Final = 60.0  # seconds


class UncertainError(Exception):
    """A request that failed and may have been carried out."""


def sending_once(store: Any) -> Any:
    """Return a store of MLflow's which sends each request once and raises `UncertainError`; others as they are.

    The given store is shared by all clients of its URI and stays as it is.
    """
    if not hasattr(store, "_call_endpoint"):
        return store
    once = copy.copy(store)
    once._call_endpoint = partial(_call_once, store)
    return once


def _call_once(store: Any, api: Any, json_body: str, *_: Any, **__: Any) -> Any:
    """Send one request for a REST store; arguments and answer are those of its `_call_endpoint`."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.proto_json_utils import parse_dict
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    endpoint, method = _endpoint_of(store, api)
    body = json.loads(json_body)
    try:
        response = http_request(
            store.get_host_creds(), endpoint, method, max_retries=0, raise_on_status=False, json=body
        )
    except MlflowException as error:  # there is no answer, or not all of it
        raise UncertainError(error.message) from error
    if response.status_code in _UNCERTAIN:
        raise UncertainError(f"the server answers with status {response.status_code}: {response.text[:200]}")
    answer = api.Response()
    parse_dict(json.loads(verify_rest_response(response, endpoint).text), answer)
    return answer


def _endpoint_of(store: Any, api: Any) -> tuple[str, str]:
    if hasattr(store, "_get_endpoint_from_method"):  # the registry's
        return store._get_endpoint_from_method(api)  # type: ignore[no-any-return]
    known = getattr(store, "_METHOD_TO_INFO", None)
    if known is None:  # in old releases it is the module's
        from mlflow.store.tracking.rest_store import RestStore

        known = sys.modules[RestStore.__module__]._METHOD_TO_INFO
    return known[api]  # type: ignore[no-any-return]


def create_once(create: Callable[[], str], find: Callable[[], str | None]) -> str:
    """Create something and return its id; after an uncertain failure it is looked for before the next attempt.

    Args:
        create: Sends one request that creates it.
        find: Returns the id of what an earlier attempt created, None if there is nothing.

    Raises:
        UncertainError: the last attempt failed, too.
    """
    pauses = _pauses()
    while True:
        try:
            return create()
        except UncertainError:
            pause = next(pauses, None)
            if pause is None:
                raise
            time.sleep(pause)
            found = find()
            if found is not None:
                return found


def _pauses() -> Iterator[float]:
    """Yield how many seconds are waited before each attempt but the first: what comes late has come, as a rule."""
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR, MLFLOW_HTTP_REQUEST_MAX_RETRIES

    for number in range(MLFLOW_HTTP_REQUEST_MAX_RETRIES.get()):
        yield min(MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR.get() * 2**number, _LONGEST_PAUSE)
