"""The command line: turns arguments into one call of the library, and its result into output and an exit code.

Exit codes: 0 accepted, 1 refused by the dialect, 2 misuse or a source that cannot be read. Expected errors never show a
traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence

from mlquery.cli.arguments import parser
from mlquery.cli.outcomes import ACCEPTED, MISUSE, REFUSED, UsageError
from mlquery.errors import QueryError, QueryWarning, StoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: The command-line arguments; those of the process when None.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = parser().parse_args(arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("always", QueryWarning)
            warnings.showwarning = _show_warning
            code = _run(options.command, options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Otherwise Python would report the closed pipe again when it closes the stream at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ACCEPTED
    except KeyboardInterrupt:
        return 130


def _run(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    try:
        return command(options)
    except BrokenPipeError:
        raise
    except QueryError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except (UsageError, StoreError, OSError) as error:
        print(f"mlquery: {error}", file=sys.stderr)
        return MISUSE


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)
