"""Reads the known deviations of a target from TOML: cases to leave out, and spellings to accept.

Every entry has a `reason`, may have a `link`, and is printed in every report:

    [[leave_out]]      cases = [ids of cases or topics]
    [[status]]         values = { Finished = "FINISHED" }             the server's name of a status, and MLflow's
    [[error_code]]     values = { BAD_REQUEST = "INVALID_PARAMETER_VALUE" }
    [[ignore_tags]]    prefixes = ["fml."]                             tags that the server adds to runs
    [[spaces]]         around = ["=", "!="]                            put whitespace around operators in every filter
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from mlquery.conformance.execution import Result
from mlquery.conformance.report import KnownDeviation
from mlquery.conformance.suite import Case

_KINDS = {
    "leave_out": "cases",
    "status": "values",
    "error_code": "values",
    "ignore_tags": "prefixes",
    "spaces": "around",
}
_QUOTED = re.compile(r"""('[^']*'|"[^"]*"|`[^`]*`)""")


@attrs.frozen
class KnownDeviations:
    """The known deviations of one target."""

    left_out: dict[str, str] = attrs.field(factory=dict)
    statuses: dict[str, str] = attrs.field(factory=dict)
    error_codes: dict[str, str] = attrs.field(factory=dict)
    ignored_tags: tuple[str, ...] = ()
    spaced: tuple[str, ...] = ()
    declared: tuple[KnownDeviation, ...] = ()

    def reason_to_skip(self, case: Case) -> str | None:
        """Return why a case is left out, None if it is not."""
        return self.left_out.get(case.id) or self.left_out.get(case.topic)

    def prepared(self, case: Case) -> Case:
        """Return a case with the filter that is sent to the target."""
        return attrs.evolve(case, filter=self._with_spaces(case.filter)) if self.spaced else case

    def with_mlflow_error_codes(self, result: Result) -> Result:
        """Return a result with the error codes of MLflow."""
        problems = tuple(
            attrs.evolve(problem, error_code=self.error_codes.get(problem.error_code, problem.error_code))
            for problem in result.problems
        )
        return attrs.evolve(result, problems=problems)

    def same(self, key: str, expected: Any, found: Any) -> bool:
        """Tell whether a value of a run is accepted as the expected one."""
        if key == "status":
            found = self.statuses.get(found, found)
        is_ignored = expected is None and key.removeprefix("tag ").startswith(self.ignored_tags or ("\0",))
        return expected == found or (key.startswith("tag ") and is_ignored)

    def _with_spaces(self, string: str) -> str:
        operators = "|".join(map(re.escape, sorted(self.spaced, key=len, reverse=True)))
        pattern = re.compile(rf"(?<![<>=!])\s*({operators})\s*(?![<>=!])")
        parts = _QUOTED.split(string)
        return "".join(part if number % 2 else pattern.sub(r" \1 ", part) for number, part in enumerate(parts))


NONE = KnownDeviations()


def load_known_deviations(path: Path) -> KnownDeviations:
    """Return the known deviations in a file.

    Raises:
        ValueError: it is not TOML, has an unknown entry, or an entry without a reason.
        OSError: it cannot be read.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    entries = [(kind, entry) for kind, found in data.items() for entry in _entries(path, kind, found)]
    values = {kind: {k: v for of, e in entries if of == kind for k, v in e["values"].items()} for kind in _MAPPINGS}
    return KnownDeviations(
        {name: entry["reason"] for kind, entry in entries if kind == "leave_out" for name in entry["cases"]},
        values["status"],
        values["error_code"],
        tuple(prefix for kind, entry in entries if kind == "ignore_tags" for prefix in entry["prefixes"]),
        tuple(operator for kind, entry in entries if kind == "spaces" for operator in entry["around"]),
        tuple(
            KnownDeviation(_described_entry(kind, entry[_KINDS[kind]]), entry["reason"], entry.get("link", ""))
            for kind, entry in entries
        ),
    )


_MAPPINGS = ("status", "error_code")


def _entries(path: Path, kind: str, found: Any) -> Iterator[dict[str, Any]]:
    if kind not in _KINDS:
        raise ValueError(f"{path}: unknown entry [[{kind}]]; use one of {', '.join(_KINDS)}")
    for entry in found if isinstance(found, list) else [found]:
        content, expected = entry.get(_KINDS[kind]), dict if kind in _MAPPINGS else list
        if (
            not entry.get("reason")
            or not isinstance(content, expected)
            or entry.keys() - {_KINDS[kind], "reason", "link"}
        ):
            raise ValueError(f"{path}: [[{kind}]] takes {_KINDS[kind]}, a reason, optionally a link, and nothing else")
        yield entry


def _described_entry(kind: str, content: Any) -> str:
    if isinstance(content, dict):
        return f"{kind}: {', '.join(f'{actual} counts as {expected}' for actual, expected in content.items())}"
    return f"{kind}: {', '.join(content)}"
