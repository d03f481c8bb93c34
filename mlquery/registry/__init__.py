"""The model registry in memory: registered models, their versions, aliases, tags and stages.

It depends on no query and no dialect: `mlquery.query.registry` searches it, `mlquery.backend` serves it.
"""

from mlquery.registry.registry import Registry

__all__ = ["Registry"]
