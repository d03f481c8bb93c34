"""Times the parsing and resolving of a filter, new or cached."""

from __future__ import annotations

import itertools

from harness import Plan, Report, measure
from workbench import Workbench, command

TARGET = "parse and resolve a three-clause filter"
_TEXT = "metrics.auc > 0.7{} AND params.opt = 'adam' AND tags.stage = 'prod'"
_PLAN = Plan(rounds=25)


def parsing(bench: Workbench, report: Report) -> None:
    """Measure filters that are new each time, and a cached one; the number of runs does not matter."""
    from mlflow.utils.search_utils import SearchUtils

    from mlquery.query.search import plan_of

    number = itertools.count(1)
    new = {
        "mlquery": lambda: plan_of(_TEXT.format(next(number))),
        "MLflow": lambda: SearchUtils.parse_search_filter(_TEXT.format(next(number))),
    }
    measure(report, "new text", 0, new, plan=_PLAN)
    text = _TEXT.format(5)
    known = {"mlquery": lambda: plan_of(text), "MLflow": lambda: SearchUtils.parse_search_filter(text)}
    measure(report, "text seen before", 0, known, plan=_PLAN)
    report.within(TARGET, "new text", 0, 0.5)
    report.within(TARGET, "text seen before", 0, 0.01)


if __name__ == "__main__":
    command("parsing", parsing, sizes=(0,))
