"""Turns reports into JSON lines and back: `report`, `case` and `feature` lines, and one of `totals` for each report.

Only the `report` and `case` lines are read back; the others are derived from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from mlquery.conformance.report import KnownDeviation, Report, Row


def write_jsonl(reports: Iterable[Report]) -> Iterator[str]:
    """Yield the lines, without line breaks."""
    for report in reports:
        document = report.as_document()
        yield _line("report", {name: value for name, value in document.items() if name != "rows"})
        yield from (_line("case", attrs.asdict(row)) for row in report.rows)
        yield from (_line("feature", attrs.asdict(verdict)) for verdict in report.features)
        yield _line("totals", report.totals)


def read_jsonl(lines: Iterable[str]) -> list[Report]:
    """Return the reports in the lines of a file.

    Raises:
        ValueError: a line is not what `write_jsonl` writes; the message names it.
    """
    headers: list[dict[str, Any]] = []
    rows: list[list[Row]] = []
    for number, line in enumerate(lines, start=1):
        try:
            content: dict[str, Any] = json.loads(line)
            match content.pop("kind"):
                case "report":
                    headers.append(content)
                    rows.append([])
                case "case" if rows:
                    rows[-1].append(_row(content))
                case "feature" | "totals" if rows:
                    pass
                case kind:
                    raise ValueError(f"kind {kind!r} is unknown, or comes before any report")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"line {number} is not a line of a report: {error}") from None
    return [_report(header, found) for header, found in zip(headers, rows, strict=True)]


def _line(kind: str, content: Any) -> str:
    return json.dumps({"kind": kind, **content}, ensure_ascii=False)


def _row(row: dict[str, Any]) -> Row:
    return Row(**{**row, "features": tuple(row["features"]), "details": tuple(row["details"])})


def _report(header: dict[str, Any], rows: list[Row]) -> Report:
    known_deviations = tuple(KnownDeviation(**deviation) for deviation in header.pop("tweaks"))
    return Report(**header, rows=tuple(rows), known_deviations=known_deviations)
