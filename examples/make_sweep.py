"""Make `sweep.db`: a small hyper-parameter sweep, trained by scikit-learn and tracked by real MLflow in SQLite.

Every model here is really fitted and every number really measured. What is arranged, so that the file comes out the
same on every machine and so that each query of the documentation finds something, is the bookkeeping around it: run
ids and clock are drawn from a seed and a timetable, users and script names are fixed tags, and `framework` names the
library that a run's parameters imitate (`xgboost`, `torch`), not the one that fitted it.

    python examples/make_sweep.py [target.db]

Needs mlflow and scikit-learn (`pip install mlquery[test]`).
"""

from __future__ import annotations

import random
import sqlite3
import sys
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import mlflow
import numpy as np
import pandas as pd
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import DatasetInput, InputTag, LoggedModelOutput, Metric, Param
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

SEED = 20220620
ORIGIN = "https://archive.ics.uci.edu/dataset/17/breast+cancer+wisconsin+diagnostic"
SEEDS = (1, 2, 3, 4)
EPOCHS = 18
SECOND, MINUTE = 1_000, 60_000
Point = tuple[int, dict[str, float]]


@dataclass
class Clock:
    """The time of the whole script, integer milliseconds UTC."""

    now: int

    def read(self) -> float:
        return self.now / 1000


@dataclass
class Plan:
    """One run to make: what to fit, and how it is going to end."""

    name: str
    params: dict[str, Any]
    points: list[Point]
    duration: int
    user: str = "John Smith"
    status: str | None = "FINISHED"
    deleted: bool = False
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Data:
    """The split that all models share; `narrow` keeps two weak columns, so that scores spread."""

    train: pd.DataFrame
    valid: pd.DataFrame
    train_target: np.ndarray
    valid_target: np.ndarray

    def columns(self, features: str) -> tuple[np.ndarray, np.ndarray]:
        kept = ["mean smoothness", "mean symmetry"] if features == "narrow" else list(self.train)
        scaler = StandardScaler().fit(self.train[kept].to_numpy())
        return scaler.transform(self.train[kept].to_numpy()), scaler.transform(self.valid[kept].to_numpy())


def load_data() -> Data:
    table, target = load_breast_cancer(return_X_y=True, as_frame=True)
    parts = train_test_split(table, target.to_numpy(), test_size=0.4, random_state=SEED, stratify=target)
    return Data(*parts)


# --- fitting: each function yields (step, metrics) -------------------------------------------------------------------


def scores(truth: np.ndarray, chance: np.ndarray) -> dict[str, float]:
    """Return the validation metrics of predicted probabilities."""
    return {
        "accuracy": float(accuracy_score(truth, chance > 0.5)),
        "auc": float(roc_auc_score(truth, chance)),
        "log_loss": float(log_loss(truth, chance, labels=[0, 1])),
    }


def fit_boosting(data: Data, params: dict[str, Any]) -> Iterator[Point]:
    """Boost, and score both sides after every second round, the validation set in full after every tenth."""
    rounds = params["num_boost_round"]
    model = GradientBoostingClassifier(
        n_estimators=rounds,
        learning_rate=params["learning_rate"],
        max_depth=params["max_depth"],
        subsample=0.8,
        random_state=SEED,
    )
    train, valid = data.columns(params["features"])
    model.fit(train, data.train_target)
    stages = zip(model.staged_predict_proba(train), model.staged_predict_proba(valid), strict=True)
    for step, (fitted, held_out) in list(enumerate(stages, start=1))[1::2]:
        found = scores(data.valid_target, held_out[:, 1])
        loss = float(log_loss(data.train_target, fitted[:, 1]))
        yield step, {"loss": loss, "validation_0-logloss": found["log_loss"]} | (found if step % 10 == 0 else {})


def fit_network(data: Data, params: dict[str, Any]) -> Iterator[Point]:
    """Train a small network epoch by epoch; a step size it cannot bear ends in the error scikit-learn raises."""
    model = MLPClassifier(
        hidden_layer_sizes=(params["hidden"],),
        solver="sgd",
        learning_rate_init=params["learning_rate"],
        batch_size=32,
        random_state=SEED,
    )
    train, valid = data.columns(params["features"])
    for epoch in range(params["epochs"]):
        model.partial_fit(train, data.train_target, classes=[0, 1])
        yield epoch, {"loss": float(model.loss_)} | scores(data.valid_target, model.predict_proba(valid)[:, 1])


def fit_once(data: Data, params: dict[str, Any]) -> Iterator[Point]:
    """Fit a model without epochs; its one point is step 0."""
    kinds = {
        "logistic_regression": lambda: LogisticRegression(C=params["C"], max_iter=500),
        "random_forest": lambda: RandomForestClassifier(n_estimators=params["trees"], random_state=SEED),
    }
    model = kinds[params["model"]]()
    train, valid = data.columns(params["features"])
    model.fit(train, data.train_target)
    yield 0, scores(data.valid_target, model.predict_proba(valid)[:, 1])


def fit_on_one_class(data: Data, params: dict[str, Any]) -> Iterator[Point]:
    """Validate on a fold that holds one class only: its area under the curve is not a number."""
    benign = data.valid_target == 1
    yield from fit_once(Data(data.train, data.valid[benign], data.train_target, data.valid_target[benign]), params)


def fit_seeded(data: Data, params: dict[str, Any]) -> Iterator[Point]:
    """Fit a model round by round, with a split of its seed, on three weak columns.

    Both losses are measured after every round, the scores after every sixth and the last.
    """
    columns = ["mean texture", "mean smoothness", "mean symmetry"]
    table = pd.concat([data.train, data.valid])[columns].to_numpy()
    target = np.concatenate([data.train_target, data.valid_target])
    train, valid, y_train, y_valid = train_test_split(
        table, target, test_size=0.4, random_state=params["seed"], stratify=target
    )
    scaler = StandardScaler().fit(train)
    train, valid = scaler.transform(train), scaler.transform(valid)
    rounds = ROUNDS[params["model"]](params, train, y_train, valid)
    for step, (fitted, held_out) in enumerate(rounds, start=1):
        found = scores(y_valid, held_out)
        losses = {"loss": float(log_loss(y_train, fitted, labels=[0, 1])), "validation_loss": found.pop("log_loss")}
        yield step, losses | (found if step % 6 == 0 else {})  # `log_model` needs those of the last round


Rounds = Iterator[tuple[np.ndarray, np.ndarray]]


def network_rounds(params: dict[str, Any], train: np.ndarray, target: np.ndarray, valid: np.ndarray) -> Rounds:
    model = MLPClassifier((8,), solver="adam", learning_rate_init=params["learning_rate"], random_state=params["seed"])
    return epochs_of(model, train, target, valid)


def linear_rounds(params: dict[str, Any], train: np.ndarray, target: np.ndarray, valid: np.ndarray) -> Rounds:
    rate = params["learning_rate"]
    model = SGDClassifier("log_loss", learning_rate="constant", eta0=rate, random_state=params["seed"])
    return epochs_of(model, train, target, valid)


def epochs_of(model: Any, train: np.ndarray, target: np.ndarray, valid: np.ndarray) -> Rounds:
    for _ in range(EPOCHS):
        model.partial_fit(train, target, classes=[0, 1])
        yield model.predict_proba(train)[:, 1], model.predict_proba(valid)[:, 1]


def boosted_rounds(params: dict[str, Any], train: np.ndarray, target: np.ndarray, valid: np.ndarray) -> Rounds:
    kinds = {"gradient_boosting": GradientBoostingClassifier, "adaboost": AdaBoostClassifier}
    options = {"subsample": 0.7} if params["model"] == "gradient_boosting" else {}
    model = kinds[params["model"]](
        n_estimators=EPOCHS, learning_rate=params["learning_rate"], random_state=params["seed"], **options
    )
    model.fit(train, target)
    for fitted, held_out in zip(model.staged_predict_proba(train), model.staged_predict_proba(valid), strict=True):
        yield fitted[:, 1], held_out[:, 1]


def forest_rounds(params: dict[str, Any], train: np.ndarray, target: np.ndarray, valid: np.ndarray) -> Rounds:
    model = RandomForestClassifier(1, max_depth=4, warm_start=True, random_state=params["seed"])
    for trees in range(1, EPOCHS + 1):
        model.set_params(n_estimators=trees).fit(train, target)
        yield model.predict_proba(train)[:, 1], model.predict_proba(valid)[:, 1]


ROUNDS = {
    "logistic_regression": linear_rounds,
    "mlp": network_rounds,
    "gradient_boosting": boosted_rounds,
    "adaboost": boosted_rounds,
    "random_forest": forest_rounds,
}


# --- the timetable ---------------------------------------------------------------------------------------------------

TUNED = {"framework": "xgboost", "team": "risk"}
NETWORK = {"framework": "torch", "team": "vision"}
PLAIN = {"framework": "sklearn"}


def boosting_plans(data: Data) -> list[Plan]:
    """A grid of 18 boosters, the long ones over an hour."""
    plans = []
    for rounds, rate, features in product((10, 50, 100), (0.01, 0.1, 0.3), ("all", "narrow")):
        params = {"model": "gradient_boosting", "num_boost_round": rounds, "learning_rate": rate, "max_depth": 2}
        params["features"] = features
        points = list(fit_boosting(data, params))
        plans.append(Plan(f"gbm-{rounds}-{rate}-{features}", params, points, rounds * 40 * SECOND, tags=TUNED))
    return plans


def network_plans(data: Data, epochs: int, user: str) -> list[Plan]:
    """Small networks; the last step size is one that no network bears."""
    plans = []
    for hidden, rate in product((4, 16), (0.001, 0.01, 0.1)):
        params = {"model": "mlp", "hidden": hidden, "learning_rate": rate, "epochs": epochs, "features": "all"}
        points = list(fit_network(data, params))
        plans.append(Plan(f"mlp_{hidden}_{rate}", params, points, epochs * 9 * SECOND, user, tags=NETWORK))
    return [*plans, diverging_plan(data, epochs, user)]


def diverging_plan(data: Data, epochs: int, user: str) -> Plan:
    """Return the run that fails, with the error scikit-learn raised as a tag."""
    params = {"model": "mlp", "hidden": 16, "learning_rate": 1e6, "epochs": epochs, "features": "all"}
    points: list[Point] = []
    try:
        points.extend(fit_network(data, params))
    except ValueError as error:
        said = str(error).splitlines()[0]
        return Plan("mlp_16_1e6", params, points, 11 * SECOND, user, "FAILED", tags=NETWORK | {"error": said})
    raise RuntimeError("the diverging network was expected to fail")


def baseline_plans(data: Data) -> list[Plan]:
    """Models without epochs: one deleted, one without a framework tag, one scored on a one-class fold."""
    logistic: list[dict[str, Any]]
    logistic = [{"model": "logistic_regression", "C": c, "features": f} for c in (0.01, 1.0) for f in ("all", "narrow")]
    forest: list[dict[str, Any]]
    forest = [{"model": "random_forest", "trees": trees, "features": "narrow"} for trees in (5, 200)]
    plans = [
        Plan(f"baseline {p['model']} {i}", p, list(fit_once(data, p)), 5 * MINUTE, "nightly", tags=PLAIN)
        for i, p in enumerate(logistic + forest)
    ]
    fold = {"model": "logistic_regression", "C": 0.1, "features": "all"}
    plans.append(Plan("one-class fold", fold, list(fit_on_one_class(data, fold)), 4 * MINUTE, "nightly", tags=PLAIN))
    plans[0].deleted = True
    plans[1].tags = {}
    return plans


def interrupted_plans(data: Data) -> list[Plan]:
    """Runs that were stopped, go on, or wait; a killed one has the rounds it came to."""
    params = {"model": "gradient_boosting", "num_boost_round": 100, "learning_rate": 0.05, "max_depth": 3}
    points = list(fit_boosting(data, params | {"features": "all"}))
    return [
        Plan("gbm_36%_done", params, points[:18], 25 * MINUTE, status="KILLED", tags=TUNED),
        Plan("gbm-deleted", params, points, 90 * MINUTE, deleted=True, tags=TUNED),
        Plan("gbm-running", params, points[:32], 0, status=None, tags=TUNED | {"comment": "läuft noch, 100 % GPU"}),
        Plan("gbm-waiting", params, [], 0, status="SCHEDULED", tags=TUNED),
        Plan("broken-input", {"model": "random_forest"}, [], 2 * SECOND, "nightly", "FAILED", tags=PLAIN),
    ]


def seeded_plans(data: Data) -> list[Plan]:
    """Five models, each with four seeds."""
    plans = []
    rates = {"logistic_regression": 0.01, "mlp": 0.03, "gradient_boosting": 0.1, "adaboost": 0.5}
    for seed, model in product(SEEDS, ROUNDS):
        params = {"model": model, "seed": seed, "epochs": EPOCHS} | (
            {"learning_rate": rates[model]} if model in rates else {}
        )
        points = list(fit_seeded(data, params))
        plans.append(Plan(f"{model}-seed{seed}", params, points, EPOCHS * 5 * SECOND, "nightly", tags=PLAIN))
    return plans


# --- tracking --------------------------------------------------------------------------------------------------------


class Tracker:
    """Writes plans through MLflow's own client, moving the clock as the timetable says."""

    def __init__(self, uri: str, clock: Clock, data: Data) -> None:
        self.client = mlflow.MlflowClient(tracking_uri=uri)
        self.clock = clock
        self.with_models: set[str] = set()
        self.inputs = [
            dataset_input(data.train, data.train_target, "breast-cancer-train", "training"),
            dataset_input(data.valid, data.valid_target, "breast-cancer-valid", "validation"),
        ]

    def experiment(self, name: str, tags: dict[str, str]) -> str:
        count = len(self.client.search_experiments(view_type=mlflow.entities.ViewType.ALL))
        return self.client.create_experiment(name, artifact_location=f"mlflow-artifacts:/{count}", tags=tags)

    def sweep(self, experiment: str, name: str, plans: list[Plan], user: str, tags: dict[str, str]) -> None:
        """Log `plans` two at a time (twins start in the same millisecond) as children of a parent run."""
        parent = self.start(experiment, Plan(name, {"trials": len(plans)}, [], 0, user, tags=tags))
        for twins in zip(plans[::2], plans[1::2] + [None] * (len(plans) % 2), strict=True):
            began = self.clock.now
            ends = [self.log(experiment, plan, parent, began) for plan in twins if plan is not None]
            self.clock.now = max(ends) + 30 * SECOND
        best = max(p.points[-1][1]["accuracy"] for p in plans if p.status == "FINISHED")
        self.client.log_metric(parent, "best_accuracy", best, timestamp=self.clock.now, step=0)
        self.client.set_terminated(parent, "FINISHED", end_time=self.clock.now)

    def start(self, experiment: str, plan: Plan, parent: str | None = None, began: int | None = None) -> str:
        tags = {"mlflow.user": plan.user, "mlflow.source.name": "train.py", "mlflow.source.type": "LOCAL"} | plan.tags
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        began = self.clock.now if began is None else began
        run = self.client.create_run(experiment, start_time=began, tags=tags, run_name=plan.name)
        self.client.log_batch(run.info.run_id, params=[Param(k, str(v)) for k, v in plan.params.items()])
        return str(run.info.run_id)

    def log(self, experiment: str, plan: Plan, parent: str | None = None, began: int | None = None) -> int:
        """Log one run and return when it ended."""
        began = self.clock.now if began is None else began
        run_id = self.start(experiment, plan, parent, began)
        if plan.points:
            self.client.log_inputs(run_id, self.inputs)
        self.client.log_batch(run_id, metrics=list(spread(plan, began)))
        end = began + plan.duration
        if experiment in self.with_models:
            self.log_model(experiment, run_id, plan, end)
        if plan.status == "SCHEDULED":
            self.client.update_run(run_id, status="SCHEDULED")
        elif plan.status is not None:
            self.client.set_terminated(run_id, plan.status, end_time=end)
        if plan.deleted:
            self.clock.now = end + MINUTE
            self.client.delete_run(run_id)
        return end

    def log_model(self, experiment: str, run_id: str, plan: Plan, now: int) -> None:
        """Log the model that a run ends with, and the scores of its last round as those of the model."""
        self.clock.now = now
        params = {key: str(value) for key, value in plan.params.items()}
        model = self.client.create_logged_model(
            experiment, f"{plan.params['model']}_{plan.params['seed']}", run_id, PLAIN, params, "sklearn"
        )
        step, metrics = plan.points[-1]
        for key in ("accuracy", "auc"):
            self.client.log_metric(run_id, key, metrics[key], timestamp=now, step=step, model_id=model.model_id)
        self.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
        self.client.finalize_logged_model(model.model_id, "READY")


def spread(plan: Plan, began: int) -> Iterator[Metric]:
    """Yield the metrics of `plan`, its points at even distances over the time that the run took."""
    pause = (plan.duration or 40 * SECOND * len(plan.points)) // max(1, len(plan.points))
    for position, (step, metrics) in enumerate(plan.points, start=1):
        for key, value in metrics.items():
            yield Metric(key, value, began + position * pause, step)


def dataset_input(table: pd.DataFrame, target: np.ndarray, name: str, context: str) -> DatasetInput:
    """Return the record of a dataset as `mlflow.log_input` makes it."""
    described = from_pandas(table.assign(target=target), source=ORIGIN, targets="target", name=name)
    return DatasetInput(described._to_mlflow_entity(), [InputTag("mlflow.data.context", context)])


def track(uri: str, clock: Clock, data: Data) -> None:
    """Make the four experiments beside MLflow's empty default."""
    tracker = Tracker(uri, clock, data)
    old = tracker.experiment("first_tries", {"framework": "sklearn"})
    main = tracker.experiment("my_experiment", {"framework": "xgboost", "mlflow.note.content": "The sweep to look at."})
    for plan in baseline_plans(data)[2:5]:
        clock.now = tracker.log(old, plan) + MINUTE
    tracker.client.delete_experiment(old)

    baselines, interrupted = baseline_plans(data), interrupted_plans(data)
    for plan in baselines:
        clock.now = max(clock.now, tracker.log(main, plan)) + MINUTE
    clock.now = milliseconds(2022, 6, 20, 5)
    tracker.sweep(main, "gbm-sweep", boosting_plans(data), "John Smith", TUNED)
    tracker.sweep(main, "mlp_sweep", network_plans(data, 20, "John Smith"), "John Smith", NETWORK)
    for plan in interrupted:
        clock.now = max(clock.now, tracker.log(main, plan)) + MINUTE

    second = tracker.experiment("neural_networks", {"framework": "torch"})
    tracker.sweep(second, "mlp_long_sweep", network_plans(data, 40, "nightly"), "nightly", NETWORK)

    seeds = tracker.experiment("five_models", {"framework": "sklearn"})
    tracker.with_models.add(seeds)
    for plan in seeded_plans(data):
        clock.now = max(clock.now, tracker.log(seeds, plan)) + MINUTE


def milliseconds(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)


@contextmanager
def repeatable(clock: Clock) -> Iterator[None]:
    """Draw ids from a seed and read the time from `clock` for as long as the block lasts."""
    source = random.Random(SEED)

    def next_id() -> uuid.UUID:
        return uuid.UUID(int=source.getrandbits(128), version=4)

    with mock.patch("uuid.uuid4", next_id), mock.patch("time.time", clock.read), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the one-class fold, the diverging network and unconverged epochs are wanted
        yield


def shrink(path: Path) -> None:
    """Rewrite the file with small pages: MLflow's many empty tables take a page each."""
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA page_size = 1024")
        database.execute("VACUUM")
    database.close()


def make(path: Path) -> None:
    """Write the database to `path`, replacing what is there."""
    path.unlink(missing_ok=True)
    clock = Clock(milliseconds(2022, 6, 19, 18))
    uri = f"sqlite:///{path}"
    with repeatable(clock):
        SqlAlchemyStore(uri, "mlflow-artifacts:/")._dispose_engine()
        track(uri, clock, load_data())
    shrink(path)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "sweep.db"
    make(target)
    print(f"{target}: {target.stat().st_size} bytes")
