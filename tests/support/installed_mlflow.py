"""Which column of the support matrix is about the MLflow that is installed beside the tests.

What is compared with the real MLflow answers in that column. A release between two columns is held against that of the
next newer one, and a release that is newer than all of them against the newest, which failures then say.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Final

from mlquery.backend.service import limits_of
from mlquery.language.matrix import DEFAULT_DIALECT, MATRIX, Dialect
from mlquery.store.limits import Limits


def version_of(name: str) -> tuple[int, int] | None:
    """Return the major and the minor version in the name of a release or of a column; None if there is none."""
    found = re.match(r"(?:\w+:)?(\d+)\.(\d+)", name)
    return (int(found[1]), int(found[2])) if found else None


def columns() -> dict[tuple[int, int], Dialect]:
    """Return the columns about releases of MLflow by their versions, oldest first."""
    names = {name: name for name in MATRIX.dialects} | dict.fromkeys(MATRIX.dialect(DEFAULT_DIALECT).aliases)
    found = {number: MATRIX.dialect(name) for name in names if (number := version_of(name)) is not None}
    return dict(sorted(found.items()))


def column_of(release: str) -> Dialect:
    """Return the column that a release is held against."""
    wanted = version_of(release)
    return next((column for number, column in columns().items() if wanted is None or wanted <= number), newest())


def newest() -> Dialect:
    """Return the column of the newest release that has one."""
    return list(columns().values())[-1]


def note_about(release: str) -> str | None:
    """Return what failures have to say about a release; None if its version has a column."""
    wanted, known = version_of(release), columns()
    if wanted is None or wanted in known:
        return None
    newest_known = ".".join(map(str, list(known)[-1]))
    if wanted > list(known)[-1]:
        return (
            f"MLflow {release} is installed, which is newer than {newest_known}, the newest release that the support "
            f"matrix knows. `python conformance/versions.py compare {release}` says what it changes."
        )
    return f"MLflow {release} is installed, which is held against the column {column_of(release).name!r}."


RELEASE: Final = version("mlflow")
INSTALLED: Final = column_of(RELEASE)
INSTALLED_LIMITS: Final[Limits] = limits_of(INSTALLED)
NOTE: Final = note_about(RELEASE)
