"""Turns a store and a question of the page into JSON values: what there is, a window of runs, known values, one run.

Questions are plain values as the page sends them; a query that the dialect refuses is an answer, with what the other
dialects say. How figures are computed and how answers travel is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from mlquery.backend.reading import read_run
from mlquery.backend.runs import PARENT
from mlquery.comparison import page_parts
from mlquery.comparison.page_columns import ATTRIBUTES, DURATION, TIMES, column_of, names_present
from mlquery.comparison.page_diagnostics import advice_of, verdicts, written
from mlquery.entities import FileInfo, ViewType
from mlquery.errors import Diagnostic, QueryError
from mlquery.language.features import Use
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.language.plan import Function, Kind, Op
from mlquery.language.render import render
from mlquery.language.syntax import Name, OrderTerm
from mlquery.query.search import search_rows
from mlquery.store import Store
from mlquery.view.columns import StringColumn, column_json, number_json

Answer = dict[str, Any]
Order = Sequence[tuple[str, bool]]
"""Names of columns and whether each is descending."""

VIEWS: Final = {"active": ViewType.ACTIVE_ONLY, "deleted": ViewType.DELETED_ONLY, "all": ViewType.ALL}
_MOST_VALUES: Final = 1000
_HISTORY: Final = Kind.HISTORY.value
_JOINS: Final = ("AND", "OR", "NOT")
_SHOWN_KINDS: Final = {Kind.METRIC: "number", Kind.PARAM: "string", Kind.TAG: "string", Kind.ATTRIBUTE: "string"}


def about(store: Store, dialect: str | Dialect, version: str, title: str = "mlquery") -> Answer:
    """Return what the page must know before it asks: experiments, dialects, fields and the words of the language.

    Args:
        store: What the page is about.
        dialect: The dialect of its filters.
        version: The version of mlquery.
        title: What the page is called.
    """
    chosen = MATRIX.dialect(dialect)
    with store.lock:
        rows = store.runs.default_order()
        return {
            "title": title,
            "version": version,
            "live": True,
            "dialect": chosen.name,
            "dialects": [{"name": name, "title": MATRIX.dialects[name].title} for name in MATRIX.main_dialects],
            "experiments": _experiments(store),
            "filter": "full",
            "fields": [*_attributes(chosen, len(rows)), *_fields(store, rows)],
            "language": _language(chosen),
            "runs": len(rows),
        }


def runs(
    store: Store,
    dialect: str | Dialect,
    *,
    experiments: Sequence[str] | None = None,
    filter: str = "",
    order: Order = (),
    view: str = "active",
    offset: int = 0,
    limit: int | None = 200,
    columns: Sequence[str] = (),
) -> Answer:
    """Return a window of the runs that a filter finds, or why it is refused, and what the other dialects say.

    Args:
        store: Where to search.
        dialect: The dialect of filter and order.
        experiments: The ids of the experiments to search; None for all.
        filter: The filter.
        order: By which columns to order, the first one first.
        view: "active", "deleted" or "all".
        offset: How many of the runs found come before the window.
        limit: The most runs in the window; None for all.
        columns: The names of the columns to return; see `column_of`.

    Raises:
        ValueError: there is no such column.
    """
    chosen, terms = MATRIX.dialect(dialect), [_term(name, descending) for name, descending in order]
    others = {"dialects": verdicts(filter, terms, chosen)}
    warnings: list[Diagnostic] = []
    with store.lock:
        searched = _searched(store, experiments)
        try:
            query = (searched, filter, VIEWS[view], None, terms)
            found, _ = search_rows(store, *query, dialect=chosen, on_warning=warnings.extend)
        except QueryError as error:
            return {"refused": [written(one, filter, chosen) for one in error.diagnostics], **others}
        window: Any = found[offset : None if limit is None else offset + limit]
        return {
            "total": len(found),
            "offset": offset,
            "ids": [store.runs.ids[row] for row in window.tolist()],
            "columns": _columns(store, columns, window),
            "warnings": [written(one, filter, chosen) for one in (*warnings, *advice_of(filter, terms, chosen))],
            **others,
        }


def values(store: Store, field: str, experiments: Sequence[str] | None = None) -> Answer:
    """Return the strings that a param, a tag or an attribute has, the most frequent ones first, and how many there are.

    Raises:
        ValueError: there is no such attribute.
    """
    with store.lock:
        rows = store.runs.default_order()
        column = column_of(store, field, rows)
        if not isinstance(column, StringColumn):
            return {"values": [], "total": 0}
        codes = column.codes
        if experiments is not None:
            codes = codes[np.isin(store.runs.strings["experiment_id"].codes[rows], _codes(store, experiments))]
    counts = np.bincount(codes[codes >= 0], minlength=len(column.table)).tolist()
    found = sorted((-count, string) for count, string in zip(counts, column.table, strict=True) if count)
    return {"values": [[string, -count] for count, string in found[:_MOST_VALUES]], "total": len(found)}


def _codes(store: Store, experiments: Sequence[str]) -> list[int]:
    """Return the codes of experiments among those of the runs."""
    column = store.runs.strings["experiment_id"]
    return [column.code(experiment) for experiment in experiments]


def run(store: Store, run_id: str, files: Iterable[FileInfo] = ()) -> Answer:
    """Return everything about a run.

    Args:
        store: Where it is.
        run_id: Its id.
        files: Its artifacts.

    Raises:
        StoreError: there is no such run.
    """
    with store.lock:
        store.get_run(run_id)
        row = store.runs.row_of[run_id]
        (found,) = read_run(store, [row])
        children = _children(store, run_id)
        return {
            "run_id": run_id,
            "info": dict(found.info) | {"experiment_name": _experiment_name(store, found.info.experiment_id)},
            "params": dict(found.data.params),
            "metrics": {key: _metric(store, run_id, key, value) for key, value in found.data.metrics.items()},
            "tags": dict(found.data.tags),
            "datasets": page_parts.datasets(found),
            "models": page_parts.models(store, found),
            "parent": found.data.tags.get(PARENT),
            "children": children,
            "artifacts": page_parts.artifacts(files),
        }


def _experiments(store: Store) -> list[Answer]:
    column = store.runs.strings["experiment_id"]
    counts = dict.fromkeys(store.experiments.ids, 0)
    for code in column.codes.tolist():
        counts[column.table[code]] = counts.get(column.table[code], 0) + 1
    table = store.experiments
    return [
        {"id": one, "name": table.string("name", row), "runs": counts[one], "active": table.is_active(row)}
        for row, one in enumerate(table.ids)
    ]


def _experiment_name(store: Store, experiment_id: str) -> str | None:
    return store.experiments.string("name", store.experiments.row_of[experiment_id])


def _attributes(dialect: Dialect, count: int) -> list[Answer]:
    """Return the attributes that are columns, and those that only the language knows."""
    known = {field.key: field for field in dialect.fields if field.entity == "run"}
    names = dict.fromkeys((*ATTRIBUTES, *known))
    return [
        {
            "name": name,
            "kind": "time"
            if name in TIMES
            else "number"
            if name == DURATION or _is_number(known.get(name))
            else "string",
            "count": count,
            "written": f"attributes.{name}" if name in known else None,
            "column": name in ATTRIBUTES,
        }
        for name in names
    ]


def _is_number(field: Any) -> bool:
    return field is not None and field.type != "string"


def _fields(store: Store, rows: Any) -> list[Answer]:
    return [
        {
            "name": name,
            "kind": "number" if name.startswith("metrics.") else "string",
            "count": count,
            "written": _spelled(name),
            "column": True,
        }
        for name, count in names_present(store, rows)
    ]


def _language(dialect: Dialect) -> Answer:
    """Return the words that the dialect has: operators by what they compare, what joins clauses, and functions."""
    return {
        "operators": {kind.value: _operators(dialect, kind, type_) for kind, type_ in _SHOWN_KINDS.items()}
        | {"number": _operators(dialect, Kind.ATTRIBUTE, "number")},
        "joins": [join for join in _JOINS if dialect.supports(Use("run", "join", op=join))],
        "functions": [one.value for one in Function if dialect.supports(Use("run", "filter", _HISTORY, key=one.value))],
    }


def _operators(dialect: Dialect, kind: Kind, type_: str) -> list[str]:
    ordering = (Op.GT, Op.GE, Op.LT, Op.LE)
    fitting = [op for op in Op if (op not in ordering if type_ == "string" else "LIKE" not in op.value)]
    lists = (Op.IN, Op.NOT_IN)
    usable = [op for op in fitting if type_ == "string" or op not in lists]
    return [op.value for op in usable if dialect.supports(Use("run", "filter", kind.value, op.value, type=type_))]


def _spelled(name: str) -> str | None:
    """Return how a filter names a metric, param or tag, in quotes where it must be; None if it cannot."""
    prefix, _, key = name.partition(".")
    for quoted in (False, True):
        try:
            return render(Name(prefix, key, quoted))
        except ValueError:
            continue
    return None


def _term(column: str, descending: bool) -> str:
    """Return the entry of order_by that orders by a column."""
    prefix, _, key = column.partition(".")
    attribute = Name("attributes", column)
    for name in (Name(prefix, key), Name(prefix, key, quoted=True)) if key else (attribute,):
        try:
            return render(OrderTerm(name, descending))
        except ValueError:
            continue
    return f"{column} DESC" if descending else column


def _searched(store: Store, experiments: Sequence[str] | None) -> Sequence[str]:
    return list(store.experiments.ids) if experiments is None else experiments


def _columns(store: Store, names: Sequence[str], rows: Any) -> Answer:
    return {name: column_json(column_of(store, name, rows)) for name in names}


def _metric(store: Store, run_id: str, key: str, value: float) -> Answer:
    return {"value": number_json(value), "points": len(store.runs.history(run_id, key)[0])}


def _children(store: Store, run_id: str) -> list[Answer]:
    parents = store.runs.tags.get(PARENT)
    code = -1 if parents is None else parents.code(run_id)
    if parents is None or code < 0:
        return []
    rows = (parents.codes == code).nonzero()[0].tolist()
    return [{"run_id": store.runs.ids[row], "run_name": store.runs.string("run_name", row)} for row in rows]
