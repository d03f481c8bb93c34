"""What every place that runs can be pulled from has in common: the questions it answers, and what identifies it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import attrs

from mlquery.entities import Experiment
from mlquery.sync.content import ModelContent, Points, Summary


@attrs.frozen(eq=False)
class SourceFile:
    """An artifact: its path and size, and a way to put its content into a local file."""

    path: str
    size: int
    fetch: Callable[[Path], object]


class Source(Protocol):
    """A store that can be pulled from.

    Attributes:
        name: What identifies it, without passwords: the same as of the target that it could be.
        workers: How many questions may be asked at once.
    """

    name: str
    workers: int

    def experiments(self) -> list[Experiment]:
        """Return all experiments, deleted ones too."""

    def runs(self, experiment_ids: Sequence[str], filter_string: str) -> Iterator[Summary]:
        """Yield the runs that a filter finds, deleted ones too, the oldest first where the source can sort."""

    def details(self, run: Summary) -> tuple[Summary, dict[str, Points]]:
        """Return a run with everything that is known of it, and the points of all its metrics."""

    def models(self, experiment_ids: Sequence[str]) -> Iterator[ModelContent]:
        """Yield the logged models of experiments; none where there is no such thing."""

    def run_files(self, run: Summary) -> Iterator[SourceFile]:
        """Yield the artifacts of a run; raise LookupError if they are out of reach."""

    def model_files(self, model: ModelContent) -> Iterator[SourceFile]:
        """Yield the files of a logged model; raise LookupError if they are out of reach."""

    def close(self) -> None:
        """Let go of the source."""


def target_name(uri: str) -> str:
    """Return what identifies a tracking URI: without user, password and options, paths absolute."""
    scheme, _, rest = uri.partition("://")
    if not rest:
        path = uri.removeprefix("file:")
        return f"file://{os.path.abspath(path)}" if os.path.isdir(path) else f"sqlite://{os.path.abspath(path)}"
    if scheme == "sqlite":
        return f"sqlite://{os.path.abspath(rest.removeprefix('/').partition('?')[0])}"
    if scheme == "file" or (scheme == "mlquery" and rest.startswith("/")):
        return f"{scheme}://{os.path.abspath(unquote(urlsplit(uri).path))}"
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}".rstrip("/")
