"""Find the field that a name refers to (`metrics.loss`, `run.status`, `created`), by its prefix and the attributes."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from mlquery.language.diagnostics import Diagnostics
from mlquery.language.features import Use, closest
from mlquery.language.plan import Entity, FieldRef, Kind
from mlquery.language.syntax import Name

_RUN_PREFIXES = {
    "metric": Kind.METRIC,
    "metrics": Kind.METRIC,
    "param": Kind.PARAM,
    "params": Kind.PARAM,
    "parameter": Kind.PARAM,
    "parameters": Kind.PARAM,
    "tag": Kind.TAG,
    "tags": Kind.TAG,
    "attribute": Kind.ATTRIBUTE,
    "attributes": Kind.ATTRIBUTE,
    "attr": Kind.ATTRIBUTE,
    "run": Kind.ATTRIBUTE,
    "dataset": Kind.DATASET,
    "datasets": Kind.DATASET,
}
_OTHER_PREFIXES = {"attribute": Kind.ATTRIBUTE, "tag": Kind.TAG, "tags": Kind.TAG}
_ATTRIBUTES = "attributes"
PREFIXES = {
    **dict.fromkeys(Entity, _OTHER_PREFIXES),
    Entity.RUN: _RUN_PREFIXES,
    Entity.EXPERIMENT: {**_OTHER_PREFIXES, _ATTRIBUTES: Kind.ATTRIBUTE},
}
DATASET_KEYS = ("name", "digest", "context")
_LONG_PREFIX = "info."


@attrs.frozen
class Target:
    """The field that a name refers to: its type and key in uses, where its values are, and how users write it."""

    entity: Entity
    kind: Kind
    ref: FieldRef
    type: str
    key: str | None
    label: str
    quoted: bool = False
    spelling: str | None = None

    def use(self, clause: str, op: str | None = None, value: str | None = None, spelling: str | None = None) -> Use:
        """Return the use that a clause makes of the field."""
        return Use(
            self.entity.value,
            clause,
            self.kind.value,
            op,
            self.key,
            self.type,
            value,
            self.quoted,
            spelling or self.spelling,
        )


def find_field(name: Name, clause: str, diagnostics: Diagnostics) -> Target | None:
    """Return the field of a name in a clause ("filter" or "order"); if there is none, add an error and return None."""
    entity = diagnostics.entity
    kind = PREFIXES[entity].get(name.prefix) if name.prefix is not None else Kind.ATTRIBUTE
    if kind is None:
        _add_unknown_prefix(name, diagnostics)
        return None
    if kind is Kind.ATTRIBUTE:
        return _attribute(name, clause, diagnostics)
    if kind is Kind.DATASET and name.key not in DATASET_KEYS:
        _add_unknown_key(name, f"datasets have no field {name.key!r}", DATASET_KEYS, diagnostics)
        return None
    type_, key = "number" if kind is Kind.METRIC else "string", name.key if kind is Kind.DATASET else None
    return Target(entity, kind, FieldRef(kind, name.key), type_, key, label_of(name), name.quoted)


def _attribute(name: Name, clause: str, diagnostics: Diagnostics) -> Target | None:
    entity = diagnostics.entity
    is_long = name.prefix == "run" and name.key.startswith(_LONG_PREFIX)
    key = name.key.removeprefix(_LONG_PREFIX) if is_long else name.key
    field = diagnostics.dialect.field(entity.value, clause, key)
    if field is None:
        known = [f.key for f in diagnostics.dialect.fields if f.entity == entity.value and clause in f.clauses]
        _add_unknown_key(name, f"{entity.noun}s have no attribute {key!r} to {clause} by", known, diagnostics)
        return None
    spelling = "run.info" if is_long else _spelling(name, entity)
    ref = FieldRef(Kind.ATTRIBUTE, field.stored_as or field.key)
    if clause == "filter" and field.filters_as:
        kind, stored_key = field.filters_as
        ref = FieldRef(Kind(kind), stored_key)
    return Target(entity, Kind.ATTRIBUTE, ref, field.type, field.key, label_of(name), name.quoted, spelling)


def _spelling(name: Name, entity: Entity) -> str | None:
    """Return the spelling of an attribute if it matters: that it has a prefix, and which one for experiments."""
    is_plural = entity is Entity.EXPERIMENT and name.prefix == _ATTRIBUTES
    return _ATTRIBUTES if is_plural else None if name.prefix is None else "prefix"


def label_of(name: Name) -> str:
    """Return a field as users write it."""
    key = f"`{name.key}`" if name.quoted else name.key
    return f"{name.prefix}.{key}" if name.prefix else key


def _add_unknown_prefix(name: Name, diagnostics: Diagnostics) -> None:
    known = PREFIXES[diagnostics.entity]
    message = (
        f"unknown prefix {name.prefix!r} in a search of {diagnostics.entity.noun}s; use one of: {', '.join(known)}"
    )
    close = closest(name.prefix or "", known)
    label = label_of(attrs.evolve(name, prefix=close)) if close else None
    rule = "MLQ003" if close == (name.prefix or "").lower() else None
    diagnostics.error("unknown-field", message, name.span, suggestion=label, rule=rule)


def _add_unknown_key(name: Name, problem: str, known: Iterable[str], diagnostics: Diagnostics) -> None:
    names = list(known)
    suggestion = closest(name.key, names)
    rule = "MLQ003" if suggestion == name.key.lower() else None
    message = f"{problem}, only {', '.join(names)}"
    diagnostics.error("unknown-field", message, name.span, suggestion=suggestion, rule=rule)
