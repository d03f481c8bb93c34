"""Imports the packages of the extra `compare` when they are first needed, or says how to install them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mlquery.errors import invalid_parameter


def require(module: str) -> Any:
    """Return a module of scipy or scikit-learn.

    Raises:
        StoreError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = {"sklearn": "scikit-learn"}.get(module.partition(".")[0], module.partition(".")[0])
        raise invalid_parameter(f"this needs {package}: pip install 'mlquery[compare]'") from error
