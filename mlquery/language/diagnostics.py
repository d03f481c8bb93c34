"""Collect the errors and warnings about a query while it is resolved, checking its uses against the support matrix."""

from __future__ import annotations

from typing import Any

import attrs

from mlquery.errors import Code, Diagnostic, Span, Stage
from mlquery.language.features import Use
from mlquery.language.matrix import Dialect
from mlquery.language.plan import Entity

TEMPORARILY_UNAVAILABLE = "TEMPORARILY_UNAVAILABLE"
_READ_WITH_THE_VALUE = ("IN", "NOT IN", "IS NULL", "IS NOT NULL", "BETWEEN")


@attrs.define
class Diagnostics:
    """The errors and warnings found so far, and the argument that is being resolved."""

    dialect: Dialect
    entity: Entity
    argument: str = "filter_string"
    source: str = ""
    errors: list[Diagnostic] = attrs.field(factory=list)
    warnings: list[Diagnostic] = attrs.field(factory=list)

    def for_argument(self, argument: str, source: str) -> Diagnostics:
        """Return the diagnostics of another argument, which are added to the same lists."""
        return attrs.evolve(self, argument=argument, source=source)

    def error(self, code: Code, message: str, span: Span, **details: Any) -> None:
        """Add an error."""
        self.errors.append(self._diagnostic(code, message, span, details))

    def warn(self, code: Code, message: str, span: Span, **details: Any) -> None:
        """Add a warning about a query that is accepted."""
        self.warnings.append(self._diagnostic(code, message, span, {**details, "severity": "warning"}))

    def too_large(self, message: str) -> None:
        """Add the error about a query that is too large for the database."""
        span = Span(0, len(self.source))
        self.error("unsupported", message, span, error_code=TEMPORARILY_UNAVAILABLE, stage="running")

    def check(self, use: Use, span: Span, label: str = "", **placeholders: str) -> None:
        """Add what the matrix says against a use; `label` is the field as users write it."""
        verdict = self.dialect.verdict(use)
        if verdict is None or verdict.state == "yes":
            return
        name, feature = self.dialect.name, verdict.feature
        what = f"this: {feature.title[0].lower()}{feature.title[1:]}"
        if verdict.is_exception and use.op:
            what = f"{use.op} on {use.key or f'{use.kind}s'}"
        details: dict[str, Any] = {
            "feature": feature.id,
            "suggestion": _filled(feature.instead, label, placeholders),
        }
        if verdict.state == "no":
            details |= {
                "service_message": self.service_message(verdict.cell.message, use),
                "verbatim": verdict.cell.verbatim,
                "error_code": verdict.cell.error_code,
                "stage": self._stage_of(use),
            }
            self.error("unsupported", f"{name} does not support {what}", span, **details)
        else:
            self.warn("unsupported", f"no source says whether {name} supports {what}", span, **details)

    def service_message(self, template_name: str | None, use: Use) -> str | None:
        """Return the service's message about a refused use; None if the dialect does not emulate a service."""
        template = self.dialect.messages.get(template_name or "")
        kind = {"param": "Parameter"}.get(use.kind or "", (use.kind or "").title())
        return template.format(op=use.op, kind=kind, source=self.source) if template else None

    def _stage_of(self, use: Use) -> Stage:
        """Return when MLflow meets a use that it refuses: it compares plain operators after it has read all clauses."""
        if use.clause == "order":
            return "ordering"
        is_plain = use.clause == "filter" and use.op is not None and use.op not in _READ_WITH_THE_VALUE
        return "comparing" if is_plain else "reading"

    def _diagnostic(self, code: Code, message: str, span: Span, details: dict[str, Any]) -> Diagnostic:
        if self.argument.startswith("order_by"):
            details = {"stage": "ordering", **details}
        return Diagnostic(code, message, self.argument, self.source, span, dialect=self.dialect.name, **details)


def _filled(instead: str | None, label: str, placeholders: dict[str, str]) -> str | None:
    """Return the suggestion with its placeholders replaced by parts of the query."""
    if instead is None:
        return None
    key = (label.partition(".")[2] or label).strip("`")
    for name, value in {"field": label, "key": key, **placeholders}.items():
        instead = instead.replace(f"<{name}>", value) if value else instead
    return instead
