"""How the URIs of this package begin."""

from __future__ import annotations

from typing import Final

SCHEME: Final = "mlquery"
ARTIFACT_SCHEME: Final = "mlquery-artifacts"
