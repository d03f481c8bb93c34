"""Sends registered models to a target: creates what is missing, then sets what differs.

A server numbers versions itself: they are sent in the order of their numbers here, and have the next free numbers
there, which the store remembers. Runs, logged models and versions that a version refers to are named as on the target.
What others have set on the target, before the first push of a model, stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from urllib.parse import urlsplit

import attrs

from mlquery.durable.entries import encode
from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.registry.sources import parse_model_uri
from mlquery.store.registered_models import Entry
from mlquery.sync.limit_violations import LimitViolation, TargetLimits
from mlquery.sync.mlflow_registry import INCOMPLETE_TAG, Origin
from mlquery.sync.pushed import Pushed
from mlquery.sync.sending import Sender

MODEL, VERSION = "registered_model", "model_version"


@attrs.frozen
class RegistryPart:
    """A registered model and those of its versions that are to be sent, or that a source has."""

    model: RegisteredModel
    versions: tuple[ModelVersion, ...]


def version_id(version: ModelVersion) -> str:
    """Return what identifies a version in a store: the name of its model and its number."""
    return f"{version.name}/{version.version}"


def digest_of_version(version: ModelVersion) -> str:
    """Return a digest of what can change in a version, its aliases excepted."""
    tags = sorted(item for item in version.tags.items() if item[0] != INCOMPLETE_TAG)
    return _digest([version.description or "", version.current_stage, tags])


def digest_of_model(model: RegisteredModel) -> str:
    """Return a digest of what can change in a registered model."""
    return _digest([model.description or "", sorted(model.tags.items()), sorted(model.aliases.items())])


def _digest(content: list[object]) -> str:
    return blake2b(encode(content).encode(), digest_size=12).hexdigest()


def parts_to_send(pushed: Pushed, runs: Iterable[str] | None) -> Iterator[RegistryPart]:
    """Yield the registered models that are new or changed, each with the versions that are.

    Args:
        pushed: What the target has.
        runs: The runs whose versions are chosen; None for all versions.
    """
    chosen = None if runs is None else frozenset(runs)
    with pushed.store.lock:
        entries = [Entry(entry.model, entry.versions.copy()) for entry in pushed.store.registered_models.values()]
    for entry in entries:
        part = part_of(entry, chosen)
        versions = tuple(version for version in part.versions if not _is_sent(pushed, version))
        known = pushed.known(MODEL, entry.model.name)
        is_chosen = chosen is None or bool(part.versions)
        if versions or (is_chosen and (known is None or known[1] != digest_of_model(part.model))):
            yield RegistryPart(part.model, versions)


def part_of(entry: Entry, chosen: frozenset[str] | None) -> RegistryPart:
    """Return a model with its chosen versions and the aliases of these; a deleted one counts if it was pushed."""
    versions = [found for _, found in sorted(entry.versions.items()) if chosen is None or found.run_id in chosen]
    numbers = {found.version for found in versions if not found.is_deleted}
    aliases = {alias: number for alias, number in entry.model.aliases.items() if number in numbers}
    return RegistryPart(attrs.evolve(entry.model, aliases=aliases), tuple(versions))


def _is_sent(pushed: Pushed, version: ModelVersion) -> bool:
    known = pushed.known(VERSION, version_id(version))
    if known is None:
        return version.is_deleted
    return known[1] == digest_of_version(version)


def violations_of_part(part: RegistryPart, allowed: TargetLimits) -> Iterator[LimitViolation]:
    """Yield what a target does not take of a registered model."""
    if part.model.aliases and not allowed.supports_aliases:
        owner = f"registered model {part.model.name!r}"
        yield LimitViolation(owner, "aliases, which this target does not support", len(part.model.aliases), 0)


def send_part(sender: Sender, part: RegistryPart) -> None:
    """Send a registered model with those of its versions that are new or changed."""
    registry, model = sender.target.registry, part.model
    known = sender.known(MODEL, model.name)
    found = registry.find(model.name)
    is_new = found is None
    if found is None:
        sender.remember(MODEL, model.name, "")
        registry.create_model(sender.target.create, attrs.evolve(model, aliases={}))
        found = registry.find(model.name) or model
        sender.done.registered_models += 1
    is_own = is_new or (known is not None and bool(known[0]))
    if known is None or not known[0]:
        sender.remember(MODEL, model.name, model.name)
    for version in part.versions:
        _send_version(sender, version)
    tags = {key: value for key, value in model.tags.items() if found.tags.get(key) != value}
    if not is_own:
        tags = {key: value for key, value in tags.items() if key not in found.tags}
    is_described = bool(found.description) and not is_own
    description = model.description if not is_described and model.description != found.description else None
    registry.update_model(model.name, description, tags)
    for alias, number in model.aliases.items() if sender.allowed.supports_aliases else ():
        there = _number_there(sender, f"{model.name}/{number}")
        present = found.aliases.get(alias)
        if there is not None and present != there and (present is None or is_own):
            registry.set_alias(model.name, alias, there)
    sender.remember(MODEL, model.name, model.name, digest_of_model(model))


def _send_version(sender: Sender, version: ModelVersion) -> None:
    own_id, registry = version_id(version), sender.target.registry
    known, digest = sender.known(VERSION, own_id), digest_of_version(version)
    if known is None or not known[0]:
        if version.is_deleted:
            return
        if known is None:
            sender.remember(VERSION, own_id, "")
        tags = {**version.tags, INCOMPLETE_TAG: sender.mark(own_id)}
        origin = origin_there(sender, version)
        number = registry.create_version(sender.target.create, version, origin, tags)
        sender.remember(VERSION, own_id, f"{version.name}/{number}")
        present = attrs.evolve(version, version=number, current_stage="None", tags=tags)
        sender.done.versions += 1
    else:
        number = int(known[0].rpartition("/")[2])
        there = registry.find_version(version.name, number)
        if there is None:  # deleted there
            sender.remember(VERSION, own_id, known[0], digest)
            return
        present = there
    if version.is_deleted:
        registry.delete_version(version.name, number)
    else:
        registry.update_version(present, version.description, version.current_stage, version.tags)
    sender.remember(VERSION, own_id, f"{version.name}/{number}", digest)


def _number_there(pushed: Pushed, own_id: str) -> int | None:
    known = pushed.known(VERSION, own_id)
    return int(known[0].rpartition("/")[2]) if known is not None and known[0] else None


def origin_there(sender: Sender, version: ModelVersion) -> Origin:
    """Return what a version was made of, named as on the target."""
    source, runs = version.source or "", sender.ids("run")
    run_id = runs.get(version.run_id, version.run_id) if version.run_id else None
    scheme = urlsplit(source).scheme
    if scheme == "runs":
        own, slash, path = source.removeprefix("runs:").lstrip("/").partition("/")
        return Origin(f"runs:/{runs.get(own, own)}{slash}{path}", run_id)
    if scheme == "models":
        uri = parse_model_uri(source)
        if uri.model_id is not None:
            model_id = sender.ids("model").get(uri.model_id)
            if model_id is None:
                return Origin(source, run_id, uri.model_id)
            location = sender.target.model(model_id).model.artifact_location
            return Origin(f"models:/{model_id}", run_id, model_id, location)
        number = _number_there(sender, f"{uri.name}/{uri.suffix}")
        return Origin(source if number is None else f"models:/{uri.name}/{number}", run_id)
    for own, there, model_id in _locations(sender, source):
        if source == own or source.startswith(f"{own}/"):
            return Origin(there + source[len(own) :], run_id, model_id)
    return Origin(source, run_id)


def _locations(sender: Sender, source: str) -> Iterator[tuple[str, str, str | None]]:
    """Yield where a pushed run or model has its files here and on the target, if a source has its id; and the model."""
    store, parts, runs, models = sender.store, source.split("/"), sender.ids("run"), sender.ids("model")
    for own_id in parts:
        if own_id in runs and own_id in store.runs.row_of:
            own = store.runs.artifact_uri(store.runs.row_of[own_id])
            yield own or "", sender.target.run_location(runs[own_id]), None
        if own_id in models and own_id in store.models.by_id:
            location = sender.target.model(models[own_id]).model.artifact_location
            yield store.models.by_id[own_id].artifact_location, location, models[own_id]


def settle_versions(sender: Sender) -> None:
    """Adopt versions that an interrupted push created without recording it, and delete those created twice."""
    names = sorted({own_id.rpartition("/")[0] for own_id in sender.local_ids(VERSION)})
    for version in sender.target.registry.incomplete_versions(names) if names else ():
        if sender.is_duplicate(VERSION, version.tags[INCOMPLETE_TAG], version_id(version)):
            sender.target.registry.delete_version(version.name, version.version)
