"""Eight bytes at a time for compiled loops: loaded, stored and tested as one integer.

Little-endian machines only. A test may also mark bytes above one that it means: that it marks none is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core.extending import intrinsic

_ONES = np.uint64(0x0101010101010101)  # a byte of 1 in each
HIGH = np.uint64(0x8080808080808080)
_SPACES = np.uint64(0x2020202020202020)


def _place(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), ir.IntType(64).as_pointer())


@intrinsic
def _load(typing: Any, data: Any, at: Any) -> Any:
    """`data[at : at + 8]`, first byte lowest; the caller knows that they are there."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], args[0], args[1]), align=1)

    return types.uint64(data, types.intp), generate


@intrinsic
def _store(typing: Any, data: Any, at: Any, word: Any) -> Any:
    """Write eight bytes to `data[at : at + 8]`; the caller knows that there is room."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _place(context, builder, signature.args[0], args[0], args[1]), align=1)
        return context.get_dummy_value()

    return types.none(data, types.intp, types.uint64), generate


load: Any = _load  # as they are called
store: Any = _store


@njit(nogil=True, cache=True)
def below_space(word: np.uint64) -> np.uint64:
    """High bits where a byte is below 0x20; of a byte of 0x80 or more not exactly."""
    return (word - _SPACES) & ~word & HIGH


@njit(nogil=True, cache=True)
def equal(word: np.uint64, byte: np.uint64) -> np.uint64:
    """High bits where a byte is this one."""
    different = word ^ (_ONES * byte)
    return (different - _ONES) & ~different & HIGH
