"""Everything that README.md and the pages of `docs/` show is run: commands and their output, sessions, example files.

`python tests/test_docs.py` writes the present output of every command and session, and the generated parts, into the
pages; with the names of pages, into these.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest

from mlquery import fluent
from tests.support.documentation import generated

pytestmark = pytest.mark.slow

TOP = Path(__file__).resolve().parents[1]
README = TOP / "README.md"
REGENERATE = "python tests/test_docs.py"
SHOWN_ONLY = {"CHANGELOG.md", "benchmarks/README.md"}
"""Pages of the site without examples."""
RUN = {"console", "pycon", "python", "ini"}
"""The languages of the blocks that are run, or are files of what is run."""
SHOWN = {"sh", "text", "toml", "json", "sql"}
"""The languages of the blocks that are not: set-up, diagrams and formats."""
SET_UP = re.compile(r"#|cd |python3? |\.venv/bin/|pip |nox |git |sphinx-build |bash ")
"""How the lines of `sh` blocks begin: what installs, takes minutes or needs a network."""


def pages() -> list[Path]:
    """Return the Markdown pages whose examples are run, README.md first."""
    docs = sorted(path for path in (TOP / "docs").rglob("*.md") if "_build" not in path.parts)
    elsewhere = (
        "CONTRIBUTING.md",
        "SECURITY.md",
        *(path for path in generated().PAGES if path not in SHOWN_ONLY),
    )
    return [README, *(TOP / path for path in elsewhere), *docs]


def name_of(page: Path) -> str:
    return page.relative_to(TOP).as_posix()


@attrs.frozen
class Block:
    """A fenced code block: its language, its text and where that text stands in its page."""

    language: str
    text: str
    start: int


def blocks(page: str) -> Iterator[Block]:
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield Block(found[1], found[2], found.start(2))


def texts_in(page: Path, language: str) -> list[str]:
    return [block.text for block in blocks(page.read_text(encoding="utf-8")) if block.language == language]


def texts_of_all(language: str) -> list[Any]:
    """Return the blocks of a language on all pages, as parameters that name page and place."""
    return [
        pytest.param(text, id=f"{name_of(page)}:{number}")
        for page in pages()
        for number, text in enumerate(texts_in(page, language), 1)
    ]


def commands(console: str) -> list[str]:
    """Return the commands of a console block, each with the lines that continue it after a backslash."""
    return re.findall(r"^\$ ((?:.*\\\n)*.*)\n", console, re.MULTILINE)


def run_console(console: str) -> str:
    """Return the block as it would look if it were typed now.

    A command that ends with `&` goes on until the end of the block; on the way its port is one that is free here.
    """
    typed, settings, port = "", "", ""
    with contextlib.ExitStack() as stack:
        stack.enter_context(checkout_to_write_in())
        for command in commands(console):
            if command.endswith("&"):
                port = free_port()
                output = stack.enter_context(background(command.removesuffix("&") + f" --port {port}"))
            elif re.fullmatch(r"(export )?[A-Z_]+=\S*", command):
                settings, output = f"{settings}{command}\n", ""
            else:
                output = output_of(settings + command, port)
            typed += f"$ {command}\n{output.replace(f':{port}', ':5000') if port else output}"
    return typed


@contextlib.contextmanager
def checkout_to_write_in() -> Iterator[None]:
    """Work in a new folder that has everything of the checkout in it, so that what a block makes is gone with it."""
    with tempfile.TemporaryDirectory() as folder:
        for path in TOP.glob("[!.]*"):
            (Path(folder) / path.name).symlink_to(path)
        with contextlib.chdir(folder):
            yield


@contextlib.contextmanager
def background(command: str) -> Iterator[str]:
    """Start a command, give the first line that it prints, and stop it in the end."""
    with subprocess.Popen(**started(command, "exec "), text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline()
        finally:
            process.terminate()


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def output_of(command: str, port: str = "") -> str:
    """Return what a command prints on both streams, and its exit code where a page shows `echo $?`."""
    done = subprocess.run(**started(command.replace(":5000", f":{port}") if port else command), check=False)
    output: str = done.stdout.decode()
    return output


def started(command: str, prefix: str = "") -> dict[str, Any]:
    """Return the arguments of `subprocess` for a command of a page."""
    script = f'mlquery() {{ {prefix}{shlex.quote(sys.executable)} -m mlquery "$@"; }}\n{command}'
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"COLUMNS": "120", "PYTHONWARNINGS": "ignore", "PATH": path}
    environment.pop("PYTHONPATH", None)
    return {
        "args": ["bash", "-c", script],
        "env": environment,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
    }


def run_session(session: str) -> str:
    """Return a `>>>` session as it would look if it were typed now, every statement in one namespace."""
    names: dict[str, object] = {}
    examples = doctest.DocTestParser().get_examples(session)
    with checkout_to_write_in():
        return "".join(prompted(example.source) + typed(example.source, names) for example in examples)


def prompted(source: str) -> str:
    """Return a statement as it is typed; an empty line ends one whose last line is indented."""
    first, *more = source.splitlines()
    lines = [f">>> {first}", *(f"... {line}".rstrip() for line in more)]
    return "\n".join([*lines, "..."] if more and more[-1].startswith(" ") else lines) + "\n"


def typed(source: str, names: dict[str, object]) -> str:
    """Return what one statement prints in a session; an error as doctest writes it."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            exec(compile(source, "<page>", "single"), names)
        except Exception as error:
            print(f"Traceback (most recent call last):\n    ...\n{error_name(error)}: {error}")
    return output.getvalue()


def error_name(error: Exception) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def files_of(page: Path) -> dict[str, str]:
    """Return the example files of a page by their names, which stand in the first line of each."""
    found = [*texts_in(page, "python"), *texts_in(page, "ini")]
    return {text.splitlines()[0].removeprefix("# "): text for text in found}


def regenerated(page: str) -> str:
    """Return a page with the present output of every command and session."""
    for block in reversed(list(blocks(page))):
        runner = {"console": run_console, "pycon": run_session}.get(block.language)
        if runner:
            fluent.use()
            page = page[: block.start] + runner(block.text) + page[block.start + len(block.text) :]
    return page


def below_docs(page: Path) -> str:
    """Return the path of a page as seen from `docs/`."""
    return Path(os.path.relpath(page, TOP / "docs")).as_posix()


@cache
def expanded(page: Path) -> str:
    """Return a page as Sphinx reads it, with its generated parts."""
    return str(generated().expanded(page.read_text(encoding="utf-8"), below_docs(page)))


def anchors(markdown: str) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub and MyST make them."""
    prose = re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#{1,6} (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def links(markdown: str) -> set[str]:
    """Return the links of a page that do not lead elsewhere."""
    prose = re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"(`+).*?\1", "", prose)
    found = re.findall(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", prose, re.MULTILINE)
    return {target for pair in found for target in pair if target and not re.match(r"https?:|mailto:", target)}


@pytest.mark.parametrize("console", texts_of_all("console"))
def test_a_command_prints_what_a_page_shows(console: str) -> None:
    assert run_console(console) == console


@pytest.fixture
def fresh_session() -> Iterator[None]:
    """Let the fluent functions start in an empty store, and leave none of a page's behind."""
    fluent.use()
    yield
    fluent.use()


@pytest.mark.usefixtures("fresh_session")
@pytest.mark.parametrize("session", texts_of_all("pycon"))
def test_a_python_session_shows_what_a_page_shows(session: str) -> None:
    assert run_session(session) == session


RUN_SUITES = """
import os, sys, pytest
for folder in sys.argv[1:]:
    os.chdir(folder)
    print("suite", folder, flush=True)
    pytest.main(["-p", "no:cacheprovider", "-W", "error::mlquery.MockWarning"])
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(folder):
            del sys.modules[name]
"""
"""Runs pytest in one folder after the other, so that MLflow is imported once."""


@pytest.fixture(scope="module")
def told_of_suites(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """Return what pytest prints about the example files of each page that has any."""
    folders = {}
    for page in pages():
        if files := files_of(page):
            folders[page] = tmp_path_factory.mktemp(page.stem)
            for name, text in files.items():
                (folders[page] / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", RUN_SUITES, *map(str, folders.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = re.split(r"^suite .*$", done.stdout, flags=re.MULTILINE)[1:]
    return dict(zip(folders, told, strict=True))


@pytest.mark.xdist_group("example files")  # one process runs them all
@pytest.mark.parametrize("page", [page for page in pages() if files_of(page)], ids=name_of)
def test_the_example_files_of_a_page_are_a_suite_that_passes(page: Path, told_of_suites: dict[Path, str]) -> None:
    files, told = files_of(page), told_of_suites[page]

    passed = re.search(r"^=+ (\d+) passed in", told, re.MULTILINE)
    assert passed, told
    assert int(passed[1]) >= sum(len(re.findall(r"^ *def test_", text, re.MULTILINE)) for text in files.values())
    assert all(re.fullmatch(r"[\w.]+\.(py|ini)", name) for name in files)


@pytest.mark.parametrize(
    "page", [page for page in pages() if "<!-- generated by" in page.read_text("utf-8")], ids=name_of
)
def test_a_page_has_the_matrix_the_commands_and_the_differences_that_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert generated().rewritten(text, below_docs(page)) == text, f"run `{REGENERATE} {name_of(page)}`"


def test_the_readme_has_the_fifteen_lines_of_the_documented_matrix() -> None:
    rows = re.findall(r"^\| (?!Feature|---)", README.read_text(encoding="utf-8"), re.MULTILINE)

    assert 15 == len(rows)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_block_is_of_a_kind_that_is_run_or_cannot_be(page: Path) -> None:
    fences = re.findall(r"^ *(?:```|~~~|:::)(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    kinds = {kind for kind in fences if kind and not kind.startswith("{")}

    assert set() == kinds - RUN - SHOWN
    lines = "".join(texts_in(page, "sh")).replace("\\\n", "").splitlines()
    assert [] == [line for line in lines if line and not SET_UP.match(line)]


def test_the_continuous_integration_runs_the_set_up_and_tests_of_the_readme_to_the_letter() -> None:
    demo, tests = texts_in(README, "sh")

    assert "mlquery demo" in demo  # run by tests/test_wheel.py
    assert tests in (TOP / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_relative_link_of_a_page_leads_somewhere(page: Path) -> None:
    lost = []
    for link in links(expanded(page)):
        target, _, anchor = link.partition("#")
        goal = (page.parent / target).resolve() if target else page
        if not goal.exists() or (anchor and goal.suffix == ".md" and anchor not in anchors(expanded(goal))):
            lost.append(link)

    assert [] == lost


def test_the_readme_has_at_most_120_lines() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120


def test_the_readme_leads_to_every_part_of_the_site() -> None:
    found = links(README.read_text(encoding="utf-8"))

    for part in ("tutorial", "guides", "reference", "explanation", "format"):
        assert any(link.startswith(f"docs/{part}") for link in found), part
    assert {"CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"} <= found


def test_the_first_screen_shows_a_test_a_refusal_and_its_output() -> None:
    first_screen = "\n".join(README.read_text(encoding="utf-8").splitlines()[:40]) + "\n```"

    shown = {block.language: block.text for block in blocks(first_screen)}
    assert "def test_" in shown["python"]
    assert re.search(r"^\$ mlquery check .*\n(.*\n)*azure: refused$", shown["console"], re.MULTILINE)


def test_the_readme_says_that_nothing_is_checked_against_the_live_service() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())

    assert "never against the live service" in text


def test_every_command_and_option_is_on_the_page_about_the_command_line() -> None:
    from mlquery.cli.arguments import parser

    page = expanded(TOP / "docs" / "reference" / "command-line.md")
    (subcommands,) = (a for a in parser()._actions if a.choices and not a.option_strings)
    assert isinstance(subcommands.choices, dict)
    missing = [f"mlquery {name}" for name in subcommands.choices if f"## mlquery {name}" not in page]
    options = {o for p in subcommands.choices.values() for a in p._actions for o in a.option_strings if o[:2] == "--"}

    assert [] == missing + sorted(option for option in options - {"--help"} if not re.search(rf"[` ]{option}\b", page))


def test_every_public_name_is_on_the_page_about_python() -> None:
    import mlquery
    from mlquery import entities, errors

    page = (TOP / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    modules = {"entities", "errors", "fluent"}
    named = {name for name in dir(mlquery) if re.search(rf":: mlquery\.{name}$", page, re.MULTILINE)}
    by_module = {name for name in dir(mlquery) if hasattr(entities, name) or hasattr(errors, name)}

    assert {"__version__"} == set(dir(mlquery)) - named - by_module - modules
    assert modules <= set(re.findall(r"automodule:: mlquery\.(\w+)$", page, re.MULTILINE))


def test_the_form_for_a_wrong_cell_offers_every_dialect() -> None:
    from mlquery.language.matrix import MATRIX

    form = (TOP / ".github" / "ISSUE_TEMPLATE" / "wrong-matrix-cell.yml").read_text(encoding="utf-8")
    options = re.findall(r'^ {8}- "?([\w:.]+)"?$', form, re.MULTILINE)

    assert list(MATRIX.dialects) == options


def test_every_address_of_the_project_is_the_one_that_contributors_are_told() -> None:
    urls = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"].values()
    (address,) = re.findall(r"meant to be published at <(.*)>", (TOP / "CONTRIBUTING.md").read_text("utf-8"))

    assert [] == [url for url in urls if not url.startswith(address)]


def main(names: list[str]) -> None:
    """Write the present output into the pages of some names, by default into all."""
    for page in pages():
        if not names or name_of(page) in names:
            before = page.read_text(encoding="utf-8")
            after = generated().rewritten(regenerated(before), below_docs(page))
            if after != before:
                page.write_text(after, encoding="utf-8")
                print(f"wrote {name_of(page)}")


if __name__ == "__main__":
    main(sys.argv[1:])
