"""Recognizes the schema of an MLflow tracking database by its Alembic revision, and says what that schema has.

MLflow changes its tables by migrations, a chain of revisions; a database says how far it went. What is searched here
differs little from one to the next, and that little is listed. A revision that is not listed is refused: nobody knows
what the tables mean there.

**Source**: `down_revision` of the files in `mlflow/store/db_migrations/versions` of MLflow 3.18.0 (the chain), and the
head of that chain in the wheels of 2.9.0 to 3.18.0 (the releases), read on 2026-11-29.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from mlquery.readers import mlflow_rows as columns
from mlquery.sql.dialects import MYSQL, POSTGRES, SQLITE
from mlquery.sql.errors import OlderSchemaError, SourceUnavailableError
from mlquery.sql.session import Session
from mlquery.sql.statement import Statement

OLDER: Final = (
    *("451aebb31d03", "90e64c465722", "181f10493468", "df50e92ffc5e", "7ac759974ad8", "89d4b8295536", "2b4d017a5e9b"),
    *("cfd24bdc0731", "0a8213491aaa", "728d730b5ebd", "27a6a02d2cf1", "84291f40a231", "a8c4a736bde6", "39d1c3be5f05"),
    *("c48cb773bb87", "bd07f7e963c5", "0c779009ac13", "cc1f77228345", "97727af70f4d", "3500859a5d39", "7f2a7d5fae7d"),
    *("2d6e25af4d3e",),
)
"""The revisions before that of MLflow 2.9."""

RELEASES: Final = (
    ("2.9", ("acf3f17fdcc7",)),
    ("2.13", ("867495a8f9d4",)),
    ("2.14", ("5b0e9adcef9c",)),
    ("2.15", ("4465047574b1",)),
    ("2.17", ("f5a4f2784254",)),
    ("2.18", ("0584bdc529eb",)),
    ("3.0", ("400f98739977", "6953534de441")),
    ("3.2", ("bda7b8c39065", "cbc13b556ace", "770bee3ae1dd")),
    ("3.3", ("a1b2c3d4e5f6", "de4033877273", "1a0cddfcaa16")),
    ("3.4", ("534353b11cbc", "71994744cf8e")),
    ("3.5", ("3da73c924c2f", "bf29a5ff90ea")),
    ("3.8", ("1bd49d398cd23",)),
    ("3.9", ("b7c8d9e0f1a2", "5d2d30f0abce", "c9d4e5f6a7b8", "2c33131f4dae", "d3e4f5a6b7c8")),
    ("3.10", ("d0e1f2a3b4c5", "c8d9e0f1a2b3", "1b5f0d9ad7c1")),
    ("3.11", ("e1f2a3b4c5d6", "76601a5f987d", "c3d6457b6d8a")),
    ("3.12", ("a5b4c3d2e1f0", "ae8bbe7743c9", "7d34483879f0")),
    ("3.13", ("da6fb0208061",)),
    ("3.14", ("89d3d66ed43f", "b7e4c1a90f23")),
    ("3.15", ("a8b9c0d1e2f3", "c1d2e3f4a5b6", "c3d9e7f1a2b4", "6f8d9c3b2a1e")),
    ("3.16", ("1971f2d9a75b", "17e22815139b", "b7e2c1a4d9f3")),
    ("3.17", ("75868b020152", "dc11669786a5")),
    ("3.18", ("e7d1f4b2a9c6", "8b6ad64cb8f5", "f4a9b2c7d1e6")),
)
"""The release that first had each revision, oldest first; the last of a release is what it makes of a database."""

_REVISIONS: Final = tuple(revision for _, revisions in RELEASES for revision in revisions)
_LOGGED_MODELS_SINCE: Final = "400f98739977"
_STEPS_OF_INPUTS_SINCE: Final = "6953534de441"
_WORKSPACES_SINCE: Final = "1b5f0d9ad7c1"

_TABLES: Final[dict[str, list[columns.Column]]] = {
    "experiments": columns.EXPERIMENTS,
    "experiment_tags": columns.EXPERIMENT_TAGS,
    "runs": columns.RUNS,
    "latest_metrics": columns.METRICS,
    "metrics": columns.METRICS,
    "params": columns.PARAMS,
    "tags": columns.TAGS,
    "datasets": columns.DATASETS,
    "inputs": columns.INPUTS,
    "input_tags": columns.INPUT_TAGS,
}
_MODEL_TABLES: Final[dict[str, list[columns.Column]]] = {
    "logged_models": columns.MODELS,
    "logged_model_params": columns.MODEL_PARAMS,
    "logged_model_tags": columns.MODEL_TAGS,
    "logged_model_metrics": columns.MODEL_METRICS,
}
_MORE_COLUMNS: Final = {
    "latest_metrics": ("is_nan",),
    "metrics": ("is_nan",),
    "datasets": ("experiment_id",),
    "inputs": ("source_type",),
}
_NAMES: Final = frozenset({*_TABLES, *_MODEL_TABLES, "alembic_version"})
_COLUMNS_OF: Final = {
    SQLITE: "SELECT m.name, c.name, c.type FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'",
    POSTGRES: "SELECT table_name, column_name, data_type FROM information_schema.columns "
    "WHERE table_schema = ANY(current_schemas(false))",
    MYSQL: "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = DATABASE()",
}

Columns = dict[str, dict[str, str]]
"""The declared type of each column, by table."""


@attrs.frozen
class Schema:
    """What a database has.

    Attributes:
        revision: Its revision.
        release: The release of MLflow that first had it.
        has_models: Whether there are logged models.
        has_steps_of_inputs: Whether it is known at which step a run wrote a model.
        has_workspaces: Whether experiments belong to workspaces.
        has_integer_ids: Whether experiment ids are integers, as MLflow makes them.
    """

    revision: str
    release: str
    has_models: bool
    has_steps_of_inputs: bool
    has_workspaces: bool
    has_integer_ids: bool = True


def schema_of(revision: str) -> Schema | None:
    """Return what a revision has, None for one that is not known."""
    for release, revisions in RELEASES:
        if revision in revisions:
            place = _REVISIONS.index(revision)
            since = (_LOGGED_MODELS_SINCE, _STEPS_OF_INPUTS_SINCE, _WORKSPACES_SINCE)
            return Schema(revision, release, *(place >= _REVISIONS.index(first) for first in since))
    return None


def recognized(session: Session, name: str) -> Schema:
    """Return what a database has; `name` is the source in messages.

    Raises:
        SourceUnavailableError: it is not MLflow's, of a release that is not supported, incomplete, or divided into
            workspaces.
    """
    found = _columns(session)
    schema = _known(_revision(session, found, name), name)
    _require_complete(found, schema, name)
    if schema.has_workspaces:
        _require_one_workspace(session, name)
    return attrs.evolve(schema, has_integer_ids="int" in found["experiments"]["experiment_id"].lower())


def _columns(session: Session) -> Columns:
    found: Columns = {}
    for row in session.rows(Statement(_COLUMNS_OF[session.dialect])):
        table, column, kind = map(str, row)
        if table in _NAMES:
            found.setdefault(table, {})[column] = kind
    return found


def _revision(session: Session, found: Columns, name: str) -> str:
    missing = [table for table in (*list(_TABLES)[:7], "alembic_version") if table not in found]
    if missing:
        problem = f"is not an MLflow tracking database: it has no table {', '.join(missing)} that this user may read"
        raise OlderSchemaError(name, problem)
    rows = session.rows(Statement("SELECT version_num FROM alembic_version"))
    if len(rows) != 1:
        problem = f"has {len(rows)} schema revisions, and MLflow's tables have one; instead: run `mlflow db upgrade`"
        raise SourceUnavailableError(name, problem)
    return str(rows[0][0])


def _known(revision: str, name: str) -> Schema:
    schema = schema_of(revision)
    if schema is not None:
        return schema
    oldest, newest = RELEASES[0][0], RELEASES[-1][0]
    if revision in OLDER:
        problem = f"was made by an MLflow older than {oldest}; instead: run `mlflow db upgrade`, or load it (--load)"
        raise OlderSchemaError(name, problem)
    problem = f"was made by a newer MLflow than {newest} (schema revision {revision!r}); instead: update mlquery"
    raise SourceUnavailableError(name, problem)


def _require_complete(found: Columns, schema: Schema, name: str) -> None:
    for table, wanted in {**_TABLES, **(_MODEL_TABLES if schema.has_models else {})}.items():
        present = found.get(table, {})
        names = [column for column, *_ in wanted] + list(_MORE_COLUMNS.get(table, ()))
        missing = [column for column in names if column not in present]
        if missing:
            what = f"the column {missing[0]} of the table {table}" if present else f"the table {table}"
            problem = f"lacks {what}, which MLflow {schema.release} has there; instead: restore it from a backup"
            raise SourceUnavailableError(name, problem)


def _require_one_workspace(session: Session, name: str) -> None:
    """Refuse what MLflow refuses too, unless its server is told of workspaces: names of experiments would be double."""
    elsewhere: list[Any] = session.rows(
        Statement("SELECT experiment_id FROM experiments WHERE workspace <> 'default' LIMIT 1")
    )
    if elsewhere:
        problem = "has experiments outside the workspace 'default', which cannot be searched in place; "
        raise SourceUnavailableError(name, f"{problem}instead: pull them from the server (mlquery pull)")
