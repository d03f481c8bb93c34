"""What the active run logs: params, metrics, tags, datasets and artifacts. Where no run is active, one is started."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from mlquery.backend.coercion import own_dataset
from mlquery.client import RunOperations
from mlquery.client.tracking import log_batches
from mlquery.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlquery.errors import StoreError, invalid_parameter
from mlquery.fluent.runs import active_or_new_run, run_to_log_to
from mlquery.fluent.session import client

_CONTEXT = "mlflow.data.context"


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Log a param as a string and return its value; a param that is logged cannot be changed."""
    return client().log_param(run_to_log_to(), key, value, synchronous)


def log_params(
    params: dict[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """Log several params as strings."""
    own_params = [Param(key, str(value)) for key, value in params.items()]
    return client().log_batch(run_to_log_to(run_id), params=own_params, synchronous=synchronous)


def log_metric(
    key: str,
    value: float,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Log one point of a metric, by default now and at step 0; a dataset becomes an input of the run."""
    target, name, digest = _target(run_id, dataset)
    time = _given_time(timestamp)
    return client().log_metric(target, key, value, time, step or 0, synchronous, name, digest, model_id)


def log_metrics(
    metrics: dict[str, float],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Log one point of several metrics, all at the same time and step."""
    target, name, digest = _target(run_id, dataset)
    given = _given_time(timestamp)
    now = client().store.clock() if given is None else None
    time = given or now or 0
    points = [Metric(key, value, time, step or 0, model_id, name, digest, target) for key, value in metrics.items()]
    return log_batches(client().backend, target, points, synchronous=synchronous, now=now)


def _given_time(timestamp: int | None) -> int | None:
    """Return the time of a point, None for now; older clients of MLflow took 0 for none."""
    zero_is_now = client().backend.dialect.client.get("zero_timestamp_is_now", False)
    return None if zero_is_now and not timestamp else timestamp


def _target(run_id: str | None, dataset: Any) -> tuple[str, str | None, str | None]:
    """Return the run to log to, and name and digest of the dataset, which is made an input of the run."""
    run = active_or_new_run() if run_id is None else client().get_run(run_id)
    target = run.info.run_id
    if dataset is None:
        return target, None, None
    inputs = client().get_run(target).inputs
    known = [one.dataset for one in inputs.dataset_inputs] if inputs else []
    if not any((one.name, one.digest) == (dataset.name, dataset.digest) for one in known):
        client().log_inputs(target, [DatasetInput(own_dataset(dataset), [])])
    return target, dataset.name, dataset.digest


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
    """Set a tag of the active run; the value is stored as a string."""
    return client().set_tag(run_to_log_to(), key, value, synchronous)


def set_tags(tags: dict[str, Any], synchronous: bool | None = None) -> RunOperations | None:
    """Set several tags of the active run."""
    own_tags = [RunTag(key, str(value)) for key, value in tags.items()]
    return client().log_batch(run_to_log_to(), tags=own_tags, synchronous=synchronous)


def delete_tag(key: str) -> None:
    """Delete a tag of the active run."""
    client().delete_tag(run_to_log_to(), key)


def log_input(
    dataset: Any = None, context: str | None = None, tags: dict[str, str] | None = None, model: Any = None
) -> None:
    """Log a dataset that the active run reads: a `Dataset`, or what `mlflow.data` makes."""
    run_id = run_to_log_to()
    datasets = [_dataset_input(dataset, context, tags)] if dataset else []
    client().log_inputs(run_id, datasets, [model] if model else None)


def log_inputs(
    datasets: Sequence[Any] | None = None,
    contexts: Sequence[str | None] | None = None,
    tags_list: Sequence[dict[str, str] | None] | None = None,
    models: Sequence[Any] | None = None,
) -> None:
    """Log several datasets that the active run reads, each with its context and tags.

    `models` must be empty, as outside of Databricks; `log_input` takes a model.
    """
    run_id = run_to_log_to()
    datasets, contexts, tags_list = datasets or [], contexts or [], tags_list or []
    if not len(datasets) == len(contexts) == len(tags_list):
        raise StoreError(
            "`mlflow.log_inputs` requires `datasets`, `contexts`, `tags_list` to be non-empty list and have the same "
            "length."
        )
    if models:
        raise StoreError("'models' argument is only supported by Databricks managed MLflow.")
    inputs = [_dataset_input(*each) for each in zip(datasets, contexts, tags_list, strict=True)]
    client().log_inputs(run_id, inputs)


def _dataset_input(dataset: Any, context: str | None, tags: dict[str, str] | None) -> DatasetInput:
    if dataset is None:
        raise invalid_parameter("`dataset` must be specified if `context` or `tags` is specified.")
    own_tags = [InputTag(key, value) for key, value in (tags or {}).items()]
    if context:
        own_tags.append(InputTag(_CONTEXT, context))
    return DatasetInput(own_dataset(dataset), own_tags)


def log_artifact(
    local_path: str | os.PathLike[str], artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Store a local file or folder with a run, below the folder `artifact_path`."""
    client().log_artifact(run_to_log_to(run_id), local_path, artifact_path)


def log_artifacts(
    local_dir: str | os.PathLike[str], artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Store the contents of a local folder with a run, below the folder `artifact_path`."""
    client().log_artifacts(run_to_log_to(run_id), local_dir, artifact_path)


def log_text(text: str, artifact_file: str, run_id: str | None = None) -> None:
    """Store a string with a run, in UTF-8."""
    client().log_text(run_to_log_to(run_id), text, artifact_file)


def log_dict(dictionary: dict[str, Any], artifact_file: str, run_id: str | None = None) -> None:
    """Store a dictionary with a run, as YAML where the file is named so and as JSON elsewhere."""
    client().log_dict(run_to_log_to(run_id), dictionary, artifact_file)


def log_stream(stream: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Store what a binary stream holds with a run."""
    client().log_stream(run_to_log_to(run_id), stream, artifact_file)


def get_artifact_uri(artifact_path: str | None = None) -> str:
    """Return the URI of the active run's artifacts, or of one of them; it means something to this store only."""
    root = client().get_run(run_to_log_to()).info.artifact_uri or ""
    return root if artifact_path is None else f"{root.rstrip('/')}/{artifact_path}"


def flush_async_logging() -> None:
    """Return at once: calls with `synchronous=False` are done when they return."""
