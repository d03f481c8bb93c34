"""Find the calls in a module that search, and what is known of their arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import attrs

from mlquery.lint.evaluating import Evaluator
from mlquery.lint.scopes import Module, Scope
from mlquery.lint.signatures import OF_CLIENT, OF_MODULE, REMOVED, Search
from mlquery.lint.sources import Source
from mlquery.lint.templates import Place, Template

PACKAGES = ("mlflow", "mlquery")
_MODULES = ("mlflow", "mlflow.tracking", "mlflow.tracking.fluent", "mlquery.fluent")
_CLIENTS = ("MlflowClient", "Client")
_FILTER_WORDS = ("=", "<", ">", " like ", " in ", " is ", " between ")


@attrs.frozen
class Call:
    """One call of a search.

    Attributes:
        name: The name of the function or method.
        search: Which search it is.
        place: Where the call is, and `name_place` its name.
        filters: The filters that it may have; empty where that is not known.
        orders: The entries of order_by by their index, as far as they are known.
        order_type: Where order_by is, if it has the wrong type, and what its type is.
        max_results: The number of results, and where it is written.
    """

    name: str
    search: Search
    place: Place
    name_place: Place
    filters: tuple[Template, ...] = ()
    orders: tuple[tuple[int, Template], ...] = ()
    order_type: tuple[Place, str] | None = None
    max_results: tuple[int, Place] | None = None


@attrs.frozen
class RemovedCall:
    """A call of what MLflow has removed."""

    name: str
    place: Place


def find_calls(source: Source, module: Module) -> Iterator[Call | RemovedCall]:
    """Yield the searches of a module, in the order of the source."""
    if not any(name.partition(".")[0] in PACKAGES for name in module.imports.values()):
        return
    for node, scope in module.calls:
        name = _name_of(node.func, module)
        if name in REMOVED and _owner(node.func, scope, module) and not _is_guarded(name, source):
            yield RemovedCall(name, _name_place(node.func, source))
        if name in OF_CLIENT:
            call = _call(node, name, Evaluator(source, module, scope))
            if call is not None:
                yield call


def _name_of(function: ast.expr, module: Module) -> str:
    match function:
        case ast.Attribute(_, name):
            return name
        case ast.Name(name):
            return module.imports.get(name, "").rpartition(".")[2]
    return ""


def _call(node: ast.Call, name: str, evaluator: Evaluator) -> Call | None:
    owner = _owner(node.func, evaluator.scope, evaluator.module)
    if owner is None and isinstance(node.func, ast.Name):
        return None
    search = (OF_MODULE if owner == "module" else OF_CLIENT)[name]
    arguments = _arguments(node, search)
    place, name_place = evaluator.place(node), _name_place(node.func, evaluator.source)
    call = Call(name, search, place, name_place)
    if "filter_string" in arguments:
        call = attrs.evolve(call, filters=evaluator.strings(arguments["filter_string"]) or ())
    if owner is None and not (call.filters and all(map(_is_like_filter, call.filters))):
        return None  # whatever else may have a method of this name
    if "order_by" in arguments:
        call = _with_order(call, arguments["order_by"], evaluator)
    if owner is None:
        return attrs.evolve(call, order_type=None)
    if "max_results" in arguments:
        number = _integer(arguments["max_results"], evaluator.scope)
        if number is not None:
            call = attrs.evolve(call, max_results=(number, evaluator.place(arguments["max_results"])))
    return call


def _arguments(node: ast.Call, search: Search) -> Mapping[str, ast.expr]:
    """Return the arguments of a call by name, up to what is unpacked from a list."""
    found: dict[str, ast.expr] = {}
    for name, value in zip(search.parameters, node.args, strict=False):
        if isinstance(value, ast.Starred):
            break
        found[name] = value
    return found | {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}


def _is_like_filter(template: Template) -> bool:
    text = template.text.lower()
    return any(word in text for word in _FILTER_WORDS)


def _with_order(call: Call, node: ast.expr, evaluator: Evaluator) -> Call:
    values = evaluator.scope.values_of(node.id) if isinstance(node, ast.Name) else None
    if values is not None and len(values) == 1:
        (node,) = values
    place = evaluator.place(node)
    if isinstance(node, ast.Constant | ast.JoinedStr):
        known = evaluator.strings(node)
        return call if known is None else attrs.evolve(call, order_type=(place, "a string"))
    if not isinstance(node, ast.List | ast.Tuple) or any(isinstance(item, ast.Starred) for item in node.elts):
        return call
    entries = [(index, evaluator.strings(item)) for index, item in enumerate(node.elts)]
    known_entries = tuple((index, strings[0]) for index, strings in entries if strings and len(strings) == 1)
    if call.search.entity is None:
        return attrs.evolve(call, order_type=(place, "a list of strings")) if known_entries else call
    if any(isinstance(item, ast.Dict) for item in node.elts):
        return attrs.evolve(call, order_type=(place, "a list of dictionaries"))
    return attrs.evolve(call, orders=known_entries)


def _integer(node: ast.expr, scope: Scope) -> int | None:
    values = scope.values_of(node.id) if isinstance(node, ast.Name) else None
    if values is not None and len(values) == 1:
        (node,) = values
    match node:
        case ast.Constant(int() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(ast.USub(), ast.Constant(int() as value)):
            return -value
    return None


def _owner(function: ast.expr, scope: Scope, module: Module) -> str | None:
    """Return "module" for a function of `mlflow`, "client" for a method of a client; None for what is not known."""
    dotted = module.dotted(function)
    if dotted is not None and dotted.rpartition(".")[0] in _MODULES:
        return "module"
    if isinstance(function, ast.Attribute) and _is_client_value(function.value, scope, module):
        return "client"
    return None


def _is_client(dotted: str | None) -> bool:
    root, _, name = (dotted or "").rpartition(".")
    return name in _CLIENTS and root.partition(".")[0] in PACKAGES


def _is_client_value(node: ast.expr, scope: Scope, module: Module) -> bool:
    match node:
        case ast.Call(function):
            return _is_client(module.dotted(function))
        case ast.Name(name):
            owner = scope.owner_of(name)
            if owner is None:
                return False
            if name in owner.parameters:
                annotation = owner.parameters[name]
                return annotation is not None and _is_client(module.dotted(annotation))
            values = owner.values[name] or []
            return any(isinstance(v, ast.Call) and _is_client_value(v, owner, module) for v in values)
        case ast.Attribute():
            values = module.attributes.get(ast.unparse(node), [])
            return any(isinstance(v, ast.Call) and _is_client_value(v, scope, module) for v in values)
    return False


def _name_place(function: ast.expr, source: Source) -> Place:
    stop = source.offset(function.end_lineno or function.lineno, function.end_col_offset or 0)
    match function:
        case ast.Attribute(_, name) | ast.Name(name):
            return Place(stop - len(name), stop)
    return Place(stop, stop)


def _is_guarded(name: str, source: Source) -> bool:
    """Tell whether a program asks whether a call is there, as those for several releases do."""
    return f'"{name}"' in source.text or f"'{name}'" in source.text or "AttributeError" in source.text
