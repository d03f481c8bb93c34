"""Every example of Microsoft's page "Query & compare experiments and runs with MLflow", run as it is printed there.

The code is that of the page (ms.date 2025-11-13), save that the two examples that load a model need its library and
are left out. `mlflow` is `mlquery.fluent` in each of them. What the answer must be follows from the store below.
"""

from __future__ import annotations

import ast
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlquery import Client, QueryError, QueryWarning, Store, StoreError, fluent

HOUR = 3_600_000
START = 1_700_000_000_000
ID, OTHER_ID, THIRD_ID = "1234-5678-90AB-CDEFG", "5678-1234-90AB-CDEFG", "CDEFG-1234-5678-90AB"
RUNS: dict[str, dict[str, Any]] = {  # by name: what the examples look for
    "first": {"status": "FINISHED", "minutes": 5, "user": "John Smith", "params": {"num_boost_round": "100"}},
    "slow": {"status": "FINISHED", "minutes": 120, "user": "ann", "metrics": {"auc": 0.9, "accuracy": 0.7}},
    "broken": {"status": "FAILED", "minutes": 1, "user": "ann", "tags": {"framework": "torch"}},
    "last": {"status": "RUNNING", "minutes": None, "user": "ann", "params": {"num_boost_round": "100"}},
}


def store_of_the_page(third: str = THIRD_ID, mine: str = ID, archived: str = OTHER_ID) -> Store:
    """Return a workspace with the names of the page and, unless others are given, with its experiment ids."""
    store = Store(guid_ids=True)
    store.load_experiment(third, "third", creation_time=START, tags={"framework": "torch"})
    store.load_experiment(mine, "my_experiment", creation_time=START + 1)
    store.load_experiment(archived, "archived", creation_time=START + 2, lifecycle_stage="deleted")
    run_ids = {"first": ID, "last": OTHER_ID}
    for place, (name, about) in enumerate(RUNS.items()):
        store.load_run(
            run_ids.get(name, f"{name}-run"),
            mine,
            run_name=name,
            user_id=about["user"],
            status=about["status"],
            start_time=START + place * HOUR,
            end_time=None if about["minutes"] is None else START + place * HOUR + about["minutes"] * 60_000,
            params=about.get("params"),
            tags={"mlflow.runName": name, **about.get("tags", {})},
            metrics={key: (value, START, 0) for key, value in about.get("metrics", {"accuracy": place / 10}).items()},
        )
    store.load_history(ID, "log_loss", [0.9, 0.5, 0.4], [START, START + 1, START + 2], [0, 1, 2])
    client = Client(store, "azure")
    client.log_text(ID, "a picture", "feature_importance_weight.png")
    client.log_text(ID, "a model", "classifier/MLmodel")
    return store


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the names that the page's examples see; `import mlflow` gives them the fluent functions too."""
    monkeypatch.setitem(sys.modules, "mlflow", fluent)
    monkeypatch.setitem(sys.modules, "mlflow.entities", fluent.entities)
    fluent.use(store_of_the_page(), "azure")
    fluent.set_experiment(experiment_id=ID)
    runs = fluent.search_runs(ID, output_format="list")
    return {"mlflow": fluent, "experiment_name": "my_experiment", "runs": runs, "last_run": runs[0], "__name__": "page"}


def run(example: str, names: dict[str, Any]) -> Any:
    """Execute an example and return the value of its last statement."""
    tree = ast.parse(textwrap.dedent(example).strip())
    *before, last = tree.body
    exec(compile(ast.Module(before, []), "<page>", "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), "<page>", "eval"), names)
    exec(compile(ast.Module([last], []), "<page>", "exec"), names)
    return eval(ast.unparse(last.targets[0]), names) if isinstance(last, ast.Assign) else None


def names_of(found: Any) -> list[str]:
    """Return the names of experiments or runs, from a list or a frame."""
    if isinstance(found, pd.DataFrame):
        return found["tags.mlflow.runName"].tolist() if len(found) else []
    if found is None or not isinstance(found, list):
        found = [found]
    return [each.name if hasattr(each, "name") else each.info.run_name for each in found]


SAME = ""

# title: example, the names it must find, and in which words open-source MLflow's dialect refuses it
EXAMPLES: dict[str, tuple[str, list[str], str]] = {
    "all active experiments": ("mlflow.search_experiments()", ["my_experiment", "third"], SAME),
    "all active experiments, legacy": ("mlflow.list_experiments()", ["my_experiment", "third"], SAME),
    "archived experiments too": (
        """
        from mlflow.entities import ViewType

        mlflow.search_experiments(view_type=ViewType.ALL)
        """,
        ["archived", "my_experiment", "third"],
        SAME,
    ),
    "an experiment by name": ("mlflow.get_experiment_by_name(experiment_name)", ["my_experiment"], SAME),
    "an experiment by id": ("mlflow.get_experiment('1234-5678-90AB-CDEFG')", ["my_experiment"], SAME),
    "experiments by ids": (
        """
        mlflow.search_experiments(filter_string="experiment_id IN ("
            "'CDEFG-1234-5678-90AB', '1234-5678-90AB-CDEFG', '5678-1234-90AB-CDEFG')"
        )
        """,
        ["my_experiment", "third"],
        "experiment ids are integers",
    ),
    "experiments created after a time": (
        """
        import datetime

        dt = datetime.datetime(2022, 6, 20, 5, 32, 48)
        mlflow.search_experiments(filter_string=f"creation_time > {int(dt.timestamp())}")
        """,
        ["my_experiment", "third"],
        SAME,
    ),
    "experiments with a tag": (
        """mlflow.search_experiments(filter_string=f"tags.framework = 'torch'")""",
        ["third"],
        SAME,
    ),
    "runs by experiment name": (
        """mlflow.search_runs(experiment_names=[ "my_experiment" ])""",
        ["first", "slow", "broken", "last"],
        SAME,
    ),
    "runs by experiment id": (
        """mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ])""",
        ["first", "slow", "broken", "last"],
        SAME,
    ),
    "runs of all experiments": (
        """mlflow.search_runs(filter_string="params.num_boost_round='100'", search_all_experiments=True)""",
        ["first", "last"],
        SAME,
    ),
    "runs in the order of an attribute": (
        """
        mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ],
                           order_by=["attributes.start_time DESC"])
        """,
        ["last", "broken", "slow", "first"],
        SAME,
    ),
    "the last run": (
        """
        mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ],
                           max_results=1, order_by=["attributes.start_time DESC"])
        """,
        ["last"],
        SAME,
    ),
    "runs by duration": (
        """
        mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ],
                           order_by=["attributes.duration DESC"])
        """,
        ["slow", "first", "broken", "last"],
        "duration",
    ),
    "runs sorted by a metric in pandas": (
        """
        mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ]).sort_values("metrics.accuracy", ascending=False)
        """,
        ["slow", "last", "broken", "first"],
        SAME,
    ),
    "runs by a parameter": (
        """
        mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ],
                           filter_string="params.num_boost_round='100'")
        """,
        ["first", "last"],
        SAME,
    ),
    "runs by a metric": (
        """
        mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ],
                           filter_string="metrics.auc>0.8")
        """,
        ["slow"],
        SAME,
    ),
    "runs by a tag": (
        """
        mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ],
                           filter_string="tags.framework='torch'")
        """,
        ["broken"],
        SAME,
    ),
    "runs of a user": (
        """
        mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ],
                           filter_string="attributes.user_id = 'John Smith'")
        """,
        ["first"],
        SAME,
    ),
    "runs that failed": (
        """
        mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ],
                           filter_string="attributes.status = 'Failed'")
        """,
        ["broken"],
        SAME,
    ),
    "runs created after a time": (
        """
        import datetime

        dt = datetime.datetime(2022, 6, 20, 5, 32, 48)
        mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ],
                           filter_string=f"attributes.creation_time > '{int(dt.timestamp())}'")
        """,
        ["first", "slow", "broken", "last"],
        "creation_time",
    ),
    "runs that take long": (
        """
        duration = 360 * 1000 # duration is in milliseconds
        mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ],
                           filter_string=f"attributes.duration > '{duration}'")
        """,
        ["slow"],
        "duration",
    ),
    "runs by ids": (
        """
        mlflow.search_runs(experiment_ids=[ "1234-5678-90AB-CDEFG" ],
                           filter_string="attributes.run_id IN ('1234-5678-90AB-CDEFG', '5678-1234-90AB-CDEFG')")
        """,
        ["first", "last"],
        SAME,
    ),
    "runs as objects": (
        """
        runs = mlflow.search_runs(
            experiment_ids=[ "1234-5678-90AB-CDEFG" ],
            filter_string="params.num_boost_round='100'",
            output_format="list",
        )
        """,
        ["first", "last"],
        SAME,
    ),
}


@pytest.mark.parametrize("title", EXAMPLES)
@pytest.mark.parametrize("dialect", ["azure", "azure:documented"])
@pytest.mark.filterwarnings("ignore::mlquery.QueryWarning")
def test_an_example_of_the_page_finds_what_it_is_about(title: str, dialect: str, names: dict[str, Any]) -> None:
    example, expected, _ = EXAMPLES[title]
    fluent.use(store_of_the_page(), dialect)

    assert expected == names_of(run(example, names))


def in_open_source(example: str) -> str:
    """Return the example with an experiment id as open-source MLflow has them: in an argument, not in a filter."""
    return example.replace(f'experiment_ids=[ "{ID}" ]', 'experiment_ids=[ "2" ]').replace(f"('{ID}')", "('2')")


@pytest.mark.parametrize("title", EXAMPLES)
def test_open_source_mlflow_finds_the_same_or_refuses_what_only_azure_knows(title: str, names: dict[str, Any]) -> None:
    example, expected, refused = EXAMPLES[title]
    fluent.use(store_of_the_page("1", "2", "3"), "oss")
    if title == "runs that failed":
        expected = []  # statuses are compared as they are written, and results are in upper case

    if refused:
        with pytest.raises(QueryError, match=refused):
            run(in_open_source(example), names)
    else:
        assert sorted(expected) == sorted(names_of(run(in_open_source(example), names)))


@pytest.mark.parametrize("title", ["experiments created after a time", "runs created after a time"])
def test_the_examples_that_compare_seconds_with_milliseconds_warn(title: str, names: dict[str, Any]) -> None:
    with pytest.warns(QueryWarning, match="seconds"):
        run(EXAMPLES[title][0], names)


def test_the_other_examples_run_without_a_warning(names: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for title, (example, _, _) in EXAMPLES.items():
            if "created after" not in title:
                run(example, names)


def test_the_details_of_the_last_run_can_be_read(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    run('last_run = runs[-1]\nprint("Last run ID:", last_run.info.run_id)', names)

    assert f"Last run ID: {OTHER_ID}\n" == capsys.readouterr().out
    assert {"num_boost_round": "100"} == run("last_run.data.params", names)
    assert pytest.approx({"accuracy": 0.3}) == run("last_run.data.metrics", names)


def test_the_history_of_a_metric_can_be_read(names: dict[str, Any]) -> None:
    example = """
        client = mlflow.tracking.MlflowClient()
        client.get_metric_history("1234-5678-90AB-CDEFG", "log_loss")
        """

    assert [(0, 0.9), (1, 0.5), (2, 0.4)] == [(point.step, point.value) for point in run(example, names)]


def test_the_artifacts_of_a_run_can_be_listed(names: dict[str, Any]) -> None:
    example = """
        client = mlflow.tracking.MlflowClient()
        client.list_artifacts("1234-5678-90AB-CDEFG")
        """

    assert ["classifier", "feature_importance_weight.png"] == [info.path for info in run(example, names)]


def test_an_artifact_can_be_downloaded(names: dict[str, Any]) -> None:
    example = """
        file_path = mlflow.artifacts.download_artifacts(
            run_id="1234-5678-90AB-CDEFG", artifact_path="feature_importance_weight.png"
        )
        """

    assert "a picture" == Path(run(example, names)).read_text(encoding="utf-8")


def test_the_folder_of_a_model_can_be_downloaded(names: dict[str, Any]) -> None:
    example = """
        artifact_path="classifier"
        model_local_path = mlflow.artifacts.download_artifacts(
          run_id="1234-5678-90AB-CDEFG", artifact_path=artifact_path
        )
        """

    assert "a model" == (Path(run(example, names)) / "MLmodel").read_text(encoding="utf-8")


def test_the_children_of_the_last_active_run_are_found(names: dict[str, Any]) -> None:
    with fluent.start_run(run_name="parent"):
        for number in range(3):
            with fluent.start_run(run_name=f"child {number}", nested=True):
                fluent.log_metric("m", number)
    example = """
        hyperopt_run = mlflow.last_active_run()
        child_runs = mlflow.search_runs(
            filter_string=f"tags.mlflow.parentRunId='{hyperopt_run.info.run_id}'"
        )
        """

    children = run(example, names)

    assert ["child 0", "child 1", "child 2"] == sorted(names_of(children))


REFUSED: dict[str, Callable[[], object]] = {
    "order by metrics": lambda: fluent.search_runs(ID, order_by=["metrics.accuracy DESC"]),
    "order by params": lambda: fluent.search_runs(ID, order_by=["params.num_boost_round"]),
    "order by tags": lambda: fluent.search_runs(ID, order_by=["tags.framework"]),
    "metrics with special characters": lambda: fluent.search_runs(ID, "metrics.`a b` > 1"),
    "other operators on params": lambda: fluent.search_runs(ID, "params.num_boost_round > '1'"),
    "!= on tags": lambda: fluent.search_runs(ID, "tags.framework != 'torch'"),
    "OR": lambda: fluent.search_runs(ID, "metrics.auc > 1 OR metrics.auc < 0"),
    "rename": lambda: fluent.MlflowClient().rename_experiment(ID, "other"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_page_says_azure_does_not_support_is_refused(what: str, names: dict[str, Any]) -> None:
    with pytest.raises((QueryError, StoreError)) as refused:
        REFUSED[what]()

    assert isinstance(refused.value, QueryError | StoreError)
    assert "INVALID_PARAMETER_VALUE" == refused.value.error_code
