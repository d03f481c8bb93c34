"""Record what released versions of MLflow answer to every case of the suite, and report what changed between them.

    python conformance/versions.py compare RELEASE [OLDER]
    python conformance/versions.py record [--new] [VERSION ...]
    python conformance/versions.py report
    python conformance/versions.py install RELEASE FOLDER [PACKAGE ...]

`compare` says what a release changes: the cases that it answers differently, under the lines of the support matrix that
they are about. `record` replays the suite on the versions that have a column and writes the answers to
`reports/versions.json`; `report` prints what changed between those, as a page of the documentation shows it. `install`
makes an environment with a release, in which the tests beside MLflow run on it. A release needs about 150 MB and, once
its environment is there, a minute.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import attrs

from mlquery.conformance import load_suite
from mlquery.conformance.recordings import Recorded, record_disagreements
from mlquery.conformance.suite import Case
from mlquery.language.features import Cell, Feature
from mlquery.language.matrix import DEFAULT_DIALECT, MATRIX
from mlquery.language.tables import to_markdown

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "conformance" / "reports" / "versions.json"
RELEASES: Mapping[str, str] = {
    "2.9": "2.9.2",
    "2.14": "2.14.3",
    "2.22": "2.22.5",
    "3.1": "3.1.4",
    "3.17": "3.17.2",
    "3.18": "3.18.0",
}
"""The releases that have a column, by version, oldest first."""

COLUMNS = tuple(f"oss:{version}" for version in RELEASES)
_ALL = "all"

# Old releases do not say which versions of other packages they cannot work with.
_MLQUERY_NEEDS = ("pyparsing", "attrs")
_OLD = ("sqlalchemy==2.0.36", "alembic==1.13.3", "sqlparse==0.5.1", "setuptools<81", "pandas<3", "numpy<2")
_RECENT = ("sqlalchemy", "alembic", "sqlparse", "pandas<3", "numpy")
_FIRST_RECENT = (3, 2)


@attrs.frozen
class Records:
    """What every version answered, by version and case; when that was, and which releases they are."""

    date: str
    releases: Mapping[str, str]
    answers: Mapping[str, Mapping[str, Recorded]]


def read_records(path: Path = RECORDS) -> Records:
    data = json.loads(path.read_text(encoding="utf-8"))
    answers: dict[str, dict[str, Recorded]] = {version: {} for version in data["releases"]}
    for case, groups in data["cases"].items():
        for versions, answer in groups.items():
            for version in answers if versions == _ALL else versions.split():
                answers[version][case] = answer
    return Records(data["date"], data["releases"], answers)


def written(records: Records) -> str:
    """Return records as JSON with a line for each case; versions that answer alike stand together."""
    lines = []
    for case in next(iter(records.answers.values())):
        groups: dict[str, list[str]] = {}
        for version, answers in records.answers.items():
            groups.setdefault(json.dumps(answers[case], ensure_ascii=False), []).append(version)
        named = {_ALL if len(groups) == 1 else " ".join(versions): answer for answer, versions in groups.items()}
        shown = ", ".join(f"{json.dumps(name)}: {answer}" for name, answer in named.items())
        lines.append(f"  {json.dumps(case)}: {{{shown}}}")
    head = f'"date": {json.dumps(records.date)},\n"releases": {json.dumps(records.releases)},\n'
    return f"{{{head}" + '"cases": {\n' + ",\n".join(lines) + "\n}}\n"


def record(versions: Iterable[str], folder: Path, only_new: bool = False) -> Records:
    """Return the records with those of some versions made anew, or with the cases that they lack."""
    cases = [case.id for case in load_suite().cases]
    kept = read_records().answers if RECORDS.exists() else {}
    answers = {version: dict(kept.get(version, {})) for version in RELEASES}
    for version in versions:
        lacking = [case for case in cases if not only_new or case not in answers[version]]
        answers[version] |= replayed(RELEASES[version], folder, lacking)
    in_order = {version: {case: found[case] for case in cases} for version, found in answers.items()}
    return Records(datetime.datetime.now(datetime.UTC).date().isoformat(), RELEASES, in_order)


def replayed(release: str, folder: Path, cases: Sequence[str] = ()) -> dict[str, Recorded]:
    """Return what a release answers to some cases, by default to all, from its environment below a folder."""
    python = folder / release / "bin" / "python"
    if not python.exists():
        python = install(release, folder / release)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "answers.json"
        replay = [str(python), str(ROOT / "conformance" / "replay.py"), "--answers", str(path), *cases]
        # What is installed there is not to be hidden by what is installed here.
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        subprocess.run(replay, check=True, env=environment, stderr=subprocess.DEVNULL)
        found: dict[str, Recorded] = json.loads(path.read_text(encoding="utf-8"))["answers"]
    return found


def install(release: str, folder: Path, packages: Sequence[str] = ()) -> Path:
    """Make an environment with a release of MLflow, and return its Python.

    Where an index has `mlflow` without the `mlflow-skinny` that it asks for, its wheel, which contains all of MLflow,
    takes the place of an older one among whose dependencies it works.
    """
    venv.create(folder, with_pip=True, clear=True)
    python = folder / "bin" / "python"
    recent = tuple(map(int, release.split(".")[:2])) >= _FIRST_RECENT
    others = (*(_RECENT if recent else _OLD), *_MLQUERY_NEEDS, *packages)
    if _pip(python, "install", f"mlflow-skinny=={release}", *others, check=False):
        return python
    _pip(python, "install", f"mlflow-skinny<{release}", *others)
    _pip(python, "uninstall", "--yes", "mlflow-skinny")
    _pip(python, "install", "--no-deps", f"mlflow=={release}")
    return python


def _pip(python: Path, *arguments: str, check: bool = True) -> bool:
    """Run pip, and tell whether it succeeded; if that need not be, it is silent."""
    command = [str(python), "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    command += ["--no-compile"] if arguments[0] == "install" else []  # Python compiles what it imports
    return subprocess.run(command, check=check, stderr=None if check else subprocess.DEVNULL).returncode == 0


# --- what a release changes -----------------------------------------------------------------------------------------


@attrs.frozen
class Answers:
    """What a release answered, by case."""

    release: str
    by_case: Mapping[str, Recorded]

    @property
    def column(self) -> str | None:
        """Return the name of the column about the version of this release, None if there is none."""
        version = ".".join(self.release.split(".")[:2])
        return f"oss:{version}" if version in RELEASES else None


def answers_of(release: str, folder: Path) -> Answers:
    """Return what a release answers: as recorded, if it is, else replayed."""
    records = read_records()
    version = next((version for version, known in records.releases.items() if known == release), None)
    return Answers(release, replayed(release, folder) if version is None else records.answers[version])


def comparison(new: Answers, old: Answers) -> Iterator[str]:
    """Yield the lines that say what a release changed."""
    cases = load_suite().cases
    both = [case for case in cases if case.id in new.by_case and case.id in old.by_case]
    changed = [case for case in both if new.by_case[case.id] != old.by_case[case.id]]
    yield f"MLflow {new.release} answers {len(changed)} of {len(both):,} cases otherwise than {old.release}."
    counts = [Counter(feature for case in some for feature in case.features) for some in (changed, both, cases)]
    about = {case.id: _feature_of(case, *counts) for case in changed}
    lines: list[str | None] = [*(feature.id for feature in MATRIX.features), None]
    changed.sort(key=lambda case: lines.index(about[case.id]))
    for feature, changed_about in groupby(changed, lambda case: about[case.id]):
        yield ""
        yield from _heading(feature, (old, new))
        for case in changed_about:
            yield f"  {case.id}: {case.title}"
            yield from (f"    {each.release}: {_shown(each.by_case[case.id])}" for each in (old, new))
    named = [name for each in (old, new) if (name := each.column)]
    if len(set(named)) == 2:
        yield from ("", "The columns of the support matrix differ in these lines:", "")
        yield to_markdown(MATRIX.of(named).differing())


def _feature_of(case: Case, changed: Counter[str], both: Counter[str], every: Counter[str]) -> str | None:
    """Return the line of the matrix that a changed case is about most; each counter has the cases of every line.

    It is the one of whose cases the largest part changed; of several, the one that has the fewest cases.
    """
    return max(case.features, key=lambda feature: (changed[feature] / both[feature], -every[feature]), default=None)


def _heading(feature: str | None, answers: Sequence[Answers]) -> Iterator[str]:
    if feature is None:
        yield "No line of the support matrix"
        return
    found = MATRIX.feature(feature)
    yield f"{found.title}  [{feature}]"
    # A release without a column is held against the newest one.
    names = dict.fromkeys(MATRIX.dialect(each.column or DEFAULT_DIALECT).name for each in answers)
    yield "  " + ", ".join(f"{name}: {_stated(found, found.cells[name])}" for name in names)


def _stated(feature: Feature, cell: Cell) -> str:
    return f"{cell.state} ({cell.error_code})" if cell.state == "no" and not feature.is_behaviour else cell.state


def _shown(recorded: Recorded) -> str:
    if isinstance(recorded, str):
        return recorded
    pages = recorded["pages"] if isinstance(recorded, dict) else recorded
    return " | ".join(", ".join(page) for page in pages if page) or "nothing"


# --- the page of the documentation ----------------------------------------------------------------------------------


def disagreements(records: Records, version: str) -> dict[str, list[str]]:
    """Return the cases in which what a version answered is not what the suite expects of its column."""
    column, found = MATRIX.dialect(f"oss:{version}").name, {}
    for case in load_suite().cases:
        if told := record_disagreements(case, case.expect[column], records.answers[version][case.id]):
            found[case.id] = told
    return found


def report(records: Records) -> Iterator[str]:
    """Yield the lines of the report, as Markdown."""
    releases = ", ".join(records.releases.values())
    yield f"MLflow {releases}, each with its default store (SQLAlchemy on SQLite), answered every case of the suite on"
    yield f"{records.date}. These are the lines of the support matrix on which they differ."
    yield ""
    yield to_markdown(MATRIX.of(COLUMNS).differing())
    yield "| MLflow | cases | answered as its column says | otherwise |"
    yield "| --- | --: | --: | --- |"
    for version, release in records.releases.items():
        told, count = disagreements(records, version), len(records.answers[version])
        yield f"| {release} | {count:,} | {count - len(told):,} | {', '.join(f'`{case}`' for case in told) or 'none'} |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What changed between released versions of MLflow.")
    folder = argparse.ArgumentParser(add_help=False)
    default = Path(tempfile.gettempdir()) / "mlflow-versions"
    folder.add_argument("--environments", metavar="FOLDER", type=Path, default=default, help=f"default: {default}")
    commands = parser.add_subparsers(dest="command", required=True)
    comparing = commands.add_parser("compare", parents=[folder], help="say what a release changes")
    comparing.add_argument("release", metavar="RELEASE", help="a release such as 3.18.0")
    comparing.add_argument("older", metavar="OLDER", nargs="?", help="default: the newest one that has a column")
    recording = commands.add_parser("record", parents=[folder], help="replay the suite on released versions")
    recording.add_argument("versions", metavar="VERSION", nargs="*", choices=[*RELEASES, []], help="default: all")
    recording.add_argument("--new", action="store_true", help="only the cases that are not recorded yet")
    commands.add_parser("report", help="print the report of what is recorded")
    installing = commands.add_parser("install", help="make an environment with a release")
    installing.add_argument("release", metavar="RELEASE")
    installing.add_argument("folder", metavar="FOLDER", type=Path)
    installing.add_argument("packages", metavar="PACKAGE", nargs="*", help="what else to install there")
    return parser


def main(arguments: list[str]) -> int:
    options: Any = _parser().parse_args(arguments)
    match options.command:
        case "compare":
            others = [known for known in RELEASES.values() if known != options.release]
            compared = (options.release, options.older or others[-1])
            print("\n".join(comparison(*(answers_of(release, options.environments) for release in compared))))
        case "install":
            install(options.release, options.folder, options.packages)
        case "record":
            records = record(options.versions or RELEASES, options.environments, options.new)
            RECORDS.write_text(written(records), encoding="utf-8")
            print("\n".join(report(records)))
        case "report":
            print("\n".join(report(read_records())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
