"""Random stores of runs as servers have them, and the cost of random searches of them.

What MLflow's REST API cannot tell is in none of these stores: runs without a start time, a user, a name or a location
look there like runs with 0 or "".
"""

from __future__ import annotations

import random
from statistics import median

import attrs
import numpy as np

from mlquery.store import Store
from tests.support import random_data, sql_stores

TIMES = [time for time in sql_stores.TIMES if time != 0]
EXPERIMENTS = ["1", "2", "30"]


def served_store(seed: int, runs: int, *, has_nul: bool = True) -> Store:
    """Return a store with random runs in three experiments; `seed` decides on everything."""
    rng, store = random.Random(seed), Store(seed=seed)
    texts = [text for text in sql_stores.TEXTS if has_nul or "\0" not in text]
    names = [name for name in sql_stores.NAMES if name and (has_nul or "\0" not in name)]
    for experiment_id in EXPERIMENTS:
        store.load_experiment(experiment_id, f"experiment {experiment_id}", artifact_location=f"s3://b/{experiment_id}")
    for _ in range(runs):
        _load_run(store, rng, texts, names)
    return store


def _load_run(store: Store, rng: random.Random, texts: list[str], names: list[str]) -> None:
    run_id, name = f"{rng.getrandbits(128):032x}", rng.choice(names)
    # Some runs of one time, and many of their own, as servers have them.
    start_time = rng.choice([*TIMES, *(rng.randrange(1_690_000_000_000, 1_710_000_000_000) for _ in range(12))])
    store.load_run(
        run_id,
        rng.choice(EXPERIMENTS),
        user_id=rng.choice(random_data.USERS),
        status=rng.choice(random_data.STATUSES),
        start_time=start_time,
        end_time=rng.choice([None, *TIMES]),
        lifecycle_stage=rng.choice(["active", "active", "active", "active", "deleted"]),
        artifact_uri=rng.choice([f"s3://bucket/{run_id}", "s3://Bucket/%"]),
        run_name=name,
        params={key: rng.choice(texts) for key in sql_stores._some(rng, sql_stores.PARAM_KEYS)},
        tags={key: rng.choice(texts) for key in sql_stores._some(rng, sql_stores.TAG_KEYS)} | {"mlflow.runName": name},
        inputs=[random_data._own_dataset(rng) for _ in range(rng.choice([0, 0, 1, 2]))],
    )
    for key in sql_stores._some(rng, sql_stores.METRIC_KEYS):
        size = rng.choice([1, 1, 2, 5])
        values = np.array([rng.choice([*sql_stores.METRIC_VALUES, rng.random(), rng.random()]) for _ in range(size)])
        times = np.array([rng.choice([1, 2, 1_700_000_000_000]) for _ in range(size)])
        steps = np.array([rng.choice(sql_stores.STEPS) for _ in range(size)])
        store.load_history(run_id, key, values, times, steps)


@attrs.define
class Costs:
    """What searches took: their requests, and the runs that were fetched for each that was wanted."""

    calls: list[int] = attrs.field(factory=list)
    ratios: list[float] = attrs.field(factory=list)

    def add(self, calls: int, fetched: int, wanted: int) -> None:
        """Add a search."""
        self.calls.append(calls)
        self.ratios.append(fetched / max(wanted, 1))

    def __str__(self) -> str:
        """Return the figures on one line."""
        calls = sorted(self.calls)
        p95 = calls[min(len(calls) * 95 // 100, len(calls) - 1)]
        return (
            f"{len(calls):,} searches: calls median {median(calls):g}, p95 {p95}, most {calls[-1]}; "
            f"runs fetched per run wanted median {median(self.ratios):.2f}, {sum(calls):,} calls in all"
        )
