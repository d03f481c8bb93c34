"""`mlquery compare`: turns its arguments into a comparison, and that into tables, CSV, JSON, Markdown or a report."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from math import isnan
from typing import Any, Final

from mlquery.cli.grids import BAD, BOLD, CHANGED, GOOD, Cell, Grid, markdown, print_grids
from mlquery.cli.options import filter_of
from mlquery.cli.outcomes import ACCEPTED, UsageError
from mlquery.cli.progress import progress
from mlquery.cli.tables import one_line, shown_time
from mlquery.client.in_place import InPlaceClient
from mlquery.comparison import Comparison, compare
from mlquery.comparison.fields import ATTRIBUTE, METRIC, PARAM, TAG, TIMES, Field
from mlquery.comparison.loading import store_of_runs
from mlquery.comparison.page_data import records
from mlquery.comparison.selection import run_named
from mlquery.comparison.values import direction_of
from mlquery.durable.store import DurableStore
from mlquery.entities import Experiment, ViewType
from mlquery.language.matrix import MATRIX
from mlquery.query.page_tokens import all_pages
from mlquery.remote.opening import is_remote
from mlquery.remote.source import RemoteSource
from mlquery.store import Store
from mlquery.store.entity_fields import without_nan
from mlquery.sync.reading import read_source
from mlquery.sync.sources import chosen_experiments, experiments_of

_ID: Final = re.compile(r"[\w-]+")
_ORDER: Final = {METRIC: 0, PARAM: 1, ATTRIBUTE: 2, TAG: 3}
_SHORT: Final = 8  # characters of an id
_PAGE: Final = 1000
_SIGNIFICANT: Final = 0.05  # what is coloured


def compare_command(options: argparse.Namespace, dialect: str | None) -> int:
    """Put runs side by side; without a dialect it is that of the source."""
    with progress() as show, _opened(options, show) as source:
        found = _compared(source, options, dialect)
        if options.output:
            show("report", 0, 1)
            found.to_html(options.output, options.title)
            print(f"{options.output}: {len(found)} runs")
        else:
            text = list(FORMATS[options.format](found))
    if not options.output:
        _print(text, options)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return ACCEPTED


def _print(text: list[Any], options: argparse.Namespace) -> None:
    if options.format == "table":
        print_grids(text, options.no_color)
    else:
        print(*text, sep="\n")


@contextmanager
def _opened(options: argparse.Namespace, show: Callable[[str, int, int], None]) -> Iterator[Store | InPlaceClient]:
    """Give a store with the runs, or a client of the server that is asked for those that are compared."""
    if is_remote(options.source):
        server = RemoteSource(options.source, options.server_dialect, options.max_pages)
        server.on_progress = show
        yield InPlaceClient(server, MATRIX.local_dialect)
        return
    store = read_source(options.source, options.experiment, progress=show)
    try:
        yield store
    finally:
        if isinstance(store, DurableStore):
            store.close()


def _compared(source: Store | InPlaceClient, options: argparse.Namespace, dialect: str | None) -> Comparison:
    known = experiments_of(source) if isinstance(source, Store) else _all_experiments(source)
    chosen = chosen_experiments(known, options.experiment, options.source)
    return compare(
        _runs(source, options),
        _value(options.value),
        _one(source, options.baseline) if options.baseline else None,
        options.group_by or None,
        options.ignore,
        source=source,
        experiment_ids=[experiment.experiment_id for experiment in chosen] if options.experiment else None,
        dialect=dialect,
        directions=dict(_pair("--direction", string) for string in options.direction),
        order_by=options.order_by,
    )


def _all_experiments(client: InPlaceClient) -> list[Experiment]:
    return list(all_pages(partial(client.search_experiments, ViewType.ALL), _PAGE))


def _runs(source: Store | InPlaceClient, options: argparse.Namespace) -> str | list[str]:
    """Return the filter that is given, or the ids; a single word is one of a run."""
    given: list[str] = options.runs
    if all(map(_ID.fullmatch, given)) and given and given != ["-"]:
        return [_one(source, name) for name in given]
    if len(given) > 1:
        raise UsageError("runs are given as one filter or as ids; instead: quote the filter")
    return filter_of(given[0]) if given else ""


def _one(source: Store | InPlaceClient, name: str) -> str:
    """Return the id of the run that a word names: its id, the beginning of it, or its name."""
    store = source if isinstance(source, Store) else _runs_named(source, name)
    return run_named(store, store.runs.ids, name)


def _runs_named(client: InPlaceClient, name: str) -> Store:
    """Return a store with the runs of a server that a word may name."""
    ids = [experiment.experiment_id for experiment in _all_experiments(client)]
    written = f"run_id LIKE '{name}%' OR run_name = '{name}'"
    return store_of_runs(client.search_runs(ids, written, max_results=_PAGE))


def _value(given: Sequence[str]) -> str | dict[str, str]:
    """Return by what metrics are compared: all by one value, or each by its own."""
    pairs = [string for string in given if "=" in string]
    if not pairs and len(given) <= 1:
        return given[0] if given else "last"
    if len(pairs) < len(given):
        raise UsageError("--value is one value for all metrics, or METRIC=VALUE for some of them")
    return dict(_pair("--value", string) for string in pairs)


def _pair(option: str, string: str) -> tuple[str, str]:
    metric, separator, value = string.rpartition("=")
    if not separator:
        raise UsageError(f"{option} takes METRIC=…, not {string!r}")
    return metric, value


def _grids(found: Comparison) -> Iterator[Grid]:
    yield _differing(found)
    if len(found.grouping.labels) == len(found):
        return
    if find_spec("scipy") is None:
        print("warning: groups and tests need scipy: pip install 'mlquery[compare]'", file=sys.stderr)
        return
    yield from _groups(found)


def _differing(found: Comparison) -> Grid:
    """Return the fields that differ, one row per field; the baseline comes first."""
    fields = sorted((field for field in found.fields if field.differs), key=lambda field: _ORDER[field.kind])
    base = None if found.baseline is None else found.run_ids.index(found.baseline)
    places = sorted(range(len(found)), key=lambda place: place != base)
    same = len(found.fields) - len(fields)
    title = f"{_counted(len(found), 'run')}, {_counted(len(fields), 'field')} that differ, {same} the same"
    rows = [
        [Cell(one_line(field.name), BOLD), *(_cell(found, field, place, base) for place in places)] for field in fields
    ]
    names = _names(found, base)
    return Grid(title, ["field", *(names[place] for place in places)], rows, 1, "run")


def _names(found: Comparison, base: int | None) -> list[str]:
    """Return what runs are called: their names, with the beginning of the id where several have one name or none."""
    names = found.run_names
    counts = Counter(names)
    shown = (
        one_line(name) if name and counts[name] == 1 else f"{one_line(name or '')} {run_id[:_SHORT]}"
        for name, run_id in zip(names, found.run_ids, strict=True)
    )
    return [f"{name.strip()}{' (baseline)' * (place == base)}" for place, name in enumerate(shown)]


def _cell(found: Comparison, field: Field, place: int, base: int | None) -> Cell:
    if not field.present[place]:
        return Cell("")
    value = field.values[place].item() if field.values.dtype.kind in "fi" else field.values[place]
    if field.kind == METRIC:
        return _metric_cell(found, field, value, None if base in (None, place) else field.values[base].item())
    if field.kind == ATTRIBUTE and field.key in TIMES:
        return Cell(shown_time(value))
    changed = base is not None and value != field.values[base]
    return Cell(one_line(str(value)), CHANGED if changed else "")


def _metric_cell(found: Comparison, field: Field, value: float, base: float | None) -> Cell:
    if base is None or isnan(base) or isnan(value):
        return Cell(f"{value:.6g}")
    delta = value - base
    relative = f", {100 * delta / abs(base):+.3g} %" if base else ""
    return Cell(f"{value:.6g} ({delta:+.3g}{relative})", _style(found, field.key, delta))


def _style(found: Comparison, metric: str, delta: float) -> str:
    """Return the style of a difference: whether it is for the better, if that is known."""
    direction = direction_of(metric, found.directions)
    if not delta or direction is None:
        return ""
    return GOOD if (delta > 0) == (direction == "max") else BAD


def _groups(found: Comparison) -> Iterator[Grid]:
    """Yield the groups of each metric, the best first if it is known what is better."""
    groups, tests = found.groups, found.tests
    level = f"{100 * groups.attrs['level']:g} %"
    header = ["group", "n", "mean", "std", f"{level} interval"]
    header += ["difference", "its interval", "p (Holm)", "effect"] if len(tests) else []
    for metric in dict.fromkeys(groups["metric"].tolist()):
        rows = groups[groups["metric"] == metric].to_dict("records")
        direction = direction_of(metric, found.directions)
        if direction:
            rows.sort(key=lambda row: (isnan(row["mean"]), row["mean"] if direction == "min" else -row["mean"]))
        against = {row["group"]: row for row in tests[tests["metric"] == metric].to_dict("records")}
        title = f"{one_line(metric)} by group" + (
            f", {'lower' if direction == 'min' else 'higher'} is better" if direction else ""
        )
        yield Grid(
            title, header, [list(_group_cells(found, row, against, len(header))) for row in rows], 5, complete="json"
        )


def _group_cells(found: Comparison, row: dict[str, Any], against: dict[str, Any], columns: int) -> Iterator[Cell]:
    yield Cell(one_line(row["group"], 60), BOLD)
    yield Cell(str(row["n"]))
    yield from map(Cell, (_shown(row["mean"]), _shown(row["std"]), _interval(row["low"], row["high"])))
    test = against.get(row["group"])
    if test is None:
        yield from [Cell("baseline" if against and place == 0 else "") for place in range(columns - 5)]
        return
    is_significant = test["p_holm"] < _SIGNIFICANT
    yield Cell(
        _shown(test["difference"], "+"), _style(found, row["metric"], test["difference"]) if is_significant else ""
    )
    yield Cell(_interval(test["low"], test["high"]))
    yield Cell("" if isnan(test["p_holm"]) else f"{test['p_holm']:.2g}", BOLD if is_significant else "")
    effect = test["effect_size"]
    yield Cell("" if isnan(effect) else f"{test['effect']} {effect:+.2f}")


def _interval(low: float, high: float) -> str:
    return "" if isnan(low) else f"{low:.4g} to {high:.4g}"


def _shown(number: float, sign: str = "") -> str:
    return "" if isnan(number) else f"{number:{sign}.4g}"


def _csv(found: Comparison) -> Iterator[str]:
    """Yield one row per run."""
    yield found.to_frame().to_csv(index=False).removesuffix("\n")


def _json(found: Comparison) -> Iterator[str]:
    """Yield everything as JSON; times are ms UTC, NaN and infinities strings, what is missing is null."""
    fields = {field.name: _json_values(field) for field in found.fields}
    runs = [
        {"run_id": run_id, **{name: values[place] for name, values in fields.items() if values[place] is not None}}
        for place, run_id in enumerate(found.run_ids)
    ]
    whole = {
        "value": found.value,
        "baseline": found.baseline,
        "differs": [field.name for field in found.fields if field.differs],
        "runs": runs,
    }
    if find_spec("scipy") is not None:
        whole |= {"groups": records(found.groups), "tests": records(found.tests)}
    yield json.dumps(without_nan(whole | {"warnings": list(found.warnings)}), indent=2, ensure_ascii=False)


def _json_values(field: Field) -> list[Any]:
    pairs = zip(field.values.tolist(), field.present.tolist(), strict=True)
    return [value if is_present else None for value, is_present in pairs]


def _markdown(found: Comparison) -> Iterator[str]:
    return markdown(_grids(found))


FORMATS: Final[dict[str, Callable[[Comparison], Iterator[Any]]]] = {
    "table": _grids,
    "csv": _csv,
    "json": _json,
    "md": _markdown,
}


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
