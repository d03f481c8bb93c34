"""Reads the filter of a search for logged models with MLflow's own reader, so that both accept the same strings.

MLflow's reader needs SQLAlchemy, which `mlflow-skinny` does not bring; without it the reader of this package does.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlflow.exceptions import MlflowException

from mlquery.errors import INTERNAL_ERROR, StoreError
from mlquery.query.logged_models import ModelTest
from mlquery.query.logged_models import read_filter as read_filter_here


def read_filter(filter_string: str | None) -> Sequence[ModelTest]:
    """Return what a filter asks.

    Raises:
        MlflowException, StoreError: it is not one that MLflow takes.
    """
    try:
        from mlflow.utils.search_logged_model_utils import parse_filter_string
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
        return read_filter_here(filter_string)
    try:
        found = parse_filter_string(filter_string)
    except MlflowException:
        raise
    except Exception as error:
        raise StoreError(str(error), INTERNAL_ERROR) from error
    return [ModelTest(one.entity.type.value, one.entity.key, one.op, one.value) for one in found]
