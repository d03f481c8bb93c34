"""Turn the fields of runs into tables of other libraries than pandas: pyarrow and polars, which are not required.

Unlike in MLflow's frame, a column has one type whatever is in it, what is missing is null, and NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

from mlquery.language.plan import FieldRef
from mlquery.query.columns import RunColumns, is_integer, is_string, is_time


def arrow_table(columns: RunColumns, fields: Mapping[str, FieldRef]) -> Any:
    """Return a table of pyarrow, of fields under their names: strings, doubles, integers, times in ms UTC."""
    arrow = _imported("pyarrow")
    return arrow.table({name: _arrow_array(arrow, columns, field) for name, field in fields.items()})


def polars_frame(columns: RunColumns, fields: Mapping[str, FieldRef]) -> Any:
    """Return a frame of polars, of fields under their names."""
    polars = _imported("polars")
    return polars.from_arrow(arrow_table(columns, fields))


FORMATS: Final[Mapping[str, Callable[[RunColumns, Mapping[str, FieldRef]], Any]]] = {
    "arrow": arrow_table,
    "polars": polars_frame,
}


def _arrow_array(arrow: Any, columns: RunColumns, field: FieldRef) -> Any:
    if is_time(field):
        times = columns.times(field.key).view("M8[ms]")  # of which a missing one is NaT
        return arrow.array(times, arrow.timestamp("ms")).cast(arrow.timestamp("ms", "UTC"))
    if is_string(field):
        return arrow.array(list(columns.strings(field, object)), arrow.string())
    values, known = columns.integers(field) if is_integer(field) else columns.floats(field)
    return arrow.array(values, mask=~known, from_pandas=False)


def _imported(name: str) -> ModuleType:
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModuleNotFoundError(f"this output format needs {name}: pip install {name}", name=name) from None
