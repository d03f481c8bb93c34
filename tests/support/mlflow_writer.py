"""Logs to an `mlflow server` from another process: 120 points a second, the same number in all of a batch.

    python mlflow_writer.py URL

Several threads log, each to an experiment and runs of its own, in turn: the runs of one thread hold as many numbers
that follow each other, and all metrics of a run are equal, in every state of the database and in no mixture of two.
Prints "ready" when every run has its metrics, and once the standard input is closed, as JSON, the seconds since then,
what was logged in them, and the errors. No call is made twice.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from threading import Barrier, Event, Thread
from typing import Any

WRITERS = 2
RUNS = 20
"""The runs of each writer."""
KEYS = tuple("abcdefghij")
_BATCHES_A_SECOND = 6
"""Of each writer, of a point of every metric: 120 points a second in all."""
_PATIENCE = 180.0  # a thread that fails before it is ready breaks the barrier for all


class Writer(Thread):
    """Logs batches at a steady pace; one that is late catches up."""

    def __init__(self, url: str, name: str, ready: Barrier, over: Event) -> None:
        super().__init__(name=name)
        self.url, self.ready, self.over = url, ready, over
        self.batches = 0
        self.errors: list[str] = []

    def run(self) -> None:
        from mlflow import MlflowClient

        client = MlflowClient(self.url)
        experiment_id = client.create_experiment(self.name)
        run_ids = [client.create_run(experiment_id).info.run_id for _ in range(RUNS)]
        for number in range(RUNS):
            self._log(client, run_ids, number)
        self.ready.wait(_PATIENCE)
        start = time.monotonic()
        while not self.over.wait(max(0.0, start + self.batches / _BATCHES_A_SECOND - time.monotonic())):
            self._log(client, run_ids, RUNS + self.batches)
            self.batches += 1

    def _log(self, client: Any, run_ids: list[str], number: int) -> None:
        from mlflow.entities import Metric

        points = [Metric(key, float(number), number, number) for key in KEYS]
        try:
            client.log_batch(run_ids[number % RUNS], points)
        except Exception as error:  # whatever it is, the reader's test reports it
            self.errors.append(repr(error)[:300])


def main(url: str) -> None:
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    logging.disable(logging.CRITICAL)
    ready, over = Barrier(WRITERS + 1), Event()
    writers = [Writer(url, f"written {number}", ready, over) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    ready.wait(_PATIENCE)
    start = time.monotonic()
    print("ready", flush=True)
    sys.stdin.read()
    over.set()
    for writer in writers:
        writer.join()
    seconds = time.monotonic() - start
    points = len(KEYS) * sum(writer.batches for writer in writers)
    errors = [error for writer in writers for error in writer.errors]
    print(json.dumps({"seconds": seconds, "points": points, "errors": errors}))


if __name__ == "__main__":
    main(sys.argv[1])
