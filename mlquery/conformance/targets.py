"""Opens a target by its URI: a remote one that others use too, or MLflow on new local stores.

At `sqlite:///PATH`, `file:PATH`, `http(s)://…`, `azureml://…` and `databricks`, names get a prefix, and what was
created is deleted in the end. `sqlite:` and `file:` without a path mean MLflow on new stores in a temporary folder,
whose clock can be set.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Protocol

from mlquery.conformance.execution import Session
from mlquery.conformance.inprocess import Conditions
from mlquery.conformance.local_target import local_stores
from mlquery.conformance.mlflow_session import settings
from mlquery.conformance.readback import Described
from mlquery.conformance.remote_target import RemoteTarget
from mlquery.conformance.suite import Case, Suite
from mlquery.errors import QueryWarning, StoreError


class SuiteTarget(Protocol):
    """An implementation that the suite runs on through MLflow's client: its name, its conditions, and its sessions."""

    name: str
    product: str
    version: str
    conditions: Conditions
    has_registry: bool

    def session(self, case: Case) -> AbstractContextManager[Session]:
        """Give a session with the store of a case for the duration of the case."""

    def refused(self, store: str) -> dict[str, str]:
        """Return the experiments of a store that cannot be created on the target, and why.

        Raises:
            FixtureError: the store cannot be created at all.
        """

    def values_read_back(self, store: str) -> dict[str, Described]:
        """Return the values that every run of a store has when it is read back."""


@contextmanager
def opened(uri: str, suite: Suite) -> Iterator[SuiteTarget]:
    """Give the target that a URI names, and clean up after it.

    Raises:
        StoreError: it does not exist, or does not respond.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        uri = _absolute(uri)
        stack.enter_context(settings())
        stack.enter_context(_quiet())
        stack.enter_context(chdir(folder))  # where MLflow keeps the artifacts of a local database
        if uri in ("sqlite:", "file:"):
            target: SuiteTarget = stack.enter_context(local_stores(suite, folder, uri.removesuffix(":")))
        else:
            target = RemoteTarget(uri, suite)
            stack.callback(target.close)
        yield target


def _absolute(uri: str) -> str:
    """Return a URI without relative paths; raise StoreError for a database or folder that does not exist."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme not in ("sqlite", "file"):
        return uri
    path = rest.removeprefix("///") if scheme == "sqlite" else rest.removeprefix("//")
    if not path.strip("/"):
        return f"{scheme}:"
    full = os.path.abspath(path)
    if not os.path.exists(full):
        message = f"{full} does not exist; instead: {scheme}: without a path creates a new store"
        raise StoreError(message, "RESOURCE_DOES_NOT_EXIST")
    return f"{scheme}://{'/' if scheme == 'sqlite' else ''}{full}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow from logging the SQL of every refused query, and from warnings about stores and of a server."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "mlflow.store", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # stages of models and folder stores are deprecated
            warnings.simplefilter("ignore", QueryWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
