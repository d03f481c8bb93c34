"""Writes a report: one HTML file with the page and its data, which needs no network.

Its content security policy names the script and the style by their hashes and allows nothing else. What the data says
is not known here.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Final

from mlquery.view.encoding import packed

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="mlquery">
<title>$title</title>
<link rel="icon" href="data:,">
<style>$style</style>
</head>
<body>
<div id="app"></div>
<noscript>This report needs JavaScript. Its data is in this file; nothing is loaded from elsewhere.</noscript>
<script type="application/octet-stream" id="mlquery-data">$data</script>
<script type="text/plain" id="mlquery-licences">$licences</script>
<script>$script</script>
</body>
</html>
""")


def write_report(path: str | os.PathLike[str], title: str, data: Mapping[str, Any]) -> None:
    """Write a report to a file, which is replaced as a whole or not at all.

    Args:
        path: The file.
        title: The title of the document.
        data: What the page reads, see `mlquery.comparison.report_data`; arrays and columns may be in it.

    Raises:
        OSError: The file cannot be written.
    """
    target = Path(path)
    content = report_html(title, data).encode("utf-8")
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=".tmp", dir=target.parent or ".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode_of(target))
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _mode_of(target: Path) -> int:
    """Return the permissions of a file, or those that a new one gets."""
    with suppress(OSError):
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def report_html(title: str, data: Mapping[str, Any]) -> str:
    """Return a report as one HTML page; arguments as of `write_report`."""
    style, script = _asset("app.css"), _asset("app.js")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _PAGE.substitute(
        policy=policy,
        title=escape(title),
        style=style,
        script=script,
        licences=_asset("LICENSES.txt"),
        data=packed(data),
    )
    return page.encode("utf-8", "replace").decode()


def _asset(name: str) -> str:
    content = resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")
    # Inside the page, neither may end its own element; in CSS and JavaScript the backslash changes nothing in strings.
    return content.replace("</script", "<\\/script").replace("</style", "<\\/style").replace("<!--", "<\\!--")


def _digest(string: str) -> str:
    """Return the hash of a script or a style for the content security policy, which blocks all others."""
    return f"sha256-{base64.b64encode(hashlib.sha256(string.encode()).digest()).decode()}"
