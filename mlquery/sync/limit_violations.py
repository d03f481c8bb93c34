"""Finds the parts of runs, models and experiments that exceed the limits of a target.

The limits are MLflow's own, narrowed by the target's column of the support matrix.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from mlquery.backend.service import limits_of
from mlquery.entities import DatasetInput, Experiment
from mlquery.errors import StoreError
from mlquery.language.matrix import MATRIX
from mlquery.store.limits import Limits
from mlquery.sync.content import Summary


@attrs.frozen
class TargetLimits:
    """What a target accepts.

    Attributes:
        limits: What MLflow checks, and what the target's dialect limits besides.
        supports_logged_models: Whether the dialect has logged models.
        supports_aliases: Whether it has aliases of registered models.
    """

    limits: Limits
    supports_logged_models: bool
    supports_aliases: bool = True


@attrs.frozen
class LimitViolation:
    """A part of a run, model or experiment (`owner`) that exceeds a limit: its size, and the largest size allowed."""

    owner: str
    part: str
    size: int
    limit: int

    def __str__(self) -> str:
        return f"{self.owner}: {self.part}: {self.size}, at most {self.limit}"


def target_limits(uri: str, dialect_name: str | None = None) -> TargetLimits:
    """Return what a target accepts in a dialect, by default that of the kind of its URI."""
    dialect = MATRIX.dialect(dialect_name) if dialect_name else MATRIX.dialect_of_uri(uri)
    supports_logged_models = "logged_models" not in dialect.service.get("missing", {})
    try:
        dialect.require_call("set_registered_model_alias", "registered_model")
        supports_aliases = "aliases" not in dialect.service.get("missing", {})
    except StoreError:
        supports_aliases = False
    return TargetLimits(limits_of(dialect), supports_logged_models, supports_aliases)


def violations_of_experiment(found: Experiment, allowed: TargetLimits) -> Iterator[LimitViolation]:
    """Yield the parts of an experiment that exceed a limit."""
    owner, limits = f"experiment {found.name!r}", allowed.limits
    if len(found.name) > limits.experiment_name:
        yield LimitViolation(owner, "characters of its name", len(found.name), limits.experiment_name)
    yield from _long_strings(owner, "tag", found.tags, limits.experiment_tag_key, limits.experiment_tag_value)


def violations_of_run(run: Summary, allowed: TargetLimits) -> Iterator[LimitViolation]:
    """Yield the parts of a run that exceed a limit."""
    owner, limits = f"run {run.info.run_id}", allowed.limits
    if limits.params_per_run is not None and len(run.params) > limits.params_per_run:
        yield LimitViolation(owner, "params", len(run.params), limits.params_per_run)
    if limits.tags_per_run is not None and len(run.tags) > limits.tags_per_run:
        yield LimitViolation(owner, "tags", len(run.tags), limits.tags_per_run)
    yield from _long_strings(owner, "param", run.params, limits.key, limits.param_value)
    yield from _long_strings(owner, "tag", run.tags, *_tag_lengths(limits))
    for key in run.latest:
        if len(key) > limits.key:
            yield LimitViolation(owner, f"characters in the name of metric {_short(key)!r}", len(key), limits.key)
    for found in run.inputs:
        yield from _long_dataset(owner, found, limits)


def within_limits(run: Summary, allowed: TargetLimits) -> Summary:
    """Return a run without the parts that exceed a limit; of too many params or tags, the first stay."""
    limits = allowed.limits
    params = _within(run.params, limits.key, limits.param_value, limits.params_per_run)
    tags = _within(run.tags, *_tag_lengths(limits), limits.tags_per_run)
    inputs = [found for found in run.inputs if not any(_long_dataset("", found, limits))]
    latest = {key: point for key, point in run.latest.items() if len(key) <= limits.key}
    return attrs.evolve(run, params=params, tags=tags, inputs=tuple(inputs), latest=latest)


def _tag_lengths(limits: Limits) -> tuple[int, int]:
    """Return the maximum lengths of the key and the value of a run's tag."""
    return limits.run_tag_key or limits.key, limits.run_tag_value or limits.tag_value


def _within(strings: dict[str, str], key_limit: int, value_limit: int, most: int | None) -> dict[str, str]:
    fitting = [(key, value) for key, value in strings.items() if len(key) <= key_limit and len(value) <= value_limit]
    # MLflow's own tags name the user and the parent of the run: they are kept first.
    fitting.sort(key=lambda item: not item[0].startswith("mlflow."))
    return dict(fitting[:most])


def _long_strings(
    owner: str, kind: str, strings: dict[str, str], key_limit: int, value_limit: int
) -> Iterator[LimitViolation]:
    for key, value in strings.items():
        if len(key) > key_limit:
            yield LimitViolation(owner, f"characters in the name of {kind} {_short(key)!r}", len(key), key_limit)
        if len(value) > value_limit:
            yield LimitViolation(owner, f"characters in {kind} {_short(key)!r}", len(value), value_limit)


def _long_dataset(owner: str, found: DatasetInput, limits: Limits) -> Iterator[LimitViolation]:
    dataset, name = found.dataset, _short(found.dataset.name)
    for field in ("name", "digest", "source", "schema", "profile"):
        value, limit = getattr(dataset, field), getattr(limits, f"dataset_{field}")
        if value is not None and len(value) > limit:
            yield LimitViolation(owner, f"characters in the {field} of dataset {name!r}", len(value), limit)
    tags = {tag.key: tag.value for tag in found.tags}
    yield from _long_strings(owner, f"dataset {name!r}: tag", tags, limits.input_tag_key, limits.input_tag_value)


def _short(value: str) -> str:
    return value if len(value) <= 40 else value[:39] + "…"
