"""The registry's calls about model versions: create, read, change, move between stages, delete, tag.

**Source** of order, error codes and wording: `SqlAlchemyStore` of MLflow 3.17's model registry, on SQLite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlquery.entities.registry import DELETED_STAGE, ModelVersion
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.registry.registered_models import RegisteredModels
from mlquery.registry.sources import FindModel, LoggedModel, origin_of
from mlquery.registry.validation import (
    ACTIVE_STAGES,
    check_key,
    check_name,
    check_stage,
    check_stages,
    check_tag,
    check_tags,
    check_version,
)
from mlquery.store.registered_models import Entry


def _no_model(model_id: str) -> LoggedModel:
    """Raise the error about a logged model that does not exist."""
    raise StoreError(f"Logged model with ID '{model_id}' not found.", RESOURCE_DOES_NOT_EXIST)


class ModelVersions(RegisteredModels):
    """Calls about versions. Numbers may be strings; all raise RESOURCE_DOES_NOT_EXIST for a missing version."""

    def create_model_version(
        self,
        name: str,
        source: str | None,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        model_id: str | None = None,
        *,
        find_model: FindModel = _no_model,
    ) -> ModelVersion:
        """Create the next version of a model, with status READY, and return it.

        Args:
            name: A registered model.
            source: Where its files are; may be another version ("models:/name/1") or a logged model ("models:/<id>").
            run_id: The run that created it; by default that of the logged model.
            tags: Tags of the version.
            run_link: A link to the run.
            description: The description of the version.
            model_id: The logged model whose run is taken if neither `run_id` nor `source` names one.
            find_model: Finds a logged model by its id.

        Raises: INVALID_PARAMETER_VALUE for a bad name or tag, RESOURCE_DOES_NOT_EXIST for a missing model,
            INTERNAL_ERROR for a source below `models:` that does not exist.
        """
        check_name(name)
        checked = check_tags(tags)
        location, run_id = origin_of(source, run_id, model_id, find_model, self.get_model_version_download_uri)
        with self.writing:
            entry, time = self._entry(name), self._time()
            number = max(entry.versions, default=0) + 1
            self._put_model(entry.model, last_updated_timestamp=time)
            new = ModelVersion(
                name,
                number,
                time,
                time,
                description,
                source=source,
                run_id=run_id,
                tags=checked,
                run_link=run_link,
                storage_location=location,
            )
            self._put_version(new)
            return new

    def get_model_version(self, name: str, version: str | int) -> ModelVersion:
        """Return a version."""
        with self.lock:
            entry, found = self._version(name, version)
            return entry.with_aliases(found)

    def get_model_version_download_uri(self, name: str, version: str | int | None) -> str | None:
        """Return where the files of a version are."""
        with self.lock:
            _, found = self._version(name, version)  # type: ignore[arg-type]  # None is refused there
            return found.storage_location or found.source

    def get_latest_versions(
        self, name: str, stages: Iterable[str] | None = None, *, any_case: bool = True
    ) -> list[ModelVersion]:
        """Return the newest version of each of the stages, by default of all."""
        with self.lock:
            entry = self._entry(name)
            wanted = check_stages(stages, any_case)
            return [entry.with_aliases(found) for found in entry.latest() if found.current_stage in wanted]

    def update_model_version(self, name: str, version: str | int, description: str | None = None) -> ModelVersion:
        """Set the description of a version, or remove it with None, and return the version."""
        with self.writing:
            entry, found = self._version(name, version)
            return self._change(entry, found, description=description, last_updated_timestamp=self._time())

    def transition_model_version_stage(
        self,
        name: str,
        version: str | int,
        stage: str,
        archive_existing_versions: bool = False,
        *,
        any_case: bool = True,
    ) -> ModelVersion:
        """Move a version to a stage and return it, on request archiving the versions already in that stage.

        Raises: INVALID_PARAMETER_VALUE for an unknown stage, INTERNAL_ERROR for `archive_existing_versions` with a
            stage other than Staging and Production.
        """
        canonical = check_stage(stage, any_case)
        if archive_existing_versions and canonical not in ACTIVE_STAGES:
            raise StoreError(
                "Model version transition cannot archive existing model versions because "
                f"'{stage}' is not an Active stage. Valid stages are {ACTIVE_STAGES}"
            )
        with self.writing:
            entry, moved = self._version(name, version)
            time = self._time()
            others = [v for v in entry.active if v.current_stage == canonical and v.version != moved.version]
            for other in others if archive_existing_versions else ():
                self._change(entry, other, current_stage="Archived", last_updated_timestamp=time)
            self._put_model(entry.model, last_updated_timestamp=time)
            return self._change(entry, moved, current_stage=canonical, last_updated_timestamp=time)

    def delete_model_version(self, name: str, version: str | int) -> None:
        """Delete a version and its aliases; its number is not used again."""
        check_version(version)
        with self.writing:
            entry, found = self._version(name, version)
            time = self._time()
            aliases = {alias: number for alias, number in entry.model.aliases.items() if number != found.version}
            self._put_model(entry.model, aliases=aliases, last_updated_timestamp=time)
            about = (name, found.version, found.creation_timestamp, time)
            self._put_version(ModelVersion(*about, current_stage=DELETED_STAGE, tags=found.tags))

    def set_model_version_tag(self, name: str, version: str | int, key: str, value: Any) -> None:
        """Set a tag of a version."""
        check_name(name)
        check_version(version)
        checked = check_tag(key, value)
        with self.writing:
            entry, found = self._version(name, version)
            self._change(entry, found, tags={**found.tags, **dict([checked])})

    def delete_model_version_tag(self, name: str, version: str | int, key: str) -> None:
        """Delete a tag of a version, if it exists."""
        check_name(name)
        check_version(version)
        check_key(key)
        with self.writing:
            entry, found = self._version(name, version)
            self._change(entry, found, tags={name: value for name, value in found.tags.items() if name != key})

    def _change(self, entry: Entry, version: ModelVersion, **changes: Any) -> ModelVersion:
        self._put_version(version, **changes)
        return entry.with_aliases(entry.versions[version.version])
