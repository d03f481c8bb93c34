"""Which libraries MLflow logs on its own (autologging): remembered and restored.

**Source**: `mlflow.utils.autologging_utils` and `mlflow.utils.import_hooks` of MLflow 3.17.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS
from mlflow.utils.autologging_utils.safety import revert_patches
from mlflow.utils.import_hooks import _post_import_hooks


def autologging_settings() -> dict[tuple[str, str], Any]:
    """Return what is on, by kind and name: integrations with their arguments, and libraries that wait for import."""
    found: dict[tuple[str, str], Any] = {
        ("autologging", name): dict(settings) for name, settings in AUTOLOGGING_INTEGRATIONS.items() if settings
    }
    found.update({("import hook", module): list(hooks) for module, hooks in _post_import_hooks.items() if hooks})
    return found


def put_autologging_setting(kind: str, name: str, value: Any) -> None:
    """Make one of these settings what it was, None for one that was not there."""
    if kind == "autologging":
        _restore(name, value or {})
    elif value is None:
        _post_import_hooks.pop(name, None)
    else:
        _post_import_hooks[name] = list(value)


class Autologging:
    """The state of autologging at the moment when this is made."""

    def __init__(self) -> None:
        self._settings: dict[str, dict[str, Any]] = dict(AUTOLOGGING_INTEGRATIONS)
        self._hooks = {module: list(hooks) for module, hooks in _post_import_hooks.items()}

    def restore(self) -> None:
        """Make autologging as it was; integrations that were on are switched on again with their arguments."""
        for name, settings in list(AUTOLOGGING_INTEGRATIONS.items()):
            before = self._settings.get(name, {})
            if settings is not before and settings != before:
                _restore(name, before)
        # Libraries that are not imported yet wait here for autologging; those that were, have an empty list.
        for module in [module for module, hooks in _post_import_hooks.items() if hooks]:
            if module in self._hooks:
                _post_import_hooks[module] = self._hooks[module]
            else:
                del _post_import_hooks[module]


def _restore(name: str, before: dict[str, Any]) -> None:
    if before and not before.get("disable"):
        import_module("mlflow" if name == "mlflow" else f"mlflow.{name}").autolog(**before)
    else:
        revert_patches(name)
    AUTOLOGGING_INTEGRATIONS[name] = before
