"""Record what released versions of MLflow answer to every case of the suite, and report what changed between them.

    python conformance/versions.py record [--environments FOLDER] [VERSION ...]
    python conformance/versions.py report

`record` makes a virtual environment for each version, replays the suite there (`replay.py`) and writes the answers to
`reports/versions.json`; `report` prints what changed, according to them and to the support matrix, as a page of the
documentation shows it. A version needs about 150 MB and, once its environment is there, a minute.
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
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from mlquery.conformance import load_suite
from mlquery.conformance.recordings import Recorded, record_disagreements
from mlquery.language.matrix import MATRIX
from mlquery.language.tables import to_markdown

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "conformance" / "reports" / "versions.json"
COLUMNS = ("oss:2.9", "oss:2.14", "oss:2.22", "oss:3.1", "oss:3.17")
_ALL = "all"

# Old releases do not say which versions of other packages they cannot work with.
_MLQUERY_NEEDS = ("pyparsing", "attrs")
_OLD = ("sqlalchemy==2.0.36", "alembic==1.13.3", "sqlparse==0.5.1", "setuptools<81", "pandas<3", "numpy<2")
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "2.9": ("mlflow-skinny==2.9.2", *_OLD),
    "2.14": ("mlflow-skinny==2.14.3", *_OLD),
    "2.22": ("mlflow-skinny==2.22.5", *_OLD),
    "3.1": ("mlflow-skinny==3.1.4", *_OLD),
    "3.17": ("mlflow-skinny==3.17.2", "sqlalchemy", "alembic", "sqlparse", "pandas<3", "numpy"),
}


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


def record(versions: Iterable[str], folder: Path) -> Records:
    """Return the records with those of some versions made anew."""
    kept = read_records() if RECORDS.exists() else Records("", {}, {})
    new = {version: replayed(version, folder) for version in versions}
    releases = {version: new[version]["mlflow"] if version in new else kept.releases[version] for version in PACKAGES}
    answers = {v: new[v]["answers"] if v in new else kept.answers[v] for v in PACKAGES}
    return Records(datetime.datetime.now(datetime.UTC).date().isoformat(), releases, answers)


def replayed(version: str, folder: Path) -> dict[str, Any]:
    """Return the release of a version and its answers, from its environment in a folder, made if it is not there."""
    python = _environment(version, folder)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "answers.json"
        replay = [str(python), str(ROOT / "conformance" / "replay.py"), "--answers", str(path)]
        # What is installed there is not to be hidden by what is installed here.
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        subprocess.run(replay, check=True, env=environment, stderr=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _environment(version: str, folder: Path) -> Path:
    python = folder / version / "bin" / "python"
    if not python.exists():
        venv.create(folder / version, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *PACKAGES[version], *_MLQUERY_NEEDS]
        subprocess.run(install, check=True)
    return python


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


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="What changed between released versions of MLflow.")
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="replay the suite on released versions")
    recording.add_argument("versions", metavar="VERSION", nargs="*", choices=[*PACKAGES, []], help="default: all")
    default = Path(tempfile.gettempdir()) / "mlflow-versions"
    recording.add_argument("--environments", metavar="FOLDER", type=Path, default=default, help=f"default: {default}")
    commands.add_parser("report", help="print the report of what is recorded")
    options = parser.parse_args(arguments)
    if options.command == "record":
        RECORDS.write_text(written(record(options.versions or PACKAGES, options.environments)), encoding="utf-8")
    print("\n".join(report(read_records())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
