"""Resolve what a result is made of, the columns of a frame and the parts of an aggregate, to fields of runs.

A field is named as in a filter. It is not checked against the support matrix, which is about queries that a service
gets; a function of the history of a metric is, as everywhere in the language.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlquery.errors import QueryError
from mlquery.language.diagnostics import Diagnostics
from mlquery.language.fields import Target
from mlquery.language.functions import find_operand
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.language.parser import parse_operand
from mlquery.language.plan import Entity, FieldRef
from mlquery.language.syntax import Call, Operand
from mlquery.query.reading import OnWarning

_KEYED = ("metrics.", "params.", "tags.")


def resolve_operand(operand: Operand, diagnostics: Diagnostics) -> Target:
    """Return what an operand refers to.

    Raises:
        QueryError: there is no such field, or the dialect does not support the function.
    """
    is_call = isinstance(operand, Call)
    target = find_operand(operand, "column" if is_call else "order", diagnostics)
    if target is not None and is_call:
        diagnostics.check(target.use("column"), operand.span, target.label)
    if target is None or diagnostics.errors:
        raise QueryError(*diagnostics.errors)
    return target


def columns_of_calls(columns: Sequence[str], dialect: str | Dialect, on_warning: OnWarning) -> dict[str, FieldRef]:
    """Return the fields of those columns of a frame that are calls, such as "max(metrics.loss)".

    Raises:
        QueryError: a call is not valid, or not in the dialect.
    """
    found = {}
    for index, column in enumerate(columns):
        if "(" in column and not column.startswith(_KEYED):
            argument = f"columns[{index}]"
            diagnostics = Diagnostics(MATRIX.dialect(dialect), Entity.RUN, argument, column)
            found[column] = resolve_operand(parse_operand(column, argument), diagnostics).ref
            on_warning(diagnostics.warnings)
    return found
