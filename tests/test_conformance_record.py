"""What a server does becomes a column of the matrix: its own again, when the server is one of ours."""

from __future__ import annotations

import os
import tomllib

import pytest

from mlquery.conformance.matrix_column import Column, recorded
from mlquery.conformance.runner import Runner
from mlquery.conformance.targets import opened
from mlquery.language.matrix import MATRIX
from mlquery.server.testing import running_server
from tests.support.suite import SUITE

EVERY = (
    [] if "MLQUERY_EVERY_CASE" in os.environ else ["page-matrix", "page-runs", "ties", "status", "refused-or", "null"]
)
# Lines that the few topics cannot tell from others, and the studio's words for a status, of which the base has no map.
UNSEEN = {"status.job-names", *(("filter.dataset", "time.seconds") if EVERY else ())}
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("conformance record")]


def asked(served: str, claimed: str) -> tuple[Runner, str]:
    """Return who asked a server of one dialect in another, and the column that was recorded."""
    with running_server(dialect=served) as server, opened(server.tracking_uri, SUITE) as target:
        runner = Runner(target, SUITE, MATRIX.dialect(claimed), includes_silent=True)
        report = runner.report(EVERY)
        return runner, recorded(runner, report)


def test_a_server_of_the_same_dialect_gives_the_column_again() -> None:
    runner, written = asked("oss", "oss")

    column = tomllib.loads(written)

    assert len(column["cells"]) > 25
    assert {feature: MATRIX.feature(feature).cells["oss"].state for feature in column["cells"]} == column["cells"]
    assert "answers" not in column
    assert "oss" == next(iter(column["dialect"].values()))["base"]
    assert len(runner.results) > 100


def test_a_server_of_another_dialect_gives_the_column_of_that_one() -> None:
    """Nobody can see from outside that no source says something: a silent cell is a yes."""
    _, written = asked("azure", "oss")

    cells = tomllib.loads(written)["cells"]

    azure = {feature: MATRIX.feature(feature).cells["azure"].state.replace("silent", "yes") for feature in cells}
    oss = {feature: MATRIX.feature(feature).cells["oss"].state for feature in cells}
    assert sum(azure[feature] != oss[feature] for feature in cells) > 8
    assert {} == {f: state for f, state in cells.items() if azure[f] != state and f not in UNSEEN}


def test_what_no_cell_explains_is_written_as_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in SUITE.cases if case.id == "ties.limit")
    with running_server() as server, opened(server.url, SUITE) as target:
        runner = Runner(target, SUITE, MATRIX.dialect("oss"))
        report = runner.report([case.id])
        runner.results[case.id] = type(runner.results[case.id])(pages=(("g", "h"),))

        column = Column(runner)
        column.fit()
        written = tomllib.loads(recorded(runner, report))

    assert not column.explains(case)
    assert {"ties.limit": {"pages": [["g", "h"]]}} == written["answers"]
