"""Turn a document into the findings about it: those of all its searches that are asked for and not silenced."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import attrs

from mlquery.language.matrix import Dialect
from mlquery.language.rules import rules
from mlquery.lint.calls import PACKAGES, find_calls
from mlquery.lint.documents import Document, UnreadableError
from mlquery.lint.findings import Finding, merged
from mlquery.lint.logged_keys import logged_keys
from mlquery.lint.queries import findings_of
from mlquery.lint.scopes import read_module
from mlquery.lint.signatures import OF_CLIENT, REMOVED

_NOQA = re.compile(r"#\s*noqa\b(?::\s*(?P<codes>[A-Z]+\d+(?:[,\s]+[A-Z]+\d+)*))?", re.IGNORECASE)
_SEARCHES = re.compile("|".join((*OF_CLIENT, *REMOVED)))
_PACKAGES = re.compile("|".join(PACKAGES))


@attrs.frozen
class Options:
    """What is asked for.

    Attributes:
        dialects: The dialects that queries are checked in.
        select: Beginnings of the codes to report; empty for all errors and warnings.
        ignore: Beginnings of codes that are not reported.
        is_strict: Whether notes are reported too.
    """

    dialects: tuple[Dialect, ...]
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    is_strict: bool = False

    def has(self, code: str) -> bool:
        """Tell whether findings of a rule are reported."""
        if code.startswith(self.ignore):
            return False
        if self.select:
            return code.startswith(self.select)
        return self.is_strict or rules()[code].severity != "note"


@attrs.frozen
class Linted:
    """A document and its findings, and how many searches are in it."""

    path: Path
    document: Document
    findings: tuple[Finding, ...]
    calls: int = 0


def lint(path: Path, document: Document, options: Options) -> Linted:
    """Return the findings about a document, in the order of its source.

    Raises:
        UnreadableError: its source is no Python.
    """
    text = document.source.text
    if not _PACKAGES.search(text) or not _SEARCHES.search(text):
        return Linted(path, document, ())
    try:
        found, calls = _found(document, options)
    except RecursionError:
        raise UnreadableError("it is nested too deeply") from None
    kept = tuple(finding for finding in merged(found) if not _is_silenced(finding, document))
    return Linted(path, document, kept, calls)


def _found(document: Document, options: Options) -> tuple[list[Finding], int]:
    """Return the findings that are asked for, and the number of searches."""
    module = read_module(_parsed(document))
    keys = logged_keys(document.source, module)
    found: list[Finding] = []
    calls = list(find_calls(document.source, module))
    for call in calls:
        span = call.place.start, call.place.stop
        found += (
            attrs.evolve(each, call=span)
            for each in findings_of(call, options.dialects, keys)
            if options.has(each.rule.code)
        )
    return found, len(calls)


def _parsed(document: Document) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that are invalid, which is not asked for
            return ast.parse(document.source.text)
    except SyntaxError as error:
        place = f" in line {error.lineno}" if error.lineno else ""
        raise UnreadableError(f"it is not Python{place}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise UnreadableError(f"it cannot be parsed: {str(error) or type(error).__name__}") from None


def _is_silenced(finding: Finding, document: Document) -> bool:
    """Tell whether a comment silences a finding: in its line, or in the first or the last one of its call."""
    first, last = finding.call
    offsets = {finding.start, max(finding.stop - 1, finding.start), first, max(last - 1, first)}
    return any(_silences(document.line_at(offset), finding.rule.code) for offset in offsets)


def _silences(line: str, code: str) -> bool:
    found = _NOQA.search(line)
    if found is None:
        return False
    codes: Sequence[str] = re.findall(r"[A-Z]+\d+", (found["codes"] or "").upper())
    return not codes or code in codes
