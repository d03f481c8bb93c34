"""The tracking store's calls about runs: create, read, search, update, delete, log, and the asynchronous forms.

**Source** of names, arguments and answers: `AbstractStore` and `SqlAlchemyStore` of MLflow 3.17.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

import attrs
import mlflow.entities as theirs
from mlflow.store.entities.paged_list import PagedList
from mlflow.utils.async_logging.run_operations import RunOperations
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from mlquery.backend.coercion import own_dataset_input
from mlquery.backend.coercion import string_in_column as stored_text
from mlquery.backend.nesting import ROOT, root_of
from mlquery.entities import RunTag
from mlquery.mlflow_plugin import convert
from mlquery.mlflow_plugin.tracking_calls import Calls, on_warning, require_call, require_endpoint, served
from mlquery.mlflow_plugin.uris import State
from mlquery.query.search import search_rows
from mlquery.store.validation import check_dataset_inputs, check_run_id, check_tag

_USER: Final = "mlflow.user"
_HISTORY: Final = "mlflow.log-model.history"
_MOST_DATASETS: Final = 1000  # as in MLflow


class RunCalls(Calls):
    """Calls about runs."""

    @served
    def create_run(
        self,
        state: State,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: Sequence[theirs.RunTag] | None,
        run_name: str | None,
    ) -> theirs.Run:
        """Create a run and return it. A tag whose value is None is left out."""
        store, shown_user = state.store, state.column.service.get("user")
        own_tags = [RunTag(tag.key, stored_text(tag.value)) for tag in tags or () if tag.value is not None]
        if shown_user is not None:
            user_id = shown_user
            own_tags = [RunTag(_USER, shown_user) if tag.key == _USER else tag for tag in own_tags]
        with store.lock:
            run = store.create_run(
                experiment_id, stored_text(user_id), start_time, own_tags, stored_text(run_name), limits=state.limits
            )
            if state.column.behaves("tag.rootRunId"):
                store.set_tag(run.info.run_id, RunTag(ROOT, root_of(store, run)))
                run = store.get_run(run.info.run_id)
        return convert.new_run(run)

    @served
    def get_run(self, state: State, run_id: str) -> theirs.Run:
        """Return a run."""
        with state.store.lock:
            return convert.run_of(state.store, run_id)

    @served
    def search_runs(
        self,
        state: State,
        experiment_ids: list[str],
        filter_string: str | None,
        run_view_type: int,
        max_results: int | None = 1000,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[theirs.Run]:
        """Return one page of the runs that a filter finds, in order."""
        given = (experiment_ids, filter_string, run_view_type, max_results, order_by, page_token)
        with state.store.lock:
            rows, token = search_rows(state.store, *given, dialect=state.column, on_warning=on_warning)
            return PagedList(convert.runs_at(state.store, rows), token)

    def _search_runs(
        self,
        experiment_ids: list[str],
        filter_string: str | None,
        run_view_type: int,
        max_results: int | None,
        order_by: list[str] | None,
        page_token: str | None,
    ) -> tuple[list[theirs.Run], str | None]:
        found = self.search_runs(experiment_ids, filter_string, run_view_type, max_results, order_by, page_token)
        return found, found.token

    @served
    def update_run_info(
        self, state: State, run_id: str, run_status: int | None, end_time: int | None, run_name: str | None
    ) -> theirs.RunInfo:
        """Set status, end time (ms UTC) and name of a run, each if given."""
        info = state.store.update_run_info(run_id, run_status, end_time, run_name, limits=state.limits)
        return convert.run_info(info)

    @served
    def delete_run(self, state: State, run_id: str) -> None:
        """Mark a run as deleted."""
        require_call(state, "delete_run", "run")
        state.store.delete_run(run_id)

    @served
    def restore_run(self, state: State, run_id: str) -> None:
        """Bring a deleted run back."""
        require_call(state, "restore_run", "run")
        state.store.restore_run(run_id)

    @served
    def log_metric(self, state: State, run_id: str, metric: theirs.Metric) -> None:
        """Log one point of a metric."""
        state.store.log_metric(run_id, metric, limits=state.limits)  # type: ignore[arg-type]

    @served
    def log_param(self, state: State, run_id: str, param: theirs.Param) -> None:
        """Log a param."""
        state.store.log_param(run_id, param, limits=state.limits)  # type: ignore[arg-type]

    @served
    def set_tag(self, state: State, run_id: str, tag: theirs.RunTag) -> None:
        """Set a tag of a run."""
        state.store.set_tag(run_id, tag, limits=state.limits)  # type: ignore[arg-type]

    @served
    def delete_tag(self, state: State, run_id: str, key: str) -> None:
        """Delete a tag of a run."""
        state.store.delete_tag(run_id, key)

    @served
    def log_batch(
        self,
        state: State,
        run_id: str,
        metrics: Sequence[theirs.Metric],
        params: Sequence[theirs.Param],
        tags: Sequence[theirs.RunTag],
    ) -> None:
        """Log metrics, params and tags together, or nothing."""
        state.store.log_batch(run_id, metrics, params, tags, limits=state.limits)  # type: ignore[arg-type]

    @served
    def log_inputs(
        self,
        state: State,
        run_id: str,
        datasets: list[theirs.DatasetInput] | None = None,
        models: Sequence[Any] | None = None,
    ) -> None:
        """Record what a run reads: datasets and logged models."""
        check_run_id(run_id)
        if datasets is not None:
            check_dataset_inputs(datasets, state.limits)
        inputs = [own_dataset_input(dataset_input) for dataset_input in datasets or ()]
        if models:
            require_endpoint(state, "logged_models", "/api/2.0/mlflow/runs/log-inputs")
        with state.store.lock:
            state.store.log_inputs(run_id, inputs, limits=state.limits)
            state.store.log_model_inputs(run_id, [model.model_id for model in models or ()])

    @served
    def _search_datasets(self, state: State, experiment_ids: Sequence[str]) -> list[theirs._DatasetSummary]:
        """Return the datasets of experiments, each once for every context; MLflow's UI asks for them."""
        wanted, found = set(experiment_ids), dict[tuple[str, ...], theirs._DatasetSummary]()
        with state.store.lock:
            for row, inputs in sorted(state.store.runs.inputs.items()):
                experiment_id = state.store.runs.text("experiment_id", row) or ""
                for one in inputs if experiment_id in wanted else ():
                    context = next((tag.value for tag in one.tags if tag.key == MLFLOW_DATASET_CONTEXT), None)
                    about = (experiment_id, one.dataset.name, one.dataset.digest)
                    found[*about, context or ""] = theirs._DatasetSummary(*about, context)
        return list(found.values())[:_MOST_DATASETS]

    @served
    def record_logged_model(self, state: State, run_id: str, mlflow_model: Any) -> None:
        """Add a model of MLflow 2 to the tag that lists the models of a run."""
        with state.store.lock:
            tags = state.store.get_run(run_id).data.tags
            listed = json.loads(tags.get(_HISTORY, "[]"))
            tag = RunTag(_HISTORY, json.dumps([*listed, mlflow_model.get_tags_dict()]))
            check_tag(tag, state.limits)
            # As in MLflow the list is kept whole, however long it is.
            state.store.set_tag(run_id, tag, limits=attrs.evolve(state.limits, tag_value=len(tag.value)))

    # Asynchronous calls are done at once: what a test logs is there when the call returns.

    def log_batch_async(self, run_id: str, metrics: Any, params: Any, tags: Any) -> RunOperations:
        """Log a batch; what it raises is raised by `wait`."""
        return _done(lambda: self.log_batch(run_id, metrics, params, tags))

    def log_metric_async(self, run_id: str, metric: theirs.Metric) -> RunOperations:
        """Log one point of a metric; what it raises is raised by `wait`."""
        return self.log_batch_async(run_id, [metric], [], [])

    def log_param_async(self, run_id: str, param: theirs.Param) -> RunOperations:
        """Log a param; what it raises is raised by `wait`."""
        return self.log_batch_async(run_id, [], [param], [])

    def set_tag_async(self, run_id: str, tag: theirs.RunTag) -> RunOperations:
        """Set a tag; what it raises is raised by `wait`."""
        return self.log_batch_async(run_id, [], [], [tag])


def _done(write: Callable[[], None]) -> RunOperations:
    future: Future[None] = Future()
    try:
        write()
    except Exception as error:
        future.set_exception(error)
    else:
        future.set_result(None)
    return RunOperations([future])
