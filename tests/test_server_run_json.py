"""Runs written as JSON hold exactly what the store's entities hold, whatever is in them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlquery.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlquery.server.run_json import full_runs_of_rows, runs_of_rows
from mlquery.server.service import Service, new_service
from mlquery.store import Store

KEYS = st.sampled_from(["a", "b", "c d", "e/f", "g.h"])
STRINGS = st.text(max_size=5) | st.sampled_from(['"', "\\", "\u2028", "ü", "\U0001f600", "\n", "NaN"])
VALUES = st.floats() | st.integers(-(2**60), 2**60).map(float)
TIMES = st.integers(0, 2**62)
POINTS = st.lists(st.tuples(KEYS, VALUES, TIMES, st.integers(-(2**62), 2**62)), max_size=4)
PAIRS = st.dictionaries(KEYS, STRINGS, max_size=4)
RUNS = st.lists(st.tuples(POINTS, PAIRS, PAIRS, st.booleans(), st.booleans()), min_size=1, max_size=12)


def filled(runs: list[Any]) -> Store:
    store = Store()
    for place, (points, params, tags, has_input, is_ended) in enumerate(runs):
        own_tags = [RunTag(key, value) for key, value in tags.items()]
        run_id = store.create_run("0", "ann", place, own_tags, None).info.run_id
        store.log_batch(run_id, [Metric(*point) for point in points], [Param(*pair) for pair in params.items()], [])
        if has_input:
            dataset = Dataset("d", "1", "t", "s", None if is_ended else "{}", "")
            store.log_inputs(run_id, [DatasetInput(dataset, [InputTag("k", "v")] if is_ended else [])])
            store.log_outputs(run_id, [("m-1", place)])
            store.log_model_inputs(run_id, ["m-2"])
        if is_ended:
            store.update_run_info(run_id, 3, place + 5, None)
            store.delete_tag(run_id, "mlflow.runName")
    return store


def plain(service: Service, run_id: str, is_full: bool) -> Any:
    """Return a run as the JSON must be, made in the simplest way."""
    store = service.store
    run = store.get_run(run_id)
    info = {name: value for name, value in dict(run.info).items() if value}
    info |= {"run_uuid": run_id, "start_time": service.integer(run.info.start_time)}
    info |= {"end_time": service.integer(run.info.end_time)} if run.info.end_time else {}
    points = []
    for key, value in run.data.metrics.items():
        ranked = [
            (point.step, point.timestamp, 0.0 if math.isnan(point.value) else point.value)
            for point in store.get_metric_history(run_id, key)
        ]
        step, timestamp, _ = max(ranked)
        shown = "NaN" if math.isnan(value) else value
        points.append(
            {"key": key, "value": shown, "timestamp": service.integer(timestamp), "step": service.integer(step)}
        )
    data = {"metrics": points, "params": pairs(run.data.params), "tags": pairs(run.data.tags)}
    inputs: dict[str, Any] = {}
    for one in run.inputs.dataset_inputs if run.inputs else []:
        dataset = {k: v for k, v in one.dataset.to_dictionary().items() if v}
        found = {"tags": [{"key": tag.key, "value": tag.value} for tag in one.tags], "dataset": dataset}
        inputs.setdefault("dataset_inputs", []).append({k: v for k, v in found.items() if v})
    if is_full and run_id in store.models.inputs:
        inputs["model_inputs"] = [{"model_id": model_id} for model_id in store.models.inputs[run_id]]
    steps = store.models.outputs.get(run_id, {})
    written = [{"model_id": model_id, "step": service.integer(step)} for model_id, step in steps.items()]
    return {
        "info": info,
        "data": {name: values for name, values in data.items() if values},
        "inputs": inputs,
        "outputs": {"model_outputs": written} if written else {},
    }


def pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


@pytest.mark.slow
@settings(max_examples=60)
@given(runs=RUNS, dialect=st.sampled_from(["oss", "azure"]))
def test_a_run_is_written_as_its_entity_says(runs: list[Any], dialect: str) -> None:
    service = new_service(filled(runs), dialect)
    ids = service.store.runs.ids

    rows = range(len(ids))
    together = [json.loads(run) for run in runs_of_rows(service.store, rows, service.integer)]
    alone = [json.loads(run) for run in full_runs_of_rows(service.store, rows, service.integer)]

    assert [plain(service, run_id, is_full=False) for run_id in ids] == together
    assert [plain(service, run_id, is_full=True) for run_id in ids] == alone
