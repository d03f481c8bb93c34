"""Pages of one search belong together, whatever is written between them; counts and projections build no runs."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from mlquery.entities import Metric, Run
from mlquery.errors import QueryError
from mlquery.query.dataframe import search_frame
from mlquery.query.search import count_runs, search_runs
from mlquery.store import Store


def _store(runs: int) -> Store:
    store = Store(seed=1)
    for number in range(runs):
        run_id = store.create_run("0", "ann", 1000 + number, [], f"run-{number}").info.run_id
        store.log_metric(run_id, Metric("auc", number / runs, 0, 0))
    return store


def _names(page: list[Run]) -> list[str]:
    return [str(run.info.run_name) for run in page]


def test_runs_added_between_pages_move_no_others() -> None:
    """The newest run comes first, so an offset alone would show one run twice."""
    store = _store(6)
    first = search_runs(store, ["0"], max_results=2)

    store.create_run("0", "ann", 9999, [], "late")
    second = search_runs(store, ["0"], max_results=2, page_token=first.token)
    store.create_run("0", "ann", 9999, [], "later")
    third = search_runs(store, ["0"], max_results=2, page_token=second.token)

    assert _names(first) + _names(second) + _names(third) == [f"run-{n}" for n in (5, 4, 3, 2, 1, 0)]
    assert third.token is None


def test_values_changed_between_later_pages_move_no_runs() -> None:
    """From the second page on, the order of the search is settled."""
    store = _store(6)
    by_auc: dict[str, Any] = {"order_by": ["metrics.auc DESC"], "max_results": 2}
    first = search_runs(store, ["0"], **by_auc)
    second = search_runs(store, ["0"], page_token=first.token, **by_auc)

    store.log_metric(first[0].info.run_id, Metric("auc", -1.0, 1, 1))
    third = search_runs(store, ["0"], page_token=second.token, **by_auc)

    assert _names(third) == ["run-1", "run-0"]


def test_a_token_of_mlflow_is_read() -> None:
    """MLflow's tokens hold an offset and nothing else."""
    store = _store(4)

    page = search_runs(store, ["0"], max_results=2, page_token="eyJvZmZzZXQiOiAyfQ==")

    assert _names(page) == ["run-1", "run-0"]


@pytest.mark.parametrize(
    "token", ["x", "eyJvZmZzZXQiOiAwfQ==", "W10=", "eyJvZmZzZXQiOiAtMX0=", "bnVsbA==", "é", b"\xff"]
)
def test_what_is_no_token_is_refused(token: str | bytes) -> None:
    """With a code of its own."""
    with pytest.raises(QueryError) as caught:
        search_runs(_store(1), ["0"], page_token=token)

    assert caught.value.code == "bad-page-token"


def test_runs_are_counted() -> None:
    """All of them, beyond any page."""
    assert count_runs(_store(10), ["0"], "metrics.auc >= 0.5") == 5


def test_a_projection_has_the_named_columns_and_no_others() -> None:
    """In the order of the names, equal to those of the full frame."""
    store = _store(5)
    full = search_frame(store, ["0"])

    part = search_frame(store, ["0"], columns=["metrics.auc", "run_id", "start_time", "tags.nowhere"])

    pd.testing.assert_frame_equal(full[["metrics.auc", "run_id", "start_time"]], part.iloc[:, :3])
    assert part["tags.nowhere"].isna().all()


def test_a_projection_refuses_names_that_are_no_columns() -> None:
    """A typing mistake is not a column of missing values."""
    with pytest.raises(ValueError, match=r"unknown column 'metric\.auc'"):
        search_frame(_store(1), ["0"], columns=["metric.auc"])
