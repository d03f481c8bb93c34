"""Shows entities in notebooks: small tables in HTML, with all strings escaped, without scripts and without network.

Strings are shown whole, in boxes that scroll; a bidirectional one cannot turn what is around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from mlquery.entities.times import shown_time

_STYLE: Final = (
    ".mlquery table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    ".mlquery th,.mlquery td{border:1px solid #8886;padding:.2em .6em;text-align:left;vertical-align:top}"
    ".mlquery td.number{text-align:right}"
    ".mlquery div{max-height:6em;max-width:30em;overflow:auto;overflow-wrap:anywhere;white-space:pre-wrap}"
    ".mlquery caption,.mlquery summary{font-weight:bold;text-align:left;padding:.3em 0}"
    ".mlquery p{margin:.3em 0}"
)
_MOST_ROWS: Final = 50
_MOST_KEYS: Final = 100


class Raw(str):
    """A string that is HTML already."""


def document(*parts: str) -> str:
    """Return parts of HTML as one element with its style."""
    return f'<div class="mlquery-output"><style>{_STYLE}</style><div class="mlquery">{"".join(parts)}</div></div>'


def shown(value: object) -> str:
    """Return a value as HTML: strings escaped and with dots for what is no character, numbers to six digits."""
    if isinstance(value, Raw):
        return value
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    clean = "".join(c if c.isprintable() or c in "\n\t\u200e\u200f" else "\N{MIDDLE DOT}" for c in str(value))
    return f"<bdi>{escape(clean)}</bdi>"


def paragraph(value: object) -> str:
    """Return a value as a paragraph."""
    return f"<p>{shown(value)}</p>"


def preformatted(value: object) -> str:
    """Return a value whose lines and spaces stay as they are."""
    return f"<pre>{shown(value)}</pre>"


def table(header: Sequence[object], rows: Iterable[Sequence[object]], caption: object = None) -> str:
    """Return a table; the first cell of each row is its header."""
    head = "".join(f'<th scope="col">{_boxed(cell)}</th>' for cell in header)
    body = "".join(_row(row) for row in rows)
    title = "" if caption is None else f"<caption>{shown(caption)}</caption>"
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(cells: Sequence[object]) -> str:
    first, *rest = cells
    return f'<tr><th scope="row">{_boxed(first)}</th>{"".join(map(_cell, rest))}</tr>'


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return f'<td class="number">{shown(value)}</td>'
    return f"<td>{_boxed(value)}</td>"


def _boxed(value: object) -> str:
    content = shown(value)
    return content if isinstance(value, Raw) or len(content) < _MOST_KEYS else f"<div>{content}</div>"


def folded(title: object, content: str) -> str:
    """Return content that is shown when its title is clicked."""
    return f"<details><summary>{shown(title)}</summary>{content}</details>"


def _mapping(title: str, items: Mapping[str, Any]) -> str:
    if not items:
        return ""
    rows = sorted(items.items())
    more = paragraph(f"and {len(rows) - _MOST_KEYS} more") if len(rows) > _MOST_KEYS else ""
    return folded(f"{title} ({len(rows)})", table((title, "value"), rows[:_MOST_KEYS]) + more)


def run_html(run: Any) -> str:
    """Return a run: what is known of it, and its metrics, params and tags."""
    info, data = run.info, run.data
    about = [
        ("run_id", info.run_id),
        ("experiment_id", info.experiment_id),
        ("status", info.status if info.lifecycle_stage == "active" else f"{info.status}, {info.lifecycle_stage}"),
        ("start_time", shown_time(info.start_time)),
        ("end_time", shown_time(info.end_time)),
        ("user_id", info.user_id),
    ]
    parts = (_mapping(name, getattr(data, name)) for name in ("metrics", "params", "tags"))
    return document(table(("run", info.run_name or ""), about), *parts)


def experiment_html(experiment: Any) -> str:
    """Return an experiment: what is known of it, and its tags."""
    about = [
        ("experiment_id", experiment.experiment_id),
        ("lifecycle_stage", experiment.lifecycle_stage),
        ("artifact_location", experiment.artifact_location),
        ("creation_time", shown_time(experiment.creation_time)),
        ("last_update_time", shown_time(experiment.last_update_time)),
    ]
    return document(table(("experiment", experiment.name), about), _mapping("tags", experiment.tags))


def page_html(items: Sequence[Any], token: str | None) -> str:
    """Return one page of a search as a table: one row per item, as many as are read at a glance."""
    rows = [_cells(item) for item in items[:_MOST_ROWS]]
    names = list(dict.fromkeys(name for row in rows for name in row))[:_MOST_KEYS]
    left_out = len(items) - len(rows)
    notes = [f"{len(items)} on this page"]
    notes += [f"the first {len(rows)} are shown"] if left_out else []
    notes += ["there are more pages: see token"] if token else []
    shown_rows = [[row.get(name) for name in names] for row in rows]
    return document(table(names, shown_rows) if names else "", paragraph("; ".join(notes)))


def _cells(item: Any) -> dict[str, Any]:
    """Return the cells of an item by column."""
    data = getattr(item, "data", None)
    info = getattr(item, "info", None)
    if data is None or info is None:
        return _plain_cells(item)
    cells = {"run_name": info.run_name or "", "run_id": info.run_id, "status": info.status}
    cells["start_time"] = shown_time(info.start_time)
    cells |= {f"metrics.{key}": value for key, value in sorted(data.metrics.items())}
    cells |= {f"params.{key}": value for key, value in sorted(data.params.items())}
    cells |= {f"tags.{key}": value for key, value in sorted(data.tags.items()) if not key.startswith("mlflow.")}
    return cells


def _plain_cells(item: Any) -> dict[str, Any]:
    try:
        fields = dict(item)
    except (TypeError, ValueError):  # no entity
        return {type(item).__name__: item}
    return {name: _plain(name, value) for name, value in fields.items() if value not in (None, {}, [], ())}


def _plain(name: str, value: Any) -> Any:
    if name.endswith(("_time", "_timestamp")) and isinstance(value, int):
        return shown_time(value)
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return ", ".join(f"{key}={one}" for key, one in value.items()) if isinstance(value, dict) else value
