"""How long tasks take on so many workers: never less than the longest of them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Wall seconds until all tasks are done, the longest given out first, each to the next free worker.

    At most the whole divided by the workers, plus the longest task (Graham 1969).
    """
    if workers < 1:
        raise ValueError(f"there is no work without a worker: {workers}")
    busy = [0.0] * min(workers, len(seconds))
    if not busy:
        return 0.0
    for task in sorted(seconds, reverse=True):
        heapq.heapreplace(busy, busy[0] + task)
    return max(busy)
