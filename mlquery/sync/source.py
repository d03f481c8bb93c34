"""Defines what pull needs from a source of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from mlquery.entities import Experiment
from mlquery.store.registered_models import Entry
from mlquery.sync.content import ModelContent, Points, Summary

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
