"""Makes entities of this package of whatever has their shape: MLflow's own entities, or what `mlflow.data` makes."""

from __future__ import annotations

from typing import Any

from mlquery.entities import Dataset, DatasetInput, InputTag


def own_dataset_input(dataset_input: Any) -> DatasetInput:
    """Return a dataset input as an entity of this package."""
    tags = [InputTag(tag.key, tag.value) for tag in dataset_input.tags or ()]
    return DatasetInput(own_dataset(dataset_input.dataset), tags)


def own_dataset(dataset: Any) -> Dataset:
    """Return a dataset as an entity of this package: from an entity, or from what `mlflow.data` makes."""
    if hasattr(dataset, "_to_mlflow_entity"):
        dataset = dataset._to_mlflow_entity()
    return Dataset(dataset.name, dataset.digest, dataset.source_type, dataset.source, dataset.schema, dataset.profile)


def string_in_column(value: Any) -> Any:
    """Return what a column of strings in SQLite makes of a number; anything else is left for the store to check."""
    if isinstance(value, bool):
        return str(int(value))
    return str(value) if isinstance(value, int | float) else value
