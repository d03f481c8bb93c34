"""Makes exports of any size without a store, part by part, and asks them one question with each engine.

The question is that of `../shared` measurements before: a metric above a bound, a param and the beginning of a tag,
ordered by the metric, the first page with all data. Each engine answers in a process of its own, whose most memory is
told beside the seconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from processes import run_python

from mlquery.sql.layouts.manifest import EXPERIMENTS
from mlquery.sync.incremental import PART_ROWS
from mlquery.sync.wide_files import Writer
from mlquery.sync.wide_rows import Latest, Values

QUESTION: Final = "metrics.auc > 0.8 AND params.model = 'x' AND tags.team LIKE 'a%'"
ORDER: Final = "metrics.auc DESC"
PAGE: Final = 1_000
METRICS: Final = ("auc", "loss", "f1", "accuracy", "seconds")
PARAMS: Final = {
    "model": ("x", "y", "z", "w", "v"),
    "lr": ("0.1", "0.01", "0.001"),
    "opt": ("adam", "sgd"),
    "batch": tuple(str(2**power) for power in range(8)),
    "depth": tuple(map(str, range(20))),
}
TAGS: Final = {
    "team": ("ads", "audio", "nlp", "vision", "speech", "search", "maps"),
    "stage": ("dev", "prod"),
    "owner": tuple(f"owner{number}" for number in range(100)),
}
_EXPERIMENTS: Final = 10
_START: Final = 1_700_000_000_000
_SHARE_MISSING: Final = 0.05
_SHARE_NAN: Final = 0.003


def make_wide(folder: Path, size: int, seed: int = 1) -> None:
    """Write a wide export of `size` runs in ten experiments, in parts; at no time is more than one in memory."""
    import pyarrow as arrow

    rng, writer, parts = np.random.default_rng(seed), Writer(folder, None, "benchmarks/lake.py"), []
    for number in range(_EXPERIMENTS):
        left = size // _EXPERIMENTS
        while left:
            rows = min(left, PART_ROWS)
            parts.append(writer.write_part(str(number), *_runs(rng, str(number), rows)))
            left -= rows
    ids = [str(number) for number in range(_EXPERIMENTS)]
    strings = {"name": [f"experiment {one}" for one in ids], "artifact_location": [f"s3://runs/{one}" for one in ids]}
    columns: dict[str, Any] = {"experiment_id": ids, **strings, "lifecycle_stage": ["active"] * len(ids)}
    columns |= dict.fromkeys(("creation_time", "last_update_time"), [_START] * len(ids))
    tags = arrow.array([[]] * len(ids), arrow.map_(arrow.string(), arrow.string()))
    experiments = writer.write_table(EXPERIMENTS, arrow.table({**columns, "tags": tags}))
    keys = {(kind, key) for kind, all_keys in _KEYS.items() for key in all_keys}
    writer.commit(parts, experiments, writer.write_file("_state", "state", b""), {}, keys)


_KEYS: Final = {"metric": METRICS, "param": tuple(PARAMS), "tag": (*TAGS, "mlflow.runName")}


def _runs(rng: np.random.Generator, experiment_id: str, size: int) -> tuple[Values, dict[str, Latest]]:
    import pyarrow as arrow

    text = rng.bytes(16 * size).hex()
    ids = [text[start : start + 32] for start in range(0, 32 * size, 32)]
    starts = _START + np.sort(rng.integers(0, 5_000 * size, size))
    names = arrow.array([f"run-{run_id[:8]}" for run_id in ids])
    attributes = {
        "run_id": arrow.array(ids),
        "run_name": names,
        "status": _chosen(rng, size, ("FINISHED", "FAILED", "RUNNING", "KILLED"), 0),
        "user_id": _chosen(rng, size, tuple(f"user{number}" for number in range(50)), 0),
        "lifecycle_stage": _chosen(rng, size, ("active",) * 49 + ("deleted",), 0),
        "artifact_uri": arrow.array([f"s3://runs/{experiment_id}/{run_id}/artifacts" for run_id in ids]),
        "start_time": arrow.array(starts),
        "end_time": arrow.array(starts + rng.integers(1_000, 7_200_000, size), mask=rng.random(size) < _SHARE_MISSING),
    }
    found = {("attribute", name): column for name, column in attributes.items()}
    masks = {key: rng.random(size) < _SHARE_MISSING for key in METRICS}
    found |= {("metric", key): arrow.array(_numbers(rng, size), mask=mask) for key, mask in masks.items()}
    latest = dict.fromkeys(METRICS, (starts, np.full(size, 99)))
    found |= {("param", key): _chosen(rng, size, strings) for key, strings in PARAMS.items()}
    found |= {("tag", key): _chosen(rng, size, strings) for key, strings in TAGS.items()}
    return found | {("tag", "mlflow.runName"): names}, latest


def _chosen(rng: np.random.Generator, size: int, strings: tuple[str, ...], missing: float = _SHARE_MISSING) -> Any:
    import pyarrow as arrow

    distinct = tuple(dict.fromkeys(strings))
    places = np.array([distinct.index(string) for string in strings], np.int32)
    codes = places[rng.integers(0, len(strings), size)]
    return arrow.DictionaryArray.from_arrays(arrow.array(codes, mask=rng.random(size) < missing), arrow.array(distinct))


def _numbers(rng: np.random.Generator, size: int) -> Any:
    values = np.round(rng.random(size), 5)
    values[rng.random(size) < _SHARE_NAN] = np.nan
    return values


_ASK: Final = """
import json, sys, time
from pathlib import Path
def most():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
folder, filter_string, order, limit, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
{setup}
seconds = []
for _ in range(rounds):
    start = time.perf_counter()
    ids = ask()
    seconds.append(time.perf_counter() - start)
print(json.dumps([ids, seconds, most()]))
"""
_SOURCE: Final = """
import attrs
from mlquery.query.search import plan_of
from mlquery.sql.engines.lake import open_folder
source = open_folder(folder, engine="{engine}")
plan = attrs.evolve(plan_of(filter_string, [order], dialect="extended"), experiment_ids=None)
def ask():
    page = source.page(plan, limit)
    return [page.store.runs.ids[row] for row in page.rows]
"""
_POLARS: Final = """
import polars
from mlquery.sql.layouts.manifest import read_manifest
found = read_manifest(folder)
paths = [str(Path(folder) / path) for path in found.paths("runs")]
def ask():
    runs = polars.scan_parquet(paths, hive_partitioning=True, missing_columns="insert")
    auc, stage = polars.col("metrics.auc"), polars.col("lifecycle_stage")
    wanted = (auc > 0.8) & auc.is_not_nan() & (polars.col("params.model") == "x") & (stage == "active")
    wanted &= polars.col("tags.team").str.starts_with("a")
    keys = ["metrics.auc", "start_time", "run_id"]
    page = runs.filter(wanted).sort(keys, descending=[True, True, False]).head(limit).collect()
    return page["run_id"].to_list()
"""
SYSTEMS: Final = {
    "DuckDB": _SOURCE.format(engine="duckdb"),
    "Spark": _SOURCE.format(engine="spark"),
    "Polars by hand": _POLARS,
}


def ask(system: str, folder: Path, rounds: int = 5) -> tuple[list[str], list[float], float]:
    """Return the ids of the first page, the seconds of each round and the most memory of the process in MiB."""
    code = _ASK.format(setup=SYSTEMS[system])
    told = run_python(code, str(folder), QUESTION, ORDER, str(PAGE), str(rounds)).splitlines()[-1]
    ids, seconds, most = json.loads(told)
    return ids, seconds, most
