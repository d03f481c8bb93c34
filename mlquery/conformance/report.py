"""Defines the report of a run of the suite on one target in one dialect, from which every format is rendered.

A report contains titles and queries, so that it can be read without the suite.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import attrs

from mlquery.conformance.suite import Case, Expectation
from mlquery.language.matrix import MATRIX
from mlquery.resources import data_path

Outcome = Literal["pass", "fail", "refused-as-declared", "skipped", "errored"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""pass: the declared result. refused-as-declared: the dialect declares a refusal, and the target refuses. fail: another
result. skipped: not run, the first detail says why. errored: no result that could be compared."""

BAD: tuple[Outcome, ...] = ("fail", "errored")


@attrs.frozen
class KnownDeviation:
    """One known deviation of the target that changes what is run, or how results are compared."""

    what: str
    reason: str
    link: str = ""


@attrs.frozen
class Row:
    """One case: its query, the lines of the matrix that it exercises, and its outcome.

    `details` are the differences from the expectation, or the reason for skipping. `query` is for human readers.
    """

    case: str
    topic: str
    title: str
    features: tuple[str, ...]
    outcome: Outcome
    details: tuple[str, ...] = ()
    query: str = ""


@attrs.frozen
class FeatureVerdict:
    """One line of the matrix on one target: what the dialect declares ("yes", "no", "silent") and what was observed.

    `verdict` is "fail" when a case failed or had an error, "pass" when cases ran and none did, else "skipped".
    `cases` are its rows, in order.
    """

    feature: str
    title: str
    declared: str
    verdict: Literal["pass", "fail", "skipped"]
    totals: Mapping[Outcome, int]
    cases: tuple[str, ...]


@attrs.frozen
class Report:
    """One run of the suite: the target, the dialect, the date, the known deviations of the target, and every row.

    `target` is a URI without secrets, `date` ISO 8601 in UTC, `suite` the start of the SHA-256 of the suite's files.
    """

    target: str
    product: str
    version: str
    dialect: str
    date: str
    suite: str
    rows: tuple[Row, ...]
    known_deviations: tuple[KnownDeviation, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """Return the report as JSON can hold it; its known deviations have the key that files have always had."""
        document = attrs.asdict(self)
        return {"tweaks" if name == "known_deviations" else name: value for name, value in document.items()}

    @property
    def totals(self) -> dict[Outcome, int]:
        """Return how many rows have each outcome."""
        return counted(self.rows)

    @property
    def passed(self) -> bool:
        """Tell whether no case failed or had an error."""
        return not any(row.outcome in BAD for row in self.rows)

    @property
    def features(self) -> tuple[FeatureVerdict, ...]:
        """Return the verdict on each line of the matrix that has rows, in the order of the matrix."""
        by_feature: dict[str, list[Row]] = {feature.id: [] for feature in MATRIX.features}
        for row in self.rows:
            for feature in row.features:
                by_feature.setdefault(feature, []).append(row)
        return tuple(_verdict(feature, rows, self.dialect) for feature, rows in by_feature.items() if rows)


def counted(rows: Iterable[Row]) -> dict[Outcome, int]:
    """Return how many rows have each outcome, zeros included."""
    found = Counter(row.outcome for row in rows)
    return {outcome: found[outcome] for outcome in OUTCOMES}


def _verdict(feature_id: str, rows: list[Row], dialect: str) -> FeatureVerdict:
    totals = counted(rows)
    bad, ran = any(totals[o] for o in BAD), len(rows) > totals["skipped"]
    feature = next((f for f in MATRIX.features if f.id == feature_id), None)
    return FeatureVerdict(
        feature_id,
        feature.title if feature else feature_id,
        feature.cells[dialect].state if feature and dialect in feature.cells else "unknown",
        "fail" if bad else "pass" if ran else "skipped",
        totals,
        tuple(row.case for row in rows),
    )


def row_of(case: Case, outcome: Outcome, details: Iterable[str] = ()) -> Row:
    """Return the row of a case."""
    return Row(case.id, case.topic, case.title, case.features, outcome, tuple(details), "\n".join(_query_lines(case)))


def _query_lines(case: Case) -> Iterator[str]:
    for call in case.calls:
        arguments = ", ".join(f"{key}={value!r}" for key, value in call.items() if key != "call")
        yield f"call {call['call']}({arguments})"
    yield f"search {case.entity}s of the store {case.store}"
    if case.filter:
        shown = case.filter if len(case.filter) <= 1000 else f"{case.filter[:1000]} … ({len(case.filter)} characters)"
        yield f"filter: {shown}"
    if case.order_by:
        yield f"order_by: {', '.join(case.order_by)}"
    if case.view != "ACTIVE_ONLY":
        yield f"view: {case.view}"
    if case.max_results != 1000 or case.walk:
        yield f"max_results: {case.max_results}{', all pages' if case.walk else ''}"
    if case.page_token is not None:
        yield f"page_token: {case.page_token}"


def undocumented(case: Case, dialect: str) -> str | None:
    """Return why a case is skipped by default: no source says what the dialect does. None if one does."""
    warns = case.expect[dialect].warns
    return f"no source says what {dialect} does here: {', '.join(warns)}" if warns else None


def outcome_of_match(expected: Expectation) -> Outcome:
    """Return the outcome of an expected result: a refusal that the matrix declares, or a pass."""
    is_declared = any(p.feature is not None or p.code == "unsupported" for p in expected.problems[:1])
    return "refused-as-declared" if is_declared else "pass"


def new_report(
    target: str,
    product: str,
    version: str,
    dialect: str,
    rows: Iterable[Row],
    known_deviations: tuple[KnownDeviation, ...] = (),
) -> Report:
    """Return a report with the present date and suite."""
    date = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Report(target, product, version, dialect, date, suite_hash(), tuple(rows), known_deviations)


def suite_hash() -> str:
    """Return the start of the SHA-256 of the files of the suite that ships with mlquery."""
    folder = data_path("conformance")
    digest = hashlib.sha256()
    for path in sorted([folder / "suite.toml", *folder.glob("stores/*.toml"), *folder.glob("cases/*.toml")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
