"""`Comparison` as users have it: with a report as a file, as a page in a notebook, and tables in a notebook.

What the numbers are is known to the modules below.
"""

from __future__ import annotations

import os
import sys
from html import escape
from typing import Any

import attrs

from mlquery.comparison import comparison

_HEIGHT = 720


class Comparison(comparison.Comparison):
    """Runs side by side, as `compare` returns them; see its attributes and methods."""

    __doc__ = comparison.Comparison.__doc__

    def to_html(self, path: str | os.PathLike[str], title: str | None = None) -> None:
        """Write a report: one HTML file with its data inside, which needs no network.

        Args:
            path: The file; it is replaced as a whole or not at all.
            title: The title of the report; by default how many runs are compared.

        Raises:
            StoreError: scipy or scikit-learn is not installed, or none of the runs has a field to group by.
            OSError: the file cannot be written.
        """
        from mlquery.view.report import write_report

        chosen, data = self._report(title)
        write_report(path, chosen, data)

    def show(self, title: str | None = None, height: int = _HEIGHT) -> Page:
        """Return the report for a notebook, which shows it as a page of its own, offline too.

        Args:
            title: The title of the report; by default how many runs are compared.
            height: The height of the page, in pixels.

        Raises:
            StoreError: as of `to_html`.
        """
        from mlquery.view.report import report_html

        return Page(report_html(*self._report(title)), height)

    def _report(self, title: str | None) -> tuple[str, dict[str, Any]]:
        from mlquery.comparison.report_data import report_data

        chosen = title or f"{len(self)} run{'' if len(self) == 1 else 's'} compared"
        return chosen, report_data(self, chosen, sys.modules["mlquery"].__version__)

    def _repr_html_(self) -> str:
        from mlquery.comparison.html import comparison_html

        return comparison_html(self)


@attrs.frozen(repr=False)
class Page:
    """A page that a notebook shows in a frame: its script cannot reach the notebook."""

    html: str
    height: int

    def __repr__(self) -> str:
        return f"<Page: {len(self.html):,} characters of HTML>"

    def _repr_html_(self) -> str:
        style = f"width:100%;height:{int(self.height)}px;border:1px solid #8886"
        source = escape(self.html, quote=True)
        return f'<iframe sandbox="allow-scripts allow-downloads" style="{style}" srcdoc="{source}"></iframe>'
