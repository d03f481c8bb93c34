"""Fill an MLflow store with random runs from small pools of awkward values: ties, NaN, quotes, line breaks."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

METRIC_KEYS = ["acc", "loss", "val loss", "a.b"]
METRIC_VALUES = [0.0, -0.0, 1.0, 1.0, -1.0, 0.5, 1e-3, 1e300, float("nan"), float("nan"), float("inf"), float("-inf")]
STEPS = [0, 0, 1, 1, 2, 5, -3, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
PARAM_KEYS = ["lr", "model", "a-b"]
TAG_KEYS = ["team", "stage", "x y"]
TEXTS = [
    "a",
    "A",
    "ab",
    "a%b",
    "a_b",
    "aXb",
    "",
    " a",
    "x\ny",
    "ä",
    "Ä",
    "o'brien",
    'say "hi"',
    "10",
    "9",
    "a.c",
    "[a]",
    "É%",
    "\\",
    "ß",
]
STATUSES = ["FINISHED", "FAILED", "RUNNING", "KILLED", "SCHEDULED"]
USERS = ["ann", "Ann", "John Smith", ""]
TIMES = [1_700_000_000_000, 1_700_000_000_000, 1_700_000_001_000, 1_700_000_002_500, 1_699_999_999_999, 0]
DATASETS = [("train", "d1"), ("Train", "d2"), ("te%st", "d1")]
CONTEXTS = ["training", "eval", None]


def fill(store: Any, seed: int, runs: int) -> None:
    """Create experiments and runs in an MLflow tracking store."""
    rng = random.Random(seed)
    experiments = ["0", *(store.create_experiment(name, tags=_experiment_tags(rng)) for name in _NAMES)]
    for number in range(runs):
        _add_run(store, rng, rng.choice(experiments), number)
    store.delete_experiment(experiments[-1])


_NAMES = ["alpha", "Beta", "be_ta", "100%", "ünï", "gone"]


def _experiment_tags(rng: random.Random) -> list[Any]:
    from mlflow.entities import ExperimentTag

    return [ExperimentTag(key, rng.choice(TEXTS)) for key in rng.sample(TAG_KEYS, rng.randrange(3))]


def _add_run(store: Any, rng: random.Random, experiment_id: str, number: int) -> None:
    from mlflow.entities import Metric, Param, RunStatus, RunTag

    tags = [RunTag(key, rng.choice(TEXTS)) for key in rng.sample(TAG_KEYS, rng.randrange(4))]
    name = rng.choice(["run", "Run", f"run-{number}", "r%"])
    run_id = store.create_run(experiment_id, rng.choice(USERS), rng.choice(TIMES), tags, name).info.run_id
    for key in rng.sample(METRIC_KEYS, rng.randrange(5)):
        for step in range(rng.choice([1, 1, 3])):
            value = rng.choice(METRIC_VALUES)
            store.log_metric(run_id, Metric(key, value, rng.randrange(3), rng.choice([0, step])))
    for key in rng.sample(PARAM_KEYS, rng.randrange(4)):
        store.log_param(run_id, Param(key, rng.choice(TEXTS)))
    if rng.random() < 0.4:
        store.log_inputs(run_id, [_dataset(rng) for _ in range(rng.choice([1, 1, 2]))])
    end_time = rng.choice([None, *TIMES])
    if end_time is not None:
        store.update_run_info(run_id, RunStatus.from_string(rng.choice(STATUSES)), end_time, None)
    if rng.random() < 0.15:
        store.delete_run(run_id)


def _dataset(rng: random.Random) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name, digest = rng.choice(DATASETS)
    context = rng.choice(CONTEXTS)
    tags = [InputTag("mlflow.data.context", context)] if context else []
    return DatasetInput(Dataset(name, digest, "local", "{}"), tags)


def new_mlflow_store(folder: Path) -> Any:
    """Return a fresh MLflow SQLite store in a folder; its file is `mlflow.db` there."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    return SqlAlchemyStore(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))


def new_store(seed: int, runs: int, rare_keys: int = 0) -> Any:
    """Return a store of mlquery's with random runs; `rare_keys` metrics, params and tags are on few of them each."""
    from mlquery.store import Store

    rng, store = random.Random(seed), Store(seed=seed)
    for number, name in enumerate(["Default", *_NAMES]):
        tags = {key: rng.choice(TEXTS) for key in rng.sample(TAG_KEYS, rng.randrange(3))}
        times: dict[str, Any]
        times = {"creation_time": rng.choice([None, *TIMES]), "last_update_time": rng.choice([None, *TIMES])}
        store.load_experiment(str(number), name, tags=tags, lifecycle_stage=_stage(rng), **times)
    for _ in range(runs):
        _load_run(store, rng, rare_keys)
    _load_histories(store, random.Random(seed))
    return store


def _load_histories(store: Any, rng: random.Random) -> None:
    """Add points to most metrics of most runs, and a metric to some."""
    for run_id in store.runs.ids:
        for key in rng.sample(METRIC_KEYS, rng.randrange(3)):
            size = rng.choice([1, 2, 4, 9])
            values, times, steps = ([rng.choice(pool) for _ in range(size)] for pool in _POINTS)
            store.load_history(run_id, key, np.array(values), np.array(times), np.array(steps))


_POINTS: list[list[Any]] = [[*METRIC_VALUES, 1.7976931348623157e308], [0, 0, 1, 2], STEPS]


def _stage(rng: random.Random) -> str:
    return rng.choice(["active", "active", "active", "deleted"])


def _load_run(store: Any, rng: random.Random, rare_keys: int) -> None:
    metrics = {key: (rng.choice(METRIC_VALUES), 0, 0) for key in rng.sample(METRIC_KEYS, rng.randrange(5))}
    params = {key: rng.choice(TEXTS) for key in rng.sample(PARAM_KEYS, rng.randrange(4))}
    tags = {key: rng.choice(TEXTS) for key in rng.sample(TAG_KEYS, rng.randrange(4))}
    if rare_keys:
        metrics[f"rare{rng.randrange(rare_keys)}"] = (rng.random(), 0, 0)
        params[f"rare{rng.randrange(rare_keys)}"] = str(rng.randrange(5))
        params["unique"] = f"{rng.getrandbits(64):x}"
    store.load_run(
        f"{rng.getrandbits(128):032x}",
        str(rng.randrange(7)),
        user_id=rng.choice([*USERS, None]),
        status=rng.choice(STATUSES),
        start_time=rng.choice([None, *TIMES]),
        end_time=rng.choice([None, *TIMES]),
        lifecycle_stage=_stage(rng),
        run_name=rng.choice(["run", "Run", "r%", None]),
        metrics=metrics,
        params=params,
        tags=tags,
        inputs=[_own_dataset(rng) for _ in range(rng.choice([0, 0, 1, 2]))],
    )


def _own_dataset(rng: random.Random) -> Any:
    from mlquery.entities import Dataset, DatasetInput, InputTag

    name, digest = rng.choice(DATASETS)
    context = rng.choice(CONTEXTS)
    tags = [InputTag("mlflow.data.context", context)] if context else []
    return DatasetInput(Dataset(name, digest, "local", "{}"), tags)
