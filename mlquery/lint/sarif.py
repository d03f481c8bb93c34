"""Write findings as SARIF 2.1.0, the format in which GitHub and other services take the results of analyses.

Offsets are in characters of the file, so findings in notebooks have them too; lines of a cell are no lines of a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from mlquery.language.rules import Rule, rules
from mlquery.lint.findings import Edit, Finding
from mlquery.lint.linting import Linted

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_HELP = "https://github.com/mlquery/mlquery/blob/main/docs/reference/lint.md"


def as_sarif(linted: Sequence[Linted], version: str) -> Iterator[str]:
    """Yield a log with one run of this version of mlquery."""
    codes = list(rules())
    driver = {
        "name": "mlquery",
        "version": version,
        "informationUri": "https://github.com/mlquery/mlquery",
        "rules": [_rule(rule) for rule in rules().values()],
    }
    results = [_result(each, finding, codes) for each in linted for finding in each.findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    yield json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.what},
        "help": {"text": rule.fix},
        "helpUri": f"{_HELP}#{rule.code.lower()}",
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(linted: Linted, finding: Finding, codes: list[str]) -> dict[str, Any]:
    instead = f" Instead: {finding.suggestion}" if finding.suggestion else ""
    path = linted.path
    artifact = {"uri": path.as_uri() if path.is_absolute() else quote(path.as_posix())}
    result = {
        "ruleId": finding.rule.code,
        "ruleIndex": codes.index(finding.rule.code),
        "level": finding.rule.severity,
        "message": {"text": f"{finding.sentence}.{instead}"},
        "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": _region(linted, finding)}}],
    }
    edit = None if finding.edit is None else linted.document.in_file(finding.edit)
    if edit is not None:
        change = {"artifactLocation": artifact, "replacements": [_replacement(edit)]}
        result["fixes"] = [{"description": {"text": finding.rule.fix}, "artifactChanges": [change]}]
    return result


def _region(linted: Linted, finding: Finding) -> dict[str, int]:
    document = linted.document
    start, stop = document.position(finding.start), document.position(finding.stop)
    if start.cell is None:
        places = {"startLine": start.line, "startColumn": start.column, "endLine": stop.line}
        return {**places, "endColumn": stop.column}
    edit = document.in_file(Edit(finding.start, finding.stop, ""))
    offset = 0 if edit is None else edit.start
    line = document.text.count("\n", 0, offset) + 1
    return {"startLine": line, "charOffset": offset, "charLength": 0 if edit is None else edit.stop - edit.start}


def _replacement(edit: Edit) -> dict[str, Any]:
    deleted = {"charOffset": edit.start, "charLength": edit.stop - edit.start}
    return {"deletedRegion": deleted, "insertedContent": {"text": edit.replacement}}
