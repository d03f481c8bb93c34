"""What the page is made of: the committed assets are those of the sources, name no host, and keep their licences."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

VIEW = Path(__file__).resolve().parents[1] / "mlquery" / "view"
ASSETS = ("app.js", "app.css", "LICENSES.txt")
PACKAGE = json.loads((VIEW / "package.json").read_text("utf-8"))
LOCK = json.loads((VIEW / "package-lock.json").read_text("utf-8"))


def digest_of_sources() -> str:
    """Return what build.mjs computes: a digest of everything that decides what the assets are."""
    paths = [path for path in (VIEW / "src").rglob("*") if path.is_file()]
    paths += [VIEW / name for name in ("build.mjs", "package.json", "package-lock.json")]
    names = {path.relative_to(VIEW).as_posix(): path for path in paths}
    total = hashlib.sha256()
    for name in sorted(names):
        total.update(name.encode() + b"\0" + names[name].read_bytes() + b"\0")
    return total.hexdigest()


@pytest.mark.parametrize("name", ASSETS)
def test_an_asset_says_what_makes_it_and_was_made_of_these_sources(name: str) -> None:
    first = (VIEW / "assets" / name).read_text("utf-8").partition("\n")[0]

    assert "node mlquery/view/build.mjs" in first
    assert digest_of_sources() in first, "run `node mlquery/view/build.mjs`"


def test_there_are_no_other_assets() -> None:
    assert set(ASSETS) == {path.name for path in (VIEW / "assets").iterdir()}


def test_every_package_in_the_page_has_one_version_and_the_text_of_its_licence() -> None:
    text = (VIEW / "assets" / "LICENSES.txt").read_text("utf-8")

    for name, version in PACKAGE["dependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert LOCK["packages"][f"node_modules/{name}"]["version"] == version
        assert f"\n{name} {version} (" in text


def test_the_lock_pins_contents_and_names_no_registry() -> None:
    packages = [package for path, package in LOCK["packages"].items() if path]

    assert all(package["integrity"].startswith("sha512-") for package in packages)
    assert not any("resolved" in package for package in packages)


def test_the_page_asks_no_other_host_and_builds_no_code_or_markup_from_text() -> None:
    script = (VIEW / "assets" / "app.js").read_text("utf-8")
    hosts = set(re.findall(r"https?://([\w.-]+)", script))

    assert hosts <= {"www.w3.org"}  # names of namespaces
    assert not re.search(r"\beval\(|new Function\(|document\.write|insertAdjacentHTML|</script", script)


def test_the_sources_never_set_markup_or_style_attributes() -> None:
    for path in (VIEW / "src").rglob("*.js*"):
        text = path.read_text("utf-8")
        assert not re.search(r"innerHTML|setAttribute\(\s*[\"']style|<style|style=\"", text), path.name
