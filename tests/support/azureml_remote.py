"""Searches a server in the extended language through `azureml-mlflow`, and prints what differed, as JSON.

The environment leads to a server in the dialect of Azure, which holds the store that is made here again.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any

import mlquery
from mlquery.engine import columnar
from tests.support import served_runs
from tests.support.random_trees import Trees

SEED, RUNS = 21, 60


def main(searches: int, seed: int) -> None:
    """Ask for random searches."""
    warnings.simplefilter("ignore", mlquery.QueryWarning)  # of views that no source is about
    store, trees, costs = served_runs.served_store(SEED, RUNS), Trees(seed, 300), served_runs.Costs()
    source: Any = mlquery.connect(os.environ["MLFLOW_TRACKING_URI"]).source
    differing = []
    for _ in range(searches):
        asked = trees.search()
        expected = [store.runs.ids[row] for row in columnar.rows(store, asked.plan)][: asked.limit]
        if expected != source.ids(asked.plan, asked.limit):
            differing.append(str(asked))
        costs.add(source.last_cost.taken, source.last_cost.rows, len(expected))
    seen = {"dialect": source.server_dialect.name, "scheme": os.environ["MLFLOW_TRACKING_URI"].partition(":")[0]}
    print(json.dumps({**seen, "differing": differing, "costs": str(costs)}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
