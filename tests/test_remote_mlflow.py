"""Random searches of real `mlflow server`, of MLflow 3 and 2, find what the local engine finds in its database.

`MLQUERY_REMOTE_TREES=2000` asks so many of each instead of a few; see docs/contributing/set-up.md. MLflow 2 is in an
environment of Microsoft's client, where there is one.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import attrs
import mlflow
import pytest

import mlquery
from mlquery.engine import columnar
from mlquery.remote import search
from mlquery.remote.source import RemoteSource
from mlquery.store import Store
from tests.support import served_runs
from tests.support.microsofts_client import PYTHONS
from tests.support.mlflow_server import mlflow_server
from tests.support.random_trees import Search, Trees
from tests.support.written_runs import EXPERIMENTS, write_runs

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("remote mlflow")]

_TREES = int(os.environ.get("MLQUERY_REMOTE_TREES", "0"))
_RELEASES = ["3", "2"]


def _python_of(release: str) -> str:
    """Return a Python with the server of a release; skip where there is none."""
    if mlflow.__version__.startswith(f"{release}."):
        return sys.executable
    program = "import flask, sqlalchemy; from mlflow.version import VERSION; print(VERSION)"
    for python in filter(None, PYTHONS):
        found = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False).stdout
        if found.startswith(f"{release}."):
            return python
    pytest.skip(f"MLQUERY_AZUREML_PYTHON names no Python with the server of MLflow {release}")


@pytest.fixture(scope="module", params=_RELEASES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Store]]:
    """Give a server that holds random runs, and these as they are in its database."""
    python, folder = _python_of(request.param), tmp_path_factory.mktemp("served")
    with mlflow_server(folder, python=python) as url:
        write_runs(mlflow.MlflowClient(url), served_runs.served_store(11, 60, has_nul=False))
        source: Any = mlquery.connect(url).source
        assert source.server_dialect.name.startswith("oss")
        yield source, mlquery.load(str(folder / "mlflow.db"))


@pytest.mark.parametrize("size", ["large pages", "small pages"])
def test_mlflows_server_finds_the_runs_that_the_local_engine_finds(
    served: tuple[RemoteSource, Store], size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if size == "small pages":
        for name, few in (("PAGE", 5), ("LATER_PAGE", 7), ("_LARGEST_PAGE", 20), ("_SPARE", 1)):
            monkeypatch.setattr(search, name, few)
    source, store = served
    trees, costs = Trees(random.SystemRandom().randrange(2**32) if _TREES else 2, 300), served_runs.Costs()
    for _ in range(_TREES // 2 or 25):
        asked = _there(trees.search())
        expected = [store.runs.ids[row] for row in columnar.rows(store, asked.plan)][: asked.limit]
        assert expected == source.ids(asked.plan, asked.limit), asked
        costs.add(source.last_cost.taken, source.last_cost.rows, len(expected))
    print(f"\n{source.server_dialect.name}, {size}: {costs}")


def _there(asked: Search) -> Search:
    """Return a search of the experiments under the ids that they have on the server."""
    wanted = asked.plan.experiment_ids or frozenset()
    ids = frozenset(EXPERIMENTS.get(experiment_id, experiment_id) for experiment_id in wanted)
    return attrs.evolve(asked, plan=attrs.evolve(asked.plan, experiment_ids=ids))
