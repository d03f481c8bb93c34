"""The same random scripts through `MlflowClient` on MLflow's SQLite store and on mlquery: the same answers and errors.

`MLQUERY_FUZZ=2000` plays that many scripts, `MLQUERY_SEED=5000` other ones.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

import attrs
import pytest
from mlflow import MlflowClient

from mlquery.mlflow_plugin import register, uris
from mlquery.mocking import Clock
from mlquery.store import Store
from tests.support.installed_mlflow import INSTALLED
from tests.support.random_calls_wide import Player, Script

SCRIPTS = int(os.environ.get("MLQUERY_FUZZ", "60"))
FIRST_SEED = int(os.environ.get("MLQUERY_SEED", "0"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("plugin beside mlflow"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]


@attrs.define
class Pair:
    """A client of MLflow's store and one of mlquery's, under one clock."""

    mlflow: Player
    mlquery: Player
    clock: Clock
    time: int = 0

    def play(self, step: Any) -> tuple[Any, Any]:
        """Make the same call on both, a millisecond later than the one before."""
        self.time += 1
        self.clock.set(self.time)  # a time that is set may come again, in the next script
        with mock.patch("mlflow.store.tracking.sqlalchemy_store.get_current_time_millis", return_value=self.time):
            expected = self.mlflow.play(step)
        return expected, self.mlquery.play(step)

    def begin(self) -> None:
        """Start a script."""
        self.time = 0
        self.mlflow.begin()
        self.mlquery.begin()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    register()
    folder = tmp_path_factory.mktemp("mlflow")
    # MLflow logs the SQL of every statement that fails.
    logging.disable(logging.CRITICAL)
    clock = Clock(0)
    uri = uris.new_private(uris.new_backend(INSTALLED.name, Store(clock=clock)))
    with mock.patch("mlflow.store.tracking.sqlalchemy_store.get_current_time_millis", return_value=0):
        mlflow = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    yield Pair(Player(mlflow), Player(MlflowClient(uri)), clock)
    uris.forget(uri)
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SCRIPTS))
def test_a_script_of_random_calls_gives_the_answers_and_errors_of_mlflow(pair: Pair, seed: int) -> None:
    script = Script(seed, f"script {seed}:")
    pair.begin()

    for number, step in enumerate(script.steps):
        expected, answer = pair.play(step)

        assert expected == answer, f"step {number}: {step}"
        if step.call.endswith("log_batch") and expected == ("refused", "BAD_REQUEST", ""):
            break  # MLflow has written a part of the batch; mlquery writes all of a batch or nothing
