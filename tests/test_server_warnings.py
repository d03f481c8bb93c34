"""The warnings of a server over HTTP: the server logs them, and MLflow's client raises them as Python warnings."""

from __future__ import annotations

import logging
import pkgutil
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.exceptions import RestException
from mlflow.utils import rest_utils

from mlquery import Client, QueryWarning, mlflow_plugin
from mlquery.mlflow_plugin.server_warnings import ServerWarnings, raise_server_warnings, warnings_in
from mlquery.server.app import _json
from mlquery.server.testing import RunningServer, running_server

SILENT = "run_name = 'baseline'"
OF_SILENT = (
    "filter_string: no source says whether azure supports this: filter or order runs by run_name and artifact_uri"
)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(dialect="azure") as running:
        yield running


@pytest.fixture
def client(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Return a client of MLflow's, which has loaded its plugins."""
    monkeypatch.setattr(rest_utils, "verify_rest_response", rest_utils.verify_rest_response)  # put back in the end
    raise_server_warnings()
    return MlflowClient(server.tracking_uri)


def test_the_server_logs_each_warning_in_a_line(
    server: RunningServer, client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "mlquery.server"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.search_runs(["0"], f"{SILENT} AND attributes.start_time > 1700000000000")
        client.search_runs(["0"], "params.a = 'x'")

    logged = [record.getMessage() for record in caplog.records if record.name == "mlquery.server"]
    assert [f"POST runs/search: {OF_SILENT}  [attribute.other]"] == logged[:1]
    assert (2, "[literal.bare-number]") == (len(logged), logged[1].split()[-1])


def test_the_client_raises_a_warning_where_the_call_is_written(client: MlflowClient) -> None:
    with pytest.warns(QueryWarning, match=r"run_name and artifact_uri \[attribute.other\]") as caught:
        assert [] == list(client.search_runs(["0"], SILENT))

    assert [__file__] == [warning.filename for warning in caught]


def test_the_warnings_of_a_call_that_is_refused_are_raised_too(client: MlflowClient) -> None:
    with pytest.warns(QueryWarning, match="restore_run"), pytest.raises(RestException):
        client.restore_run("none")


def test_warnings_can_be_made_errors(client: MlflowClient) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", QueryWarning)
        with pytest.raises(QueryWarning, match="run_name"):
            client.search_runs(["0"], SILENT)


def test_what_no_cell_warns_of_raises_none(client: MlflowClient) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.search_runs(["0"], "params.a = 'x'")


def test_the_same_features_are_warned_of_with_and_without_http(server: RunningServer, client: MlflowClient) -> None:
    def warned(searching: Client | MlflowClient) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            searching.search_runs(["0"], f"{SILENT} AND attributes.start_time > 5", order_by=["creation_time"])
        return [str(warning.message).partition("\n")[0].split()[-1] for warning in caught]

    direct = warned(Client(server.store, "azure"))
    assert 4 == len(direct)
    assert direct == warned(client)


def test_mlflow_is_wrapped_once(client: MlflowClient) -> None:
    before = rest_utils.verify_rest_response

    provider = ServerWarnings()

    assert before is rest_utils.verify_rest_response
    assert (False, {}) == (provider.in_context(), provider.request_headers())


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("answer", [Mock(status_code=200), SimpleNamespace(status_code=200)])
def test_what_a_test_puts_in_the_place_of_an_answer_passes(answer: Any) -> None:
    answer.text = "{}"

    assert answer is rest_utils.verify_rest_response(answer, "/api")


@pytest.mark.parametrize(
    "header", ["", '199 - "Miscellaneous"', '299 proxy "slow"', "299 mlquery", '1299 mlquery "no"', '299 mlquery "open']
)
def test_warnings_of_others_are_not_raised(header: str) -> None:
    assert [] == list(warnings_in(header))


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)).map(lambda s: " ".join(s.split()))))
def test_a_warning_arrives_as_it_was_sent(messages: list[str]) -> None:
    headers = _json(200, {}, messages).headers.getlist("Warning")

    assert messages == list(warnings_in(", ".join(headers)))


@given(st.text())
def test_a_warning_never_breaks_the_header(message: str) -> None:
    (header,) = _json(200, {}, [message]).headers.getlist("Warning")

    assert header.isascii()
    assert "\n" not in header
    assert 1 == len(list(warnings_in(header)))


def test_the_names_of_the_entry_points_are_no_modules() -> None:
    """The import of a module gives its package an attribute, which would hide what an entry point names."""
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]
    modules = {module.name for module in pkgutil.iter_modules(mlflow_plugin.__path__)}
    named = [
        target.partition(":")[2]
        for group, targets in project["entry-points"].items()
        if group.startswith("mlflow.")
        for target in targets.values()
    ]

    assert len(named) >= 4
    assert modules.isdisjoint(named)
    assert all(callable(getattr(mlflow_plugin, name)) for name in named)
