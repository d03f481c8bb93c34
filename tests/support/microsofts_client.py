"""Runs scripts with Microsoft's client `azureml-mlflow` on a server of ours that speaks https.

The client brings a dozen packages of the Azure SDK, so each release lives in an environment of its own. `.ci/run` makes
them and names their Pythons in MLQUERY_AZUREML_PYTHON, as PATH is written. Without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlquery.server.certificates import made_for_session
from mlquery.server.testing import running_server
from mlquery.store import Store

PYTHONS = os.environ.get("MLQUERY_AZUREML_PYTHON", "").split(os.pathsep)

needs_azureml = [
    pytest.mark.slow,
    pytest.mark.xdist_group("azureml"),
    pytest.mark.skipif(PYTHONS == [""], reason="MLQUERY_AZUREML_PYTHON names no Python that has azureml-mlflow"),
]


def seen_by(python: str, script: str, *arguments: str, store: Store | None = None, timeout: float = 300) -> Any:
    """Return what a script in this folder prints at last, as JSON; its environment leads to a new server of a store."""
    with (
        made_for_session("127.0.0.1") as certificate,
        running_server(store, "azure", certificate=certificate) as server,
    ):
        variables = server.service.environment(server.url, None)
        assert certificate.authority is not None
        environment = {
            **os.environ,
            **variables,
            "REQUESTS_CA_BUNDLE": certificate.authority,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }
        command = [python, str(Path(__file__).with_name(script)), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, env=environment)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
