"""The rules by which queries are judged beyond what a dialect refuses: read `rules.toml`. Independent of queries.

A rule is data: its code, its name, what it finds and what to do. A code beginning with MLQ0 is about an error, one with
MLQ1 about a warning, one with MLQ2 about a note.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pkgutil import get_data

import attrs

from mlquery.errors import Code, Diagnostic, Severity

_SEVERITIES: dict[str, Severity] = {"MLQ0": "error", "MLQ1": "warning", "MLQ2": "note"}
_BY_ERROR: dict[Code, str] = {
    "syntax": "MLQ001",
    "unknown-field": "MLQ002",
    "wrong-type": "MLQ012",
    "unsupported": "MLQ007",
    "bad-page-token": "MLQ001",
}
_UNDOCUMENTED = "MLQ201"


@attrs.frozen
class Rule:
    """One rule: its code and name, what it finds, and what to do about it.

    Attributes:
        fixable: Whether the suggestion of a finding may replace what it underlines.
        about: "value" if a finding depends on the value that is compared or on a name, else "clause".
        features: The rows of the support matrix whose verdicts have the code of the rule.
        bad: An example in Python that has the finding and no other, in `dialect`.
        good: An example that has none.
    """

    code: str
    name: str
    what: str
    fix: str
    fixable: bool = False
    about: str = "clause"
    features: tuple[str, ...] = attrs.field(default=(), converter=tuple[str, ...])
    dialect: str = "oss"
    bad: str = ""
    good: str = ""

    @property
    def severity(self) -> Severity:
        """Return the severity of the findings."""
        return _SEVERITIES[self.code[:4]]


@cache
def rules() -> dict[str, Rule]:
    """Return all rules by their codes."""
    data = tomllib.loads((get_data(__package__, "rules.toml") or b"").decode("utf-8"))
    read = [Rule(**row) for row in data["rule"]]
    return {rule.code: rule for rule in read}


@cache
def _by_feature() -> dict[str, str]:
    return {feature: rule.code for rule in rules().values() for feature in rule.features}


def rule_of(diagnostic: Diagnostic) -> Rule:
    """Return the rule of a diagnostic: its own, that of its feature, or the general one of its kind."""
    code = diagnostic.rule or _by_feature().get(diagnostic.feature or "")
    if diagnostic.severity == "error":
        return rules()[code or _BY_ERROR[diagnostic.code]]
    return rules()[code if code is not None and rules()[code].severity != "error" else _UNDOCUMENTED]
