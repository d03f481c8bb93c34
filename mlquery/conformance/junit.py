"""Turns reports into JUnit XML, which CI servers read: a suite for each report, a class for each topic."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from mlquery.conformance.report import Report, Row


def render_junit(reports: Sequence[Report]) -> str:
    """Return one document."""
    top = ElementTree.Element("testsuites", name="mlquery conformance")
    for report in reports:
        top.append(_suite(report))
    ElementTree.indent(top)
    return ElementTree.tostring(top, encoding="unicode", xml_declaration=True)


def _suite(report: Report) -> ElementTree.Element:
    totals = report.totals
    suite = ElementTree.Element(
        "testsuite",
        name=f"{report.product} {report.version} in dialect {report.dialect}",
        timestamp=report.date.removesuffix("Z"),
        tests=str(len(report.rows)),
        failures=str(totals["fail"]),
        errors=str(totals["errored"]),
        skipped=str(totals["skipped"]),
    )
    properties = ElementTree.SubElement(suite, "properties")
    entries = {"target": report.target, "suite": report.suite, "dialect": report.dialect}
    entries |= {
        f"known deviation {number}": f"{t.what} – {t.reason} {t.link}"
        for number, t in enumerate(report.known_deviations, start=1)
    }
    for name, value in entries.items():
        ElementTree.SubElement(properties, "property", name=name, value=_escaped(value))
    suite.extend(_case(row) for row in report.rows)
    return suite


def _case(row: Row) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=row.topic, name=row.case)
    tag = {"fail": "failure", "errored": "error", "skipped": "skipped"}.get(row.outcome)
    if tag is not None:
        first, *_ = row.details or ("",)
        result = ElementTree.SubElement(case, tag, message=_escaped(first))
        result.text = _escaped("\n".join((row.title, row.query, *row.details)))
    return case


def _escaped(string: str) -> str:
    """Return a string in which the characters that XML cannot hold are escaped."""
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in string)
