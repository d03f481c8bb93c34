"""What notebooks show: HTML of runs, experiments, pages, comparisons and explanations, escaped, small and offline."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.support.ui import WebDriverWait

import mlquery
from mlquery import Client, Store
from mlquery.entities import PagedList
from tests.support.browser import browser
from tests.support.compared_runs import EXPERIMENT, HOSTILE, run_id, seeds_of, store_of


class Read(HTMLParser):
    """The elements and the text of HTML; an element that is not closed is a mistake."""

    EMPTY = ("br", "meta", "link", "img")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


def read(shown: Any) -> Read:
    source = shown._repr_html_()
    source.encode("utf-8")
    found = Read(source)
    assert [] == found.open
    allowed = {
        "div",
        "style",
        "p",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "bdi",
        "details",
        "summary",
        "pre",
    }
    assert set(found.elements) <= allowed
    assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("href", "src")]
    return found


def hostile() -> Client:
    store = store_of(
        {"name": name, "params": {name: name}, "metrics": {name: 0.5}, "tags": {name: name}} for name in HOSTILE
    )
    client = Client(store)
    client.set_experiment_tag(EXPERIMENT, "note", "<script>alert(1)</script>")
    return client


def test_a_run_shows_what_is_known_of_it() -> None:
    run = Client(store_of([{"params": {"lr": "0.1"}, "metrics": {"auc": 0.123456789}, "tags": {"team": "a"}}])).get_run(
        run_id(0)
    )

    text = read(run).text

    for part in ("run 0", run_id(0), "FINISHED", "1970-01-01 00:00:01", "lr", "0.1", "auc", "0.123457", "team"):
        assert part in text


def test_an_experiment_shows_what_is_known_of_it() -> None:
    client = Client(Store())
    experiment = client.get_experiment(client.create_experiment("mine", tags={"team": "a"}))

    text = read(experiment).text

    assert all(part in text for part in ("mine", "active", "team", experiment.artifact_location))


def test_a_page_shows_its_runs_and_that_there_are_more() -> None:
    client = Client(seeds_of({"a": [0.5] * 60}))

    page = client.search_runs([EXPERIMENT], max_results=55)
    found = read(page)

    assert "55 on this page; the first 50 are shown; there are more pages: see token" in found.text
    assert 51 == found.elements.count("tr")
    assert "metrics.accuracy" in found.text
    assert "0 on this page" in read(client.search_runs([EXPERIMENT], "params.model = 'none'")).text


def test_pages_of_other_things_are_tables_too() -> None:
    client = Client(Store(seed=1))
    client.create_registered_model("best", {"a": "b"})
    client.create_logged_model("0", "net", params={"n": "1"})

    assert "Default" in read(client.search_experiments()).text
    assert "net" in read(client.search_logged_models(["0"])).text
    assert "best" in read(client.search_registered_models()).text
    assert "(1, 2)" in read(PagedList([(1, 2)], None)).text
    assert "x" in read(PagedList(["x"], None)).text


def test_a_comparison_shows_what_differs_what_is_the_same_and_groups() -> None:
    compared = mlquery.compare(
        "", source=seeds_of({"a": [0.1, 0.2, 0.4], "b": [0.2, 0.3, 0.5]}), ignore=["seed"], baseline="a-0"
    )

    text = read(compared).text

    for part in ("params.model", "a-0 (baseline)", "0.2 (+100 %)", "the same in all runs", "model=b", "interval"):
        assert part in text
    assert "no p-value" in text


def test_a_comparison_of_many_runs_is_small_and_says_what_is_left_out() -> None:
    compared = mlquery.compare(
        "", source=store_of({"params": {f"p{k}": str(n) for k in range(150)}} for n in range(30))
    )

    found = read(compared)

    assert len(compared._repr_html_()) < 200_000
    assert "18 more runs: see to_frame()" in found.text
    assert "more fields: see table" in found.text


def test_an_explanation_is_a_string_that_notebooks_show_as_lines() -> None:
    explained = mlquery.explain("metrics.auc > 0.5")

    assert isinstance(explained, str)
    assert explained == str(explained)
    assert str(explained) in read(explained).text
    assert "refused" in read(mlquery.explain("metrics.auc <> 0.5 <")).text


def test_hostile_names_are_text() -> None:
    client = hostile()
    shown = [
        client.get_run(run_id(0)),
        client.get_experiment(EXPERIMENT),
        client.search_runs([EXPERIMENT]),
        client.search_experiments(),
        client.compare_runs("", baseline=run_id(1)),
        mlquery.explain("params.a = '<script>alert(1)</script>'"),
    ]

    for one in shown:
        assert "script" not in read(one).elements
    text = read(shown[2]).text
    for name in HOSTILE[:2]:
        assert name in text
    assert "\u202e" not in text
    assert "\0" not in text
    assert "x" * 10_000 in text


def test_showing_loads_nothing_until_it_is_asked_for() -> None:
    code = (
        "import sys, mlquery; c = mlquery.Client(); r = c.create_run('0'); c.search_runs(['0']);"
        "print('mlquery.entities.html' in sys.modules); r._repr_html_(); print('pandas' in sys.modules)"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "False\nFalse\n" == shown


def test_numbers_that_are_not_finite_are_shown() -> None:
    client = Client(store_of([{"metrics": {"a": math.nan, "b": 1.7976931348623157e308}}]))

    assert "nan" in read(client.get_run(run_id(0))).text
    assert "1.79769e+308" in read(client.get_run(run_id(0))).text


# --- the whole page --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_comparison_is_shown_as_a_page_offline_and_cannot_reach_the_notebook(tmp_path: Path) -> None:
    shown = mlquery.compare("", source=seeds_of({"a": [0.1, 0.2], "b": [0.2, 0.3]}), ignore=["seed"]).show("Mine")
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<!doctype html><meta charset=utf-8>{shown._repr_html_()}", encoding="utf-8")

    with browser(tmp_path) as driver:
        driver.get(notebook.as_uri())
        frame = driver.find_element("tag name", "iframe")
        assert "allow-same-origin" not in frame.get_attribute("sandbox")
        driver.switch_to.frame(frame)
        WebDriverWait(driver, 20).until(lambda d: "Mine" in d.find_element("id", "app").text)
        assert "Mine" in driver.execute_script("return document.title")
        errors = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]

    assert [] == errors
    assert re.fullmatch(r"<Page: [\d,]+ characters of HTML>", repr(shown))


NOTEBOOK = [
    "import mlquery",
    "client = mlquery.Client(mlquery.load({source!r}))",
    "client.search_runs(['4'])",
    "client.search_runs(['4'])[0]",
    "client.get_experiment('4')",
    "compared = client.compare_runs(\"params.seed != ''\", group_by=['model'])\ncompared",
    "compared.show()",
    "mlquery.explain('metrics.auc > 0.8')",
]


@pytest.mark.slow
def test_cells_of_a_notebook_show_html(tmp_path: Path) -> None:
    """IPython's formatter asks the last value of a cell for its HTML; this does the same without IPython."""
    from mlquery.resources import example_database

    script = """
import ast, json, sys
cells, shown, names = json.loads(sys.argv[1]), [], {}
for cell in cells:
    *before, last = ast.parse(cell).body
    exec(compile(ast.Module(before, []), "cell", "exec"), names)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        shown.append([type(value).__name__, value._repr_html_()])
    else:
        exec(compile(ast.Module([last], []), "cell", "exec"), names)
print(json.dumps(shown))
"""
    cells = [cell.format(source=str(example_database())) if "{source" in cell else cell for cell in NOTEBOOK]
    offline = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    command = [sys.executable, "-W", "error", "-c", script, json.dumps(cells)]
    done = subprocess.run(command, capture_output=True, text=True, env=offline, check=True)
    shown = json.loads(done.stdout)

    assert ["PagedList", "Run", "Experiment", "Comparison", "Page", "Explanation"] == [name for name, _ in shown]
    for _, source in shown:
        assert not re.search(r"(src|href)=.https?:", source)
