"""What a picture shows of noisy curves: their mean, which points, where labels go. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def smooth(values: Floats, weights: Floats) -> Floats:
    """float64[n]: weighted mean of each value and up to 1/40 of the run, at least 5, before and after it.

    Values that are not finite, or weigh nothing, count as missing; where a window has none, the mean is NaN.
    Early windows are short, so that the fall of the first steps is not drawn too late.
    """
    n = len(values)
    there = np.isfinite(values) & (weights > 0)
    sums, totals = (
        np.concatenate([[0.0], np.cumsum(np.where(there, column, 0.0))])
        for column in (values * weights, weights)
    )
    i = np.arange(n)
    reach = np.minimum(i // 2, max(n // 40, 5))
    first, last = i - reach, np.minimum(i + reach + 1, n)
    counted = np.concatenate([[0], np.cumsum(there)])
    total = np.where(counted[last] > counted[first], totals[last] - totals[first], np.nan)
    return np.asarray((sums[last] - sums[first]) / total)


def extremes(values: Floats, stretches: int) -> npt.NDArray[np.int64]:
    """int64[≤ 2 × stretches]: the least and the greatest value of each stretch of a long line, in order.

    All of a line that is no longer than that; none of a stretch without a finite value.
    """
    n = len(values)
    if n <= 2 * stretches:
        return np.arange(n)
    kept: list[int] = []
    for stretch in np.array_split(np.arange(n), stretches):
        finite = stretch[np.isfinite(values[stretch])]
        if len(finite):
            kept += sorted({int(finite[values[finite].argmin()]), int(finite[values[finite].argmax()])})
    return np.array(kept, np.int64)


def spread(places: Floats, gap: float) -> Floats:
    """float64[n]: ascending places moved as little as can be, in least squares, to lie at least `gap` apart.

    Less the gaps below it, no place may stand under the one before: isotonic regression, pooling neighbours.
    """
    below = gap * np.arange(len(places))
    blocks: list[tuple[float, int]] = []  # mean of pooled places, how many
    for place in places - below:
        mean, size = float(place), 1
        while blocks and blocks[-1][0] > mean:
            other, n = blocks.pop()
            mean, size = (other * n + mean * size) / (n + size), n + size
        blocks.append((mean, size))
    means, sizes = zip(*blocks, strict=True)
    return np.asarray(np.repeat(means, sizes) + below)


def count(value: float) -> str:
    """A count for people: 950, 12k, 1.5M, 2B (thousand million), 1.4T."""
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"
