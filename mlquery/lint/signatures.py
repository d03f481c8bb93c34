"""The searches of MLflow: what they search, in which order they take their arguments, and how many results they give.

**Source**: the signatures of MLflow 3.17 and what it refuses; `MlflowClient` passes `max_results` to the store, and the
functions of `mlflow` read pages until they have as many.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mlquery.language.plan import Entity
from mlquery.query.registry import MOST_MODELS, MOST_VERSIONS

_MOST_RUNS = 50_000


@attrs.frozen
class Search:
    """One search as a function or a method.

    Attributes:
        entity: What is searched; None for logged models, whose filters are another language.
        parameters: The positional parameters, without `self`.
        least: The least `max_results` that is accepted, None if there is none.
        most: The greatest.
    """

    entity: Entity | None
    parameters: tuple[str, ...]
    least: int | None = None
    most: int | None = None


_EXPERIMENTS = ("view_type", "max_results", "filter_string", "order_by")
_RUNS = ("experiment_ids", "filter_string", "run_view_type", "max_results", "order_by")
_MODELS = ("max_results", "filter_string", "order_by")
_LOGGED = ("experiment_ids", "filter_string", "datasets", "max_results", "order_by")
_OF_CLIENT = ("filter_string", "max_results", "order_by", "page_token")

OF_MODULE: Mapping[str, Search] = {
    "search_runs": Search(Entity.RUN, _RUNS),
    "search_experiments": Search(Entity.EXPERIMENT, _EXPERIMENTS),
    "search_registered_models": Search(Entity.REGISTERED_MODEL, _MODELS),
    "search_model_versions": Search(Entity.MODEL_VERSION, _MODELS),
    "search_logged_models": Search(None, _LOGGED),
}
OF_CLIENT: Mapping[str, Search] = {
    "search_runs": Search(Entity.RUN, (*_RUNS, "page_token"), 1, _MOST_RUNS),
    "search_experiments": Search(Entity.EXPERIMENT, (*_EXPERIMENTS, "page_token"), 1, _MOST_RUNS),
    "search_registered_models": Search(Entity.REGISTERED_MODEL, _OF_CLIENT, None, MOST_MODELS),
    "search_model_versions": Search(Entity.MODEL_VERSION, _OF_CLIENT, 1, MOST_VERSIONS),
    "search_logged_models": Search(None, (*_LOGGED, "page_token")),
}
REMOVED: Mapping[str, str] = {
    "list_experiments": "search_experiments",
    "list_registered_models": "search_registered_models",
    "list_run_infos": "search_runs",
}
"""Calls that MLflow 2.0 removed, and what replaced them."""
