"""Make entities in bulk: equal to what their constructors make of clean values, in a third of the time.

Entities are frozen, and the constructor of a frozen class sets every field through `object.__setattr__`. A class here
is a subclass that is not frozen: it assigns the fields and then makes the object one of the frozen class.
"""

from __future__ import annotations

from typing import Any

from mlquery.entities import Metric, Run, RunData, RunInfo


class _Unlocked:
    """Makes the fields of a frozen class assignable."""

    __slots__ = ()

    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


class make_info(_Unlocked, RunInfo):  # called like a function
    """Make a `RunInfo`."""

    __slots__ = ()

    def __init__(
        self: Any,
        run_id: str,
        experiment_id: str | None,
        user_id: str | None,
        status: str | None,
        start_time: int | None,
        end_time: int | None,
        lifecycle_stage: str | None,
        artifact_uri: str | None,
        run_name: str | None,
    ) -> None:
        self.run_id = run_id
        self.experiment_id = experiment_id
        self.user_id = user_id
        self.status = status
        self.start_time = start_time
        self.end_time = end_time
        self.lifecycle_stage = lifecycle_stage
        self.artifact_uri = artifact_uri
        self.run_name = run_name
        self.__class__ = RunInfo


class make_data(_Unlocked, RunData):
    """Make a `RunData` of dictionaries, which become its own."""

    __slots__ = ()

    def __init__(self: Any, metrics: dict[str, float], params: dict[str, str], tags: dict[str, str]) -> None:
        self.metrics = metrics
        self.params = params
        self.tags = tags
        self.__class__ = RunData


class make_run(_Unlocked, Run):
    """Make a `Run`."""

    __slots__ = ()

    def __init__(self: Any, info: RunInfo, data: RunData, inputs: Any, outputs: Any) -> None:
        self.info = info
        self.data = data
        self._inputs = inputs
        self._outputs = outputs
        self.__class__ = Run


class make_point(_Unlocked, Metric):
    """Make a `Metric` that belongs to no model and no dataset."""

    __slots__ = ()

    def __init__(self: Any, key: str, value: float, timestamp: int, step: int) -> None:
        self.key = key
        self.value = value
        self.timestamp = timestamp
        self.step = step
        self.model_id = self.dataset_name = self.dataset_digest = self.run_id = None
        self.__class__ = Metric
