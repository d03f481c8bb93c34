"""The command `lint`: reads files, prints findings in a format, and writes fixes where they are asked for."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlquery.cli.options import add_choice, add_list
from mlquery.cli.outcomes import ACCEPTED, MISUSE, REFUSED, UsageError

if TYPE_CHECKING:
    from mlquery.language.matrix import Dialect
    from mlquery.lint.linting import Linted, Options

FORMATS = ("text", "json", "github", "sarif")
DEFAULT_DIALECT = "oss"


def add_command(names: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    about = "find the searches in Python files and notebooks that fail or silently match nothing"
    epilog = "Exit codes: 0 nothing found, 1 findings, 2 misuse or a file that cannot be read."
    command = names.add_parser("lint", help=about, epilog=epilog)
    paths = "files, or folders with Python files and notebooks; default: the current folder"
    command.add_argument("paths", metavar="PATH", nargs="*", default=["."], help=paths)
    add_list(command, "--dialect", "NAME", f"dialect to follow; default: {DEFAULT_DIALECT}; may be repeated")
    select = "rules to report, by code or its beginning; may be repeated; default: all but notes"
    add_list(command, "--select", "CODE[,CODE…]", select)
    add_list(command, "--ignore", "CODE[,CODE…]", "rules not to report; may be repeated")
    command.add_argument("--strict", action="store_true", help="report notes too")
    command.add_argument("--fix", action="store_true", help="fix what can be fixed with certainty, in the files")
    add_choice(command, "--format", FORMATS, "output format")
    command.set_defaults(command=lint)


def lint(options: argparse.Namespace) -> int:
    """Print what is found in files; with `--fix`, what is left after the files are fixed."""
    from mlquery.lint.files import files_in
    from mlquery.lint.linting import Options

    paths = [Path(path) for path in options.paths]
    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None:
        raise UsageError(f"{missing} does not exist")
    asked = Options(_dialects(options.dialect), _codes(options.select), _codes(options.ignore), options.strict)
    linted: list[Linted] = []
    files = fixed = 0
    with _without_collector():
        for path in files_in(paths):
            files += 1
            found = _linted(path, asked, options.fix)
            if found is not None:
                linted.append(found[0])
                fixed += found[1]
    for line in _written(linted, options.format):
        print(line)
    if options.format == FORMATS[0]:
        print(_summary(linted, fixed))
    if len(linted) < files:
        return MISUSE
    return REFUSED if any(each.findings for each in linted) else ACCEPTED


@contextmanager
def _without_collector() -> Iterator[None]:
    """Collect no cycles meanwhile: syntax trees have none, and looking for them takes a sixth of the time."""
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


def _linted(path: Path, asked: Options, is_fixing: bool) -> tuple[Linted, int] | None:
    """Return what is found in a file, and how much was fixed; None, after a message, of one that cannot be read."""
    from mlquery.lint.documents import UnreadableError, read_document
    from mlquery.lint.fixing import fixed
    from mlquery.lint.linting import lint as lint_document

    try:
        found = lint_document(path, read_document(path), asked)
    except UnreadableError as error:
        print(f"mlquery: {path}: {error}", file=sys.stderr)
        return None
    if not is_fixing:
        return found, 0
    better, count = fixed(found, lambda document: lint_document(path, document, asked))
    if count:
        path.write_bytes(better.document.encoded())
    return better, count


def _written(linted: Sequence[Linted], form: str) -> Iterator[str]:
    from mlquery import __version__
    from mlquery.lint.formats import as_github, as_json, as_text
    from mlquery.lint.sarif import as_sarif

    if form == "sarif":
        return as_sarif(linted, __version__)
    return {"text": as_text, "json": as_json, "github": as_github}[form](linted)


def _summary(linted: Sequence[Linted], fixed: int) -> str:
    found = [finding for each in linted for finding in each.findings]
    fixable = sum(finding.edit is not None for finding in found)
    calls = sum(each.calls for each in linted)
    parts = [f"{_counted(len(found), 'finding')} in {_counted(calls, 'search', 'searches')}"]
    parts += [f"{fixed} fixed"] if fixed else []
    parts += [f"{fixable} fixable with --fix"] if fixable else []
    return "; ".join(parts)


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _codes(written: Sequence[str]) -> tuple[str, ...]:
    """Return the codes, or their beginnings, in options; each has to be one of a rule."""
    from mlquery.language.rules import rules

    codes = tuple(code.strip().upper() for option in written for code in option.split(",") if code.strip())
    unknown = next((code for code in codes if not any(known.startswith(code) for known in rules())), None)
    if unknown is not None:
        raise UsageError(f"there is no rule {unknown}; rules are {', '.join(rules())}")
    return codes


def _dialects(names: Sequence[str]) -> tuple[Dialect, ...]:
    from mlquery.language.matrix import MATRIX

    try:
        return tuple(MATRIX.dialect(name) for name in names or [DEFAULT_DIALECT])
    except ValueError as error:
        raise UsageError(str(error)) from None
