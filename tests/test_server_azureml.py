"""The real client `azureml-mlflow` against this server in the azure dialect.

The client brings a dozen packages of the Azure SDK, so it lives in an environment of its own: `.ci/run` makes one and
names its Python in MLQUERY_AZUREML_PYTHON. Without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlquery.server.testing import running_server

SESSION = Path(__file__).parent / "support" / "azureml_session.py"
PYTHON = os.environ.get("MLQUERY_AZUREML_PYTHON")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("azureml"),
    pytest.mark.skipif(PYTHON is None, reason="MLQUERY_AZUREML_PYTHON names no Python that has azureml-mlflow"),
]


@pytest.fixture(scope="module")
def seen() -> Any:
    """Return what the client saw in one session."""
    assert PYTHON is not None
    with running_server(dialect="azure") as server:
        done = subprocess.run([PYTHON, SESSION, server.url], capture_output=True, text=True, check=False, timeout=120)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_experiments_and_runs_have_dashed_guids_and_zero_means_the_default_experiment(seen: Any) -> None:
    assert [[4, "by store"], True, [4, "FINISHED"]] == [seen["experiment"], seen["experiment zero"], seen["id"]]
    assert ["Default", "by store", "fluent"] == seen["experiments"]


def test_batches_are_logged_asynchronously_and_polled(seen: Any) -> None:
    assert [{"m": 0.5}, {"p": "1"}] == seen["async"]


def test_numbers_of_64_bits_survive_the_way_through_json(seen: Any) -> None:
    assert [[1_700_000_000_123, 2**40]] == seen["history"]


def test_the_fluent_functions_search_as_microsofts_notebooks_do(seen: Any) -> None:
    assert [["parent"], ["FINISHED"]] == seen["search"]
    assert ["parent", "child"] == seen["family, oldest first"]
    assert seen["children"] is True
    assert "deleted" == seen["archived"]


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("like on a tag", "UserError", "Operator 'LIKE' not supported for key type 'Tag'."),
        ("or", "UserError", "Currently unsupported filter string format (we currently do not support OR)."),
        ("order by metric", "UserError", ""),
        ("rename", "UserError", ""),
        ("params", "ValidationError", "A field of the entity is over the size limit. FieldName=Parameters, Limit=200"),
        ("points", "ValidationError", "A field of the entity is over the size limit. FieldName=MetricV2Dto.Value"),
    ],
)
def test_a_refusal_is_a_rest_exception_with_the_services_body(seen: Any, what: str, code: str, words: str) -> None:
    error_code, service_code, message, component = seen[what]

    assert ("INVALID_PARAMETER_VALUE", code, "mlflow") == (error_code, service_code, component)
    assert message.startswith(words)


def test_a_missing_run_has_its_own_code(seen: Any) -> None:
    assert "RESOURCE_DOES_NOT_EXIST" == seen["no such run"][0]


def test_logged_models_have_no_endpoint(seen: Any) -> None:
    assert ["MlflowException", "ENDPOINT_NOT_FOUND"] == seen["model"][:2]
    assert "error code 404 != 200. Response body: 'azure has no logged models; instead: " in seen["model"][2]
