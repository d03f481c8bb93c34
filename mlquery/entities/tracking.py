"""What a store returns: experiments, runs and their parts, as values with MLflow's names and shapes.

Entities do not depend on how they are stored. Times are integer milliseconds since the Unix epoch, UTC. Every entity is
a snapshot: later writes to the store do not change it.

**Source** of names, constructor arguments, `to_dictionary()` and `repr()`: `mlflow.entities` of MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol, Self, TypeVar, cast

import attrs

from mlquery.errors import invalid_parameter

T = TypeVar("T")


class KeyValue(Protocol):
    """A tag, a param or a metric, of ours or of MLflow's."""

    @property
    def key(self) -> str:
        """Return the name."""

    @property
    def value(self) -> Any:
        """Return the string or the number."""


def _as_dict(items: Mapping[str, Any] | Iterable[KeyValue] | None) -> dict[str, Any]:
    """Return a dictionary; MLflow's constructors take lists of key-value objects, its attributes are dictionaries."""
    if type(items) is dict:
        return items
    if isinstance(items, Mapping):
        return dict(items)
    return {item.key: item.value for item in items or ()}


def _as_list(items: Iterable[Any] | None) -> list[Any]:
    return items if type(items) is list else list(items or ())


class Fields:
    """Gives an entity MLflow's iteration over (name, value) pairs, its `repr()` and `from_dictionary()`."""

    __slots__ = ()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter([(name, getattr(self, name)) for name in self._properties()])

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={_shown(value)}" for name, value in self)
        return f"<{type(self).__name__}: {fields}>"

    @classmethod
    def _properties(cls) -> list[str]:
        return sorted(field.name for field in attrs.fields(cls))  # type: ignore[arg-type]

    @classmethod
    def from_dictionary(cls, the_dict: Mapping[str, Any]) -> Self:
        """Build the entity from a dictionary, ignoring unknown keys."""
        names = cls._properties()
        return cls(**{key: value for key, value in the_dict.items() if key in names})


class FlatFields(Fields):
    """Gives an entity `to_dictionary()` too, with the values as they are."""

    __slots__ = ()

    def to_dictionary(self) -> dict[str, Any]:
        """Return all fields as a dictionary."""
        return attrs.asdict(self, recurse=False)  # type: ignore[arg-type]


def _shown(value: Any) -> str:
    from pprint import pformat  # costs a tenth of the start, and few entities are printed

    return repr(value) if isinstance(value, Fields) else pformat(value)


@attrs.frozen(repr=False)
class ExperimentTag(Fields):
    """A tag of an experiment."""

    key: str
    value: str


@attrs.frozen(repr=False)
class RunTag(Fields):
    """A tag of a run."""

    key: str
    value: str


@attrs.frozen(repr=False)
class InputTag(Fields):
    """A tag of a dataset input."""

    key: str
    value: str


@attrs.frozen(repr=False)
class Param(Fields):
    """A parameter of a run."""

    key: str
    value: str


@attrs.frozen(repr=False)
class Metric(FlatFields):
    """One logged value of a metric. Raises INVALID_PARAMETER_VALUE if only one of the dataset fields is given."""

    key: str
    value: float
    timestamp: int
    step: int
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    run_id: str | None = None

    def __attrs_post_init__(self) -> None:
        if (self.dataset_name is None) != (self.dataset_digest is None):
            raise invalid_parameter("Both dataset_name and dataset_digest must be provided if one is provided")

    @classmethod
    def from_dictionary(cls, the_dict: Mapping[str, Any]) -> Metric:
        """Build a metric; raise INVALID_PARAMETER_VALUE if key, value, timestamp or step is missing."""
        missing = [name for name in ("key", "value", "timestamp", "step") if name not in the_dict]
        if missing:
            raise invalid_parameter(f"Missing required keys {missing} in metric dictionary")
        return cls(**the_dict)


@attrs.frozen(repr=False)
class Dataset(FlatFields):
    """A dataset: its name, its version (`digest`) and where it came from."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


@attrs.frozen(repr=False)
class DatasetInput(Fields):
    """A dataset that a run read, with tags such as `mlflow.data.context`."""

    dataset: Dataset
    tags: list[InputTag] = attrs.field(default=None, converter=_as_list)

    def to_dictionary(self) -> dict[str, Any]:
        """Return the dataset and the tags as dictionaries."""
        return {"dataset": self.dataset.to_dictionary(), "tags": _as_dict(self.tags)}


@attrs.frozen(repr=False)
class RunInputs(Fields):
    """The datasets and logged models that a run read."""

    dataset_inputs: list[DatasetInput] = attrs.field(converter=_as_list)
    model_inputs: list[Any] = attrs.field(default=None, converter=_as_list)

    def to_dictionary(self) -> dict[str, Any]:
        """Return the inputs as dictionaries."""
        datasets = [dataset_input.to_dictionary() for dataset_input in self.dataset_inputs]
        return {"model_inputs": self.model_inputs, "dataset_inputs": datasets}


@attrs.frozen(repr=False)
class RunOutputs(Fields):
    """The logged models that a run wrote."""

    model_outputs: list[Any] = attrs.field(default=None, converter=_as_list)

    def to_dictionary(self) -> dict[str, Any]:
        """Return the outputs as dictionaries."""
        return {"model_outputs": [output.to_dictionary() for output in self.model_outputs]}


@attrs.frozen(repr=False)
class RunInfo(Fields):
    """The attributes of a run. `start_time` and `end_time` in ms UTC."""

    run_id: str
    experiment_id: str
    user_id: str
    status: str
    start_time: int
    end_time: int | None
    lifecycle_stage: str
    artifact_uri: str | None = None
    run_name: str | None = None


@attrs.frozen(repr=False)
class RunData(FlatFields):
    """Latest metric values, params and tags; the constructor takes dictionaries or lists of MLflow's objects."""

    metrics: dict[str, float] = attrs.field(default=None, converter=_as_dict)
    params: dict[str, str] = attrs.field(default=None, converter=_as_dict)
    tags: dict[str, str] = attrs.field(default=None, converter=_as_dict)


class _Empty:
    """Stands for empty inputs or outputs, which are built on first access."""


EMPTY: Final = _Empty()


@attrs.frozen(repr=False, eq=False)
class Run(Fields):
    """A run as it was when it was read."""

    info: RunInfo = attrs.field(alias="run_info")
    data: RunData = attrs.field(alias="run_data")
    _inputs: RunInputs | _Empty | None = attrs.field(default=None, alias="run_inputs")
    _outputs: RunOutputs | _Empty | None = attrs.field(default=None, alias="run_outputs")

    @property
    def inputs(self) -> RunInputs | None:
        """Return what the run read; its lists are the caller's own."""
        if isinstance(self._inputs, _Empty):
            object.__setattr__(self, "_inputs", RunInputs([], []))
        return cast(RunInputs | None, self._inputs)

    @property
    def outputs(self) -> RunOutputs | None:
        """Return what the run wrote; its list is the caller's own."""
        if isinstance(self._outputs, _Empty):
            object.__setattr__(self, "_outputs", RunOutputs([]))
        return cast(RunOutputs | None, self._outputs)

    @classmethod
    def _properties(cls) -> list[str]:
        return ["data", "info", "inputs", "outputs"]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Run) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.info)

    def to_dictionary(self) -> dict[str, Any]:
        """Return all parts that the run has as dictionaries."""
        parts = {"data": self.data, "inputs": self.inputs, "outputs": self.outputs}
        shown = {name: part.to_dictionary() for name, part in parts.items() if part}
        return {"info": dict(self.info), **shown}

    def _repr_html_(self) -> str:
        """Return the run as notebooks show it."""
        from mlquery.entities.html import run_html  # not needed to search

        return run_html(self)


@attrs.frozen(repr=False)
class Experiment(Fields):
    """An experiment as it was when it was read. `creation_time` and `last_update_time` in ms UTC."""

    DEFAULT_EXPERIMENT_NAME = "Default"

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str
    tags: dict[str, str] = attrs.field(default=None, converter=_as_dict)
    creation_time: int | None = None
    last_update_time: int | None = None
    workspace: str = "default"
    trace_location: None = None
    effective_trace_archival_retention: None = None

    def _repr_html_(self) -> str:
        """Return the experiment as notebooks show it."""
        from mlquery.entities.html import experiment_html

        return experiment_html(self)


@attrs.frozen(repr=False)
class FileInfo(Fields):
    """An artifact: a file with its size in bytes, or a directory with `file_size` None."""

    path: str
    is_dir: bool
    file_size: int | None


class PagedList(list[T]):
    """A list with the `token` of the next page, None on the last page.

    `total_count` is None: no search counts what it did not return.
    """

    def __init__(self, items: Iterable[T], token: str | None, total_count: int | None = None) -> None:
        super().__init__(items)
        self.token = token
        self.total_count = total_count

    def to_list(self) -> list[T]:
        """Return the items as an ordinary list."""
        return list(self)

    def _repr_html_(self) -> str:
        """Return the page as notebooks show it."""
        from mlquery.entities.html import page_html

        return page_html(self, self.token)
