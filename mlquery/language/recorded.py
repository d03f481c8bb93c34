"""Reads a column of the support matrix that `mlquery conformance --record` wrote about a server.

The column has a base, from which it takes every cell that was not measured, its fields and its limits.
"""

from __future__ import annotations

import tomllib
from typing import Any

import attrs

from mlquery.errors import StoreError, invalid_parameter
from mlquery.language.features import Cell, Feature
from mlquery.language.matrix import MATRIX, Dialect

_STATES = ("yes", "no", "silent")


def recorded_dialect(written: str, name: str) -> Dialect:
    """Return the dialect of a recorded column.

    Args:
        written: The TOML of the column.
        name: Where it is from, for messages.

    Raises:
        StoreError: INVALID_PARAMETER_VALUE for what is not such a column.
    """
    try:
        data = tomllib.loads(written)
        ((column, about),) = data["dialect"].items()
        base = MATRIX.dialect(about["base"])
        cells = dict(data.get("cells", {}))
        defaults = dict(about["defaults"])
        features = tuple(_feature(feature, column, base.name, cells, defaults) for feature in base.features)
        title_and_summary = str(about["title"]), str(about["summary"])
    except (tomllib.TOMLDecodeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise _not_a_column(name, error) from None
    if unknown := [cell for cell, state in cells.items() if state not in _STATES]:
        raise _not_a_column(name, ValueError(f"the cell {unknown[0]!r} is neither yes nor no"))
    head, summary = title_and_summary
    return attrs.evolve(base, name=column, title=head, summary=summary, features=features, aliases=(), release=None)


def _feature(feature: Feature, column: str, base: str, cells: dict[str, Any], defaults: dict[str, Any]) -> Feature:
    cell = feature.cells[base]
    if feature.id in cells:
        cell = _measured(cell, cells[feature.id], defaults)
    return attrs.evolve(feature, cells={**feature.cells, column: cell})


def _measured(cell: Cell, state: Any, defaults: dict[str, Any]) -> Cell:
    if state == cell.state:
        return cell  # with its exceptions
    return attrs.evolve(cell, state=state, exceptions=(), **defaults)


def _not_a_column(name: str, error: Exception) -> StoreError:
    problem = f"{name} is not a column of the support matrix ({error})"
    return invalid_parameter(f"{problem}; instead: a file that mlquery conformance --record wrote")
