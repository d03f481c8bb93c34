"""Random calls of a store, each kind of call among them, and all that a store holds as one text to compare."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs

from mlquery.entities import Dataset, DatasetInput, ExperimentTag, InputTag, Metric, Param, RunTag
from mlquery.errors import StoreError
from mlquery.registry import Registry
from mlquery.store import Store

VALUES = [0.0, -0.0, 1.5, -3.25, float("nan"), float("inf"), float("-inf"), 1e-300, 1e300, 12345678.9]
TEXTS = ["", "a", "grün", "x" * 300, 'say "hi"\n\t\\', "𝄞 日本", "y" * 7000, "\x00\x1f"]


class Caller:
    """Makes random calls; refused ones count too."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.chance = random.Random(seed)
        self.refused = 0
        self.time = 1_700_000_000_000

    def make(self, number: int) -> None:
        calls = [call for name, call in vars(Caller).items() if name.startswith("call_")]
        for _ in range(number):
            self.time += self.chance.randrange(3)
            try:
                self.chance.choice(calls)(self)
            except StoreError:
                self.refused += 1

    def run(self) -> str:
        return self.chance.choice(self.store.runs.ids or ["none"])

    def experiment(self) -> str:
        return self.chance.choice(self.store.experiments.ids)

    def model(self) -> str:
        return self.chance.choice(list(self.store.models.by_id) or ["m-none"])

    def key(self) -> str:
        return self.chance.choice(["a", "b/c", "d e", "f.g", "h-i"])

    def text(self) -> str:
        return self.chance.choice(TEXTS)

    def point(self, key: str | None = None) -> Metric:
        about: dict[str, Any] = {}
        if self.chance.random() < 0.1 and self.store.models.by_id:
            about = {"model_id": self.model(), "dataset_name": "data", "dataset_digest": "1"}
        step = self.chance.randrange(-3, 30)
        return Metric(key or self.key(), self.chance.choice(VALUES), self.time, step, **about)

    def dataset(self) -> DatasetInput:
        name = self.chance.choice(["train", "test"])
        tags = [InputTag("mlflow.data.context", self.text()[:100])]
        return DatasetInput(Dataset(name, "digest", "local", "{}", self.chance.choice([None, "{}"])), tags)

    def call_create_experiment(self) -> None:
        tags = [ExperimentTag("team", self.text())]
        self.store.create_experiment(f"experiment {self.chance.randrange(20)}", None, tags)

    def call_rename_experiment(self) -> None:
        self.store.rename_experiment(self.experiment(), f"renamed {self.chance.randrange(20)}")

    def call_delete_experiment(self) -> None:
        if self.chance.random() < 0.3:
            self.store.delete_experiment(self.experiment())

    def call_restore_experiment(self) -> None:
        self.store.restore_experiment(self.experiment())

    def call_set_experiment_tag(self) -> None:
        self.store.set_experiment_tag(self.experiment(), ExperimentTag(self.key(), self.text()))

    def call_delete_experiment_tag(self) -> None:
        self.store.delete_experiment_tag(self.experiment(), self.key())

    def call_create_run(self) -> None:
        name = self.chance.choice([None, "named", "zwei"])
        tags = [RunTag("mlflow.parentRunId", self.run()), RunTag("who", self.text())]
        self.store.create_run(self.experiment(), "user", self.time, tags, name)

    def call_update_run_info(self) -> None:
        status, end = self.chance.choice([None, 1, 3, 4, 5]), self.chance.choice([None, self.time])
        self.store.update_run_info(self.run(), status, end, self.chance.choice([None, "", "neu"]))

    def call_delete_run(self) -> None:
        if self.chance.random() < 0.3:
            self.store.delete_run(self.run())

    def call_restore_run(self) -> None:
        self.store.restore_run(self.run())

    def call_log_metric(self) -> None:
        self.store.log_metric(self.run(), self.point())

    def call_log_param(self) -> None:
        self.store.log_param(self.run(), Param(self.key() + str(self.chance.randrange(50)), self.text()))

    def call_set_tag(self) -> None:
        key = self.chance.choice([self.key(), "mlflow.runName"])
        self.store.set_tag(self.run(), RunTag(key, self.text()))

    def call_delete_tag(self) -> None:
        self.store.delete_tag(self.run(), self.chance.choice([self.key(), "mlflow.runName"]))

    def call_log_batch(self) -> None:
        key = self.key()
        points = [self.point(key) for _ in range(self.chance.randrange(20))]
        params = [Param(f"{key}{number}", self.text()) for number in range(self.chance.randrange(3))]
        tags = [RunTag(self.key(), self.text()), RunTag("mlflow.runName", self.text())]
        self.store.log_batch(self.run(), points, params, tags)

    def call_log_inputs(self) -> None:
        self.store.log_inputs(self.run(), [self.dataset()])

    def call_create_logged_model(self) -> None:
        given = [Param("depth", "3")]
        self.store.create_logged_model(self.experiment(), "model", self.run(), [RunTag("a", "b")], given, "tree")

    def call_finalize_logged_model(self) -> None:
        self.store.finalize_logged_model(self.model(), self.chance.randrange(4))

    def call_delete_logged_model(self) -> None:
        if self.chance.random() < 0.3:
            self.store.delete_logged_model(self.model())

    def call_log_logged_model_params(self) -> None:
        self.store.log_logged_model_params(self.model(), [Param(self.key(), self.text())])

    def call_set_logged_model_tags(self) -> None:
        self.store.set_logged_model_tags(self.model(), [RunTag(self.key(), self.text())])

    def call_delete_logged_model_tag(self) -> None:
        self.store.delete_logged_model_tag(self.model(), self.key())

    def call_log_outputs(self) -> None:
        self.store.log_outputs(self.run(), [(self.model(), self.chance.randrange(9))])

    def call_log_model_inputs(self) -> None:
        self.store.log_model_inputs(self.run(), [self.model()])

    def call_register(self) -> None:
        name = self.chance.choice(["wine", "grün", "iris 2"])
        with suppress(StoreError):
            self.registry.create_registered_model(name, {self.key(): "v"}, self.chance.choice([None, "text"]))
        self.registry.create_model_version(name, f"runs:/{self.run()}/model", self.run(), {self.key(): self.text()})

    def call_change_what_is_registered(self) -> None:
        registry, chance = self.registry, self.chance
        name = chance.choice([*self.store.registered_models, "none"])
        version = name, chance.randrange(1, 4)
        alias = chance.choice(["champion", "b-2"])
        changes: list[Callable[[], object]] = [
            lambda: registry.update_registered_model(name, self.text()),
            lambda: registry.rename_registered_model(name, chance.choice(["wine", "other"])),
            lambda: registry.delete_registered_model(name) if chance.random() < 0.2 else None,
            lambda: registry.set_registered_model_tag(name, self.key(), self.text()),
            lambda: registry.delete_registered_model_tag(name, self.key()),
            lambda: registry.set_registered_model_alias(name, alias, version[1]),
            lambda: registry.delete_registered_model_alias(name, alias),
            lambda: registry.update_model_version(*version, self.text()),
            lambda: registry.transition_model_version_stage(*version, "Production", chance.random() < 0.5),
            lambda: registry.delete_model_version(*version),
            lambda: registry.set_model_version_tag(*version, self.key(), self.text()),
            lambda: registry.delete_model_version_tag(*version, self.key()),
        ]
        chance.choice(changes)()

    @property
    def registry(self) -> Registry:
        return Registry(self.store.clock, self.store)

    def call_load_experiment(self) -> None:
        number = self.chance.randrange(100, 120)
        self.store.load_experiment(str(number), f"loaded {number}", tags={"a": self.text()}, creation_time=self.time)

    def call_load_run(self) -> None:
        self.store.load_run(
            f"loaded{self.chance.randrange(50)}",
            self.experiment(),
            user_id=self.chance.choice([None, "them"]),
            start_time=self.chance.choice([None, self.time]),
            artifact_uri=self.chance.choice([None, "file:///elsewhere"]),
            metrics={self.key(): (2.0, self.time, 4)},
            params={"p": self.text()},
            tags={"t": self.text()},
            inputs=[self.dataset()],
        )

    def call_load_history(self) -> None:
        size = self.chance.randrange(30)
        values = [self.chance.choice(VALUES[:5]) for _ in range(size)]
        self.store.load_history(self.run(), self.key(), values, list(range(size)), list(range(size)))

    def call_load_inputs(self) -> None:
        self.store.load_inputs(self.run(), [self.dataset()])


def everything(store: Store) -> str:
    """Return all that a store holds."""
    with store.lock:
        models = store.models
        found: dict[str, Any] = {
            "default": store.default_experiment_id,
            "experiments": [_experiment(store, row) for row in range(store.experiments.size)],
            "runs": {run_id: _run(store, run_id) for run_id in store.runs.ids},
            "order": [store.runs.ids[row] for row in store.runs.default_order()],
            "models": [attrs.asdict(model) for model in models.by_id.values()],
            "points": {key: sorted(map(str, points.values())) for key, points in models.points.items()},
            "outputs": models.outputs,
            "inputs": {run_id: list(read) for run_id, read in models.inputs.items()},
        }
        if store.registered_models:
            found["registered_models"] = [attrs.asdict(entry) for entry in store.registered_models.values()]
        return json.dumps(found, indent=1, default=dict)


def _experiment(store: Store, row: int) -> dict[str, Any]:
    found = dict(store.experiments.experiment_at(row))
    return found | {"tags": dict(sorted(found["tags"].items()))}


def _run(store: Store, run_id: str) -> dict[str, Any]:
    run = store.get_run(run_id).to_dictionary()
    run["data"] = {part: dict(sorted(items.items())) for part, items in run["data"].items()}
    for key in run["data"]["metrics"]:
        run["data"]["metrics"][key] = [column.tolist() for column in store.history(run_id, key)]
    return run


Check = Callable[[Store], None]
