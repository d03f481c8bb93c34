"""Draws reports as SVG without dates: bars per query and system, and lines over the number of runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import Report

_COLOURS = {
    "mlquery": "#0b6e4f",
    "numpy, slot objects": "#9aa0a6",
    "numpy, all rows": "#9aa0a6",
    "numpy, newest first": "#c4c8cc",
    "numpy": "#9aa0a6",
    "MLflow": "#c0392b",
    "MLflow, ANALYZE": "#e67e22",
    "FastTrackML": "#8e44ad",
    "Polars": "#2471a3",
    "DuckDB": "#b7950b",
    "mlquery, loaded first": "#7fb8a4",
    "mlquery on Spark": "#e67e22",
    "mlquery, Databricks' tables": "#7fb8a4",
    "Polars by hand": "#2471a3",
}
_GROWTH = {"Q7": "Q7", "Q1": "Q1"}
_QUERIES = ("Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q7")


def draw_all(reports: dict[str, Report], folder: Path) -> None:
    """Write the charts of the existing reports."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "mlquery", "svg.fonttype": "none", "font.size": 9})
    folder.mkdir(exist_ok=True)
    titles = {
        "pages": "A page of up to 1,000 runs as entities",
        "rows": "Filter, order and cut: row ids",
        "frames": "A search as a DataFrame",
    }
    for name, title in titles.items():
        if name in reports:
            _bars(reports[name], title, folder / f"{name}.svg")
            _lines(reports[name], title, folder / f"{name}-growth.svg")
    if "engines" in reports:
        title, path = "A page of MLflow's database", folder / "engines-growth.svg"
        cases = {f"{name}: filter, order by a metric": name for name in ("PostgreSQL", "SQLite")}
        _lines(reports["engines"], title, path, cases)
    if "exports" in reports:
        title, path = "The first page of an export", folder / "exports-growth.svg"
        _lines(reports["exports"], title, path, {"first page of 1,000": ""})


def _bars(report: Report, title: str, path: Path) -> None:
    """Draw a group of bars per query at the largest number of runs that most systems have."""
    runs = max((f.runs for f in report.figures if f.median is not None), key=lambda size: (_count(report, size), size))
    systems = list(dict.fromkeys(figure.system for figure in report.figures if figure.runs == runs))
    figure, axes = _axes(f"{title}, {runs:,} runs in the store: median time, less is better")
    width = 0.8 / len(systems)
    for place, system in enumerate(systems):
        found = [(at, report.median(case, runs, system)) for at, case in enumerate(_QUERIES)]
        shown = [(at + place * width, median) for at, median in found if median]
        axes.bar(*zip(*shown, strict=True), width, label=system, color=_COLOURS.get(system))
    axes.set_xticks([at + 0.4 - width / 2 for at in range(len(_QUERIES))], _QUERIES)
    _save(figure, axes, path)


def _lines(report: Report, title: str, path: Path, cases: Mapping[str, str] = _GROWTH) -> None:
    """Draw the growth of one or two cases, given with their names, with the number of runs; a second one is dashed."""
    figure, axes = _axes(f"{title}: median time, less is better")
    for system in dict.fromkeys(figure.system for figure in report.figures):
        is_named = False
        for case, style in zip(cases, ("-", "--"), strict=False):
            points = [(f.runs, f.median) for f in report.figures if f.system == system and f.case == case and f.median]
            if points:
                label, is_named = None if is_named else system, True
                colour = _COLOURS.get(system)
                axes.plot(*zip(*points, strict=True), style, marker="o", markersize=4, label=label, color=colour)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda runs, _: f"{runs:,.0f}")
    names = ", ".join(
        f"{name}: {style}" for name, style in zip(cases.values(), ("lines", "dashes"), strict=False) if name
    )
    axes.set_xlabel(f"runs in the store ({names})" if names else "runs in the store")
    _save(figure, axes, path)


def _count(report: Report, runs: int) -> int:
    return len({f.system for f in report.figures if f.runs == runs and f.median is not None})


def _axes(title: str) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda milliseconds, _: _with_unit(milliseconds))
    axes.tick_params(which="minor", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="y", alpha=0.4)
    return figure, axes


def _with_unit(milliseconds: float) -> str:
    for unit, size in (("s", 1000), ("ms", 1), ("µs", 0.001)):
        if milliseconds >= 0.999 * size:
            return f"{milliseconds / size:,.0f} {unit}"
    return f"{milliseconds * 1e6:,.0f} ns"


def _save(figure: Any, axes: Any, path: Path) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    # Matplotlib ends some lines with whitespace.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
