"""Reads the filter of a search for logged models with MLflow's own reader, so that both accept the same strings."""

from __future__ import annotations

from collections.abc import Sequence

from mlflow.exceptions import MlflowException

from mlquery.errors import INTERNAL_ERROR, StoreError
from mlquery.query.logged_models import ModelTest


def read_filter(filter_string: str | None) -> Sequence[ModelTest]:
    """Return what a filter asks.

    Raises:
        MlflowException, StoreError: it is not one that MLflow takes.
    """
    from mlflow.utils.search_logged_model_utils import parse_filter_string  # imports SQLAlchemy

    try:
        found = parse_filter_string(filter_string)
    except MlflowException:
        raise
    except Exception as error:
        raise StoreError(str(error), INTERNAL_ERROR) from error
    return [ModelTest(one.entity.type.value, one.entity.key, one.op, one.value) for one in found]
