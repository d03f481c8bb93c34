"""The contents of a mock in layers, one for each scope that is open: what was logged in a scope is gone when it ends.

A scope is known by its depth: 1 is the widest. All scopes work on one store, as on a server. When a scope is opened, a
copy of the contents is kept; when it is closed, the contents are that copy again, and with it what wider scopes have
changed meanwhile. What these build on stays too, such as the experiment that the narrower scope has made and a run of
the wider one is in: nothing is lost that somebody wide may need.

Changes of the store are told by the store (`on_change`). Files, registered models and the settings of MLflow are
compared whenever another scope begins to work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from mlquery.backend import Backend
from mlquery.errors import StoreError
from mlquery.mocking.artifact_files import put_in_folder_of
from mlquery.store import Store
from mlquery.store.changes import AddRun, LogModelPoints, PutExperiment, PutModel, SetExperimentStage
from mlquery.store.registered_models import Entry
from mlquery.store.state import Change

if TYPE_CHECKING:
    from mlquery.mocking.mlflow_settings import Settings

WIDEST: Final = 1
_ID: Final = re.compile(r"m-[0-9a-f]{32}|[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Files = dict[tuple[str, str], bytes]


class LayeredMock(Protocol):
    """The mock whose contents are in layers."""

    @property
    def is_innermost(self) -> bool:
        """Whether MLflow works on this mock, and not on one inside it."""

    @property
    def backend(self) -> Backend:
        """The contents."""

    @property
    def store(self) -> Store:
        """The store among them."""

    def show(self, backend: Backend) -> None:
        """Replace the contents."""

    def settings(self) -> Settings:
        """Return what is set in MLflow, which works on this mock."""

    def put_settings(self, wanted: Settings) -> None:
        """Set in MLflow what is wanted and nothing else."""


@attrs.define
class Kept:
    """What wider scopes have changed while a narrower one was open; None stands for what was deleted."""

    changes: list[Change] = attrs.field(factory=list)
    files: dict[tuple[str, str], bytes | None] = attrs.field(factory=dict)
    models: dict[str, Entry | None] = attrs.field(factory=dict)
    models_before: dict[str, Entry | None] = attrs.field(factory=dict)
    settings: Settings = attrs.field(factory=dict)

    def clashes_with(self, other: Backend) -> Iterator[str]:
        """Yield what has the name of something else in other contents, which were the same before the changes."""
        experiments, present = other.store.experiments, other.registry.entries()
        for change in self.changes:
            if isinstance(change, PutExperiment):
                row = experiments.row_of_name.get(change.fields["name"])
                if row is not None and experiments.ids[row] != change.fields["experiment_id"]:
                    yield f"the experiment '{change.fields['name']}'"
        for name, before in self.models_before.items():
            if present.get(name) != before:
                yield f"the registered model '{name}'"

    def apply(self, backend: Backend) -> None:
        """Make the changes in other contents."""
        for change in self.changes:
            backend.store.write(change)
        for (owner, path), content in self.files.items():
            if content is None:
                backend.store.artifacts.delete(owner, path)
            else:
                backend.store.artifacts.put(owner, path, content)
        backend.registry.put_entries(self.models)

    def named(self) -> set[str]:
        """Return the ids that files, registered models and settings speak of."""
        experiment_id = self.settings.get(("name", "_active_experiment_id"))
        owners = {owner for owner, _ in self.files}
        return owners | _ids_in(repr([*self.models.values(), self.settings])) | {str(experiment_id)}


@attrs.define(eq=False)
class Layer:
    """A scope that is open.

    Attributes:
        depth: Of the scope.
        contents: The contents when it was opened, a copy.
        settings: What was set in MLflow then, None if another mock was active.
        made: The ids of the experiments, runs and models that were made in this scope and narrower ones.
        log: All changes of the store since, and whether a wider scope made them.
        kept: What wider scopes have changed since in other things.
    """

    depth: int
    contents: Backend
    settings: Settings | None
    made: set[str] = attrs.field(factory=set)
    log: list[tuple[bool, Change]] = attrs.field(factory=list)
    kept: Kept = attrs.field(factory=Kept)

    def lasting(self, files: Files) -> Kept:
        """Return all changes that last when the scope is closed; `files` are those that are there then."""
        needed = self.made & self.kept.named().union(*(_named_by(change) for is_wide, change in self.log if is_wide))
        known: set[str] = set()
        while needed != known:
            known = needed.copy()
            for is_wide, change in self.log:
                if not is_wide and _subject_of(change) in known:
                    needed |= self.made & _named_by(change)
        changes = [change for is_wide, change in self.log if is_wide or _subject_of(change) in needed]
        of_needed = {key: content for key, content in files.items() if key[0] in needed}
        return attrs.evolve(self.kept, changes=changes, files={**self.kept.files, **of_needed})


@attrs.frozen
class _Seen:
    """What was there when the scopes were last told apart."""

    sizes: tuple[int, int, int]
    files: Files
    models: dict[str, Entry]
    settings: Settings


class Layers:
    """The layers of one mock, the widest first; all calls come while MLflow works on that mock, or inside of others."""

    def __init__(self, mock: LayeredMock) -> None:
        self._mock = mock
        self._layers: list[Layer] = []
        self._depths = [WIDEST]  # of the scopes at work, the last one is working
        self._visitors: list[Kept] = []
        self._seen: _Seen | None = None
        mock.store.on_change = self._note

    def open(self, depth: int) -> None:
        """Open a scope, below all that are open."""
        self._tell_apart()
        settings = self._mock.settings() if self._mock.is_innermost else None
        self._layers.append(Layer(depth, self._mock.backend.clone(), settings))
        self._seen = self._now()

    def close(self) -> None:
        """Close the narrowest scope that is open."""
        self._tell_apart()
        layer = self._layers.pop()
        self._roll_back(layer)
        if layer.settings is not None and self._mock.is_innermost:
            self._mock.put_settings(layer.settings | layer.kept.settings)
        self._seen = self._now() if self._layers else None

    def enter(self, depth: int) -> None:
        """Let a scope work."""
        self._tell_apart()
        self._depths.append(depth)

    def leave(self) -> None:
        """Let the scope work that was working before."""
        self._tell_apart()
        self._depths.pop()

    def watch(self) -> Kept:
        """Return what is changed from now on, by whatever scope, until `unwatch`."""
        self._tell_apart()
        kept = Kept()
        self._visitors.append(kept)
        self._seen = self._now()
        return kept

    def unwatch(self) -> None:
        """Stop what `watch` has begun, and complete what it returned."""
        self._tell_apart()
        self._visitors.pop()

    def _roll_back(self, layer: Layer) -> None:
        """Go back to the contents before a scope, unless what lasts does not fit them."""
        old, new = self._mock.backend, layer.contents
        is_on_disk = old.store.memory_root is not None
        if is_on_disk:
            new.move_artifact_root(old.store.artifact_root)
        try:
            layer.lasting(self._seen.files if self._seen else {}).apply(new)
        except (KeyError, ValueError, StoreError):
            return
        if is_on_disk:
            put_in_folder_of(old, new)
        old.store.on_change, new.store.on_change = None, self._note
        self._mock.show(new)

    def _note(self, change: Change) -> None:
        for layer in self._layers:
            layer.log.append((layer.depth > self._depths[-1], change))
        for visitor in self._visitors:
            visitor.changes.append(change)

    def _listeners(self) -> list[Kept]:
        depth = self._depths[-1]
        return [*(layer.kept for layer in self._layers if layer.depth > depth), *self._visitors]

    def _tell_apart(self) -> None:
        """Note what the scope that is working has changed in files, registered models and settings."""
        if self._seen is None or not (self._layers or self._visitors):
            return
        before, after = self._seen, self._now()
        for kept in self._listeners():
            kept.files.update(_changed(before.files, after.files))
            kept.models.update(_changed(before.models, after.models))
            for name in kept.models:
                kept.models_before.setdefault(name, before.models.get(name))
            kept.settings.update(_changed(before.settings, after.settings))
        made = self._made_since(before.sizes)
        for layer in self._layers:
            if layer.depth <= self._depths[-1]:
                layer.made |= made
        self._seen = after

    def _now(self) -> _Seen:
        store, registry = self._mock.store, self._mock.backend.registry
        settings = self._mock.settings() if self._mock.is_innermost else {}
        return _Seen(self._sizes(), store.artifacts.contents(), registry.entries(), settings)

    def _sizes(self) -> tuple[int, int, int]:
        store = self._mock.store
        return len(store.experiments.ids), len(store.runs.ids), len(store.models.by_id)

    def _made_since(self, sizes: tuple[int, int, int]) -> set[str]:
        store = self._mock.store
        tables: tuple[Iterable[str], ...] = (store.experiments.ids, store.runs.ids, store.models.by_id)
        return {one for table, size in zip(tables, sizes, strict=True) for one in list(table)[size:]}


def _changed(before: dict[Any, Any], after: dict[Any, Any]) -> dict[Any, Any]:
    return {key: after.get(key) for key in before | after if before.get(key) != after.get(key)}


def _subject_of(change: Any) -> str:
    """Return the id of the experiment, run or model that a change is about."""
    match change:
        case AddRun():
            return str(change.fields["run_id"])
        case PutModel():
            return str(change.fields["model_id"])
        case PutExperiment():
            return str(change.fields["experiment_id"])
        case SetExperimentStage():
            return change.experiment_id
        case LogModelPoints():
            return change.model_id
    return str(getattr(change, "run_id", ""))


def _named_by(change: Any) -> set[str]:
    """Return the ids that a change speaks of; those of runs and models are found wherever they are."""
    experiment = {str(change.fields["experiment_id"])} if isinstance(change, AddRun | PutModel) else set()
    return _ids_in(repr(change)) | {_subject_of(change)} | experiment


def _ids_in(string: str) -> set[str]:
    return set(_ID.findall(string))
