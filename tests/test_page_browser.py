"""The page at `/` in a browser: filtering, choosing and comparing runs, with the mouse, the keyboard and a link."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from mlquery.entities import Metric, Param, RunTag
from mlquery.readers import load
from mlquery.resources import example_database
from mlquery.server.process import serving
from mlquery.server.security import Security
from mlquery.server.service import new_service, new_store
from mlquery.store import Store
from tests.support.browser import CHROMIUM, DRIVER, MISSING, browser, prefer, requests_of, resize

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING),
    pytest.mark.xdist_group("page in chromium"),  # one browser and one server serve all tests of this file
]

PATIENCE = 10.0
T = TypeVar("T")
TOKEN = "open-sesame"
LONG = "x" * 5000
HOSTILE = [
    "<script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'>",
    "\"'`${window.broken = 1}",
    "\u202eright to left\u202c",
    "שלום עולם",
    f"{LONG}a{LONG}",
    f"{LONG}b{LONG}",
    "line\nbreak\tand\x00nothing",
    " ",
]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def sweep() -> Iterator[str]:
    """Give the address of the example database."""
    store = new_store()
    load(example_database(), into=store)
    with serving(new_service(store)) as url:
        yield url


@pytest.fixture(scope="module")
def azure() -> Iterator[str]:
    with serving(new_service(load(example_database()), "azure")) as url:
        yield url


@pytest.fixture(scope="module")
def many() -> Iterator[str]:
    """Give the address of ten thousand runs."""
    store = Store(seed=1)
    for number in range(10_000):
        store.load_run(
            run_id=f"{number:032x}",
            experiment_id="0",
            user_id="anyone",
            status="FINISHED",
            start_time=1_700_000_000_000 + number,
            run_name=f"run {number}",
            metrics={"m": (number / 7, 1, 0)},
            params={"p": str(number % 5)},
        )
    with serving(new_service(store)) as url:
        yield url


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    """Give the address of runs whose names, keys and values want to break the page."""
    store = new_store()
    for number, text in enumerate(HOSTILE):
        run_id = store.create_run("0", "anyone", 1_700_000_000_000 + number, [], text.replace("\x00", "")).info.run_id
        key = "".join(c for c in text if c.isalnum())[:200] or "plain"
        store.log_batch(
            run_id,
            [Metric(key, number, 1, step) for step in range(3)],
            [Param(key, text[:6000]), Param("same", text[:6000])],
            [RunTag(key, text[:5000])],
        )
        store.artifacts.put(run_id, f"{text[:100].replace('/', '_').strip() or 'plain'}.txt", b"x")
    store.create_experiment(HOSTILE[0])
    with serving(new_service(store)) as url:
        yield url


class Page:
    """The page in the browser."""

    def __init__(
        self, driver: Any, url: str, view: str = "", size: tuple[int, int] = (1280, 900), scheme: str = "light"
    ):
        self.driver = driver
        self.url = url
        resize(driver, *size)
        prefer(driver, scheme)
        driver.get("about:blank")
        driver.get_log("browser")
        requests_of(driver)
        driver.get(f"{url}/{view}")

    def forget(self) -> Page:
        """Forget what this browser kept, and start anew."""
        self.run("localStorage.clear(); sessionStorage.clear()")
        self.driver.refresh()
        return self

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        found: list[Any] = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found

    def find(self, selector: str) -> Any:
        """Return the first element that is shown, once there is one."""
        return until(lambda: next((one for one in self.all(selector) if one.is_displayed()), None))

    def texts(self, selector: str) -> list[str]:
        return list(self.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)", selector))

    def sees(self, text: str, selector: str = "body") -> None:
        """Wait for a text."""
        until(lambda: any(text in found for found in self.texts(selector)), f"{text!r} in {selector}")

    def press(self, *keys: str) -> None:
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def chord(self, held: str, key: str) -> None:
        ActionChains(self.driver).key_down(held).send_keys(key).key_up(held).perform()

    def filter(self, text: str) -> None:
        box = self.find("[role=combobox]")
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(text or Keys.DELETE)

    def button(self, text: str, selector: str = "button") -> Any:
        return until(lambda: next((b for b in self.all(selector) if b.is_displayed() and text in b.text), None), text)

    def column(self, name: str) -> list[str]:
        """Return the texts of a column of the rows that are there."""
        at = self.texts(".grid-head [role=columnheader]")
        place = next(i for i, text in enumerate(at) if name in text.split("\n")[-1]) + 1
        return self.texts(f".grid-body [role=row] [role=gridcell][aria-colindex='{place}']")

    @property
    def focus(self) -> Any:
        return self.driver.switch_to.active_element

    def leaves_no_trace(self) -> None:
        """Check that nothing was said on the console and nothing was asked from anywhere else."""
        assert [] == self.driver.get_log("browser")
        assert self.run("return window.broken") is None
        elsewhere = [url for url in requests_of(self.driver) if not url.startswith((self.url, "data:", "about:"))]
        assert [] == elsewhere


def until(look: Callable[[], T | None], what: str = "something") -> T:
    """Return what `look` finds, once it does."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            found = look()
        except StaleElementReferenceException:
            found = None
        if found:
            return found
        assert time.monotonic() < end, f"there is no {what}"
        time.sleep(0.02)


def axe(page: Page) -> list[str]:
    """Return what axe-core finds wrong."""
    page.run((package_folder("axe_playwright_python") / "axe.min.js").read_text("utf-8"))
    found = page.driver.execute_async_script("axe.run().then(arguments[0])")
    return [
        f"{one['id']}: {one['help']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]


def package_folder(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


# --- the filter box -------------------------------------------------------------------------------------------------


def test_a_wrong_filter_is_underlined_with_a_caret_and_what_to_write_instead(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep)
    page.sees("runs found")

    page.filter("metrics.auc > '0.9' AND params.model = 'mlp'")

    page.sees("write the value without quotes", ".diagnostic")
    assert ["'0.9'"] == page.texts(".backdrop .wrong")
    source, caret = page.find(".diagnostic pre").text.split("\n")
    assert "metrics.auc > '0.9'" in source
    assert source.index("'0.9'") == caret.index("^")
    assert "instead: 0.9" in page.find(".instead").text.replace("\n", " ")
    assert "true" == page.find("[role=combobox]").get_attribute("aria-invalid")
    assert "wavy" in page.run("return getComputedStyle(document.querySelector('.wrong')).textDecorationStyle")

    page.chord(Keys.ALT, Keys.ENTER)
    until(lambda: page.find("[role=combobox]").get_property("value").startswith("metrics.auc > 0.9 AND"))
    page.sees("runs found", ".found")
    assert [] == page.all(".diagnostic")
    page.leaves_no_trace()


def test_a_click_takes_the_filter_to_use_instead(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep)

    page.filter("statu = 'FAILED'")
    page.button("Use it").click()

    until(lambda: page.find("[role=combobox]").get_property("value") == "status = 'FAILED'")
    until(lambda: set(page.column("status")) == {"✕ failed"})


def test_the_runs_found_stay_while_a_filter_is_wrong(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep, "#filter=metrics.auc+%3E+0.9985")
    page.sees("1 run found")

    page.filter("metrics.auc > ")

    page.sees("1 run of the last filter that was accepted")
    assert ["mlp_4_0.01"] == page.column("run_name")


def test_other_dialects_say_what_they_would_refuse(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep)

    page.filter("tags.team != 'risk'")

    page.sees("azure refuses", ".verdicts")
    assert "extended accepts" in page.find(".verdicts").text
    page.find(".verdict summary").click()
    assert "azure does not support != on tags" in page.find(".verdict[open] pre").text


def test_fields_operators_and_known_values_are_completed(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep)
    box = page.find("[role=combobox]")

    box.send_keys("params.mod")
    page.sees("params.model", "[role=option]")
    page.press(Keys.TAB)
    page.sees("LIKE", "[role=option]")
    page.press("= ")
    page.sees("gradient_boosting", "[role=option]")
    page.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    active = box.get_attribute("aria-activedescendant")
    assert "true" == page.run("return document.getElementById(arguments[0]).ariaSelected", active)
    page.press(Keys.ENTER)
    page.sees("AND", "[role=option]")

    assert "params.model = 'mlp' " == box.get_property("value")
    page.press(Keys.ESCAPE)
    until(lambda: set(page.column("model")) == {"mlp"})
    assert "false" == box.get_attribute("aria-expanded")
    page.leaves_no_trace()


# --- the table ------------------------------------------------------------------------------------------------------


def test_a_click_on_a_header_orders_the_runs(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep, "#columns=run_name&columns=metrics.auc")
    page.sees("runs found")
    header = page.all("[role=columnheader]")[2]

    header.click()
    until(lambda: header.get_attribute("aria-sort") == "descending" and page.column("auc")[0] == "0.998519")
    header.click()
    until(lambda: header.get_attribute("aria-sort") == "ascending" and float(page.column("auc")[0]) < 0.2)
    header.click()
    until(lambda: header.get_attribute("aria-sort") == "none")


def test_where_a_dialect_refuses_the_order_the_page_says_so_and_orders_what_it_has(driver: Any, azure: str) -> None:
    page = Page(driver, azure, "#columns=run_name&columns=metrics.auc&order=-metrics.auc")

    page.sees("azure does not support this: order runs by metrics", ".notice")
    page.sees("sort the returned DataFrame", ".notice")
    page.sees("has loaded all runs found and ordered them itself", ".notice")
    found = [float(text) for text in page.column("auc")[:20]]
    assert sorted(found, reverse=True) == found
    assert found[0] > 0.998


def test_columns_are_chosen_and_kept(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep).forget()
    page.sees("runs found")
    page.button("Columns").click()
    page.find(".checklist input[type=search]").send_keys("epochs")
    page.find(".checks input").click()
    page.press(Keys.ESCAPE)

    page.sees("epochs", "[role=columnheader]")
    assert "columns=params.epochs" in driver.current_url
    again = Page(driver, sweep)
    again.sees("epochs", "[role=columnheader]")
    again.forget()


def test_runs_are_selected_one_by_one_as_a_range_and_all_of_them(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep)
    page.sees("runs found")
    boxes = page.all(".grid-body .box input")

    boxes[0].click()
    page.sees("1 run selected")
    ActionChains(driver).key_down(Keys.SHIFT).click(boxes[4]).key_up(Keys.SHIFT).perform()
    page.sees("5 runs selected")
    boxes[2].click()
    page.sees("4 runs selected")
    assert "false" == page.all(".grid-body [role=row]")[2].get_attribute("aria-selected")
    page.find(".grid-head input").click()
    page.sees("found are selected")
    page.button("Clear").click()
    until(lambda: page.all(".selection") == [])


def test_only_the_rows_in_sight_are_in_the_page_and_the_keyboard_reaches_the_last(driver: Any, many: str) -> None:
    page = Page(driver, many)
    page.sees("10,000 runs found")
    assert "10001" == page.find("[role=grid]").get_attribute("aria-rowcount")

    page.run("document.querySelector('.grid-body [role=gridcell]').focus()")
    page.chord(Keys.CONTROL, Keys.END)

    until(lambda: page.focus.get_attribute("role") == "gridcell")
    row = until(lambda: page.run("return document.activeElement.closest('[role=row]').ariaRowIndex"))
    assert "10001" == row
    page.sees("run 0", ".grid-body .pinned")
    assert len(page.all(".grid-body [role=row]")) < 100
    page.press(Keys.PAGE_UP, Keys.HOME)
    assert "1" == page.focus.get_attribute("aria-colindex")
    page.leaves_no_trace()


def test_ten_thousand_runs_are_selected_at_once(driver: Any, many: str) -> None:
    page = Page(driver, many)
    page.sees("10,000 runs found")

    page.run("document.querySelector('.grid-body [role=gridcell]').focus()")
    page.chord(Keys.CONTROL, "a")

    page.sees("All 10,000 runs found are selected")
    assert len(driver.current_url) < 200


def test_a_run_is_shown_in_full_with_its_artifacts_and_escape_closes_it(driver: Any, hostile: str) -> None:
    page = Page(driver, hostile)
    page.sees("runs found")

    page.find(".grid-body .pinned").click()
    page.sees("Artifacts", ".detail h3")
    assert "plain.txt" in page.find(".detail").text
    assert axe(page) == []
    page.press(Keys.ESCAPE)
    until(lambda: page.all("dialog") == [])
    page.leaves_no_trace()


# --- the comparison -------------------------------------------------------------------------------------------------


def test_the_keyboard_alone_leads_from_the_filter_to_the_comparison(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep)
    page.sees("runs found")
    page.press(Keys.TAB)
    assert "Skip to the content" == page.focus.text
    page.press(Keys.ENTER)
    until(lambda: page.focus.get_attribute("role") == "combobox")

    page.press("params.model = 'mlp'", Keys.ENTER)
    until(lambda: set(page.column("model")) == {"mlp"})
    for _ in range(12):
        page.press(Keys.TAB)
        if page.focus.get_attribute("role") == "columnheader":
            break
    page.press(Keys.ARROW_DOWN, Keys.SPACE, Keys.ARROW_DOWN, Keys.SPACE)
    page.sees("2 runs selected")
    page.chord(Keys.SHIFT, Keys.ARROW_DOWN)
    page.sees("3 runs selected")
    page.press(Keys.TAB)
    assert "Compare" == page.focus.text
    page.press(Keys.ENTER)

    page.sees("3 runs compared")
    assert "tab=compare" in driver.current_url
    page.leaves_no_trace()


def chosen(page: Page, query: str, count: int) -> str:
    """Return the part of an address that selects some runs that a filter finds."""
    script = """return fetch('mlquery/page/runs', {method: 'POST', body: arguments[0]})
        .then((r) => r.json()).then((a) => a.ids)"""
    ids = page.run(script, f'{{"filter": "{query}", "limit": {count}}}')
    return "&".join(f"select={one}" for one in ids)


def test_runs_stand_side_by_side_with_their_distance_from_the_baseline(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep)
    runs = chosen(page, "params.model = 'mlp' AND metrics.auc > 0.9", 4)
    baseline = runs.partition("=")[2][:32]
    page = Page(driver, sweep, f"#tab=compare&{runs}&baseline={baseline}")
    page.button("Differences").click()

    page.sees("baseline", ".side-by-side thead")
    rows = page.texts(".side-by-side tbody tr th[scope=row]")
    assert "learning_rate" in rows
    assert "model" not in rows
    distances = until(lambda: page.texts(".distance"))
    assert all(text.lstrip("▲▼ ").startswith(("+", "−", "=")) for text in distances)
    assert {"▲", "▼"} & {text[0] for text in distances}
    page.find("#differences input[type=checkbox]").click()
    until(lambda: "model" in page.texts(".side-by-side tbody tr th[scope=row]"))
    page.leaves_no_trace()


def test_a_bound_on_an_axis_filters_every_other_part(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep, "#tab=compare&select=*&filter=metrics.auc+%3E+0.5&axes=params.model&axes=metrics.auc")
    page.sees("runs compared")
    before = int(page.find(".comparison .found").text.split()[0])

    thumb = until(lambda: page.all(".parallel-thumb"))[-1]
    page.run("arguments[0].focus()", thumb)
    page.press(*[Keys.ARROW_UP if thumb.get_attribute("aria-valuenow") == "0" else Keys.ARROW_DOWN] * 12)
    page.sees("within the bounds", ".comparison .found")

    inside = int(page.find(".comparison .found").text.split()[0])
    assert 0 < inside < before
    assert "brush=" in driver.current_url
    page.button("Differences").click()
    page.sees(f"of {inside} runs" if inside > 12 else "mlp", "#differences")


def test_every_figure_is_drawn(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep, "#tab=compare&select=*&filter=params.seed+%3D+%271%27&ignore=seed")
    page.sees("runs compared")

    for title in ("Parallel coordinates", "Curves", "Trade-off", "Values of a param", "Importance", "Groups and tests"):
        page.button(title, ".parts button").click()
    until(lambda: len(page.all("#parallel canvas")) >= 1)
    until(lambda: len(page.all("#curves canvas")) >= 1)
    for part in ("scatter", "boxes", "importance"):
        until(lambda part=part: page.all(f"#{part} svg, #{part} .figure-note"), part)  # type: ignore[misc]
    page.leaves_no_trace()


def test_models_are_chosen_and_stand_side_by_side(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep, "#tab=models")
    page.sees("models", "h2")

    for box in page.all(".models input[type=checkbox]")[:2]:
        box.click()

    page.sees("Side by side", "h2")
    assert "model" in page.texts(".side-by-side tbody th[scope=row]")
    assert axe(page) == []
    page.driver.refresh()
    page.sees("Side by side", "h2")
    page.leaves_no_trace()


def test_with_nothing_selected_the_comparison_says_how_to_select(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep, "#tab=compare")

    page.sees("No runs to compare")
    page.button("Choose runs").click()
    page.sees("runs found")


# --- the address ----------------------------------------------------------------------------------------------------


def test_a_link_opens_the_view_that_was_left(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep, "#columns=run_name&columns=metrics.auc")
    page.sees("runs found")
    page.filter("metrics.auc > 0.9 ")
    page.all("[role=columnheader]")[2].click()
    until(lambda: page.column("auc")[0] == "0.998519")
    page.all(".grid-body .box input")[1].click()
    page.sees("1 run selected")
    found, link = page.find(".found").text, driver.current_url

    driver.get("about:blank")
    driver.get(link)

    page.sees("1 run selected")
    until(lambda: page.find(".found").text == found)
    assert "metrics.auc > 0.9 " == page.find("[role=combobox]").get_property("value")
    assert "0.998519" == page.column("auc")[0]
    assert "descending" == page.all("[role=columnheader]")[2].get_attribute("aria-sort")
    assert "true" == page.all(".grid-body [role=row]")[1].get_attribute("aria-selected")


def test_going_back_and_forward_changes_the_view(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep)
    page.sees("runs found")
    page.button("Models", ".tab").click()
    page.sees("models", "h2")

    driver.back()
    page.sees("runs found")
    driver.forward()
    page.sees("models", "h2")


def test_an_address_that_somebody_changed_breaks_nothing(driver: Any, sweep: str) -> None:
    wild = "#tab=none&order=&order=x&columns=nothing&columns=metrics.auc&brush=%7B&select=&x=%00&filter=%F0%9F%98%80"
    page = Page(driver, sweep, wild)

    page.sees("filter is refused")
    assert page.all("[role=combobox]")


# --- looks, names and safety ----------------------------------------------------------------------------------------


def wrong_in_light_and_dark(page: Page) -> list[str]:
    """Return what axe-core finds wrong with a page in either look, and leave it in the light one."""
    found = axe(page)
    prefer(page.driver, "dark")
    found += axe(page)
    prefer(page.driver, "light")
    return found


def test_axe_finds_nothing_wrong_with_runs_and_refusals_in_light_and_dark(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep, "#select=*&filter=params.seed+%3D+%271%27")
    page.sees("found are selected")
    page.button("Columns").click()
    assert wrong_in_light_and_dark(page) == []

    page = Page(driver, sweep, "#filter=metrics.auc+%3E+%270.9%27")
    page.sees("write the value without quotes")
    assert wrong_in_light_and_dark(page) == []


def test_axe_finds_nothing_wrong_with_a_comparison_in_light_and_dark(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep, "#tab=compare&select=*&filter=params.seed+%3D+%271%27&ignore=seed")
    for title in ("Curves", "Trade-off", "Values of a param", "Groups and tests", "Differences"):
        page.button(title, ".parts button").click()
    until(lambda: page.all("#boxes svg") and page.all("#differences td"))

    assert wrong_in_light_and_dark(page) == []


def ground(page: Page) -> int:
    colour = page.run("return getComputedStyle(document.documentElement).backgroundColor")
    return max(int(part) for part in colour.strip("rgb()").split(","))


def test_the_page_is_dark_where_the_system_is_or_where_it_is_wanted(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep, scheme="dark").forget()
    page.sees("runs found")
    assert ground(page) < 60

    select = page.find(".head select")
    select.send_keys("Light")
    until(lambda: ground(page) > 200)
    page.driver.refresh()
    until(lambda: ground(page) > 200)
    page.forget()


@pytest.mark.parametrize("view", ["#", "#tab=compare&select=*", "#tab=models", "#filter=metrics.auc+%3E+%270.9%27"])
def test_nothing_is_wider_than_a_phone(view: str, driver: Any, sweep: str) -> None:
    page = Page(driver, sweep, view, size=(360, 700))
    until(lambda: page.all(".grid-head, .section, .models"))

    assert page.run("return document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("view", ["#", "#tab=compare&select=*&all=1&axes=params.same&axes=params.plain"])
def test_hostile_names_are_shown_and_do_nothing(view: str, driver: Any, hostile: str) -> None:
    page = Page(driver, hostile, view)

    page.sees("<script>window")
    if "compare" in view:
        page.button("Differences").click()
        page.sees("<img src=x onerror", ".side-by-side")
    assert page.run("return document.documentElement.scrollWidth") <= 1280
    assert page.run("return document.querySelectorAll('main script, main img').length") == 0
    page.leaves_no_trace()


def test_no_two_names_are_cut_to_the_same(driver: Any, hostile: str) -> None:
    page = Page(driver, hostile)
    page.sees("runs found")

    names = page.column("run_name")
    assert len(HOSTILE) == len(set(names))
    assert all("\u202e" not in name for name in names)


def test_a_token_is_asked_for_and_kept_in_the_tab(driver: Any) -> None:
    with serving(new_service(load(example_database())), Security(token=TOKEN)) as url:
        page = Page(driver, url)
        page.find("input[name=token]").send_keys("wrong", Keys.ENTER)
        page.sees("does not know this token")
        assert axe(page) == []
        page.find("input[name=token]").send_keys(Keys.CONTROL, "a")
        page.find("input[name=token]").send_keys(TOKEN, Keys.ENTER)
        page.sees("runs found")
        driver.refresh()
        page.sees("runs found")
        assert TOKEN not in driver.current_url
        page.forget()


def test_on_paper_there_are_no_buttons_and_nothing_is_cut_off(driver: Any, sweep: str) -> None:
    page = Page(driver, sweep, "#tab=compare&select=*&filter=params.seed+%3D+%271%27")
    page.sees("runs compared")
    page.button("Differences").click()
    page.sees("learning_rate", ".side-by-side")

    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert not any(one.is_displayed() for one in page.all(".head nav, .parts, .tool-row button"))
        assert "visible" == page.run("return getComputedStyle(document.querySelector('.scroll')).overflowX")
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
