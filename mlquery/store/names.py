"""Makes up ids and run names: random, or the same ones every time when a seed is given."""

from __future__ import annotations

import os
import random
from typing import Final

# A UUID of version 4 is random save for these six bits.
_VERSION_4: Final = 0x4000_8000_0000_0000_0000
_FREE_BITS: Final = (1 << 128) - 1 - 0xF000_C000_0000_0000_0000


def _words(*lines: str) -> list[str]:
    return " ".join(lines).split()


_ADJECTIVES: Final = _words(
    "able amber ample azure bold brave brief bright brisk calm clear clever coral crisp dapper eager early easy",
    "fair fast fine firm fond free fresh gentle glad golden grand happy hardy ivory jolly keen kind light lively",
    "loyal lucid lucky merry mild neat noble proud quick quiet rapid rare ready royal silver smart snowy solid",
    "steady sunny swift tidy vivid warm",
)
_NOUNS: Final = _words(
    "acorn anchor aspen badger beacon birch breeze brook canyon cedar cliff cloud comet coral crane creek delta",
    "dune ember falcon fern finch fjord forest garnet glade grove harbor hawk heron hill island lagoon lake lark",
    "maple meadow moon moss oak ocean orchid osprey otter owl pebble pine plover pond quartz raven reef ridge",
    "river robin shore sparrow spruce stone swan tide trout valley willow wren",
)


class Names:
    """A source of ids and names.

    Args:
        seed: Makes ids and names repeat; without it they are as unique as `uuid.uuid4` makes them.
    """

    def __init__(self, seed: int | str | None) -> None:
        self._random = random.Random(seed)
        self._repeats = seed is not None

    @property
    def repeats(self) -> bool:
        """Whether the ids and names repeat, because there is a seed."""
        return self._repeats

    def copy(self) -> Names:
        """Return a source that goes on like this one, independently."""
        new = Names(0)
        new._random.setstate(self._random.getstate())
        new._repeats = self._repeats
        return new

    def new_id(self, dashed: bool = False) -> str:
        """Return a fresh id of 32 hexadecimal digits; with dashes (8-4-4-4-12) it is one of Azure Machine Learning."""
        bits = self._random.getrandbits(128) if self._repeats else int.from_bytes(os.urandom(16))
        digits = f"{bits & _FREE_BITS | _VERSION_4:032x}"
        if not dashed:
            return digits
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def new_run_name(self) -> str:
        """Return a name such as "calm-heron-417", at most 20 characters.

        **Source**: `mlflow.utils.name_utils` of MLflow 3.17 for the shape; the words are our own.
        """
        pick = self._random.random
        adjective, noun = _ADJECTIVES[int(pick() * len(_ADJECTIVES))], _NOUNS[int(pick() * len(_NOUNS))]
        return f"{adjective}-{noun}-{int(pick() * 1000)}"
