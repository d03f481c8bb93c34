"""The endpoints about webhooks, all of which say that mlquery keeps none.

**Source** of the paths: `webhooks.proto` of MLflow 3.17.
"""

from __future__ import annotations

from typing import Any, Final

from mlquery.backend.registered_models import not_kept
from mlquery.server.endpoints import Endpoint
from mlquery.server.proto_json import Fields, Message
from mlquery.server.service import Service


def _refuse(service: Service, fields: Fields) -> Any:
    raise not_kept("webhooks", "search the model registry for what has changed")


ENDPOINTS: Final = tuple(
    Endpoint(method, path, Message(), _refuse)
    for method, path in (
        ("POST", "webhooks"),
        ("GET", "webhooks"),
        ("GET", "webhooks/{webhook_id}"),
        ("PATCH", "webhooks/{webhook_id}"),
        ("DELETE", "webhooks/{webhook_id}"),
        ("POST", "webhooks/{webhook_id}/test"),
    )
)
