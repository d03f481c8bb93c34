"""What a store returns: experiments, runs, models and their parts, as values with MLflow's names and shapes."""

from mlquery.entities.lifecycle import LifecycleStage, RunStatus, ViewType
from mlquery.entities.logged_models import LoggedModel, LoggedModelInput, LoggedModelOutput, LoggedModelStatus
from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.entities.tracking import (
    EMPTY,
    Dataset,
    DatasetInput,
    Experiment,
    ExperimentTag,
    FileInfo,
    InputTag,
    Metric,
    PagedList,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunTag,
)

__all__ = [
    "EMPTY",
    "Dataset",
    "DatasetInput",
    "Experiment",
    "ExperimentTag",
    "FileInfo",
    "InputTag",
    "LifecycleStage",
    "LoggedModel",
    "LoggedModelInput",
    "LoggedModelOutput",
    "LoggedModelStatus",
    "Metric",
    "ModelVersion",
    "PagedList",
    "Param",
    "RegisteredModel",
    "Run",
    "RunData",
    "RunInfo",
    "RunInputs",
    "RunOutputs",
    "RunStatus",
    "RunTag",
    "ViewType",
]
