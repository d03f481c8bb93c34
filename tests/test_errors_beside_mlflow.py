"""Of two errors in one search, the one that MLflow meets first gives the code: random pairs of errors on both stores.

`MLQUERY_FUZZ=2000` draws that many searches of each kind, `MLQUERY_SEED=7` other ones.
"""

from __future__ import annotations

import logging
import os
import random
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as SqlRegistry
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as SqlTracking

from mlquery.mlflow_plugin import uris
from mlquery.mlflow_plugin.registry import RegistryStore
from mlquery.mlflow_plugin.tracking import TrackingStore
from tests.support.installed_mlflow import INSTALLED

SEARCHES = int(os.environ.get("MLQUERY_FUZZ", "150"))
SEED = int(os.environ.get("MLQUERY_SEED", "0"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("errors beside mlflow"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
]

HUGE = "9" * 20
SURROGATE = "tags.a = '\ud800'"
TOKENS = ["x", *(b64encode(b'{"offset": %d}' % offset).decode() for offset in (0, 2**63))]


@attrs.frozen
class Errors:
    """The errors that a kind of search can have, by argument; None stands for an argument without one."""

    filters: tuple[str | None, ...]
    orders: tuple[list[str], ...]
    sizes: tuple[int, ...] = (0, 50_001)

    def drawn(self, dice: random.Random) -> tuple[str | None, list[str] | None, int, str | None]:
        """Return a search with two of its arguments wrong, or one of them right after all."""
        kinds = dice.sample(["filter", "order", "order", "filter", "size", "token"], 2)
        return (
            dice.choice(self.filters) if "filter" in kinds else None,
            dice.choice(self.orders) if "order" in kinds else None,
            dice.choice(self.sizes) if "size" in kinds else 10,
            dice.choice(TOKENS) if "token" in kinds else None,
        )


RUNS = Errors(
    filters=(
        *("metrics.a >", "nonsense = 'x'", "metrics.a = 'x'", "status = 1", "start_time = 'x'", "run_id IN (1)"),
        *("params.a > 'x'", "status > 'x'", "tags.a RLIKE '('", "dataset.name > 'a'", "metrics.a LIKE 'x'"),
        *(f"start_time > {HUGE}", f"start_time > '{HUGE}'", SURROGATE, " AND ".join(["metrics.a > 1"] * 64)),
        *("tags.a IN ('a')", "dataset.nothing = 'a'", "dataset.name IS NULL", "status BETWEEN 'a' AND 'b'"),
        *("run_id = ('a')", "run_id != ('a', 'b')", "run_id > ('a')", "params.a = ('a', 'b')", "dataset.name = ('x')"),
        *("metrics.a > 1 OR metrics.b > 1", "(metrics.a > 1)", "metrics.a IN (1)", "run_id = ('a') AND status > 'x'"),
    ),
    orders=(
        *(["nothing"], ["a b c"], ["dataset.name"], ["nothing", "metrics.a", "metrics.a"]),
        *(["metrics.a", "metrics.a"], ["start_time", "start_time DESC"], ["metrics.a", "metrics.a", "nothing"]),
        *(["status", "attributes.status", "a b c"], ["a b c", "status", "attributes.status"], ["tags.\ud800"]),
    ),
)
EXPERIMENTS = Errors(
    filters=(
        *("name >", "nonsense = 'x'", "name = 1", "name > 'x'", "creation_time = 'x'", "creation_time > 1.5"),
        *("experiment_id = 'x'", "experiment_id > '1'", "experiment_id IN ('x')", f"experiment_id = '{HUGE}'"),
        *("experiment_id = ('1')", "experiment_id != ('1', '3')", "experiment_id = ('x')", "experiment_id LIKE ('1')"),
        *(f"experiment_id = ('{HUGE}')", "name = ('a')", "tags.a = ('x')", "tags.a > 'x'", "tags.a IN ('a')"),
        *(f"creation_time > {HUGE}", SURROGATE, " AND ".join(["tags.a = 'x'"] * 64), "name = 'a' OR name = 'b'"),
    ),
    orders=(["nothing"], ["a b c"], ["tags.a"], ["name", "nothing"], ["nothing", "name", "name"], ["name", "name"]),
)
_REGISTRY = (
    *("name >", "nonsense = 'x'", "name = 1", "name > 'x'", "name IN (1)", "tags.a > 'x'", "tags.a IN ('x')"),
    *("name IS NULL", "tags.a IS NULL", SURROGATE, "name = ('a')", "name != ('a', 'b')", "tags.a = ('x')"),
)
_REGISTRY_ORDERS = (
    *(["nothing"], ["a b c"], ["tags.a"], ["nothing", "name", "name"], ["name", "name"], ["name", "name", "nothing"]),
    *(["last_updated_timestamp", "last_updated_timestamp"], ["timestamp", "last_updated_timestamp"]),
)
MODELS = Errors(_REGISTRY, _REGISTRY_ORDERS, (1001, 0))
VERSIONS = Errors(
    (*_REGISTRY, "version_number = 'x'", f"version_number > {HUGE}", "version_number > 1.5", "run_id = ('a')"),
    (*_REGISTRY_ORDERS, ["version_number", "version_number"]),
    (0, 200_001),
)
SEARCH: dict[str, tuple[Errors, Callable[..., Any]]] = {
    "runs": (
        RUNS,
        lambda on, what, order, size, token: on[0].search_runs(["0"], what, ViewType.ALL, size, order, token),
    ),
    "experiments": (
        EXPERIMENTS,
        lambda on, what, order, size, token: on[0].search_experiments(ViewType.ALL, size, what, order, token),
    ),
    "models": (
        MODELS,
        lambda on, what, order, size, token: on[1].search_registered_models(what, size, order, token),
    ),
    "versions": (
        VERSIONS,
        lambda on, what, order, size, token: on[1].search_model_versions(what, size, order, token),
    ),
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """Return MLflow's tracking store and registry, and those of mlquery."""
    folder = tmp_path_factory.mktemp("mlflow")
    logging.disable(logging.CRITICAL)  # MLflow logs the SQL of every statement that fails
    database, uri = f"sqlite:///{folder}/mlflow.db", uris.new_private(uris.new_backend(INSTALLED.name))
    ours: Any = TrackingStore  # its methods outside of what it serves are set after the class
    yield (SqlTracking(database, str(folder)), SqlRegistry(database)), (ours(uri), RegistryStore(uri, uri))
    uris.forget(uri)
    logging.disable(logging.NOTSET)


def outcome(search: Callable[..., Any], *query: Any) -> str:
    try:
        search(*query)
    except MlflowException as error:
        return str(error.error_code)
    except ValueError:
        return "INTERNAL_ERROR"  # MLflow's registry stumbles over IS NULL before it opens a session
    return "accepted"


@pytest.mark.parametrize("kind", SEARCH)
def test_of_two_errors_in_a_search_the_one_that_mlflow_meets_first_gives_the_code(stores: Any, kind: str) -> None:
    errors, search = SEARCH[kind]
    dice = random.Random(f"{kind} {SEED}")

    for _ in range(SEARCHES):
        query = errors.drawn(dice)
        expected, answer = (outcome(search, on, *query) for on in stores)

        assert expected == answer, query
