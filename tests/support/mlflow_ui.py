"""MLflow's own UI in a browser: the table of runs as it is drawn."""

from __future__ import annotations

import time
from typing import Any

_PATIENCE = 120.0
_NAMES = """
return [...document.querySelectorAll('.ag-pinned-left-cols-container .ag-row')]
    .map((row) => [Number(row.getAttribute('row-index')), row.innerText.split('\\n')])
    .sort((one, other) => one[0] - other[0])
    .map((row) => row[1].find((line) => line && !line.startsWith('#') && line !== 'Pin run'))
"""


def sorted_table(url: str, experiment_id: str, metric: str) -> str:
    """Return the address of the table of an experiment's runs, the largest value of a metric first."""
    return f"{url}/#/experiments/{experiment_id}/runs?orderByKey=metrics.%60{metric}%60&orderByAsc=false"


def drawn_names(driver: Any) -> list[str]:
    """Return the names of the runs in the table, from the top, once it is drawn."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        names: list[str] = driver.execute_script(_NAMES)
        if names and all(names):
            return names
        time.sleep(0.02)
    raise TimeoutError("the table of runs is not drawn")
