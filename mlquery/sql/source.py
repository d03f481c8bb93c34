"""Runs and experiments where they are: a layout of tables on an engine, asked with plans.

Each call sees one state of the data, in one read-only session, and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from mlquery.language.plan import Entity, FieldRef, Plan
from mlquery.registry import Registry
from mlquery.sql import compiling, late_ids, reading
from mlquery.sql.errors import NotAskableError, name_of
from mlquery.sql.ordering import Position, keys_of, position
from mlquery.sql.query import DatasetUse, History, Layout
from mlquery.sql.reading import is_mean
from mlquery.sql.rewriting import prepared, rewritten
from mlquery.sql.session import Engine, Session, read
from mlquery.sql.statement import Statement
from mlquery.store import Store


@attrs.frozen(eq=False)
class Page:
    """A page of a search: the entities found, with their data.

    Attributes:
        store: In memory; what was found, and the experiments of runs.
        rows: Their rows in the store, in the order of the search.
        next: Where the page ends; None if nothing follows.
    """

    store: Store
    rows: Sequence[int]
    next: Position | None


class Source:
    """What holds runs and experiments.

    Args:
        engine: What answers statements.
        layout: Where fields are in its tables.
    """

    def __init__(self, engine: Engine, layout: Layout) -> None:
        self.engine = engine
        self.layout = layout

    def __repr__(self) -> str:
        return f"<Source: {self.name}>"

    @property
    def name(self) -> str:
        """Return what it is connected to, without a password."""
        return self.engine.name

    @property
    def counts(self) -> bool:
        """Tell whether runs are counted without being read: they are."""
        return True

    def page(self, plan: Plan, limit: int | None, after: Position | None = None) -> Page:
        """Return what a plan finds, with the data of it.

        Args:
            plan: The search, of runs or experiments.
            limit: The most entities; None for all.
            after: Where the page before ended; None for the first page.

        Raises:
            NotAskableError: it cannot be answered exactly here.
            SourceUnavailableError: the system does not answer.
        """
        return read(self.engine, lambda session: self._page(session, plan, limit, after))

    def ids(self, plan: Plan, limit: int | None = None, after: Position | None = None) -> list[str]:
        """Return the ids of what a plan finds, in its order; arguments and errors as of `page`."""
        found, _ = read(self.engine, lambda session: self._found(session, plan, limit, after))
        return [str(row[0]) for row in found]

    def count(self, plan: Plan) -> int:
        """Return how many entities a plan finds; errors as of `page`."""

        def counted(session: Session) -> int:
            statement = compiling.count(*prepared(plan, self.layout, session), session.dialect)
            ((number,),) = session.rows(statement)
            return int(number)

        return read(self.engine, counted)

    def values(self, plan: Plan, fields: Sequence[FieldRef], limit: int | None = None) -> list[tuple[Any, ...]]:
        """Return the id and the values of fields of what a plan finds, the first `limit` or all, in its order.

        A missing value is None, NaN is NaN, infinities are the largest numbers. Errors as of `page`.
        """
        return read(self.engine, lambda session: reading.values(plan, fields, limit, self.layout, session))

    def lazy(self, plan: Plan, fields: Mapping[str, FieldRef], limit: int | None = None) -> Any:
        """Return what `values` would, as a frame of the system that is computed when it is asked for.

        `fields` has them by the names of the columns, of which the id of the run is none. Values are as the tables have
        them, infinities too.

        Raises:
            NotAskableError: as of `page`; the system has no such frames, or a field is computed here, as means are.
            SourceUnavailableError: the system does not answer.
        """
        make: Callable[[Statement], Any] | None = getattr(self.engine, "frame", None)
        if make is None:
            raise NotAskableError("a lazy frame", "only Spark has such frames")
        means = [field for field in (*fields.values(), *(key.field for key in plan.order)) if is_mean(field)]
        if means:
            raise NotAskableError(name_of(means[0]), "an exact mean is not computed by Spark, so that it is not lazy")
        asked = list(fields.values())

        def compiled(session: Session) -> Statement:
            return compiling.values(rewritten(plan, self.layout, session), asked, self.layout, session.dialect, limit)

        frame = make(read(self.engine, compiled))
        numbered = frame.toDF(*(str(place) for place in range(1 + 2 * len(asked))))  # each value, and whether it is NaN
        return numbered.select(*(str(1 + 2 * place) for place in range(len(asked)))).toDF(*fields)

    def runs(self, run_ids: Sequence[str]) -> Store:
        """Return a store with some runs in the order given, and their experiments; unknown runs are left out."""
        return read(self.engine, lambda session: self.layout.load_runs(session, [(run_id,) for run_id in run_ids]))

    def experiments(self, ids: Sequence[str] = (), names: Sequence[str] = ()) -> Store:
        """Return a store with some experiments, by id or by name and in any stage; unknown ones are left out."""

        def loaded(session: Session) -> Store:
            found = list(ids)
            if names:
                statement = compiling.experiments_named(names, self.layout, session.dialect)
                found += [str(row[0]) for row in session.rows(statement)]
            return self.layout.load_experiments(session, list(dict.fromkeys(found)))

        return read(self.engine, loaded)

    def histories(self, run_ids: Sequence[str], keys: Sequence[str] | None = None) -> dict[tuple[str, str], History]:
        """Return all points of some runs and metrics, by run id and key; without keys, of all metrics.

        Raises:
            NotAskableError: there are no histories here.
            SourceUnavailableError: the system does not answer.
        """
        return read(self.engine, lambda session: self.layout.load_points(session, run_ids, keys))

    def datasets(self, experiment_ids: Sequence[str]) -> list[DatasetUse]:
        """Return which datasets the runs of some experiments read, each once for each context; 1,000 at most.

        Raises:
            NotAskableError: there are no datasets here.
            SourceUnavailableError: the system does not answer.
        """
        return read(self.engine, lambda session: self.layout.load_datasets(session, experiment_ids))

    def models(self, experiment_ids: Sequence[str]) -> Store:
        """Return a store with the logged models of some experiments, and these experiments; errors as of `datasets`."""
        load = self._optional("load_models", "logged models")
        found: Store = read(self.engine, lambda session: load(session, experiment_ids))
        return found

    def registry(self) -> Registry:
        """Return all registered models and their versions; errors as of `datasets`."""
        load = self._optional("load_registry", "registered models")
        found: Registry = read(self.engine, load)
        return found

    def _optional(self, name: str, subject: str) -> Callable[..., Any]:
        """Return what reads a subject that not every layout has."""
        found: Callable[..., Any] | None = getattr(self.layout, name, None)
        if found is None:
            raise NotAskableError(subject, "these tables have runs and experiments only")
        return found

    def statement(self, plan: Plan, limit: int | None = None, after: Position | None = None) -> Statement:
        """Return the statement that finds a page, without its ids where these are read late; errors as of `page`."""

        def compiled(session: Session) -> Statement:
            asked, layout = prepared(plan, self.layout, session)
            first = self._first_page(session, asked, limit) if after is None else None
            return (first or compiling.page(asked, layout, session.dialect, limit, after)).statement

        return read(self.engine, compiled)

    def described(self, statement: Statement) -> list[str]:
        """Return how the system would run a statement, in its own words, line by line."""
        return self.engine.explain(statement)

    def explained(self, plan: Plan, limit: int | None) -> list[str]:
        """Return the lines that say how the first page is found: the statement, its parameters, the engine's plan."""
        statement = self.statement(plan, limit)
        return [
            f"searched  in place, {self.name}",
            "statement",
            *(f"          {line}" for line in statement.text.splitlines()),
            "bound",
            *(f"          {name} = {value!r}" for name, value in statement.parameters.items()),
            "run as",
            *(f"          {line}" for line in self.described(statement)),
        ]

    def close(self) -> None:
        """Close all connections."""
        self.engine.close()

    def _page(self, session: Session, plan: Plan, limit: int | None, after: Position | None) -> Page:
        found, following = self._found(session, plan, limit, after)
        if plan.entity is Entity.RUN:
            store = self.layout.load_runs(session, found)
            return Page(store, range(store.runs.size), following)
        store = self.layout.load_experiments(session, [str(row[0]) for row in found])
        return Page(store, range(store.experiments.size), following)

    def _found(
        self, session: Session, plan: Plan, limit: int | None, after: Position | None
    ) -> tuple[list[tuple[Any, ...]], Position | None]:
        """Return id and locators of what is on a page, and where it ends if something follows."""
        if reading.is_ordered_by_mean(plan):
            return reading.ordered_here(plan, limit, after, self.layout, session)
        plan, layout = prepared(plan, self.layout, session)
        more = None if limit is None else limit + 1
        page = compiling.page(plan, layout, session.dialect, more, after)
        rows = self._first(session, plan, more) if after is None else None
        if rows is None:
            rows = session.rows(page.statement)
        following = None
        if limit is not None and len(rows) > limit:
            rows = rows[:limit]
            following = position(rows[-1], page.terms) if rows else after
        return [row[: len(row) - len(page.terms)] for row in rows], following

    def _first(self, session: Session, plan: Plan, limit: int | None) -> list[tuple[Any, ...]] | None:
        """Return what the statement of the first page would, ids read late; None where that is no way to find it."""
        page = self._first_page(session, plan, limit)
        if page is None or limit is None:
            return None
        rows = session.rows(page.statement)
        if not late_ids.is_complete(rows, page, limit):
            return None
        ids = self._optional("ids_at", "ids by place")([row[: len(row) - len(page.terms)] for row in rows])
        *_, by_id = keys_of(plan)
        return late_ids.with_ids(rows, ids, page, by_id.descending)[:limit]

    def _first_page(self, session: Session, plan: Plan, limit: int | None) -> compiling.Page | None:
        """Return the statement of the first page without ids; None if the layout does not read them late."""
        if limit is None or plan.entity is not Entity.RUN or not hasattr(self.layout, "ids_at"):
            return None
        page = compiling.page(plan, self.layout, session.dialect, limit + late_ids.SPARE, has_ids=False)
        return page if page.terms else None
