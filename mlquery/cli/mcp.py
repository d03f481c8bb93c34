"""`mlquery mcp`: gives an assistant read-only tools over sources, by the Model Context Protocol on standard streams."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlquery.cli.commands import dialect_named
from mlquery.cli.options import add_list
from mlquery.cli.outcomes import ACCEPTED, UsageError
from mlquery.cli.sources import opened, without_password
from mlquery.errors import invalid_parameter

if TYPE_CHECKING:
    from mlquery.backend import Backend


def add_command(names: Any) -> None:
    """Add the command to those of `mlquery`."""
    command = names.add_parser("mcp", help="let an assistant read runs, by the Model Context Protocol")
    sources = (
        "source that may be read: what `mlquery search` takes, or a store on disk; may be repeated; "
        "default: any that a call names"
    )
    add_list(command, "--from", "SOURCE", sources)
    command.add_argument("--dialect", metavar="NAME", help="dialect of queries; default: extended")
    command.set_defaults(command=mcp)


def mcp(options: argparse.Namespace) -> int:
    """Serve the tools until standard input ends."""
    from mlquery.language.matrix import MATRIX

    name = options.dialect and dialect_named(options.dialect)
    dialect = MATRIX.dialect(name) if name else MATRIX.local_dialect
    try:
        from mlquery.mcp_server.server import serve
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "mlquery":
            raise
        raise UsageError("mcp needs the package mcp, 2 or newer: pip install 'mlquery[mcp]'") from None
    from mlquery.mcp_server.sources import Sources

    serve(Sources(_open_source, without_password, tuple(getattr(options, "from")), dialect))
    return ACCEPTED


@contextmanager
def _open_source(name: str, dialect: Any) -> Iterator[Backend]:
    """Give what answers about a source, a store on disk among them."""
    from mlquery.remote.requests import MAX_PAGES
    from mlquery.sync.sources import store_folder

    try:
        folder = store_folder(name)
        if folder is None:
            options = {"load": False, "engine": None, "server_dialect": None, "max_pages": MAX_PAGES}
            with opened(argparse.Namespace(source=name, **options), dialect) as backend:
                yield backend
            return
    except UsageError as error:
        raise invalid_parameter(str(error)) from None
    from mlquery.backend import Backend
    from mlquery.durable.store import DurableStore

    store = DurableStore(folder, read_only=True)
    try:
        yield Backend(store, None, dialect)
    finally:
        store.close()
