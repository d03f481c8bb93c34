"""`mlquery compare`: turns its arguments into a comparison, and that into tables, CSV, JSON, Markdown or a report."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial, reduce
from importlib.util import find_spec
from operator import or_
from typing import Any, Final

from mlquery.backend.selection import all_results
from mlquery.cli.options import filter_of
from mlquery.cli.outcomes import ACCEPTED, UsageError
from mlquery.cli.progress import progress
from mlquery.client.in_place import InPlaceClient
from mlquery.comparison import Comparison, compare
from mlquery.comparison.fields import Field
from mlquery.comparison.loading import put_run
from mlquery.comparison.page_data import records
from mlquery.comparison.selection import run_named
from mlquery.durable.store import DurableStore
from mlquery.entities import Experiment, ViewType
from mlquery.language.building import Condition, F
from mlquery.language.matrix import MATRIX
from mlquery.remote.opening import is_remote
from mlquery.remote.source import RemoteSource
from mlquery.store import Store
from mlquery.store.entity_fields import without_nan
from mlquery.store.validation import RUN_ID
from mlquery.sync.reading import read_source
from mlquery.sync.sources import chosen_experiments, experiments_of
from mlquery.tables.comparisons import NEEDS_SCIPY, grids_of, has_groups
from mlquery.tables.grids import Grid, markdown, print_grids

_WORD: Final = re.compile(r"[\w-]+")


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
        server.showing = lambda: nullcontext(show)
        yield InPlaceClient(server, MATRIX.local_dialect)
        return
    store = read_source(options.source, options.experiment, progress=show)
    try:
        yield store
    finally:
        if isinstance(store, DurableStore):
            store.close()


def _compared(source: Store | InPlaceClient, options: argparse.Namespace, dialect: str | None) -> Comparison:
    words = _words(options.runs)
    named = _named(source, [*words, options.baseline] if options.baseline else words)
    return compare(
        [named[word] for word in words] or (filter_of(options.runs[0]) if options.runs else ""),
        _value(options.value),
        named[options.baseline] if options.baseline else None,
        options.group_by or None,
        options.ignore,
        source=source,
        experiment_ids=_chosen(source, options) if options.experiment else None,
        dialect=dialect,
        directions=dict(_pair("--direction", string) for string in options.direction),
        order_by=options.order_by,
    )


def _chosen(source: Store | InPlaceClient, options: argparse.Namespace) -> list[str]:
    known = experiments_of(source) if isinstance(source, Store) else _all_experiments(source)
    return [found.experiment_id for found in chosen_experiments(known, options.experiment, options.source)]


def _all_experiments(client: InPlaceClient) -> list[Experiment]:
    return all_results(partial(client.search_experiments, ViewType.ALL))


def _words(given: Sequence[str]) -> list[str]:
    """Return the words that name runs; none if a filter is given. A single word is one of a run."""
    if all(map(_WORD.fullmatch, given)) and given != ["-"]:
        return list(given)
    if len(given) > 1:
        raise UsageError("runs are given as one filter or as ids; instead: quote the filter")
    return []


def _named(source: Store | InPlaceClient, words: Sequence[str]) -> dict[str, str]:
    """Return the ids of the runs that words name: by an id, the beginning of one, or a name."""
    store = source if isinstance(source, Store) else _runs_named(source, words)
    return {word: run_named(store, store.runs.ids, word) for word in words}


def _runs_named(client: InPlaceClient, words: Sequence[str]) -> Store:
    """Return a store with the runs of a server that words may name: whole ids, else names, else beginnings of ids."""
    may_be_ids = [word for word in words if RUN_ID.fullmatch(word)]  # not only hexadecimal: Azure has names of jobs
    store = client.source.runs(may_be_ids)
    left = [word for word in words if word not in store.runs.row_of]
    if not left:
        return store
    ids = [experiment.experiment_id for experiment in _all_experiments(client)]
    try:
        by_name = F.run_name.isin(left)
    except ValueError as error:
        raise UsageError(f"{error}; instead of the name of a run: its id") from None
    known = _put_found(store, client, ids, by_name) | {*store.runs.row_of}
    begun = [F.run_id.like(f"{word}%") for word in may_be_ids if word not in known]
    if begun:
        _put_found(store, client, ids, reduce(or_, begun))
    return store


def _put_found(store: Store, client: InPlaceClient, ids: list[str], condition: Condition) -> set[str | None]:
    """Put the runs that a search finds into a store, and return their names."""
    found = all_results(partial(client.search_runs, ids, str(condition)))
    for run in found:
        put_run(store, run)
    return {run.info.run_name for run in found}


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
    yield from grids_of(found)
    if has_groups(found) and find_spec("scipy") is None:
        print(f"warning: {NEEDS_SCIPY}", file=sys.stderr)


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
