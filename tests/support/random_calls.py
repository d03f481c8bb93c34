"""Random scripts of calls on `MlflowClient`: writes, deletes, restores, searches, histories, models, bad arguments.

A script is written once and played on any number of clients; what it names (the second run, the first model) is looked
up in what the client at hand has created, so ids may differ, and most calls are about something that is there. The
values come from small pools, ties and traps included.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from typing import Any, cast

import attrs
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelParameter,
    LoggedModelTag,
    Metric,
    Param,
    RunInputs,
    RunOutputs,
    RunTag,
)
from mlflow.exceptions import MlflowException

METRIC_KEYS = ["acc", "loss", "a/b", "a b", "val-loss"]
TEXT_KEYS = ["lr", "model", "a.b", "a b", "mlflow.note.content"]
BAD_KEYS = ["", "a//b", "../a", "/a", "bad@", "k" * 251, ".", "a\n"]
NUMBERS = [0.0, -0.0, 1.0, 1.0, -1.5, 0.1, 1e300, math.nan, math.nan, math.inf, -math.inf, 3, True]
BAD_NUMBERS = ["0.5", "x", None, 1j, [1.0], np.array([0.25]), np.array([1.0, 2.0]), np.float32(0.1), 10**400]
TEXTS = ["a", "A", "", " ", "x'y", 'q"r', "ä", "1", "long " * 10, "a%", "l\nl"]
ODD_TEXTS = [1, 1.5, True, None, "x" * 6001, "x" * 8001, {"a": 1}]
TIMES = [0, 1, 5, 5, 1_000, 1_700_000_000_000]
BAD_TIMES = [-1, "5"]
STEPS = [0, 0, 1, 2, 3, -1]
LETTERS = ["a", "B", "ä", "x/y", "o'b"]
STATUSES = ["FINISHED", "FAILED", "RUNNING", "KILLED", "SCHEDULED"]
DATASETS = [("train", "d1"), ("test", "d1"), ("train", "d2")]
DIRECTIONS = ["", " ASC", " DESC"]


@attrs.frozen
class Nth:
    """The n-th thing of a kind that a client has created: an experiment, a run, a model or a page token."""

    kind: str
    number: int


@attrs.frozen
class Step:
    """One call of a script; `creates` names the kind of what comes back."""

    call: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = attrs.field(factory=dict)
    creates: str | None = None


class Script:
    """Writes random steps; `prefix` keeps the names of its experiments its own."""

    def __init__(self, seed: int, prefix: str, length: int = 40) -> None:
        self.rng = random.Random(seed)
        self.prefix = prefix
        self.counts = {"experiment": 0, "run": 0, "model": 0}
        self.steps: list[Step] = []
        self._begin()
        while len(self.steps) < length:
            self.rng.choices(*zip(*self._kinds(), strict=True))[0]()

    def _kinds(self) -> list[tuple[Callable[[], None], int]]:
        return [
            (self._create_experiment, 2),
            (self._create_run, 6),
            (self._change_experiment, 4),
            (self._change_run, 6),
            (self._log_metric, 10),
            (self._log_text, 8),
            (self._log_batch, 6),
            (self._log_inputs, 2),
            (self._delete_tag, 2),
            (self._read, 5),
            (self._history, 5),
            (self._search_runs, 8),
            (self._search_experiments, 2),
            (self._create_model, 3),
            (self._change_model, 6),
            (self._search_models, 4),
        ]

    def _begin(self) -> None:
        """Create what most calls need, without fault."""
        experiment = Nth("experiment", 0)
        self._add("create_experiment", f"{self.prefix} first", creates="experiment")
        for start_time in (500, 501):
            self._add("create_run", experiment, start_time, {"team": "x"}, creates="run")
        self._add("create_logged_model", experiment, "model", Nth("run", 0), creates="model")

    def _add(self, call: str, *args: Any, creates: str | None = None, **kwargs: Any) -> None:
        self.steps.append(Step(call, args, kwargs, creates))
        if creates:
            self.counts[creates] += 1

    # What the steps are about

    def _make_one_of(self, calls: list[Callable[[], object]]) -> None:
        self.rng.choice(calls)()

    def _pick(self, usual: list[Any], odd: list[Any], share: float = 0.12) -> Any:
        return self.rng.choice(odd if self.rng.random() < share else usual)

    def _experiment(self) -> Any:
        return self._pick([self._some("experiment")], ["0", "99999", "nonsense", self._some("run")], 0.05)

    def _run(self) -> Any:
        return self._pick([self._some("run")], ["no-such-run", "", "bad id!", "a" * 300], 0.05)

    def _model(self) -> Any:
        return self._pick([self._some("model")], ["m-nothing"], 0.08)

    def _some(self, kind: str) -> Nth:
        known = self.counts[kind]
        return Nth(kind, self.rng.randrange(known) if known else 10**6)

    def _text(self) -> Any:
        return self._pick(TEXTS, ODD_TEXTS)

    def _metric(self) -> Metric:
        model = self._model() if self.rng.random() < 0.2 else None
        dataset = self.rng.choice(DATASETS) if self.rng.random() < 0.3 else (None, None)
        key, value = self._pick(METRIC_KEYS, BAD_KEYS, 0.03), self._pick(NUMBERS, BAD_NUMBERS, 0.03)
        return Metric(key, value, self._pick(TIMES, BAD_TIMES, 0.03), self.rng.choice(STEPS), model, *dataset)

    # Writes

    def _create_experiment(self) -> None:
        rng = self.rng
        name = f"{self.prefix} {rng.choice(LETTERS)} {rng.randrange(4)}"
        tags = rng.choice([None, {}, {"team": "x"}, {"team": rng.choice(TEXTS), "b": "c"}, {rng.choice(BAD_KEYS): "v"}])
        location = rng.choice([None, None, None, "s3://bucket/place", "runs:/a", "x" * 2049])
        self._add(
            "create_experiment", self._pick([name], ["", None, 5, "n" * 501], 0.1), location, tags, creates="experiment"
        )

    def _create_run(self) -> None:
        rng = self.rng
        tags = {key: self._pick(TEXTS, ["x" * 8001]) for key in rng.sample(TEXT_KEYS, rng.randrange(3))}
        if rng.random() < 0.2:
            tags["mlflow.runName"] = rng.choice(["named", "other", ""])
        if rng.random() < 0.3:
            tags["mlflow.user"] = rng.choice(["ann", "bob"])
        name = self._pick(["run", "named", None, "r%"], ["", "x" * 300], 0.1)
        # No two runs start at once: ties are settled by id, and ids differ from client to client.
        start_time = rng.choice([1, 1_000_000, 1_700_000_000_000]) + self.counts["run"]
        self._add("create_run", self._experiment(), start_time, tags, name, creates="run")

    def _change_experiment(self) -> None:
        rng, which = self.rng, self._experiment()
        if isinstance(which, Nth):
            which = rng.choice([Nth("experiment", 0), which, which])
        self._make_one_of(
            [
                lambda: self._add(
                    "delete_experiment", which if which != Nth("experiment", 0) else self._some("experiment")
                ),
                lambda: self._add("restore_experiment", which),
                lambda: self._add("rename_experiment", which, f"{self.prefix} renamed {rng.randrange(3)}"),
                lambda: self._add("rename_experiment", which, self._pick([f"{self.prefix} a 0"], ["", None, 7], 0.3)),
                lambda: self._add("set_experiment_tag", which, self._pick(TEXT_KEYS, BAD_KEYS), self._text()),
                lambda: self._add("delete_experiment_tag", which, rng.choice(["team", *TEXT_KEYS])),
            ]
        )

    def _change_run(self) -> None:
        rng, which = self.rng, self._run()
        self._make_one_of(
            [
                lambda: self._add("delete_run", which),
                lambda: self._add("restore_run", which),
                lambda: self._add("restore_run", self._some("run")),
                lambda: self._add("set_terminated", which, rng.choice([None, *STATUSES]), rng.choice(TIMES[1:])),
                lambda: self._add(
                    "update_run", which, self._pick([None, *STATUSES], ["nonsense"]), rng.choice([None, "new", ""])
                ),
            ]
        )

    def _log_metric(self) -> None:
        metric = self._metric()
        key, value, time, step = metric.key, metric.value, metric.timestamp, metric.step
        about = {
            "model_id": metric.model_id,
            "dataset_name": metric.dataset_name,
            "dataset_digest": metric.dataset_digest,
        }
        self._add("log_metric", self._run(), key, value, time, step, synchronous=self.rng.choice([None, True]), **about)

    def _log_text(self) -> None:
        call = self.rng.choice(["log_param", "set_tag"])
        keys = [*TEXT_KEYS, *(["mlflow.runName"] if call == "set_tag" else [])]
        self._add(call, self._run(), self._pick(keys, BAD_KEYS), self._text())

    def _log_batch(self) -> None:
        rng = self.rng
        metrics = [self._metric() for _ in range(rng.choice([0, 1, 3, 5]))]
        params = [Param(self._pick(TEXT_KEYS, BAD_KEYS, 0.03), self._text()) for _ in range(rng.choice([0, 1, 2]))]
        tags = [
            RunTag(self._pick(TEXT_KEYS, BAD_KEYS, 0.03), self._pick(TEXTS, ["x" * 8001], 0.03))
            for _ in range(rng.randrange(3))
        ]
        self._add("log_batch", self._run(), metrics, params, tags)

    def _log_inputs(self) -> None:
        rng = self.rng
        if rng.random() < 0.3:
            models = [LoggedModelInput(self._model()) for _ in range(rng.choice([1, 2]))]
            self._add("log_inputs", self._run(), models=models)
            return
        inputs = []
        for _ in range(rng.choice([0, 1, 2])):
            name, digest = self._pick(DATASETS, [(None, "d"), ("n" * 501, "d"), ("n", "d" * 37)])
            tags = [InputTag("mlflow.data.context", rng.choice(["training", "eval"]))] * rng.choice([0, 1, 1, 1])
            inputs.append(DatasetInput(Dataset(name, digest, "local", rng.choice(["{}", "other"])), tags))
        self._add("log_inputs", self._run(), inputs)

    def _delete_tag(self) -> None:
        self._add("delete_tag", self._run(), self.rng.choice([*TEXT_KEYS, "mlflow.runName", "nothing"]))

    # Reads

    def _read(self) -> None:
        rng = self.rng
        self._make_one_of(
            [
                lambda: self._add("get_run", self._run()),
                lambda: self._add("get_run", self._some("run")),
                lambda: self._add("get_parent_run", self._run()),
                lambda: self._add("get_experiment", self._experiment()),
                lambda: self._add("get_experiment_by_name", f"{self.prefix} a {rng.randrange(4)}"),
                lambda: self._add("get_logged_model", self._model()),
            ]
        )

    def _history(self) -> None:
        rng, run, key = self.rng, self._run(), self.rng.choice(METRIC_KEYS)
        runs = [self._some("run") for _ in range(rng.choice([0, 1, 2, 2]))]
        bounds = rng.choice([(None, None), (None, None), (0, 2), (1, None), (-1, 1), (2, 0)])
        size = rng.choice([1, 2, 3, 5, 100])
        self._make_one_of(
            [
                lambda: self._add("get_metric_history", run, key),
                lambda: self._add("store.get_metric_history", run, key, size, rng.choice([None, "bad token"])),
                lambda: self._add("store.pages_of_history", run, key, size),
                lambda: self._add("store.get_metric_history_bulk", runs[:1], key, size),
                lambda: self._add("sorted.get_metric_history_bulk", runs, key, 1000),
                lambda: self._add("store.get_metric_history_bulk_interval", runs, key, size, *bounds),
                lambda: self._add("store.get_metric_history_bulk_interval_from_steps", run, key, [0, 2, 5], size),
                lambda: self._add("store.get_max_step_for_metric", run, key),
            ]
        )

    def _clause(self) -> str:
        rng = self.rng
        number, text = (
            rng.choice(["0", "1", "-1.5", "1e300", ".1"]),
            f"'{rng.choice(['a', 'A', 'a%', '%', 'ä', '1', 'run'])}'",
        )
        run_name = rng.choice(["'run'", "'RUN'", "'named%'", "'r%25'"])  # nothing that a made-up name could match
        return rng.choice(
            [
                f"metrics.acc {rng.choice(['>', '<=', '=', '!='])} {number}",
                f"metrics.`a b` >= {number}",
                f"params.lr {rng.choice(['=', '!=', 'LIKE', 'ILIKE'])} {text}",
                f"tags.`a b` {rng.choice(['=', '!=', 'LIKE'])} {text}",
                f"tags.mlflow.runName LIKE {run_name}",
                f"attributes.status {rng.choice(['=', '!='])} '{rng.choice(STATUSES)}'",
                f"start_time {rng.choice(['>', '<'])} {rng.choice(['5', '1000'])}",
                f"attributes.user_id = '{rng.choice(['ann', 'unknown'])}'",
                f"dataset.name = '{rng.choice(['train', 'test'])}'",
                f"dataset.context = '{rng.choice(['training', 'eval'])}'",
                "params.lr IS NOT NULL",
                "tags.model IS NULL",
                f"run_name ILIKE {run_name}",
                rng.choice(["metrics.acc = 'x'", "params.lr > 'a'", "nonsense = 1", "metrics.acc >", "a.b.c = 'd'"]),
            ]
        )

    def _search_runs(self) -> None:
        rng = self.rng
        where = [self._some("experiment") for _ in range(rng.choice([0, 1, 1, 2, 3]))]
        where = self._pick([where, self._some("experiment")], [["nonsense"], ["99999"]], 0.05)
        clauses = " and ".join(self._clause() for _ in range(rng.choice([0, 0, 1, 1, 2])))
        fields = {self._order_field() for _ in range(rng.choice([0, 0, 1, 2]))}
        order = [f"{field}{rng.choice(DIRECTIONS)}" for field in sorted(fields)]
        arguments: dict[str, Any]
        arguments = {"filter_string": clauses, "run_view_type": rng.choice([1, 1, 2, 3, 3]), "order_by": order}
        size = self._pick([1, 2, 3, 1000, 1000], [0, -1, 50_001, None], 0.05)
        self._add(rng.choice(["search_runs", "all_pages.search_runs"]), where, max_results=size, **arguments)

    def _order_field(self) -> str:
        usual = [
            "metrics.acc",
            "params.lr",
            "tags.`a b`",
            "start_time",
            "attributes.end_time",
            "status",
            "metrics.loss",
        ]
        return str(self._pick(usual, ["nonsense"], 0.05))

    def _search_experiments(self) -> None:
        rng = self.rng
        clauses = [f"name LIKE '{self.prefix} %'"]
        clauses += rng.choice([[], ["tags.team = 'x'"], ["name != 'a'"], ["nonsense"], ["tags.b IS NOT NULL"]])
        order = rng.choice(
            [None, ["name"], ["name DESC"], ["creation_time", "name"], ["nonsense"], ["last_update_time"]]
        )
        self._add(
            rng.choice(["search_experiments", "all_pages.search_experiments"]),
            view_type=rng.choice([1, 2, 3]),
            max_results=self._pick([1, 2, 1000], [0, None]),
            filter_string=" AND ".join(clauses),
            order_by=order,
        )

    # Logged models

    def _create_model(self) -> None:
        rng = self.rng
        name = self._pick(["model", "Model", "other", "x y"], ["a/b", "", "x.y"])
        tags = {key: self._text() for key in rng.sample(TEXT_KEYS, rng.randrange(3))}
        params = {key: self._text() for key in rng.sample(TEXT_KEYS, rng.randrange(3))}
        self._add(
            "create_logged_model",
            self._experiment(),
            name,
            rng.choice([None, self._some("run")]),
            rng.choice([None, tags]),
            rng.choice([None, params]),
            rng.choice([None, "agent"]),
            creates="model",
        )

    def _change_model(self) -> None:
        rng, which = self.rng, self._model()
        outputs = [LoggedModelOutput(self._model(), rng.choice(STEPS)) for _ in range(rng.choice([1, 1, 2]))]
        self._make_one_of(
            [
                lambda: self._add(
                    "finalize_logged_model", which, self._pick(["READY", "FAILED", "PENDING"], ["nonsense"])
                ),
                lambda: self._add("delete_logged_model", which),
                lambda: self._add("set_logged_model_tags", which, {rng.choice(TEXT_KEYS): self._text()}),
                lambda: self._add("store.set_logged_model_tags", which, [cast(Any, LoggedModelTag)("a b", None)]),
                lambda: self._add("delete_logged_model_tag", which, rng.choice(TEXT_KEYS)),
                lambda: self._add("log_model_params", which, {rng.choice(TEXT_KEYS): self._text()}),
                lambda: self._add(
                    "store.log_logged_model_params",
                    which,
                    [LoggedModelParameter("x", "1"), LoggedModelParameter("x", "2")],
                ),
                lambda: self._add("log_outputs", self._run(), outputs),
                lambda: self._add("log_outputs", self._run(), outputs),
            ]
        )

    def _model_clause(self) -> str:
        rng = self.rng
        number, text = (
            rng.choice(["0", "1", "-1.5", "1e300"]),
            f"'{rng.choice(['a', 'A', 'a%', '1', 'model', 'MOD%'])}'",
        )
        return rng.choice(
            [
                f"name {rng.choice(['=', '!=', 'LIKE', 'ILIKE', 'like'])} {text}",
                "name IN ('model', 'other')",
                "attributes.name NOT IN ('model')",
                f"metrics.acc {rng.choice(['>', '<=', '=', '!='])} {number}",
                f"params.lr {rng.choice(['=', '!=', 'LIKE'])} {text}",
                f"tags.model {rng.choice(['=', '!=', 'ILIKE'])} {text}",
                f"creation_time {rng.choice(['>', '<='])} 50",
                "last_updated_timestamp >= 20",
                f"status {rng.choice(['=', '!='])} '{rng.choice(['1', '2', 'READY'])}'",
                f"model_type {rng.choice(['=', '!='])} 'agent'",
                rng.choice(
                    [
                        "nonsense = 'x'",
                        "name",
                        "metrics.acc = 'x'",
                        "name > 'a'",
                        "x.y = 'z'",
                        "name = 'a' OR name = 'b'",
                    ]
                ),
            ]
        )

    def _search_models(self) -> None:
        rng = self.rng
        where = self._pick(
            [[self._some("experiment") for _ in range(rng.choice([1, 1, 2]))]], [["nonsense"], [], "1"], 0.05
        )
        clauses = " AND ".join(self._model_clause() for _ in range(rng.choice([0, 1, 1, 2])))
        fields = [
            "name",
            "creation_time",
            "metrics.acc",
            "metrics.loss",
            "model_type",
            "status",
            "last_updated_timestamp",
        ]
        order = [
            {"field_name": self._pick(fields, ["nonsense", "params.lr"], 0.05), "ascending": rng.choice([True, False])}
        ]
        datasets = [{"dataset_name": "train"}, {"dataset_name": "test", "dataset_digest": "d1"}]
        self._add(
            rng.choice(["search_logged_models", "all_pages.search_logged_models"]),
            where,
            rng.choice([None, clauses]),
            rng.choice([None, None, datasets[:1], datasets[1:], [{"dataset_digest": "x"}]]),
            rng.choice([None, 1, 2, 100]),
            rng.choice([None, order]),
        )


class Player:
    """Plays scripts on one client and notes what comes back, with ids replaced by the order of creation."""

    def __init__(self, client: MlflowClient) -> None:
        self.client = client
        self.made: dict[str, list[str]] = {"experiment": [], "run": [], "model": []}
        self._named: dict[str, str] = {}

    def begin(self) -> None:
        """Forget what earlier scripts created."""
        self.made = {kind: [] for kind in self.made}
        self._named = {}

    def play(self, step: Step) -> Any:
        """Make a call and return what it answered or how it failed."""
        args = [self._given(arg) for arg in step.args]
        kwargs = {name: self._given(arg) for name, arg in step.kwargs.items()}
        try:
            answer = self._function(step.call)(*args, **kwargs)
        except Exception as error:
            return self._failure(step, error)
        if step.creates:
            new = answer if isinstance(answer, str) else getattr(answer, "model_id", None) or answer.info.run_id
            self.made[step.creates].append(new)
            if step.creates != "experiment":  # their ids are numbers, the same on every client
                self._named[new] = f"{step.creates} {len(self.made[step.creates]) - 1}"
        return self.plain(answer)

    def _function(self, call: str) -> Callable[..., Any]:
        where, _, name = call.rpartition(".")
        if where == "all_pages":
            return lambda *args, **kwargs: self._pages(getattr(self.client, name), *args, **kwargs)
        if name == "pages_of_history":
            return self._pages_of_history
        if where == "sorted":  # the order is that of run ids
            return lambda *args: sorted(map(str, self.plain(getattr(self._store, name)(*args))))
        found: Callable[..., Any] = getattr(self._store if where else self.client, name)
        return found

    @property
    def _store(self) -> Any:
        return self.client._tracking_client.store

    def _pages(self, search: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        pages, token = [], None
        for _ in range(60):
            page = search(*args, page_token=token, **kwargs)
            token = page.token
            pages.append([*page, "more" if token else "end"])
            if not token:
                break
        return pages

    def _pages_of_history(self, run: str, key: str, size: int) -> list[Any]:
        return self._pages(lambda page_token: self._store.get_metric_history(run, key, size, page_token))

    def _given(self, value: Any) -> Any:
        match value:
            case Nth():
                made = self.made[value.kind]  # a script does not know which of its creations failed
                return made[value.number % len(made)] if made else f"no-{value.kind}"
            case list():
                return [self._given(each) for each in value]
            case LoggedModelInput():
                return LoggedModelInput(self._given(value.model_id))
            case LoggedModelOutput():
                return LoggedModelOutput(self._given(value.model_id), value.step)
            case Metric():
                new = Metric(*(getattr(value, name) for name in ("key", "value", "timestamp", "step")))
                new.__dict__.update(value.__dict__, _model_id=self._given(value.model_id))
                return new
        return value

    def _failure(self, step: Step, error: Exception) -> Any:
        if not isinstance(error, MlflowException):
            return ("raised", type(error).__name__)
        is_own_wording = error.error_code not in ("BAD_REQUEST", "INTERNAL_ERROR") and "search" not in step.call
        message = re.split(r" Error: |\n\nThe cause|\(sqlite3", error.message)[0] if is_own_wording else ""
        return ("refused", error.error_code, self.plain(message))

    def plain(self, value: Any) -> Any:
        """Return a value made of lists and dictionaries with the ids named; NaN equals itself."""
        match value:
            case str():
                for known, name in self._named.items():
                    value = value.replace(known, name)
                value = re.sub(r"\b[a-z]+-[a-z]+-\d+\b", "a made-up name", value)
                return re.sub(r"(?:/\S*?/mlruns/|mlquery-artifacts:)(?=\d)", "root:", value)
            case float() if math.isnan(value):
                return "NaN"
            case dict():
                return {key: self.plain(part) for key, part in value.items()}
            case list() | tuple():
                return [self.plain(part) for part in value]
            case RunOutputs() | RunInputs():  # models come by id
                kind: Any = type(value)
                return {name: sorted(map(str, self.plain(getattr(value, name)))) for name in kind._properties()}
            case _ if hasattr(value, "_properties"):
                return {name: self.plain(getattr(value, name)) for name in type(value)._properties()}
        return value
