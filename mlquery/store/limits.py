"""How long and how many: the limits a store enforces, as one value that knows no dialect."""

from __future__ import annotations

import os
from typing import Final

import attrs


@attrs.frozen
class Limits:
    """Lengths in characters, counts per call or per run; None means no limit, or none beyond MLflow's.

    `final_line_breaks` is how many a key or a run id may end in; `visible_in_experiment_name` how many characters of a
    name are at least no whitespace.

    **Source** of the defaults: `mlflow/utils/validation.py` of MLflow 3.18.
    """

    experiment_name: int = 500
    experiment_tag_key: int = 250
    experiment_tag_value: int = 20_000
    artifact_location: int = 2_048
    key: int = 250
    param_value: int = 6_000
    tag_value: int = 8_000
    metrics_per_batch: int = 1_000
    params_per_batch: int = 100
    tags_per_batch: int = 100
    entities_per_batch: int = 1_000
    values_per_metric_batch: int | None = None
    params_per_run: int | None = None
    tags_per_run: int | None = None
    run_tag_key: int | None = None
    run_tag_value: int | None = None
    colons_in_key: int | None = None
    final_line_breaks: int = 0
    visible_in_experiment_name: int = 1
    dataset_name: int = 500
    dataset_digest: int = 36
    dataset_source: int = 65_535
    dataset_schema: int = 1_048_575
    dataset_profile: int = 16_777_215
    input_tag_key: int = 255
    input_tag_value: int = 500


MLFLOW_LIMITS: Final = Limits()


def cuts_long_values() -> bool:
    """Return whether param and tag values that are too long are cut, with a warning, or refused.

    **Source**: MLflow's environment variable MLFLOW_TRUNCATE_LONG_VALUES, true by default, read at each call.
    """
    return os.environ.get("MLFLOW_TRUNCATE_LONG_VALUES", "true").lower() in ("true", "1")
