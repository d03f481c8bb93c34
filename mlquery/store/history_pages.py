"""Page tokens of metric histories: an offset in base64, as MLflow makes them.

**Source**: `SearchUtils.parse_start_offset_from_page_token` of MLflow 3.17.
"""

from __future__ import annotations

import base64
import json

from mlquery.errors import invalid_parameter


def next_token(offset: int) -> str:
    """Return the token of the page that starts at an offset."""
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


def offset_of(token: str | bytes | None) -> int:
    """Return the offset in a token, 0 for none; raise INVALID_PARAMETER_VALUE if there is no offset in it."""
    if not token:
        return 0
    try:
        decoded = base64.b64decode(token)
    except (TypeError, ValueError):
        raise invalid_parameter("Invalid page token, could not base64-decode") from None
    try:
        parsed = json.loads(decoded)
    except ValueError:
        raise invalid_parameter(f"Invalid page token, decoded value={decoded!r}") from None
    offset = parsed.get("offset") if isinstance(parsed, dict) else None
    if not offset:
        raise invalid_parameter(f"Invalid page token, parsed value={parsed}")
    try:
        return max(0, int(offset))
    except (ValueError, TypeError):
        raise invalid_parameter(f"Invalid page token, not stringable {offset}") from None
