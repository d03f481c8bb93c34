"""Checks where a new version says that its files are, as a server must: they belong to the run or model that it names.

**Source**: `_create_model_version` and its helpers in `mlflow.server.handlers` of MLflow 3.17. Symbolic links are not
followed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit
from urllib.request import url2pathname

import attrs

from mlquery.backend import Backend
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.registry.sources import ModelUri, parse_model_uri
from mlquery.registry.validation import LATEST
from mlquery.server.storage_hosts import require_no_host

_ROUTE: Final = ("api", "2.0", "mlflow-artifacts", "artifacts")


@attrs.frozen
class Source:
    """Where the files of a version are, and the run and the logged model that they are said to come from, if any."""

    uri: str
    run_id: str | None
    model_id: str | None

    @property
    def owner_field(self) -> str:
        """Return the name of the field that says whose artifacts the files are."""
        return "model_id" if self.model_id else "run_id"


def checked_source(backend: Backend, source: Source) -> Source:
    """Return a source with what is known of it if it is another version.

    Raises:
        StoreError: INVALID_PARAMETER_VALUE, the server must not take it; RESOURCE_DOES_NOT_EXIST or INTERNAL_ERROR,
            there is no such version.
    """
    require_no_host(source.uri, "source")
    source = _resolved(backend, source)
    _require_below_owner(backend, source)
    return source


def _resolved(backend: Backend, source: Source) -> Source:
    """Return the version that a source names by number, stage or alias, with its run; others as they are."""
    parsed = urlsplit(source.uri)
    if parsed.scheme != "models":
        return source
    if parsed.netloc:
        raise _invalid(source.uri, "Registered model sources must use the active model registry.")
    uri = _model_uri(source.uri)
    if uri.model_id is not None:
        return source
    registry = backend.registry
    registry.get_registered_model(uri.name)
    number = _version_number(backend, uri)
    found = registry.get_model_version(uri.name, number)
    if (source.run_id is not None and source.run_id != (found.run_id or "")) or source.model_id:
        message = "The run_id and model_id request parameters must match the referenced model version."
        raise _invalid(source.uri, message)
    run_id = found.run_id if source.run_id is None else source.run_id
    return Source(f"models:/{uri.name}/{found.version}", run_id, source.model_id)


def _version_number(backend: Backend, uri: ModelUri) -> str | int:
    registry = backend.registry
    if uri.alias is not None:
        return registry.get_model_version_by_alias(uri.name, uri.alias).version
    suffix = uri.suffix or LATEST
    if suffix.isdigit():
        return suffix
    stage = None if suffix.lower() == LATEST else suffix
    found = registry.get_latest_versions(uri.name, None if stage is None else [stage])
    if not found:
        of_stage = "" if stage is None else f" and stage '{stage}'"
        raise StoreError(f"No versions of model with name '{uri.name}'{of_stage} found")
    return max(version.version for version in found)


def _require_below_owner(backend: Backend, source: Source) -> None:
    """Refuse a location that is not below the artifacts of the model or else the run, where that can be known."""
    uri, field, owner = source.uri, source.owner_field, source.model_id or source.run_id
    if _is_local(uri):
        _require_in_folder(uri, _root_of(backend, source) if owner else None, field)
        return
    parsed = _parsed_without_relative_parts(uri)
    if parsed.scheme == "models":
        if parsed.netloc or _model_uri(uri).model_id not in (None, source.model_id):
            raise _outside(uri, "model_id")
    elif parsed.scheme == "runs":
        if source.model_id or parsed.netloc or not owner or _run_of(uri, parsed) != owner:
            raise _outside(uri, field)
    elif _is_proxied(uri) and not (owner and _is_below(uri, _root_of(backend, source))):
        raise _outside(uri, field)


def _require_in_folder(uri: str, root: str | None, field: str) -> None:
    """Refuse a path on the disk of the server that is not below a folder there."""
    shown: object = uri
    if root is not None:
        shown = path = _local_path(uri)
        if _is_local(root) and _local_path(root) in (path, *path.parents):
            return
    raise invalid_parameter(
        f"Invalid model version source: '{shown}'. To use a local path as a model version source, the {field} request "
        "parameter has to be specified and the local path has to be contained within the artifact directory of the "
        f"run specified by the {field}."
    )


def _root_of(backend: Backend, source: Source) -> str:
    """Return the location of the artifacts of the model, or else of the run."""
    try:
        if source.model_id:
            return backend.find_model(source.model_id).artifact_location or ""
        return backend.store.get_run(source.run_id or "").info.artifact_uri or ""
    except StoreError as error:
        if error.error_code == RESOURCE_DOES_NOT_EXIST:
            raise _outside(source.uri, source.owner_field) from None
        raise


def _model_uri(uri: str) -> ModelUri:
    try:
        return parse_model_uri(uri)
    except StoreError:
        raise _outside(uri, "model_id") from None


def _run_of(uri: str, parsed: SplitResult) -> str:
    run_id = parsed.path[1:].split("/")[0]
    if not run_id or not parsed.path.startswith("/"):
        raise StoreError(
            f"Not a proper runs:/ URI: {uri}. Runs URIs must be of the form "
            "'runs:/<run_id>/run-relative/path/to/artifact'"
        )
    return run_id


def _is_local(uri: str) -> bool:
    parsed = urlsplit(uri)
    if parsed.scheme == "":
        return uri != "databricks"
    if parsed.scheme != "file":
        return False
    host = parsed.hostname
    if host and host != "." and not host.startswith(("localhost", "127.0.0.1")):
        raise StoreError(
            f"{uri} is not a valid remote uri. For remote access on windows, please consider using a different scheme "
            "such as SMB (e.g. smb://<hostname>/<path>)."
        )
    return True


def _local_path(uri: str) -> Path:
    path = urlsplit(uri).path if uri.startswith("file:") else uri
    return Path(posixpath.abspath(url2pathname(path)))


def _parsed_without_relative_parts(uri: str) -> SplitResult:
    """Return the parts of a URI whose path leads nowhere but down."""
    source = _unquoted(uri, unquote_plus)
    path = re.sub(r"/+", "/", urlsplit(source).path.rstrip("/"))
    if "\0" in path or ".." in source.split("/") or not path.startswith("/") or posixpath.normpath(path) != path:
        raise _invalid(
            uri,
            "If supplying a source as an http, https, local file path, ftp, objectstore, or mlflow-artifacts uri, an "
            "absolute path must be provided without relative path references present. Please provide an absolute "
            "path.",
        )
    return urlsplit(uri)


def _is_proxied(uri: str) -> bool:
    """Tell whether files are fetched through a server of MLflow's."""
    scheme, _, parts = _normal_parts(uri)
    if scheme == "mlflow-artifacts":
        return True
    places = range(len(parts) - len(_ROUTE) + 1)
    return scheme in ("http", "https") and any(parts[place : place + len(_ROUTE)] == _ROUTE for place in places)


def _is_below(uri: str, root: str) -> bool:
    scheme, host, parts = _normal_parts(uri)
    root_scheme, root_host, root_parts = _normal_parts(root)
    is_there = (scheme, host, parts[: len(root_parts)]) == (root_scheme, root_host, root_parts)
    return is_there and bool(root_parts)


def _normal_parts(uri: str) -> tuple[str, str, tuple[str, ...]]:
    parsed = urlsplit(uri)
    return parsed.scheme.lower(), parsed.netloc.lower(), tuple(map(_unquoted, filter(None, parsed.path.split("/"))))


def _unquoted(string: str, decode: Callable[[str], str] = unquote) -> str:
    while (unquoted := decode(string)) != string:
        string = unquoted
    return string


def _outside(uri: str, field: str) -> StoreError:
    return _invalid(uri, f"The {field} request parameter must identify the resource that contains the source.")


def _invalid(uri: str, reason: str) -> StoreError:
    return invalid_parameter(f"Invalid model version source: '{uri}'. {reason}")
