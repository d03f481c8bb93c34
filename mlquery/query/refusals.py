"""Say where in a query the field stands that cannot be asked where the runs are."""

from __future__ import annotations

from collections.abc import Sequence

from mlquery.errors import INVALID_PARAMETER_VALUE, Diagnostic, QueryError
from mlquery.language.diagnostics import Diagnostics
from mlquery.language.functions import find_operand
from mlquery.language.matrix import Dialect
from mlquery.language.parser import parse_filter, parse_order_by
from mlquery.language.plan import Entity
from mlquery.language.syntax import comparisons
from mlquery.sql.errors import INSTEAD, NotAskableError


def positioned(
    error: NotAskableError, entity: Entity, filter_string: str | None, order_by: Sequence[str] | None, dialect: Dialect
) -> QueryError | NotAskableError:
    """Return a refusal that points at the field in the filter or the order; the error itself if it is about no field.

    The query is one that the dialect accepts.
    """
    source = filter_string or ""
    try:
        clauses = comparisons(parse_filter(source, "filter_string"))
        operands = [(clause.name, "filter_string", source) for clause in clauses]
    except QueryError:  # a list in a place where only some dialects take it
        return error
    for index, written in enumerate(order_by or ()):
        argument = f"order_by[{index}]"
        operands.append((parse_order_by(written, argument).name, argument, written))
    for operand, argument, written in operands:
        clause = "filter" if argument == "filter_string" else "order"
        target = find_operand(operand, clause, Diagnostics(dialect, entity, argument, written))
        if target is not None and target.ref == error.field:
            return QueryError(
                Diagnostic(
                    *("unsupported", error.problem, argument, written, operand.span),
                    suggestion=INSTEAD,
                    dialect=dialect.name,
                    error_code=INVALID_PARAMETER_VALUE,
                )
            )
    return error
