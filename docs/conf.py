"""Settings of Sphinx, and what it does with a page before it reads it and with the site after it was written."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import generated
from pygments.lexers.shell import BashSessionLexer

import mlquery

project = "mlquery"
author = "The mlquery authors"
project_copyright = "The mlquery authors, Apache License 2.0"
release = mlquery.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]  # included pages and reports have levels of their own
smartquotes_action = "D"  # dashes alone: a quote in a filter is a quote
default_role = "code"  # docstrings are Markdown's `code`

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_include_init_with_doc = False

html_theme = "furo"
html_title = "mlquery"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"


def put_parts_in(app: Any, name: str, source: list[str]) -> None:
    """Give a page the Markdown that it asks for, before it is parsed."""
    source[0] = generated.expanded(source[0], f"{name}.md")


def write_as_restructured_text(
    _app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    """Let what is Markdown in a docstring mean the same in reStructuredText: a star outside of code is a star."""
    for place, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`|\*\*\w+\*\*)", line)
        parts[::2] = [re.sub(r"([*|]|(?<=\w)_(?=\W|$))", r"\\\1", part) for part in parts[::2]]
        lines[place] = "".join(parts)


def write_interactive_pages(app: Any, error: Exception | None) -> None:
    """Put the interactive pages of the reports, and the report of a comparison, beside the others."""
    if error is None and app.builder.format == "html":
        generated.write_cells(Path(app.outdir) / "reports" / generated.CELLS)
        generated.write_gallery(Path(app.outdir) / generated.GALLERY)


class CommandLexer(BashSessionLexer):
    """Commands after a dollar and their output; pygments' own lexer takes output in parentheses for a prompt too."""

    _ps1rgx = re.compile(r"^(\$ )(.*\n?)")
    _venv = re.compile(r"(?!)")


def setup(app: Any) -> None:
    """Connect the functions above."""
    app.add_lexer("console", CommandLexer)
    app.connect("source-read", put_parts_in)
    app.connect("autodoc-process-docstring", write_as_restructured_text, priority=900)
    app.connect("build-finished", write_interactive_pages)
