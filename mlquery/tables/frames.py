"""Turns a DataFrame of runs or of groups into plain values, and into strings for the cells of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlquery.tables.lines import one_line, shown_time

if TYPE_CHECKING:
    from mlquery.query.dataframe import DataFrame

_NS_PER_MS: Final = 1_000_000


def plain_values(frame: DataFrame) -> dict[str, list[Any]]:
    """Return plain values by column: None where one is missing, times in ms UTC."""
    return {str(name): [_plain(value) for value in frame[name].tolist()] for name in frame}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if str(value) in ("<NA>", "NaT"):
        return None
    if hasattr(value, "timestamp"):
        return _Time(value.value // _NS_PER_MS)
    return None if value != value else value


class _Time(int):
    """A time in ms UTC."""


def shown_value(value: Any) -> str:
    """Return the cell of a plain value."""
    match value:
        case None:
            return ""
        case _Time():
            return shown_time(value)
        case float():
            return f"{value:.6g}"
    return one_line(str(value))
