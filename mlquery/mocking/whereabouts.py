"""Turns the error about something that a mock does not have into a hint at where it may be: outside of the mock.

A run that a fixture has logged before the mock started is on the real server. Nobody is asked there; only the stores of
mocks that are around this one are searched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from mlquery.backend import Backend
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.mlflow_plugin.schemes import SCHEME

# Ids that MLflow has not made, as in tests of what is missing, are in no other place either.
_KINDS: Final[tuple[tuple[re.Pattern[str], Callable[[Backend, str], bool]], ...]] = (
    (re.compile("Run with id=([0-9a-f-]{32,36}) not found"), lambda backend, name: name in backend.store.runs.row_of),
    (
        re.compile("No Experiment with id=(.+) exists"),
        lambda backend, name: name in backend.store.experiments.row_of,
    ),
    (
        re.compile("Logged model with ID '(m-[0-9a-f]{32})' not found"),
        lambda backend, name: name in backend.store.models.by_id,
    ),
    (
        re.compile(r"(?:Registered Model with name=|Model Version \(name=)(.+?)(?:, version=\d+\))? not found"),
        lambda backend, name: name in backend.registry.entries(),
    ),
)


def hint(error: StoreError, around: Iterable[Backend], outside: Callable[[], str | None]) -> str:
    """Return what to add to the message of an error; nothing if it is about something else.

    Args:
        error: What a backend has raised.
        around: The backends of the mocks around it.
        outside: Returns the tracking URI before all mocks, None if nothing can have been logged there.
    """
    if error.error_code != RESOURCE_DOES_NOT_EXIST:
        return ""
    for pattern, has in _KINDS:
        found = pattern.match(error.message)
        if found is None:
            continue
        if any(has(backend, found[1]) for backend in around):
            return (
                ". It was logged before this mock started and is in the store of the mock around it: leave out the "
                "store that this one starts with (store=…, the fixture mlquery_seed), or log it inside"
            )
        uri = outside()
        return "" if uri is None else _of_server(uri)
    return ""


def _of_server(uri: str) -> str:
    scheme = uri.partition(":")[0]
    let_through = "" if scheme == SCHEME else f", or let that server through (mlquery.mock(passthrough=['{scheme}:']))"
    return (
        f". If it was logged before this mock started, it is not here: the tracking URI before this mock was {uri}. "
        f"Log it inside the mock, put the whole session on one store (mlquery = auto in pytest.ini){let_through}"
    )
