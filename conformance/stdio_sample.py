"""A program that runs conformance cases for `mlquery conformance --stdio`: JSON lines in, JSON lines out.

    mlquery conformance --stdio "python conformance/stdio_sample.py"

What it asks is mlquery itself, through nothing but its clients; take it as a model for a server of your own, in any
language. IMPLEMENTING.md describes the messages.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
import warnings
from typing import Any

import mlquery
from mlquery.mocking import Clock
from mlquery.registry import Registry

WARNED_OF = re.compile(r"\[([\w.-]+)\]$")


class Server:
    """A new, empty server, its client, and the ids of everything that a case names."""

    def __init__(self, dialect: str) -> None:
        self.clock = Clock(1_600_000_000_000)
        guids = mlquery.MATRIX.dialect(dialect).behaves("id.guid")
        store, registry = mlquery.Store(clock=self.clock, guid_ids=guids), Registry(self.clock)
        self.client = mlquery.Client(store, dialect, registry=registry)
        self.ids = {f"experiment.{e.name}": e.experiment_id for e in self.client.search_experiments()}

    def call(self, name: str, /, **arguments: Any) -> Any:
        """Make a call of MlflowClient, with `${run.x}` replaced by ids and tables by entities."""
        self.clock.set(self.clock())  # a time that the clock says again is meant to be the same
        arguments = {key: value for key, value in self.filled(arguments).items() if value is not None}
        if name == "log_batch":
            for key, kind in (("metrics", mlquery.Metric), ("params", mlquery.Param), ("tags", mlquery.RunTag)):
                arguments[key] = [kind(**table) for table in arguments.get(key, ())]
        return getattr(self.client, name)(**arguments)

    def filled(self, value: Any) -> Any:
        match value:
            case str():
                return re.sub(r"\$\{([^}]*)\}", lambda found: self.ids[found[1]], value)
            case list():
                return [self.filled(part) for part in value]
            case dict():
                return {key: self.filled(part) for key, part in value.items()}
        return value

    def fill(self, store: dict[str, Any]) -> None:
        """Create the contents of a store of the suite, in order."""
        for experiment in store["experiments"]:
            self.clock.set(experiment["creation_time"])
            made = self.call(
                "create_experiment",
                name=experiment["name"],
                artifact_location=experiment["artifact_location"],
                tags=experiment["tags"],
            )
            self.ids[f"experiment.{experiment['id']}"] = made
            if experiment["last_update_time"] != experiment["creation_time"] and not experiment["deleted"]:
                self.clock.set(experiment["last_update_time"])
                self.call("delete_experiment", experiment_id=made)
                self.call("restore_experiment", experiment_id=made)
        caller = self.client.backend.user
        for run in store["runs"]:
            self.add_run(run)
        self.client.backend.user = caller
        for run in store["runs"]:
            if run["deleted"]:
                self.call("delete_run", run_id=self.ids[f"run.{run['id']}"])
        for experiment in store["experiments"]:
            if experiment["deleted"]:
                self.clock.set(experiment["last_update_time"])
                self.call("delete_experiment", experiment_id=self.ids[f"experiment.{experiment['id']}"])
        self.add_models(store["models"], store["versions"])

    def add_run(self, run: dict[str, Any]) -> None:
        service = self.client.backend
        if service.user is not None:  # it sets the user of a run to the caller, so that the caller has to change
            service.user = run["tags"].get("mlflow.user", "unknown")
        given = {key: run[key] for key in ("start_time", "tags", "run_name")}
        made = self.call("create_run", experiment_id=self.ids[f"experiment.{run['experiment']}"], **given)
        run_id = self.ids[f"run.{run['id']}"] = made.info.run_id
        self.call("log_batch", run_id=run_id, params=[{"key": k, "value": v} for k, v in run["params"].items()])
        for point in run["metrics"]:
            self.call("log_metric", run_id=run_id, **{**point, "value": float(point["value"])})
        inputs = [
            mlquery.DatasetInput(
                mlquery.Dataset(dataset["name"], dataset["digest"], "local", "{}"),
                [mlquery.InputTag("mlflow.data.context", dataset["context"])] if dataset["context"] is not None else [],
            )
            for dataset in run["datasets"]
        ]
        if inputs:
            self.client.log_inputs(run_id, inputs)
        if run["end_time"] is not None:
            self.call("set_terminated", run_id=run_id, status=run["status"], end_time=run["end_time"])
        else:
            self.call("update_run", run_id=run_id, status=run["status"])

    def add_models(self, models: list[dict[str, Any]], versions: list[dict[str, Any]]) -> None:
        for model in models:
            self.clock.set(model["time"])
            self.call("create_registered_model", name=model["id"], description=model["description"])
            self.ids[f"registered_model.{model['id']}"] = model["id"]
        for version in versions:
            self.clock.set(version["time"])
            name = version["model"]
            given = {key: version[key] for key in ("source", "run_id", "description")}
            number = self.call("create_model_version", name=name, **given).version
            self.ids[f"model_version.{version['id']}"] = f"{name}/{number}"
            for key, value in version["tags"].items():
                self.call("set_model_version_tag", name=name, version=number, key=key, value=value)
            if version["deleted"]:
                self.call("delete_model_version", name=name, version=number)
        for model in models:
            for key, value in model["tags"].items():
                self.call("set_registered_model_tag", name=model["id"], key=key, value=value)

    def search(self, asked: dict[str, Any]) -> list[list[str]]:
        """Return the ids of what is found, page by page; one page unless the case walks through all of them."""
        asked, pages, token = self.filled(asked), [], asked["page_token"]
        while True:
            page = self.page(asked, token)
            pages.append([id_of(item) for item in page])
            token = page.token
            if not (asked["walk"] and token):
                return pages

    def page(self, asked: dict[str, Any], token: str | None) -> Any:
        view = mlquery.ViewType.from_string(asked["view"].lower())
        query, limit, order_by = asked["filter"], asked["max_results"], asked["order_by"]
        match asked["entity"]:
            case "run":
                known = [identifier for name, identifier in self.ids.items() if name.startswith("experiment.")]
                where = known if asked["experiment_ids"] is None else asked["experiment_ids"]
                return self.client.search_runs(where, query, view, limit, order_by, token)
            case "experiment":
                return self.client.search_experiments(view, limit, query, order_by, token)
            case "registered_model":
                return self.client.search_registered_models(query, limit, order_by, token)
        return self.client.search_model_versions(query, limit, order_by, token)


def id_of(made: Any) -> str:
    """Return the id of what a call returned; that of a model is its name, that of a version `name/number`."""
    if isinstance(made, str):
        return made
    if hasattr(made, "info"):
        return str(made.info.run_id)
    if hasattr(made, "latest_versions"):
        return str(made.name)
    return f"{made.name}/{made.version}" if hasattr(made, "version") else made.experiment_id


def plain(result: Any) -> Any:
    """Return what a call returned: a run's data, the values of points, the paths of files, a name."""
    if isinstance(result, list):
        return [plain(part) for part in result]
    if hasattr(result, "data"):
        return {"metrics": result.data.metrics, "params": result.data.params}
    return next(getattr(result, name) for name in ("value", "path", "name") if hasattr(result, name))


def answer(case: dict[str, Any], store: dict[str, Any], dialect: str) -> dict[str, Any]:
    """Fill a new server, make the calls of the case, search, and tell it all by the names of the case."""
    server = Server(dialect)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server.fill(store)
    told = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for call in case["calls"]:
                told.append(tell_call(server, call))
            pages = server.search(case["search"])
        except (mlquery.QueryError, mlquery.StoreError) as error:
            refused: dict[str, Any] = {"error": problems(error)[0], "also": problems(error)[1:], "calls": told}
            return refused
    of_entity = f"{case['search']['entity']}."
    ids = {key.removeprefix(of_entity): value for key, value in server.ids.items() if key.startswith(of_entity)}
    names = {identifier: name for name, identifier in ids.items()}
    found = [[names.get(identifier, identifier) for identifier in page] for page in pages]
    return {"pages": found, "ids": ids, "calls": told, "warns": warned_of(caught)}


def tell_call(server: Server, call: dict[str, Any]) -> dict[str, Any]:
    try:
        result = server.call(call["call"], **call["arguments"])
    except mlquery.StoreError as error:
        if call["may_fail"]:
            return {"error_code": error.error_code}
        raise
    if call["as"]:
        server.ids[call["as"]] = id_of(result)
    return {"returned": plain(result)} if call["returns"] else {}


def problems(error: Any) -> list[dict[str, Any]]:
    """Return what a refusal says. An implementation that has error codes only sends `error_code` only."""
    if isinstance(error, mlquery.StoreError):
        return [{"error_code": error.error_code, "feature": error.feature}]
    return [
        {
            "error_code": found.error_code,
            "code": found.code,
            "feature": found.feature,
            "argument": found.argument,
            "span": [found.span.start, found.span.stop],
        }
        for found in error.diagnostics
    ]


def warned_of(caught: list[warnings.WarningMessage]) -> list[str]:
    lines = [str(warning.message).partition("\n")[0] for warning in caught]
    return sorted({found[1] if (found := WARNED_OF.search(line)) else line for line in lines})


def main() -> None:
    dialect = ""
    for line in sys.stdin:
        message = json.loads(line)
        match message["cmd"]:
            case "start":
                dialects = list(mlquery.MATRIX.dialects)
                about = {"name": "mlquery", "product_version": mlquery.__version__, "language": "Python"}
                reply = {"version": 1, **about, "dialects": dialects}
            case "dialect":
                dialect = message["dialect"]
                reply = {"ok": dialect in mlquery.MATRIX.dialects}
            case "run":
                try:
                    reply = answer(message["case"], message["store"], dialect)
                except Exception:
                    reply = {"errored": traceback.format_exc()}
                reply["seq"] = message["seq"]
            case "stop":
                return
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
