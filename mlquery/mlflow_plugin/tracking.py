"""The tracking store that `mlflow.set_tracking_uri("mlquery://…")` means: MLflow's calls, answered from memory.

It holds a URI and nothing else; see `uris`. What MLflow's stores can do and this one does not is refused by name: those
methods are found in MLflow's classes, so that none is missing silently when MLflow grows.

Where it differs from MLflow's store on SQLite, on purpose (the list with reasons is `conformance/differences.toml`):

1. A batch is logged whole or not at all. There a batch that the database refuses has been written in part.
2. A time or a step with a fraction is refused. There it is kept in a column of integers and cannot be searched.
3. A refused search says where in the query the problem is, in words of its own; the error code is the same. So are the
   words where the wording there is the database's (BAD_REQUEST, INTERNAL_ERROR). With several problems in one query
   the first one in the text gives the code.
4. A tag that is None when a run is created is left out. There it is kept and no filter finds it.
5. What is logged asynchronously is there when the call returns, so that a test need not wait. Failures still wait.
6. Empty folders are no artifacts, as in any store of objects.
7. Traces, scorers, prompts, the gateway, evaluation datasets and the like are refused with NOT_IMPLEMENTED.

In a dialect with a service behind it (Azure Machine Learning): logged models answer 404 and traces 403, as observed.
MLflow 3 therefore cannot log a model there with `log_model`, and autologging leaves out the model, here as there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.store.tracking.rest_store import RestStore

from mlquery.mlflow_plugin.errors import not_kept
from mlquery.mlflow_plugin.tracking_calls import require_endpoint
from mlquery.mlflow_plugin.tracking_experiments import ExperimentCalls
from mlquery.mlflow_plugin.tracking_history import HistoryCalls
from mlquery.mlflow_plugin.tracking_models import ModelCalls
from mlquery.mlflow_plugin.tracking_runs import RunCalls


class TrackingStore(ExperimentCalls, RunCalls, HistoryCalls, ModelCalls):
    """A tracking store in memory.

    Args:
        store_uri: What to work on, "mlquery://NAME?dialect=azure" or less.
        artifact_uri: Not needed; MLflow passes it to every store.
    """

    def __init__(self, store_uri: str = "mlquery://", artifact_uri: str | None = None) -> None:
        self.uri = store_uri
        super().__init__()
        self.require_uri()

    def __repr__(self) -> str:
        return f"<TrackingStore: {self.uri!r}>"


# Of MLflow's own methods these need nothing but the calls above, or say what a store does not have.
_INHERITED: Final = frozenset(
    (
        *("end_async_logging", "flush_async_logging", "shut_down_async_logging"),
        *("supports_workspaces", "supports_trace_archival"),
    )
)
# What a method is about, by a part of its name; the first that fits.
_SUBJECTS: Final = (
    ("mcp_", "MCP servers"),
    ("scor", "scorers"),
    ("prompt", "prompts"),
    ("assessment", "assessments of traces"),
    *((part, "traces") for part in ("trace", "span", "completed_sessions")),
    ("issue", "issues"),
    ("label_schema", "label schemas"),
    *((part, "review queues") for part in ("review_queue", "user_queue")),
    ("dataset", "evaluation datasets"),
    ("model_versions_tags", "registered models in its tracking store"),
    ("", "gateway settings"),
)


def _outside() -> Iterator[tuple[str, str]]:
    """Yield every public method of MLflow's stores that is not served here, with what the method is about."""
    served = {name for room in TrackingStore.__mro__ if room.__module__.startswith("mlquery.") for name in vars(room)}
    for name in sorted({*dir(AbstractStore), *dir(RestStore)} - served - _INHERITED):
        if not name.startswith("_"):
            yield name, next(subject for part, subject in _SUBJECTS if part in name)


def _refusal(name: str, subject: str) -> Callable[..., Any]:
    def refuse(self: TrackingStore, *args: Any, **kwargs: Any) -> Any:
        if "traces" in subject:
            require_endpoint(self.state, "traces", "/api/3.0/mlflow/traces")
        raise not_kept(name, subject)

    refuse.__name__ = name
    refuse.__doc__ = f"Refuse: this store does not keep {subject}."
    return refuse


REFUSED: Final = dict(_outside())
"""The methods of MLflow's stores that this one refuses, and what each of them is about."""

for _name, _subject in REFUSED.items():
    setattr(TrackingStore, _name, _refusal(_name, _subject))
