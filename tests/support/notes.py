"""What a script saw that talks to MLflow or to this package, in plain values that can be compared.

Ids of runs and models, random names and the times of the clock are left out of the notes; error codes and wording are
in them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

NOTHING = "a" * 32
HINT = "\n\nThe cause of this error"  # what MLflow's client adds to every error of log_param


class Notes:
    """What a script saw, with ids replaced by the order in which they turned up."""

    def __init__(self, top: Path) -> None:
        self.seen: list[Any] = []
        self.top = top
        self._ids: dict[str, str] = {}

    def __call__(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make a call, note what it returns or raises, and return it; a refused search is noted without its words."""
        try:
            result = call(*args, **kwargs)
        except Exception as error:
            self.seen.append(self._error(error, is_search=call.__name__.startswith("search_")))
            return None
        self.seen.append(self.plain(result))
        return result

    def run(self, run: Any) -> str:
        """Give a run a name in the notes and return its id."""
        run_id: str = run.info.run_id
        self._ids[run_id] = f"run {len(self._ids)}"
        return run_id

    def model(self, model: Any) -> str:
        """Give a logged model a name in the notes and return its id."""
        model_id: str = model.model_id
        self._ids[model_id] = f"model {len(self._ids)}"
        return model_id

    def _error(self, error: Exception, is_search: bool) -> Any:
        code = getattr(error, "error_code", None)
        if is_search:
            return ("refused", code)
        message = str(error).partition(HINT)[0].partition(" Error: (sqlite3")[0].partition("operations: [")[0]
        return ("error", code, self._text(message)[:300])

    def _text(self, text: str) -> str:
        for known, name in self._ids.items():
            text = text.replace(known, name)
        text = text.replace("MlflowException(", "(").replace("StoreError(", "(")
        return re.sub(r"timestamp=\d{13}", "timestamp=now", text.replace(str(self.top), "top"))

    def plain(self, value: Any) -> Any:
        """Return a value made of tuples, lists and dictionaries, the same for entities of either package."""
        kind = type(value).__name__
        if kind in self._entities:
            return self._entities[kind](self, value)
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {key: self.plain(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.plain(each) for each in value] + ([value.token is None] if hasattr(value, "token") else [])
        if isinstance(value, float) and math.isnan(value):
            return "NaN"
        return value

    def _logged_model(self, model: Any) -> Any:
        about = (model.model_id, model.experiment_id, model.name, model.model_type, model.source_run_id)
        times = (self._time(model.creation_timestamp), self._time(model.last_updated_timestamp))
        rest = (str(model.status), model.tags, model.params, model.metrics, model.model_uri, model.status_message)
        return [self.plain(value) for value in (*about, *times, *rest)]

    def _registered_model(self, model: Any) -> Any:
        times = (self._time(model.creation_timestamp), self._time(model.last_updated_timestamp))
        versions = sorted((self.plain(version) for version in model.latest_versions), key=repr)
        return (model.name, *times, model.description, model.tags, model.aliases, versions)

    def _model_version(self, version: Any) -> Any:
        times = (self._time(version.creation_timestamp), self._time(version.last_updated_timestamp))
        about = (version.name, version.version, version.current_stage, version.description, version.status)
        rest = (version.source, version.run_id, version.run_link, version.tags, sorted(version.aliases))
        return (*times, *(self.plain(value) for value in (*about, *rest)))

    @staticmethod
    def _time(milliseconds: int | None) -> int | str | None:
        return "now" if milliseconds is not None and milliseconds > 10**12 else milliseconds

    def _run(self, run: Any) -> Any:
        info = run.info
        tags = {key: self._tag(key, value) for key, value in run.data.tags.items()}
        inputs = [
            (i.dataset.name, i.dataset.digest, {t.key: t.value for t in i.tags}) for i in run.inputs.dataset_inputs
        ]
        name = "random" if re.fullmatch(r"\w+-\w+-\d+", info.run_name or "") else info.run_name
        about = (self._text(info.run_id), info.experiment_id, info.user_id, info.status, info.lifecycle_stage, name)
        times = (self._time(info.start_time), self._time(info.end_time))
        return (about, times, self.plain(run.data.metrics), run.data.params, tags, inputs)

    def _tag(self, key: str, value: Any) -> Any:
        if key == "mlflow.runName" and re.fullmatch(r"\w+-\w+-\d+", value):
            return "random"
        return self._text(value) if isinstance(value, str) else value

    _entities: ClassVar[dict[str, Callable[[Notes, Any], Any]]] = {
        "Run": _run,
        "ActiveRun": _run,
        "Experiment": lambda self, e: (e.experiment_id, e.name, e.lifecycle_stage, self.plain(e.tags)),
        "Metric": lambda self, m: (m.key, self.plain(m.value), m.step, self._time(m.timestamp)),
        "FileInfo": lambda self, file: (file.path, file.is_dir, file.file_size),
        "RunOperations": lambda self, operations: "RunOperations",
        "LoggedModel": _logged_model,
        "LoggedModelInput": lambda self, found: {name: self.plain(value) for name, value in found},
        "LoggedModelOutput": lambda self, found: {name: self.plain(value) for name, value in found},
        "RegisteredModel": _registered_model,
        "ModelVersion": _model_version,
    }
