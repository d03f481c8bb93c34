"""Separate prompts from models: MLflow stores both as registered models, and distinguishes them by a tag.

A search finds models only and ignores clauses about that tag, unless the first such clause selects prompts.

Source: MLflow 3.17 `SqlAlchemyStore._is_querying_prompt`, `_update_query_to_exclude_prompts`.
"""

from __future__ import annotations

from mlquery.language.plan import All, AnyOf, Entity, FieldRef, Kind, Negation, Op, Predicate, Where, predicates

PROMPT_TAG = "mlflow.prompt.is_prompt"
WITH_PROMPTS = (Entity.REGISTERED_MODEL, Entity.MODEL_VERSION)

ALL_MODELS = frozenset(("active", "prompt"))

_PROMPT = FieldRef(Kind.TAG, PROMPT_TAG)
_SELECTS_PROMPTS = {(Op.EQ, "true"), (Op.NE, "false")}


def apart_from_prompts(where: Where) -> tuple[Where, frozenset[str]]:
    """Return the condition that is tested, and the stages that are searched: "active", and maybe "prompt"."""
    first = next((p for p in predicates(where) if p.field == _PROMPT), None)
    if first is not None and (first.op, str(first.value).lower()) in _SELECTS_PROMPTS:
        return where, ALL_MODELS
    return _without_prompt_tag(where), frozenset(("active",))


def _without_prompt_tag(where: Where) -> Where:
    match where:
        case Predicate(field):
            return All() if field == _PROMPT else where
        case All(parts):
            return All(tuple(map(_without_prompt_tag, parts)))
        case AnyOf(parts):
            return AnyOf(tuple(map(_without_prompt_tag, parts)))
        case Negation(part):
            return Negation(_without_prompt_tag(part))
