"""What scripts of `random_calls` leave out: batches at the limits, asynchronous calls, pages while runs come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflow.entities import Metric, Param, RunTag

from tests.support import random_calls
from tests.support.random_calls import BAD_KEYS, TEXT_KEYS, TEXTS, Step

SIZES = [(1000, 0, 0), (1001, 0, 0), (0, 100, 0), (0, 101, 0), (0, 0, 100), (0, 0, 101), (900, 100, 0), (900, 50, 51)]


class Script(random_calls.Script):
    """Writes random steps of more kinds."""

    def _kinds(self) -> list[tuple[Callable[[], None], int]]:
        kinds = super()._kinds()
        return [*kinds, (self._log_much, 1), (self._log_later, 4), (self._turn_pages, 3), (self._cascade, 2)]

    def _log_much(self) -> None:
        metrics, params, tags = self.rng.choice(SIZES)
        self._add(
            "log_batch",
            self._run(),
            [Metric(f"many/{i % 7}", i, i % 5, i % 3) for i in range(metrics)],
            [Param(f"many {i}", self.rng.choice(TEXTS[:2])) for i in range(params)],
            [RunTag(f"many {i}", "x") for i in range(tags)],
        )

    def _log_later(self) -> None:
        rng, run, metric = self.rng, self._run(), self._metric()
        key = self._pick(TEXT_KEYS, BAD_KEYS, 0.05)
        self._make_one_of(
            [
                lambda: self._add(
                    "wait.log_metric", run, metric.key, metric.value, metric.timestamp, metric.step, synchronous=False
                ),
                lambda: self._add("wait.log_param", run, key, self._text(), synchronous=False),
                lambda: self._add("wait.set_tag", run, key, self._text(), synchronous=False),
                lambda: self._add(
                    "wait.log_batch", run, [metric], [Param(key, "a"), Param(key, rng.choice("ab"))], synchronous=False
                ),
            ]
        )

    def _turn_pages(self) -> None:
        """Delete a run or bring one back between two pages of a search."""
        rng = self.rng
        where = [self._some("experiment") for _ in range(rng.choice([1, 2]))]
        run = self._some("run")
        self._add(
            "pages_around.search_runs",
            where,
            rng.choice([("delete_run", run), ("restore_run", run), ("set_terminated", run, "FAILED", 77)]),
            max_results=rng.choice([1, 2]),
            run_view_type=rng.choice([1, 2, 3]),
            order_by=rng.choice([[], ["metrics.acc DESC"], ["params.lr", "start_time DESC"]]),
        )

    def _cascade(self) -> None:
        """Delete an experiment, look at what goes with it, and perhaps bring it back."""
        which, run = self._some("experiment"), self._some("run")
        if which == random_calls.Nth("experiment", 0):
            return
        self._add("delete_experiment", which)
        self._add("search_runs", [which], run_view_type=self.rng.choice([1, 2, 3]))
        self._add("create_run", which, 1_000_000_000 + self.counts["run"], {}, "late", creates="run")
        self._add("restore_run", run)
        self._add("log_metric", run, "acc", 1.0, 1, 0)
        if self.rng.random() < 0.7:
            self._add("restore_experiment", which)
            self._add("get_run", run)
            self._add("search_runs", [which], run_view_type=self.rng.choice([1, 2, 3]))


class Player(random_calls.Player):
    """Plays the steps of more kinds."""

    def _function(self, call: str) -> Callable[..., Any]:
        where, _, name = call.rpartition(".")
        if where == "wait":
            return lambda *args, **kwargs: self._waited(getattr(self.client, name)(*args, **kwargs))
        if where == "pages_around":
            return lambda *args, **kwargs: self._pages_around(getattr(self.client, name), *args, **kwargs)
        return super()._function(call)

    @staticmethod
    def _waited(operations: Any) -> None:
        if operations is not None:
            operations.wait()

    def _pages_around(
        self, search: Callable[..., Any], where: Any, change: tuple[Any, ...], **kwargs: Any
    ) -> list[Any]:
        first = search(where, **kwargs)
        changed = self.play(Step(change[0], change[1:]))
        if not first.token:
            return [*first, changed]
        second = search(where, page_token=first.token, **kwargs)
        return [*first, changed, *second, "more" if second.token else "end"]
