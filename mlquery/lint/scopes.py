"""Turn a Python module into its scopes: what each name is assigned, and what is imported under which name.

A name that is bound in any other way than by plain assignments has no known values.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import attrs

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign)
_BINDING = frozenset(
    (
        *(*_SCOPES, *_ASSIGNMENTS, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.ExceptHandler),
        *(ast.MatchAs, ast.MatchStar),
    )
)
_LEAVES = frozenset((ast.Constant, ast.Load, ast.Store, ast.Del, ast.Pass, ast.Break, ast.Continue))


@attrs.define(eq=False)
class Scope:
    """A module, a class or a function: the names in it.

    Attributes:
        parent: The scope around it; None for a module.
        node: The function or class.
        values: The expressions that a name is assigned; None if it is bound otherwise too.
        parameters: The annotations of the parameters, None where there is none.
    """

    parent: Scope | None
    node: ast.AST
    values: dict[str, list[ast.expr] | None] = attrs.field(factory=dict)
    parameters: dict[str, ast.expr | None] = attrs.field(factory=dict)

    @property
    def is_class(self) -> bool:
        """Tell whether this is a class, whose names functions in it do not see."""
        return isinstance(self.node, ast.ClassDef)

    def owner_of(self, name: str) -> Scope | None:
        """Return the scope in which a name is bound, seen from here."""
        scope: Scope | None = self
        while scope is not None:
            is_visible = scope is self or not scope.is_class
            if is_visible and (name in scope.values or name in scope.parameters):
                return scope
            scope = scope.parent
        return None

    def values_of(self, name: str) -> list[ast.expr] | None:
        """Return the expressions that a name is assigned; None if it has other values, too."""
        owner = self.owner_of(name)
        if owner is None or name in owner.parameters:
            return None
        return owner.values[name]

    def is_parameter(self, name: str) -> bool:
        """Tell whether a name is that of a parameter."""
        owner = self.owner_of(name)
        return owner is not None and name in owner.parameters


@attrs.define(eq=False)
class Module:
    """What a module says about names, and its calls with the scopes that they are in.

    Attributes:
        imports: The dotted names of what is imported, by the names they are bound to.
        attributes: The expressions that attributes are assigned, by the source of the target: `self.client`.
        calls: Every call, in the order of the source.
    """

    top: Scope
    imports: dict[str, str] = attrs.field(factory=dict)
    attributes: dict[str, list[ast.expr]] = attrs.field(factory=dict)
    calls: list[tuple[ast.Call, Scope]] = attrs.field(factory=list)

    def dotted(self, node: ast.expr) -> str | None:
        """Return the full dotted name of an imported thing; None if it is none."""
        if isinstance(node, ast.Name):
            return self.imports.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value)
            return None if owner is None else f"{owner}.{node.attr}"
        return None


def read_module(tree: ast.Module) -> Module:
    """Return the scopes, imports and calls of a module."""
    module = Module(Scope(None, tree))
    for statement in tree.body:
        _visit(statement, module.top, module)
    return module


def _visit(node: ast.AST, scope: Scope, module: Module) -> None:
    pending: list[tuple[ast.AST, Scope]] = [(node, scope)]
    while pending:
        here, inside = pending.pop()
        kind = type(here)
        if isinstance(here, ast.Name):
            if not isinstance(here.ctx, ast.Load):
                inside.values[here.id] = None
            continue
        if kind in _BINDING:
            _bind(here, inside, module)
        elif isinstance(here, ast.Call):
            module.calls.append((here, inside))
        if kind in _SCOPES or kind in _ASSIGNMENTS:
            pending += reversed(list(_children(here, inside)))
        else:
            pending += [(child, inside) for child in _nodes_in(here)]


def _nodes_in(node: ast.AST) -> list[ast.AST]:
    """Return the nodes below one, the last first, without those that have nothing below them and bind no name."""
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if type(value) is list:
            found += [child for child in value if isinstance(child, ast.AST) and type(child) not in _LEAVES]
        elif isinstance(value, ast.AST) and type(value) not in _LEAVES:
            found.append(value)
    found.reverse()
    return found


def _children(node: ast.AST, scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
    """Yield the nodes below with their scopes; what is evaluated outside of a function is in the scope around it."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        # The name that a plain assignment binds is bound by `_bind`, with its value.
        bound = node.targets if isinstance(node, ast.Assign) else [node.target]
        is_plain = len(bound) == 1 and isinstance(bound[0], ast.Name)
        for child in ast.iter_child_nodes(node):
            if not (is_plain and child is bound[0]):
                yield child, scope
        return
    assert isinstance(node, _SCOPES)
    inner = Scope(scope, node)
    if not isinstance(node, ast.ClassDef):
        inner.parameters = {each.arg: each.annotation for each in _parameters(node.args)}
        yield node.args, scope
    body = node.body if isinstance(node.body, list) else [node.body]
    for decorator in getattr(node, "decorator_list", []):
        yield decorator, scope
    for child in body:
        yield child, inner


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    others = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *others]


def _bind(node: ast.AST, scope: Scope, module: Module) -> None:
    match node:
        case ast.Import(names):
            for alias in names:
                name = alias.asname or alias.name.partition(".")[0]
                module.imports[name] = alias.name if alias.asname else name
        case ast.ImportFrom(source, names, 0) if source:
            for alias in names:
                module.imports[alias.asname or alias.name] = f"{source}.{alias.name}"
        case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), value=ast.expr() as value):
            _assign(scope, name, value)
        case ast.Assign([ast.Attribute() as target], value) | ast.AnnAssign(
            ast.Attribute() as target, value=ast.expr() as value
        ):
            module.attributes.setdefault(ast.unparse(target), []).append(value)
        case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
            scope.values[name] = None
        case ast.Global(names) | ast.Nonlocal(names):
            for name in names:
                _forget_everywhere(scope, name)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            scope.values[name] = None


def _assign(scope: Scope, name: str, value: ast.expr) -> None:
    known = scope.values.setdefault(name, [])
    if known is not None:
        known.append(value)


def _forget_everywhere(scope: Scope, name: str) -> None:
    owner: Scope | None = scope
    while owner is not None:
        owner.values[name] = None
        owner = owner.parent
