"""The checks of this project, each under one name: `nox -s fast` from a fresh clone, with nothing but nox installed.

Every session installs the checkout with the extras that it needs into an environment of its own, which the next run
uses again. `nox --no-venv -s fast` runs in the environment that nox itself is installed in, and installs nothing.
`.ci/run` runs the same commands without nox, and tests/test_habits.py fails when they drift apart.
"""

from __future__ import annotations

import sys

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "types", "fast"]
nox.options.reuse_existing_virtualenvs = True

# Two workers, and the tests of a group, which share a server or a build, on one of them: as in the README.
TESTS = ("pytest", "-q", "-n", "2", "--dist", "loadgroup")


@nox.session
def lint(session: nox.Session) -> None:
    """Look for mistakes and for layout that differs from ruff's."""
    python = _install(session, "lint")
    session.run(*python, "-m", "ruff", "check", ".")
    session.run(*python, "-m", "ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package, the tests and the scripts."""
    session.run(*_install(session, "dev"), "-m", "mypy")


@nox.session
def fast(session: nox.Session) -> None:
    """Run the tests that take less than a minute together; what follows `--` goes to pytest."""
    session.run(*_install(session, "dev"), "-m", *TESTS, "-m", "not slow", *session.posargs)


@nox.session
def full(session: nox.Session) -> None:
    """Run every test, and hold the share of lines and branches that they reach to what it was."""
    session.run(*_install(session, "dev", "docs"), "-m", *TESTS, "--cov", *session.posargs)


@nox.session
@nox.parametrize("release", ["2.16", "2.22", "3.1", "3.5", "3.9", "3.15"])
def releases(session: nox.Session, release: str) -> None:
    """Run the tests that need nothing but mlflow-skinny, on one old release of MLflow."""
    if session.virtualenv.venv_backend != "none":
        session.install("-e", ".", "hypothesis", "pytest", f"mlflow-skinny=={release}.*")
    session.run("python", "-m", "pytest", "-q", "tests/test_mlflow_releases.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site; a warning is an error."""
    sphinx = (*_install(session, "dev", "docs"), "-m", "sphinx", "-q", "-W", "-b", "html")
    session.run(*sphinx, "docs", "docs/_build/html", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks; what follows `--` goes to benchmarks/all.py."""
    session.run(*_install(session, "dev", "bench"), "benchmarks/all.py", *session.posargs)


def _install(session: nox.Session, *extras: str) -> tuple[str, ...]:
    """Install the checkout with some of its extras, and return the command of the Python that has them."""
    if session.virtualenv.venv_backend == "none":  # --no-venv: everything is expected beside nox
        return (sys.executable,)
    session.install("-e", f".[{','.join(extras)}]")
    return ("python",)
