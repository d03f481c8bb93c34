"""Packs values with arrays in them into base64 that the page unpacks: JSON, with the arrays as bytes beside it.

The bytes are a four-byte length, the JSON of that length, and the arrays one after the other, all deflated. Where an
array was, the JSON has `{"$array": type, "at": offset, "size": count}`; other keys that begin with `$` get another one.
The bytes of an array are sorted by significance, the first bytes of all numbers first, because that deflates better.
Numbers keep every bit, except those of curves, which `quantised` rounds. `src/unpacking.js` is the other half.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.view.columns import NumberColumn, StringColumn, TimeColumn

LEVELS: Final = 65532
"""The last of the levels that values of a curve are rounded to; the codes above stand for NaN, inf and -inf."""
TIME_LEVELS: Final = 4095
"""The last of the levels that times of a curve are rounded to."""
_NAN, _INFINITY, _MINUS_INFINITY = LEVELS + 1, LEVELS + 2, LEVELS + 3

_TYPES: Final = (np.int8, np.int16, np.int32)
_NAMES: Final = {"i1": "int8", "i2": "int16", "i4": "int32", "f8": "float64", "u2": "uint16"}


def packed(value: Any) -> str:
    """Return a value of mappings, lists, arrays, columns and JSON's scalars as base64.

    Raises:
        TypeError: A part is of another type.
        ValueError: A number outside of arrays is not finite.
    """
    packing = _Packing()
    plain = packing.plain(value)
    head = json.dumps(plain, separators=(",", ":"), allow_nan=False).encode("ascii")
    content = len(head).to_bytes(4, "little") + head + b"".join(packing.parts)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return base64.b64encode(deflate.compress(content) + deflate.flush()).decode("ascii")


@attrs.define
class _Packing:
    """The arrays that were met so far, as bytes."""

    parts: list[bytes] = attrs.field(factory=list)
    size: int = 0

    def plain(self, value: Any) -> Any:
        """Return a value with its arrays replaced by where they are."""
        if isinstance(value, NumberColumn | StringColumn | TimeColumn):
            return self.plain(_parts_of(value))
        if isinstance(value, np.ndarray):
            return self.array(value)
        if isinstance(value, Mapping):
            # Keys are of users too: one that begins like a mark of ours gets another one.
            return {f"${key}" if key.startswith("$") else key: self.plain(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(part) for part in value]
        return value

    def array(self, values: npt.NDArray[Any]) -> dict[str, Any]:
        """Keep the bytes of an array, and return where they are."""
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        sorted_bytes = little.view(np.uint8).reshape(len(values), -1).T.tobytes() if len(values) else b""
        at, self.size = self.size, self.size + len(sorted_bytes)
        self.parts.append(sorted_bytes)
        return {"$array": _NAMES[little.dtype.str[1:]], "at": at, "size": len(values)}


def _parts_of(column: NumberColumn | StringColumn | TimeColumn) -> dict[str, Any]:
    if isinstance(column, StringColumn):
        return {"kind": "string", "table": column.table, "codes": smallest(column.codes)}
    parts: dict[str, Any] = {"kind": "time" if isinstance(column, TimeColumn) else "number"}
    # Whole numbers below 2**53 are as good as floats for JavaScript, which has no others.
    parts["values"] = smallest(column.values)
    if not column.present.all():
        parts["missing"] = smallest(np.flatnonzero(~column.present))
    return parts


def smallest(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return numbers in the smallest integer type that holds all of them, else as float64."""
    if not len(values):
        return np.empty(0, np.int8)
    if values.dtype.kind == "f" and not _all_whole(values):
        return values.astype(np.float64)
    low, high = values.min(), values.max()
    for kind in _TYPES:
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.float64)


def _all_whole(values: npt.NDArray[Any]) -> bool:
    """Return whether floats are whole numbers, and none of them is the negative zero, which integers do not have."""
    if not np.isfinite(values).all():
        return False
    return bool((values == np.floor(values)).all()) and not bool((np.signbit(values) & (values == 0)).any())


def quantised(values: npt.NDArray[np.float64], top: int = LEVELS) -> dict[str, Any]:
    """Return a curve rounded to levels from 0 to `top` between its smallest and largest finite value, as differences.

    A value moves by at most half a level; NaN and the infinities stay what they are.
    """
    finite = np.isfinite(values)
    some = values[finite]
    low, high = (float(some.min()), float(some.max())) if len(some) else (0.0, 0.0)
    half_span = high / 2 - low / 2  # the whole span of very large values is infinite
    scaled = (values / 2 - low / 2) / half_span if half_span > 0 else np.zeros(len(values))
    codes = np.where(finite, np.rint(np.where(finite, scaled, 0.0) * top), _NAN).astype(np.int64)
    codes[values == np.inf] = _INFINITY
    codes[values == -np.inf] = _MINUS_INFINITY
    return {"low": low, "high": high, "top": top, "levels": differences(codes).astype(np.uint16)}


def differences(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the first code and the differences of the following ones, modulo 2**16."""
    return np.diff(codes, prepend=0) % (1 << 16)
