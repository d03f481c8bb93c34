"""Apply the edits of findings to a document, again and again until there is nothing left that is certain."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from mlquery.lint.documents import Document, UnreadableError
from mlquery.lint.findings import Edit
from mlquery.lint.linting import Linted

_MOST_ROUNDS = 10
Lint = Callable[[Document], Linted]


def fixed(linted: Linted, lint: Lint) -> tuple[Linted, int]:
    """Return a document without the findings that can be fixed, and how many were; nothing else is changed."""
    count = 0
    for _ in range(_MOST_ROUNDS):
        edits = _apart(_edits(linted))
        better = _better(linted, edits, lint)
        if better is None:
            return linted, count
        count += max(0, len(linted.findings) - len(better.findings))
        linted = better
    return linted, count


def _better(linted: Linted, edits: list[Edit], lint: Lint) -> Linted | None:
    """Return the document with edits applied: all of them, or else the first that alone makes it better."""
    for chosen in (edits, *([edit] for edit in edits)) if len(edits) > 1 else (edits,):
        if not chosen:
            return None
        try:
            changed = lint(linted.document.with_text(_applied(chosen, linted.document.text)))
            changed.document.encoded()
        except (UnreadableError, UnicodeEncodeError):  # what an escape stood for need not be in the encoding
            continue
        if len(changed.findings) < len(linted.findings):
            return attrs.evolve(changed, path=linted.path)
    return None


def _edits(linted: Linted) -> Iterable[Edit]:
    for finding in linted.findings:
        edit = None if finding.edit is None else linted.document.in_file(finding.edit)
        if edit is not None:
            yield edit


def _apart(edits: Iterable[Edit]) -> list[Edit]:
    """Return edits in order, of those that touch each other only the first."""
    kept: list[Edit] = []
    for edit in sorted(set(edits), key=lambda one: (one.start, one.stop)):
        if not kept or edit.start > kept[-1].stop:
            kept.append(edit)
    return kept


def _applied(edits: list[Edit], text: str) -> str:
    for edit in reversed(edits):
        text = text[: edit.start] + edit.replacement + text[edit.stop :]
    return text
