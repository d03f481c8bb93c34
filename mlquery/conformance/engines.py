"""The engines that the suite runs on, by name: those in memory, and systems that get a copy of what a session holds.

A system is started when it is chosen and ended when the suite is through. Its answers come by ids, which are turned
into rows of the store again: what is compared is the same for every engine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from mlquery.conformance.http_mirror import behind_http
from mlquery.conformance.inprocess import ENGINES as IN_MEMORY
from mlquery.conformance.inprocess import Rows
from mlquery.conformance.lake_mirror import LakeMirror
from mlquery.conformance.local_spark import spark_started
from mlquery.conformance.schema_mirror import SchemaMirror
from mlquery.conformance.servers import DatabaseServer, started
from mlquery.language.plan import Entity, Plan
from mlquery.query.sources import Source
from mlquery.store import Store


class Mirror(Protocol):
    """A copy of a store in another system, made anew when the store has changed."""

    def source(self, store: Store) -> Source:
        """Return a source that holds what the store holds now; it is good until the next call.

        Raises:
            NotAskableError: the system cannot hold something that is in the store.
            SourceUnavailableError: the system does not answer.
        """

    def close(self) -> None:
        """Close the connections."""


@attrs.define
class SuiteEngine:
    """An engine by its name, and how often it was asked."""

    name: str
    _answer: Rows
    asked: int = 0

    @property
    def is_in_memory(self) -> bool:
        """Tell whether it is one of mlquery's own."""
        return self.name in IN_MEMORY

    def rows(self, store: Store, plan: Plan, limit: int | None = None) -> Any:
        """Return the rows of a store that a plan finds, in its order."""
        self.asked += 1
        return self._answer(store, plan, limit)


def mirrored(mirror: Mirror) -> Rows:
    """Return the engine that asks the source of a mirror."""

    def rows(store: Store, plan: Plan, limit: int | None) -> list[int]:
        row_of = store.runs.row_of if plan.entity is Entity.RUN else store.experiments.row_of
        return [row_of[found] for found in mirror.source(store).ids(plan, limit)]

    return rows


@contextmanager
def opened(names: Iterable[str]) -> Iterator[list[SuiteEngine]]:
    """Give the engines of some names, and end what was started for them.

    Raises:
        ValueError: a name is unknown.
        StoreError: an engine cannot be had here.
    """
    chosen = list(dict.fromkeys(names))
    if unknown := [name for name in chosen if name not in ENGINE_NAMES]:
        raise ValueError(f"unknown engine {', '.join(map(repr, unknown))}; use {' or '.join(ENGINE_NAMES)}")
    with ExitStack() as stack:
        engines = []
        for name in chosen:
            mirror = None if name in IN_MEMORY else stack.enter_context(MIRRORS[name]())
            engines.append(SuiteEngine(name, IN_MEMORY[name] if mirror is None else mirrored(mirror)))
        yield engines


@contextmanager
def _in_files() -> Iterator[Mirror]:
    with tempfile.TemporaryDirectory(prefix="mlquery-") as folder:
        places = iter(range(1_000))
        with closing(SchemaMirror(lambda: f"sqlite:///{Path(folder) / f'{next(places)}.db'}")) as mirror:
            yield mirror


@contextmanager
def server_mirror(server: DatabaseServer) -> Iterator[Mirror]:
    """Give a mirror in new databases of a server, which are gone in the end."""
    made: list[str] = []

    def new_database() -> str:
        made.append(server.new_database())
        return made[-1]

    try:
        with closing(SchemaMirror(new_database)) as mirror:
            yield mirror
    finally:
        for url in made:
            server.drop_database(url)


@contextmanager
def _on_server(kind: str) -> Iterator[Mirror]:
    with started(kind) as server, server_mirror(server) as mirror:
        yield mirror


@contextmanager
def _in_lake(engine: str, layout: str) -> Iterator[Mirror]:
    with ExitStack() as stack:
        if engine == "spark":
            stack.enter_context(spark_started())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mlquery-"))
        yield stack.enter_context(closing(LakeMirror(Path(folder), engine, layout)))


MIRRORS: Final[dict[str, Callable[[], Any]]] = {
    "sqlite": _in_files,
    "postgres": partial(_on_server, "postgres"),
    "mariadb": partial(_on_server, "mariadb"),
    "duckdb": partial(_in_lake, "duckdb", "tables"),
    "duckdb-wide": partial(_in_lake, "duckdb", "wide"),
    "spark": partial(_in_lake, "spark", "tables"),
    "spark-wide": partial(_in_lake, "spark", "wide"),
    "server": behind_http,
}
ENGINE_NAMES: Final = (*IN_MEMORY, *MIRRORS)
