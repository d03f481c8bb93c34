"""Turn the package and its data into Markdown for the documentation: matrix, commands, differences, reports.

A page asks for a part in a comment on a line of its own, `<!-- generated: NAME ARGUMENT… -->`, and `expanded` puts the
Markdown of the function NAME in its place. `docs/conf.py` does so when the site is built, `tests/test_docs.py` when it
checks links. The functions read what the package reads, so that the pages cannot drift from it.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

DOCS = Path(__file__).resolve().parent
TOP = DOCS.parent
if str(TOP) not in sys.path:  # the scripts of `conformance/` are no package of the installation
    sys.path.insert(0, str(TOP))

REPORTS = TOP / "conformance" / "reports"
CELLS = "cells"  # the folder of the interactive reports, beside the report pages
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "explanation/benchmarks.md",
    "conformance/README.md": "reference/conformance-cases.md",
    "conformance/IMPLEMENTING.md": "reference/conformance-protocol.md",
    "examples/README.md": "reference/example-database.md",
    "grammar/README.md": "reference/grammar.md",
}
"""Markdown files of the repository that are pages of the site."""

_PART = re.compile(r"^<!-- generated: (.*?) -->$", re.MULTILINE)
_LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)\s]+)(\))")


def expanded(markdown: str, page: str) -> str:
    """Return a page with every part that it asks for.

    Args:
        markdown: The source of the page.
        page: Its path below `docs/`, such as "reference/matrix.md".

    Raises:
        KeyError: there is no such part.
    """

    def part(found: re.Match[str]) -> str:
        name, *arguments = shlex.split(found[1])
        if name == "included":
            return included(arguments[0], page)
        return PARTS[name](*arguments)

    return _PART.sub(part, markdown)


def page_matrix() -> str:
    """Return the lines of Microsoft's page with their notes, for the dialects that are not releases of MLflow."""
    from mlquery.language.matrix import MATRIX
    from mlquery.language.tables import to_markdown

    matrix = MATRIX.of(MATRIX.main_dialects)
    markdown = to_markdown(attrs.evolve(matrix, features=tuple(feature for feature in matrix.features if feature.page)))
    table, legend, footnotes, notes = re.sub(r" `[a-z.-]+` \|", " |", markdown).strip().split("\n\n")
    return f"{table}\n\n{legend.partition(' · ?')[0]}. {footnotes}\n{notes}"


def matrix(*dialects: str) -> str:
    """Return the support matrix of some dialects, by default of those that are not releases of MLflow."""
    from mlquery.language.matrix import MATRIX
    from mlquery.language.tables import to_markdown

    return to_markdown(MATRIX.of(dialects or MATRIX.main_dialects))


def sources() -> str:
    """Return what the cells of the matrix rest on."""
    from mlquery.language.matrix import MATRIX

    rows = (f"| `{name}` | {title} |" for name, title in MATRIX.sources.items())
    return "\n".join(["| source | what it is |", "|---|---|", *rows])


def dialects() -> str:
    """Return a table of the dialects."""
    from mlquery.language.matrix import MATRIX

    rows = (f"| `{dialect.name}` | {dialect.summary} |" for dialect in MATRIX.dialects.values())
    return "\n".join(["| dialect | what it follows |", "|---|---|", *rows])


def versions() -> str:
    """Return what changed between releases of MLflow, and how many cases each answers as its column says."""
    from conformance.versions import read_records, report

    return "\n".join(report(read_records()))


def command_line() -> str:
    """Return a section for each command of `mlquery`, from its parser."""
    from mlquery.cli.arguments import parser

    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    helps = {action.dest: action.help or "" for action in commands._choices_actions}
    return "\n".join(
        line for name, command in commands.choices.items() for line in _command(name, command, helps[name])
    )


def _command(name: str, command: argparse.ArgumentParser, about: str) -> Iterator[str]:
    yield from ("", f"## mlquery {name}", "", f"{about[0].upper()}{about[1:]}.", "")
    actions = [action for action in command._actions if action.dest != "help"]
    yield from ("```text", *_wrapped(["mlquery", name, *map(_usage, actions)]), "```")
    if actions:
        yield from ("", "| argument | what it does |", "|---|---|")
        yield from (f"| {_shown(action)} | {_cell(_help(action))} |" for action in actions)


def _usage(action: argparse.Action) -> str:
    value = _value(action)
    word = f"{action.option_strings[0]} {value}".rstrip() if action.option_strings else value
    is_required = action.required if action.option_strings else action.nargs not in ("?", "*")
    return word if is_required else f"[{word}]"


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    name = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper())
    return f"{name} …" if action.nargs == "+" else str(name)


def _shown(action: argparse.Action) -> str:
    return f"`{' '.join(filter(None, (', '.join(action.option_strings), _value(action))))}`".replace("|", r"\|")


def _help(action: argparse.Action) -> str:
    return (action.help or "") % vars(action) if "%(" in (action.help or "") else action.help or ""


def _cell(text: str) -> str:
    """Return a text for a cell of a table, as it is: it may hold operators and patterns."""
    escaped = re.sub(r"([|*_`\[\]<>])", r"\\\1", text)
    return re.sub(r"--[a-z-]+", r"`\g<0>`", escaped)


def _wrapped(words: list[str], width: int = 96) -> Iterator[str]:
    """Yield the words of a usage in lines of a bounded width."""
    line = words[0]
    for word in words[1:]:
        if len(line) + len(word) >= width:
            yield line
            line = "       "
        line = f"{line} {word}"
    yield line


_LISTS = {
    "filters": "Filters",
    "order_by": "Entries of `order_by`",
    "page_tokens": "Page tokens",
    "dialects": "Dialects",
    "cases": "Cases",
}


def differences(kind: str) -> str:
    """Return a section for each known difference of a kind: "difference", "store" or "older"."""
    entries = tomllib.loads((TOP / "conformance" / "differences.toml").read_text("utf-8"))[kind]
    return "\n".join(line for entry in entries for line in _difference(entry))


def _difference(entry: dict[str, Any]) -> Iterator[str]:
    yield from ("", f"### {entry['id'].replace('-', ' ').capitalize()}", "")
    yield from ((f"{entry['what']} *Why:* {entry['reason']}",) if "what" in entry else (entry["reason"],))
    if "instead" in entry:
        yield from ("", f"Write instead: {_code(entry['instead'])}")
    for key, title in _LISTS.items():
        if key in entry:
            yield from ("", f"{title}: {', '.join(_code(value) for value in entry[key])}")


def _code(text: str) -> str:
    """Return a text as code, whatever is in it."""
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks} {text.replace(chr(10), '↵')} {ticks}"


def report_names() -> list[str]:
    """Return the names of the reports that are kept."""
    return sorted(path.stem for path in REPORTS.glob("*.jsonl"))


def read_report(name: str) -> Any:
    """Return a report that is kept."""
    from mlquery.conformance.jsonl import read_jsonl

    (found,) = read_jsonl((REPORTS / f"{name}.jsonl").read_text("utf-8").splitlines())
    return found


def figures() -> str:
    """Return a table with a line for each report: how many cases had which outcome."""
    from mlquery.conformance.report import OUTCOMES

    lines = [
        f"| target | dialect | {' | '.join(outcome.replace('-', ' ') for outcome in OUTCOMES)} | date |",
        f"|---|---|{'---:|' * len(OUTCOMES)}---|",
    ]
    for name in report_names():
        found = read_report(name)
        numbers = " | ".join(str(found.totals[outcome]) for outcome in OUTCOMES)
        link = f"[{found.product} {found.version}](../reports/{name}.md)"
        lines.append(f"| {link} | {found.dialect} | {numbers} | {found.date[:10]} |")
    return "\n".join(lines)


def report(name: str) -> str:
    """Return a report as a page, its title included, with a link to the page that shows its cells."""
    from mlquery.conformance.markdown import render_markdown

    title, _, rest = render_markdown([read_report(name)]).partition("\n")
    link = f'<a href="{CELLS}/{name}.html">The matrix in cells, with the cases behind each of them</a>'
    return f"{title}\n\n{link} (one page that can be searched and filtered).\n{rest}"


def write_cells(folder: Path) -> None:
    """Write the interactive page of every report into a folder."""
    from mlquery.conformance.html import render_html

    folder.mkdir(parents=True, exist_ok=True)
    for name in report_names():
        (folder / f"{name}.html").write_text(render_html([read_report(name)]), "utf-8")


def included(path: str, page: str) -> str:
    """Return a Markdown file of the repository, its links turned to where they lead from a page."""
    text = (TOP / path).read_text("utf-8")
    here = PurePosixPath(page).parent

    def turned(found: re.Match[str]) -> str:
        target, hash_, anchor = found[2].partition("#")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        goal = f"docs/{PAGES[place]}" if place in PAGES else place
        return f"{found[1]}{posixpath.relpath(goal, f'docs/{here}')}{hash_}{anchor}{found[3]}"

    return _LINK.sub(turned, text)


PARTS: dict[str, Callable[..., str]] = {
    "command-line": command_line,
    "dialects": dialects,
    "differences": differences,
    "figures": figures,
    "matrix": matrix,
    "page-matrix": page_matrix,
    "report": report,
    "sources": sources,
    "versions": versions,
}
