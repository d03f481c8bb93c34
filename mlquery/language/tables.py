"""Write the support matrix as a table in Markdown, CSV or JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from mlquery.errors import INVALID_PARAMETER_VALUE
from mlquery.language.features import Cell, Feature
from mlquery.language.matrix import Matrix

_MARKS = {"yes": "✓", "no": "–", "silent": "?"}
_LETTERS = {1: "a", 2: "b"}
_CONFIDENCE_MARKS = {"inferred": "ⁱ", "observed": "ᵒ"}


def to_markdown(matrix: Matrix) -> str:
    """Return the matrix as a Markdown table; the note and the exceptions of a cell are numbered below it.

    The rows of the Azure page have its wording and its footnotes, as letters.
    """
    notes: list[str] = []
    lines = [_row("Feature", *matrix.dialects), _row("---", *(":-:" for _ in matrix.dialects))]
    for feature in matrix.features:
        cells = (_mark(feature, name, notes) for name in matrix.dialects)
        lines.append(_row(f"{_titled(feature)} `{feature.id}`", *cells))
    shown = {feature.footnote for feature in matrix.features}
    legend = "✓ yes · – no · ? no source says: accepted with a warning · ᵒ observed · ⁱ inferred"
    footnotes = " · ".join(f"({_LETTERS[n]}) {footnote}" for n, footnote in matrix.footnotes.items() if n in shown)
    lines += ["", legend, *(["", f"Footnotes of the page: {footnotes}"] if footnotes else []), ""]
    return "\n".join([*lines, *(f"{i}. {note}" for i, note in enumerate(notes, 1))]) + "\n"


def to_csv(matrix: Matrix) -> str:
    """Return one line for each feature, dialect and exception."""
    out = io.StringIO()
    rows = list(_records(matrix))
    from csv import DictWriter  # few callers need it

    writer = DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def to_json(matrix: Matrix) -> str:
    """Return the dialects, the sources and one record for each feature, dialect and exception."""
    dialects = {name: {"title": d.title, "summary": d.summary} for name, d in matrix.dialects.items()}
    data = {
        "dialects": dialects,
        "sources": dict(matrix.sources),
        "footnotes": {str(number): footnote for number, footnote in matrix.footnotes.items()},
        "cells": list(_records(matrix)),
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _titled(feature: Feature) -> str:
    letter = f" <sup>{_LETTERS[feature.footnote]}</sup>" if feature.footnote else ""
    return (feature.page or feature.title).replace("|", r"\|") + letter


def _mark(feature: Feature, dialect: str, notes: list[str]) -> str:
    cell = feature.cells[dialect]
    mark = _MARKS[cell.state] + _CONFIDENCE_MARKS.get(cell.confidence, "") + _code(cell)
    return f"{mark} <sup>{_note(cell, notes)}</sup>" if cell.exceptions or cell.note else mark


def _code(cell: Cell) -> str:
    """Return the error code of a refusal if it is not the usual one."""
    return f" `{cell.error_code}`" if cell.state == "no" and cell.error_code != INVALID_PARAMETER_VALUE else ""


def _note(cell: Cell, notes: list[str]) -> int:
    """Return the number of the note of a cell, which lists its exceptions, too."""
    exceptions = "; ".join(_exception(pattern.wanted, other) for pattern, other in cell.exceptions)
    note = " ".join(filter(None, (exceptions, cell.note)))
    if note not in notes:
        notes.append(note)
    return notes.index(note) + 1


def _exception(wanted: Iterable[tuple[str, tuple[Any, ...]]], cell: Cell) -> str:
    uses = ", ".join(f"{name} {' or '.join(map(str, values))}" for name, values in wanted)
    verdict = {"yes": "yes", "no": "no", "silent": "no source says"}[cell.state] + _code(cell)
    return f"{uses}: {verdict} ({cell.confidence}, {cell.source}, {cell.date}{f': {cell.note}' if cell.note else ''})"


def _records(matrix: Matrix) -> Iterator[dict[str, str]]:
    for feature in matrix.features:
        for dialect in matrix.dialects:
            cell = feature.cells[dialect]
            yield _record(feature, dialect, "", cell)
            for pattern, other in cell.exceptions:
                uses = "; ".join(f"{name}={'|'.join(map(str, values))}" for name, values in pattern.wanted)
                yield _record(feature, dialect, uses, other)


def _record(feature: Feature, dialect: str, exception: str, cell: Cell) -> dict[str, str]:
    return {
        "feature": feature.id,
        "title": feature.title,
        "page_row": feature.page or "",
        "page_footnote": str(feature.footnote or ""),
        "dialect": dialect,
        "exception": exception,
        "supported": cell.state,
        "confidence": cell.confidence,
        "source": cell.source,
        "date": cell.date,
        "note": cell.note or feature.note or "",
    }
