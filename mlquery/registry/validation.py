"""Validate and normalize arguments of the registry's calls, raising MLflow's errors in MLflow's wording.

**Source**: `mlflow/utils/validation.py` and `model_version_stages.py` of MLflow 3.18; where MLflow fails on an argument
of the wrong type, the error here names the type.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from mlquery.entities import ExperimentTag
from mlquery.entities.registry import STAGES
from mlquery.errors import INTERNAL_ERROR, StoreError, invalid_parameter
from mlquery.store.limits import Limits
from mlquery.store.validation import check_experiment_tag, check_string, invalid_value, missing_value, too_long

LATEST: Final = "latest"
_TAG_LIMITS: Final = Limits(experiment_tag_key=250, experiment_tag_value=100_000)
_ALIAS: Final = re.compile(r"[\w\-]*")
_VERSION_ALIAS: Final = re.compile(r"[vV]\d+")
_ALIAS_LENGTH: Final = 255
_STAGES: Final = {stage.lower(): stage for stage in STAGES}
ACTIVE_STAGES: Final = ["Staging", "Production"]


def check_name(name: Any, path: str = "name") -> str:
    """Return a valid name of a registered model; `path` names the argument in the error about a missing name."""
    if name is None or not str(name).strip():
        raise missing_value(path)
    string = check_string(name, "name")
    if "/" in string or ":" in string:
        raise invalid_parameter(f"Invalid model name '{string}'. Names cannot contain '/' or ':'.")
    normal = posixpath.normpath(string)
    if normal != string or normal == "." or normal.startswith(".."):
        raise invalid_value(
            "name",
            string,
            "Names may be treated as files in certain cases, and must not resolve to other names"
            f" when treated as such. This name would resolve to {normal!r}",
        )
    return string


def check_version(version: Any) -> int:
    """Return the number of a version, which may be given as a string."""
    try:
        return int(version)
    except ValueError:
        raise invalid_parameter(f"Parameter 'version' must be an integer, got '{version}'.") from None
    except (TypeError, OverflowError) as error:
        raise StoreError(str(error), INTERNAL_ERROR) from None


def check_storable(number: int) -> None:
    """Refuse the number of a version that does not fit into the database; MLflow validates everything else first."""
    if not -(2**63) <= number < 2**63:
        raise StoreError("Python int too large to convert to SQLite INTEGER", INTERNAL_ERROR)


def check_tag(key: Any, value: Any) -> tuple[str, str]:
    """Return the key and the value of a tag of a model or a version."""
    if value is None:
        check_key(key)
        raise invalid_parameter("Tag value cannot be None")
    return check_experiment_tag(ExperimentTag(key, value), _TAG_LIMITS)


def check_tags(tags: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the tags of a model or a version."""
    return dict(check_tag(key, value) for key, value in (tags or {}).items())


def check_key(key: Any) -> str:
    """Return the key of a tag to delete; its length is not limited."""
    name, _ = check_experiment_tag(ExperimentTag(key, ""), Limits(experiment_tag_key=2**63))
    return name


def check_alias(alias: Any) -> str:
    """Return an alias to look up; reserved ones are allowed."""
    if alias is None or alias == "":
        raise invalid_parameter("Registered model alias name cannot be empty.")
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias):
        raise invalid_parameter(
            f"Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )
    if len(alias) > _ALIAS_LENGTH:
        raise too_long("Registered model alias name", _ALIAS_LENGTH)
    return alias


def check_new_alias(alias: Any) -> str:
    """Return an alias to set: neither "latest" nor one that looks like a version."""
    name = check_alias(alias)
    if name.lower() == LATEST:
        raise invalid_parameter("'latest' alias name (case insensitive) is reserved.")
    if _VERSION_ALIAS.fullmatch(name):
        raise invalid_parameter(f"Version alias name '{name}' is reserved.")
    return name


def check_stage(stage: Any, any_case: bool = True) -> str:
    """Return the canonical name of a stage."""
    if not isinstance(stage, str):
        raise StoreError(f"A stage must be a string, not {type(stage).__name__}", INTERNAL_ERROR)
    canonical = _STAGES.get(stage.lower())
    if canonical is None or not (any_case or canonical == stage):
        raise invalid_parameter(f"Invalid Model Version stage: {stage}. Value must be one of {', '.join(STAGES)}.")
    return canonical


def check_stages(stages: Iterable[str] | None, any_case: bool = True) -> set[str]:
    """Return the canonical names of stages, of all stages by default."""
    return {check_stage(stage, any_case) for stage in stages or STAGES}
