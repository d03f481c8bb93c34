"""What gets built: the metadata, the files of the wheel and of the source distribution, the clean-clone script."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES_OF_PAGE = r"mlquery/view/(src/|[\w-]+\.json$|build\.mjs$|\.npmrc$)"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packaging")]  # one build serves all tests of this file


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the source distribution and the wheel made from it."""
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(TOP)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def files_of_wheel(built: Path) -> set[str]:
    (wheel,) = built.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def tracked(folder: str) -> set[str]:
    ignored = re.compile(r"__pycache__|\.pyc$|^docs/_build/|/node_modules/")
    paths = (path.relative_to(TOP).as_posix() for path in (TOP / folder).rglob("*") if path.is_file())
    return {path for path in paths if not ignored.search(path)}


def test_the_wheel_holds_the_package_with_the_data_inside_it_and_nothing_else(built: Path) -> None:
    data = {
        path for path in tracked("conformance") | tracked("examples") if not path.startswith("conformance/reports/")
    }
    package = {path for path in tracked("mlquery") if not re.match(SOURCES_OF_PAGE, path)}
    expected = package | {f"mlquery/_data/{path}" for path in data}

    assert expected == {path for path in files_of_wheel(built) if ".dist-info/" not in path}


def test_the_wheel_carries_the_license(built: Path) -> None:
    assert any(path.endswith("licenses/LICENSE") for path in files_of_wheel(built))


def test_the_source_distribution_holds_what_the_tests_need(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        names = {name.partition("/")[2] for name in source.getnames()}

    assert (
        tracked("tests")
        | tracked("grammar")
        | tracked("docs")
        | tracked("mlquery")
        | {"README.md", "CHANGELOG.md", "LICENSE"}
        <= names
    )
    assert {"CONTRIBUTING.md", "SECURITY.md"} <= names


def test_the_core_needs_three_packages() -> None:
    names = {re.split(r"[<>=]", requirement)[0] for requirement in PROJECT["dependencies"]}

    assert {"attrs", "pandas", "pyparsing"} == names


def test_the_license_is_the_full_text_of_apache_2() -> None:
    text = (TOP / "LICENSE").read_text(encoding="utf-8")

    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_changelog_has_an_entry_for_this_version_or_for_the_next() -> None:
    import mlquery

    text = (TOP / "CHANGELOG.md").read_text(encoding="utf-8")

    assert f"## {mlquery.__version__}" in text or "## Unreleased" in text


def test_the_files_of_an_installation_are_found_in_a_checkout() -> None:
    from mlquery.resources import data_path, example_database

    assert TOP / "examples" / "sweep.db" == example_database()
    with pytest.raises(FileNotFoundError, match=r"examples/none\.db is missing"):
        data_path("examples", "none.db")


def test_the_text_files_name_no_machine() -> None:
    paths = [TOP / path for path in ("CHANGELOG.md", "pyproject.toml", ".ci/run", ".gitignore")]
    paths += [*TOP.glob("*.md"), *(path for path in (TOP / "docs").rglob("*.md") if "_build" not in path.parts)]

    assert [] == [p.name for p in paths if re.search(r"/(home|root|tmp|work|Users)/", p.read_text(encoding="utf-8"))]
