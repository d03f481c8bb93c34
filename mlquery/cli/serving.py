"""Runs `mlquery serve` and `mlquery view`: load a source, bind a port, print the URL, and serve until interrupted."""

from __future__ import annotations

import argparse
import gc
import os
import re
import shlex
import signal
import ssl
import sys
import webbrowser
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from mlquery.cli.outcomes import UsageError
from mlquery.readers import load
from mlquery.remote.opening import is_remote, open_anywhere
from mlquery.server.certificates import Certificate, made_for_session
from mlquery.server.process import LOOPBACK, bound_socket, url_of
from mlquery.server.process import serve as serve_socket
from mlquery.server.security import MEGABYTE, Security, is_loopback_name
from mlquery.server.service import Service, new_service, new_store, service_in_place
from mlquery.sql.opening import is_server, scheme_of
from mlquery.store import Store
from mlquery.sync.reading import read_source

_TOKEN: Final = "MLQUERY_TOKEN"
_ORIGIN: Final = re.compile(r"https?://[\w.-]+(?::\d+)?|https?://\[[\da-f:]+\](?::\d+)?", re.ASCII)


def serve(options: argparse.Namespace, dialect: str) -> None:
    """Serve MLflow's REST API.

    Raises:
        StoreError: the source cannot be read.
        OSError: the address cannot be bound.
    """
    options.token = _token(options)
    if options.in_place:
        _serve_in_place(options, dialect)
        return
    store, contents = new_store(dialect), "an empty store"
    security = _security(options)
    if options.source is not None and is_server(options.source):
        scheme = scheme_of(options.source)
        raise UsageError(f"{scheme}:… is a database server, which is served where it is; instead: --in-place")
    if options.source is not None and is_remote(options.source):
        raise UsageError("a server is not loaded but asked where it is; instead: --in-place")
    with bound_socket(options.host, options.port) as listening, _certificate(options) as certificate:
        if options.source is not None:
            load(options.source, into=store)
            contents = f"{store.runs.size} runs of {store.experiments.size} experiments from {options.source}"
        gc.freeze()  # what was loaded stays: the collector need not scan it again
        _warn_of_openness(options, "read and write")
        service, url = new_service(store, dialect), url_of(listening, certificate)
        line = f"mlquery serves {contents} in dialect {dialect} on {url}"
        serve_socket(service, security, listening, _announcing(line, service, url, options, certificate), certificate)


def _serve_in_place(options: argparse.Namespace, dialect: str) -> None:
    """Serve what is searched where it is."""
    if options.source is None:
        raise UsageError("--in-place needs what to serve; instead: --from postgresql://… --in-place")
    with bound_socket(options.host, options.port) as listening, _certificate(options) as certificate:
        source = open_anywhere(options.source)
        try:
            _warn_of_openness(options, "read")
            service, url = service_in_place(source, dialect), url_of(listening, certificate)
            line = f"mlquery serves {source.name} in place, read-only, in dialect {dialect} on {url}"
            announce = _announcing(line, service, url, options, certificate)
            serve_socket(service, _security(options), listening, announce, certificate)
        finally:
            source.close()


def _certificate(options: argparse.Namespace) -> AbstractContextManager[Certificate | None]:
    """Return the certificate to speak https with, None for http.

    Raises:
        UsageError: the files are none of a certificate and its key, or none can be made.
    """
    if options.https:
        if options.ssl_certfile or options.ssl_keyfile:
            raise UsageError("--https makes a certificate; instead: --ssl-certfile without --https")
        return _made_for_session(options.host)
    if options.ssl_certfile is None:
        if options.ssl_keyfile is not None:
            raise UsageError("--ssl-keyfile is the key of a certificate; instead: with --ssl-certfile")
        return nullcontext()
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile, password="")  # never ask for one
    except OSError as error:
        files = " and ".join(filter(None, (options.ssl_certfile, options.ssl_keyfile)))
        reason = getattr(error, "reason", None) or error.strerror
        raise UsageError(f"{files}: not a certificate and its key without a password, in PEM: {reason}") from None
    return nullcontext(Certificate(options.ssl_certfile, options.ssl_keyfile))


def _made_for_session(host: str) -> AbstractContextManager[Certificate]:
    try:
        import trustme  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(f"--https needs {error.name}: pip install 'mlquery[https]'") from None
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # uvicorn's way to end deletes no files
    return made_for_session(host)


def _announcing(
    line: str, service: Service, url: str, options: argparse.Namespace, certificate: Certificate | None
) -> Callable[[], None]:
    """Return what says where the server is and, where https is spoken, what a client needs in its environment."""
    variables: dict[str, str] = {}
    if certificate is not None:
        variables = service.environment(url, options.token)
        if certificate.authority is not None:
            variables["REQUESTS_CA_BUNDLE"] = certificate.authority
    lines = [line, *(f"export {name}={shlex.quote(value)}" for name, value in variables.items())]
    return lambda: print("\n".join(lines), flush=True)


def _token(options: argparse.Namespace) -> str | None:
    """Return the token that is given, or that is in a file or the environment, which no list of processes shows."""
    if options.token is not None and options.token_file is not None:
        raise UsageError("--token and --token-file are two tokens; instead: one of them")
    if options.token_file is not None:
        with open(options.token_file, encoding="utf-8") as file:
            return _nonempty(file.read().strip(), options.token_file)
    if options.token is not None:
        return _nonempty(options.token, "--token")
    found = os.environ.get(_TOKEN)
    return None if found is None else _nonempty(found, _TOKEN)


def _nonempty(token: str, where: str) -> str:
    if not token:
        raise UsageError(f"{where} holds no token; instead: a line of characters that nobody guesses")
    return token


def _security(options: argparse.Namespace) -> Security:
    return Security(
        options.token,
        is_loopback_name(options.host),
        options.max_body * MEGABYTE,
        options.max_artifact * MEGABYTE,
        origins=frozenset(map(_origin, filter(None, options.cors_allowed_origins.split(",")))),
    )


def _origin(text: str) -> str:
    """Return an origin as browsers write it."""
    origin = text.strip().rstrip("/").lower()
    if not _ORIGIN.fullmatch(origin):
        raise UsageError(f"--cors-allowed-origins: {text.strip()} is no origin; instead: http://localhost:3000")
    return origin


def _warn_of_openness(options: argparse.Namespace, rights: str) -> None:
    if not is_loopback_name(options.host) and options.token is None:
        print(f"warning: anyone who can reach this address can {rights}; instead: --token-file", file=sys.stderr)


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
