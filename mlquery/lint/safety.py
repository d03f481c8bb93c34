"""Tell of an expression that a filter puts in whether its value can contain quotes, and whether it comes from outside.

Only what shows a real risk counts: a parameter, the command line, the environment, user input, and what runs logged.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from mlquery.lint.scopes import Module, Scope
from mlquery.lint.templates import Field

# Names of what consists of letters, digits, dots, dashes and colons.
_PLAIN_NAME = re.compile(
    r"(?:^|_)(?:id|ids|uuid|guid|sha|sha1|sha256|hash|hex|digest|md5|version|ver|status|stage|state|step|steps|epoch|epochs|seed"
    r"|time|timestamp|date|day|month|year|ms|num|number|count|index|idx|rank|fold|port|threshold|limit|size|lr|rate)$"
    r"|(?:Id|ID|Version|Status|Time|Timestamp|Date)$|^(?:i|j|k|n)$",
    re.ASCII,
)
_PLAIN_TYPES = {"int", "float", "bool", "UUID", "datetime", "date", "Decimal", "ViewType", "RunStatus"}
_PLAIN_CALLS = {"int", "float", "len", "round", "abs", "sum", "min", "max", "bool", "hash", "uuid4", "uuid1", "uuid5"}
_PLAIN_METHODS = {"isoformat", "strftime", "hexdigest", "timestamp", "uuid4", "uuid1", "uuid5", "time", "to_string"}
_CAREFUL = re.compile(r"escape|quote|sanit|slug|dumps|clean|valid", re.IGNORECASE)
_TESTS = {"isalnum", "isidentifier", "isdigit", "isdecimal", "isnumeric"}
_MATCHES = {"match", "fullmatch"}
_OUTSIDE_CALLS = {"input", "getenv", "parse_args", "parse_known_args"}
_OUTSIDE = re.compile(r"os\.environ\b|sys\.argv\b|\.data\.(?:tags|params)\b|request\.")
_DEEPEST = 6


def field_of(node: ast.expr, scope: Scope, module: Module) -> Field:
    """Return what is known of an expression whose value is not."""
    is_safe = _is_safe(node, scope, module, 0)
    is_from_outside = not is_safe and _is_from_outside(node, scope, 0)
    return Field(ast.unparse(node), is_safe, is_from_outside)


def _is_safe(node: ast.expr, scope: Scope, module: Module, depth: int) -> bool:
    if depth > _DEEPEST:
        return False
    match node:
        case ast.Constant(value):
            return not isinstance(value, str) or not set(value) & {"'", '"'}
        case ast.Name(name):
            return bool(_PLAIN_NAME.search(name)) or _is_safe_name(name, scope, module, depth)
        case ast.Attribute(_, name) | ast.Subscript(_, ast.Constant(str() as name)):
            return bool(_PLAIN_NAME.search(name.rpartition(".")[2]))
        case ast.Call(function, arguments):
            parts = _parts_of_call(function, arguments)
        case _:
            parts = _parts(node)
    if isinstance(parts, bool):
        return parts
    return all(_is_safe(part, scope, module, depth + 1) for part in parts)


def _parts(node: ast.expr) -> bool | Sequence[ast.expr]:
    """Return the expressions on whose values that of another depends; or whether it is safe whatever they are."""
    match node:
        case ast.BinOp(left, ast.Add() | ast.Mod(), right):
            return left, right
        case ast.BinOp() | ast.UnaryOp() | ast.Compare():
            return True
        case ast.IfExp(_, one, other):
            return one, other
        case ast.BoolOp(_, values) | ast.JoinedStr(values):
            return values
        case ast.FormattedValue(value):
            return (value,)
    return False


def _parts_of_call(function: ast.expr, arguments: Sequence[ast.expr]) -> bool | Sequence[ast.expr]:
    match function, arguments:
        case ast.Name("str" | "format"), [value, *_]:
            return (value,)
        case ast.Attribute(_, "replace"), [ast.Constant(str() as old), *_]:
            return bool(set(old) & {"'", '"'})
        case ast.Attribute(owner, "strip" | "lower" | "upper"), _:
            return (owner,)
        case ((ast.Name(name) | ast.Attribute(_, name)), _):
            is_plain = name in (_PLAIN_CALLS if isinstance(function, ast.Name) else _PLAIN_METHODS)
            return is_plain or bool(_CAREFUL.search(name) or _PLAIN_NAME.search(name))
    return False


def _is_safe_name(name: str, scope: Scope, module: Module, depth: int) -> bool:
    owner = scope.owner_of(name)
    if owner is None:
        return False
    if name in owner.parameters:
        annotation = owner.parameters[name]
        return _is_plain_type(annotation) or _is_tested(name, owner.node)
    values = owner.values[name]
    is_known = bool(values) and all(_is_safe(value, owner, module, depth + 1) for value in values or ())
    return is_known or _is_tested(name, scope.node)


def _is_plain_type(annotation: ast.expr | None) -> bool:
    names = {n.id for n in ast.walk(annotation) if isinstance(n, ast.Name)} if annotation is not None else set()
    return bool(names) and names <= {*_PLAIN_TYPES, "None", "Optional", "Literal"}


def _is_tested(name: str, node: ast.AST) -> bool:
    """Tell whether a function tests the characters of a name before, or compares it with what is allowed."""
    return any(_tests(each, name) for each in ast.walk(node))


def _tests(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Compare(ast.Constant(str()), [ast.In() | ast.NotIn()], [ast.Name(tested)]):
            return tested == name
        case ast.Compare(ast.Name(tested), [ast.In() | ast.NotIn()], [allowed]):
            return tested == name and isinstance(allowed, ast.Tuple | ast.List | ast.Set | ast.Name)
        case ast.Call(ast.Attribute(_, method), arguments) if method in _MATCHES:
            return any(isinstance(a, ast.Name) and a.id == name for a in arguments)
        case ast.Call(ast.Attribute(ast.Name(tested), method)) if method in _TESTS:
            return tested == name
        case ast.Call(ast.Name(function), arguments) if _CAREFUL.search(function):
            return any(isinstance(a, ast.Name) and a.id == name for a in arguments)
    return False


def _is_from_outside(node: ast.expr, scope: Scope, depth: int) -> bool:
    if depth > _DEEPEST:
        return False
    match node:
        case ast.Name(name):
            if scope.is_parameter(name):
                return name not in ("self", "cls")
            owner, values = scope.owner_of(name), scope.values_of(name)
            return owner is not None and any(_is_from_outside(value, owner, depth + 1) for value in values or ())
        case ast.Call(ast.Name(name)) if name in _OUTSIDE_CALLS:
            return True
        case ast.Call(ast.Attribute(owner, name)):
            return (
                name in _OUTSIDE_CALLS
                or bool(_OUTSIDE.search(ast.unparse(node)))
                or (name in ("strip", "lower", "upper", "title", "get") and _is_from_outside(owner, scope, depth + 1))
            )
        case ast.Attribute(ast.Name(name)) if scope.is_parameter(name):
            return False  # a part of an object that a caller has made
        case ast.Attribute(owner) | ast.Subscript(owner):
            return bool(_OUTSIDE.search(ast.unparse(node))) or _is_from_outside(owner, scope, depth + 1)
        case ast.IfExp(_, one, other) | ast.BoolOp(_, [one, other]):
            return _is_from_outside(one, scope, depth + 1) or _is_from_outside(other, scope, depth + 1)
    return False
