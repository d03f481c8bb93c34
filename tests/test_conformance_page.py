"""The report page in a browser: nothing is cut off, nothing is fetched, and the keyboard is enough."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from mlquery.conformance.html import render_html
from mlquery.conformance.report import Report
from tests.support.browser import CHROMIUM, DRIVER, MISSING, browser, prefer, requests_of, resize
from tests.support.sample_reports import AZURE, BAD, EVIL, GOOD, ODD, report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING),
    pytest.mark.xdist_group("chromium"),  # one browser serves all tests of this file
]
SIZES = {"desktop": (1280, 900), "tablet": (800, 1000), "phone": (390, 844), "small phone": (320, 568)}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


class Page:
    """A report page in the browser, from a file."""

    def __init__(self, driver: Any, folder: Path, *reports: Report, size: str = "desktop", scheme: str = "light"):
        self.driver = driver
        path = folder / "report.html"
        path.write_text(render_html(reports), encoding="utf-8")
        resize(driver, *SIZES[size])
        prefer(driver, scheme)
        driver.get_log("browser")
        requests_of(driver)
        driver.get(path.as_uri())

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[Any]:
        found: list[Any] = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return [element for element in found if element.is_displayed()]

    @property
    def focus(self) -> Any:
        return self.driver.switch_to.active_element

    @property
    def focused_cell(self) -> str:
        return str(self.focus.get_attribute("aria-label")).partition(". Declared")[0]

    def to_the_matrix(self) -> None:
        """Go to the first cell from the top of the page with the keyboard alone."""
        self.press(Keys.TAB, Keys.ENTER, Keys.TAB)

    def type(self, text: str) -> None:
        self.find("#text").send_keys(text)

    def screenshot(self, name: str) -> Image.Image:
        """Return a picture of what is seen, and keep it in the folder MLQUERY_SCREENSHOTS, if that is set."""
        picture = self.driver.get_screenshot_as_png()
        if folder := os.environ.get("MLQUERY_SCREENSHOTS"):
            Path(folder, f"{name}.png").write_bytes(picture)
        return Image.open(io.BytesIO(picture)).convert("RGB")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_the_page_is_seen_in_full_on_every_screen(size: str, scheme: str, driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, BAD, ODD, AZURE, size=size, scheme=scheme)

    top = page.screenshot(f"top-{size}-{scheme}")
    page.run("document.querySelector('table').scrollIntoView()")
    matrix = page.screenshot(f"matrix-{size}-{scheme}")
    page.run("document.querySelector('.cell.fail').click()")
    behind = page.screenshot(f"behind-{size}-{scheme}")

    grounds = [colour_at(picture, (2, SIZES[size][1] - 3)) for picture in (top, matrix)]
    assert all(max(ground) < 60 if scheme == "dark" else min(ground) > 200 for ground in grounds)
    for picture in (top, matrix, behind):
        assert SIZES[size] == picture.size
        assert 100 < len(picture.getcolors(10**6) or [])
    assert has_reddish(matrix)


def has_reddish(picture: Image.Image) -> bool:
    colours = [colour for _, colour in picture.getcolors(10**6) or [] if isinstance(colour, tuple)]
    return any(red > 120 and red > 1.6 * max(green, blue) for red, green, blue in colours)


def colour_at(picture: Image.Image, place: tuple[int, int]) -> tuple[int, ...]:
    """Return the red, green and blue of a pixel."""
    colour = picture.getpixel(place)
    assert isinstance(colour, tuple)
    return colour


@pytest.mark.parametrize("count", [1, 2, 5, 9])
@pytest.mark.parametrize("size", SIZES)
def test_what_stands_in_a_cell_stays_in_it(size: str, count: int, driver: Any, tmp_path: Path) -> None:
    rows = tuple(attrs.evolve(row, case=f"{row.case}.{number}") for number in range(60) for row in ODD.rows)
    page = Page(driver, tmp_path, *[report(f"Product {number}", rows) for number in range(count)], size=size)

    spilling = """return [...document.querySelectorAll('.cell')].filter((cell) => cell.scrollWidth > cell.clientWidth)
        .map((cell) => cell.textContent)"""

    assert SIZES[size][0] >= page.run("return document.documentElement.scrollWidth")
    assert [] == page.run(spilling)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_wider_than_the_screen_however_long_the_texts_are(size: str, driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, BAD, EVIL, ODD, AZURE, size=size)

    assert SIZES[size][0] >= page.run("return document.documentElement.scrollWidth")
    for number in range(len(page.all(".cell"))):
        page.run("document.querySelectorAll('.cell')[arguments[0]].click()", number)
        dialog = page.find("dialog")
        assert page.run("return arguments[0].scrollWidth <= arguments[0].clientWidth", dialog)
        page.press(Keys.ESCAPE)
    page.run("document.querySelectorAll('#list details').forEach((each) => { each.open = true; })")
    assert SIZES[size][0] >= page.run("return document.documentElement.scrollWidth")


def test_nothing_is_fetched_and_the_console_stays_empty(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, BAD, EVIL)

    page.to_the_matrix()
    page.press(Keys.ENTER)
    page.press(Keys.ESCAPE)
    page.type("metrics")

    assert [] == [url for url in requests_of(driver) if not url.startswith((tmp_path.as_uri(), "data:"))]
    assert [] == driver.get_log("browser")
    assert page.run("return window.broken") is None


def test_what_a_report_says_is_shown_as_it_is_written(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, EVIL)

    page.run("document.querySelector('.cell.fail').click()")

    assert "</script><script>window.broken = 1</script>" in page.find("#behind-list pre").text
    assert page.run("return window.broken") is None


def test_the_first_stop_of_tab_leads_past_the_head_to_the_matrix(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, BAD)

    page.press(Keys.TAB)
    assert "Skip to the matrix" == page.focus.text
    assert page.focus.is_displayed()

    page.press(Keys.ENTER, Keys.TAB)
    assert "Good 1.2.3 · oss: pass, 3 of 3 cases. Order runs by metrics" == page.focused_cell


def test_arrow_keys_move_between_cells_and_tab_leaves_them(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, BAD)
    page.to_the_matrix()

    page.press(Keys.ARROW_RIGHT)
    assert "Bad 1.2.3 · oss: fail, 2 of 3 cases. Order runs by metrics" == page.focused_cell
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert "Bad 1.2.3 · oss: pass, 1 of 1 cases. Filter runs by metrics" == page.focused_cell
    page.press(Keys.HOME)
    assert "Good 1.2.3 · oss: pass, 1 of 1 cases. Filter runs by metrics" == page.focused_cell
    page.press(Keys.ARROW_UP, Keys.ARROW_UP)
    assert "Good 1.2.3 · oss: pass, 3 of 3 cases. Order runs by metrics" == page.focused_cell
    page.press(Keys.TAB)
    assert "summary" == page.focus.tag_name
    page.press(Keys.SHIFT, Keys.TAB)


@pytest.mark.parametrize("key", [Keys.ENTER, Keys.SPACE])
def test_a_key_opens_the_cases_behind_a_cell_and_escape_goes_back(key: str, driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, BAD)
    page.to_the_matrix()

    page.press(Keys.ARROW_RIGHT, key)
    dialog = page.find("dialog")
    first = page.find("#behind-list .case").text
    assert dialog.is_displayed()
    assert "Order runs by metrics" == dialog.accessible_name
    assert "Close" == page.focus.accessible_name
    assert ["fail", "The case c", "ties.c", "filter: metrics.c > 1"] == first.splitlines()[:4]
    assert 3 == len(page.all("#behind-list .case"))

    page.press(Keys.ESCAPE)
    assert not dialog.is_displayed()
    assert "Bad 1.2.3 · oss: fail, 2 of 3 cases. Order runs by metrics" == page.focused_cell


def test_a_click_opens_a_cell_and_a_click_beside_closes_it(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, BAD)

    page.all(".cell")[1].click()
    assert page.find("dialog").is_displayed()

    ActionChains(driver).move_by_offset(40, 400).click().perform()
    assert not page.find("dialog").is_displayed()


def test_what_has_the_focus_is_seen_to_have_it(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, BAD)

    for _ in range(12):
        page.press(Keys.TAB)
        width, style = page.run(
            "const s = getComputedStyle(document.activeElement); return [parseFloat(s.outlineWidth), s.outlineStyle]"
        )
        assert (3, "solid") == (width, style), page.focus.get_attribute("outerHTML")


def test_text_leaves_the_lines_and_cases_that_hold_it(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, BAD, ODD)
    assert "6 of 6 lines, 7 of 7 cases" == page.find("#status").text

    page.type("metrics.C >")

    assert "1 of 6 lines, 1 of 7 cases" == page.find("#status").text
    assert ["Order runs by metrics"] == [each.text for each in page.all(".feature")]
    assert ["Ordering runs".upper()] == [each.text for each in page.all(".group")]
    page.all(".cell")[0].click()
    assert "order.metric: 1 case, 2 hidden by the filter. The dialect has it." == page.find("#behind-summary").text


def test_outcomes_leave_the_lines_and_cases_that_have_them(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, BAD, ODD)

    for word in ("pass", "refused", "skipped", "errored"):
        next(chip for chip in page.all(".chip") if chip.text.startswith(word)).send_keys(Keys.SPACE)

    pressed = [chip.text.split()[0] for chip in page.all(".chip") if chip.get_attribute("aria-pressed") == "true"]
    assert ["fail"] == pressed
    assert "2 of 6 lines, 2 of 7 cases" == page.find("#status").text


def test_where_nothing_fits_the_page_says_so_and_shows_all_again(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD)

    page.type("no such thing")
    assert page.find("#nothing").is_displayed()
    assert not page.find("table").is_displayed()

    page.find("#reset").click()
    assert "5 of 5 lines, 6 of 6 cases" == page.find("#status").text
    assert page.find("table").is_displayed()


def test_cases_come_worst_first_and_tell_what_every_target_did(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, ODD, BAD)

    first = page.find("#list details")
    first.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)

    assert "The case c" in first.text
    assert ["pass\nGood 1.2.3 · oss", "errored\nOdd 1.2.3 · oss\nno answer in 30 s"] == [
        each.text for each in page.all("#list details[open] .got")[:2]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_verdict_has_a_sign_and_a_word_and_contrast_enough(scheme: str, driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, BAD, ODD, AZURE, scheme=scheme)

    cells = page.all(".cell, .chip")
    assert {"pass", "refused", "fail", "errored", "skipped"} <= {cell.text.split()[0] for cell in cells}
    for cell in cells:
        ink, ground = page.run("const s = getComputedStyle(arguments[0]); return [s.color, s.backgroundColor]", cell)
        assert 4.5 <= contrast(ink, ground), cell.text
        sign = page.run("return arguments[0].querySelector('svg.icon use').getBBox()", cell)
        assert max(sign["width"], sign["height"]) > 5
    for selector in (".lead", ".hint", "#status"):
        ink = page.run("return getComputedStyle(arguments[0]).color", page.find(selector))
        assert 4.5 <= contrast(ink, page.run("return getComputedStyle(document.body).backgroundColor")), selector


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""
    lights = sorted((luminance(one), luminance(other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_assistive_technology_is_told_what_is_a_grid_a_row_and_a_cell(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, tmp_path, GOOD, BAD, size="phone")

    roles = {each.aria_role for each in page.all("table, tr, td")}

    assert {"grid", "row", "gridcell"} == roles
    assert "Support matrix" == page.find("table").accessible_name
    assert "Filter lines and cases by text" == page.find("#text").accessible_name
    assert 1 == len(page.all(".cell[tabindex='0']"))
