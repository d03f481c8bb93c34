"""Takes the pictures of the documentation: the page on the example database, in chromium without a screen.

    PYTHONPATH=. python docs/make_pictures.py

Needs chromium and chromedriver, and `pip install 'mlquery[test]'`. Pictures of other machines differ by their fonts, so
no test compares them; take them again when the page looks different.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any, Final
from urllib.parse import urlencode

from selenium.webdriver.support.wait import WebDriverWait

import mlquery
from mlquery.server.testing import running_server
from tests.support.browser import browser, prefer, resize

TOP: Final = Path(__file__).resolve().parents[1]
PICTURES: Final = TOP / "docs" / "pictures"
_FIVE_MODELS: Final = {
    "filter": "metrics.validation_loss < 1",
    "select": "*",
    "ignore": "seed",
    "color": "metrics.validation_loss",
    "curve": "validation_loss",
    "band": "1",
    "log": "1",
    "across": "metrics.loss",
    "up": "metrics.validation_loss",
}
_WRONG: Final = "metrics.auc > 0.8 AND tags.framework != 'sklearn'"
_IDLE: Final = "return document.querySelector('main') && !document.querySelector('[aria-busy=true]')"
_MOMENT: Final = 1.5  # in which the next figure may begin to load


def main() -> None:
    """Write all pictures."""
    store = mlquery.load(TOP / "examples" / "sweep.db")
    with TemporaryDirectory() as folder, browser(Path(folder)) as driver, running_server(store, "azure") as server:
        for scheme in ("light", "dark"):
            prefer(driver, scheme)
            _take(driver, server.url, {"tab": "compare"} | _FIVE_MODELS, f"compare-{scheme}", 1326)
        prefer(driver, "light")
        _take(driver, server.url, {"filter": _WRONG}, "filter-light", 420)


def _take(driver: Any, url: str, view: dict[str, str], name: str, height: int) -> None:
    resize(driver, 1280, height)
    driver.get("about:blank")
    driver.get(f"{url}/#{urlencode(view)}")
    for _ in range(3):
        WebDriverWait(driver, 30).until(lambda page: page.execute_script(_IDLE))
        sleep(_MOMENT)
    driver.save_screenshot(str(PICTURES / f"{name}.png"))


if __name__ == "__main__":
    main()
