"""Which pages train the classifier: cited ones, and as many others of the same lengths.

In: annotated pages of one language and the set of cited URLs. Out: hashes of the chosen ids, a matched
number of each class. Only hashes and lengths are held, never text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.training.annotated import SmallestHashes, id_hashes, read_annotated
from corpus.training.cited_urls import CitedUrls
from corpus.urls import is_wikipedia, normalize_url

_SEED = 0x636C_6173  # "clas"; a hash of its own, so that no other use of ids correlates
_COLUMNS = ("id", "key", "language", "text")


@dataclass(frozen=True, kw_only=True)
class SelectionRule:
    """Which pages may train.

    Attributes:
        language: pages of this language only.
        min_chars: shorter pages train nothing, of either class.
        max_pages: pages of each class at most.
        length_classes: to each doubling of the number of characters; both classes of pages get equally
            many of every one. Fewer waste fewer pages, and match lengths less closely.
    """

    language: str = "en"
    min_chars: int = 1000
    max_pages: int = 300_000
    length_classes: int = 4


@dataclass(frozen=True)
class Candidates:
    """Pages that may train the classifier, of one batch.

    Attributes:
        text: their texts.
        hashes: hash of each page's id (uint64).
        cited: whether each is cited.
        length_class: class of its number of characters, so many classes to each doubling.
    """

    text: pa.StringArray
    hashes: np.ndarray
    cited: np.ndarray
    length_class: np.ndarray


@dataclass(frozen=True)
class Selection:
    """The chosen pages: sorted id hashes (uint64) of both classes, and how many there were to choose from."""

    cited: np.ndarray
    random: np.ndarray
    cited_found: int
    random_found: int


def candidates(run: str, cited: CitedUrls, rule: SelectionRule) -> Iterator[Candidates]:
    """Pages of one language with a URL and enough characters; Wikipedia's own are left out."""
    for batch in read_annotated(run, _COLUMNS):
        long_enough = pc.greater_equal(pc.utf8_length(batch.column("text")), rule.min_chars)
        spoken = pc.equal(batch.column("language"), rule.language)
        batch = batch.filter(pc.and_(long_enough, spoken))
        urls = [None if url is None else normalize_url(url) for url in batch.column("key").to_pylist()]
        usable = [None if url is None or is_wikipedia(url) else url for url in urls]
        batch = batch.filter(pa.array([url is not None for url in usable], pa.bool_()))
        length = np.asarray(pc.utf8_length(batch.column("text")), np.float64)
        yield Candidates(
            text=batch.column("text"),
            hashes=id_hashes(batch.column("id"), _SEED),
            cited=cited.contains([url for url in usable if url is not None]),
            length_class=np.floor(np.log2(np.maximum(length, 1)) * rule.length_classes).astype(np.int64),
        )


def select(run: str, cited: CitedUrls, rule: SelectionRule) -> Selection:
    """Choose pages of both classes, equally many of every length class, by the smallest id hashes."""
    kinds = (True, False)
    pools: dict[tuple[bool, int], SmallestHashes] = {}
    found = dict.fromkeys(kinds, 0)
    for page in candidates(run, cited, rule):
        for kind in kinds:
            of_kind = page.cited == kind
            found[kind] += int(of_kind.sum())
            for length_class in np.unique(page.length_class[of_kind]).tolist():
                rows = of_kind & (page.length_class == length_class)
                pool = pools.setdefault((kind, length_class), SmallestHashes(rule.max_pages, np.bool_))
                pool.add(page.hashes[rows], page.cited[rows])
    positives, negatives = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for length_class in sorted({c for kind, c in pools if kind} & {c for kind, c in pools if not kind}):
        a, b = (pools[kind, length_class].result()[0] for kind in kinds)
        n = min(len(a), len(b))
        positives.append(a[:n])
        negatives.append(b[:n])
    positives, negatives = _thin(positives, negatives, rule.max_pages)
    return Selection(
        cited=np.sort(np.concatenate(positives)),
        random=np.sort(np.concatenate(negatives)),
        cited_found=found[True],
        random_found=found[False],
    )


def _thin(
    positives: list[np.ndarray], negatives: list[np.ndarray], limit: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Cut every length class by the same share until a class of pages has at most `limit`."""
    total = sum(map(len, positives))
    if total <= limit:
        return positives, negatives
    sizes = [len(a) * limit // total for a in positives]
    return (
        [a[:n] for a, n in zip(positives, sizes, strict=True)],
        [b[:n] for b, n in zip(negatives, sizes, strict=True)],
    )
