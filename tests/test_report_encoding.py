"""The data of a report: what Python packs is what the page unpacks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlquery.comparison.curves import smoothed
from mlquery.view.columns import Column, NumberColumn, TimeColumn, column_json, numbers, strings, times
from mlquery.view.encoding import LEVELS, packed, quantised, smallest
from tests.support.node import MISSING, NODE, Node

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not NODE, reason=MISSING), pytest.mark.xdist_group("node")]

ANY_TEXT = st.text(st.characters(exclude_categories=[]))  # lone surrogates too
FLOATS = st.floats(allow_subnormal=True)
SMALL_INTEGERS = st.integers(-(2**17), 2**17).map(float)
COLUMNS = st.one_of(
    st.lists(st.none() | FLOATS).map(numbers),
    st.lists(st.none() | SMALL_INTEGERS).map(numbers),
    st.lists(st.none() | ANY_TEXT).map(strings),
    st.lists(st.none() | st.integers(-(2**52), 2**52)).map(times),
)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    running = Node()
    yield running
    running.close()


def as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value


def unpacked(node: Node, value: Any) -> Any:
    return node.call("unpacking.js", "unpacked", packed(value))


@given(column=COLUMNS)
def test_a_column_that_the_page_unpacks_is_the_one_that_was_packed(column: Column, node: Node) -> None:
    found = node.call("unpacking.js", "columnOf", unpacked(node, column))

    # JavaScript writes large whole numbers as integers, with fewer digits than Python reads them with.
    values = found.get("values", [])
    assert column_json(column) == {**found, **({"values": [as_float(value) for value in values]} if values else {})}


@given(value=st.dictionaries(ANY_TEXT | st.sampled_from(["$array", "$", "$$x", "__proto__"]), ANY_TEXT, max_size=5))
def test_keys_and_strings_come_back_whatever_is_in_them(value: dict[str, str], node: Node) -> None:
    assert {"a": [value, None, 1.5]} == unpacked(node, {"a": (value, None, 1.5)})


@given(values=st.lists(FLOATS, min_size=1))
def test_a_curve_moves_by_less_than_a_level(values: list[float], node: Node) -> None:
    curve = np.array(values)
    found = [float(value) for value in node.call("unpacking.js", "curveOf", as_json(quantised(curve)))]

    finite = [value for value in values if math.isfinite(value)]
    level = (max(finite) / LEVELS - min(finite) / LEVELS) if finite else 0.0
    for value, shown in zip(values, found, strict=True):
        if math.isfinite(value):
            assert abs(value / 2 - shown / 2) <= level * 0.26 + abs(value) * 1e-12
        else:
            assert str(value) == str(shown)


def as_json(value: dict[str, Any]) -> dict[str, Any]:
    return {key: part.tolist() if isinstance(part, np.ndarray) else part for key, part in value.items()}


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_the_smallest_and_the_largest_value_of_a_curve_are_exact(values: list[float], node: Node) -> None:
    found = node.call("unpacking.js", "curveOf", as_json(quantised(np.array(values))))

    assert (min(values), max(values)) == (min(found), max(found))


@given(steps=st.lists(st.integers(-(2**40), 2**40)))
def test_steps_come_back_from_their_differences(steps: list[int], node: Node) -> None:
    packed_steps = smallest(np.diff(np.array(steps, np.int64), prepend=0))

    assert steps == node.call("unpacking.js", "summed", packed_steps.tolist())


@given(st.lists(st.integers(-(2**40), 2**40) | st.integers(-200, 200), min_size=1))
def test_whole_numbers_take_the_smallest_type_that_holds_them(values: list[int]) -> None:
    found = smallest(np.array(values, np.int64))

    assert values == found.tolist()
    bits = 1 + max((value if value >= 0 else -value - 1).bit_length() for value in values)
    assert found.dtype.itemsize == next(size for size in (1, 2, 4, 8) if 8 * size >= bits or size == 8)


def test_a_negative_zero_and_a_missing_value_are_kept_apart_from_zero() -> None:
    assert "f" == smallest(np.array([-0.0, 1.0])).dtype.kind
    assert {"kind": "number", "values": [None, 0.0]} == column_json(
        NumberColumn(np.array([0.0, 0.0]), np.array([False, True]))
    )
    assert {"kind": "time", "values": [None]} == column_json(TimeColumn(np.array([0]), np.array([False])))


def test_what_is_no_value_of_a_report_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        packed({"a": object()})
    with pytest.raises(ValueError, match="not JSON compliant"):
        packed({"a": float("nan")})


@given(values=st.lists(st.floats(-1e6, 1e6) | st.just(float("nan"))), weight=st.sampled_from([0.0, 0.3, 0.9, 0.99]))
def test_a_report_smooths_as_the_comparison_does(values: list[float], weight: float, node: Node) -> None:
    expected = smoothed(np.array(values), weight).tolist()

    found = node.call("smoothing.js", "smoothed", values, weight)

    assert expected == pytest.approx([float(value) for value in found], rel=1e-9, abs=1e-6, nan_ok=True)
