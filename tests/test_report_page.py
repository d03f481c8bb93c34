"""A report in a browser: figures that are drawn, bounds that all of the page follows, names that break nothing."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import mlquery
from mlquery.entities import Metric, Param
from mlquery.store import Store
from tests.support.browser import CHROMIUM, DRIVER, MISSING, browser, prefer, requests_of, resize

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING),
    pytest.mark.xdist_group("report in chromium"),  # one browser serves all tests of this file
]

T = TypeVar("T")
PATIENCE = 10.0
LONG = "x" * 5000
HOSTILE = (
    "<script>window.broken = 1</script>",
    "</script><script>window.broken = 1</script>",
    "<!--<script>",
    "-->",
    "<img src=x onerror='window.broken = 1'>",
    "\"'`${window.broken = 1}",
    "\u202eright to left\u202c",
    "שלום עולם",
    "a\u2028b\u2029c",
    f"{LONG}a{LONG}",
    f"{LONG}b{LONG}",
    "$array",
    "__proto__",
    "constructor",
    " ",
)
FIGURES = ("parallel", "curves", "scatter", "boxes", "importance")
ALL = "#tab=compare&select=*"
# Marks of the figures that a picture shows; Chromium says what it has drawn once the data is unpacked.
TO_SECTION = """const section = document.getElementById(arguments[0]);
section?.scrollIntoView();
return section !== null"""
SHOWN = "return [...document.querySelectorAll('figure.figure')].map((figure) => figure.className)"


def sweep(count: int = 40) -> Store:
    """Return runs of five models and some params, with a metric for each and curves of one."""
    store = Store(seed=1)
    for number in range(count):
        run_id = store.create_run("0", "anyone", 1_700_000_000_000 + 1000 * number, [], f"run {number}").info.run_id
        quality = 0.5 + 0.1 * (number % 5) + 0.001 * number
        points = [Metric("loss", 1 / (1 + step) + 0.01 * number, 1_700_000_000_000 + step, step) for step in range(20)]
        params = {"model": f"model {number % 5}", "rate": str(10 ** -(number % 4)), "seed": str(number % 8)}
        single = [Metric("auc", quality, 1, 0), Metric("seconds", float(number * number), 1, 0)]
        store.log_batch(run_id, [*single, *points], [Param(*pair) for pair in params.items()], [])
    return store


def hostile() -> Store:
    store = Store(seed=1)
    for number, text in enumerate(HOSTILE * 2):
        run_id = f"{number:032x}"
        store.load_run(
            run_id=run_id,
            experiment_id="0",
            user_id=text,
            status="FINISHED",
            start_time=1_700_000_000_000 + number,
            run_name=text,
            metrics={text: (number / 7, 1, 0), "auc": (number / 3, 1, 0), "loss": (1.0 / (1 + number), 1, 0)},
            params={text: text, "same": text, "plain": str(number % 3)},
            tags={text: text, "mlflow.note.content": text},
        )
        store.log_batch(run_id, [Metric("loss", 1 / (step + 1), 10 + step, step) for step in range(1, 5)], [], [])
        store.artifacts.put(run_id, f"{text.replace('/', '|').strip('. ') or 'plain'}.txt", b"x")
    return store


class Page:
    """A report in the browser, opened from its file."""

    def __init__(
        self,
        driver: Any,
        path: Path,
        view: str = "",
        *,
        size: tuple[int, int] = (1280, 900),
        scheme: str = "light",
    ) -> None:
        self.driver, self.path = driver, path
        resize(driver, *size)
        prefer(driver, scheme)
        driver.get("about:blank")
        driver.get_log("browser")
        requests_of(driver)
        driver.get(path.as_uri() + view)
        self.until(lambda: self.run("return document.querySelector('main') !== null"), "page")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, look: Callable[[], T | None], what: str) -> T:
        """Return what `look` finds, once it does."""
        end = time.monotonic() + PATIENCE
        while not (found := look()):
            assert time.monotonic() < end, f"there is no {what}: {self.run('return document.body.innerText')[:2000]}"
            time.sleep(0.02)
        return found

    def sees(self, text: str) -> None:
        """Wait for a text."""
        self.until(lambda: text in self.run("return document.body.innerText"), repr(text))

    def find(self, selector: str) -> Any:
        return self.until(lambda: next(iter(self.driver.find_elements(By.CSS_SELECTOR, selector)), None), selector)

    def label_of(self, kind: str) -> str:
        """Return the accessible name of a figure."""
        return str(self.find(f".figure-{kind}").get_attribute("aria-label"))

    def shows_all_figures(self) -> None:
        """Scroll through the comparison until every figure is drawn."""
        for kind in FIGURES:
            self.until(lambda kind=kind: self.run(TO_SECTION, kind), f"part {kind}")  # type: ignore[misc]
            self.find(f".figure-{kind}")

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def screenshot(self, name: str) -> None:
        """Keep a picture of what is seen in the folder MLQUERY_SCREENSHOTS, if that is set."""
        if folder := os.environ.get("MLQUERY_SCREENSHOTS"):
            Path(folder, f"{name}.png").write_bytes(self.driver.get_screenshot_as_png())

    def leaves_no_trace(self) -> None:
        """Check that the console is empty, that no name was run, and that nothing was asked from the network."""
        assert [] == self.driver.get_log("browser")
        assert self.run("return window.broken") is None
        elsewhere = [url for url in requests_of(self.driver) if not url.startswith((self.path.as_uri(), "data:"))]
        assert [] == [url for url in elsewhere if not url.startswith(("about:", "chrome:"))]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


def written(folder: Path, store: Store, **options: Any) -> Path:
    path = folder / "report.html"
    mlquery.compare("", source=store, **options).to_html(path, "A & B <i>report</i>")
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("report"), sweep(), ignore=["seed"])


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("hostile"), hostile())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_opens_on_its_figures_without_a_word_on_the_console(scheme: str, driver: Any, report: Path) -> None:
    page = Page(driver, report, scheme=scheme)

    page.shows_all_figures()
    page.screenshot(f"report-{scheme}")

    assert "A & B <i>report</i>" in driver.title
    assert "40 runs" in page.label_of("parallel")
    assert "Curves of loss over step of 40 runs" == page.label_of("curves") or "40 runs" in page.label_of("curves")
    page.leaves_no_trace()


def test_bounds_on_an_axis_are_followed_by_every_figure_and_the_differences(driver: Any, report: Path) -> None:
    page = Page(driver, report, f"{ALL}&axes=params.model&axes=metrics.auc&curve=loss&across=metrics.seconds")
    page.shows_all_figures()
    page.run("document.getElementById('parallel').scrollIntoView()")

    page.run("document.querySelector('.parallel-thumb[data-bound=low][data-axis=\"1\"]').focus()")
    page.press(Keys.PAGE_UP, Keys.PAGE_UP, Keys.PAGE_UP)

    page.sees("of 40 runs within the bounds")
    count = page.find(".figure-parallel .figure-note").text.split(" of ")[0]
    assert 0 < int(count) < 40
    page.run("document.getElementById('curves').scrollIntoView()")
    page.until(lambda: f"of {count} runs" in page.label_of("curves"), f"curves of {count} runs")
    page.run("document.getElementById('scatter').scrollIntoView()")
    page.until(lambda: f"{count} of 40 runs." in page.find(".figure-scatter .figure-note").text, "scatter of some")
    page.run("document.getElementById('boxes').scrollIntoView()")
    page.until(lambda: f", {count} runs in" in page.label_of("boxes"), f"boxes of {count} runs")
    page.run("document.querySelector('.parallel-thumb[data-bound=low][data-axis=\"1\"]').focus()")
    page.press(Keys.ESCAPE)
    page.until(lambda: "40 runs" in page.label_of("curves"), "curves of all runs")
    page.leaves_no_trace()


def test_bounds_are_dragged_and_a_click_clears_them(driver: Any, report: Path) -> None:
    page = Page(driver, report, f"{ALL}&axes=params.model&axes=metrics.auc")
    track = page.find(".parallel-track[data-axis='1']")

    ActionChains(driver).move_to_element_with_offset(track, 0, -100).click_and_hold().move_by_offset(
        0, 150
    ).release().perform()
    page.sees("of 40 runs within the bounds")
    assert "brushed" in page.find(".parallel-axis[data-axis='1']").get_attribute("class")
    assert "brush=" in page.run("return location.hash")

    ActionChains(driver).move_to_element_with_offset(track, 0, 140).click().perform()
    page.until(lambda: "within" not in page.find(".figure-parallel .figure-note").text, "end of the bounds")
    page.leaves_no_trace()


def test_arrow_keys_move_between_axes_and_say_where_the_bounds_are(driver: Any, report: Path) -> None:
    page = Page(driver, report, f"{ALL}&axes=params.model&axes=metrics.auc")
    page.find(".parallel-thumb[data-axis='0'][data-bound='low']").send_keys(Keys.ARROW_UP)

    thumb = driver.switch_to.active_element
    assert "params.model, lower bound" == thumb.get_attribute("aria-label")
    page.until(lambda: "model 1" == thumb.get_attribute("aria-valuetext"), "value of the bound")
    page.press(Keys.ARROW_RIGHT)
    assert "metrics.auc, lower bound" == driver.switch_to.active_element.get_attribute("aria-label")
    assert "no bound" == driver.switch_to.active_element.get_attribute("aria-valuetext")


def test_the_keyboard_walks_along_curves_and_points(driver: Any, report: Path) -> None:
    page = Page(driver, report, f"{ALL}&curve=loss&across=metrics.seconds&up=metrics.auc")
    page.shows_all_figures()

    page.run("document.querySelector('.curves-plot').focus()")
    page.press(Keys.ARROW_UP, Keys.ARROW_LEFT)
    page.until(lambda: "at step" in page.find(".figure-curves .figure-readout").text, "readout of a curve")
    page.run("document.querySelector('.figure-scatter svg[tabindex]').focus()")
    page.press(Keys.ARROW_RIGHT)
    page.until(lambda: "metrics.auc" in page.find(".figure-scatter .figure-readout").text, "readout of a point")


def test_what_is_drawn_is_also_a_table_for_those_who_do_not_see_it(driver: Any, report: Path) -> None:
    page = Page(driver, report, f"{ALL}&axes=params.model&axes=metrics.auc&across=metrics.seconds&up=metrics.auc")
    page.shows_all_figures()

    for kind in FIGURES:
        page.until(lambda kind=kind: page.run(f"return document.querySelectorAll('.figure-{kind} td').length"), kind)  # type: ignore[misc]
    rows = page.run("return [...document.querySelectorAll('.figure-parallel tbody tr')].map((row) => row.textContent)")
    assert ["params.modelcategory5 valuesnone"] == rows[:1]


@pytest.mark.parametrize("tab", ["#tab=runs", ALL, "#tab=models"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong(scheme: str, tab: str, driver: Any, report: Path) -> None:
    page = Page(driver, report, tab, scheme=scheme)
    if tab == ALL:
        page.shows_all_figures()

    assert [] == axe(page)


def axe(page: Page) -> list[str]:
    """Return what axe-core finds wrong."""
    spec = find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    page.run((Path(spec.origin).parent / "axe.min.js").read_text("utf-8"))
    found = page.driver.execute_async_script("axe.run().then(arguments[0])")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(
    "tab", ["#tab=runs", ALL, f"{ALL}&axes=params.same&axes=metrics.auc&color=params.same", "#tab=models"]
)
def test_hostile_names_are_shown_and_nothing_else(tab: str, driver: Any, hostile_report: Path) -> None:
    page = Page(driver, hostile_report, tab)
    if tab.startswith(ALL):
        page.shows_all_figures()
    page.screenshot(f"hostile-{len(tab)}")

    assert page.run("return document.documentElement.scrollWidth") <= 1280
    assert [] == page.run("return [...document.querySelectorAll('a[href], img')].filter((e) => !e.closest('.head'))")
    page.leaves_no_trace()


def test_hostile_values_stay_apart_on_an_axis(driver: Any, hostile_report: Path) -> None:
    page = Page(driver, hostile_report, f"{ALL}&axes=params.same&axes=metrics.auc")

    labels = page.until(
        lambda: page.run(
            "return [...document.querySelectorAll('[data-axis=\"0\"] .parallel-tick')].map((e) => e.innerText)"
        ),
        "labels",
    )

    assert len(HOSTILE) == len(labels) == len(set(labels))
    assert {"\\u202eright to left\\u202c", "\\ud800", "a\\u2028b\\u2029c"} & {
        label.replace("…", "") for label in labels
    } or labels


def test_the_detail_of_a_hostile_run_shows_its_files(driver: Any, hostile_report: Path) -> None:
    page = Page(driver, hostile_report, f"#tab=runs&run={0:032x}")

    page.sees("<script>window.broken = 1<|script>.txt")
    page.leaves_no_trace()


def test_a_printed_report_has_its_figures(driver: Any, report: Path) -> None:
    page = Page(driver, report, ALL, scheme="dark")
    page.find(".figure-parallel")

    pdf = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"])

    page.until(lambda: 5 == len(page.run(SHOWN)), "five figures")
    pdf = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"])
    assert pdf.count(b"/Subtype /Image") + pdf.count(b"/Subtype/Image") >= 2
    assert page.run("return document.documentElement.hasAttribute('data-printing')") is False


def test_a_report_filters_and_refuses_what_it_does_not_have(driver: Any, report: Path) -> None:
    page = Page(driver, report, "#tab=runs&filter=metrics.auc+%3E+0.85")
    page.sees("8 runs found")

    page.find("[role=combobox]").send_keys(" OR x")
    page.sees("A report does not have OR")
    page.sees("comparisons joined by AND")
    page.leaves_no_trace()


def test_a_report_works_inside_the_frame_of_a_notebook(driver: Any, tmp_path: Path) -> None:
    outer = tmp_path / "notebook.html"
    frame = mlquery.compare("", source=sweep(8), ignore=["seed"]).show("In a notebook")._repr_html_()
    outer.write_text(f"<!doctype html><meta charset=utf-8><body>{frame}", encoding="utf-8")

    driver.get(outer.as_uri())
    driver.get_log("browser")
    driver.switch_to.frame(driver.find_element(By.TAG_NAME, "iframe"))
    end = time.monotonic() + PATIENCE
    while not driver.find_elements(By.CSS_SELECTOR, ".figure-parallel"):
        assert time.monotonic() < end, driver.find_element(By.TAG_NAME, "body").text
        time.sleep(0.05)
    driver.switch_to.default_content()

    assert [] == driver.get_log("browser")
