"""The model registry in memory: registered models, their versions, aliases, tags and stages, and searches over them.

`Registry` keeps them and knows no text of queries and no dialect; `RegistryClient` answers in one dialect.
"""

from mlquery.registry.client import RegistryClient
from mlquery.registry.entities import ModelVersion, RegisteredModel
from mlquery.registry.registry import Registry
from mlquery.registry.search import search_model_versions, search_registered_models

__all__ = [
    "ModelVersion",
    "RegisteredModel",
    "Registry",
    "RegistryClient",
    "search_model_versions",
    "search_registered_models",
]
