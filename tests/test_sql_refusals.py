"""What cannot be asked where the runs are is refused at its place in the query."""

from __future__ import annotations

from mlquery.errors import QueryError
from mlquery.language.matrix import MATRIX
from mlquery.language.plan import Entity, FieldRef, Kind
from mlquery.query.refusals import positioned
from mlquery.sql.errors import NotAskableError, field_error

DIALECT = MATRIX.local_dialect


def test_a_field_of_the_filter_is_pointed_at() -> None:
    error = field_error(FieldRef(Kind.DATASET, "name"), "the tables have no datasets")
    query = "metrics.auc > 1 AND (datasets.name = 'x' OR NOT tags.a = 'b')"

    found = positioned(error, Entity.RUN, query, None, DIALECT)

    assert isinstance(found, QueryError)
    assert [
        "filter_string: datasets.name cannot be searched in place: the tables have no datasets",
        "    metrics.auc > 1 AND (datasets.name = 'x' OR NOT tags.a = 'b')",
        "                         ^^^^^^^^^^^^^",
        "  instead: load the runs first (--load, or load() of the client)",
    ] == str(found).splitlines()


def test_a_field_of_the_order_is_pointed_at() -> None:
    error = field_error(FieldRef(Kind.ATTRIBUTE, "artifact_uri"), "the tables do not have it")

    found = positioned(error, Entity.RUN, "", ["start_time", "artifact_uri DESC"], DIALECT)

    assert isinstance(found, QueryError)
    (diagnostic,) = found.diagnostics
    assert ("order_by[1]", "unsupported") == (diagnostic.argument, diagnostic.code)
    assert "artifact_uri" == diagnostic.source[diagnostic.span.start : diagnostic.span.stop]


def test_what_is_about_no_field_stays_as_it_is() -> None:
    error = NotAskableError("the pattern", "it is too long for SQLite")

    assert error is positioned(error, Entity.RUN, "tags.a LIKE 'x'", None, DIALECT)
    assert "instead: load the runs first" in str(error)
