"""Texts for benchmarks: raw data of all kinds where it lies beside the project, else the sample's."""

from __future__ import annotations

from corpus.sample import TEXTS
from tests.real_texts import kinds


def texts_by_kind(size: int) -> dict[str, list[str]]:
    """By kind, up to so many bytes of each; of the sample's texts, repeated, as many."""
    found: dict[str, list[str]] = {}
    for kind, texts in kinds().items():
        found[kind], left = [], size
        for text in texts:
            found[kind].append(text[:left])
            left -= len(found[kind][-1].encode())
            if left <= 0:
                break
    if found:
        return found
    print("(no data lies beside the project: the sample's texts, repeated, of which a cache makes too much)")
    for kind, pattern in {"books": "en-*/*.txt", "web pages": "*/*.txt"}.items():
        some = [path.read_text("utf-8") for path in sorted((TEXTS / "pages").glob(pattern))]
        found[kind] = some * (size // sum(map(len, some)) + 1)
    return found
