"""Write findings as text for people, as JSON or as annotations of GitHub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlquery.lint.documents import Document, Position
from mlquery.lint.findings import Finding
from mlquery.lint.linting import Linted

_WIDTH = 100
_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}


def as_text(linted: Sequence[Linted]) -> Iterator[str]:
    """Yield lines: where and what, the line with the part that it is about underlined, and what to write instead."""
    for each in linted:
        for finding in each.findings:
            place = _place(each.document.position(finding.start))
            yield f"{each.path}:{place}: {finding.rule.code} {_printable(finding.sentence)}"
            yield from _underlined(each.document, finding)
            if finding.suggestion:
                yield f"  instead: {_printable(finding.suggestion)}"


def as_json(linted: Sequence[Linted]) -> Iterator[str]:
    """Yield a list of findings as JSON."""
    found = [_entry(each, finding) for each in linted for finding in each.findings]
    yield json.dumps(found, indent=2, ensure_ascii=False)


def as_github(linted: Sequence[Linted]) -> Iterator[str]:
    """Yield a workflow command for each finding, which GitHub shows beside the line."""
    for each in linted:
        for finding in each.findings:
            start, stop = each.document.position(finding.start), each.document.position(finding.stop)
            instead = f"; instead: {finding.suggestion}" if finding.suggestion else ""
            cell = f"cell {start.cell}: " if start.cell is not None else ""
            place = {"file": each.path.as_posix(), "line": start.line, "endLine": stop.line, "title": finding.rule.code}
            if start.cell is not None:  # lines of a cell are no lines of the file
                place = {"file": each.path.as_posix(), "title": finding.rule.code}
            elif start.line == stop.line:
                place |= {"col": start.column, "endColumn": stop.column}
            properties = ",".join(f"{key}={_property(str(value))}" for key, value in place.items())
            level = _LEVELS[finding.rule.severity]
            yield f"::{level} {properties}::{_data(f'{cell}{finding.sentence}{instead}')}"


def _entry(linted: Linted, finding: Finding) -> Mapping[str, Any]:
    start, stop = linted.document.position(finding.start), linted.document.position(finding.stop)
    edit = None if finding.edit is None else linted.document.position(finding.edit.start)
    return {
        "path": linted.path.as_posix(),
        "cell": start.cell,
        "line": start.line,
        "column": start.column,
        "end_line": stop.line,
        "end_column": stop.column,
        "code": finding.rule.code,
        "name": finding.rule.name,
        "severity": finding.rule.severity,
        "message": finding.message,
        "feature": finding.feature,
        "dialects": list(finding.dialects),
        "instead": finding.suggestion,
        "is_fixable": edit is not None,
    }


def _place(position: Position) -> str:
    cell = "" if position.cell is None else f"cell {position.cell}:"
    return f"{cell}{position.line}:{position.column}"


def _underlined(document: Document, finding: Finding) -> Iterator[str]:
    line, column = document.line_at(finding.start), document.position(finding.start).column - 1
    first = max(0, column - _WIDTH // 2)
    window = line[first : first + _WIDTH]
    length = max(1, min(finding.stop - finding.start, len(window) - (column - first)))
    lead = "…" if first else ""
    yield f"    {lead}{_printable(window)}{'…' if first + _WIDTH < len(line) else ''}"
    yield f"    {' ' * (len(lead) + column - first)}{'^' * length}"


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{MIDDLE DOT}" for c in text)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
