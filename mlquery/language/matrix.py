"""The support matrix: read `matrix.toml`, and tell what a dialect does with a use. Independent of queries and data.

A `Use` is what one part of a query or a call does. A `Feature` is a set of patterns over uses with one cell per
dialect. A use is supported unless a feature that matches it says otherwise. All knowledge of dialects is in that file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pkgutil import get_data
from typing import Any

import attrs

from mlquery.errors import StoreError
from mlquery.language.features import Cell, Feature, Field, Pattern, State, Use, closest

DEFAULT_DIALECT = "oss"
_STRICTEST = ("no", "silent", "yes")


@attrs.frozen
class Verdict:
    """What a dialect does with a use, and the feature and cell that decided: its cell or an exception of that."""

    state: State
    feature: Feature
    cell: Cell
    is_exception: bool = False


@attrs.frozen(slots=False, eq=False)
class Dialect:
    """One column of the matrix. `release` is the version of the software if the column is about one version only.

    `is_local` marks the one that mlquery itself defines, for what no service has.
    """

    name: str
    title: str
    summary: str
    features: tuple[Feature, ...] = attrs.field(repr=False)
    fields: tuple[Field, ...] = attrs.field(repr=False)
    query_limits: Mapping[str, Any] = attrs.field(factory=dict)
    write_limits: Mapping[str, Mapping[str, int]] = attrs.field(factory=dict)
    messages: Mapping[str, str] = attrs.field(factory=dict)
    job_statuses: Mapping[str, str] = attrs.field(factory=dict)
    service: Mapping[str, Any] = attrs.field(factory=dict)
    logged_models: Mapping[str, Any] = attrs.field(factory=dict)
    client: Mapping[str, Any] = attrs.field(factory=dict)
    release: str | None = None
    aliases: tuple[str, ...] = ()
    is_local: bool = False

    @cached_property
    def _verdicts(self) -> dict[Use, Verdict | None]:
        return {}

    def verdict(self, use: Use) -> Verdict | None:
        """Return the strictest verdict on a use; None if no feature matches it."""
        return self._strictest(use)

    def supports(self, use: Use) -> bool:
        """Tell whether no feature refuses a use, which is only mentioned: unlike for `verdict`, no query has it."""
        verdict = self._strictest(use)
        return verdict is None or verdict.state != "no"

    def _strictest(self, use: Use) -> Verdict | None:
        if use not in self._verdicts:
            found = [self._verdict_of(feature, use) for feature in self.features if feature.matches(use)]
            self._verdicts[use] = min(found, key=lambda v: _STRICTEST.index(v.state), default=None)
        return self._verdicts[use]

    def _verdict_of(self, feature: Feature, use: Use) -> Verdict:
        general = feature.cells[self.name]
        cell = general.for_use(use)
        return Verdict(cell.state, feature, cell, cell is not general)

    @cached_property
    def _behaviours(self) -> frozenset[str]:
        return frozenset(f.id for f in self.features if f.is_behaviour and f.cells[self.name].state != "no")

    def behaves(self, feature_id: str) -> bool:
        """Tell whether the dialect has a behaviour, a feature with the clause "behaviour"."""
        return feature_id in self._behaviours

    def claims(self, uri: str) -> bool:
        """Tell whether a tracking URI has a scheme of this service, or the path of one of its workspaces."""
        scope = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(self.service.get("scope", "")))
        is_scope = bool(scope) and re.search(scope, uri, re.IGNORECASE) is not None
        return is_scope or uri.partition(":")[0].lower() in self.service.get("schemes", ())

    @property
    def enforced_limits(self) -> Mapping[str, int]:
        """Return the limits on writes that the dialect has."""
        behaving = (limits for feature_id, limits in self.write_limits.items() if self.behaves(feature_id))
        return {name: limit for limits in behaving for name, limit in limits.items()}

    @cached_property
    def _fields_by_name(self) -> dict[tuple[str, str, str], Field]:
        named = {(f.entity, clause, f.key): f for f in self.fields for clause in f.clauses}
        named |= {(f.entity, "filter", alias): f for f in self.fields for alias in f.filter_aliases}
        return named | {(f.entity, "order", alias): f for f in self.fields for alias in f.order_aliases}

    def field(self, entity: str, clause: str, key: str) -> Field | None:
        """Return the attribute that a clause calls `key`, None if there is none."""
        return self._fields_by_name.get((entity, clause, key))

    def require_call(self, call: str, entity: str = "run") -> Verdict | None:
        """Return the verdict on a call such as "rename_experiment".

        Raises:
            StoreError: the dialect does not support the call.
        """
        verdict = self.verdict(Use(entity, "call", key=call))
        if verdict is not None and verdict.state == "no":
            feature = verdict.feature
            instead = f"; instead: {feature.instead}" if feature.instead else ""
            message = f"{self.name} does not support {call}  [{feature.id}]{instead}"
            raise StoreError(message, verdict.cell.error_code, feature.id)
        return verdict


@attrs.frozen(slots=False)
class Matrix:
    """The whole matrix: features in the order of the file, dialects and sources.

    `footnotes` are those of the Azure page, by number.
    """

    features: tuple[Feature, ...]
    dialects: Mapping[str, Dialect]
    sources: Mapping[str, str]
    footnotes: Mapping[int, str] = attrs.field(factory=dict)

    def dialect(self, name: str | Dialect) -> Dialect:
        """Return a dialect by name; a dialect is returned unchanged.

        Raises:
            ValueError: there is no dialect with that name.
        """
        if isinstance(name, Dialect):
            return name
        found = self.dialects.get(name) or next((d for d in self.dialects.values() if name in d.aliases), None)
        if found is None:
            raise self._unknown_dialect(name)
        return found

    @property
    def local_dialect(self) -> Dialect:
        """Return the dialect of what no service has."""
        return next(dialect for dialect in self.dialects.values() if dialect.is_local)

    def dialect_of_uri(self, uri: str) -> Dialect:
        """Return the dialect of the servers with tracking URIs like this one."""
        return self.claiming_dialect(uri) or self.default_dialect

    def claiming_dialect(self, uri: str) -> Dialect | None:
        """Return the dialect of which a tracking URI has a scheme or the path of a workspace; None if there is none."""
        return next((d for d in self.dialects.values() if d.release is None and d.claims(uri)), None)

    @property
    def default_dialect(self) -> Dialect:
        """Return the dialect of MLflow's newest release."""
        return self.dialects[DEFAULT_DIALECT]

    def releases(self) -> dict[tuple[int, ...], Dialect]:
        """Return the dialects of MLflow's releases, by the numbers of these."""
        named = {name: dialect for dialect in self.dialects.values() for name in (dialect.name, *dialect.aliases)}
        releases = {name.partition(":")[2]: d for name, d in named.items() if name.startswith(f"{DEFAULT_DIALECT}:")}
        return {
            tuple(map(int, (dialect.release or number).split("."))): dialect for number, dialect in releases.items()
        }

    def _unknown_dialect(self, name: str) -> ValueError:
        family, colon, _ = str(name).partition(":")
        aliases = [alias for dialect in self.dialects.values() for alias in dialect.aliases]
        releases = [known for known in (*self.dialects, *aliases) if colon and known.startswith(f"{family}:")]
        close = None if releases else closest(str(name), self.dialects)
        hint = f"; did you mean {close!r}?" if close else "."
        return ValueError(f"unknown dialect {name!r}{hint} Known dialects: {', '.join(releases or self.dialects)}")

    @property
    def main_dialects(self) -> tuple[str, ...]:
        """Return the names of the dialects that are not about one version only."""
        return tuple(name for name, dialect in self.dialects.items() if dialect.release is None)

    def feature(self, feature_id: str) -> Feature:
        """Return a feature by id.

        Raises:
            KeyError: there is no feature with that id.
        """
        return {feature.id: feature for feature in self.features}[feature_id]

    def of(self, names: Iterable[str]) -> Matrix:
        """Return the matrix with some of its columns, in the order of the names.

        Raises:
            ValueError: there is no dialect with that name.
        """
        return attrs.evolve(self, dialects={d.name: d for d in map(self.dialect, names)})

    def differing(self) -> Matrix:
        """Return the matrix with only the rows in which its columns differ."""
        names = list(self.dialects)
        return attrs.evolve(self, features=tuple(f for f in self.features if not f.is_alike(names)))

    def with_cell(self, feature_id: str, dialect: str, cell: Cell) -> Matrix:
        """Return a copy of the matrix with one cell changed."""
        changed = tuple(
            attrs.evolve(f, cells={**f.cells, dialect: cell}) if f.id == feature_id else f for f in self.features
        )
        dialects = {name: attrs.evolve(d, features=changed) for name, d in self.dialects.items()}
        return attrs.evolve(self, features=changed, dialects=dialects)


def _load_matrix() -> Matrix:
    data = tomllib.loads((get_data(__package__, "matrix.toml") or b"").decode("utf-8"))
    columns: dict[str, dict[str, Any]] = data["dialect"]
    features = tuple(_feature(row, columns) for row in data["feature"])
    fields = tuple(_field(row) for row in data["field"])
    dialects = {name: _dialect(name, columns, features, fields) for name in columns}
    footnotes = {int(number): footnote for number, footnote in data["footnotes"].items()}
    return Matrix(features, dialects, data["sources"], footnotes)


def _dialect(
    name: str, columns: dict[str, dict[str, Any]], features: tuple[Feature, ...], fields: tuple[Field, ...]
) -> Dialect:
    settings: dict[str, Any] = {}
    for ancestor in reversed(list(_lineage(name, columns))):
        inherited = settings.get("write_limits", {})
        settings |= columns[ancestor]
        settings["write_limits"] = {**inherited, **columns[ancestor].get("write_limits", {})}
    settings = {key: value for key, value in settings.items() if key not in ("base", "defaults", "measures_all")}
    settings |= {"release": columns[name].get("release"), "aliases": tuple(columns[name].get("aliases", ()))}
    return Dialect(name=name, features=features, fields=fields, **settings)


def _lineage(name: str, columns: dict[str, dict[str, Any]]) -> Iterator[str]:
    current: str | None = name
    while current:
        yield current
        current = columns[current].get("base")


def _feature(row: dict[str, Any], columns: dict[str, dict[str, Any]]) -> Feature:
    cells = _cells(row, columns)
    details = {key: row[key] for key in ("page", "footnote", "instead", "note") if key in row}
    return Feature(row["id"], row["title"], tuple(map(_pattern, row["uses"])), cells, **details)


def _cells(row: dict[str, Any], columns: dict[str, dict[str, Any]]) -> dict[str, Cell]:
    """Return the cell of every column; columns that agree and have the same source share one."""
    cells: dict[str, Cell] = {}
    made: dict[tuple[str, str], Cell] = {}
    for name, column in columns.items():
        owner = next(ancestor for ancestor in _lineage(name, columns) if ancestor in row)
        # A column that measures everything is its own source, even where it agrees with its base.
        witness = name if column.get("measures_all") else owner
        if (owner, witness) not in made:
            written = row[owner]
            defaults = columns[witness]["defaults"]
            made[owner, witness] = _cell({"is": written} if isinstance(written, str) else written, defaults)
        cells[name] = made[owner, witness]
    return cells


def _cell(written: dict[str, Any], defaults: Mapping[str, str]) -> Cell:
    settings = {**defaults, **written}
    origin = {key: settings[key] for key in defaults}
    exceptions = tuple((_pattern(e), _cell(e, origin)) for e in written.get("except", ()))
    details = {key: value for key, value in settings.items() if key in _CELL_PROPERTIES}
    return Cell(settings["is"], **details, exceptions=exceptions)


_CELL_PROPERTIES = frozenset(a.name for a in attrs.fields(Cell))
_USE_PROPERTIES = frozenset(a.name for a in attrs.fields(Use))


def _pattern(written: dict[str, Any]) -> Pattern:
    wanted = {key: value for key, value in written.items() if key in _USE_PROPERTIES}
    return Pattern(tuple((key, tuple(v) if isinstance(v, list) else (v,)) for key, v in wanted.items()))


def _field(row: dict[str, Any]) -> Field:
    settings: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    if "filters_as" in row:
        settings["filters_as"] = row["filters_as"]["kind"], row["filters_as"]["key"]
    return Field(**settings)


MATRIX = _load_matrix()
