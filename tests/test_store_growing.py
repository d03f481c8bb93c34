"""Digests of strings that only grow: the same for the same strings, however they came to be known."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlquery.store import Store
from mlquery.store.columns import StringCells
from mlquery.store.growing import OF_NONE, Hashes, KnownHashes
from mlquery.store.stored import StoredStrings, encoded

TEXTS = st.lists(st.text(st.sampled_from("\0en\x1fa\ud800"), max_size=4), max_size=6)


def digest_of(strings: list[str]) -> str:
    return OF_NONE.reaching(strings, len(strings)).hex()


@given(TEXTS, st.lists(st.integers(0, 6), max_size=3))
def test_a_digest_does_not_depend_on_the_steps_in_which_it_was_found(strings: list[str], steps: list[int]) -> None:
    found = OF_NONE
    for size in sorted(min(step, len(strings)) for step in steps):
        found = found.reaching(strings, size)

    assert digest_of(strings) == found.reaching(strings, len(strings)).hex()
    assert digest_of([]) == OF_NONE.hex()


@given(TEXTS, TEXTS)
def test_other_strings_have_another_digest(some: list[str], others: list[str]) -> None:
    assert (some == others) == (digest_of(some) == digest_of(others))


def test_strings_with_what_ends_strings_are_told_apart() -> None:
    pieces = ["", "\0", "\0e", "\0n", "e", "\0en", "n\0"]
    lists = [list(one) for size in range(4) for one in itertools.product(pieces, repeat=size)]

    assert len(lists) == len(set(map(digest_of, lists)))


@given(TEXTS, TEXTS)
def test_strings_that_are_stored_have_the_digest_and_the_equality_of_a_list(some: list[str], others: list[str]) -> None:
    stored, other = map(stored_strings, (some, others))

    assert (some == others) == (stored == other) == (stored == others)
    assert stored == stored_strings(some)
    assert digest_of(some) == OF_NONE.reaching(stored, len(some)).hex()
    assert some == stored.all()
    assert digest_of(some) == OF_NONE.reaching(stored, len(some)).hex()
    assert stored == stored_strings(some)


def stored_strings(strings: list[str]) -> StoredStrings:
    text, sizes = encoded(strings, 0, len(strings))
    return StoredStrings(len(strings), lambda: (memoryview(array("q", np.cumsum(sizes))), memoryview(text)))


def test_a_column_knows_the_digest_of_its_table_through_growth_and_copies() -> None:
    cells = StringCells(None)
    for row, string in enumerate("abc"):
        cells.add(row, string, row + 1)
    assert digest_of(["a", "b"]) == cells.digest_of(2).hex()

    copy = cells.copy(None)
    for one, string in ((cells, "d"), (copy, "e")):
        one.add(3, string, 4)

    assert digest_of(["a", "b", "c", "d"]) == cells.digest_of(4).hex()
    assert digest_of(["a", "b", "c", "e"]) == copy.digest_of(4).hex()
    assert digest_of(["a"]) == cells.digest_of(1).hex()


def test_a_digest_is_forgotten_with_the_strings_that_no_row_has_any_more() -> None:
    cells = StringCells(None)
    cells.add(0, "0", 1)
    sizes = []
    for number in range(1, 200):
        cells.put(0, str(number), 1)
        sizes.append(len(cells.table))
        assert digest_of(cells.table) == cells.digest_of(len(cells.table)).hex()

    assert sorted(sizes) != sizes


def test_ids_of_stores_that_were_one_have_digests_of_their_own() -> None:
    store = Store(seed=1)
    store.create_run("0", "ada", 0, [], "")
    column = store.runs.strings.cells["run_id"]
    column.digest_of(1)
    copy = store.clone()
    for one in (store, copy):
        one.reseed(len(one.runs.ids) if one is store else 99)
        one.create_run("0", "ada", 0, [], "")

    found = {one.runs.strings.cells["run_id"].digest_of(2).hex() for one in (store, copy)}

    assert {digest_of(store.runs.ids), digest_of(copy.runs.ids)} == found
    assert len(found) == 2


@given(st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=4))
def test_known_hashes_are_those_of_the_values_that_are_there_now(lists: list[list[int]]) -> None:
    values = [(number,) for number in range(6)]
    known, before, asked = KnownHashes(), list[int](), list[int]()

    def hashes_of(found: Sequence[tuple[int]]) -> Hashes:
        asked.extend(number for (number,) in found)
        return np.array([number for (number,) in found], np.uint64)

    for numbers in lists:
        asked.clear()
        assert numbers == known.of([values[number] for number in numbers], hashes_of).tolist()
        assert [new for old, new in zip_longest(before, numbers) if old != new and new is not None] == asked
        before = numbers
