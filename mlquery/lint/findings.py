"""What is found in a program: a rule, where, in which dialects, and what to write instead."""

from __future__ import annotations

import attrs

from mlquery.language.rules import Rule


@attrs.frozen
class Edit:
    """A part of a source that is to be replaced."""

    start: int
    stop: int
    replacement: str


@attrs.frozen
class Finding:
    """One finding in a source.

    Attributes:
        rule: What was found.
        message: What is so here, without the names of the dialects.
        start: Where it begins in the source, in characters, and `stop` where it ends.
        dialects: The dialects that it holds for; empty if it holds for all.
        suggestion: What to write instead.
        feature: The row of the support matrix that decided.
        edit: How the source is fixed, if that is certain.
        call: Where the call is.
    """

    rule: Rule
    message: str
    start: int
    stop: int
    dialects: tuple[str, ...] = ()
    suggestion: str | None = None
    feature: str | None = None
    edit: Edit | None = None
    call: tuple[int, int] = (0, 0)

    @property
    def sentence(self) -> str:
        """Return the message with the feature and the dialects that it is about."""
        feature = f" [{self.feature}]" if self.feature else ""
        dialects = f" ({', '.join(self.dialects)})" if self.dialects else ""
        return f"{self.message}{feature}{dialects}"


def merged(found: list[Finding]) -> list[Finding]:
    """Return findings in the order of the source, those that are alike in several dialects once."""
    alike: dict[tuple[str, int, int, str], Finding] = {}
    for finding in found:
        key = (finding.rule.code, finding.start, finding.stop, finding.message)
        known = alike.get(key)
        if known is None:
            alike[key] = finding
        else:
            names = dict.fromkeys((*known.dialects, *finding.dialects))
            alike[key] = attrs.evolve(known, dialects=tuple(names), edit=known.edit or finding.edit)
    return sorted(alike.values(), key=lambda one: (one.start, one.stop, one.rule.code))
