"""Times systems side by side in one process, saves the measurements as JSON, and checks them against targets.

Every round calls each system once or, where a call is short, a few times in a row; rounds go through the systems in
turn, so that a busy moment of the machine meets all of them. The collector keeps its default settings and works as in a
user's script; it has run once before the first round.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

# Settings that work around bugs of old builds of OpenBLAS and slow down a current NumPy, which is not imported yet.
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results"
OWN = "mlquery"
_PACKAGES = ("mlquery", "mlflow", "SQLAlchemy", "numpy", "pandas", "pyarrow", "duckdb", "polars")


@dataclass(frozen=True)
class Plan:
    """How much to measure: rounds, the seconds of a system for one case, the seconds of a burst of short calls."""

    rounds: int = 9
    budget: float = 3.0
    burst: float = 0.004
    most_in_burst: int = 40


@dataclass(frozen=True)
class Figure:
    """The times of one system for one case, per call in the unit of the report; without calls if it was left out."""

    case: str
    runs: int
    system: str
    median: float | None
    least: float | None
    calls: int
    left_out: str = ""


@dataclass(frozen=True)
class Verdict:
    """A target and the measurement; `margin` is how many times better than allowed it is, below 1 if it fails."""

    target: str
    against: str
    case: str
    runs: int
    measured: str
    allowed: str
    margin: float

    @property
    def met(self) -> bool:
        return self.margin >= 1


@dataclass
class Report:
    """The measurements of one benchmark."""

    question: str
    unit: str = "ms"
    figures: list[Figure] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def figure(self, case: str, runs: int, system: str) -> Figure | None:
        """Return the measurement of a system, None if there is none."""
        for one in self.figures:
            if (one.case, one.runs, one.system) == (case, runs, system) and one.median is not None:
                return one
        return None

    def median(self, case: str, runs: int, system: str) -> float | None:
        found = self.figure(case, runs, system)
        return None if found is None else found.median

    def at_least(self, target: str, case: str, runs: int, peer: str, times: float) -> None:
        """Check how many times faster than a peer mlquery is, if both were measured."""
        mine, other = self.median(case, runs, OWN), self.median(case, runs, peer)
        if mine and other:
            words = f">= {times:g}x {peer}"
            self.judge(target, words, case, runs, f"{shown(other / mine)}x", words, other / mine / times)

    def at_most(self, target: str, case: str, runs: int, limit: str, times: float, plus: float = 0.0) -> None:
        """Check mlquery's time against a limit: at most `times` of it plus a few ms."""
        mine, other = self.median(case, runs, OWN), self.median(case, runs, limit)
        if mine and other is not None:
            allowed = times * other + plus
            more = f"{plus:g} ms" if plus >= 1 else f"{plus * 1000:g} µs"
            words = f"<= {times:g}x {limit}" + (f" + {more}" if plus else "")
            unit = self.unit
            self.judge(target, words, case, runs, f"{shown(mine)} {unit}", f"{shown(allowed)} {unit}", allowed / mine)

    def within(self, target: str, case: str, runs: int, most: float) -> None:
        """Check mlquery's figure, in the unit of the report."""
        mine = self.median(case, runs, OWN)
        if mine is not None:
            words = f"<= {shown(most)} {self.unit}"
            self.judge(target, words, case, runs, f"{shown(mine)} {self.unit}", words, most / mine)

    def judge(
        self, target: str, against: str, case: str, runs: int, measured: str, allowed: str, margin: float
    ) -> None:
        """Record a verdict."""
        self.verdicts.append(Verdict(target, against, case, runs, measured, allowed, float(f"{margin:.3g}")))

    def save(self, folder: Path = RESULTS) -> Path:
        """Write everything as JSON."""
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.question}.json"
        data = {"machine": machine(), **asdict(self)}
        path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
        return path


def read_report(path: Path) -> tuple[Report, dict[str, Any]]:
    """Return a saved report and the machine it comes from."""
    data = json.loads(path.read_text())
    figures = [Figure(**one) for one in data["figures"]]
    verdicts = [Verdict(**one) for one in data["verdicts"]]
    return Report(data["question"], data["unit"], figures, verdicts), data["machine"]


def measure(
    report: Report,
    case: str,
    runs: int,
    systems: Mapping[str, Callable[[], Any]],
    *,
    ids: Callable[[Any], Sequence[str]] | None = None,
    differing: Sequence[str] = (),
    plan: Plan | None = None,
) -> None:
    """Time calls of systems in turns and add a figure for each to the report.

    Args:
        report: Where the figures go.
        case: What is measured.
        runs: The number of runs in the stores.
        systems: A call per system.
        ids: Takes the run ids out of what a call returns; all systems must return the same ones in the same order.
        differing: Systems that are known to answer otherwise.
        plan: How much is measured.

    Raises: ValueError if the answers differ.
    """
    plan = plan or Plan()
    once, answers = {}, {}
    for name, call in systems.items():  # also the warm-up
        start = time.perf_counter()
        answer = call()
        once[name] = time.perf_counter() - start
        if ids is not None and name not in differing:
            answers[name] = list(ids(answer))
        del answer
        if once[name] <= plan.budget:
            once[name] = _seconds(call)
    _require_same(case, answers)
    seconds = _in_turns(systems, once, plan)
    for name in systems:
        report.figures.append(figure(case, runs, name, seconds[name] or [once[name]]))
    row = ", ".join(f"{name} {shown(report.median(case, runs, name) or 0)}" for name in systems)
    print(f"  {runs:>9,} {case}: {row} ms", flush=True)


def _in_turns(systems: Mapping[str, Callable[[], Any]], once: dict[str, float], plan: Plan) -> dict[str, list[float]]:
    """Return the seconds of every call; none for a system whose first call exceeded its time."""
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    rounds = {name: _rounds(least, plan) for name, least in once.items()}
    gc.collect()
    names = list(systems)
    for number in range(max(rounds.values())):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            if number < rounds[name]:
                seconds[name] += _burst(systems[name], once[name], plan)
    return seconds


def _require_same(case: str, answers: Mapping[str, Sequence[str]]) -> None:
    """Raise ValueError unless all systems give the same run ids in the same order."""
    if not answers:
        return
    (name, expected), *others = answers.items()
    for other, found in others:
        if found != expected:
            raise ValueError(f"{case}: {other} answers {len(found)} runs that are not the {len(expected)} of {name}")


def figure(case: str, runs: int, system: str, seconds: Sequence[float]) -> Figure:
    """Return the figure of some calls."""
    median, least = statistics.median(seconds) * 1000, min(seconds) * 1000
    return Figure(case, runs, system, _rounded(median), _rounded(least), len(seconds))


def leave_out(report: Report, case: str, runs: int, system: str, why: str) -> None:
    """Record why a system was not measured."""
    report.figures.append(Figure(case, runs, system, None, None, 0, why))


def record(report: Report, case: str, runs: int, system: str, seconds: Sequence[float]) -> None:
    """Add a figure from times per call that were measured elsewhere."""
    report.figures.append(figure(case, runs, system, seconds))
    print(f"  {runs:>9,} {case}: {system} {shown(report.figures[-1].median or 0)} ms", flush=True)


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _burst(call: Callable[[], Any], once: float, plan: Plan) -> list[float]:
    count = int(min(plan.most_in_burst, max(1, plan.burst / max(once, 1e-7))))
    return [_seconds(call) for _ in range(count)]


def _rounds(once: float, plan: Plan) -> int:
    """Return in how many rounds a system takes part; 0 if its first call alone used up the time, else at least 3."""
    if once > plan.budget:
        return 0
    return int(min(plan.rounds, max(3, plan.budget / max(once, 1e-6))))


def _rounded(milliseconds: float) -> float:
    return float(f"{milliseconds:.4g}")


def shown(value: float) -> str:
    """Return a number with three digits and thousands apart."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """Return the properties of the machine, without its name and folders."""
    from systems import fasttrackml  # imports this module

    versions = {name: _version(name) for name in _PACKAGES} | {"FastTrackML": fasttrackml.version()}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 1),
        "versions": {name: version for name, version in versions.items() if version},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
