"""Runs the query examples of Microsoft's documentation on the example database, and turns the results into lines.

Each call is written as in the documentation, with the ids and names of the example database. A line is a result, or a
refusal with its line of the support matrix. The calls are made through `mlquery.fluent`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from mlquery import fluent
from mlquery.client import Client
from mlquery.entities import Experiment, Metric, Run, ViewType
from mlquery.errors import QueryError, QueryWarning, StoreError
from mlquery.language.features import Cell
from mlquery.language.matrix import MATRIX
from mlquery.query.dataframe import DataFrame
from mlquery.readers import load
from mlquery.resources import example_database

DEFAULT_DIALECTS = ("oss", "azure")

# The examples in the order and under the headings of the page; `run_id` is a child run of the sweep.
QUERIES: dict[str, tuple[str, ...]] = {
    "Query and search experiments": (
        "mlflow.search_experiments()",
        "mlflow.search_experiments(view_type=ViewType.ALL)",
        "mlflow.get_experiment_by_name('my_experiment')",
        "mlflow.get_experiment('2')",
        """mlflow.search_experiments(filter_string="experiment_id IN ('1', '2', '3')")""",
        'mlflow.search_experiments(filter_string="creation_time > 1655703168")',
        """mlflow.search_experiments(filter_string="tags.framework = 'torch'")""",
    ),
    "Query and search runs": (
        "mlflow.search_runs(experiment_names=['my_experiment'])",
        "mlflow.search_runs(experiment_ids=['2'])",
        """mlflow.search_runs(filter_string="params.num_boost_round='100'", search_all_experiments=True)""",
    ),
    "Order runs": (
        "mlflow.search_runs(experiment_ids=['2'], order_by=['attributes.start_time DESC'])",
        "mlflow.search_runs(experiment_ids=['2'], max_results=1, order_by=['attributes.start_time DESC'])",
        "mlflow.search_runs(experiment_ids=['2'], order_by=['attributes.duration DESC'])",
        "mlflow.search_runs(experiment_ids=['2']).sort_values('metrics.accuracy', ascending=False)",
    ),
    "Filter runs": (
        """mlflow.search_runs(experiment_ids=['2'], filter_string="params.num_boost_round='100'")""",
        "mlflow.search_runs(experiment_ids=['2'], filter_string='metrics.auc>0.8')",
        """mlflow.search_runs(experiment_ids=['2'], filter_string="tags.framework='torch'")""",
        """mlflow.search_runs(experiment_ids=['2'], filter_string="attributes.user_id = 'John Smith'")""",
        """mlflow.search_runs(experiment_ids=['2'], filter_string="attributes.status = 'Failed'")""",
        """mlflow.search_runs(experiment_ids=['2'], filter_string="attributes.creation_time > '1655703168'")""",
        """mlflow.search_runs(experiment_ids=['2'], filter_string="attributes.duration > '360000'")""",
        """mlflow.search_runs(experiment_ids=['2'], filter_string=f"attributes.run_id IN ('{run_id}', 'none')")""",
    ),
    "Get metrics, parameters and artifacts": (
        """mlflow.search_runs(['2'], filter_string="params.num_boost_round='100'", output_format='list')""",
        "mlflow.get_run(run_id).data.params",
        "mlflow.get_run(run_id).data.metrics",
        "client.get_metric_history(run_id, 'log_loss')",
        "client.list_artifacts(run_id)",
    ),
    "Get child (nested) runs": (
        """mlflow.search_runs(['2'], filter_string=f"tags.mlflow.parentRunId='{parent_id}'")""",
    ),
    "What some dialects do not support": (
        "mlflow.search_runs(experiment_ids=['2'], order_by=['metrics.accuracy DESC'])",
        "mlflow.search_runs(experiment_ids=['2'], order_by=['params.model'])",
        "mlflow.search_runs(experiment_ids=['2'], order_by=['tags.framework'])",
        "mlflow.search_runs(experiment_ids=['2'], filter_string='metrics.`validation_0-logloss` < 0.3')",
        """mlflow.search_runs(experiment_ids=['2'], filter_string="tags.framework != 'torch'")""",
        """mlflow.search_runs(experiment_ids=['2'], filter_string="tags.framework LIKE 'xg%'")""",
        "mlflow.search_runs(experiment_ids=['2'], filter_string='metrics.auc > 0.9 OR metrics.loss < 0.1')",
        "client.rename_experiment('2', 'renamed')",
    ),
}


def report(dialects: tuple[str, ...] = DEFAULT_DIALECTS) -> Iterator[str]:
    """Yield the lines of the demonstration: every call, and under it the result of each dialect."""
    store = load(example_database())
    names = _names(Client(store))
    sessions = {dialect: Client(store.clone(), dialect=dialect) for dialect in dialects}
    yield f"Microsoft's query examples on examples/sweep.db, in the dialects {' and '.join(dialects)}"
    for heading, calls in QUERIES.items():
        yield from ("", f"# {heading}")
        for call in calls:
            yield call
            results = {dialect: tuple(_result_lines(call, client, names)) for dialect, client in sessions.items()}
            yield from _merged(results)


def _names(client: Client) -> dict[str, Any]:
    """Return the names that the calls use: a sweep, one of its child runs, and the enumeration of view types."""
    parent = client.search_runs(["2"], "attributes.run_name = 'gbm-sweep'")[0].info.run_id
    child = client.search_runs(["2"], f"tags.mlflow.parentRunId = '{parent}'")[0].info.run_id
    return {"mlflow": fluent, "ViewType": ViewType, "run_id": child, "parent_id": parent}


def _merged(results: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield the results; dialects with the same result share a line."""
    for result in dict.fromkeys(results.values()):
        dialects = ", ".join(dialect for dialect, lines in results.items() if lines == result)
        for number, line in enumerate(result):
            yield f"  {'' if number else dialects:<10}  {line}"


def _result_lines(call: str, client: Client, names: dict[str, Any]) -> Iterator[str]:
    """Yield the result of a call, or why it is refused, with its line of the support matrix."""
    fluent.use(client)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", QueryWarning)
        try:
            # The call is one of QUERIES, never input.
            yield _described(eval(call, {**names, "client": client}))
        except QueryError as error:
            diagnostic = error.diagnostics[0]
            yield from _refusal(client.dialect, diagnostic.feature, diagnostic.message, diagnostic.suggestion)
        except StoreError as error:
            yield from _refusal(client.dialect, error.feature, error.message)
    for warning in caught:
        yield f"warning: {str(warning.message).splitlines()[0]}"


def _refusal(dialect: str, feature_id: str | None, message: str, instead: str | None = None) -> Iterator[str]:
    if feature_id is None:
        yield f"refused: {message}"
    else:
        feature = MATRIX.feature(feature_id)
        yield f"refused: {feature.title} [{feature_id}]: {_cell_in_words(feature.cells[dialect])}"
        instead = instead or feature.instead
    if instead:
        yield f"instead: {instead}"


def _cell_in_words(cell: Cell) -> str:
    refused = [pattern for pattern, other in cell.exceptions if other.state == "no"]
    uses = [" ".join(str(values[0]) for _, values in pattern.wanted) for pattern in refused]
    exceptions = f", except {' and '.join(uses)}" if uses else ""
    return f"{cell.state}{exceptions} ({cell.confidence}, {cell.date})"


def _described(result: Any) -> str:
    match result:
        case DataFrame():
            return _listed("run", list(result.get("tags.mlflow.runName", [])))
        case Experiment():
            return f"experiment {result.name!r}"
        case dict():
            return ", ".join(f"{key} = {_short(value)}" for key, value in result.items())
        case [Run(), *_]:
            return _listed("run", [run.info.run_name for run in result])
        case [Experiment(), *_]:
            return _listed("experiment", [experiment.name for experiment in result])
        case [Metric(), *_]:
            return _listed("value", [f"{_short(metric.value)} at step {metric.step}" for metric in result])
        case []:
            return "nothing"
        case None:
            return "done"
        case _:
            return str(result)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _listed(thing: str, names: list[Any], shown: int = 3) -> str:
    more = ", …" if len(names) > shown else ""
    first = f": {', '.join(map(str, names[:shown]))}" if names else ""
    return f"{len(names)} {thing}{'s' * (len(names) != 1)}{first}{more}"
