"""Runs the same calls on our store and on the store of MLflow and compares what they answer."""

from __future__ import annotations

import logging
import math
import random
import re
from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from mlquery.entities import Dataset, DatasetInput, ExperimentTag, InputTag, Metric, Param, RunTag
from mlquery.errors import StoreError
from mlquery.store import Store
from tests.support.installed_mlflow import INSTALLED_LIMITS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("store beside mlflow"),  # one database serves all tests of this file
]

ROOT = "s3://bucket/root"


@attrs.frozen
class RunNo:
    """The n-th run that was created, whatever its id is."""

    number: int


class Pair:
    """Our store and MLflow's, side by side."""

    def __init__(self, folder: Path) -> None:
        self.time = 1_000
        self.fresh = 0
        # MLflow writes the SQL of every refused call to its log.
        logging.getLogger("mlflow.store").setLevel(logging.CRITICAL + 1)
        with self._their_clock():
            self.theirs = SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", ROOT)
        self.ours = Store(clock=lambda: self.time, artifact_root=ROOT)
        self.run_ids: list[tuple[str, str]] = []

    def call(self, name: str, *args: Any) -> tuple[Any, Any]:
        """Call both stores and return both answers, MLflow's first."""
        self.time += 1
        with self._their_clock():
            expected = self._answer(self.theirs, 0, name, args)
        return expected, self._answer(self.ours, 1, name, args)

    def _their_clock(self) -> Any:
        return mock.patch("mlflow.store.tracking.sqlalchemy_store.get_current_time_millis", return_value=self.time)

    def create_run(self, *args: Any) -> tuple[Any, Any]:
        """Create a run in both stores, to be named by its number from then on."""
        found: list[str] = []

        def remember(store: Any, side: int) -> Any:
            run = store.create_run(*args)
            found.append(run.info.run_id)
            return run

        answers = (self._outcome(lambda: remember(self.theirs, 0)), self._outcome(lambda: remember(self.ours, 1)))
        if len(found) == 2:
            self.run_ids.append((found[0], found[1]))
        return self._plain(answers[0], 0), self._plain(answers[1], 1)

    def pages(self, run: RunNo, key: str, size: int, expected_token: Any, token: Any) -> tuple[Any, Any]:
        """Return one page of a history from each store."""
        theirs, ours = self.run_ids[run.number]
        expected = self.theirs.get_metric_history(theirs, key, size, expected_token)
        return expected, self.ours.get_metric_history(ours, key, size, token)

    def _answer(self, store: Any, side: int, name: str, args: tuple[Any, ...]) -> Any:
        given = [self._run_id(arg, side) for arg in args]
        call = getattr(store, name)
        if side and "limits" in signature(call).parameters:
            call = partial(call, limits=INSTALLED_LIMITS)
        return self._plain(self._outcome(lambda: call(*given)), side)

    def _run_id(self, arg: Any, side: int) -> Any:
        return self.run_ids[arg.number][side] if isinstance(arg, RunNo) else arg

    def _outcome(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (MlflowException, StoreError) as error:
            # What follows is the database's own wording.
            message = re.split(r" Error: |\(sqlite3|\(raised as", str(error.message))[0]
            return (error.error_code, message if error.error_code != "BAD_REQUEST" else "")
        except TypeError as error:
            return ("TypeError", str(error))

    def _plain(self, value: Any, side: int) -> Any:
        """Return a value with runs named by number, texts and containers plain, and NaN equal to itself."""
        match value:
            case str():
                for number, ids in enumerate(self.run_ids):
                    value = value.replace(ids[side], f"run {number}")
                return re.sub(r"\b[a-z]+-[a-z]+-\d+\b", "a made-up name", value)
            case float() if math.isnan(value):
                return "NaN"
            case dict():
                return {key: self._plain(part, side) for key, part in value.items()}
            case list() | tuple():
                return [self._plain(part, side) for part in value]
            case _ if hasattr(value, "_properties"):
                return {name: self._plain(getattr(value, name), side) for name in type(value)._properties()}
        return value


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture
def run(pair: Pair) -> RunNo:
    """Return a fresh run in both stores, with a param, two tags and a metric."""
    pair.create_run("0", "ann", 5, [RunTag("old", "tag")], "named")
    run = RunNo(len(pair.run_ids) - 1)
    pair.call("log_batch", run, [metric()], [Param("old", "param")], [RunTag("b", "c")])
    return run


@pytest.fixture
def experiment(pair: Pair) -> str:
    """Return the id of a fresh experiment in both stores."""
    pair.fresh += 1
    expected, experiment_id = pair.call("create_experiment", f"fresh {pair.fresh}", None, [ExperimentTag("old", "tag")])
    assert expected == experiment_id
    return str(experiment_id)


def metric(key: Any = "m", value: Any = 1.0, timestamp: Any = 10, step: Any = 1) -> Metric:
    return Metric(key, value, timestamp, step)


def assert_same(answers: tuple[Any, Any]) -> None:
    expected, answer = answers
    assert expected == answer


NAMES = (
    "",
    ".",
    "..",
    "/a",
    "a/",
    "a//b",
    "../a",
    "a/../b",
    "a@",
    "a\n",
    "a\n\n",
    " a ",
    "é/ß",
    "a:b",
    None,
    "k" * 250,
    "k" * 251,
)
BAD_KEYS = ("a@", "a//b", "", None, "k" * 251, "\ud800")


@pytest.mark.parametrize("key", NAMES)
@pytest.mark.parametrize("kind", ["metric", "param", "tag", "batch metric", "batch param", "batch tag"])
def test_keys_are_taken_or_refused_as_by_mlflow(pair: Pair, run: RunNo, kind: str, key: Any) -> None:
    calls: dict[str, tuple[Any, ...]] = {
        "metric": ("log_metric", run, metric(key)),
        "param": ("log_param", run, Param(key, "v")),
        "tag": ("set_tag", run, RunTag(key, "v")),
        "batch metric": ("log_batch", run, [metric(), metric(key)], [], []),
        "batch param": ("log_batch", run, [], [Param("x", "y"), Param(key, "v")], []),
        "batch tag": ("log_batch", run, [], [], [RunTag("x", "y"), RunTag(key, "v")]),
    }

    assert_same(pair.call(*calls[kind]))
    assert_same(pair.call("get_run", run))


@pytest.mark.parametrize(
    "bad",
    [
        {"value": True},
        {"value": "1"},
        {"value": None},
        {"value": [1]},
        {"timestamp": -1},
        {"timestamp": None},
        {"timestamp": "1"},
        {"timestamp": 2**63},
        {"step": None},
        {"step": "1"},
        {"step": 2**63},
        {"step": -(2**63) - 1},
        {"value": None, "key": "a@"},
        {"value": None, "key": "k" * 251},
        {"step": None, "key": "k" * 251},
        {"value": 3},
        {"value": np.float32(0.1)},
        {"value": np.float64(0.1)},
        {"value": 2**40},
        {"value": -0.0},
        {"value": math.inf},
        {"value": -math.inf},
        {"value": math.nan},
        {"step": -5},
        {"step": 2.0},
        {"timestamp": 2.0},
        {"timestamp": 0},
        {"step": 2**63 - 1, "timestamp": 2**63 - 1},
    ],
)
def test_points_are_taken_or_refused_as_by_mlflow(pair: Pair, run: RunNo, bad: dict[str, Any]) -> None:
    point = metric(**{"key": "checked"} | bad)

    assert_same(pair.call("log_metric", run, point))
    assert_same(pair.call("log_batch", run, [metric("fine"), point], [], []))
    assert_same(pair.call("get_run", run))
    assert_same(pair.call("get_metric_history", run, "checked"))


@pytest.mark.parametrize("length", [6000, 6001, 8000, 8001])
def test_long_values_are_cut_as_by_mlflow(pair: Pair, run: RunNo, length: int) -> None:
    assert_same(pair.call("log_param", run, Param("long", "x" * length)))
    assert_same(pair.call("log_param", run, Param("long", "x" * 6500)))
    assert_same(pair.call("set_tag", run, RunTag("long", "y" * length)))
    assert_same(pair.call("log_batch", run, [], [Param("more", "z" * length)], [RunTag("more", "z" * length)]))
    assert_same(pair.call("get_run", run))


@pytest.mark.parametrize("length", [6000, 6001, 8000, 8001])
def test_long_values_are_refused_as_by_mlflow_if_it_may_not_cut(
    pair: Pair, run: RunNo, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")

    assert_same(pair.call("log_param", run, Param("long", "x" * length)))
    assert_same(pair.call("set_tag", run, RunTag("long", "y" * length)))
    assert_same(pair.call("log_batch", run, [], [], [RunTag("a", "b"), RunTag("more", "z" * length)]))


@pytest.mark.parametrize("value", ["", "a\0b", "line\nbreak", "ß", "\ud800", "😀"])
def test_texts_are_kept_as_by_mlflow(pair: Pair, run: RunNo, value: str) -> None:
    assert_same(pair.call("log_param", run, Param("text", value)))
    assert_same(pair.call("set_tag", run, RunTag("text", value)))
    assert_same(pair.call("get_run", run))


@pytest.mark.parametrize(
    "counts",
    [
        (1000, 0, 0),
        (1001, 0, 0),
        (0, 100, 0),
        (0, 101, 0),
        (0, 0, 100),
        (0, 0, 101),
        (900, 100, 0),
        (900, 100, 1),
        (1001, 101, 101),
    ],
)
def test_batches_are_limited_as_by_mlflow(pair: Pair, run: RunNo, counts: tuple[int, int, int]) -> None:
    metrics = [metric("counted", float(i), i, i) for i in range(counts[0])]
    params = [Param(f"p{i}", "v") for i in range(counts[1])]
    tags = [RunTag(f"t{i}", "v") for i in range(counts[2])]

    assert_same(pair.call("log_batch", run, metrics, params, tags))
    assert_same(pair.call("get_run", run))


@pytest.mark.parametrize(
    ("params", "tags"),
    [
        ([Param("a", "1"), Param("a", "1")], []),
        ([Param("a", "1"), Param("b", "1"), Param("a", "2"), Param("a", "3")], []),
        ([Param("old", "param"), Param("new", "1")], []),
        ([Param("old", "other"), Param("new", "1")], [RunTag("x", "y")]),
        ([], [RunTag("a", "1"), RunTag("a", "2")]),
        ([], [RunTag("mlflow.runName", "x"), RunTag("mlflow.runName", "y"), RunTag("mlflow.runName", "")]),
    ],
)
def test_repeated_and_changed_keys_in_a_batch_do_what_they_do_in_mlflow(
    pair: Pair, run: RunNo, params: list[Param], tags: list[RunTag]
) -> None:
    assert_same(pair.call("log_batch", run, [metric("in batch")], params, tags))
    assert_same(pair.call("get_run", run))


def test_params_cannot_be_changed_in_the_words_of_mlflow(pair: Pair, run: RunNo) -> None:
    assert_same(pair.call("log_param", run, Param("old", "param")))
    assert_same(pair.call("log_param", run, Param("old", "other")))


def test_tags_and_names_change_as_in_mlflow(pair: Pair, run: RunNo) -> None:
    for call in (
        ("set_tag", run, RunTag("old", "new")),
        ("set_tag", run, RunTag("mlflow.runName", "renamed")),
        ("set_tag", run, RunTag("mlflow.runName", "")),
        ("get_run", run),
        ("delete_tag", run, "mlflow.runName"),
        ("delete_tag", run, "old"),
        ("delete_tag", run, "old"),
        ("delete_tag", run, "never"),
        ("get_run", run),
        ("update_run_info", run, None, None, "again"),
        ("get_run", run),
    ):
        assert_same(pair.call(*call))


@pytest.mark.parametrize(
    "change",
    [
        (3, 99, "new"),
        (None, None, None),
        (None, 0, ""),
        (5, None, None),
        (9, 7, "no"),
        ("FINISHED", None, None),
    ],
)
def test_runs_are_updated_as_in_mlflow(pair: Pair, run: RunNo, change: tuple[Any, ...]) -> None:
    assert_same(pair.call("update_run_info", run, *change))
    assert_same(pair.call("get_run", run))


@pytest.mark.parametrize(
    "arguments",
    [
        ("0", "ann", 5, [], None),
        ("0", "ann", 5, None, ""),
        ("0", "ann", 0, [], "named"),
        (0, "ann", 5, [], "named"),
        ("0", "ann", 5, [RunTag("mlflow.runName", "a")], "a"),
        ("0", "ann", 5, [RunTag("mlflow.runName", "a")], "b"),
        ("0", "ann", 5, [RunTag("mlflow.runName", "a")], None),
        ("0", "ann", 5, [RunTag("mlflow.runName", "")], None),
        ("0", "ann", 5, [RunTag("mlflow.runName", "")], "b"),
        ("0", "ann", 5, [RunTag("@@", "not checked"), RunTag("x", "y" * 9000)], "named"),
        ("0", "ann", 5, [RunTag("x", "1"), RunTag("x", "2")], "named"),
        ("0", None, 5, [], "named"),
        ("0", "ann", None, [], "named"),
        ("777777", "ann", 5, [], "named"),
        ("abc", "ann", 5, [RunTag("mlflow.runName", "a")], "b"),
    ],
)
def test_runs_are_created_or_refused_as_in_mlflow(pair: Pair, arguments: tuple[Any, ...]) -> None:
    assert_same(pair.create_run(*arguments))


@pytest.mark.parametrize("run_id", ["nope", "not an id", "", "x" * 300])
@pytest.mark.parametrize(
    "call",
    [
        ("get_run",),
        ("delete_run",),
        ("restore_run",),
        ("update_run_info", 3, 4, None),
        ("log_metric", Metric("m", 1.0, 1, 1)),
        ("log_metric", Metric("@", 1.0, 1, 1)),
        ("log_param", Param("a", "b")),
        ("log_param", Param("@", "b")),
        ("set_tag", RunTag("a", "b")),
        ("set_tag", RunTag("@", "b")),
        ("delete_tag", "a"),
        ("log_batch", [], [], []),
        ("log_batch", [], [Param("@", "b")], []),
        ("log_inputs", []),
        ("get_metric_history", "m"),
    ],
)
def test_calls_about_missing_runs_answer_as_in_mlflow(pair: Pair, call: tuple[Any, ...], run_id: str) -> None:
    assert_same(pair.call(call[0], run_id, *call[1:]))


def test_deleted_runs_are_guarded_as_in_mlflow(pair: Pair, run: RunNo) -> None:
    pair.call("delete_run", run)

    calls: tuple[tuple[Any, ...], ...] = (
        ("get_run", run),
        ("delete_run", run),
        ("update_run_info", run, 3, 4, None),
        ("log_metric", run, metric()),
        ("log_param", run, Param("a", "b")),
        ("set_tag", run, RunTag("a", "b")),
        ("set_tag", run, RunTag("@", "b")),
        ("delete_tag", run, "never"),
        ("log_batch", run, [], [], []),
        ("log_inputs", run, []),
        ("get_metric_history", run, "m"),
        ("restore_run", run),
        ("restore_run", run),
        ("get_run", run),
    )
    for call in calls:
        assert_same(pair.call(*call))


@pytest.mark.parametrize(
    "arguments",
    [
        ("",),
        (None,),
        (5,),
        ("n" * 501,),
        ("Default",),
        ("with place", "s3://elsewhere/x/"),
        ("with query", "s3://elsewhere/x?a=b#c"),
        ("with bucket only", "s3://elsewhere"),
        ("with scheme only", "dbfs:/"),
        ("with long place", "s3://" + "x" * 3000),
        ("with tags", None, [ExperimentTag("a", "b"), ExperimentTag("c", "")]),
        ("with bad tag", None, [ExperimentTag("@", "b")]),
        ("with nameless tag", None, [ExperimentTag(None, "b")]),  # type: ignore[arg-type]
        ("with tag twice", None, [ExperimentTag("a", "b"), ExperimentTag("a", "c")]),
        ("with long key", None, [ExperimentTag("k" * 251, "b")]),
        ("with long tag", None, [ExperimentTag("a", "b" * 20_001)]),
        ("with long enough tag", None, [ExperimentTag("a", "b" * 20_000)]),
    ],
)
def test_experiments_are_created_or_refused_as_in_mlflow(pair: Pair, arguments: tuple[Any, ...]) -> None:
    expected, answer = pair.call("create_experiment", *arguments)
    assert expected == answer

    assert_same(pair.call("get_experiment_by_name", arguments[0]))
    if isinstance(answer, str):
        assert_same(pair.create_run(answer, "ann", 5, [], "named"))


LOCATIONS = (
    *(
        "my_loc",
        "./x",
        "../up",
        "a//b/",
        "x/../y",
        ".",
        "~",
        "~/x",
        " spaced",
        "with%20escape",
        "x?y=1#z",
        "é",
        "1:2",
        "a_b:c",
    ),
    *(
        "file:x",
        "file:./x",
        "file:x?y=1#z",
        "file:",
        "file:a%20b",
        "file:./x/../y/",
        "file://./x",
        "file://localhost/x",
    ),
    *("/abs", "/abs//x/", "//double", "file:/abs", "file:///abs/x", "file://127.0.0.1/x", "file://host/x", "FILE:x"),
    *("s3://bucket/x", "mlflow-artifacts:/x", "mlquery-artifacts:shelf", "C:x", "s3:x", "databricks", "databricks/x"),
    "x" * 2_040,
)


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_relative_artifact_location_is_resolved_against_the_working_directory(
    pair: Pair, location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"located at {location[:50]}"

    expected, answer = pair.call("create_experiment", name, location)
    assert expected == answer
    if not isinstance(answer, str):
        return
    runs = pair.create_run(answer, "ann", 5, [], "named")

    assert pair.theirs.get_experiment(answer).artifact_location == pair.ours.get_experiment(answer).artifact_location
    assert runs[0]["info"]["artifact_uri"] == runs[1]["info"]["artifact_uri"]


@pytest.mark.parametrize("experiment_id", ["0", "", None, 0, " 0 ", "00", "777777", "-1", "abc", "1.5", [1]])
@pytest.mark.parametrize("call", [("get_experiment",), ("rename_experiment", "Default"), ("restore_experiment",)])
def test_experiment_ids_are_read_as_in_mlflow(pair: Pair, call: tuple[Any, ...], experiment_id: Any) -> None:
    assert_same(pair.call(call[0], experiment_id, *call[1:]))


def test_experiments_live_as_in_mlflow(pair: Pair, experiment: str) -> None:
    pair.create_run(experiment, "ann", 5, [], "kept")
    pair.create_run(experiment, "ann", 6, [], "deleted before")
    kept, deleted = RunNo(len(pair.run_ids) - 2), RunNo(len(pair.run_ids) - 1)

    for call in (
        ("delete_run", deleted),
        ("rename_experiment", experiment, "Default"),
        ("rename_experiment", experiment, ""),
        ("rename_experiment", experiment, f"renamed {experiment}"),
        ("get_experiment", experiment),
        ("set_experiment_tag", experiment, ExperimentTag("new", "tag")),
        ("set_experiment_tag", experiment, ExperimentTag("@", "tag")),
        ("set_experiment_tag", experiment, ExperimentTag("new", "x" * 20_001)),
        ("delete_experiment_tag", experiment, "old"),
        ("delete_experiment_tag", experiment, "old"),
        ("get_experiment", experiment),
        ("delete_experiment", experiment),
        ("get_experiment", experiment),
        ("delete_experiment", experiment),
        ("rename_experiment", experiment, "x"),
        ("set_experiment_tag", experiment, ExperimentTag("a", "b")),
        ("delete_experiment_tag", experiment, "new"),
        ("get_run", kept),
        ("log_metric", kept, metric()),
        ("restore_run", kept),
        ("log_metric", kept, metric()),
        ("create_experiment", f"renamed {experiment}"),
        ("restore_experiment", experiment),
        ("restore_experiment", experiment),
        ("get_experiment", experiment),
        ("get_run", kept),
        ("get_run", deleted),
    ):
        assert_same(pair.call(*call))

    pair.call("delete_experiment", experiment)
    assert_same(pair.create_run(experiment, "ann", 5, [], None))


TIES = [(float(v) if v != "nan" else math.nan, t, s) for v in (0, 1, -1, "nan") for t in (1, 2) for s in (0, 1)]


@pytest.mark.parametrize("seed", range(6))
def test_latest_values_and_histories_are_those_of_mlflow(pair: Pair, run: RunNo, seed: int) -> None:
    draw = random.Random(seed)
    specials = [(v, 1, 1) for v in (math.inf, -math.inf, 1.7976931348623157e308, -0.0)]

    for _ in range(6):
        for value, timestamp, step in draw.choices(TIES + specials, k=3):
            assert_same(pair.call("log_metric", run, metric("ties", value, timestamp, step)))
        some = [metric("ties", *point) for point in draw.choices(TIES + specials, k=5)]
        assert_same(pair.call("log_batch", run, some, [], []))

        assert_same(pair.call("get_run", run))
        assert_same(pair.call("get_metric_history", run, "ties"))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_histories_come_in_the_pages_of_mlflow(pair: Pair, run: RunNo, size: int) -> None:
    pair.call("log_batch", run, [metric("paged", float(i), i, i) for i in range(7)], [], [])
    expected_token, token = None, None

    for _ in range(4):
        expected, page = pair.pages(run, "paged", size, expected_token, token)
        expected_token, token = expected.token and expected.token.decode(), page.token

        assert [m.value for m in expected] == [m.value for m in page]
        assert expected_token == token


@pytest.mark.parametrize(
    "token", ["zzz", "AAAA", "e30=", "eyJvZmZzZXQiOiAiYSJ9", "eyJvZmZzZXQiOiAxMDB9", "", "eyJvZmZzZXQiOiBudWxsfQ=="]
)
def test_page_tokens_of_histories_are_read_as_in_mlflow(pair: Pair, run: RunNo, token: str) -> None:
    assert_same(pair.call("get_metric_history", run, "m", 2, token))


def dataset_input(name: Any = "d", digest: Any = "1", tags: Any = (), **more: Any) -> DatasetInput:
    return DatasetInput(Dataset(name, digest, "local", "file", **more), [InputTag(k, v) for k, v in tags])


@pytest.mark.parametrize(
    "inputs",
    [
        [dataset_input(None)],
        [dataset_input(digest=None)],
        [dataset_input("n" * 501)],
        [dataset_input(digest="n" * 37)],
        [dataset_input(schema="n" * 1_048_576)],
        [dataset_input(tags=[("k" * 256, "v")])],
        [dataset_input(tags=[("k", "v" * 501)])],
        [dataset_input(tags=[(None, "v")])],
        [dataset_input(tags=[("k", None)])],
        [dataset_input(), dataset_input(tags=[("a", "1"), ("a", "2")])],
        [dataset_input("t", tags=[("a", "1"), ("a", "2")])],
        [DatasetInput(None, [])],  # type: ignore[arg-type]
        (),
        None,
        [],
    ],
)
def test_dataset_inputs_are_taken_or_refused_as_in_mlflow(pair: Pair, run: RunNo, inputs: Any) -> None:
    assert_same(pair.call("log_inputs", run, inputs))
    assert_same(pair.call("get_run", run))


def test_datasets_are_known_by_name_and_digest_as_in_mlflow(pair: Pair, experiment: str) -> None:
    for name in ("one", "two"):
        pair.create_run(experiment, "ann", 5, [], name)
    first, second = RunNo(len(pair.run_ids) - 2), RunNo(len(pair.run_ids) - 1)

    for call in (
        ("log_inputs", first, [dataset_input(tags=[("a", "1"), ("b", "2")]), dataset_input(tags=[("a", "9")])]),
        ("log_inputs", first, [dataset_input(schema="s", tags=[("c", "3")]), dataset_input("e")]),
        ("log_inputs", second, [dataset_input(profile="p", tags=[("z", "9")]), dataset_input(digest="2")]),
        ("get_run", first),
        ("get_run", second),
    ):
        assert_same(pair.call(*call))


@pytest.mark.parametrize("seed", range(5))
def test_random_calls_answer_as_in_mlflow(pair: Pair, experiment: str, seed: int) -> None:
    draw = random.Random(seed)
    runs: list[Any] = ["nope"]

    for _ in range(70):
        if draw.random() < 0.15 or len(runs) == 1:
            tags = [RunTag(draw.choice("xyz"), draw.choice("12")) for _ in range(draw.randrange(3))]
            expected, answer = pair.create_run(experiment, "ann", draw.randrange(4), tags, draw.choice(["n", None]))
            assert expected == answer
            if isinstance(answer, dict):
                runs.append(RunNo(len(pair.run_ids) - 1))
        else:
            assert_same(pair.call(*random_call(draw, experiment, draw.choice(runs))))
    for run in runs:
        assert_same(pair.call("get_run", run))
        for key in "mn":
            assert_same(pair.call("get_metric_history", run, key))
    assert_same(pair.call("get_experiment", experiment))


def random_call(draw: random.Random, experiment: str, run: Any) -> tuple[Any, ...]:
    def point() -> Metric:
        value = draw.choice([0.0, 1.0, -1.0, math.nan, math.inf, draw.random()])
        return metric(
            draw.choice(["m", "n", "n", "@"] if draw.random() < 0.1 else "mn"), value, *draw.choices((0, 1, 2), k=2)
        )

    def param() -> Param:
        return Param(draw.choice("abcdefgh"), draw.choice("1112"))

    def tag() -> RunTag:
        return RunTag(draw.choice(["x", "y", "z", "mlflow.runName"]), draw.choice(["1", "2", ""]))

    batch = ([point() for _ in range(3)], [param() for _ in range(2)], [tag() for _ in range(2)])
    calls = [
        *[("log_metric", run, point())] * 4,
        *[("log_batch", run, *batch)] * 4,
        *[("log_param", run, param())] * 2,
        *[("set_tag", run, tag())] * 2,
        ("delete_tag", run, draw.choice("xyz")),
        ("update_run_info", run, draw.choice([None, 3, 4]), draw.choice([None, 8, 9]), draw.choice([None, "", "r"])),
        ("log_inputs", run, [dataset_input(draw.choice("de"), tags=[("t", draw.choice("12"))])]),
        ("get_run", run),
        ("delete_run", run),
        *[("restore_run", run)] * 2,
        ("set_experiment_tag", experiment, ExperimentTag(draw.choice("ab"), draw.choice("12"))),
        ("delete_experiment_tag", experiment, draw.choice("ab")),
        ("delete_experiment", experiment),
        *[("restore_experiment", experiment)] * 2,
    ]
    return draw.choice(calls)
