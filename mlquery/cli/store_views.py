"""Turns runs and histories of a store on disk into lines for a terminal: details, plots, and a run as it is logged."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from collections.abc import Iterator
from typing import Any, Final

from mlquery.cli.outcomes import UsageError
from mlquery.cli.plot import curve
from mlquery.durable.store import DurableStore
from mlquery.entities import Run, RunStatus
from mlquery.store.entity_fields import without_nan
from mlquery.tables.lines import aligned, one_line, shown_time

_SHORTEST: Final = 4  # characters of an abbreviated id
_MOST_LISTED: Final = 20  # runs
_LONGEST: Final = 100  # characters of a value
_HEIGHT: Final = 15


def run_named(store: DurableStore, string: str | None, stage: str | None = None) -> str:
    """Return the id of the run of an id, its beginning, or a name; of the newest run if None.

    Args:
        store: Where the run is.
        string: The id, its beginning, or the name.
        stage: The lifecycle stage of the runs that a name or a beginning may mean; any if None.

    Raises:
        UsageError: no run or more than one matches; the message lists those and the runs whose names begin so.
    """
    with store.lock:
        ids: list[str] = [store.runs.ids[row] for row in store.runs.default_order().tolist()]
        if string is None and ids:
            return ids[0]
        if string in store.runs.row_of:
            return str(string)
        if string is None:
            raise UsageError(f"{store.path} has no runs")
        found, begun = _runs_called(store, ids, string, stage)
        if not found and len(string) >= _SHORTEST:
            found = [run_id for run_id in ids if run_id.startswith(string) and _is_in(store, run_id, stage)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"{string!r} may be one of {len(found)} runs:\n{_listing(store, found)}")
        listing = f"; the names of these begin so:\n{_listing(store, begun)}" if begun else ""
        raise UsageError(f"{store.path} has no {stage + ' ' if stage else ''}run {string!r}{listing}")


def _runs_called(store: DurableStore, ids: list[str], string: str, stage: str | None) -> tuple[list[str], list[str]]:
    """Return the runs of a name, and those whose names begin so."""
    names, row_of = store.runs.strings.cells["run_name"], store.runs.row_of
    begun = [
        (run_id, name)
        for run_id in ids
        if (name := names.string(row_of[run_id])) and name.startswith(string) and _is_in(store, run_id, stage)
    ]
    return [run_id for run_id, name in begun if name == string], [run_id for run_id, _ in begun]


def _is_in(store: DurableStore, run_id: str, stage: str | None) -> bool:
    return stage is None or store.runs.string("lifecycle_stage", store.runs.row_of[run_id]) == stage


def _listing(store: DurableStore, run_ids: list[str]) -> str:
    """Return lines that tell runs apart."""
    infos = [store.get_run(run_id).info for run_id in run_ids[:_MOST_LISTED]]
    rows = [
        (f"  {info.run_id}", info.run_name or "", info.status, shown_time(info.start_time), experiment.name)
        for info in infos
        for experiment in [store.get_experiment(info.experiment_id)]
    ]
    lines = list(aligned([list(map(one_line, column)) for column in zip(*rows, strict=True)]))
    more = len(run_ids) - len(infos)
    return "\n".join([*lines, *([f"  and {more:,} more"] if more else [])])


def shown_run(store: DurableStore, run_id: str) -> Iterator[str]:
    """Yield the lines about a run."""
    with store.lock:
        run = store.get_run(run_id)
        experiment = store.get_experiment(run.info.experiment_id)
        histories = {key: store.history(run_id, key) for key in sorted(run.data.metrics)}
        models = [(model_id, "wrote") for model_id in store.models.outputs.get(run_id, ())]
        models += [(model_id, "read") for model_id in store.models.inputs.get(run_id, ())]
        sent = {
            target: kinds["run"][run_id] for target, kinds in store.pushed.items() if run_id in kinds.get("run", {})
        }
    info = run.info
    yield f"{info.run_name or ''}  {run_id}".strip()
    yield f"{_status(run)}, experiment {experiment.name!r}, by {info.user_id or 'nobody'}, {_span(run)}"
    if histories:
        yield ""
        rows: list[tuple[str, ...]] = [("metric", "latest", "min", "max", "points", "last step")]
        for key, (points, _, steps) in histories.items():
            numbers = [value for value in points.tolist() if not math.isnan(value)] or [math.nan]
            cells = (f"{cell:.6g}" for cell in (run.data.metrics[key], min(numbers), max(numbers)))
            rows.append((key, *cells, str(len(points)), str(max(steps.tolist()))))
        yield from aligned(list(zip(*rows, strict=True)))
    for name, items in (("params", run.data.params), ("tags", run.data.tags)):
        if items:
            yield from ("", name)
            values = [one_line(value, _LONGEST) for value in items.values()]
            yield from (f"  {line}" for line in aligned([["", *items], ["", *values]]) if line)
    yield from _relations(store, run, models, sent)


def _relations(
    store: DurableStore, run: Run, models: list[tuple[str, str]], sent: dict[str, tuple[str, str]]
) -> Iterator[str]:
    """Yield the lines about the inputs, outputs and artifacts of a run, and its copies on servers."""
    datasets = run.inputs.dataset_inputs if run.inputs is not None else []
    files = store.artifacts_of(run.info.run_id)
    lines = [f"read dataset {found.dataset.name} ({found.dataset.digest})" for found in datasets]
    lines += [f"{verb} model {model_id}" for model_id, verb in models]
    lines += [f"artifact {path} ({size:,} bytes)" for path, size in files]
    for target, (remote_id, digest) in sent.items():
        lines.append(f"is {remote_id or 'being created'} on {target}{'' if digest else ', incomplete'}")
    if lines:
        yield ""
        yield from lines


def _status(run: Run) -> str:
    return run.info.status + (", deleted" if run.info.lifecycle_stage == "deleted" else "")


def _span(run: Run) -> str:
    start: int | None = run.info.start_time  # a database may have none
    end = run.info.end_time
    if start is None:
        return "start unknown"
    if end is None:
        return f"since {shown_time(start)}"
    return f"{shown_time(start)} to {shown_time(end)} ({(end - start) / 1000:g} s)"


def history_plot(options: argparse.Namespace, values: Any, timestamps: Any, steps: Any) -> Iterator[str]:
    """Yield a plot."""
    order = steps.argsort(kind="stable") if options.by == "step" else range(len(values))
    start = int(timestamps.min())
    across = steps if options.by == "step" else (timestamps - start) / 1000
    finite = [value for value in values.tolist() if math.isfinite(value)]
    left_out = len(values) - len(finite)
    more = f"; {left_out} not finite" if left_out else ""
    unit = "step" if options.by == "step" else f"seconds since {shown_time(start)}"
    yield f"{options.metric} by {unit} ({len(values)} points{more})"
    width = min(100, shutil.get_terminal_size((100, 24)).columns)
    yield from curve([float(across[i]) for i in order], [float(values[i]) for i in order], width, _HEIGHT)


def history_csv(_: argparse.Namespace, values: Any, timestamps: Any, steps: Any) -> Iterator[str]:
    """Yield the points as CSV, in the order of `get_metric_history`; times in ms UTC."""
    yield "step,timestamp,value"
    for value, timestamp, step in zip(values.tolist(), timestamps.tolist(), steps.tolist(), strict=True):
        yield f"{step},{timestamp},{value!r}"


def history_json(_: argparse.Namespace, values: Any, timestamps: Any, steps: Any) -> Iterator[str]:
    """Yield the points as a JSON list; NaN is a string, as in MLflow's REST responses."""
    rows = zip(values.tolist(), timestamps.tolist(), steps.tolist(), strict=True)
    points = [{"step": s, "timestamp": t, "value": v} for v, t, s in rows]
    yield json.dumps(without_nan(points), indent=2)


def tailed(store: DurableStore, run_id: str, lines: int, interval: float) -> Iterator[str]:
    """Yield the last points of a run, then everything that is logged to it until it ends."""
    with store.lock:
        points, data, seq = _points(store, run_id), store.get_run(run_id).data, store.seq
    yield from map(_point_line, points[-lines:])
    seen, strings = set(map(str, points)), {"param": dict(data.params), "tag": dict(data.tags)}
    while True:
        with store.lock:
            run, is_new = store.get_run(run_id), store.seq != seq
            seq = store.seq
            points = _points(store, run_id) if is_new else []
        for point in points:
            if str(point) not in seen:
                seen.add(str(point))
                yield _point_line(point)
        for kind, now in (("param", run.data.params), ("tag", run.data.tags)):
            for key, value in now.items():
                if strings[kind].get(key) != value:
                    yield f"{kind} {key} = {one_line(value, _LONGEST)}"
            strings[kind] = dict(now)
        if RunStatus.is_terminated(RunStatus.from_string(run.info.status)):
            yield f"{_status(run)}, {_span(run)}"
            return
        time.sleep(interval)


def _points(store: DurableStore, run_id: str) -> list[tuple[int, str, int, float]]:
    """Return time, key, step and value of all points of a run, by time."""
    found = []
    for key in store.runs.metric_keys[store.runs.row_of[run_id]]:
        values, timestamps, steps = (column.tolist() for column in store.history(run_id, key))
        found += [(t, key, s, v) for v, t, s in zip(values, timestamps, steps, strict=True)]
    return sorted(found, key=lambda point: point[:3])


def _point_line(point: tuple[int, str, int, float]) -> str:
    timestamp, key, step, value = point
    return f"{shown_time(timestamp)}  {key} = {value:.6g}  (step {step})"
