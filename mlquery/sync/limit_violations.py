"""Finds what a target does not take: parts of runs, models and experiments beyond its limits. Nothing is sent here.

The limits are those of MLflow itself, made narrower by the column of the support matrix that the target answers like.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from mlquery.entities import DatasetInput, Experiment
from mlquery.language.matrix import Dialect
from mlquery.store.limits import Limits
from mlquery.sync.content import Summary


@attrs.frozen
class TargetLimits:
    """What a target takes; None means as much as you like.

    Attributes:
        dialect: The column of the matrix.
        limits: What MLflow checks, and what the column says beyond that.
        keeps_models: Whether there are logged models.
    """

    dialect: str
    limits: Limits
    keeps_models: bool


@attrs.frozen
class Unfit:
    """A part that does not fit: of which run or experiment, what it is, how large it is and how large it may be."""

    owner: str
    part: str
    size: int
    limit: int

    def __str__(self) -> str:
        return f"{self.owner}: {self.part}: {self.size}, at most {self.limit}"


def limits_of(dialect: Dialect) -> TargetLimits:
    """Return what a target of a dialect takes."""
    keeps_models = "logged_models" not in dialect.service.get("missing", {})
    return TargetLimits(dialect.name, Limits(**dialect.enforced_limits), keeps_models)


def unfit_of_experiment(found: Experiment, at_most: TargetLimits) -> Iterator[Unfit]:
    """Yield the parts of an experiment that do not fit."""
    owner, limits = f"experiment {found.name!r}", at_most.limits
    if len(found.name) > limits.experiment_name:
        yield Unfit(owner, "characters of its name", len(found.name), limits.experiment_name)
    yield from _long_texts(owner, "tag", found.tags, limits.experiment_tag_key, limits.experiment_tag_value)


def unfit_of_run(run: Summary, at_most: TargetLimits) -> Iterator[Unfit]:
    """Yield the parts of a run that do not fit."""
    owner, limits = f"run {run.info.run_id}", at_most.limits
    if limits.params_per_run is not None and len(run.params) > limits.params_per_run:
        yield Unfit(owner, "params", len(run.params), limits.params_per_run)
    if limits.tags_per_run is not None and len(run.tags) > limits.tags_per_run:
        yield Unfit(owner, "tags", len(run.tags), limits.tags_per_run)
    yield from _long_texts(owner, "param", run.params, limits.key, limits.param_value)
    yield from _long_texts(owner, "tag", run.tags, *_tag_lengths(limits))
    for key in run.latest:
        if len(key) > limits.key:
            yield Unfit(owner, f"characters in the name of metric {_short(key)!r}", len(key), limits.key)
    for found in run.inputs:
        yield from _long_dataset(owner, found, limits)


def without_unfit(run: Summary, at_most: TargetLimits) -> Summary:
    """Return a run without the parts that do not fit, the first of them where there are too many."""
    limits = at_most.limits
    params = _fitting(run.params, limits.key, limits.param_value, limits.params_per_run)
    tags = _fitting(run.tags, *_tag_lengths(limits), limits.tags_per_run)
    inputs = [found for found in run.inputs if not any(_long_dataset("", found, limits))]
    latest = {key: point for key, point in run.latest.items() if len(key) <= limits.key}
    return attrs.evolve(run, params=params, tags=tags, inputs=tuple(inputs), latest=latest)


def _tag_lengths(limits: Limits) -> tuple[int, int]:
    """Return how long the key and the value of a run's tag may be."""
    return limits.run_tag_key or limits.key, limits.run_tag_value or limits.tag_value


def _fitting(texts: dict[str, str], key_limit: int, value_limit: int, most: int | None) -> dict[str, str]:
    fitting = [(key, value) for key, value in texts.items() if len(key) <= key_limit and len(value) <= value_limit]
    # MLflow's own tags say who made the run and whose child it is; they go first.
    fitting.sort(key=lambda item: not item[0].startswith("mlflow."))
    return dict(fitting[:most])


def _long_texts(owner: str, kind: str, texts: dict[str, str], key_limit: int, value_limit: int) -> Iterator[Unfit]:
    for key, value in texts.items():
        if len(key) > key_limit:
            yield Unfit(owner, f"characters in the name of {kind} {_short(key)!r}", len(key), key_limit)
        if len(value) > value_limit:
            yield Unfit(owner, f"characters in {kind} {_short(key)!r}", len(value), value_limit)


def _long_dataset(owner: str, found: DatasetInput, limits: Limits) -> Iterator[Unfit]:
    dataset, name = found.dataset, _short(found.dataset.name)
    for field in ("name", "digest", "source", "schema", "profile"):
        text, limit = getattr(dataset, field), getattr(limits, f"dataset_{field}")
        if text is not None and len(text) > limit:
            yield Unfit(owner, f"characters in the {field} of dataset {name!r}", len(text), limit)
    tags = {tag.key: tag.value for tag in found.tags}
    yield from _long_texts(owner, f"dataset {name!r}: tag", tags, limits.input_tag_key, limits.input_tag_value)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
