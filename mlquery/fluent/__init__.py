"""The functions of the module `mlflow`, on a store in memory: `from mlquery import fluent as mlflow`.

Scripts that create, log and search run unchanged. `use` chooses the store and the dialect; without it, everything
happens in a new, empty store in the dialect `oss`.
"""

import mlquery.entities as entities
from mlquery.entities import Experiment, Metric, Param, Run, RunTag, ViewType
from mlquery.fluent import artifacts, tracking
from mlquery.fluent.experiments import (
    create_experiment,
    delete_experiment,
    delete_experiment_tag,
    get_experiment,
    get_experiment_by_name,
    list_experiments,
    restore_experiment,
    search_experiments,
    set_experiment,
    set_experiment_tag,
    set_experiment_tags,
)
from mlquery.fluent.logging import (
    delete_tag,
    flush_async_logging,
    get_artifact_uri,
    log_artifact,
    log_artifacts,
    log_dict,
    log_input,
    log_inputs,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    log_stream,
    log_text,
    set_tag,
    set_tags,
)
from mlquery.fluent.runs import (
    ActiveRun,
    active_run,
    delete_run,
    end_run,
    get_parent_run,
    get_run,
    last_active_run,
    restore_run,
    start_run,
)
from mlquery.fluent.searches import search_runs
from mlquery.fluent.session import use
from mlquery.fluent.tracking import MlflowClient

__all__ = [
    "ActiveRun",
    "Experiment",
    "Metric",
    "MlflowClient",
    "Param",
    "Run",
    "RunTag",
    "ViewType",
    "active_run",
    "artifacts",
    "create_experiment",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_run",
    "delete_tag",
    "end_run",
    "entities",
    "flush_async_logging",
    "get_artifact_uri",
    "get_experiment",
    "get_experiment_by_name",
    "get_parent_run",
    "get_run",
    "last_active_run",
    "list_experiments",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_input",
    "log_inputs",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_stream",
    "log_text",
    "restore_experiment",
    "restore_run",
    "search_experiments",
    "search_runs",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_tag",
    "set_tags",
    "start_run",
    "tracking",
    "use",
]
