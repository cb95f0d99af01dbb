"""Rows of float32 that are met at random and added up: how they lie in memory, and one addition.

In: a matrix float32[m, n]. Out: a padded copy of it, and a compiled `add_row`, whose rounding is that of
one fused multiplication and addition, on any processor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.core.extending import intrinsic

from corpus.kernels.arrays import Int
from corpus.kernels.fasttext_file import Floats

_LANES = 16  # floats that are added at once; rows are padded to a multiple
_LINE = 64  # bytes of a line of the processor's cache: as many as the lanes have


def padded(rows: Floats) -> Floats:
    """A copy of float32[m, n], zeros beyond n, in which each row begins with a line of the cache.

    Rows of a large model are met at random: what counts is how many lines each has. The copy also lies in
    large pages, where the file itself would not.
    """
    m, n = rows.shape
    width = -(-n // _LANES) * _LANES
    memory = np.empty(4 * m * width + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE
    copy = memory[start : start + 4 * m * width].view(np.float32).reshape(m, width)
    copy[:, :n], copy[:, n:] = rows, 0
    return copy


@intrinsic
def _add_scaled(typing: Any, total: Any, at: Any, rows: Any, start: Any, scale: Any) -> Any:
    """total[at : at + _LANES] += scale · rows[start : start + _LANES], each rounded once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = ir.VectorType(ir.FloatType(), _LANES)
        pointers = []
        for array, index in ((0, 1), (2, 3)):
            data = context.make_array(signature.args[array])(context, builder, args[array]).data
            pointers.append(builder.bitcast(builder.gep(data, [args[index]]), lanes.as_pointer()))
        to, row = pointers
        single = builder.insert_element(ir.Constant(lanes, ir.Undefined), args[4], ir.IntType(32)(0))
        same = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
        factor = builder.shuffle_vector(single, ir.Constant(lanes, ir.Undefined), same)
        kind = ir.FunctionType(lanes, [lanes] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{_LANES}f32")
        terms = [factor, builder.load(row, align=4, typ=lanes), builder.load(to, align=4, typ=lanes)]
        builder.store(builder.call(fma, terms), to, align=4)
        return context.get_dummy_value()

    return types.void(total, types.intp, rows, types.intp, types.float32), generate


@njit(nogil=True, cache=True, inline="always")
def add_row(total: Floats, input: Floats, scale: Floats, row: Int) -> None:
    """total[:] += row · its scale; see `padded`. `scale` has one entry a row, or one for all."""
    first = len(total) * np.int64(row)
    for j in range(0, len(total), _LANES):
        _add_scaled(total, j, input, first + j, scale[row if len(scale) > 1 else 0])  # type: ignore[call-arg]
