"""The page at `/`: its document, its assets, and the questions that it asks about runs, answered as JSON.

What the answers hold is decided in `mlquery.comparison`. Nothing that is asked here changes the store.

**Source** of the policy: W3C Content Security Policy Level 3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import attrs
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mlquery import __version__
from mlquery.comparison import Comparison, compare, page_data, page_runs
from mlquery.server.endpoints import loaded_json
from mlquery.server.errors import FAILURES, RequestError
from mlquery.server.service import Service

QUESTIONS_PATH: Final = "/mlquery/page/"
ASSETS_PATH: Final = "/mlquery/assets/"
NOT_IN_PLACE: Final = (
    "This page reads all runs from memory, and this server searches a database in place. MLflow's REST API is served "
    "at this address; for the page, serve without --in-place"
)
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_COMPARED: Final = ("value", "baseline", "group_by", "ignore", "directions")
_KINDS: Final = {"app.js": "text/javascript", "app.css": "text/css", "LICENSES.txt": "text/plain"}
_DOCUMENT: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>mlquery</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="mlquery/assets/app.css">
<script src="mlquery/assets/app.js" defer></script>
</head>
<body>
<div id="app"></div>
<noscript>This page needs JavaScript. MLflow's REST API is served at this address too.</noscript>
</body>
</html>
"""


def document() -> Response:
    """Return the page, which has no data in it."""
    return Response(_DOCUMENT, media_type="text/html", headers=_HEADERS)


def asset(name: str, known: str | None) -> Response:
    """Return an asset, or that the client has it already.

    Args:
        name: The name of the file.
        known: The tag of what the client has, as in `If-None-Match`.

    Raises:
        HTTPException: 404, there is no such asset.
    """
    if name not in _KINDS:
        raise HTTPException(404)
    content, tag = _asset(name)
    headers = {**_HEADERS, "ETag": tag}
    if known == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=f"{_KINDS[name]}; charset=utf-8", headers=headers)


def answer(service: Service, name: str, body: bytes) -> Any:
    """Answer a question of the page.

    Args:
        service: The store and its dialect.
        name: What is asked: "about", "runs", "values", "run", "compare", "curves", "importance" or "models".
        body: The details as a JSON object; empty for none.

    Raises:
        RequestError: there is no such question, or the details are no JSON object or not those of the question.
        QueryError, StoreError: as of the calls that answer it.
    """
    question = _QUESTIONS.get(name)
    if question is None:
        raise RequestError(f"The page asks nothing named {name}", "ENDPOINT_NOT_FOUND", 404)
    details = _details(body)
    question.check(name, details)
    try:
        return question.answer(service, **details)
    except ValueError as error:
        if isinstance(error, FAILURES):
            raise
        raise RequestError(str(error)) from error  # such as a value of metrics that there is not


@attrs.frozen
class _Question:
    """A question and its details: a call, the details it must have and those that it may have."""

    answer: Callable[..., Any]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def check(self, name: str, details: Mapping[str, Any]) -> None:
        """Check names and types of details.

        Raises:
            RequestError: one is missing, unknown, or of another type.
        """
        for field in self.required:
            if field not in details:
                raise RequestError(f"{name} must have {field}")
        for field, value in details.items():
            if field not in (*self.required, *self.optional):
                known = ", ".join((*self.required, *self.optional)) or "nothing"
                raise RequestError(f"{name} has no {field}, only {known}")
            if not _TYPES[field](value):
                raise RequestError(f"{field} of {name} is not valid")


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_string_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _are_strings_or_none(value: Any) -> bool:
    return value is None or _are_strings(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_count_or_none(value: Any) -> bool:
    return value is None or _is_count(value)


def _is_order(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_order_of_column, value))


def _is_order_of_column(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_named(value: Any) -> bool:
    return isinstance(value, dict) and _are_strings(list(value.values()))


_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "baseline": _is_string_or_none,
    "columns": _are_strings,
    "directions": lambda value: value is None or _are_named(value),
    "experiments": _are_strings_or_none,
    "field": _is_string,
    "filter": _is_string,
    "group_by": _are_strings_or_none,
    "ignore": _are_strings,
    "limit": _is_count_or_none,
    "metric": _is_string,
    "offset": _is_count,
    "order": _is_order,
    "points": _is_count,
    "run_id": _is_string,
    "run_ids": _are_strings,
    "smoothing": _is_number,
    "value": lambda value: _is_string(value) or _are_named(value),
    "view": lambda value: value in ("active", "deleted", "all"),
    "x": lambda value: value in ("step", "time", "relative"),
}


def _about(service: Service) -> Any:
    return page_runs.about(service.store, service.backend.dialect, __version__)


def _runs(service: Service, **details: Any) -> Any:
    return page_runs.runs(service.store, service.backend.dialect, **details)


def _values(service: Service, **details: Any) -> Any:
    return page_runs.values(service.store, **details)


def _run(service: Service, run_id: str) -> Any:
    return page_runs.run(service.store, run_id, service.backend.list_artifacts(run_id))


def _compared(service: Service, run_ids: list[str], **details: Any) -> Comparison:
    options: dict[str, Any] = {"source": service.store, "dialect": service.backend.dialect}
    return compare(run_ids, **details, **options)


def _compare(service: Service, **details: Any) -> Any:
    return page_data.comparison_data(_compared(service, **details))


def _curves(
    service: Service, metric: str, x: str = "step", points: int = 500, smoothing: float = 0, **details: Any
) -> Any:
    return page_data.curves_data(_compared(service, **details), metric, x, points, smoothing)


def _importance(service: Service, metric: str, **details: Any) -> Any:
    return page_data.importance_data(_compared(service, **details), metric)


def _models(service: Service) -> Any:
    return page_data.models_data(service.store, None, service.backend.registry.versions())


def _details(body: bytes) -> dict[str, Any]:
    details = loaded_json(body or b"{}")
    if not isinstance(details, dict):
        raise RequestError("The details are not a JSON object")
    return details


@cache
def _asset(name: str) -> tuple[bytes, str]:
    """Return the content of an asset and a tag that tells it from others."""
    content = resources.files("mlquery.view").joinpath("assets", name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()}"'


_QUESTIONS: Final = {
    "about": _Question(_about),
    "runs": _Question(_runs, optional=("experiments", "filter", "order", "view", "offset", "limit", "columns")),
    "values": _Question(_values, ("field",), ("experiments",)),
    "run": _Question(_run, ("run_id",)),
    "compare": _Question(_compare, ("run_ids",), _COMPARED),
    "curves": _Question(_curves, ("run_ids", "metric"), ("x", "points", "smoothing", *_COMPARED)),
    "importance": _Question(_importance, ("run_ids", "metric"), _COMPARED),
    "models": _Question(_models),
}
