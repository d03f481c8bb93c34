"""The workload: the same runs and the same queries for every system, made by numpy from a seed.

N runs in ten experiments with 10 params, 8 metrics (some absent, a few NaN), 5 tags, `mlflow.user` and
`mlflow.runName`; start times rise and repeat. Q1 to Q8 ask for them. The same N gives the same runs everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SEED = 20260
EXPERIMENTS = tuple(str(number) for number in range(1, 11))
ABSENT, NUMBER, NAN = 0, 1, 2
STATUSES = ("FINISHED", "FAILED", "KILLED", "RUNNING")
USERS = tuple(f"user{number:02d}" for number in range(20))
_START = 1_700_000_000_000

_CHOICES = {
    "params": {
        "opt": ("adam", "sgd", "adamw", "rmsprop", "lion"),
        "arch": ("resnet18", "resnet50", "vit_b", "vit_l", "convnext", "mlp"),
        "dataset": ("imagenet", "cifar10", "cifar100", "coco"),
        "scheduler": ("cosine", "step", "none"),
        "precision": ("fp32", "fp16", "bf16"),
        "lr": ("0.1", "0.03", "0.01", "0.003", "0.001", "0.0003", "0.0001", "1e-05"),
        "batch_size": ("16", "32", "64", "128", "256", "512"),
        "dropout": tuple(f"{number / 100:.2f}" for number in range(50)),
    },
    "tags": {
        "team": ("vision", "visual-search", "nlp", "speech", "ads"),
        "stage": ("dev", "test", "prod"),
        "owner": tuple(f"owner{number:02d}" for number in range(40)),
        "region": ("eu", "us", "asia"),
        "ticket": tuple(f"ML-{number}" for number in range(500)),
    },
}
# key -> (share of the runs without it, share of NaN among the others)
_METRICS = {
    "auc": (0.05, 0.0),
    "loss": (0.05, 0.003),
    "accuracy": (0.10, 0.0),
    "f1": (0.30, 0.0),
    "val_loss": (0.20, 0.003),
    "train_time": (0.05, 0.0),
    "grad_norm": (0.60, 0.01),
    "perplexity": (0.50, 0.0),
}


@dataclass(frozen=True)
class Texts:
    """A text column: codes (n,) int32 into a table of distinct texts."""

    codes: np.ndarray
    table: tuple[str, ...]

    def __iter__(self) -> Iterator[str]:
        return map(self.table.__getitem__, self.codes.tolist())


@dataclass(frozen=True)
class Numbers:
    """A metric: values (n,) float64, NaN where the state is not NUMBER; states (n,) uint8."""

    values: np.ndarray
    states: np.ndarray


@dataclass(frozen=True)
class Query:
    """One search; `order_by` is empty for the default order, `limit` the most runs of a page."""

    name: str
    filter_string: str
    order_by: tuple[str, ...] = ()
    limit: int = 1000

    @property
    def shown(self) -> str:
        ids = "attributes.run_id IN (100 ids)"
        text = ids if "run_id IN" in self.filter_string else self.filter_string or "no filter"
        return text + "".join(f", order {term}" for term in self.order_by) + f", first {self.limit:,}"


@dataclass(frozen=True)
class Workload:
    """Runs as columns, in the order in which they were created. Times in ms UTC.

    Texts stand in tuples: the collector looks at those once and never again, so that the workload itself, which no user
    would have in memory, does not slow down systems that make many objects.
    """

    size: int
    run_ids: tuple[str, ...]
    experiments: Texts
    users: Texts
    statuses: Texts
    run_names: tuple[str, ...]
    start_times: np.ndarray
    end_times: np.ndarray  # -1: still running
    params: dict[str, Texts]
    tags: dict[str, Texts]
    metrics: dict[str, Numbers]
    queries: dict[str, Query] = field(default_factory=dict)

    def artifact_uri(self, row: int) -> str:
        return f"{artifact_root(self.experiments.table[self.experiments.codes[row]])}/{self.run_ids[row]}/artifacts"

    def all_tags(self) -> dict[str, Texts]:
        """Return the tags with those that MLflow's client sets."""
        names = Texts(np.arange(self.size, dtype=np.int32), self.run_names)
        return {**self.tags, "mlflow.user": self.users, "mlflow.runName": names}

    def digest(self) -> str:
        """Return what tells one workload from another."""
        parts: list[Any] = [self.run_ids[:100], self.run_names[:100], self.size]
        digest = hashlib.sha256(repr(parts).encode())
        for column in (*self.params.values(), *self.tags.values(), self.statuses, self.users, self.experiments):
            digest.update(column.codes.tobytes())
            digest.update("\n".join(column.table[:1000]).encode())
        for metric in self.metrics.values():
            digest.update(np.nan_to_num(metric.values, nan=-1.0).tobytes())
            digest.update(metric.states.tobytes())
        digest.update(self.start_times.tobytes() + self.end_times.tobytes())
        return digest.hexdigest()[:16]


def slices(runs: Workload, size: int) -> Iterator[Workload]:
    """Yield the runs in pieces of at most `size`, each with the texts of its own runs alone and without queries."""
    for start in range(0, runs.size, size):
        part = slice(start, start + size)
        yield Workload(
            len(runs.run_ids[part]),
            runs.run_ids[part],
            _cut(runs.experiments, part),
            _cut(runs.users, part),
            _cut(runs.statuses, part),
            runs.run_names[part],
            runs.start_times[part],
            runs.end_times[part],
            {key: _cut(column, part) for key, column in runs.params.items()},
            {key: _cut(column, part) for key, column in runs.tags.items()},
            {key: Numbers(metric.values[part], metric.states[part]) for key, metric in runs.metrics.items()},
        )


def _cut(column: Texts, part: slice) -> Texts:
    used, codes = np.unique(column.codes[part], return_inverse=True)
    return Texts(codes.astype(np.int32), tuple(column.table[code] for code in used.tolist()))


def artifact_root(experiment_id: str) -> str:
    return f"mlflow-artifacts:/{experiment_id}"


def workload(size: int, seed: int = SEED) -> Workload:
    """Return the workload of `size` runs."""
    rng = np.random.default_rng([seed, size])
    run_ids = _hex_ids(rng, size)
    starts = _START + np.cumsum(rng.choice([0, 1000, 2000, 5000], size, p=[0.3, 0.4, 0.2, 0.1])).astype(np.int64)
    statuses = Texts(rng.choice(4, size, p=[0.8, 0.1, 0.03, 0.07]).astype(np.int32), STATUSES)
    ends = np.where(statuses.codes == STATUSES.index("RUNNING"), -1, starts + rng.integers(1000, 7_200_000, size))
    params = {key: _chosen(rng, size, texts) for key, texts in _CHOICES["params"].items()}
    params["config_hash"] = _distinct([run_id[::-1][:16] for run_id in run_ids])
    params["data_version"] = _chosen(rng, size, tuple(f"v{number}" for number in range(max(1, size // 3))))
    made = Workload(
        size,
        run_ids,
        Texts(rng.integers(0, 10, size).astype(np.int32), EXPERIMENTS),
        _chosen(rng, size, USERS),
        statuses,
        tuple(f"run-{run_id[:6]}-{row % 1000}" for row, run_id in enumerate(run_ids)),
        starts,
        ends,
        params,
        {key: _chosen(rng, size, texts) for key, texts in _CHOICES["tags"].items()},
        {key: _metric(rng, size, *shares) for key, shares in _METRICS.items()},
    )
    made.queries.update(_queries(rng, run_ids))
    return made


def _hex_ids(rng: np.random.Generator, size: int) -> tuple[str, ...]:
    text = rng.bytes(16 * size).hex()
    return tuple(text[start : start + 32] for start in range(0, 32 * size, 32))


def _chosen(rng: np.random.Generator, size: int, texts: tuple[str, ...]) -> Texts:
    return Texts(rng.integers(0, len(texts), size).astype(np.int32), texts)


def _distinct(texts: list[str]) -> Texts:
    index = {text: code for code, text in enumerate(dict.fromkeys(texts))}
    return Texts(np.array([index[text] for text in texts], np.int32), tuple(index))


def _metric(rng: np.random.Generator, size: int, absent: float, nan: float) -> Numbers:
    values = np.round(rng.random(size), 5)  # rounded, so that equal values occur
    states = np.where(rng.random(size) < absent, ABSENT, NUMBER).astype(np.uint8)
    states[(states == NUMBER) & (rng.random(size) < nan)] = NAN
    values[states != NUMBER] = np.nan
    return Numbers(values, states)


def _queries(rng: np.random.Generator, run_ids: tuple[str, ...]) -> dict[str, Query]:
    some = rng.choice(len(run_ids), min(100, len(run_ids)), replace=False)
    listed = ", ".join(f"'{run_ids[row]}'" for row in some.tolist())
    found = (
        Query("Q1", "metrics.auc > 0.8"),
        Query("Q2", "params.opt = 'adam' AND metrics.auc > 0.9"),
        Query("Q3", "tags.team LIKE 'vis%' AND params.lr != '0.1'"),
        Query("Q4", "attributes.status = 'FINISHED'", ("metrics.loss ASC",), 100),
        Query("Q5", "params.opt = 'adam' AND metrics.auc > 0.7 AND tags.stage = 'prod'"),
        Query("Q6", f"attributes.run_id IN ({listed})"),
        Query("Q7", ""),
    )
    return {query.name: query for query in found}
