"""Which pages Wikipedia cites: a set of URLs to look up in.

In: a text file, one URL a line. Out: membership of pages' URLs, as a boolean array.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import fsspec
import numpy as np
import xxhash

from corpus.errors import UserError
from corpus.urls import host_of, is_wikipedia, normalize_url

Match = Literal["url", "host"]

_URLS_PER_BLOCK = 1 << 20


class CitedUrls:
    """A set of cited URLs or hosts, as sorted 64-bit hashes: 38 million URLs are 300 MB."""

    def __init__(self, urls: Iterator[str], match: Match) -> None:
        self._match = match
        blocks = [np.empty(0, np.uint64)]
        pending: list[int] = []
        for url in urls:
            normalized = normalize_url(url)
            if normalized is not None and not is_wikipedia(normalized):
                pending.append(self._hash(normalized))
                if len(pending) >= _URLS_PER_BLOCK:
                    blocks.append(np.unique(np.array(pending, np.uint64)))
                    pending.clear()
        blocks.append(np.array(pending, np.uint64))
        self._hashes = np.unique(np.concatenate(blocks))

    def __len__(self) -> int:
        return len(self._hashes)

    def contains(self, normalized: Sequence[str]) -> np.ndarray:
        """For each normalised URL, whether it (or its host, as the set was made) is cited."""
        hashes = np.fromiter((self._hash(url) for url in normalized), np.uint64, len(normalized))
        return np.isin(hashes, self._hashes)

    def _hash(self, normalized: str) -> int:
        key = normalized if self._match == "url" else host_of(normalized)
        return xxhash.xxh3_64_intdigest(key.encode())


def read_cited(path: str, match: Match) -> CitedUrls:
    """Read a list of cited URLs, one a line, compressed or not; empty lines count for nothing.

    Raises:
        UserError: the file is missing or holds no URL.
    """
    try:
        opened = fsspec.open(path, "rt", encoding="utf-8", errors="replace", compression="infer").open()
    except FileNotFoundError as error:
        raise UserError(f"list of cited URLs {path} does not exist") from error
    with opened as f:
        cited = CitedUrls((line for line in f if line.strip()), match)
    if not len(cited):
        raise UserError(f"list of cited URLs {path} holds no URL")
    return cited
