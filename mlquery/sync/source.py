"""Defines what pull needs from a source of runs, and turns tracking URIs into names of sources and targets."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import attrs

from mlquery.durable import locations
from mlquery.entities import Experiment
from mlquery.errors import invalid_parameter
from mlquery.store.registered_models import Entry
from mlquery.sync.content import ModelContent, Points, Summary

_PORTS: Final = {"http": ":80", "https": ":443"}
_ADDRESS: Final = re.compile(r"([\w.-]+|\[[0-9a-fA-F:]+\]):\d+(/\S*)?")

Progress = Callable[[str, int, int], None]
"""Called with a step ("runs", "artifacts" …), how many of its items are done, and how many there are."""


@attrs.frozen(eq=False)
class SourceFile:
    """An artifact: its path, its size in bytes, and a function that writes its content to a local file."""

    path: str
    size: int
    fetch: Callable[[Path], object]


class Source(Protocol):
    """A store that can be pulled from.

    Attributes:
        name: Identifies it, without passwords; a push to the same URI has the same name.
        workers: How many requests may run in parallel.
    """

    name: str
    workers: int

    def experiments(self) -> list[Experiment]:
        """Return all experiments, deleted ones too."""

    def runs(self, experiment_ids: Sequence[str], filter_string: str) -> Iterator[Summary]:
        """Yield the runs that a filter finds, deleted ones too, the oldest first where the source can sort."""

    def details(self, run: Summary) -> tuple[Summary, dict[str, Points]]:
        """Return a complete run, and the points of all its metrics."""

    def models(self, experiment_ids: Sequence[str]) -> Iterator[ModelContent]:
        """Yield the logged models of experiments; none if the source has no logged models."""

    def registered_models(self) -> Iterable[Entry]:
        """Return the registered models with their versions."""

    def files(self, owner_id: str, location: str | None) -> Iterator[SourceFile]:
        """Yield the artifacts of a run or model at an artifact location; raise LookupError if it cannot be reached."""

    def close(self) -> None:
        """Close the source."""


def target_name(uri: str) -> str:
    """Return a tracking URI without user, password and options, and with absolute paths; a server has one name.

    Scheme and host are in lower case, `localhost` is 127.0.0.1, and there is neither the default port nor a slash at
    the end. ([::1] is another address: another server may listen there.)

    Raises:
        StoreError: it is the address of a server without a scheme.
    """
    scheme, _, rest = uri.partition("://")
    if not rest:
        _require_no_address(uri)
        path = uri.removeprefix("file:")
        return f"file://{os.path.abspath(path)}" if os.path.isdir(path) else f"sqlite://{os.path.abspath(path)}"
    if scheme == "sqlite":
        return f"sqlite://{os.path.abspath(rest.removeprefix('/').partition('?')[0])}"
    if uri.startswith(locations.PREFIX):
        return f"{scheme}://{locations.folder_of(uri)}"
    if scheme == "file":
        return f"{scheme}://{os.path.abspath(unquote(urlsplit(uri).path))}"
    host, slash, path = rest.partition("?")[0].partition("/")
    host = host.rpartition("@")[2]
    if scheme.lower() in _PORTS:
        scheme, host = scheme.lower(), host.lower().removesuffix(_PORTS[scheme.lower()])
        name, colon, port = host.partition(":")
        host = f"127.0.0.1{colon}{port}" if name == "localhost" else host
    return f"{scheme}://{host}{slash}{path}".rstrip("/")


def earlier_names(name: str, names: Iterable[str]) -> list[str]:
    """Return those of some names that earlier versions of mlquery gave to the server that has a name now."""
    is_server = name.partition("://")[0] in _PORTS
    return [one for one in names if is_server and one != name and "://" in one and target_name(one) == name]


def _require_no_address(uri: str) -> None:
    """Raise about `localhost:5000`: a path or a URI was meant."""
    if _ADDRESS.fullmatch(uri) and not os.path.exists(uri):
        raise invalid_parameter(f"{uri!r} is not a tracking URI; did you mean 'http://{uri}'?")
