"""Times what the page at `/` waits for over 100,000 runs: the table under a typed filter, and known values to complete.

A server in this process is asked over HTTP as the page asks it, from the request to the last byte of the answer; what
the browser does with it is not in these figures (see report.py).
"""

from __future__ import annotations

import json
from functools import partial
from http.client import HTTPConnection
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from harness import Report, measure
from workbench import Workbench, command

TARGET = "the page: a typed filter over 100,000 runs"
MOST = 200.0  # ms
SIZE = 100_000
COLUMNS = ["run_name", "start_time", "duration", "status", "metrics.auc", "metrics.loss", "params.opt", "params.lr"]
WINDOW = 200  # runs, as the table asks for


def live_page(bench: Workbench, report: Report) -> None:
    """Measure answers to filters that were not asked before, and to one that sorts by a metric."""
    from mlquery.server.testing import running_server

    with running_server(bench.mlquery) as server:
        connection = HTTPConnection(urlsplit(server.url).netloc)
        ask, number = partial(_asked, connection), count()
        for query in bench.runs.queries.values():
            # Another clause each time, as someone types, so that no answer is one that is kept.
            typed = partial(lambda text: ask("runs", _details(f"{text}metrics.auc > -{next(number)}")), _clause(query))
            measure(report, f"{query.name} typed", bench.size, {"mlquery": typed})
            report.within(TARGET, f"{query.name} typed", bench.size, MOST)
        by_loss = partial(ask, "runs", _details("", [["metrics.loss", False]]))
        measure(report, "sorted by a metric", bench.size, {"mlquery": by_loss})
        report.within(TARGET, "sorted by a metric", bench.size, MOST)
        values = partial(ask, "values", {"field": "params.lr"})
        measure(report, "values of a param", bench.size, {"mlquery": values})
        connection.close()


def _clause(query: Any) -> str:
    return f"{query.filter_string} AND " if query.filter_string else ""


def _details(filter_string: str, order: list[Any] | None = None) -> dict[str, Any]:
    return {"filter": filter_string, "order": order or [], "limit": WINDOW, "columns": COLUMNS}


def _asked(connection: HTTPConnection, question: str, details: dict[str, Any]) -> None:
    body = json.dumps(details)
    connection.request("POST", f"/mlquery/page/{question}", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status == 200, content[:300]
    assert b'"refused"' not in content[:20], content[:300]


if __name__ == "__main__":
    command("live_page", live_page, sizes=(SIZE,))
