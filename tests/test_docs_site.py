"""The documentation site: built without a warning, every link leads somewhere, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documentation import DOCS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]  # one build serves all tests of this file


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built with warnings as errors."""
    pytest.importorskip("sphinx", reason="the site is built with the extra `docs`")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return folder


def test_every_link_of_the_built_site_leads_somewhere(site: Path) -> None:
    text = {path: path.read_text("utf-8") for path in site.rglob("*.html") if "_static" not in path.parts}
    ids = {path: set(re.findall(r' id="([^"]+)"', page)) for path, page in text.items()}
    lost = set()
    for path, page in text.items():
        for link in re.findall(r'<(?:a|link|img|script)\b[^>]*? (?:href|src)="([^"]+)"', page):
            target, _, anchor = link.partition("#")
            goal = (path.parent / target.partition("?")[0]).resolve() if target else path
            is_lost = not goal.exists() or (anchor and goal in ids and anchor not in ids[goal])
            if is_lost and not re.match(r"https?:|mailto:|data:", link):
                lost.add((path.name, link))

    assert set() == lost
    assert len(text) > 25


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = "".join(path.read_text("utf-8") for path in site.rglob("*.html"))
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))

    assert [] == re.findall(r'<(?:script|img|link)\b[^>]*? (?:src|href)="(?:https?:)?//[^"]*"', pages)
    assert [] == re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)]*", styles)
