"""What is asked through every door: at least one case for each call of the service, and scripts for `import mlflow`.

A case about a call is asked of clients; a script of the functions of the module `mlflow`. The first case of a call is
the one that meets faults. Where a door has no way to ask, the case says why.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs
import mlflow
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.models import Model

from mlquery.backend import Backend
from mlquery.language.matrix import MATRIX
from tests.support.doors import DOORS, HTTP, PLUGIN, SCRIPT_DOORS, TIME, Door

MISSING: Final = "m-" + "0" * 32
NOBODY: Final = "0" * 32
LONG: Final = "x" * 1500
Ask = Callable[[Door], Any]
_ONLY_STRINGS: Final = {HTTP: "MLflow's client cannot write such a value into the message"}
_OF_THE_SERVER: Final = {HTTP: "MLflow's server checks it before its store does, in words of its own"}
_RESOLVED: Final = {
    HTTP: "MLflow's server resolves the source of a version itself and tags the logged model; test_server_beside_mlflow"
}
_OF_NO_REQUEST: Final = {HTTP: "MLflow's server asks its store for it; no request does"}


@attrs.frozen
class Case:
    """What is asked.

    Attributes:
        call: The call of the service that it is about.
        name: What is special about it.
        ask: Asks it and returns the answer.
        without: The doors that cannot be asked, and why.
        arrives_as: The call of the service that a door makes of it, where that is another one.
        own_words: The doors whose refusal has the same code and another message, and why.
        looks_first: The call that a client makes before it, and the last one if the dialect refuses that.
        hides_faults: The error code that MLflow's client makes of every failure.
        looks_among_models: Whether MLflow's client also looks for a logged model. Where the dialect has none, that is
            refused, and the client lets it through; `mlquery.Client` does not look there, so that folders are listed.
        is_script: Whether functions are asked, not a client.
    """

    call: str
    name: str
    ask: Ask
    without: Mapping[str, str] = attrs.field(factory=dict)
    arrives_as: Mapping[str, str] = attrs.field(factory=dict)
    own_words: Mapping[str, str] = attrs.field(factory=dict)
    looks_first: str | None = None
    hides_faults: str | None = None
    looks_among_models: bool = False
    is_script: bool = False

    @property
    def doors(self) -> list[str]:
        """Return the names of the doors that can be asked."""
        return [door for door in (SCRIPT_DOORS if self.is_script else DOORS) if door not in self.without]

    def __str__(self) -> str:
        return f"{'mlflow' if self.is_script else 'client'}-{self.call}-{self.name}"

    def call_at(self, door: str) -> str:
        """Return the call of the service that a door makes of it."""
        return self.arrives_as.get(door, self.call)

    def faulty_call_at(self, door: str, dialect: str) -> str:
        """Return the call of the service that can fail at a door."""
        if self.looks_first and lacks_models(dialect):
            return self.looks_first
        return self.call_at(door)


def lacks_models(dialect: str) -> bool:
    """Tell whether a dialect has no logged models."""
    return "logged_models" in MATRIX.dialect(dialect).service.get("missing", ())


def asked(call: str, *given: Any, **named: Any) -> Ask:
    """Return what makes a call of a client."""
    return lambda d: getattr(d.client, call)(*given, **named)


def calls_of_the_service() -> list[str]:
    """Return every call of the service: what is public and meets faults."""
    return sorted(
        name
        for name in dir(Backend)
        if not name.startswith("_") and getattr(getattr(Backend, name), "__wrapped__", None) is not None
    )


# --- experiments ----------------------------------------------------------------------------------------------------


def _experiments() -> Iterator[Case]:
    yield Case("create_experiment", "with tags", lambda d: d.client.create_experiment("new", tags={"a": "b"}))
    yield Case("create_experiment", "taken", lambda d: d.client.create_experiment("work"))
    yield Case("create_experiment", "taken by a deleted one", lambda d: d.client.create_experiment("archived"))
    yield Case("create_experiment", "with a long name", lambda d: d.client.create_experiment("n" * 300))
    yield Case("create_experiment", "with a long tag", lambda d: d.client.create_experiment("new", tags={"a": LONG}))
    yield Case("create_experiment", "with a location", lambda d: d.client.create_experiment("new", "s3://bucket"))
    yield Case("get_experiment", "there", lambda d: d.client.get_experiment(d.ids.work))
    yield Case("get_experiment", "missing", lambda d: d.client.get_experiment("999"))
    yield Case("get_experiment_by_name", "there", lambda d: d.client.get_experiment_by_name("work"))
    yield Case("get_experiment_by_name", "missing", lambda d: d.client.get_experiment_by_name("none"))
    yield Case("get_experiment_by_name", "with a slash", _with_a_slash)
    for name, query in _EXPERIMENT_SEARCHES.items():
        yield Case("search_experiments", name, asked("search_experiments", **query))
    yield Case("search_experiments", "two pages", lambda d: _pages(d.client.search_experiments, max_results=2))
    yield Case("delete_experiment", "there", lambda d: d.client.delete_experiment(d.ids.work))
    yield Case("delete_experiment", "missing", lambda d: d.client.delete_experiment("999"))
    yield Case("restore_experiment", "deleted", lambda d: d.client.restore_experiment(d.ids.archived))
    yield Case("restore_experiment", "missing", lambda d: d.client.restore_experiment("999"))
    yield Case("rename_experiment", "there", lambda d: d.client.rename_experiment(d.ids.work, "play"))
    yield Case("rename_experiment", "to a taken name", lambda d: d.client.rename_experiment(d.ids.work, "other"))
    yield Case("rename_experiment", "to a long name", lambda d: d.client.rename_experiment(d.ids.work, "n" * 300))
    yield Case("rename_experiment", "deleted", lambda d: d.client.rename_experiment(d.ids.archived, "play"))
    yield Case("set_experiment_tag", "there", lambda d: d.client.set_experiment_tag(d.ids.work, "n", 5))
    yield Case("set_experiment_tag", "long", lambda d: d.client.set_experiment_tag(d.ids.work, "n", LONG))
    yield Case("set_experiment_tag", "missing", lambda d: d.client.set_experiment_tag("999", "n", 5))
    yield Case("delete_experiment_tag", "there", lambda d: d.client.delete_experiment_tag(d.ids.work, "team"))
    yield Case("delete_experiment_tag", "missing", lambda d: d.client.delete_experiment_tag(d.ids.work, "none"))
    yield Case(
        "filter_active_experiment_ids",
        "of all kinds",
        lambda d: d.calls.filter_active_experiment_ids([d.ids.work, d.ids.archived, "999"]),
        without=_OF_NO_REQUEST,
    )


def _with_a_slash(d: Door) -> Any:
    d.client.create_experiment("team/churn")
    return d.client.get_experiment_by_name("team/churn")


_EXPERIMENT_SEARCHES: Final[dict[str, dict[str, Any]]] = {
    "by default": {},
    "filtered and ordered": {"filter_string": "tags.team LIKE '%r%'", "order_by": ["name DESC"]},
    "of any stage": {"view_type": 3},
    "a page": {"max_results": 1},
    "a syntax error": {"filter_string": "name = "},
    "an unknown field": {"filter_string": "colour = 'red'"},
    "a bad order": {"order_by": ["colour"]},
    "a page of nothing": {"max_results": 0},
    "by time": {"filter_string": "creation_time > 1"},
}


# --- runs -----------------------------------------------------------------------------------------------------------


def _create_run(name: str, **given: Any) -> Case:
    return Case("create_run", name, lambda d: d.client.create_run(d.ids.work, **given))


def _runs() -> Iterator[Case]:
    yield _create_run("by default")
    yield _create_run("of a named user", tags={"mlflow.user": "grace", "a": "b"}, run_name="named")
    yield _create_run("with tags about its source", tags={"mlflow.source.name": "train.py", "a": "b"})
    yield _create_run("with a long tag", tags={"a": LONG})
    yield _create_run("with a long key", tags={"k" * 200: "a"})
    yield _create_run("with 60 tags", tags={f"t{number}": "x" for number in range(60)})
    yield _create_run("with a start", start_time=TIME - 5)
    yield _create_run("with two names", run_name="one", tags={"mlflow.runName": "two"})
    yield Case(
        "create_run",
        "with tags that are no strings",
        lambda d: d.client.create_run(d.ids.work, tags={"n": 5, "x": 0.5, "y": None}),
        without=_ONLY_STRINGS,
    )
    yield Case("create_run", "nested", lambda d: d.client.create_run(d.ids.work, tags=_below(d.ids.child)))
    yield Case("create_run", "below nothing", lambda d: d.client.create_run(d.ids.work, tags=_below(NOBODY)))
    yield Case("create_run", "in a deleted experiment", lambda d: d.client.create_run(d.ids.archived))
    yield Case("create_run", "in no experiment", lambda d: d.client.create_run("999"))
    yield Case("get_run", "with everything", lambda d: d.client.get_run(d.ids.run))
    yield Case("get_run", "that read a model", lambda d: d.client.get_run(d.ids.child))
    yield Case("get_run", "missing", lambda d: d.client.get_run(NOBODY))
    yield Case("get_run", "with a bad id", lambda d: d.client.get_run("no id"))
    yield Case("get_run", "above another", lambda d: d.client.get_parent_run(d.ids.child))
    for name, query in _RUN_SEARCHES.items():
        yield Case("search_runs", name, _search_runs(query))
    yield Case(
        "search_runs",
        "too many",
        lambda d: d.client.search_runs([d.ids.work], max_results=50_001),
        own_words=_OF_THE_SERVER,
    )
    yield Case("search_runs", "two pages", lambda d: _pages(d.client.search_runs, [d.ids.work], max_results=1))
    yield Case("search_runs", "in one experiment", lambda d: d.client.search_runs(d.ids.work))
    yield Case("search_runs", "nowhere", lambda d: d.client.search_runs([]))
    yield Case("search_runs", "in no experiment", lambda d: d.client.search_runs(["999"]))
    yield Case("update_run_info", "ended", lambda d: d.client.set_terminated(d.ids.run))
    yield Case("update_run_info", "failed then", lambda d: d.client.set_terminated(d.ids.run, "FAILED", TIME + 9))
    yield Case("update_run_info", "renamed", lambda d: d.client.update_run(d.ids.run, name="another"))
    yield Case("update_run_info", "of a status", lambda d: d.client.update_run(d.ids.run, "KILLED"))
    yield Case("update_run_info", "with a long name", lambda d: d.client.update_run(d.ids.run, name=LONG))
    yield Case("update_run_info", "missing", lambda d: d.client.set_terminated(NOBODY))
    yield Case("update_run_info", "deleted", lambda d: d.client.set_terminated(d.ids.deleted))
    yield Case("delete_run", "there", lambda d: d.client.delete_run(d.ids.run))
    yield Case("delete_run", "missing", lambda d: d.client.delete_run(NOBODY))
    yield Case("restore_run", "deleted", lambda d: d.client.restore_run(d.ids.deleted))
    yield Case("restore_run", "missing", lambda d: d.client.restore_run(NOBODY))


_RUN_SEARCHES: Final[dict[str, dict[str, Any]]] = {
    "by default": {},
    "filtered and ordered": {"filter_string": "metrics.loss < 1 AND params.lr LIKE '0%'", "order_by": ["params.lr"]},
    "deleted ones": {"run_view_type": 2},
    "of any stage": {"run_view_type": 3},
    "a syntax error": {"filter_string": "metrics.loss >"},
    "several errors": {"filter_string": "metrics.loss > 'x' AND colour = 'red'"},
    "without case": {"filter_string": "tags.kind ILIKE 'BIG'"},
    "by dataset": {"filter_string": "datasets.name = 'train'"},
    "without a param": {"filter_string": "params.depth IS NULL"},
    "by time": {"filter_string": "attributes.start_time > 1"},
    "by name": {"filter_string": "attributes.run_name = 'first'"},
    "a bad order": {"order_by": ["metrics.loss SIDEWAYS"]},
    "a bad token": {"page_token": "x"},
    "a page of nothing": {"max_results": 0},
}


def _search_runs(query: dict[str, Any]) -> Ask:
    return lambda d: d.client.search_runs([d.ids.work, d.ids.other], **query)


def _below(run_id: str) -> dict[str, str]:
    return {"mlflow.parentRunId": run_id}


def _pages(search: Callable[..., Any], *given: Any, **query: Any) -> Any:
    first = search(*given, **query)
    return [first, search(*given, **query, page_token=first.token)]


# --- what runs log --------------------------------------------------------------------------------------------------


def _log_metric(name: str, *given: Any, **more: Any) -> Case:
    return Case("log_metric", name, lambda d: d.client.log_metric(d.ids.run, *given, **more))


def _log_batch(name: str, kind: str, number: int, item: Callable[[Any, int], Any]) -> Case:
    def ask(d: Door) -> None:
        d.client.log_batch(d.ids.run, **{kind: [item(d.entities, n) for n in range(number)]})

    return Case("log_batch", name, ask)


def _logging() -> Iterator[Case]:
    yield _log_metric("now", "loss", 0.5)
    yield _log_metric("then", "loss", 0.5, TIME + 5, 7)
    yield _log_metric("not a number", "loss", float("nan"))
    yield attrs.evolve(_log_metric("not even that", "loss", "x"), without=_ONLY_STRINGS)
    yield _log_metric("with a long key", "k" * 300, 1.0)
    yield _log_metric("of a dataset", "loss", 0.5, dataset_name="train", dataset_digest="abc")
    yield _log_metric("of half a dataset", "loss", 0.5, dataset_name="train")
    yield Case("log_metric", "of a model", lambda d: d.client.log_metric(d.ids.run, "m", 0.5, model_id=d.ids.model))
    yield Case("log_metric", "missing", lambda d: d.client.log_metric(NOBODY, "m", 0.5))
    yield Case("log_metric", "deleted", lambda d: d.client.log_metric(d.ids.deleted, "m", 0.5))
    yield Case("log_param", "new", lambda d: d.client.log_param(d.ids.run, "p", 5))
    yield Case("log_param", "changed", lambda d: d.client.log_param(d.ids.run, "lr", 5))
    yield Case("log_param", "the same", lambda d: d.client.log_param(d.ids.run, "lr", "0.1"))
    yield Case("log_param", "long", lambda d: d.client.log_param(d.ids.run, "p", "x" * 7000))
    yield Case("log_param", "with a bad key", lambda d: d.client.log_param(d.ids.run, "p?", "x"))
    yield Case("set_tag", "new", lambda d: d.client.set_tag(d.ids.run, "t", 5))
    yield Case("set_tag", "long", lambda d: d.client.set_tag(d.ids.run, "t", LONG))
    yield Case("set_tag", "with a long key", lambda d: d.client.set_tag(d.ids.run, "t" * 200, "x"))
    yield Case("set_tag", "the name", lambda d: d.client.set_tag(d.ids.run, "mlflow.runName", "another"))
    yield Case("set_tag", "missing", lambda d: d.client.set_tag(NOBODY, "t", 5))
    yield Case("delete_tag", "there", lambda d: d.client.delete_tag(d.ids.run, "kind"))
    yield Case("delete_tag", "missing", lambda d: d.client.delete_tag(d.ids.run, "none"))
    yield Case("log_batch", "of everything", _batch)
    yield Case("log_batch", "of nothing", lambda d: d.client.log_batch(d.ids.run))
    yield Case("log_batch", "with a changed param", _batch_with_a_changed_param)
    yield _log_batch("of 60 tags", "tags", 60, lambda kinds, n: kinds.RunTag(f"t{n}", "x"))
    yield _log_batch("of a long tag", "tags", 1, lambda kinds, n: kinds.RunTag("t", LONG))
    yield _log_batch("of 250 params", "params", 250, lambda kinds, n: kinds.Param(f"p{n}", "x"))
    yield _log_batch("of 300 points", "metrics", 300, lambda kinds, n: kinds.Metric("m", n / 2, TIME, n))
    yield Case("log_inputs", "datasets", lambda d: d.client.log_inputs(d.ids.run, [_dataset(d)]))
    yield Case("log_inputs", "models", lambda d: d.client.log_inputs(d.ids.run, models=[_model_input(d, d.ids.model)]))
    yield Case(
        "log_inputs", "both", lambda d: d.client.log_inputs(d.ids.run, [_dataset(d)], [_model_input(d, d.ids.pending)])
    )
    yield Case("log_inputs", "missing", lambda d: d.client.log_inputs(NOBODY, [_dataset(d)]))
    yield Case("log_inputs", "bad", lambda d: d.client.log_inputs(d.ids.run, [_dataset(d, "n" * 600)]))
    yield Case("log_outputs", "models", lambda d: d.client.log_outputs(d.ids.child, [_model_output(d, d.ids.model)]))
    yield Case("log_outputs", "missing", lambda d: d.client.log_outputs(NOBODY, [_model_output(d, d.ids.model)]))
    yield Case("record_logged_model", "twice", _record_twice)
    yield Case("record_logged_model", "missing", lambda d: d.calls.record_logged_model(NOBODY, _mlflow_model()))
    yield Case("search_datasets", "there", lambda d: d.calls.search_datasets([d.ids.work, d.ids.other]))
    yield Case("get_metric_history", "there", lambda d: d.client.get_metric_history(d.ids.run, "loss"))
    yield Case("get_metric_history", "of no metric", lambda d: d.client.get_metric_history(d.ids.run, "none"))
    yield Case("get_metric_history", "missing", lambda d: d.client.get_metric_history(NOBODY, "loss"))
    yield Case("get_metric_history", "a page", lambda d: d.calls.get_metric_history_page(d.ids.run, "loss", 2, None))
    yield Case("get_metric_history_bulk", "there", lambda d: d.calls.get_metric_history_bulk(_both(d), "loss", 3))
    yield Case(
        "get_max_step_for_metric",
        "there",
        lambda d: d.calls.get_max_step_for_metric(d.ids.run, "loss"),
        without=_OF_NO_REQUEST,
    )
    yield Case(
        "get_metric_history_bulk_interval_from_steps",
        "there",
        lambda d: d.calls.get_metric_history_bulk_interval_from_steps(d.ids.run, "loss", [0, 2], 5),
        without=_OF_NO_REQUEST,
    )
    for name, span in {"of all steps": (None, None), "of some steps": (1, 2), "of half a span": (1, None)}.items():
        yield Case(
            "get_metric_history_bulk_interval",
            name,
            _history_interval(*span),
            own_words=_OF_THE_SERVER,
        )


def _history_interval(start: int | None, stop: int | None) -> Ask:
    return lambda d: d.calls.get_metric_history_bulk_interval(_both(d), "loss", 2, start, stop)


def _both(d: Door) -> list[str]:
    return [d.ids.run, d.ids.child]


def _batch(d: Door) -> None:
    kinds = d.entities
    points = [kinds.Metric("loss", 0.5, TIME, 9), kinds.Metric("other", -1.0, TIME, 0)]
    d.client.log_batch(d.ids.run, points, [kinds.Param("p", "1")], [kinds.RunTag("t", "1")])


def _batch_with_a_changed_param(d: Door) -> None:
    kinds = d.entities
    d.client.log_batch(d.ids.run, [kinds.Metric("loss", 0.5, TIME, 9)], [kinds.Param("lr", "1")])


def _dataset(d: Door, name: str = "test") -> Any:
    kinds = d.entities
    dataset = kinds.Dataset(name, "xyz", "local", "{}", "{}", "{}")
    return kinds.DatasetInput(dataset, [kinds.InputTag("mlflow.data.context", "testing")])


def _model_input(d: Door, model_id: str) -> Any:
    return d.entities.LoggedModelInput(model_id)


def _model_output(d: Door, model_id: str) -> Any:
    return d.entities.LoggedModelOutput(model_id, 3)


def _mlflow_model() -> Model:
    return Model("model", NOBODY, "2023-11-14 00:00:00", model_uuid="1", mlflow_version=mlflow.__version__)


def _record_twice(d: Door) -> None:
    for _ in range(2):
        d.calls.record_logged_model(d.ids.run, _mlflow_model())


# --- logged models --------------------------------------------------------------------------------------------------


def _logged_models() -> Iterator[Case]:
    yield Case("create_logged_model", "with everything", _create_logged_model)
    yield Case("create_logged_model", "by default", lambda d: d.client.create_logged_model(d.ids.work))
    yield Case("create_logged_model", "with a bad name", lambda d: d.client.create_logged_model(d.ids.work, "a/b"))
    yield Case("create_logged_model", "in no experiment", lambda d: d.client.create_logged_model("999"))
    yield Case("get_logged_model", "there", lambda d: d.client.get_logged_model(d.ids.model))
    yield Case("get_logged_model", "missing", lambda d: d.client.get_logged_model(MISSING))
    yield Case("get_logged_model", "without id", lambda d: d.client.get_logged_model(""))
    yield Case("finalize_logged_model", "ready", lambda d: d.client.finalize_logged_model(d.ids.pending, "READY"))
    yield Case("finalize_logged_model", "bad", lambda d: d.client.finalize_logged_model(d.ids.pending, "DONE"))
    yield Case("finalize_logged_model", "missing", lambda d: d.client.finalize_logged_model(MISSING, "READY"))
    yield Case("delete_logged_model", "there", lambda d: d.client.delete_logged_model(d.ids.model))
    yield Case("delete_logged_model", "missing", lambda d: d.client.delete_logged_model(MISSING))
    yield Case(
        "log_logged_model_params",
        "new",
        lambda d: d.client.log_model_params(d.ids.model, {"depth": 3}),
        looks_first="get_logged_model",
    )
    yield Case("log_logged_model_params", "taken", lambda d: d.client.log_model_params(d.ids.model, {"n": 3}))
    yield Case("log_logged_model_params", "missing", lambda d: d.client.log_model_params(MISSING, {"n": 3}))
    yield Case(
        "set_logged_model_tags",
        "there",
        lambda d: d.client.set_logged_model_tags(d.ids.model, {"a": 1}),
        looks_first="get_logged_model",
    )
    yield Case("set_logged_model_tags", "missing", lambda d: d.client.set_logged_model_tags(MISSING, {"a": 1}))
    yield Case("delete_logged_model_tag", "there", lambda d: d.client.delete_logged_model_tag(d.ids.model, "stage"))
    yield Case("delete_logged_model_tag", "missing", lambda d: d.client.delete_logged_model_tag(d.ids.model, "x"))
    for name, query in _MODEL_SEARCHES.items():
        yield Case("search_logged_models", name, _search_logged_models(query))
    yield Case(
        "search_logged_models",
        "two pages",
        lambda d: _pages(d.client.search_logged_models, [d.ids.work], max_results=1),
    )


_MODEL_SEARCHES: Final[dict[str, dict[str, Any]]] = {
    "by default": {},
    "filtered and ordered": {"filter_string": "params.n = '1'", "order_by": [{"field_name": "name"}]},
    "by metric": {"filter_string": "metrics.score > 0.5"},
    "by metric of a dataset": {
        "filter_string": "metrics.score > 0.5",
        "datasets": [{"dataset_name": "train", "dataset_digest": "abc"}],
    },
    "a page": {"max_results": 1},
    "a syntax error": {"filter_string": "name ="},
    "a bad order": {"order_by": [{"field_name": "colour"}]},
}


def _search_logged_models(query: dict[str, Any]) -> Ask:
    return lambda d: d.client.search_logged_models([d.ids.work], **query)


def _create_logged_model(d: Door) -> Any:
    return d.client.create_logged_model(d.ids.work, "deep", d.ids.run, {"a": 1}, {"lr": 0.5}, "regressor")


# --- artifacts ------------------------------------------------------------------------------------------------------

_ONE_BY_ONE: Final = {HTTP: "log_artifact"}  # each file is a request
_NOT_DOWNLOADED: Final = "RESOURCE_DOES_NOT_EXIST"
_AS_FILE: Final = {PLUGIN: "log_artifact", HTTP: "log_artifact"}  # what a stream holds is a file first


def _list_artifacts(path: str) -> Ask:
    return lambda d: d.client.list_artifacts(d.ids.run, path)


def _artifacts() -> Iterator[Case]:
    yield Case("log_artifact", "a file", lambda d: d.client.log_artifact(d.ids.run, str(d.folder / "a.txt"), "in"))
    yield Case("log_artifact", "a text", lambda d: d.client.log_text(d.ids.run, "été", "folder/c.txt"))
    yield Case("log_artifact", "a dictionary", lambda d: d.client.log_dict(d.ids.run, {"a": [1]}, "d.json"))
    yield Case("log_artifact", "again", lambda d: d.client.log_text(d.ids.run, "new", "top.bin"))
    yield Case("log_artifact", "missing", lambda d: d.client.log_text(NOBODY, "x", "c.txt"))
    yield Case("log_artifact", "outside", lambda d: d.client.log_text(d.ids.run, "x", "../c.txt"))
    yield Case("log_artifact", "below a file", lambda d: d.client.log_text(d.ids.run, "x", "top.bin/c.txt"))
    yield Case(
        "log_artifact", "of a model", lambda d: d.client.log_model_artifact(d.ids.model, str(d.folder / "a.txt"))
    )
    yield Case(
        "log_artifacts",
        "a folder",
        lambda d: d.client.log_artifacts(d.ids.run, str(d.folder), "all"),
        arrives_as=_ONE_BY_ONE,
    )
    yield Case(
        "log_artifacts",
        "of a model",
        lambda d: d.client.log_model_artifacts(d.ids.model, str(d.folder)),
        arrives_as=_ONE_BY_ONE,
    )
    yield Case(
        "log_artifact_from_stream",
        "bytes",
        lambda d: d.client.log_stream(d.ids.run, io.BytesIO(b"123"), "s.bin"),
        arrives_as=_AS_FILE,
    )
    yield Case("list_artifacts", "all", lambda d: d.client.list_artifacts(d.ids.run))
    for name, path in {
        "in a folder": "folder",
        "of a file": "top.bin",
        "in no folder": "none",
        "of a model": "net",
    }.items():
        yield Case("list_artifacts", name, _list_artifacts(path), looks_among_models=True)
    yield Case(
        "list_artifacts", "outside", lambda d: d.client.list_artifacts(d.ids.run, ".."), own_words=_OF_THE_SERVER
    )
    yield Case("list_artifacts", "missing", lambda d: d.client.list_artifacts(NOBODY))
    yield Case("list_artifacts", "of a model by its id", lambda d: d.client.list_logged_model_artifacts(d.ids.model))
    yield Case(
        "download_artifacts",
        "a file",
        lambda d: d.read(d.client.download_artifacts(d.ids.run, "folder/a.txt")),
        hides_faults=_NOT_DOWNLOADED,
    )
    yield Case(
        "download_artifacts", "of a model", lambda d: d.read(d.client.download_artifacts(d.ids.run, "net/MLmodel"))
    )
    yield Case("download_artifacts", "a model", lambda d: d.read(d.client.download_artifacts(d.ids.run, "net")))
    yield Case("download_artifacts", "a folder", lambda d: d.read(d.client.download_artifacts(d.ids.run, "folder")))
    yield Case("download_artifacts", "all", lambda d: d.read(d.client.download_artifacts(d.ids.run, "")))
    yield Case("download_artifacts", "none", lambda d: d.read(d.client.download_artifacts(d.ids.run, "none.txt")))
    yield Case("delete_artifacts", "a file", lambda d: d.calls.delete_artifacts(d.ids.run, "top.bin"))
    yield Case("delete_artifacts", "a folder", lambda d: d.calls.delete_artifacts(d.ids.run, "folder"))
    yield Case("delete_artifacts", "all", lambda d: d.calls.delete_artifacts(d.ids.run, None))
    yield Case("delete_artifacts", "none", lambda d: d.calls.delete_artifacts(d.ids.run, "none"))


# --- registry -------------------------------------------------------------------------------------------------------


def _simple(call: str, *cases: tuple[Any, ...]) -> Iterator[Case]:
    """Yield a case for each tuple of a name and the arguments of a call of the client."""
    for name, *given in cases:
        yield Case(call, name, asked(call, *given))


def _registry() -> Iterator[Case]:
    yield from _simple(
        "create_registered_model",
        ("with everything", "new", {"n": 5}, "words"),
        ("taken", "forest"),
        ("a prompt", "new", {"mlflow.prompt.is_prompt": "true"}),
    )
    yield Case(
        "create_registered_model",
        "without a name",
        lambda d: d.client.create_registered_model(""),
        own_words=_OF_THE_SERVER,
    )
    yield from _simple("get_registered_model", ("there", "forest"), ("empty", "lake"), ("missing", "none"))
    for name, filter_string, *given in (
        ("by default", None),
        ("filtered and ordered", "name LIKE '%e%'", 10, ["name DESC"]),
        ("by tag", "tags.team = 'wood'"),
        ("a page", None, 1),
        ("a syntax error", "name == 'x'"),
        ("an unknown field", "colour = 'red'"),
        ("a bad order", None, 10, ["colour"]),
        ("a page of nothing", None, 0),
    ):
        yield Case(
            "search_registered_models",
            name,
            _search_registered_models(filter_string, given),
        )
    yield Case(
        "search_registered_models",
        "two pages",
        lambda d: _pages(d.client.search_registered_models, d.without_prompts(None), max_results=1),
    )
    yield from _simple("update_registered_model", ("there", "forest", "more trees"), ("missing", "none", "x"))
    # MLflow's client returns nothing, whatever its annotation says.
    yield Case(
        "rename_registered_model", "there", lambda d: d.client.rename_registered_model("forest", "wood") and None
    )
    yield from _simple(
        "rename_registered_model",
        ("to a taken name", "forest", "lake"),
        ("to nothing", "forest", " "),
        ("missing", "none", "x"),
    )
    yield from _simple("delete_registered_model", ("there", "forest"), ("missing", "none"))
    yield from _simple(
        "set_registered_model_tag",
        ("there", "forest", "k", 5),
        ("missing", "none", "k", 5),
        ("long", "forest", "k", "x" * 200_000),
    )
    yield from _simple(
        "delete_registered_model_tag",
        ("there", "forest", "team"),
        ("of no tag", "forest", "none"),
        ("missing", "none", "team"),
    )
    yield from _simple(
        "set_registered_model_alias",
        ("new", "forest", "first", "1"),
        ("moved", "forest", "best", "3"),
        ("bad", "forest", "latest", "1"),
        ("of no version", "forest", "first", "9"),
        ("missing", "none", "first", "1"),
    )
    yield from _simple(
        "delete_registered_model_alias",
        ("there", "forest", "best"),
        ("of none", "forest", "none"),
        ("missing", "none", "x"),
    )
    yield from _simple(
        "get_model_version_by_alias",
        ("there", "forest", "best"),
        ("of none", "forest", "none"),
        ("missing", "none", "x"),
    )
    yield Case("create_model_version", "with everything", _create_version)
    yield Case(
        "create_model_version",
        "of a logged model",
        lambda d: d.client.create_model_version("lake", f"models:/{d.ids.model}", model_id=d.ids.model),
        without=_RESOLVED,
    )
    yield Case(
        "create_model_version",
        "of a missing logged model",
        lambda d: d.client.create_model_version("lake", f"models:/{MISSING}", model_id=MISSING),
    )
    for case in _simple(
        "create_model_version",
        ("of another version", "lake", "models:/forest/1"),
        ("of a missing version", "lake", "models:/forest/9"),
    ):
        yield attrs.evolve(case, without=_RESOLVED)
    yield from _simple("create_model_version", ("missing", "none", "s3://bucket/here"))
    yield from _simple(
        "get_model_version", ("there", "forest", "1"), ("of none", "forest", "9"), ("bad", "forest", "x")
    )
    yield from _simple(
        "get_model_version_download_uri", ("there", "forest", "1"), ("of none", "forest", "9"), ("missing", "none", "1")
    )
    yield from _simple(
        "get_latest_versions",
        ("there", "forest"),
        ("of a stage", "forest", ["Production"]),
        ("of another case", "forest", ["production"]),
        ("of no stage", "forest", ["Winter"]),
        ("missing", "none"),
    )
    yield from _simple(
        "search_model_versions",
        ("by default",),
        ("filtered and ordered", "name = 'forest'", 10, ["version_number ASC"]),
        ("a page", None, 2),
        ("by run", f"run_id = '{NOBODY}'"),
        ("a syntax error", "name ="),
        ("an unknown field", "colour = 'red'"),
        ("a page of nothing", None, 0),
    )
    yield Case(
        "search_model_versions",
        "two pages",
        lambda d: _pages(d.client.search_model_versions, max_results=2),
    )
    yield from _simple(
        "update_model_version",
        ("there", "forest", "1", "old"),
        ("with nothing", "forest", "1"),
        ("of none", "forest", "9", "x"),
        ("missing", "none", "1", "x"),
    )
    yield from _simple(
        "transition_model_version_stage",
        ("there", "forest", "2", "Staging"),
        ("archiving", "forest", "2", "Production", True),
        ("of another case", "forest", "2", "staging"),
        ("to no stage", "forest", "2", "Winter"),
        ("of none", "forest", "9", "Staging"),
        ("missing", "none", "1", "Staging"),
    )
    yield from _simple(
        "delete_model_version", ("there", "forest", "2"), ("of none", "forest", "9"), ("missing", "none", "1")
    )
    yield from _simple(
        "set_model_version_tag",
        ("there", "forest", "1", "k", 5),
        ("of none", "forest", "9", "k", 5),
        ("missing", "none", "1", "k", 5),
        ("of a stage", "forest", None, "k", 5, "Production"),
    )
    yield from _simple(
        "delete_model_version_tag",
        ("there", "forest", "1", "n"),
        ("of no tag", "forest", "1", "x"),
        ("of none", "forest", "9", "n"),
        ("missing", "none", "1", "n"),
    )
    yield Case("create_model_version", "copied", lambda d: d.client.copy_model_version("models:/forest/1", "copy"))


def _search_registered_models(filter_string: str | None, given: list[Any]) -> Ask:
    return lambda d: d.client.search_registered_models(d.without_prompts(filter_string), *given)


def _nothing(answer: Any) -> None:
    """Leave an answer out."""


def _create_version(d: Door) -> Any:
    return d.client.create_model_version("lake", "s3://bucket/here", d.ids.run, {"a": 1}, "link", "first")


CASES: Final[tuple[Case, ...]] = (
    *_experiments(),
    *_runs(),
    *_logging(),
    *_logged_models(),
    *_artifacts(),
    *_registry(),
)
"""What is asked of clients."""


# --- scripts --------------------------------------------------------------------------------------------------------


def _script(call: str, name: str, ask: Ask, **more: Any) -> Case:
    return Case(call, name, ask, is_script=True, **more)


def _scripts() -> Iterator[Case]:
    yield from _scripts_about_experiments()
    yield from _scripts_about_runs()
    yield from _scripts_that_log()
    yield from _scripts_about_models()


def _scripts_about_experiments() -> Iterator[Case]:
    yield _script("create_experiment", "new", lambda d: d.module.create_experiment("new", tags={"a": "b"}))
    yield _script("create_experiment", "set", lambda d: d.module.set_experiment("new"))
    yield _script("get_experiment_by_name", "set", lambda d: d.module.set_experiment("work"))
    yield _script("get_experiment_by_name", "set and deleted", lambda d: d.module.set_experiment("archived"))
    yield _script("get_experiment_by_name", "there", lambda d: d.module.get_experiment_by_name("work"))
    yield _script("get_experiment", "set", lambda d: d.module.set_experiment(experiment_id=d.ids.other))
    yield _script("get_experiment", "there", lambda d: d.module.get_experiment(d.ids.other))
    yield _script("search_experiments", "all", lambda d: d.module.search_experiments())
    yield _script("search_experiments", "some", lambda d: d.module.search_experiments(max_results=2))
    yield _script("search_experiments", "refused", lambda d: d.module.search_experiments(filter_string="a ="))
    yield _script("delete_experiment", "there", lambda d: d.module.delete_experiment(d.ids.work))
    yield _script("restore_experiment", "deleted", lambda d: d.module.restore_experiment(d.ids.archived))
    yield _script("set_experiment_tag", "of the active one", _tag_experiment)
    yield _script("set_experiment_tag", "several", _tag_experiment_twice)
    yield _script("delete_experiment_tag", "of the active one", _untag_experiment)


def _tag_experiment(d: Door) -> None:
    d.module.set_experiment(experiment_id=d.ids.work)
    d.module.set_experiment_tag("n", 5)


def _tag_experiment_twice(d: Door) -> None:
    d.module.set_experiment(experiment_id=d.ids.work)
    d.module.set_experiment_tags({"n": 5, "m": 6})


def _untag_experiment(d: Door) -> None:
    d.module.set_experiment(experiment_id=d.ids.work)
    d.module.delete_experiment_tag("team")


def _start_run(name: str, **given: Any) -> Case:
    return _script("create_run", name, lambda d: d.module.start_run(experiment_id=d.ids.work, **given))


def _scripts_about_runs() -> Iterator[Case]:
    yield _start_run("by default")
    yield _start_run("with everything", run_name="named", tags={"a": "1"}, description="words")
    yield _start_run("of a named user", tags={"mlflow.user": "grace"})
    yield _start_run("with 60 tags", tags={f"t{number}": "x" for number in range(60)})
    yield _start_run("with a long tag", tags={"a": LONG})
    yield _script("create_run", "in the default experiment", lambda d: d.module.start_run())
    yield _script("create_run", "nested", _nested_runs)
    yield _script("create_run", "below a run", lambda d: _start_below(d, d.ids.child))
    yield _script("create_run", "below a deleted run", lambda d: _start_below(d, d.ids.deleted))
    yield _script("get_run", "resumed", lambda d: d.module.start_run(run_id=d.ids.child))
    yield _script("update_run_info", "resumed", lambda d: d.module.start_run(run_id=d.ids.child))
    yield _script("log_batch", "resumed", lambda d: d.module.start_run(run_id=d.ids.child, tags={"a": 1}))
    yield _script("get_run", "deleted and resumed", lambda d: d.module.start_run(run_id=d.ids.deleted))
    yield _script("get_run", "missing and resumed", lambda d: d.module.start_run(run_id=NOBODY))
    yield _script("update_run_info", "ended", _start_and_end)
    yield _script("update_run_info", "failed", _fail)
    yield _script("get_run", "last", _last_run)
    yield _script("get_run", "there", lambda d: d.module.get_run(d.ids.run))
    yield _script("get_run", "above another", lambda d: d.module.get_parent_run(d.ids.child))
    yield _script("delete_run", "there", lambda d: d.module.delete_run(d.ids.run))
    yield _script("restore_run", "deleted", lambda d: d.module.restore_run(d.ids.deleted))
    yield _script("search_runs", "a frame", lambda d: d.module.search_runs([d.ids.work]))
    yield _script("search_runs", "a frame of nothing", lambda d: d.module.search_runs([d.ids.other]))
    yield _script("search_runs", "a list", lambda d: d.module.search_runs([d.ids.work], output_format="list"))
    yield _script("search_runs", "by name", lambda d: d.module.search_runs(experiment_names=["work", "none"]))
    yield _script("search_runs", "everywhere", lambda d: d.module.search_runs(search_all_experiments=True))
    yield _script("search_runs", "in the active one", _search_active)
    for name, query in _RUN_SEARCHES.items():
        if not {"page_token", "max_results"} & query.keys():
            yield _script("search_runs", name, _search_frame(query))


def _search_frame(query: dict[str, Any]) -> Ask:
    return lambda d: d.module.search_runs([d.ids.work], **query)


def _nested_runs(d: Door) -> Any:
    # One of them is there before, and none ends: the server is told all times, and cannot move equal ones.
    d.module.start_run(run_id=d.ids.run)
    return d.module.start_run(experiment_id=d.ids.work, nested=True)


def _start_below(d: Door, run_id: str) -> Any:
    return d.module.start_run(experiment_id=d.ids.work, parent_run_id=run_id)


def _start_and_end(d: Door) -> None:
    d.module.start_run(run_id=d.ids.run)
    d.module.end_run("KILLED")


def _fail(d: Door) -> None:
    with d.module.start_run(run_id=d.ids.run):
        raise RuntimeError("no more")


def _last_run(d: Door) -> Any:
    with d.module.start_run(run_id=d.ids.run):
        ...
    return d.module.last_active_run()


def _search_active(d: Door) -> Any:
    d.module.set_experiment(experiment_id=d.ids.work)
    return d.module.search_runs()


def _in_run(ask: Ask) -> Ask:
    def asked(d: Door) -> Any:
        with d.module.start_run(run_id=d.ids.run):
            return ask(d)

    return asked


def _scripts_that_log() -> Iterator[Case]:
    yield _script("log_metric", "in a run", _in_run(lambda d: d.module.log_metric("loss", 0.5, step=4)))
    yield _script("log_metric", "of a run", lambda d: d.module.log_metric("loss", 0.5, run_id=d.ids.run))
    yield _script("log_metric", "in a new run", lambda d: d.module.log_metric("loss", 0.5))
    yield _script("log_batch", "metrics", _in_run(lambda d: d.module.log_metrics({"a": 1, "b": 2}, step=4)))
    yield _script("log_batch", "params", lambda d: d.module.log_params({"a": 1, "b": 2}, run_id=d.ids.run))
    yield _script("log_batch", "tags", _in_run(lambda d: d.module.set_tags({"a": 1, "b": 2})))
    yield _script("log_batch", "a long tag", _in_run(lambda d: d.module.set_tags({"a": LONG})))
    yield _script("log_param", "in a run", _in_run(lambda d: d.module.log_param("p", 5)))
    yield _script("log_param", "changed", _in_run(lambda d: d.module.log_param("lr", 5)))
    yield _script("set_tag", "in a run", _in_run(lambda d: d.module.set_tag("a", 1)))
    yield _script("delete_tag", "in a run", _in_run(lambda d: d.module.delete_tag("kind")))
    yield _script("delete_tag", "of none", _in_run(lambda d: d.module.delete_tag("none")))
    yield _script("log_inputs", "a dataset", _in_run(lambda d: d.module.log_input(_data(), "testing", {"a": "b"})))
    yield _script("log_inputs", "several", _in_run(lambda d: d.module.log_inputs([_data()], ["testing"], [None])))
    yield _script("log_inputs", "a model", _in_run(lambda d: d.module.log_input(model=_model_input(d, d.ids.pending))))
    yield _script("update_run_info", "with models as inputs", _in_run(_log_model_inputs))
    yield _script("log_outputs", "models", _in_run(lambda d: d.module.log_outputs([_model_output(d, d.ids.pending)])))
    yield _script("log_artifact", "a text", lambda d: d.module.log_text("été", "t.txt", run_id=d.ids.run))
    yield _script("log_artifact", "a dictionary", lambda d: d.module.log_dict({"a": 1}, "d.json", run_id=d.ids.run))
    yield _script("log_artifact", "a file", _in_run(lambda d: d.module.log_artifact(str(d.folder / "a.txt"), "in")))
    yield _script(
        "log_artifacts",
        "a folder",
        lambda d: d.module.log_artifacts(str(d.folder), "all", run_id=d.ids.run),
        arrives_as=_ONE_BY_ONE,
    )
    yield _script(
        "log_artifact_from_stream",
        "bytes",
        lambda d: d.module.log_stream(io.BytesIO(b"123"), "s.bin", run_id=d.ids.run),
        arrives_as=_AS_FILE,
    )
    yield _script("get_run", "with artifacts", _in_run(lambda d: d.module.get_artifact_uri("folder")))
    yield _script("list_artifacts", "all", lambda d: d.module.artifacts.list_artifacts(run_id=d.ids.run))
    yield _script(
        "list_artifacts",
        "in a folder",
        lambda d: d.module.artifacts.list_artifacts(f"runs:/{d.ids.run}/folder"),
        looks_among_models=True,
    )
    yield _script(
        "download_artifacts",
        "a text",
        lambda d: d.module.artifacts.load_text(f"runs:/{d.ids.run}/folder/a.txt"),
        hides_faults=_NOT_DOWNLOADED,
    )
    yield _script("download_artifacts", "none", lambda d: d.module.artifacts.load_text(f"runs:/{d.ids.run}/none.txt"))
    yield _script(
        "download_artifacts",
        "a folder",
        lambda d: d.read(d.module.artifacts.download_artifacts(run_id=d.ids.run, artifact_path="folder")),
    )


def _data() -> Any:
    dataset: Any = MetaDataset
    source: Any = HTTPDatasetSource
    return dataset(source("https://example.org/data.csv"), name="web")


def _log_model_inputs(d: Door) -> None:
    d.module.log_inputs(models=[_model_input(d, d.ids.pending)])


def _scripts_about_models() -> Iterator[Case]:
    yield _script("create_logged_model", "new", _initialize_model)
    yield _script("create_logged_model", "in a run", _in_run(lambda d: d.module.initialize_logged_model("deep")))
    yield _script("get_logged_model", "there", lambda d: d.module.get_logged_model(d.ids.model))
    yield _script("finalize_logged_model", "ready", lambda d: d.module.finalize_logged_model(d.ids.pending, "READY"))
    yield _script(
        "log_logged_model_params",
        "new",
        lambda d: d.module.log_model_params({"depth": 3}, d.ids.model),
        looks_first="get_logged_model",
    )
    yield _script(
        "set_logged_model_tags",
        "there",
        lambda d: d.module.set_logged_model_tags(d.ids.model, {"a": 1}),
        looks_first="get_logged_model",
    )
    yield _script("delete_logged_model_tag", "there", lambda d: d.module.delete_logged_model_tag(d.ids.model, "stage"))
    yield _script("search_logged_models", "a list", lambda d: _search_models(d))
    yield _script("search_logged_models", "filtered", lambda d: _search_models(d, "params.n = '1'"))
    yield _script("search_logged_models", "refused", lambda d: _search_models(d, "params.n ="))
    yield _script("create_registered_model", "of files", lambda d: d.module.register_model("s3://bucket/here", "new"))
    yield _script("create_model_version", "of files", lambda d: d.module.register_model("s3://bucket/here", "forest"))
    yield _script(
        "create_model_version",
        "of a logged model",
        lambda d: d.module.register_model(f"models:/{d.ids.model}", "new"),
        without=_RESOLVED,
    )
    yield _script(
        "create_model_version",
        "of a run",
        lambda d: d.module.register_model(f"runs:/{d.ids.run}/net", "new"),
        without=_RESOLVED,
    )
    yield _script(
        "create_model_version", "of nothing", lambda d: d.module.register_model(f"runs:/{d.ids.run}/none", "new")
    )
    yield _script(
        "search_registered_models", "all", lambda d: d.module.search_registered_models(None, d.without_prompts(None))
    )
    yield _script(
        "search_registered_models",
        "filtered",
        lambda d: d.module.search_registered_models(9, d.without_prompts("name LIKE '%e%'"), ["name DESC"]),
    )
    yield _script("search_model_versions", "all", lambda d: d.module.search_model_versions())
    yield _script("search_model_versions", "some", lambda d: d.module.search_model_versions(max_results=2))
    yield _script("set_model_version_tag", "there", lambda d: d.module.set_model_version_tag("forest", "1", "k", 5))


def _initialize_model(d: Door) -> Any:
    return d.module.initialize_logged_model(
        "deep", None, {"a": "1"}, {"lr": "0.5"}, "regressor", experiment_id=d.ids.work
    )


def _search_models(d: Door, filter_string: str | None = None) -> Any:
    return d.module.search_logged_models([d.ids.work], filter_string, output_format="list")


SCRIPTS: Final[tuple[Case, ...]] = tuple(_scripts())
"""What is asked of the functions of `mlflow`."""
