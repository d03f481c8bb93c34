"""The house plan, checked on the source: who may import whom, how large things may get, what stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("architecture")  # every module is read once

PACKAGE = Path(__file__).resolve().parents[1] / "mlquery"
MODULES = {
    ".".join(("mlquery", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# The rooms from the ground up, one step of the stairs for each pair of which one builds on the other. A module imports
# from lower steps and from its own entry, never from a neighbour on the same step or from above.
STAIRS = (
    {"mlquery.errors", "mlquery.processes", "mlquery.resources", "mlquery._moved"},
    {"mlquery.entities"},
    {"mlquery.language"},
    {"mlquery.store"},
    {"mlquery.registry", "mlquery.engine", "mlquery.readers", "mlquery.pushdown"},
    {"mlquery.durable", "mlquery.sql"},
    {"mlquery.query"},
    {"mlquery.backend", "mlquery.lint"},
    {"mlquery.view"},
    {"mlquery.comparison"},
    {"mlquery.remote"},
    {"mlquery.client", "mlquery.tables"},
    {"mlquery.fluent", "mlquery.sync"},
    {"mlquery.mlflow_plugin", "mlquery.server"},
    {"mlquery.mocking"},
    {"mlquery.pytest_plugin"},
    {"mlquery.conformance", "mlquery.demo", "mlquery.mcp_server"},
    {"mlquery.cli"},
    {"mlquery.__main__"},
)
ROOMS = {room: step for step, rooms in enumerate(STAIRS) for room in rooms}
# The old paths of the first release, which lead to the new ones by name.
MOVED = {"mlquery.search", "mlquery.frame", "mlquery.histories"}
# The three facades: they re-export what is below them (`mlquery` lazily), so they may name every room of theirs.
FACADES = {"mlquery", "mlquery.language", "mlquery.engine"}


def room_of(module: str) -> str:
    """Return the longest entry of ROOMS that `module` is or lies in."""
    name = "mlquery._moved" if module in MOVED else module
    while name not in ROOMS:
        name = name.rpartition(".")[0]
        assert name, f"{module} is in no room of the house plan; give it one in STAIRS"
    return name


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imported_names(node: ast.AST) -> list[str]:
    """Return the dotted names an import statement binds, `from a import b` as both `a` and `a.b`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        assert node.module is not None
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


@cache
def imports(module: str) -> set[str]:
    return {name for node in ast.walk(tree_of(module)) for name in imported_names(node)}


def imports_at_import_time(module: str) -> set[str]:
    """Return what importing `module` imports: nothing inside functions or under TYPE_CHECKING."""

    def walk(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            yield child
            yield from walk(child)

    return {name for node in walk(tree_of(module)) for name in imported_names(node)}


@pytest.mark.slow
def test_no_file_imports_itself_by_a_detour() -> None:
    sorter = TopologicalSorter({m: modules_imported(m) - {m} for m in MODULES if m not in FACADES})

    sorter.prepare()  # raises CycleError, which names the files


@cache
def modules_imported(module: str) -> set[str]:
    """Return the files that a file imports from, whenever and for whatever it does."""
    found: set[str] = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= parts & MODULES.keys() or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & MODULES.keys()
    return found - FACADES


def uses_package(names: set[str], package: str) -> bool:
    return any(is_in(name, package) for name in names)


def test_imports_between_rooms_go_only_downwards() -> None:
    upwards = [
        f"{module} imports {name}"
        for module in MODULES
        if module not in FACADES
        for name in imports(module)
        if name in MODULES and name not in FACADES and not allowed(room_of(module), room_of(name))
    ]

    assert [] == upwards


def allowed(importer: str, imported: str) -> bool:
    return importer == imported or ROOMS[imported] < ROOMS[importer]


@pytest.mark.parametrize(
    ("place", "known"),
    [
        ("mlquery.language", {"mlquery.errors", "mlquery.language"}),  # never sees data
        ("mlquery.store", {"mlquery.errors", "mlquery.entities", "mlquery.store"}),  # never sees text
        (
            "mlquery.engine",  # never sees text or a dialect
            {
                "mlquery.engine",
                "mlquery.entities",
                "mlquery.store",
                "mlquery.language.plan",
                "mlquery.language.semantics",
            },
        ),
    ],
)
def test_a_room_knows_only_what_its_work_needs(place: str, known: set[str]) -> None:
    strangers = [
        f"{module} imports {name}"
        for module in MODULES
        if is_in(module, place)
        for name in direct_modules(module)
        if is_in(name, "mlquery") and not any(is_in(name, room) for room in known)
    ]

    assert [] == strangers


def is_in(module: str, place: str) -> bool:
    return module == place or module.startswith(place + ".")


def test_nothing_inside_the_package_imports_the_facade_that_reexports_it() -> None:
    inside = [m for m in MODULES if m not in FACADES and ROOMS[room_of(m)] < ROOMS["mlquery.mlflow_plugin"]]

    assert [] == [m for m in inside if "mlquery" in direct_modules(m)]


@cache
def direct_modules(module: str) -> set[str]:
    nodes = list(ast.walk(tree_of(module)))
    named = {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module}
    return named | {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}


@pytest.mark.parametrize(
    ("package", "rooms"),
    [
        ("pyparsing", {"mlquery.language"}),
        ("pandas", {"mlquery.query", "mlquery.comparison"}),
        (
            "numpy",
            {
                "mlquery.store",
                "mlquery.engine",
                "mlquery.query",
                "mlquery.comparison",
                "mlquery.view",
                "mlquery.readers",
                "mlquery.durable",
                "mlquery.sql",
                "mlquery.remote",
                "mlquery.sync",
            },
        ),
        ("sqlite3", {"mlquery.readers", "mlquery.durable", "mlquery.sql", "mlquery.sync"}),
        ("sqlalchemy", {"mlquery.sql", "mlquery.conformance"}),
        ("tomllib", {"mlquery.language", "mlquery.conformance"}),
        (
            "mlflow",
            {"mlquery.mlflow_plugin", "mlquery.remote", "mlquery.sync", "mlquery.mocking", "mlquery.conformance"},
        ),
        ("starlette", {"mlquery.server"}),
        ("uvicorn", {"mlquery.server"}),
        ("pyarrow", {"mlquery.sync", "mlquery.sql"}),
        ("mcp", {"mlquery.mcp_server"}),
        ("scipy", set()),  # by name alone, see mlquery.comparison.extras
        ("sklearn", set()),
    ],
)
def test_a_library_is_imported_only_in_its_rooms(package: str, rooms: set[str]) -> None:
    elsewhere = [m for m in MODULES if uses_package(imports(m), package) and (m in FACADES or room_of(m) not in rooms)]

    assert [] == elsewhere


def test_pandas_is_loaded_at_the_first_data_frame_and_not_before() -> None:
    not_yet = [m for m in MODULES if m not in {"mlquery.query.dataframe", "mlquery.query.aggregate", "mlquery.demo"}]
    eager = [m for m in not_yet if uses_package(imports_at_import_time(m), "mlquery.query.dataframe")]
    assert "mlquery.query.dataframe" in MODULES

    assert [] == eager


@pytest.mark.usefixtures("unmeasured")
def test_importing_mlquery_loads_no_heavy_package() -> None:
    heavy = {"pandas", "numpy", "pyarrow", "mlflow", "pyparsing", "sqlite3", "sqlalchemy", "sklearn"}
    code = "import sys, mlquery; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert set() == heavy & {name.partition(".")[0] for name in loaded}


def test_a_search_that_makes_no_data_frame_loads_no_pandas() -> None:
    code = (
        "import sys, mlquery; c = mlquery.Client(); e = c.create_experiment('a'); r = c.create_run(e);"
        "c.log_metric(r.info.run_id, 'm', 1.0); assert len(c.search_runs([e], 'metrics.m > 0')) == 1;"
        "print('pandas' in sys.modules, 'mlflow' in sys.modules)"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "False False\n" == shown


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_enough_to_read_in_one_sitting(module: str) -> None:
    lines = MODULES[module].read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 380


@pytest.mark.parametrize("module", MODULES)
def test_a_function_fits_on_a_screen(module: str) -> None:
    long = [
        f"{node.name}: {body_lines(node)} lines"
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > 40
    ]

    assert [] == long


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines below the signature and the docstring."""
    has_docstring = ast.get_docstring(node) is not None
    first = node.body[1] if has_docstring and len(node.body) > 1 else node.body[0]
    return (node.end_lineno or first.lineno) - first.lineno + 1


def test_the_reference_engine_is_read_in_a_minute_and_needs_no_numpy() -> None:
    lines = MODULES["mlquery.engine.reference"].read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 80
    assert not uses_package(imports("mlquery.engine.reference"), "numpy")


@pytest.mark.parametrize("module", [m for m in MODULES if m != "mlquery.__main__"])
def test_a_module_opens_by_saying_what_it_is(module: str) -> None:
    docstring = ast.get_docstring(tree_of(module)) or ""

    assert len(docstring) > 20


@pytest.mark.parametrize("module", MODULES)
def test_every_public_function_and_class_has_a_docstring(module: str) -> None:
    missing = [
        node.name
        for node in public_definitions(tree_of(module))
        if ast.get_docstring(node) is None and not is_overload(node)
    ]

    assert [] == missing


def public_definitions(
    tree: ast.Module | ast.ClassDef,
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def is_overload(node: ast.AST) -> bool:
    return any("overload" in ast.dump(d) for d in getattr(node, "decorator_list", []))


# A dialect is a column of matrix.toml. Code may name `oss`, the default of every signature, and nothing else; a
# docstring may name what it likes, and the demo and the fixture for pytest are about two dialects.
ABOUT_DIALECTS = {"mlquery.demo", "mlquery.conformance", "mlquery.pytest_plugin"}


@pytest.mark.parametrize("module", [m for m in MODULES if m not in ABOUT_DIALECTS])
def test_no_code_decides_by_the_name_of_a_dialect(module: str) -> None:
    tree = tree_of(module)
    defaults = {id(value) for value in default_values(tree)}
    docstrings = {id(node.body[0].value) for node in ast.walk(tree) if has_docstring(node)}  # type: ignore[attr-defined]

    named = [
        f"line {node.lineno}: {node.value!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
        and (
            names_dialect(node.value) if id(node) not in defaults else node.value != "oss" and names_dialect(node.value)
        )
    ]

    assert [] == named


def names_dialect(text: str) -> bool:
    return re.fullmatch(r"oss|extended|azure(:\w+)?", text) is not None


def has_docstring(node: ast.AST) -> bool:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None


def default_values(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield what a call without the argument gets: parameter defaults, and constants named DEFAULT_something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arguments):
            yield from [*node.defaults, *(d for d in node.kw_defaults if d is not None)]
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("DEFAULT_"):
            yield node.value
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            yield node.value
        if isinstance(node, ast.keyword) and node.arg == "default":
            yield node.value
