"""The tools of an assistant: each takes plain arguments, asks what the command line asks, and returns a short answer.

Their names, arguments and docstrings are what an assistant reads. What a query means is known to the rooms below; the
protocol is not known here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import attrs

from mlquery.backend.selection import all_results, chosen_experiment_ids, count_found, found_runs
from mlquery.entities import Run, ViewType
from mlquery.errors import invalid_parameter
from mlquery.language.building import F
from mlquery.language.plan import Entity
from mlquery.mcp_server.answers import MAX_BYTES, Answer, series
from mlquery.mcp_server.sources import Sources
from mlquery.query import in_place
from mlquery.query.histories import PointsByKey
from mlquery.query.reading import read_query
from mlquery.query.search import check as check_query
from mlquery.tables.lines import aligned, counted, one_line
from mlquery.tables.runs import column_of, fields_named, history_cells, run_cells

if TYPE_CHECKING:
    from mlquery.backend import Backend
    from mlquery.language.plan import FieldRef

FEW_RUNS: Final = 20
MOST_RUNS: Final = 1_000
FEW_POINTS: Final = 50
_FEW_GROUPS: Final = 50
_FEW_FIELDS: Final = 40
_SAMPLE: Final = 200  # runs whose keys are counted
_FEW_KEYS: Final = 40
_ALWAYS: Final = ("run_id", "run_name", "status")
_VIEW: Final = ViewType.ACTIVE_ONLY


@attrs.frozen
class Tools:
    """The tools over some sources."""

    sources: Sources

    def describe(
        self, source: str | None = None, experiments: list[str] | None = None, max_bytes: int = MAX_BYTES
    ) -> Answer:
        """List the experiments of a source with their numbers of runs, and the keys of metrics, params and tags.

        Call it first: the other tools need these names. Keys are those of the newest 200 runs, with how many runs
        have them.

        Args:
            source: Path or URI of a database, an mlruns folder, a store or a server; not needed if there is only one.
            experiments: Names or ids of experiments to look at; all by default.
            max_bytes: The most bytes of the answer.
        """
        name = self.sources.named(source)
        with self.sources.opened(source) as backend:
            ids = self._experiment_ids(backend, experiments, name)
            found = [one for one in all_results(backend.search_experiments) if one.experiment_id in set(ids)]
            runs = list(found_runs(backend, ids, "", _VIEW, (), _SAMPLE))
            sizes = [_count(count_found(backend, [one.experiment_id], "", _VIEW)) for one in found[:FEW_RUNS]]
        shown = found[:FEW_RUNS]
        columns = (["id", *(one.experiment_id for one in shown)], ["runs", *sizes])
        lines = [f"{self.sources.shown(name)}, dialect {self.sources.dialect.name}", ""]
        lines += aligned([*columns, ["experiment", *(one_line(one.name) for one in shown)]])
        lines += [f"and {len(found) - len(shown)} more experiments"] if len(found) > len(shown) else []
        return Answer((*lines, "", *_keys(runs)), (), max_bytes)

    def check(
        self,
        filter: str = "",
        order_by: list[str] | None = None,
        dialects: list[str] | None = None,
        entity: str = "run",
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        """Check whether dialects accept a filter; no data is read. Mistakes are underlined, with what to write instead.

        Args:
            filter: A filter, such as metrics.auc > 0.9 AND params.model = 'forest'.
            order_by: Fields, each with ASC or DESC.
            dialects: "oss" for MLflow, "azure" for Azure Machine Learning, "extended" for mlquery; that of the server
                by default.
            entity: What is searched: run, experiment, registered_model or model_version.
            max_bytes: The most bytes of the answer.
        """
        lines: list[str] = []
        for name in dialects or [self.sources.dialect.name]:
            dialect = self.sources.dialect_named(name)
            verdict = check_query(filter, order_by, dialect=dialect, entity=entity)
            lines.append(f"{dialect.name}: {'accepted' if verdict else 'refused'}")
            lines += (line for diagnostic in verdict.diagnostics for line in str(diagnostic).splitlines())
        return Answer(tuple(lines), (), max_bytes)

    def search(
        self,
        filter: str = "",
        source: str | None = None,
        order_by: list[str] | None = None,
        experiments: list[str] | None = None,
        max_results: int = FEW_RUNS,
        columns: list[str] | None = None,
        dialect: str | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        """Find runs by a filter, as a table of their ids, names, statuses and the fields that the query names.

        Args:
            filter: A filter, such as metrics.auc > 0.9 AND params.model = 'forest'; all runs by default.
            source: Path or URI of a source; not needed if there is only one.
            order_by: Fields, each with ASC or DESC, such as metrics.auc DESC; the newest runs first by default.
            experiments: Names or ids of experiments; all by default.
            max_results: The most runs, up to 1000.
            columns: More columns, such as metrics.auc, params.model, start_time, max(metrics.auc).
            dialect: The dialect of the query; that of the server by default.
            max_bytes: The most bytes of the answer.
        """
        limit, name = _within(max_results, "max_results", MOST_RUNS), self.sources.named(source)
        with self.sources.opened(source, dialect) as backend:
            ids = self._experiment_ids(backend, experiments, name)
            runs = list(found_runs(backend, ids, filter, _VIEW, order_by or (), limit))
            read = read_query(Entity.RUN, filter, order_by, _VIEW, backend.dialect)
            fields = [*_columns(columns or ()), *fields_named(read.plan)]
            histories = history_cells(fields, lambda *asked: _points(backend, *asked), runs)
            total = len(runs) if len(runs) < limit else count_found(backend, ids, filter, _VIEW)
        names = list(dict.fromkeys([*_ALWAYS, *map(column_of, fields)]))
        rows = [run_cells(run) | cells for run, cells in zip(runs, histories, strict=True)]
        lines = aligned([[name, *(row.get(name, "") for row in rows)] for name in names])
        note = _how_many(len(runs), total, f"max_results, up to {MOST_RUNS}")
        # What is accepted may still match nothing: what `check` says beyond the search explains why there are no runs.
        warned = {diagnostic.message for diagnostic in read.warnings}
        said = check_query(filter, order_by, dialect=backend.dialect).diagnostics
        why = () if runs else tuple(f"warning: {found}" for found in said if found.message not in warned)
        return Answer(tuple(lines), (note, *why), max_bytes)

    def compare(
        self,
        runs: list[str] | None = None,
        filter: str = "",
        source: str | None = None,
        value: str = "last",
        baseline: str | None = None,
        group_by: list[str] | None = None,
        ignore: list[str] | None = None,
        experiments: list[str] | None = None,
        max_runs: int = FEW_RUNS,
        max_fields: int = _FEW_FIELDS,
        dialect: str | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        """Put runs side by side: the fields that differ, and groups of runs with their means, intervals and tests.

        Args:
            runs: Ids of runs.
            filter: A filter that finds the runs, instead of ids.
            source: Path or URI of a source; not needed if there is only one.
            value: What metrics are compared by: last, best, min, max, mean, or step:100.
            baseline: Id or name of the run that the others are compared with.
            group_by: Fields in which the runs of a group agree, such as params.model; all params by default.
            ignore: Params that tell the runs of a group apart, such as seed.
            experiments: Names or ids of experiments for the filter; all by default.
            max_runs: The most runs, the newest ones.
            max_fields: The most fields that differ.
            dialect: The dialect of the filter; that of the server by default.
            max_bytes: The most bytes of the answer.
        """
        from mlquery.comparison import compare as compare_runs
        from mlquery.tables.comparisons import NEEDS_SCIPY, grids_of, has_groups
        from mlquery.tables.grids import plain

        if not runs and not filter:
            raise invalid_parameter("nothing to compare; instead: runs=[ids], or a filter")
        limit, name = _within(max_runs, "max_runs", MOST_RUNS), self.sources.named(source)
        with self.sources.opened(source, dialect) as backend:
            asked = F.run_id.isin(runs).to_string(backend.dialect) if runs else filter
            ids = self._experiment_ids(backend, experiments, name)
            chosen = list(found_runs(backend, ids, asked, _VIEW, (), limit))
            _require_all(runs or (), chosen, limit)
            total = len(chosen) if len(chosen) < limit else count_found(backend, ids, asked, _VIEW)
            store = _store_of(backend, chosen, with_points=value != "last")
        run_ids = [run.info.run_id for run in chosen]
        found = compare_runs(run_ids, value, baseline, group_by, ignore or (), source=store)
        lines: list[str] = []
        fields, *groups = grids_of(found)
        for grid in (*groups, fields):  # the first lines are kept where an answer is cut
            lines += [*islice(plain(grid), max_fields + 2), ""]
            lines[-1:-1] = [f"and {len(grid.rows) - max_fields} more"] if len(grid.rows) > max_fields else []
        notes = [f"warning: {warning}" for warning in found.warnings]
        notes += [f"warning: {NEEDS_SCIPY}"] if has_groups(found) and find_spec("scipy") is None else []
        more = [] if total == len(chosen) else [_how_many(len(chosen), total, "max_runs")]
        return Answer(tuple(lines[:-1]), (*more, *notes), max_bytes)

    def histories(
        self,
        runs: list[str],
        keys: list[str],
        source: str | None = None,
        first_step: int | None = None,
        last_step: int | None = None,
        max_points: int = FEW_POINTS,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        """Read the points of metrics as step:value. Long histories are thinned; the extremes of each part are kept.

        Args:
            runs: Ids of runs.
            keys: Names of metrics.
            source: Path or URI of a source; not needed if there is only one.
            first_step: The first step.
            last_step: The last step.
            max_points: The most points of each history, at least 2.
            max_bytes: The most bytes of the answer.
        """
        from mlquery.query.histories import histories_read

        with self.sources.opened(source) as backend:
            points = histories_read(lambda *asked: _points(backend, *asked), runs, keys, (first_step, last_step))
        lines: list[str] = []
        missing: list[str] = []
        for place, run_id in enumerate(points.run_ids):
            for key_place, key in enumerate(points.key_names):
                here = (points.runs == place) & (points.keys == key_place)
                name = f"run {run_id} {one_line(key, 100)}"
                if here.any():
                    lines += series(name, points.values[here], points.steps[here], max_points)
                else:
                    missing.append(name)
        note = f"no points: {', '.join(missing)}"
        return Answer(tuple(lines), (note,) if missing else (), max_bytes)

    def aggregate(
        self,
        aggregates: str,
        by: list[str] | None = None,
        filter: str = "",
        source: str | None = None,
        experiments: list[str] | None = None,
        max_groups: int = _FEW_GROUPS,
        dialect: str | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        """Compute functions over runs, by groups: count, min, max, mean, median, std, sum.

        Args:
            aggregates: Functions, such as "count(), mean(metrics.auc), mean(max(metrics.auc))".
            by: Fields to group by, such as params.model.
            filter: A filter, such as status = 'FINISHED'.
            source: Path or URI of a source; not needed if there is only one.
            experiments: Names or ids of experiments; all by default.
            max_groups: The most groups.
            dialect: The dialect of the query; that of the server by default.
            max_bytes: The most bytes of the answer.
        """
        from mlquery.query.aggregate import aggregate as aggregate_runs
        from mlquery.tables.frames import plain_values, shown_value

        with self.sources.opened(source, dialect) as backend:
            ids = self._experiment_ids(backend, experiments, self.sources.named(source))
            frame = aggregate_runs(backend, aggregates, by or (), filter, experiment_ids=ids, dialect=backend.dialect)
        shown = plain_values(frame.head(_within(max_groups, "max_groups", MOST_RUNS)))
        lines = aligned([[name, *map(shown_value, values)] for name, values in shown.items()])
        more = "; more with max_groups" if len(frame) > max_groups else ""
        note = f"({min(len(frame), max_groups)} of {counted(len(frame), 'group')}{more})"
        return Answer(tuple(lines), (note,), max_bytes)

    def _experiment_ids(self, backend: Backend, given: Sequence[str] | None, name: str) -> list[str]:
        """Return the ids of experiments that are given by names or ids, or of all."""
        named = {one: backend.get_experiment_by_name(one) is not None for one in given or ()}
        ids = [one for one, is_name in named.items() if not is_name and one.isdecimal()]
        names = [one for one in named if one not in ids]
        return chosen_experiment_ids(backend, names, ids, _VIEW, self.sources.shown(name))


def _how_many(shown: int, total: int | None, argument: str) -> str:
    """Return how many of the runs are shown; nobody knows how many there are where no server counts them."""
    if total is None:
        return f"({counted(shown, 'run')}; perhaps more with {argument})"
    return f"({shown} of {counted(total, 'run')}{f'; more with {argument}' if total > shown else ''})"


def _count(number: int | None) -> str:
    return "?" if number is None else str(number)


def _within(number: int, argument: str, most: int) -> int:
    if not 1 <= number <= most:
        raise invalid_parameter(f"{argument} is between 1 and {most:,}, not {number:,}")
    return number


def _columns(columns: Sequence[str]) -> Iterator[FieldRef]:
    """Yield the fields of columns, which are named as in a filter or, with any key, as in a frame."""
    from mlquery.language.diagnostics import Diagnostics
    from mlquery.language.matrix import MATRIX
    from mlquery.language.parser import parse_operand
    from mlquery.language.plan import Entity, FieldRef, Kind
    from mlquery.query.operands import resolve_operand

    kinds = {"metrics": Kind.METRIC, "params": Kind.PARAM, "tags": Kind.TAG}
    for place, column in enumerate(columns):
        prefix, _, key = column.partition(".")
        if prefix in kinds and key and key[0] not in '`"':
            yield FieldRef(kinds[prefix], key)
            continue
        argument = f"columns[{place}]"
        diagnostics = Diagnostics(MATRIX.local_dialect, Entity.RUN, argument, column)
        yield resolve_operand(parse_operand(column, argument), diagnostics).ref


def _points(backend: Backend, run_ids: Sequence[str], keys: Sequence[str]) -> PointsByKey:
    return in_place.points_of(in_place.data_of(backend))(run_ids, keys)


def _store_of(backend: Backend, runs: Sequence[Run], with_points: bool) -> Any:
    """Return a store of some runs, with all points of their metrics if these are needed."""
    from mlquery.comparison.loading import store_of_runs

    store = store_of_runs(runs)
    if with_points:
        keys = sorted({key for run in runs for key in run.data.metrics})
        for (run_id, key), points in _points(backend, [run.info.run_id for run in runs], keys).items():
            if len(points[0]):
                store.load_history(run_id, key, *points)
    return store


def _require_all(run_ids: Sequence[str], found: Sequence[Run], limit: int) -> None:
    known = {run.info.run_id for run in found}
    missing = [run_id for run_id in run_ids if run_id not in known]
    if missing and len(found) < limit:
        shown = ", ".join(map(one_line, missing[:5]))
        raise invalid_parameter(f"no run has the id {shown}; instead: ids as search returns them")


def _keys(runs: Sequence[Run]) -> Iterator[str]:
    """Yield a line for each kind of key: the keys, the most frequent first, with how many runs have each."""
    yield f"of the newest {counted(len(runs), 'run')}:"
    parts: dict[str, list[dict[str, Any]]] = {
        "metrics": [run.data.metrics for run in runs],
        "params": [run.data.params for run in runs],
        "tags": [run.data.tags for run in runs],
    }
    for kind, found in parts.items():
        counts = Counter(key for keys in found for key in keys)
        shown = ", ".join(f"{one_line(key)} {count}" for key, count in counts.most_common(_FEW_KEYS))
        more = f", and {len(counts) - _FEW_KEYS} more" if len(counts) > _FEW_KEYS else ""
        yield f"{kind}: {shown or 'none'}{more}"
    statuses = Counter(run.info.status for run in runs)
    yield f"status: {', '.join(f'{status} {count}' for status, count in statuses.most_common()) or 'none'}"
