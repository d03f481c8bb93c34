"""The benchmarks measure the same on every system, and their page says what was measured. Nothing is timed here."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
RUNS = 1000
SCRIPTS = (
    *("workload", "harness", "workbench", "render", "all", "pages"),
    *("systems.mlquery_store", "systems.mlflow_sql", "systems.bare_numpy"),
)


@pytest.fixture(scope="module")
def scripts() -> Iterator[SimpleNamespace]:
    """The modules of the benchmarks, which import each other as scripts in one folder do."""
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    try:
        yield SimpleNamespace(**{name.rpartition(".")[2]: importlib.import_module(name) for name in SCRIPTS})
    finally:
        sys.path.remove(str(FOLDER))
        for name in set(sys.modules) - before:
            if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


@pytest.fixture(scope="module")
def bench(scripts: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    bench = scripts.workbench.Workbench(RUNS, tmp_path_factory.mktemp("databases"))
    yield bench
    bench.close()


def test_the_same_number_of_runs_gives_the_same_workload(scripts: SimpleNamespace) -> None:
    first, second, other = (scripts.workload.workload(size) for size in (RUNS, RUNS, RUNS + 1))

    assert first.digest() == second.digest()
    assert first.queries == second.queries
    assert first.digest() != other.digest()


def test_the_workload_has_ties_gaps_and_nan(scripts: SimpleNamespace) -> None:
    runs = scripts.workload.workload(RUNS)
    loss = runs.metrics["loss"]
    states = {scripts.workload.ABSENT, scripts.workload.NUMBER, scripts.workload.NAN}

    assert states == set(loss.states.tolist())
    assert len(set(runs.start_times.tolist())) < RUNS
    assert (np.diff(runs.start_times) >= 0).all()
    assert (10, 8, 7) == (len(runs.params), len(runs.metrics), len(runs.all_tags()))
    assert {-1} < set(runs.end_times.tolist())


def test_slices_hold_the_runs_of_the_whole(scripts: SimpleNamespace) -> None:
    runs = scripts.workload.workload(RUNS)

    pieces = list(scripts.workload.slices(runs, 300))

    assert [300, 300, 300, 100] == [piece.size for piece in pieces]
    assert runs.run_ids == tuple(run_id for piece in pieces for run_id in piece.run_ids)
    for key, column in runs.params.items():
        assert list(column) == [text for piece in pieces for text in piece.params[key]]


@pytest.mark.parametrize("name", ["Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q7"])
def test_all_systems_return_the_same_runs_in_the_same_order(scripts: SimpleNamespace, bench: Any, name: str) -> None:
    query = bench.runs.queries[name]
    expected = scripts.mlquery_store.run_ids(scripts.mlflow_sql.page(bench.mlflow, query))

    assert expected
    assert expected == scripts.mlquery_store.run_ids(scripts.mlquery_store.page(bench.mlquery, query))
    assert expected == bench.numpy.ids(scripts.mlquery_store.rows(bench.mlquery, query))
    assert expected == bench.numpy.ids(bench.numpy.rows(query))
    assert expected == bench.numpy.ids(bench.numpy.newest(query))


def test_the_limit_hands_out_what_mlquery_hands_out(scripts: SimpleNamespace, bench: Any) -> None:
    query = bench.runs.queries["Q4"]

    own = scripts.mlquery_store.page(bench.mlquery, query)
    limit = bench.numpy.entities(bench.numpy.rows(query))

    for run, bare in zip(own, limit, strict=True):
        assert {name: getattr(bare.info, name) for name in bare.info.__slots__} == dict(run.info)
        assert (repr(bare.data.metrics), bare.data.params) == (repr(run.data.metrics), run.data.params)
        assert bare.data.tags == run.data.tags


def test_the_frame_of_the_limit_is_that_of_mlquery(scripts: SimpleNamespace, bench: Any) -> None:
    query = bench.runs.queries["Q3"]

    own = scripts.mlquery_store.frame(bench.mlquery, query)
    limit = bench.numpy.frame(bench.numpy.rows(query, RUNS))

    pd.testing.assert_frame_equal(own, limit[list(own.columns)])


def test_a_system_that_answers_otherwise_is_not_timed(scripts: SimpleNamespace) -> None:
    report = scripts.harness.Report("one")
    systems = {"mlquery": lambda: ["a", "b"], "another": lambda: ["b", "a"]}

    with pytest.raises(ValueError, match="another answers 2 runs that are not the 2 of mlquery"):
        scripts.harness.measure(report, "case", RUNS, systems, ids=list)

    assert [] == report.figures


def test_a_target_is_missed_when_the_figure_is_worse_than_allowed(scripts: SimpleNamespace) -> None:
    report = scripts.harness.Report("one")
    for system, seconds in (("mlquery", 0.001), ("MLflow", 0.099), ("numpy", 0.0004)):
        report.figures.append(scripts.harness.figure("case", RUNS, system, [seconds]))

    report.at_least("speed", "case", RUNS, "MLflow", 100)
    report.at_least("speed", "case", RUNS, "MLflow", 90)
    report.at_most("speed", "case", RUNS, "numpy", 2, 0.1)
    report.at_most("speed", "case", RUNS, "numpy", 2, 0.3)
    report.within("speed", "case", RUNS, 0.9)
    report.at_least("speed", "case", RUNS, "not measured", 2)

    assert [False, True, False, True, False] == [verdict.met for verdict in report.verdicts]


def test_the_mean_is_that_of_all_queries_at_all_sizes_so_far(scripts: SimpleNamespace) -> None:
    report = scripts.harness.Report("pages")
    queries = [scripts.workload.Query("Q1", ""), scripts.workload.Query("Q4", "", ("metrics.loss ASC",))]
    seconds = {
        100: {("Q1", "mlquery"): 1, ("Q1", "MLflow"): 50, ("Q4", "mlquery"): 1, ("Q4", "MLflow, ANALYZE"): 200},
        200: {("Q1", "mlquery"): 1, ("Q1", "MLflow"): 800, ("Q4", "mlquery"): 1, ("Q4", "MLflow"): 9999},
    }

    for runs, taken in seconds.items():
        report.figures += [scripts.harness.figure(case, runs, name, [s]) for (case, name), s in taken.items()]
        scripts.pages._judge_mean(report, queries)

    assert ["200x"] == [verdict.measured for verdict in report.verdicts]


def test_one_command_asks_every_question_of_the_page_at_some_size(scripts: SimpleNamespace) -> None:
    assert set(scripts.render.ORDER) == set(scripts.all.QUESTIONS)
    known = {0, *scripts.workbench.SIZES, 10 * max(scripts.workbench.SIZES)}
    assert all(sizes and set(sizes) <= known for _, sizes in scripts.all.QUESTIONS.values())


def test_the_page_shows_the_results_that_are_kept(scripts: SimpleNamespace) -> None:
    page = (FOLDER / "README.md").read_text()
    reports = scripts.render.read_all()

    assert set(scripts.render.ORDER) == set(reports)
    assert scripts.render.with_tables(page, reports) == page


def test_every_question_is_one_script_and_the_page_shows_its_charts(scripts: SimpleNamespace) -> None:
    page = (FOLDER / "README.md").read_text()

    assert all((FOLDER / f"{name}.py").exists() for name in scripts.render.ORDER)
    charts = re.findall(r"\(charts/([\w-]+\.svg)\)", page)
    assert sorted(charts) == sorted(path.name for path in (FOLDER / "charts").glob("*.svg"))


def test_results_name_neither_the_machine_nor_its_folders(scripts: SimpleNamespace) -> None:
    for path in (FOLDER / "results" / f"{name}.json" for name in scripts.render.ORDER):
        data = json.loads(path.read_text())

        assert {"date", "cpu", "cores", "memory_gib", "system", "python", "load_average", "versions"} == set(
            data["machine"]
        )
        assert not re.search(r'"[^"]*(?:/tmp|/home|/root|/work|localhost)', path.read_text())
