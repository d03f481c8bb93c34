"""Runs `mlquery serve` and `mlquery view`: load a source, bind a port, print the URL, and serve until interrupted."""

from __future__ import annotations

import argparse
import gc
import sys
import webbrowser
from functools import partial

from mlquery.cli.outcomes import UsageError
from mlquery.readers import load
from mlquery.server.process import LOOPBACK, bound_socket, url_of
from mlquery.server.process import serve as serve_socket
from mlquery.server.security import MEGABYTE, Security, is_loopback_name
from mlquery.server.service import new_service, new_store, service_in_place
from mlquery.sql.opening import is_server, open_in_place, scheme_of
from mlquery.store import Store
from mlquery.sync.reading import read_source


def serve(options: argparse.Namespace, dialect: str) -> None:
    """Serve MLflow's REST API.

    Raises:
        StoreError: the source cannot be read.
        OSError: the address cannot be bound.
    """
    if options.in_place:
        _serve_in_place(options, dialect)
        return
    store, contents = new_store(dialect), "an empty store"
    security = _security(options)
    if options.source is not None and is_server(options.source):
        scheme = scheme_of(options.source)
        raise UsageError(f"{scheme}:… is a database server, which is served where it is; instead: --in-place")
    with bound_socket(options.host, options.port) as listening:
        if options.source is not None:
            load(options.source, into=store)
            contents = f"{store.runs.size} runs of {store.experiments.size} experiments from {options.source}"
        gc.freeze()  # what was loaded stays: the collector need not scan it again
        _warn_of_openness(options, "read and write")
        line = f"mlquery serves {contents} in dialect {dialect} on {url_of(listening)}"
        serve_socket(new_service(store, dialect), security, listening, lambda: print(line, flush=True))


def _serve_in_place(options: argparse.Namespace, dialect: str) -> None:
    """Serve what is searched where it is."""
    if options.source is None:
        raise UsageError("--in-place needs what to serve; instead: --from postgresql://… --in-place")
    with bound_socket(options.host, options.port) as listening:
        source = open_in_place(options.source)
        try:
            _warn_of_openness(options, "read")
            line = f"mlquery serves {source.name} in place, read-only, in dialect {dialect} on {url_of(listening)}"
            announce = partial(print, line, flush=True)
            serve_socket(service_in_place(source, dialect), _security(options), listening, announce)
        finally:
            source.close()


def _security(options: argparse.Namespace) -> Security:
    is_loopback = is_loopback_name(options.host)
    return Security(options.token, is_loopback, options.max_body * MEGABYTE, options.max_artifact * MEGABYTE)


def _warn_of_openness(options: argparse.Namespace, rights: str) -> None:
    if not is_loopback_name(options.host) and options.token is None:
        print(f"warning: anyone who can reach this address can {rights}; instead: --token", file=sys.stderr)


def view(options: argparse.Namespace, dialect: str) -> None:
    """Serve the page with the runs of a source, on the loopback, and open it in a browser.

    Raises:
        StoreError: the source cannot be read.
        OSError: the port cannot be bound.
    """
    with bound_socket(LOOPBACK, options.port) as listening:
        store = read_source(options.source)
        gc.freeze()
        serve_socket(
            new_service(store, dialect), Security(), listening, lambda: _show(store, options, url_of(listening))
        )


def _show(store: Store, options: argparse.Namespace, url: str) -> None:
    print(f"mlquery shows {store.runs.size} runs of {options.source} on {url} (Ctrl-C ends it)", flush=True)
    if not options.no_browser:
        webbrowser.open(url)
