"""Find the keys that a module logs: of metrics, params and tags, and the params that it logs as numbers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import attrs

from mlquery.language.keys import KnownKeys
from mlquery.lint.evaluating import Evaluator
from mlquery.lint.scopes import Module
from mlquery.lint.sources import Source

_ONE = {"log_metric": "metrics", "log_param": "params", "set_tag": "tags"}
_MANY = {"log_metrics": "metrics", "log_params": "params", "set_tags": "tags"}
_NUMERIC_CALLS = ("int", "float", "len", "round", "abs")


@attrs.frozen
class _Logged:
    """One key that is logged, and whether its value is a number; None if that is not known."""

    kind: str
    key: str
    is_number: bool | None


def logged_keys(source: Source, module: Module) -> KnownKeys:
    """Return the keys that a module logs, as far as the source tells."""
    found = [each for node, scope in module.calls for each in _of_call(node, Evaluator(source, module, scope))]
    metrics, all_params, tags = (
        frozenset(each.key for each in found if each.kind == kind) for kind in ("metrics", "params", "tags")
    )
    params = [each for each in found if each.kind == "params"]
    otherwise = {each.key for each in params if not each.is_number}
    return KnownKeys(metrics, all_params, tags, all_params - otherwise)


def _of_call(node: ast.Call, evaluator: Evaluator) -> Iterator[_Logged]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _ONE:
        # A client takes the id of the run first, unlike the functions of a module.
        is_of_module = evaluator.module.dotted(node.func) is not None
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        positional = node.args if is_of_module or len(node.args) < 3 else node.args[1:]
        key = given.get("key", positional[0] if positional else None)
        value = given.get("value", positional[1] if len(positional) > 1 else None)
        yield from _logged(_ONE[name], key, value, evaluator)
    for mapping in (*node.args, *(keyword.value for keyword in node.keywords)) if name in _MANY else ():
        if isinstance(mapping, ast.Dict):
            for key, value in zip(mapping.keys, mapping.values, strict=True):
                yield from _logged(_MANY[name], key, value, evaluator)


def _logged(kind: str, key: ast.expr | None, value: ast.expr | None, evaluator: Evaluator) -> Iterator[_Logged]:
    for template in (evaluator.strings(key) or ()) if key is not None else ():
        if template.is_known:
            yield _Logged(kind, template.text, _is_number(value, evaluator))


def _is_number(value: ast.expr | None, evaluator: Evaluator) -> bool | None:
    values = evaluator.scope.values_of(value.id) if isinstance(value, ast.Name) else None
    if values is not None and len(values) == 1:
        (value,) = values
    match value:
        case ast.Constant(constant) | ast.UnaryOp(ast.USub(), ast.Constant(constant)):
            return isinstance(constant, int | float) and not isinstance(constant, bool)
        case ast.Call(ast.Name(name)):
            return True if name in _NUMERIC_CALLS else None
    return None
