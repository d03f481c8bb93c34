"""Measures the memory of a process that makes the first page of a large export, and of its child, Spark's."""

from __future__ import annotations

from exports import CASE, SIZES, SYSTEMS, ask
from harness import OWN, Figure, Report, shown
from workbench import Workbench, command

TARGET = "memory of an export searched"


def exports_memory(bench: Workbench, report: Report) -> None:
    """Measure each engine in a process of its own."""
    report.unit = "MiB"
    for system in SYSTEMS:
        _, _, peak = ask(system, bench, 1)
        report.figures.append(Figure(CASE, bench.size, system, round(peak, 1), round(peak, 1), 1))
        print(f"  {bench.size:>9,} {CASE}: {system} {shown(peak)} MiB", flush=True)
    small, large = (report.median(CASE, size, OWN) for size in SIZES)
    if small and large:
        report.within(TARGET, CASE, max(SIZES), 1_024)
        words = f"<= 1.5x that of {min(SIZES):,} runs"
        report.judge(TARGET, words, CASE, max(SIZES), f"{large / small:.2f}x", words, 1.5 * small / large)


if __name__ == "__main__":
    command("exports_memory", exports_memory, SIZES)
