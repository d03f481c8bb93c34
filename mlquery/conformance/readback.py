"""Turns a run or an experiment of any client into values that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mlquery.conformance.suite import StoreContents, Table

Described = dict[str, Any]


def described(run: Any) -> Described:
    """Return the values of a run without ids and locations; numbers as `repr`, so that NaN equals NaN."""
    info, data = run.info, run.data
    return {
        "run_name": info.run_name,
        "status": str(info.status),
        "start_time": info.start_time,
        "end_time": info.end_time,
        "lifecycle_stage": info.lifecycle_stage,
        **{f"metric {key}": repr(float(value)) for key, value in data.metrics.items()},
        **{f"param {key}": value for key, value in data.params.items()},
        **{f"tag {key}": value for key, value in data.tags.items()},
    }


def described_experiment(experiment: Any) -> Described:
    """Return the values of an experiment without ids, names, locations and times."""
    tags = {f"tag {key}": value for key, value in (experiment.tags or {}).items()}
    return {"lifecycle_stage": experiment.lifecycle_stage, **tags}


def with_names(values: Described, ids: Mapping[str, str]) -> Described:
    """Return values in which ids of runs are replaced by the names that cases give them."""
    names = {identifier: f"${{{key}}}" for key, identifier in ids.items() if key.startswith("run.")}
    return {key: names.get(value, value) if isinstance(value, str) else value for key, value in values.items()}


def differences(name: str, wanted: Described, given: Described, same: Callable[[str, Any, Any], bool]) -> Iterator[str]:
    """Yield the values that differ from the expected ones."""
    for key in dict.fromkeys((*wanted, *given)):
        expected, found = wanted.get(key), given.get(key)
        if not same(key, expected, found):
            yield f"{name}: {key} is {_shown(found)}, not {_shown(expected)}"


def _shown(value: Any) -> str:
    shown = "missing" if value is None else repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"


def read_back(contents: StoreContents, client: Any, ids: Mapping[str, str]) -> dict[str, Described]:
    """Return the values of every run of a store by name, histories and datasets included."""
    return {run["id"]: with_names(_run_values(run, client, ids[f"run.{run['id']}"]), ids) for run in contents.runs}


def _run_values(table: Table, client: Any, run_id: str) -> Described:
    run = client.get_run(run_id)
    values = described(run)
    for key, points in table.get("metrics", {}).items():
        if isinstance(points, list):
            history = client.get_metric_history(run_id, key)
            values[f"history of {key}"] = [(repr(float(p.value)), p.timestamp, p.step) for p in history]
    if "datasets" in table:
        values["datasets"] = sorted(
            (i.dataset.name, i.dataset.digest, *(f"{t.key}={t.value}" for t in i.tags))
            for i in run.inputs.dataset_inputs
        )
    return values
