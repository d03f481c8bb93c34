"""Runs `mlquery serve`: loads a source, binds a port, prints the URL, and serves until it is interrupted."""

from __future__ import annotations

import argparse
import gc
import sys

from mlquery.readers import load
from mlquery.server.process import bound_socket, url_of
from mlquery.server.process import serve as serve_socket
from mlquery.server.security import MEGABYTE, Security, is_loopback_name
from mlquery.server.service import new_service, new_store


def serve(options: argparse.Namespace, dialect: str) -> None:
    """Serve MLflow's REST API.

    Raises:
        StoreError: the source cannot be read.
        OSError: the address cannot be bound.
    """
    store, contents = new_store(dialect), "an empty store"
    is_loopback = is_loopback_name(options.host)
    security = Security(options.token, is_loopback, options.max_body * MEGABYTE, options.max_artifact * MEGABYTE)
    with bound_socket(options.host, options.port) as listening:
        if options.source is not None:
            load(options.source, into=store)
            contents = f"{store.runs.size} runs of {store.experiments.size} experiments from {options.source}"
        gc.freeze()  # what was loaded stays: the collector need not scan it again
        if not is_loopback and options.token is None:
            print("warning: anyone who can reach this address can read and write; instead: --token", file=sys.stderr)
        line = f"mlquery serves {contents} in dialect {dialect} on {url_of(listening)}"
        serve_socket(new_service(store, dialect), security, listening, lambda: print(line, flush=True))
