"""The suite and the matrix hold each other up: every cell is exercised, and one that said otherwise is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import attrs
import pytest

from mlquery.conformance import outcome
from mlquery.conformance.inprocess import Sessions
from mlquery.language.features import Cell, Feature, State, Use
from mlquery.language.fields import DATASET_KEYS
from mlquery.language.literals import OPERATORS
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.language.plan import Entity, Function
from tests.support.suite import SUITE
from tests.support.suite_uses import Place, all_places, places_of, places_touched

SESSIONS = Sessions(SUITE.stores)
REGULAR = [feature for feature in MATRIX.features if not feature.is_behaviour]
BEHAVIOURS = [feature for feature in MATRIX.features if feature.is_behaviour]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("conformance matrix")]


@pytest.fixture(scope="module")
def touched() -> dict[str, set[Place]]:
    return places_touched(SUITE, MATRIX)


def test_every_cell_and_every_exception_is_exercised_by_a_case(touched: dict[str, set[Place]]) -> None:
    exercised = set().union(*touched.values())
    regular = {feature.id for feature in REGULAR}

    assert set() == {place for place in all_places(MATRIX) if place[0] in regular} - exercised


def test_a_case_lists_exactly_the_features_that_it_exercises(touched: dict[str, set[Place]]) -> None:
    behaviours = {feature.id for feature in BEHAVIOURS}
    expected = {case.id: {feature for feature, _, _ in touched[case.id]} for case in SUITE.cases}

    listed = {case.id: set(case.features) - behaviours for case in SUITE.cases}

    assert expected == listed


def flips() -> Iterator[tuple[str, str, int | None, State]]:
    """Yield every way in which one cell or exception of the matrix could say something else."""
    for feature_id, dialect, exception in all_places(MATRIX):
        feature = MATRIX.feature(feature_id)
        cell = feature.cells[dialect]
        states: tuple[State, ...] = ("yes", "no") if feature.is_behaviour else ("yes", "silent", "no")
        now = cell.state if exception is None else cell.exceptions[exception][1].state
        yield from ((feature_id, dialect, exception, state) for state in states if state != now)


def flipped(cell: Cell, exception: int | None, state: State) -> Cell:
    if exception is None:
        return attrs.evolve(cell, state=state)
    parts = list(cell.exceptions)
    parts[exception] = (parts[exception][0], attrs.evolve(parts[exception][1], state=state))
    return attrs.evolve(cell, exceptions=tuple(parts))


@pytest.mark.parametrize("dialect", MATRIX.dialects)
def test_a_case_fails_when_a_cell_says_something_else(dialect: str) -> None:
    mine = [flip for flip in flips() if flip[1] == dialect]

    unnoticed = [flip for flip in mine if not is_noticed(*flip)]

    assert len(mine) >= 2 * len(REGULAR) + len(BEHAVIOURS)
    assert [] == unnoticed


def is_noticed(feature_id: str, dialect: str, exception: int | None, state: State) -> bool:
    cell = flipped(MATRIX.feature(feature_id).cells[dialect], exception, state)
    other = with_data(MATRIX.with_cell(feature_id, dialect, cell).dialect(dialect))
    listing = (case for case in SUITE.cases if feature_id in case.features)
    return any(not outcome(case, other, "columnar", SESSIONS).passed for case in listing)


def with_data(dialect: Dialect) -> Dialect:
    """Give a dialect the data that its behaviours would need, that of the dialects that have any."""
    columns = MATRIX.dialects.values()
    statuses = next(column.job_statuses for column in columns if column.job_statuses)
    limits = {feature: found for column in columns for feature, found in column.write_limits.items()}
    return attrs.evolve(dialect, job_statuses=statuses, write_limits=limits)


@pytest.mark.parametrize("feature", BEHAVIOURS, ids=lambda feature: feature.id)
def test_a_case_that_lists_a_behaviour_depends_on_it_in_some_dialect(feature: Feature) -> None:
    listing = [case for case in SUITE.cases if feature.id in case.features]
    others = [
        with_data(MATRIX.with_cell(feature.id, name, opposite(cell)).dialect(name))
        for name, cell in feature.cells.items()
    ]

    independent = [c.id for c in listing if all(outcome(c, other, "columnar", SESSIONS).passed for other in others)]

    assert [] == independent


def opposite(cell: Cell) -> Cell:
    return attrs.evolve(cell, state="no" if cell.state == "yes" else "yes")


def test_every_well_typed_use_is_judged_by_a_feature() -> None:
    unknown = [use for use in well_typed_uses() if MATRIX.dialect("oss").verdict(use) is None]

    assert [] == unknown


def test_every_pattern_of_a_feature_and_every_exception_is_met_by_a_use() -> None:
    uses = list(well_typed_uses())
    met = {place for use in uses for name in MATRIX.dialects for place in places_of(use, name, MATRIX.features)}
    idle = [(f.id, pattern) for f in MATRIX.features for pattern in f.uses if not any(map(pattern.matches, uses))]

    assert [] == idle
    assert set() == set(all_places(MATRIX)) - met


_SHAPES = {
    "number": {"IN": ["numbers"], "NOT IN": ["numbers"], "BETWEEN": ["range"]},
    "integer": {"IN": ["numbers", "strings"], "NOT IN": ["numbers", "strings"], "BETWEEN": ["range"]},
    "string": {"IN": ["strings"], "NOT IN": ["strings"]},
}
_BOTH = ("filter", "order")
_REGISTRY_CALLS = {
    "registered_model": [
        *("rename_registered_model", "delete_registered_model", "get_model_version_by_alias"),
        *("set_registered_model_alias", "delete_registered_model_alias"),
    ],
    "model_version": [
        *("update_model_version", "delete_model_version", "transition_model_version_stage"),
        *("set_model_version_tag", "delete_model_version_tag"),
    ],
}


def well_typed_uses() -> Iterator[Use]:
    """Yield everything that a query or a call can do without an unknown name or a value of the wrong type."""
    fields: list[tuple[str, str, str | None, str]]
    fields = [("run", "metric", "loss", "number"), ("run", "param", "lr", "string")]
    fields += [("run", "dataset", None, "string") for _ in DATASET_KEYS]
    fields += [(entity.value, "tag", "team", "string") for entity in Entity]
    known: list[tuple[str, str, str | None, str, tuple[str, ...]]]
    known = [(*field, _BOTH) for field in fields]
    known += [(f.entity, "attribute", f.key, f.type, f.clauses) for f in MATRIX.dialect("oss").fields]
    for (entity, kind, key, type_, clauses), quoted in product(known, (False, True)):
        for spelling in spellings(entity, kind):
            if "order" in clauses and not (entity == "experiment" and spelling):
                yield Use(entity, "order", kind, key=key, type=type_, quoted=quoted, spelling=spelling)
            for op, value in compared(kind, type_) if "filter" in clauses else ():
                use = Use(entity, "filter", kind, op, key, type_, value, quoted, spelling)
                yield from (use, attrs.evolve(use, layout="loose")) if op in ("IN", "NOT IN") else (use,)
    for function in Function:
        yield from (Use("run", clause, "history", key=function.value, type="number") for clause in (*_BOTH, "column"))
        for op, value in compared("history", "number"):
            yield Use("run", "filter", "history", op, function.value, "number", value)
    for joined in Entity:
        yield from (Use(joined.value, "join", op=op) for op in ("AND", "OR", "NOT", "()"))
    for entity in ("run", "experiment"):
        yield from (Use(entity, "view", key=view) for view in ("ALL", "DELETED_ONLY"))
    for entity, call in product(("run", "experiment"), ("delete_{}", "restore_{}")):
        yield Use(entity, "call", key=call.format(entity))
    yield Use("experiment", "call", key="rename_experiment")
    yield from (Use(entity, "call", key=call) for entity, calls in _REGISTRY_CALLS.items() for call in calls)
    for feature in BEHAVIOURS:
        wanted = dict(feature.uses[0].wanted)
        yield Use(wanted.get("entity", ("run",))[0], "behaviour", key=feature.id)


def spellings(entity: str, kind: str) -> list[str | None]:
    if entity == "experiment":
        return [None, "lower case", "attributes"] if kind == "attribute" else [None, "lower case"]
    others = {"run": "run.info", "registered_model": "prefix", "model_version": "prefix"}
    found: list[str | None] = [None, others[entity]] if kind == "attribute" else [None]
    return [*found, "no direction"] if entity == "registered_model" else found


def compared(kind: str, type_: str) -> Iterator[tuple[str, str | None]]:
    for op in OPERATORS[type_]:
        if "NULL" in op:
            yield op, None
            continue
        shapes = _SHAPES[type_].get(op, [type_])
        yield from ((op, shape) for shape in shapes)
        if type_ == "number" and kind == "attribute":
            yield op, "strings" if op in _SHAPES["number"] else "string"
