"""How a raw file is cut into ranges that tasks read by themselves."""

from __future__ import annotations


def byte_ranges(size: int, split_bytes: int) -> list[tuple[int, int]]:
    """[start, end) of each range of a file that can be cut at any byte; one, if it is empty."""
    return [(at, min(at + split_bytes, size)) for at in range(0, size, split_bytes)] or [(0, 0)]
