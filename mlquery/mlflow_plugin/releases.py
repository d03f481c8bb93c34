"""What the installed MLflow has: features by the presence of a name, and one sentence where it lacks what is needed.

Nothing here imports MLflow, so that the sentence is said even where that import fails.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from inspect import signature
from typing import Any, Final

_OLDEST: Final = (2, 16)
REMEDY: Final = "pip install 'mlflow>=2.16,<4'"


@contextmanager
def supported_mlflow() -> Iterator[None]:
    """Import what needs MLflow in the body, and let it fail with a sentence that says which releases work.

    Raises:
        ImportError: MLflow is too old, or has no longer, or not yet, a name that the body needs.
    """
    version = installed_version()
    if _is_too_old(version):
        raise ImportError(
            f"MLflow {version} is too old for mlquery, which works with MLflow 2.16 and newer: {REMEDY}",
            name="mlflow",
        )
    try:
        yield
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f"mlquery does not work with MLflow {version} as it is installed ({error}): {REMEDY}, "
            "or get a newer mlquery",
            name="mlflow",
        ) from error


def require(owner: Any, *names: str) -> None:
    """Check that a module or a class of MLflow has names that the caller will use later.

    Raises:
        ImportError: One is missing.
    """
    for name in names:
        if not hasattr(owner, name):
            raise ImportError(f"{owner.__name__} has no {name}")


def takes(function: Callable[..., Any], argument: str) -> bool:
    """Tell whether a function or a class takes an argument of that name."""
    return argument in signature(function).parameters


def installed_version() -> str:
    """Return the version of MLflow, "" if it is not known."""
    version = getattr(sys.modules.get("mlflow"), "__version__", None)
    if isinstance(version, str):
        return version
    for name in ("mlflow-skinny", "mlflow"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


@cache
def _is_too_old(version: str) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return numbers is not None and tuple(map(int, numbers.groups())) < _OLDEST
