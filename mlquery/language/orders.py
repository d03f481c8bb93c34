"""The default order of searches, and the tie-breakers that make every order total.

Fields are given by name. The direction of a default may depend on the dialect.

Source: MLflow 3.17 `_get_orderby_clauses`, `_get_search_experiments_order_by_clauses`,
`_parse_search_registered_models_order_by`, `_parse_search_model_versions_order_by`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from mlquery.language.matrix import Dialect
from mlquery.language.plan import Entity, FieldRef, Kind, SortKey

_Term = tuple[str, bool | str]
"""An attribute, and whether it descends: always, never, or if the dialect has a behaviour."""


@attrs.frozen
class Ordering:
    """How searches of one kind are ordered.

    Attributes:
        ties: The tie-breakers after `order_by`, without the fields that it contains.
        default: The order without `order_by`; by default `ties`.
        missing_is_least: Whether missing values come before all others when ascending.
        refuses_repeats: Whether ordering by a field twice is an error.
    """

    ties: tuple[_Term, ...]
    default: tuple[_Term, ...] = attrs.field(default=attrs.Factory(lambda self: self.ties, takes_self=True))
    missing_is_least: bool = False
    refuses_repeats: bool = True

    def completion(self, keys: Sequence[SortKey], dialect: Dialect) -> Iterator[SortKey]:
        """Yield the keys that make an order total, after those of the query."""
        ordered = {key.field for key in keys}
        for attribute, direction in self.ties if keys else self.default:
            field = FieldRef(Kind.ATTRIBUTE, attribute)
            if field not in ordered:
                descending = dialect.behaves(direction) if isinstance(direction, str) else direction
                yield SortKey(field, descending, self.missing_is_least)


ORDERINGS = {
    Entity.RUN: Ordering((("start_time", "order.default.newest-first"), ("run_id", False))),
    Entity.EXPERIMENT: Ordering(
        (("experiment_id", True),),
        (("creation_time", True), ("experiment_id", False)),
        missing_is_least=True,
        refuses_repeats=False,
    ),
    Entity.REGISTERED_MODEL: Ordering((("name", False),)),
    Entity.MODEL_VERSION: Ordering(
        (("name", False), ("version", True)),
        (("last_updated_timestamp", True), ("name", False), ("version", True)),
    ),
}
