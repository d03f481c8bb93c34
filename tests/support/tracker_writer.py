"""A process that logs to a store as fast as it can, and says on standard output what was acknowledged.

    python tracker_writer.py PATH DURABILITY SEED

Each line is `kind run step time`: "run" for a new run, "metric" for one point, "batch" for a batch of four parts.
"""

from __future__ import annotations

import os
import random
import sys
import time
from itertools import count

from mlquery.durable.opening import open as open_store
from mlquery.entities import Metric, Param, RunTag

POINTS_OF_A_BATCH = 25


def say(kind: str, run_id: str, step: int) -> None:
    os.write(1, f"{kind} {run_id} {step} {time.time()}\n".encode())


def main(path: str, durability: str, seed: str) -> None:
    store, chance = open_store(path, durability), random.Random(seed)  # type: ignore[arg-type]
    run_id = ""
    for step in count():
        if step % 200 == 0:
            run_id = store.create_run("0", "writer", step, [RunTag("seed", seed)], None).info.run_id
            say("run", run_id, step)
        if chance.random() < 0.7:
            store.log_metric(run_id, Metric("one", chance.random(), step, step))
            say("metric", run_id, step)
        else:
            points = [Metric("many", float(place), step, place) for place in range(POINTS_OF_A_BATCH)]
            params, tags = [Param(f"param{step}", str(step))], [RunTag(f"tag{step}", "x" * chance.randrange(2000))]
            store.log_batch(run_id, points, params, tags)
            say("batch", run_id, step)


if __name__ == "__main__":
    main(*sys.argv[1:])
