"""Open a target by its URI: somebody else's server, where we are a guest, or MLflow on new stores of our own.

`sqlite:///PATH`, `file:PATH`, `http(s)://…`, `azureml://…` and `databricks` belong to somebody: names get a prefix, and
what was made is deleted in the end. `sqlite:` and `file:` without a path mean MLflow on new stores in a temporary
folder, where the clock can be set.
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

from mlquery.conformance.applicability import Conditions
from mlquery.conformance.execution import Session
from mlquery.conformance.local_target import own_stores
from mlquery.conformance.mlflow_session import settings
from mlquery.conformance.readback import Described
from mlquery.conformance.remote_target import Foreign
from mlquery.conformance.suite import Case, Suite
from mlquery.errors import StoreError


class Target(Protocol):
    """Something that can be asked: who it is, under which conditions, and a session for every case."""

    name: str
    product: str
    version: str
    conditions: Conditions
    has_registry: bool

    def session(self, case: Case) -> AbstractContextManager[Session]:
        """Give a session with the store of a case, for the time of the case."""

    def refused(self, store: str) -> dict[str, str]:
        """Return the experiments of a store that cannot be made on the target, and why.

        Raises:
            FixtureError: the store cannot be made at all.
        """

    def kept(self, store: str) -> dict[str, Described]:
        """Return what every run of a store reads back as."""

    def close(self) -> None:
        """Delete what was made."""


@contextmanager
def opened(uri: str, suite: Suite) -> Iterator[Target]:
    """Give the target that a URI names, and clean up after it.

    Raises:
        StoreError: there is nothing there, or it cannot be asked.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        uri = _absolute(uri)
        stack.enter_context(settings())
        stack.enter_context(_quiet())
        stack.enter_context(chdir(folder))  # where MLflow keeps the artifacts of a local database
        if uri in ("sqlite:", "file:"):
            target: Target = stack.enter_context(own_stores(suite, folder, uri.removesuffix(":")))
        else:
            target = Foreign(uri, suite)
        stack.callback(target.close)
        yield target


def _absolute(uri: str) -> str:
    """Return a URI without relative paths; a database or folder has to be there."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme not in ("sqlite", "file"):
        return uri
    path = rest.removeprefix("///") if scheme == "sqlite" else rest.removeprefix("//")
    if not path.strip("/"):
        return f"{scheme}:"
    full = os.path.abspath(path)
    if not os.path.exists(full):
        message = f"there is nothing at {full}; {scheme}: without a path makes stores of its own"
        raise StoreError(message, "RESOURCE_DOES_NOT_EXIST")
    return f"{scheme}://{'/' if scheme == 'sqlite' else ''}{full}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow from logging the SQL of every refused query, and its opinions about stores."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "mlflow.store", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # stages of models and folders as stores have no future
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
