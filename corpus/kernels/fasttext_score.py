"""From hidden vectors to labels: the best label, its probability, and whether the library could differ.

In: hidden vectors float32, equal to the library's, and a model's output rows. Out, per vector: label,
probability, and a mark where it is unsure. Everything is computed in float64, beside a bound of how far
the library's float32 result (src/loss.cc of facebookresearch/fastText) can lie from it, in whatever way its
compiler contracted products and sums. A vector is unsure where that bound reaches another label, or the
other side of a limit at which the rounded probability changes.

`_U` is float32's unit of rounding. First-order bounds are widened by `_WIDER` for what they neglect.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.kernels.arrays import Bools, Int, Ints, Positions
from corpus.kernels.fasttext_file import (
    HIERARCHICAL_SOFTMAX,
    NEGATIVE_SAMPLING,
    ONE_VS_ALL,
    SOFTMAX,
    FasttextFile,
    Floats,
    UnsupportedModel,
)

Doubles = npt.NDArray[np.float64]

_U = 2.0**-24
_WIDER = 1.05
_MATH_UNITS = 8 * _U  # relative error of expf and what is done with it at once: it has at most 2 of `_U`
_LARGEST_DOT_ERROR = 0.01  # beyond it first-order bounds do not hold
_LOG_SHIFT = 1e-5  # `std_log`
_LOWEST = math.log(_LOG_SHIFT)  # below it, hierarchical softmax gives a label up (threshold 0)
# The sigmoid of `Loss::sigmoid` is a table: this many steps from −8 to 8.
_STEPS, _REACH = 512, 8


class Output(NamedTuple):
    """A model's output layer, of l labels.

    `rows` float64[l, columns]: products of a quantised row and its norm, exact in float64. `children`
    int32[l − 1, 2]: of the inner nodes of the tree of labels, node numbers; leaves come first. Empty
    for other losses than hierarchical softmax. `depth`: of that tree. `loss`: as in the file.
    """

    rows: Doubles
    children: Ints
    depth: int
    loss: int


def output(file: FasttextFile) -> Output:
    """The output layer of a model.

    Raises:
        UnsupportedModel: a loss we do not know, numbers that are not finite, or a tree without a choice.
    """
    rows = file.output.rows.astype(np.float64) * file.output.scale[:, None]
    if not np.isfinite(rows).all():
        raise UnsupportedModel("its output holds numbers that are not finite")
    if len(rows) < 2:
        raise UnsupportedModel("it has less than two labels")
    if file.loss == HIERARCHICAL_SOFTMAX:
        children, depth = _tree(file.count[file.is_label == 1])
    elif file.loss in (SOFTMAX, NEGATIVE_SAMPLING, ONE_VS_ALL):
        children, depth = np.zeros((0, 2), np.int32), 0
    else:
        raise UnsupportedModel(f"its loss {file.loss} is unknown")
    return Output(rows, children, depth, file.loss)


def _tree(counts: Positions) -> tuple[Ints, int]:
    """Children of inner nodes, int32[l − 1, 2], and the depth (`HierarchicalSoftmaxLoss::buildTree`)."""
    n = len(counts)
    children = np.zeros((n - 1, 2), np.int32)
    weight = [*counts.tolist(), *[int(1e15)] * (n - 1)]
    leaf, inner = n - 1, n
    for node in range(n, 2 * n - 1):
        for side in range(2):
            if leaf >= 0 and weight[leaf] < weight[inner]:
                children[node - n, side] = leaf
                leaf -= 1
            else:
                children[node - n, side] = inner
                inner += 1
        weight[node] = sum(weight[child] for child in children[node - n])
    depth = [0] * (2 * n - 1)
    for node in range(2 * n - 2, n - 1, -1):
        for child in children[node - n]:
            depth[child] = depth[node] + 1
    return children, max(depth)


@njit(nogil=True, cache=True)
def best_labels(
    hidden: Floats, counts: Positions, rows: Doubles, children: Ints, depth: int, loss: int,
    steps: float, label: Ints, score: Doubles, unsure: Bools,
) -> None:  # fmt: skip
    """Fill `label` int32[n] (−1 where `counts` is 0), `score` float64[n], `unsure` bool[n].

    Args:
        hidden: float32[n, at least the output's columns].
        counts: int64[n], rows that each vector is the mean of.
        rows, children, depth, loss: see `Output`.
        steps: of the rounded probability, per unit.
    """
    dots, errors = np.empty(len(rows)), np.empty(len(rows))
    stack, values = np.empty(depth + 2, np.int32), np.empty((depth + 2, 2))
    for i in range(len(hidden)):
        label[i], score[i], unsure[i] = -1, 0.0, False
        if counts[i] == 0:
            continue
        if loss == HIERARCHICAL_SOFTMAX:
            best, value, error = _by_tree(hidden[i], rows, children, depth, stack, values)
        else:
            for o in range(len(rows)):
                dots[o], errors[o] = _dot(rows, o, hidden[i])
            if loss == SOFTMAX:
                best, value, error = _by_softmax(dots, errors)
            else:
                best, value, error = _by_sigmoid(dots, errors)
        label[i], score[i] = best, value
        place = value * steps
        gap = abs(place - math.floor(place) - 0.5)
        # Not "gap <= error": what is not a number must be unsure. Values are below 2.
        unsure[i] = not gap > error * steps + 1e-9


@njit(nogil=True, cache=True)
def _dot(rows: Doubles, o: Int, hidden: Floats) -> tuple[float, float]:
    """Product of a row and a vector, and the error of the library's sum, taken from first to last.

    Each term and each sum on the way is rounded once at most (`DenseMatrix::dotRow`,
    `ProductQuantizer::mulcode`, which multiplies by the norm at the end).
    """
    total, rounded = 0.0, 0.0
    for j in range(rows.shape[1]):
        term = rows[o, j] * np.float64(hidden[j])
        total += term
        rounded += abs(term) + abs(total)
    # `_U` · `_REACH`: `Loss::sigmoid` adds that before it looks up its table.
    return total, _WIDER * _U * (rounded + abs(total) + 2 * _REACH) + 1e-30


@njit(nogil=True, cache=True)
def _by_tree(
    hidden: Floats, rows: Doubles, children: Ints, depth: int, stack: Ints, values: Doubles
) -> tuple[int, float, float]:
    """Best leaf of the tree (`HierarchicalSoftmaxLoss::dfs`).

    The library goes left first and passes over a node that is worse than the best leaf so far. We go to
    the likelier child first, which passes over more. A step down can raise the value by log(1 + 1e-5), so
    the two can differ only where leaves are nearer to each other than all these steps, and their errors.
    """
    n = len(rows)
    steps_up = 2.0 * depth * _LOG_SHIFT
    best, value, error = -1, -np.inf, 0.0
    rival = -np.inf  # the most that any other leaf can have
    stack[0], values[0, 0], values[0, 1] = 2 * n - 2, 0.0, 0.0
    top = 1
    while top > 0:
        top -= 1
        node, at, doubt = stack[top], values[top, 0], values[top, 1]
        if at + doubt + steps_up < value - error:
            continue
        if node < n:
            if at > value:
                rival = max(rival, value + error)
                best, value, error = node, at, doubt
            else:
                rival = max(rival, at + doubt)
            continue
        dot, dot_error = _dot(rows, node - n, hidden)
        if not dot_error < _LARGEST_DOT_ERROR:
            return 0, 0.0, np.inf
        right = 1.0 / (1.0 + math.exp(-dot))
        left = 1.0 / (1.0 + math.exp(dot))
        wrong = _WIDER * (left * right * dot_error) + _MATH_UNITS * right + _U * left
        likelier = 0 if left > right else 1
        for side in (1 - likelier, likelier):
            share = (right if side else left) + _LOG_SHIFT
            if not wrong < share:
                return 0, 0.0, np.inf
            logarithm = math.log(share)
            stack[top] = children[node - n, side]
            values[top, 0] = at + logarithm
            values[top, 1] = doubt + wrong / (share - wrong) + 4 * _U * (abs(logarithm) + abs(at))
            top += 1
    if not (value - error > rival + steps_up and value - error > _LOWEST + steps_up):
        return best, 0.0, np.inf
    score = math.exp(value)
    return best, score, score * (_WIDER * error + _MATH_UNITS * (1 + abs(value)))


@njit(nogil=True, cache=True)
def _by_softmax(dots: Doubles, errors: Doubles) -> tuple[int, float, float]:
    """`SoftmaxLoss::computeOutput` and `Loss::findKBest`.

    The best label's term is 1, so its probability is wrong by what the others' terms and their sum are.
    """
    best = 0
    for o in range(1, len(dots)):
        if dots[o] > dots[best]:
            best = o
    others, wrong, rival = 0.0, 0.0, 0.0
    for o in range(len(dots)):
        if o != best:
            below, error = dots[best] - dots[o], errors[best] + errors[o]
            if not (below > error and error < _LARGEST_DOT_ERROR):
                return best, 0.0, np.inf
            term = math.exp(-below)
            term_wrong = term * (_WIDER * error + _U * below + _MATH_UNITS)
            others += term
            wrong += term_wrong
            rival = max(rival, term + term_wrong)
    total = 1.0 + others
    relative = _WIDER * wrong / total + _U * (len(dots) + 2)
    # What the library compares are logarithms, in float32.
    mine = math.log(1.0 / total + _LOG_SHIFT)
    other = math.log(rival / total * (1.0 + relative) + _LOG_SHIFT)
    if not mine - other > relative + 4 * _U * (abs(mine) + abs(other)):
        return best, 0.0, np.inf
    score = 1.0 / total + _LOG_SHIFT
    return best, score, score * (relative + _MATH_UNITS * (1 + abs(mine)))


@njit(nogil=True, cache=True)
def _by_sigmoid(dots: Doubles, errors: Doubles) -> tuple[int, float, float]:
    """`BinaryLogisticLoss::computeOutput` and `Loss::findKBest`: of labels on one step, the last."""
    top = -2
    for o in range(len(dots)):
        top = max(top, _step(dots[o] + errors[o]))
    best = -1
    for o in range(len(dots)):
        if not errors[o] < _LARGEST_DOT_ERROR:
            return 0, 0.0, np.inf
        if _step(dots[o] + errors[o]) == top:
            if _step(dots[o] - errors[o]) != top:
                return 0, 0.0, np.inf
            best = o
    if top < 0:
        score = _LOG_SHIFT
    elif top > _STEPS:
        score = 1.0 + _LOG_SHIFT
    else:
        score = 1.0 / (1.0 + math.exp(_REACH - top * 2.0 * _REACH / _STEPS)) + _LOG_SHIFT
    return best, score, score * _MATH_UNITS * (2 + abs(math.log(score)))


@njit(nogil=True, cache=True)
def _step(x: float) -> int:
    """Step of the sigmoid's table: −1 below it, `_STEPS` + 1 above it."""
    if x < -_REACH:
        return -1
    if x > _REACH:
        return _STEPS + 1
    return int((x + _REACH) * _STEPS / (2 * _REACH))
