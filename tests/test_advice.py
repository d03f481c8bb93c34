"""What `check` warns of beyond errors is what MLflow does: beside MLflow's own store, and as properties."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import attrs
import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities import RunStatus
from mlflow.exceptions import MlflowException
from mlflow.utils import mlflow_tags

import mlquery
from mlquery.comparison import page_runs
from mlquery.language.advice import Written, advice
from mlquery.language.keys import SYSTEM_TAGS, KnownKeys
from mlquery.language.matrix import MATRIX
from mlquery.language.parser import parse_filter
from mlquery.language.plan import Entity
from mlquery.language.rules import rules
from mlquery.language.suspicious_values import RUN_STATUSES
from mlquery.lint.documents import document_of
from mlquery.lint.linting import Options, lint
from mlquery.lint.signatures import OF_CLIENT, OF_MODULE, REMOVED, Search
from mlquery.query.search import Check, check_with_keys

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("advice beside mlflow"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
]

STARTED = 1_700_000_000_000


@attrs.frozen
class Stored:
    """MLflow's own client, with an experiment that has one run of everything and one without anything."""

    client: MlflowClient
    experiment_id: str
    full: str
    empty: str

    def finds(self, filter_string: str) -> list[str]:
        runs = self.client.search_runs([self.experiment_id], filter_string, order_by=["start_time"])
        return ["full" if run.info.run_id == self.full else "empty" for run in runs]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    uri = f"sqlite:///{tmp_path_factory.mktemp('advice') / 'mlflow.db'}"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri, uri)
    experiment = client.create_experiment("advice")
    run = client.create_run(experiment, STARTED, {"author": "O'Neil", "mlflow.runName": "first"}).info.run_id
    client.log_param(run, "lr", 0.0001)
    client.log_param(run, "model", "bert-base")
    client.log_metric(run, "accuracy", 0.9)
    client.set_terminated(run, "FINISHED", STARTED + 1000)
    empty = client.create_run(experiment, 1_600_000_000_000).info.run_id
    yield Stored(client, experiment, run, empty)
    mlflow.set_tracking_uri(before)


KEYS = KnownKeys(frozenset({"accuracy"}), frozenset({"lr", "model"}), frozenset({"author"}), frozenset({"lr"}))

LOST = [
    ("MLQ101", "status = 'Finished'", "status = 'FINISHED'"),
    ("MLQ101", "attributes.status LIKE 'Fin%'", "attributes.status LIKE 'FIN%'"),
    ("MLQ102", "tags.author = 'O''Neil'", 'tags.author = "O\'Neil"'),
    ("MLQ102", "tags.author = 'O\\'Neil'", 'tags.author = "O\'Neil"'),
    ("MLQ102", "tags.author LIKE 'O''N%'", 'tags.author LIKE "O\'N%"'),
    ("MLQ103", "metrics.Accuracy > 0.5", "metrics.accuracy > 0.5"),
    ("MLQ103", "tags.mlflow.runname = 'first'", "tags.mlflow.runName = 'first'"),
    (
        "MLQ104",
        "start_time < 1700000001 AND tags.author LIKE 'O%'",
        "start_time < 1700000001000 AND tags.author LIKE 'O%'",
    ),
    ("MLQ104", "start_time > 1600000001000000", "start_time > 1600000001000"),
    ("MLQ106", "params.lr = '1e-4'", "params.lr = '0.0001'"),
    ("MLQ108", "status = 'FINISHED' AND status = 'RUNNING'", "status = 'FINISHED'"),
    ("MLQ108", "metrics.accuracy > 0.8 AND metrics.accuracy < 0.7", "metrics.accuracy > 0.8"),
    ("MLQ109", "params.model LIKE 'bert*'", "params.model LIKE 'bert%'"),
]


def checked(filter_string: str, order_by: Sequence[str] = (), keys: KnownKeys = KEYS) -> Check:
    return check_with_keys(filter_string, order_by, keys, dialect="oss", entity="run")


def said(filter_string: str) -> list[str | None]:
    return [one.rule for one in checked(filter_string).diagnostics if one.severity == "warning"]


@pytest.mark.parametrize(("rule", "written", "right"), LOST)
def test_mlflow_finds_nothing_for_what_is_warned_of_and_the_run_for_what_is_not(
    rule: str, written: str, right: str, stored: Stored
) -> None:
    assert [] == stored.finds(written)
    assert ["full"] == stored.finds(right)
    assert [rule] == said(written)
    assert [] == said(right)


def test_seconds_after_which_every_run_has_started(stored: Stored) -> None:
    assert ["empty", "full"] == stored.finds("start_time > 1650000000")
    assert ["full"] == stored.finds("start_time > 1650000000000")


@pytest.mark.parametrize(
    "filter_string", ["params.model != 'x'", "tags.author != 'x'", "metrics.accuracy != 5", "metrics.accuracy != 0.1"]
)
def test_an_inequality_does_not_find_what_lacks_the_key(filter_string: str, stored: Stored) -> None:
    (note,) = mlquery.check(filter_string).diagnostics

    assert ("MLQ202", "note") == (note.rule, note.severity)
    assert ["full"] == stored.finds(filter_string)


def test_a_quote_in_a_value_breaks_a_filter_or_adds_to_it(stored: Stored) -> None:
    with pytest.raises(MlflowException):
        stored.finds("tags.author = '{}'".format("O'Neil"))
    assert [] == stored.finds("tags.author = '{}'".format("x' AND params.model = 'bert-base"))
    assert ["full"] == stored.finds("params.model != '{}'".format("x' AND tags.author != 'y"))


LOGGED_MODELS = [
    ("MLQ008", "name = 'a', metrics.a > 1"),
    ("MLQ008", "name = 'a' && metrics.a > 1"),
    ("MLQ004", "metrics.a > '1'"),
    ("MLQ004", "nothing.a = 'x'"),
    ("MLQ004", "name > 'a'"),
    ("MLQ004", "name = 'a' OR name = 'b'"),
    (None, "name = 'a' AND metrics.a >= 0.5 AND params.b = '3'"),
    (None, "params.a = tree AND metrics.val-loss > 1_000"),
]


@pytest.mark.parametrize(("code", "filter_string"), LOGGED_MODELS)
def test_filters_of_logged_models_are_refused_where_mlflow_refuses_them(
    code: str | None, filter_string: str, stored: Stored
) -> None:
    program = f"import mlflow\nmlflow.search_logged_models(['0'], {filter_string!r})\n"
    options = Options((MATRIX.dialect("oss:3.17"),))
    found = lint(Path("program.py"), document_of(program, is_notebook=False), options).findings

    assert ([] if code is None else [code]) == [one.rule.code for one in found]
    expectation: Any = nullcontext() if code is None else pytest.raises(MlflowException)
    with expectation:
        stored.client.search_logged_models([stored.experiment_id], filter_string)


def test_clauses_without_and_between_them_are_joined_by_one(stored: Stored) -> None:
    written = "metrics.accuracy > 0.5 params.model = 'bert-base'"

    assert ["MLQ110"] == said(written)
    assert ["full"] == stored.finds(written)
    assert [] == stored.finds(written.replace("bert-base", "x"))


def test_params_are_sorted_as_strings(stored: Stored) -> None:
    experiment = stored.client.create_experiment("sorted")
    for depth in (9, 10):
        run = stored.client.create_run(experiment).info.run_id
        stored.client.log_param(run, "depth", depth)
    found = stored.client.search_runs([experiment], order_by=["params.depth"])
    numeric = KnownKeys(params=frozenset({"depth"}), numeric_params=frozenset({"depth"}))

    assert ["10", "9"] == [run.data.params["depth"] for run in found]
    assert ["MLQ107"] == [one.rule for one in checked("", ["params.depth"], numeric).diagnostics]
    assert ["MLQ204"] == [one.rule for one in mlquery.check("", ["params.depth"]).diagnostics]


def test_the_statuses_and_the_tags_are_mlflows() -> None:
    tags = {value for name, value in vars(mlflow_tags).items() if name.startswith("MLFLOW_") and isinstance(value, str)}

    assert set(RunStatus.all_status()) == {RunStatus.from_string(status) for status in RUN_STATUSES}
    assert len(RUN_STATUSES) == len(RunStatus.all_status())
    assert {"mlflow.rootRunId"} == SYSTEM_TAGS - tags


OF_MLFLOW = [code for code, rule in rules().items() if rule.severity == "error" and rule.dialect == "oss"]


@pytest.mark.parametrize("code", OF_MLFLOW)
def test_mlflow_refuses_the_bad_example_of_an_error_and_takes_the_good_one(code: str, stored: Stored) -> None:
    rule, names = rules()[code], {"mlflow": mlflow, "client": stored.client}

    with pytest.raises((MlflowException, AttributeError)):
        exec(rule.bad, names)
    exec(rule.good, names)


@pytest.mark.parametrize("code", [code for code, rule in rules().items() if rule.severity == "warning"])
def test_mlflow_takes_both_examples_of_a_warning(code: str, stored: Stored) -> None:
    rule, names = rules()[code], {"mlflow": mlflow, "client": stored.client}
    with mlflow.start_run(experiment_id=stored.client.create_experiment(code)):
        for example in (rule.bad, rule.good):
            exec(example.replace("run_id IN ('12', 'ab')", "run_id IN ('12')"), names)


@pytest.mark.parametrize("name", OF_CLIENT)
def test_the_searches_take_what_mlflows_take(name: str, stored: Stored) -> None:
    for searches, owner in ((OF_MODULE, mlflow), (OF_CLIENT, MlflowClient)):
        found = [parameter for parameter in inspect.signature(getattr(owner, name)).parameters if parameter != "self"]
        known = searches[name].parameters
        assert known == tuple(found[: len(known)])
    accepts(stored, name, OF_CLIENT[name])


def accepts(stored: Stored, name: str, search: Search) -> None:
    first = [["1"]] if search.parameters[0] == "experiment_ids" else []
    call = getattr(stored.client, name)
    for number in (search.least, search.most):
        if number is not None:
            call(*first, max_results=number)
    for number in ((search.least or 1) - 1, (search.most or 10**6) + 1):
        is_accepted = (search.most if number > 0 else search.least) is None
        if is_accepted:
            call(*first, max_results=number)
        else:
            with pytest.raises(MlflowException, match="max_results"):
                call(*first, max_results=number)
    getattr(mlflow, name)(*first, max_results=300_000)


def test_the_calls_that_mlflow_removed_are_gone_and_the_others_are_there() -> None:
    for removed, instead in REMOVED.items():
        assert not hasattr(mlflow, removed)
        assert not hasattr(MlflowClient, removed)
        assert hasattr(MlflowClient, instead)


def runs_with(client: mlquery.Client, experiment_id: str, values: list[float]) -> None:
    for value in values:
        run = client.create_run(experiment_id)
        client.log_metric(run.info.run_id, "m", value)


@pytest.fixture(scope="module")
def dense() -> tuple[mlquery.Client, str]:
    """A store with every status, and a metric at every quarter, at NaN and missing."""
    client = mlquery.Client()
    experiment = client.create_experiment("dense")
    for status in RUN_STATUSES:
        run = client.create_run(experiment)
        if status not in ("RUNNING",):
            client.update_run(run.info.run_id, status)
    runs_with(client, experiment, [*(number / 4 for number in range(-8, 9)), float("nan")])
    return client, experiment


CASES = st.sampled_from(
    [str.upper, str.lower, str.title, lambda s: s[:3] + "%", lambda s: f"{s[0]}_{s[2:]}", lambda s: f"{s} "]
)


@given(st.sampled_from(RUN_STATUSES), CASES, st.sampled_from(["=", "LIKE", "ILIKE"]), st.sampled_from(["oss", "azure"]))
def test_a_status_is_warned_of_exactly_if_no_run_can_have_it(
    dense: tuple[mlquery.Client, str], status: str, case: Callable[[str], str], op: str, dialect: str
) -> None:
    written = f"status {op} '{case(status)}'"
    client, experiment = dense
    other = mlquery.Client(client.store, dialect=dialect)

    found = other.search_runs([experiment], written)
    assert ("MLQ101" in [one.rule for one in mlquery.check(written, dialect=dialect).diagnostics]) == (not found)


CLAUSES = st.tuples(st.sampled_from(["=", ">", ">=", "<", "<="]), st.sampled_from(["-1", "-0.5", "0", "0.5", "1"]))


@given(CLAUSES, CLAUSES)
def test_two_clauses_contradict_each_other_exactly_if_no_number_fulfils_both(
    dense: tuple[mlquery.Client, str], one: tuple[str, str], other: tuple[str, str]
) -> None:
    client, experiment = dense
    written = f"metrics.m {' '.join(one)} AND metrics.m {' '.join(other)}"

    found = client.search_runs([experiment], written)
    assert ("MLQ108" in [each.rule for each in mlquery.check(written).diagnostics]) == (not found)


@given(st.one_of(st.integers(), st.floats()))
def test_a_number_as_python_logs_it_is_never_warned_of(number: float) -> None:
    assert () == mlquery.check(f"params.a = '{number}'").diagnostics


@given(st.text(max_size=30))
def test_no_string_is_too_strange_for_advice(text: str) -> None:
    for quote in ("'", '"'):
        for field in ("status", "params.a", "start_time"):
            mlquery.check(f"{field} = {quote}{text}{quote}", [text], dialect="extended")


def test_keys_that_no_run_of_a_store_has_are_named_with_the_closest_one() -> None:
    complete = attrs.evolve(KEYS, is_complete=True)
    (note,) = checked("metrics.acuracy > 0.5", keys=complete).diagnostics

    assert ("MLQ112", "metrics.accuracy") == (note.rule, note.suggestion)
    set_by_mlflow = "metrics.accuracy > 0.5 AND tags.mlflow.source.type = 'LOCAL'"
    assert () == checked(set_by_mlflow, keys=complete).diagnostics


def test_check_knows_the_keys_and_the_numeric_params_of_a_store() -> None:
    client = mlquery.Client()
    run = client.create_run(client.create_experiment("a")).info.run_id
    client.log_param(run, "depth", 3)
    client.log_param(run, "model", "tree")
    client.log_metric(run, "auc", 0.5)
    query = "metrics.AUC > 0 AND params.depth = '03' AND tags.team = 'a'"
    verdict = mlquery.check(query, ["params.depth", "params.model"], store=client.store)

    assert verdict.accepted
    found = [(one.rule, one.source[one.span.start : one.span.stop]) for one in verdict.diagnostics]
    in_filter = [("MLQ103", "metrics.AUC"), ("MLQ106", "'03'"), ("MLQ112", "tags.team")]
    assert [*in_filter, ("MLQ107", "params.depth"), ("MLQ204", "params.model")] == found
    assert "[MLQ103]" in str(mlquery.explain(query, store=client.store))


def test_lists_that_a_release_ignores_are_told_of_there_only() -> None:
    written = "run_id IN ('12', 'ab')"

    assert ["MLQ111"] == [one.rule for one in mlquery.check(written, dialect="oss:3.1").diagnostics]
    assert [] == list(mlquery.check(written).diagnostics)


def test_searches_do_not_warn_of_what_check_warns_of(recwarn: pytest.WarningsRecorder) -> None:
    client = mlquery.Client()
    client.search_runs([client.create_experiment("a")], "status = 'Finished' AND start_time > 1700000000")

    assert [] == list(recwarn)


def test_advice_is_a_pure_function_of_trees() -> None:
    filter_string = "status = 'Finished'"
    query = Written(Entity.RUN, parse_filter(filter_string), filter_string)

    assert ["MLQ101"] == [one.rule for one in advice(query, MATRIX.dialect("oss"), KnownKeys())]


def test_the_page_warns_of_its_own_query_and_not_again_for_every_dialect(dense: tuple[mlquery.Client, str]) -> None:
    answer = page_runs.runs(dense[0].store, "oss", filter="status = 'Finished'")

    (warning,) = answer["warnings"]
    assert ("'FINISHED'", "status = 'FINISHED'") == (warning["instead"], warning["fixed"])
    assert {"azure": [], "azure:documented": [], "extended": []} == answer["dialects"]
