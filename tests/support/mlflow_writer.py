"""Logs through MLflow's own store from another process: 100 points a second, two metrics of one batch always equal.

    python mlflow_writer.py URL SECONDS

Prints "ready" when the first batch is there, and at its end as JSON how many batches it logged and its errors.
"""

from __future__ import annotations

import json
import logging
import sys
import time

BATCHES_A_SECOND = 50  # of two points each
RUNS = 40


def main(url: str, seconds: float) -> None:
    from mlflow.entities import Metric
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    logging.disable(logging.CRITICAL)
    store = SqlAlchemyStore(url, "mlflow-artifacts:/")
    experiment_id = store.create_experiment("written")
    run_ids = [store.create_run(experiment_id, "ann", 1, [], f"run {number}").info.run_id for number in range(RUNS)]
    errors: list[str] = []
    start, done = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        points = [Metric(key, float(done), done, done) for key in ("a", "b")]
        try:
            store.log_batch(run_ids[done % RUNS], points, [], [])
        except Exception as error:  # whatever it is, the reader's test reports it
            errors.append(repr(error)[:300])
        done += 1
        if done == RUNS:
            print("ready", flush=True)
        time.sleep(max(0.0, start + done / BATCHES_A_SECOND - time.monotonic()))
    store.engine.dispose()
    print(json.dumps({"batches": done, "errors": errors, "seconds": time.monotonic() - start}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
