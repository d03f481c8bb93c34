"""The service's calls about runs as such: create, read, search, update, delete, restore.

**Source** of names and arguments: `mlflow.store.tracking.abstract_store.AbstractStore` of MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mlquery.backend.coercion import string_in_column
from mlquery.backend.reading import read_found_runs, read_run
from mlquery.backend.service import Service, call, call_about
from mlquery.engine import columnar
from mlquery.entities import PagedList, Run, RunInfo, RunTag, ViewType
from mlquery.errors import StoreError
from mlquery.query.reading import read_run_search
from mlquery.query.search import Engine, page_of_runs
from mlquery.store import Store
from mlquery.store.run_table import RUN_NAME

if TYPE_CHECKING:
    from mlquery.query.dataframe import DataFrame

T = TypeVar("T")
ReadRuns = Callable[[Store, Sequence[int]], list[T]]
"""Makes results of rows of the store's runs, while nobody writes."""

NewName = Callable[[], str]
"""Makes up a name; a caller that has MLflow gives its own."""

PARENT: Final = "mlflow.parentRunId"
USER: Final = "mlflow.user"
_ROOT: Final = "mlflow.rootRunId"
_SOURCE: Final = "mlflow.source."


class Runs(Service):
    """Calls about runs as such."""

    @call
    def create_run(
        self,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: Iterable[RunTag] | None = None,
        run_name: str | None = None,
        *,
        now: int | None = None,
        new_name: NewName | None = None,
    ) -> Run:
        """Create a run and return it; if it starts `now`, at what the clock said, nobody gave that, see the store.

        A tag whose value is None is left out: MLflow keeps it where no filter finds it. A service may write a display
        name in place of the user, and the run at the top of the tree of nested runs, and drop tags about the source.
        `new_name` makes the name of a run that is given none, unless the names of the store repeat.
        """
        own_tags = [RunTag(tag.key, string_in_column(tag.value)) for tag in tags or () if tag.value is not None]
        if not self.dialect.behaves("tag.source.at-creation"):
            own_tags = [tag for tag in own_tags if not tag.key.startswith(_SOURCE)]
        if new_name and not (
            run_name or self.store.is_seeded or any(tag.key == RUN_NAME and tag.value for tag in own_tags)
        ):
            run_name = new_name()
        if self.user is not None:
            user_id = self.user
            own_tags = [RunTag(USER, self.user) if tag.key == USER else tag for tag in own_tags]
        given = (experiment_id, string_in_column(user_id), start_time, own_tags, string_in_column(run_name))
        with self.store.lock:
            run = self.store.create_run(*given, limits=self.limits, now=now)
            if not self.dialect.behaves("tag.rootRunId"):
                return run
            self.store.set_tag(run.info.run_id, RunTag(_ROOT, self._root_of(run)))
            run.data.tags[_ROOT] = self.store.get_run(run.info.run_id).data.tags[_ROOT]
            return run

    @call
    def get_run(self, run_id: str, *, read: ReadRuns[Any] = read_run) -> Any:
        """Return a run with everything that is known of it; `read` makes the result."""
        with self.store.lock:
            row = self.store.runs.row_of.get(run_id)
            if row is None:
                return self.store.get_run(run_id)  # raises
            return read(self.store, [row])[0]

    @call
    def search_runs(
        self,
        experiment_ids: Iterable[str | int],
        filter_string: str | None = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | bytes | None = None,
        *,
        engine: Engine = columnar.rows,
        read: ReadRuns[Any] = read_found_runs,
    ) -> PagedList[Any]:
        """Return one page of the runs that match a filter, in order; `read` makes the results."""
        plan, page = read_run_search(  # which takes longest where a filter is long, so not while others are kept out
            *(experiment_ids, filter_string, run_view_type, max_results, order_by, page_token),
            dialect=self.dialect,
            on_warning=self.on_warning,
            read_default_experiment=lambda: self.store.default_experiment_id,
        )
        with self.store.lock:
            store = self.store.searched
            rows, token = page_of_runs(store, plan, page, max_results, self.dialect, engine)
            return PagedList(read(store, rows), token)

    def search_frame(self, *query: Any) -> DataFrame:
        """Return the runs that match a filter as a DataFrame; arguments as of `mlquery.search_frame`.

        It is the call `search_runs` in another shape.
        """
        from mlquery.query.dataframe import search_frame

        self.store.faults.before("search_runs")
        frame: DataFrame = search_frame(self.store.searched, *query, dialect=self.dialect, on_warning=self.on_warning)
        return frame

    @call
    def update_run_info(
        self,
        run_id: str,
        run_status: int | None,
        end_time: int | None,
        run_name: str | None,
        *,
        now: int | None = None,
    ) -> RunInfo:
        """Set status, end time (ms UTC) and name of a run, each if given, and return what is known of it now.

        An end `now`, at what the clock said, was given by nobody; see the store.
        """
        return self.store.update_run_info(run_id, run_status, end_time, run_name, limits=self.limits, now=now)

    @call_about("run")
    def delete_run(self, run_id: str) -> None:
        """Mark a run as deleted."""
        self.store.delete_run(run_id)

    @call_about("run")
    def restore_run(self, run_id: str) -> None:
        """Bring a deleted run back."""
        self.store.restore_run(run_id)

    def _root_of(self, run: Run) -> str:
        """Return the id of the run at the top of the tree that a run is in, as far as it is known."""
        parent_id = run.data.tags.get(PARENT)
        if parent_id is None:
            return run.info.run_id
        try:
            return self.store.get_run(parent_id).data.tags.get(_ROOT, parent_id)
        except StoreError:
            return parent_id
