"""Settings that every test runs under."""

from __future__ import annotations

import os

from hypothesis import settings

# The same examples on every machine and in every run; `HYPOTHESIS_PROFILE=fresh` draws new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("fresh", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# MLflow, which the tests compare with, counts its calls on the network unless told not to.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
