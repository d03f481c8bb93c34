"""Says in one sentence why a database server does not answer, from what its driver raised.

Drivers are told by what their errors carry, a SQLSTATE or MySQL's number, and by what they say where they carry none;
none of them is imported. A password is never part of a sentence.

**Source** of the codes: https://www.postgresql.org/docs/current/errcodes-appendix.html,
https://mariadb.com/kb/en/mariadb-error-code-reference/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

_PASSWORD: Final = "refuses the user or the password; instead: check both in the URI"
_HOST: Final = "has no such host; instead: check the name in the URI"
_REFUSED: Final = "cannot be reached: nothing answers there; instead: check host and port, and that the server runs"
_TIMEOUT: Final = "cannot be reached: it did not answer in time; instead: check host and port"
_DATABASE: Final = "has no such database; instead: check the name at the end of the URI"
_DENIED: Final = "does not let this user read: {}; instead: GRANT SELECT on MLflow's tables"
_CANCELLED: Final = "cancelled the query: {}; instead: ask for less, or raise the server's limit of time"
_LACKS: Final = "lacks what MLflow's tables have: {}; instead: run `mlflow db upgrade`, or restore a backup"
_LOST: Final = "closed the connection: {}; try again later"
_LOCKED: Final = "is locked by another program: {}; try again later"
_FULL: Final = "takes no more connections: {}; try again later"

_BY_STATE: Final = {
    **dict.fromkeys(("28000", "28P01"), _PASSWORD),
    "3D000": _DATABASE,
    "42501": _DENIED,
    **dict.fromkeys(("57014", "40001", "25P03", "25P04"), _CANCELLED),
    **dict.fromkeys(("42P01", "42703", "3F000"), _LACKS),
    **dict.fromkeys(("57P01", "57P02", "57P03", "08006", "08003"), _LOST),
    **dict.fromkeys(("55P03", "40P01"), _LOCKED),
    "53300": _FULL,
}
_BY_NUMBER: Final = {
    **dict.fromkeys((1044, 1045, 1698), _PASSWORD),
    1049: _DATABASE,
    **dict.fromkeys((1142, 1143, 1227), _DENIED),
    **dict.fromkeys((1317, 1969, 3024, 1028), _CANCELLED),
    **dict.fromkeys((1146, 1054), _LACKS),
    **dict.fromkeys((2006, 2013, 1053, 1927, 1152), _LOST),
    **dict.fromkeys((1205, 1213), _LOCKED),
    **dict.fromkeys((1040, 1203, 1226), _FULL),
}
# What drivers say where no code comes with it: the connection was not made.
_BY_WORDS: Final = (
    (r"password authentication failed|no password supplied|Access denied|role .* does not exist", _PASSWORD),
    (r"no pg_hba.conf entry|[Pp]eer authentication failed|Ident authentication failed", _PASSWORD),
    (r"database .* does not exist|Unknown database", _DATABASE),
    (
        r"could not translate host name|[Nn]ame or service not known|getaddrinfo|Unknown (MySQL|MariaDB|server) .*host",
        _HOST,
    ),
    (r"failed to resolve host|nodename nor servname|[Tt]emporary failure in name resolution", _HOST),
    (r"[Tt]imed out|timeout expired|connection timeout", _TIMEOUT),
    (r"Connection refused|No such file or directory|Can't connect|[Nn]o route to host", _REFUSED),
    (r"too many (clients|connections)|Too many connections|remaining connection slots", _FULL),
    (r"starting up|shutting down|closed the connection|Lost connection|gone away|connection .*closed", _LOST),
)
_REFUSED_QUERY: Final = "refuses the query: {}"
_OTHER: Final = "does not answer: {}"


def explained(error: BaseException, secrets: Iterable[str] = ()) -> str:
    """Return what is wrong, as the end of a sentence about the server, without the strings that are secret."""
    words = _first_line(str(error.args[1] if _number(error) and len(error.args) > 1 else error))
    for secret in secrets:
        words = words.replace(secret, "***") if secret else words
    return _sentence(error).format(words)


def _sentence(error: BaseException) -> str:
    state, number = _state(error), _number(error)
    if state in _BY_STATE:
        return _BY_STATE[state]
    if number in _BY_NUMBER:
        return _BY_NUMBER[number]
    found = next((sentence for words, sentence in _BY_WORDS if re.search(words, str(error))), None)
    return found or (_REFUSED_QUERY if state or number else _OTHER)


def _state(error: BaseException) -> str:
    for name in ("sqlstate", "pgcode"):
        state = getattr(error, name, None)
        if isinstance(state, str):
            return state
    return ""


def _number(error: BaseException) -> int:
    arguments: tuple[Any, ...] = error.args
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def _first_line(message: str) -> str:
    """Return what a driver says without line breaks, and without the statement that some repeat."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[0].rstrip(".;: ") if lines else "it gave no reason"
