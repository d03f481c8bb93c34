"""Pushes and pulls over `azureml://` through Microsoft's client, on this server in the azure dialect.

Skipped without MLQUERY_AZUREML_PYTHON, as `test_server_azureml` explains.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from mlquery.server.testing import running_server

SESSION = Path(__file__).parent / "support" / "azureml_tracker.py"
PYTHON = os.environ.get("MLQUERY_AZUREML_PYTHON")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("azureml"),
    pytest.mark.skipif(PYTHON is None, reason="MLQUERY_AZUREML_PYTHON names no Python that has azureml-mlflow"),
]


def test_runs_go_to_a_workspace_within_its_limits_and_come_back_the_same(tmp_path: Path) -> None:
    assert PYTHON is not None
    with running_server(dialect="azure") as server:
        command = [PYTHON, str(SESSION), server.url, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert 0 == done.returncode, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (["params: 210, at most 200"], 0) == (seen["unfit"], seen["before"])
    assert ([2, 0], [2, 0]) == (seen["pushed"], seen["pulled"])
    assert seen["here"]["child"] == seen["back"]["child"]
    assert ["RUNNING", 1_000, None, 210] == seen["here"]["parent"][:4]
    assert ["RUNNING", 1_000, None, 200] == seen["back"]["parent"][:4]
