"""The list of known differences is true: MLflow still accepts each example, and mlquery still refuses it."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlquery.errors import QueryError
from mlquery.query.search import search_runs
from mlquery.store import Store
from tests.support.random_data import new_mlflow_store

FILE = Path(__file__).resolve().parents[1] / "conformance" / "differences.toml"
DIFFERENCES: list[dict[str, Any]] = tomllib.loads(FILE.read_text(encoding="utf-8"))["difference"]
EXAMPLES = [
    *({"filter_string": string} for d in DIFFERENCES for string in d.get("filters", ())),
    *({"order_by": [term]} for d in DIFFERENCES for term in d.get("order_by", ())),
    *({"page_token": string} for d in DIFFERENCES for string in d.get("page_tokens", ())),
]

pytestmark = pytest.mark.xdist_group("differences")


@pytest.fixture(scope="module")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Make a database with one run in it."""
    logging.disable(logging.CRITICAL)
    store = new_mlflow_store(tmp_path_factory.mktemp("differences"))
    store.create_run("0", "ann", 1, [], "run")
    yield store
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(*example.values()))
def test_mlflow_accepts_it(mlflow_store: Any, example: dict[str, Any]) -> None:
    """When MLflow changes, the entry goes."""
    arguments = {"filter_string": "", **example}

    found = mlflow_store.search_runs(["0"], run_view_type=1, **arguments)

    assert len(found) <= 1


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(*example.values()))
def test_mlquery_refuses_it_and_says_what_to_write(example: dict[str, Any]) -> None:
    """With a span inside the string."""
    with pytest.raises(QueryError) as caught:
        search_runs(Store(), ["0"], **example)

    (first, *_) = caught.value.diagnostics
    assert first.code in ("syntax", "bad-page-token")
    assert first.suggestion or first.code == "bad-page-token"
    assert 0 <= first.span.start <= first.span.stop <= len(first.source)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda d: d["id"])
def test_every_entry_has_a_reason_and_a_way_out(difference: dict[str, Any]) -> None:
    """And examples that show it."""
    assert difference["reason"].endswith(".")
    assert difference["instead"]
    assert any(difference.get(kind) for kind in ("filters", "order_by", "page_tokens"))
