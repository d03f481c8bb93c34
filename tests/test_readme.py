"""Everything the README shows is run: commands and their output, Python sessions, the set-up, the generated matrix.

`python tests/test_readme.py` writes the present output of every command, session and of the matrix into README.md.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from mlquery import fluent

TOP = Path(__file__).resolve().parents[1]
README = TOP / "README.md"
REGENERATE = "python tests/test_readme.py"
TABLES = (
    "mlquery matrix --dialect oss --dialect azure --dialect azure:documented --dialect extended",
    "mlquery matrix --differing"
    " --dialect oss:2.9 --dialect oss:2.14 --dialect oss:2.22 --dialect oss:3.1 --dialect oss",
)
"""The commands that print the generated tables."""


@attrs.frozen
class Block:
    """A fenced code block: its language, its text and where that text stands in the README."""

    language: str
    text: str
    start: int


def blocks(readme: str) -> Iterator[Block]:
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL):
        yield Block(found[1], found[2], found.start(2))


def blocks_in(language: str) -> list[Block]:
    return [block for block in blocks(README.read_text(encoding="utf-8")) if block.language == language]


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
            elif re.match(r"[A-Z]+=", command):
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
    """Return what a command prints on both streams, and its exit code where the README shows `echo $?`."""
    done = subprocess.run(**started(command.replace(":5000", f":{port}") if port else command), check=False)
    output: str = done.stdout.decode()
    return output


def started(command: str, prefix: str = "") -> dict[str, Any]:
    """Return the arguments of `subprocess` for a command of the README."""
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
            exec(compile(source, "<README>", "single"), names)
        except Exception as error:
            print(f"Traceback (most recent call last):\n    ...\n{error_name(error)}: {error}")
    return output.getvalue()


def error_name(error: Exception) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def around_table(readme: str, command: str) -> tuple[str, str, str]:
    """Return what stands before, between and after the marks of the table that a command prints."""
    first, last = f"<!-- generated by `{command}`; `{REGENERATE}` writes it anew -->\n", "<!-- end of the table -->\n"
    before, opening, rest = readme.partition(first)
    table, closing, after = rest.partition(last)
    assert opening, f"README.md has lost the mark before the table of `{command}`"
    assert closing, f"README.md has lost the mark after the table of `{command}`"
    return before + opening, table, closing + after


def generated_table(command: str) -> str:
    return "\n" + output_of(command) + "\n"


def regenerated(readme: str) -> str:
    """Return the README with the present output of everything in it."""
    for block in reversed(list(blocks(readme))):
        runner = {"console": run_console, "pycon": run_session}.get(block.language)
        if runner:
            readme = readme[: block.start] + runner(block.text) + readme[block.start + len(block.text) :]
    for command in TABLES:
        before, _, after = around_table(readme, command)
        readme = before + generated_table(command) + after
    return readme


@pytest.mark.parametrize("console", [block.text for block in blocks_in("console")])
def test_a_command_prints_what_the_readme_shows(console: str) -> None:
    assert run_console(console) == console


def test_the_files_of_the_section_about_tests_are_a_suite_that_passes(tmp_path: Path) -> None:
    files = {block.text.splitlines()[0].removeprefix("# "): block.text for block in blocks_in("python")}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error::mlquery.MockWarning"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "11 passed" in done.stdout
    assert {"train.py", "test_train.py", "test_report.py", "test_with_unittest.py"} == set(files)


@pytest.fixture
def fresh_session() -> Iterator[None]:
    """Let the fluent functions start in an empty store, and leave none of the README's behind."""
    fluent.use()
    yield
    fluent.use()


@pytest.mark.usefixtures("fresh_session")
@pytest.mark.parametrize("session", [block.text for block in blocks_in("pycon")])
def test_a_python_session_shows_what_the_readme_shows(session: str) -> None:
    assert run_session(session) == session


@pytest.mark.parametrize("command", TABLES)
def test_the_matrix_in_the_readme_is_the_one_that_decides(command: str) -> None:
    _, shown, _ = around_table(README.read_text(encoding="utf-8"), command)

    assert generated_table(command) == shown, f"run `{REGENERATE}`"


def test_every_block_of_the_readme_is_of_a_kind_that_is_run() -> None:
    kinds = {block.language for block in blocks(README.read_text(encoding="utf-8"))}

    assert kinds == {"console", "pycon", "python", "sh", "text"}


def test_the_continuous_integration_runs_the_set_up_and_tests_of_the_readme_to_the_letter() -> None:
    demo, tests = (block.text for block in blocks_in("sh"))

    assert "mlquery demo" in demo  # run by tests/test_wheel.py
    assert tests in (TOP / ".ci" / "run").read_text(encoding="utf-8")


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = set(re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text(encoding="utf-8")))

    assert len(links) > 3
    assert set() == {link for link in links if not (TOP / link).exists()}


def test_the_first_screen_shows_a_command_and_its_output() -> None:
    first_screen = "\n".join(README.read_text(encoding="utf-8").splitlines()[:30])

    (console, *_) = blocks(first_screen + "\n```")
    assert "console" == console.language
    assert len(console.text.splitlines()) > 3


def test_the_readme_says_that_nothing_is_checked_against_the_live_service() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())

    assert "never against the live service" in text


def test_every_command_and_option_is_in_the_readme() -> None:
    from mlquery.cli.arguments import parser

    readme = README.read_text(encoding="utf-8")
    (subcommands,) = (a for a in parser()._actions if a.choices and not a.option_strings)
    assert subcommands.choices is not None
    missing = [f"mlquery {name}" for name in subcommands.choices if f"mlquery {name}" not in readme]
    options = {o for p in subcommands.choices.values() for a in p._actions for o in a.option_strings if o[:2] == "--"}  # type: ignore[attr-defined]

    assert [] == missing + sorted(option for option in options - {"--help"} if option not in readme)


if __name__ == "__main__":
    README.write_text(regenerated(README.read_text(encoding="utf-8")), encoding="utf-8")
