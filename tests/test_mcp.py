"""`mlquery mcp` through the client of the official package: what its tools answer, how much, and that they read."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client, StdioServerParameters, stdio_client

import mlquery
from mlquery.backend import Backend
from mlquery.cli.sources import without_password
from mlquery.comparison import compare
from mlquery.errors import QueryError, StoreError
from mlquery.language.matrix import MATRIX
from mlquery.mcp_server.answers import LARGEST, MAX_BYTES, SMALLEST, Answer, series
from mlquery.mcp_server.server import new_server
from mlquery.mcp_server.sources import Sources
from mlquery.mcp_server.tools import Tools
from mlquery.resources import example_database
from mlquery.server.testing import running_server
from tests.support import random_queries, random_syntax, sql_stores

STORE = sql_stores.new_store(4, 30)
pytestmark = pytest.mark.xdist_group("mcp")  # which share a server

TOOLS = ["aggregate", "check", "compare", "describe", "histories", "search"]
NEURAL = "metrics.auc > 0.99 AND params.model = 'mlp'"


@attrs.frozen
class Assistant:
    """A client of the server in another process."""

    client: Client
    portal: Any

    def result(self, tool: str, **arguments: Any) -> Any:
        """Return the result of a call."""
        return self.portal.call(self.client.call_tool, tool, arguments)

    def answer(self, tool: str, **arguments: Any) -> str:
        """Return the text of a call that is answered."""
        result = self.result(tool, **arguments)
        assert not result.is_error, result.content
        return text_of(result)

    def refusal(self, tool: str, **arguments: Any) -> str:
        """Return the text of a call that is refused."""
        result = self.result(tool, **arguments)
        assert result.is_error, result.content
        return text_of(result)


def text_of(result: Any) -> str:
    (block,) = result.content
    text: str = block.text
    return text


@contextmanager
def assistant(*arguments: str) -> Iterator[Assistant]:
    """Start `mlquery mcp` and give a client of it."""
    server = StdioServerParameters(command=sys.executable, args=["-m", "mlquery", "mcp", *arguments])
    with start_blocking_portal() as portal:
        client = Client(stdio_client(server), read_timeout_seconds=60)
        with portal.wrap_async_context_manager(client):
            yield Assistant(client, portal)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the example database, alone in its folder."""
    return Path(shutil.copy(example_database(), tmp_path_factory.mktemp("mcp") / "sweep.db"))


@pytest.fixture(scope="module")
def sweep(database: Path) -> Iterator[Assistant]:
    """Give an assistant that may read the example database and nothing else."""
    before = digests(database.parent)
    with assistant("--from", str(database)) as found:
        yield found
    assert before == digests(database.parent)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def rows(table: str) -> list[list[str]]:
    """Return the cells of an aligned table, which are two spaces apart."""
    return [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]


def test_the_tools_say_that_they_only_read(sweep: Assistant, database: Path) -> None:
    listed = sweep.portal.call(sweep.client.list_tools).tools

    assert TOOLS == sorted(tool.name for tool in listed)
    for tool in listed:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert not tool.annotations.destructive_hint
        properties = tool.input_schema["properties"]
        assert all(f"{name}: " in tool.description for name in properties)
    assert str(database) in (sweep.client.instructions or "")


def test_describe_names_experiments_and_keys(sweep: Assistant) -> None:
    described = sweep.answer("describe")

    assert ["2", "37", "my_experiment"] in rows(described)
    assert "metrics: accuracy 60, auc 60, " in described
    assert "of the newest 37 runs:" in sweep.answer("describe", experiments=["my_experiment"])
    assert "of the newest 8 runs:" in sweep.answer("describe", experiments=["3"])


def test_search_finds_what_the_library_finds(sweep: Assistant) -> None:
    answered = sweep.answer("search", filter=NEURAL, order_by=["max(metrics.auc) DESC"], columns=["params.hidden"])

    store = mlquery.load(example_database())
    frame = mlquery.search_frame(
        store,
        [*"01234"],
        NEURAL,
        order_by=["max(metrics.auc) DESC"],
        columns=["run_id", "params.hidden", "max(metrics.auc)"],
        dialect="extended",
    )
    header, *found, note = rows(answered)
    assert header[:4] == ["run_id", "run_name", "status", "params.hidden"]
    assert {"metrics.auc", "params.model", "max(metrics.auc)"} <= set(header)
    assert frame["run_id"].tolist() == [row[0] for row in found]
    assert frame["params.hidden"].tolist() == [row[3] for row in found]
    best = header.index("max(metrics.auc)")
    assert [f"{value:.6g}" for value in frame["max(metrics.auc)"]] == [row[best] for row in found]
    assert note == [f"({len(frame)} of {len(frame)} runs)"]


def test_search_is_short_unless_more_is_asked_for(sweep: Assistant) -> None:
    short, long = sweep.answer("search"), sweep.answer("search", max_results=1000, max_bytes=100_000)

    assert rows(short)[-1] == ["(20 of 65 runs; more with max_results, up to 1000)"]
    assert rows(long)[-1] == ["(65 of 65 runs)"]
    assert rows(short)[1:-1] == rows(long)[1:21]


def test_columns_are_named_as_in_filters_and_as_in_frames(sweep: Assistant) -> None:
    columns = ["metrics.`validation_0-logloss`", "metrics.validation_0-logloss", "user_id", "duration", "run_name"]

    header, *_ = rows(sweep.answer("search", columns=columns, max_results=1))

    assert header == [
        "run_id",
        "run_name",
        "status",
        "metrics.validation_0-logloss",
        "user_id",
        "duration",
        "start_time",
    ]
    assert "runs have no attribute 'nope'" in sweep.refusal("search", columns=["nope"])


def test_check_underlines_mistakes_in_each_dialect(sweep: Assistant) -> None:
    answered = sweep.answer("check", filter="metrics.a > 1 OR tags.b = 'c'", dialects=["extended", "oss"])

    assert answered.splitlines()[:2] == ["extended: accepted", "oss: refused"]
    assert "                  ^^" in answered.splitlines()
    assert "oss: accepted" in sweep.answer("check", filter="name LIKE 'a%'", dialects=["oss"], entity="experiment")


def test_compare_has_the_fields_that_differ(sweep: Assistant) -> None:
    store = mlquery.load(example_database())
    ids = [run.info.run_id for run in mlquery.Client(store).search_runs(["2"], NEURAL, max_results=3)]
    for value in ("last", "max"):
        answered = sweep.answer("compare", runs=ids, value=value)

        expected = compare(ids, value, source=store)
        differing = {field.name for field in expected.fields if field.differs}
        assert differing == {row[0] for row in rows(answered)[2:]}
        auc = expected.to_frame()["metrics.auc"].tolist()
        assert sorted(f"{number:.6g}" for number in auc) == sorted(
            next(row[1:] for row in rows(answered) if row[0] == "metrics.auc")
        )


def test_compare_puts_groups_first(sweep: Assistant) -> None:
    grouped = sweep.answer("compare", filter="params.seed != ''", group_by=["model"], ignore=["seed"])
    against = sweep.answer("compare", filter="params.seed != ''", ignore=["seed"], baseline="mlp-seed1")

    assert grouped.startswith("accuracy by group, higher is better:\n")
    assert "\n20 runs, " in grouped
    assert "4 of 20 runs; more with max_runs" in sweep.answer("compare", filter="params.seed != ''", max_runs=4)
    assert "mlp-seed1 (baseline)" in against
    assert "difference" in against.splitlines()[1]


def test_histories_are_thinned_and_keep_their_extremes(sweep: Assistant) -> None:
    store = mlquery.load(example_database())
    run = mlquery.Client(store).search_runs(["3"], order_by=["metrics.auc DESC"], max_results=1)[0].info.run_id
    points = mlquery.Client(store).get_metric_history(run, "auc")
    values = {point.step: point.value for point in points}

    short = sweep.answer("histories", runs=[run, "nobody"], keys=["auc"], max_points=8)
    whole = sweep.answer("histories", runs=[run], keys=["auc"])
    part = sweep.answer("histories", runs=[run], keys=["auc"], first_step=3, last_step=5)

    head, series, missing = short.splitlines()
    assert f"{len(values)} points" in head
    assert f"max {max(values.values()):.6g}" in head
    assert "8 of them shown" in head
    assert {f"{step}:{value:.6g}" for step, value in values.items()} >= set(series.split())
    assert f"{max(values.values()):.6g}" in series
    assert missing == "no points: run nobody auc"
    assert [f"{step}:{value:.6g}" for step, value in values.items()] == whole.splitlines()[1].split()
    assert [f"{step}:{values[step]:.6g}" for step in (3, 4, 5)] == part.splitlines()[1].split()


def test_aggregate_has_what_the_library_computes(sweep: Assistant) -> None:
    asked = "count(), mean(max(metrics.auc))"

    answered = sweep.answer("aggregate", aggregates=asked, by=["params.model"], filter="status = 'FINISHED'")

    store = mlquery.load(example_database())
    frame = mlquery.aggregate(store, asked, ["params.model"], "status = 'FINISHED'")
    expected = [str(count) for count in frame["count()"].tolist()]
    assert expected == [row[-2] for row in rows(answered)[1:-2]] + [rows(answered)[-2][0]]
    cut = sweep.answer("aggregate", aggregates="count()", by=["params.model"], max_groups=2)
    assert rows(cut)[-1] == ["(2 of 6 groups; more with max_groups)"]


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("search", {"filter": "metrics.auc >"}, "the comparison has no value\n    metrics.auc >\n                 ^"),
    ("search", {"filter": "params.depth > 4"}, "params.depth is a string"),
    ("search", {"filter": "", "order_by": ["nope"]}, "order_by[0]: runs have no attribute 'nope'"),
    ("search", {"dialect": "azur"}, "unknown dialect 'azur'; did you mean 'azure'?"),
    ("search", {"max_results": 0}, "max_results is between 1 and 1,000, not 0"),
    ("search", {"experiments": ["nope"]}, "has no experiment named 'nope'"),
    ("search", {"source": "/etc/passwd"}, "the source '/etc/passwd' may not be read; sources are "),
    ("search", {"max_results": "many"}, "max_results"),
    ("compare", {}, "nothing to compare; instead: runs=[ids], or a filter"),
    ("compare", {"runs": ["nope"]}, "no run has the id nope"),
    ("compare", {"filter": "metrics.auc > 0.99", "baseline": "nope"}, "the baseline 'nope' is none of the runs"),
    ("compare", {"filter": "metrics.auc > 0.99", "value": "worst"}, "worst"),
    ("compare", {"runs": ['it\'s "x"']}, "cannot be written in a filter"),
    ("histories", {"runs": ["a"], "keys": ["b"], "source": "sqlite:///x.db"}, "may not be read"),
    ("aggregate", {"aggregates": "men(metrics.auc)"}, "instead: mean(metrics.auc)"),
    ("check", {"dialects": ["mlflow"]}, "unknown dialect 'mlflow'"),
    ("check", {"entity": "nothing"}, "'nothing' is not a valid Entity"),
]


@pytest.mark.parametrize(("tool", "arguments", "message"), REFUSALS)
def test_a_mistake_is_a_result_that_says_what_is_wrong(
    sweep: Assistant, tool: str, arguments: dict[str, Any], message: str
) -> None:
    refused = sweep.refusal(tool, **arguments)

    assert message in refused
    assert "Traceback" not in refused
    assert len(refused.encode()) <= MAX_BYTES


def test_histories_take_two_points_at_least(sweep: Assistant) -> None:
    run = rows(sweep.answer("search", filter="metrics.auc > 0", max_results=1))[1][0]

    assert "max_points must be at least 2" in sweep.refusal("histories", runs=[run], keys=["auc"], max_points=1)


def test_warnings_are_part_of_the_answer(sweep: Assistant) -> None:
    answered = sweep.answer("search", filter="start_time > 5", dialect="azure")

    assert "warning: filter_string: no source says whether azure supports this" in answered
    assert "instead: put the number in quotes" in answered
    assert answered.count("warning: ") == len(set(re.findall("warning: .*", answered)))


def test_no_runs_come_with_what_check_says_of_the_query(sweep: Assistant) -> None:
    answered = sweep.answer("search", filter="attributes.start_time < 5", dialect="azure")

    said = sweep.answer("check", filter="attributes.start_time < 5", dialects=["azure"])
    assert "(0 of 0 runs)" in answered
    without_codes = re.sub(r"  \[MLQ\d+\]", "", said)
    assert without_codes.splitlines()[1:] == answered.replace("warning: ", "").splitlines()[2:]
    finished = sweep.answer("search", filter="attributes.status = 'Finished'", dialect="oss")
    assert "[MLQ101]" in finished


METRICS = [f"{number} {'ü' * 50}" for number in range(30)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store on disk with long names, many keys and long histories."""
    folder = tmp_path_factory.mktemp("large") / "runs.mlq"
    with mlquery.open(folder) as store:
        client = mlquery.Client(store)
        experiments = [client.create_experiment(f"experiment {number} {'ä' * 200}") for number in range(60)]
        for number in range(60):
            run = client.create_run(experiments[number % 3], run_name=f"{number} {'é' * 200}").info.run_id
            values = {f"{key} {'ü' * 100}": f"{number} {'ö' * 200}" for key in range(40)}
            for key, value in values.items():
                client.log_param(run, key, value)
                client.set_tag(run, key, value)
            for metric in METRICS:
                client.log_metric(run, metric, number / 7, step=0)
            if number < 20:
                for step in range(200):
                    client.log_metric(run, "loss", 1 / (1 + step), step=step)
    return folder


@pytest.mark.slow
def test_every_answer_is_small_by_default(large: Path) -> None:
    before = digests(large)
    with assistant("--from", str(large)) as asked:
        table = asked.answer("search", filter="metrics.loss > 0", max_bytes=100_000)
        ids = [row[0] for row in rows(table)[1:-1]]
        everything = " AND ".join(f"params.`{key} {'ü' * 100}` != ''" for key in range(40))
        calls: dict[str, dict[str, Any]] = {
            "describe": {},
            "check": {"filter": f"{everything} AND nope = 1", "dialects": ["oss", "azure", "extended"]},
            "search": {"filter": everything},
            "compare": {"runs": ids},
            "histories": {"runs": ids, "keys": ["loss", *METRICS]},
            "aggregate": {"aggregates": "count(), mean(metrics.loss)", "by": [f"params.`0 {'ü' * 100}`"]},
        }
        sizes = {tool: len(asked.answer(tool, **arguments).encode()) for tool, arguments in calls.items()}
        assert TOOLS == sorted(sizes)
        assert max(sizes.values()) <= MAX_BYTES, sizes
        assert "(cut at 8,000 bytes: " in asked.answer("search", filter=everything)
        assert "(20 of 60 runs; more with max_results" in asked.answer("search", filter=everything)
        whole = asked.answer("search", filter=everything, max_bytes=LARGEST)
        assert "(cut at" not in whole
        assert len(asked.refusal("search", filter=f"{everything} AND nope = 1 AND nope").encode()) <= MAX_BYTES
    assert before.items() <= digests(large).items()  # SQLite leaves an empty log beside the journal


@pytest.mark.slow
def test_without_sources_a_call_names_one(database: Path, large: Path, tmp_path: Path) -> None:
    with assistant("--dialect", "oss") as asked:
        assert "no source is named" in asked.refusal("search")
        assert rows(asked.answer("search", source=str(database), filter=NEURAL))[-1] == ["(8 of 8 runs)"]
        assert rows(asked.answer("search", source=f"sqlite:///{database}", filter=NEURAL))[-1] == ["(8 of 8 runs)"]
        assert "join.or" in asked.refusal("search", source=str(database), filter=f"{NEURAL} OR {NEURAL}")
        assert rows(asked.answer("search", source=str(large), max_results=2))[-1][0].startswith("(2 of 60 runs")
        assert "nothing.db" in asked.refusal("search", source=str(tmp_path / "nothing.db"))
    assert not (tmp_path / "nothing.db").exists()


@pytest.mark.slow
def test_of_several_sources_a_call_names_one_of_them(database: Path, large: Path) -> None:
    with assistant("--from", str(database), "--from", str(large)) as asked:
        refused = asked.refusal("search")
        assert refused == f"no source is named; sources are {database}, {large}"
        assert rows(asked.answer("search", source=str(large), max_results=1))[-1][0].startswith("(1 of 60 runs")
        assert rows(asked.answer("search", source=str(database), max_results=1))[-1][0].startswith("(1 of 65 runs")
        assert "may not be read" in asked.refusal("search", source=str(example_database()))


@pytest.mark.slow
def test_an_mlruns_folder_is_read(tmp_path: Path) -> None:
    run = tmp_path / "mlruns" / "0" / ("a" * 32)
    (run / "metrics").mkdir(parents=True)
    (run / "metrics" / "auc").write_text("1 0.5 0\n2 0.75 1\n")
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text(
        "artifact_location: x\nexperiment_id: '0'\nlifecycle_stage: active\nname: Default\n"
    )
    (run / "meta.yaml").write_text(
        f"artifact_uri: x\nend_time: null\nexperiment_id: '0'\nlifecycle_stage: active\nrun_id: {'a' * 32}\n"
        f"run_name: first\nrun_uuid: {'a' * 32}\nstart_time: 1\nstatus: 3\nuser_id: u\n"
    )
    before = digests(tmp_path)
    with assistant("--from", str(tmp_path / "mlruns")) as asked:
        assert rows(asked.answer("search", filter="max(metrics.auc) > 0.7"))[-1] == ["(1 of 1 run)"]
        assert "0:0.5 1:0.75" in asked.answer("histories", runs=["a" * 32], keys=["auc"])
    assert before == digests(tmp_path)


@pytest.mark.slow
def test_a_server_is_asked_what_a_database_is(sweep: Assistant, database: Path) -> None:
    asked: dict[str, Any] = {
        "filter": "metrics.auc > 0.997 OR tags.error IS NOT NULL",
        "order_by": ["metrics.auc DESC"],
    }
    with running_server(mlquery.load(str(database)), "azure") as server, assistant("--from", server.url) as found:
        assert sweep.answer("search", **asked) == found.answer("search", **asked)
        assert "perhaps more with max_results" in found.answer("search", max_results=2, **asked)
        assert sweep.answer("aggregate", aggregates="count()") == found.answer("aggregate", aggregates="count()")
        assert "?" in found.answer("describe")  # no server counts runs without sending them


def test_standard_output_has_nothing_but_the_protocol(database: Path) -> None:
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    call = {"name": "search", "arguments": {"filter": "start_time > 5", "dialect": "azure"}}
    asked = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
    ]
    command = [sys.executable, "-m", "mlquery", "mcp", "--from", str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write("".join(json.dumps(message) + "\n" for message in asked).encode())
        server.stdin.flush()
        lines = [server.stdout.readline(), server.stdout.readline()]
        rest, errors = server.communicate(timeout=60)

    assert [1, 2] == [json.loads(line)["id"] for line in lines]
    assert (b"", 0) == (rest, server.returncode)
    assert b"Traceback" not in errors


@pytest.mark.parametrize("setup", ["sys.modules['mcp'] = None", "sys.modules['mcp.server'] = type(sys)('mcp.server')"])
def test_without_the_extra_or_with_an_old_one_it_says_what_to_install(setup: str) -> None:
    code = f"import sys; {setup}; from mlquery.cli import main; sys.exit(main(['mcp']))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    message = "mlquery: mcp needs the package mcp, 2 or newer: pip install 'mlquery[mcp]'\n"
    assert (2, message) == (done.returncode, done.stderr)


FILTERS = st.one_of(
    random_queries.filters(random_queries.RUN_CLAUSES),
    random_syntax.damaged(random_syntax.SPELLINGS),
    st.text(max_size=9),
)
ORDERS = st.one_of(random_queries.RUN_ORDERS, st.lists(st.text(max_size=9), max_size=2))
WORDS = st.lists(
    st.one_of(
        st.sampled_from(["acc", "metrics.acc", "max(metrics.acc)", "params.lr", "1", "alpha"]), st.text(max_size=9)
    ),
    max_size=3,
)
RUNS = st.lists(st.one_of(st.sampled_from([*STORE.runs.ids] * 3), st.text(max_size=9)), max_size=3)
METRIC_VALUES = st.sampled_from(["last", "best", "max", "step:1", "step:x", ""])
AGGREGATES = st.one_of(st.sampled_from(["count()", "mean(metrics.acc)", "max(max(metrics.loss))"]), st.text(max_size=9))
SIZES = st.one_of(st.integers(1, 30), st.integers())
CALLS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "check": {
        "filter": FILTERS,
        "order_by": ORDERS,
        "dialects": WORDS,
        "entity": st.sampled_from(["run", "experiment"]),
    },
    "describe": {"experiments": WORDS},
    "search": {"filter": FILTERS, "order_by": ORDERS, "experiments": WORDS, "max_results": SIZES, "columns": WORDS},
    "compare": {"runs": RUNS, "filter": FILTERS, "value": METRIC_VALUES, "group_by": WORDS, "ignore": WORDS},
    "histories": {"runs": RUNS, "keys": WORDS, "first_step": SIZES, "last_step": SIZES, "max_points": SIZES},
    "aggregate": {"aggregates": AGGREGATES, "by": WORDS, "filter": FILTERS, "max_groups": SIZES},
}


@pytest.mark.slow
@random_syntax.SETTINGS
@given(
    call=st.sampled_from(TOOLS).flatmap(
        lambda tool: st.tuples(st.just(tool), st.fixed_dictionaries({}, optional=CALLS[tool]))
    )
)
def test_whatever_a_call_asks_for_it_gets_an_answer_or_a_sentence(call: tuple[str, dict[str, Any]]) -> None:
    backend = Backend(STORE, None, MATRIX.local_dialect)
    tools = Tools(Sources(lambda *_: nullcontext(backend), str, ("store",), MATRIX.local_dialect))
    name, arguments = call
    needed: dict[str, dict[str, Any]] = {"histories": {"runs": [], "keys": []}, "aggregate": {"aggregates": "count()"}}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            answered = str(getattr(tools, name)(**needed.get(name, {}) | arguments))
        except (QueryError, StoreError, ValueError) as error:
            answered = str(error)

    assert answered or name == "histories"


def test_a_password_is_in_no_message() -> None:
    address, shown = "postgresql://me:secret@db/mlflow", "postgresql://me:***@db/mlflow"
    sources = Sources(lambda *_: nullcontext(), without_password, (address, "b.db"), MATRIX.local_dialect)  # type: ignore[arg-type]

    assert address == sources.named(address) == sources.named(shown)
    with pytest.raises(StoreError) as refused:
        sources.named(None)
    assert str(refused.value) == f"no source is named; sources are {shown}, b.db"
    with pytest.raises(StoreError) as refused:
        sources.named("postgresql://me:other@db/mlflow")
    assert "other" not in str(refused.value)
    assert "secret" not in (new_server(sources).instructions or "")


def test_an_unknown_dialect_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    from mlquery.cli import main

    assert 2 == main(["mcp", "--dialect", "azur"])
    assert "unknown dialect 'azur'" in capsys.readouterr().err


@given(
    lines=st.lists(st.text(max_size=300), max_size=60),
    notes=st.lists(st.text(max_size=300), max_size=20),
    max_bytes=st.integers(0, 20_000),
)
def test_an_answer_has_no_more_bytes_than_are_asked_for(lines: list[str], notes: list[str], max_bytes: int) -> None:
    text = str(Answer(tuple(lines), tuple(notes), max_bytes))

    whole = "\n".join([*lines, *notes])
    limit = max(max_bytes, SMALLEST)
    assert len(text.encode()) <= limit
    assert (text == whole) == (len(whole.encode()) <= limit)
    assert text == whole or text.endswith("with max_bytes)")


@given(
    values=st.lists(st.floats(width=32), min_size=1, max_size=60),
    max_points=st.integers(2, 60),
)
def test_the_points_of_a_series_are_among_those_of_the_history(values: list[float], max_points: int) -> None:
    steps = np.arange(len(values))

    head, shown = series("run r m", np.array(values), steps, max_points)

    pairs = [pair.split(":") for pair in shown.split()]
    assert len(pairs) <= max_points
    assert all(f"{values[int(step)]:.6g}" == value for step, value in pairs)
    numbers = [value for value in values if value == value]
    assert all(f"{extreme:.6g} at step" in head for extreme in ([min(numbers), max(numbers)] if numbers else []))
