"""Whole-page duplicates against the truth of what was planted: recall and precision, exact and near.

In: a set of `generator.make_copied_dump` and a run over it with `[commoncrawl.duplicates]`. Two texts are
compared as the run compared them, after paragraph deduplication: their likeness is the true Jaccard
similarity of their shingles, which the run only estimates.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import xxhash

from corpus.dedup.near import fold_character
from corpus.recipe import NearDuplicates
from tests.bench.generator import read_truth
from tests.bench.measure import process

# Lower ends of the bands of Jaccard similarity that are told apart, from the top.
BANDS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2, 0.0)
ALIKE = 0.5  # below, a page that was found is a mistake by any measure
_ZEROS = re.compile("0+")

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Band:
    """Planted near copies whose likeness to their originals is in a band.

    `expected` is how many the theory finds: 1 − (1 − J^rows)^bands, added up over the pairs.
    """

    low: float
    pairs: int
    found: int
    expected: float


@dataclass(frozen=True)
class Found:
    """What a run says of the planted copies.

    Attributes:
        pages: compared.
        planted: exact copies planted, and compared.
        same: of them, with the text of their original after paragraph deduplication.
        planted_found: of them, called exact or near duplicates.
        exact: pages called exact duplicates; `exact_right`: that have the text of an earlier page.
        exact_missed: pages with the text of an earlier page that were not called so.
        bands: planted copies, both kinds, by likeness.
        near: pages called near duplicates; `near_planted`: that were planted as copies of an earlier page;
            `near_alike`: that are at least `ALIKE` to some earlier page, by all pairs.
    """

    pages: int
    planted: int
    same: int
    planted_found: int
    exact: int
    exact_right: int
    exact_missed: int
    near: int
    near_planted: int
    near_alike: int
    bands: list[Band] = field(default_factory=list)


class _Fold(dict[int, str]):
    """`fold_character` for `str.translate`, once a character."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = fold_character(chr(code))
        return folded


_FOLD = _Fold()


def shingles(text: str, ngram: int) -> Hashes:
    """Distinct hashes of a text's shingles, ascending; the rule of `corpus.dedup.near.words`."""
    words = _ZEROS.sub("0", text.translate(_FOLD)).split()
    grams = (" ".join(words[i : i + ngram]) for i in range(len(words) - ngram + 1))
    return np.unique(np.fromiter((xxhash.xxh3_64_intdigest(gram.encode()) for gram in grams), np.uint64))


def jaccard(a: Hashes, b: Hashes) -> float:
    """Similarity of two sets."""
    common = len(np.intersect1d(a, b, assume_unique=True))
    return common / (len(a) + len(b) - common)


def measure(copies: Path, run: Path, settings: NearDuplicates) -> Found:
    """Set the run's columns against the truth."""
    pages, texts, sets = [], [], []
    exact: list[bool] = []
    near: list[bool] = []
    for path in sorted((run / "duplicates").glob("*.parquet")):
        found = pq.read_table(path).to_pylist()
        annotated = pq.read_table(run / "annotated" / path.name, columns=["key", "text"]).to_pylist()
        for page, answer in zip(annotated, found, strict=True):
            if answer["near_duplicate_v1"] is None:
                continue
            pages.append(page["key"])
            texts.append(page["text"])
            exact.append(answer["exact_duplicate_v1"])
            near.append(answer["near_duplicate_v1"])
            sets.append(shingles(page["text"], settings.ngram))
    place = {page: i for i, page in enumerate(pages)}
    first: dict[str, int] = {}
    repeated = [first.setdefault(text, i) != i for i, text in enumerate(texts)]
    copied = [c for c in read_truth(copies) if c.page in place and c.original in place]
    pairs = [(place[c.page], place[c.original]) for c in copied]
    pairs = [(i, j) for i, j in pairs if len(sets[i]) and len(sets[j])]
    planted = {i for i, _ in pairs}
    exact_pairs = [(place[c.page], place[c.original]) for c in copied if c.kind == "exact"]
    return Found(
        pages=len(pages),
        planted=len(exact_pairs),
        same=sum(texts[i] == texts[j] for i, j in exact_pairs),
        planted_found=sum(exact[i] or near[i] for i, _ in exact_pairs),
        exact=sum(exact),
        exact_right=sum(is_exact and again for is_exact, again in zip(exact, repeated, strict=True)),
        exact_missed=sum(again and not is_exact for is_exact, again in zip(exact, repeated, strict=True)),
        near=sum(near),
        near_planted=sum(near[i] for i in planted),
        near_alike=_alike(sets, [i for i, is_near in enumerate(near) if is_near]),
        bands=_bands([(jaccard(sets[i], sets[j]), near[i]) for i, j in pairs], settings),
    )


def _bands(pairs: list[tuple[float, bool]], settings: NearDuplicates) -> list[Band]:
    bands, high = [], 2.0
    for low in BANDS:
        of_band = [(j, found) for j, found in pairs if low <= j < high]
        expected = sum(1 - (1 - j**settings.rows) ** settings.bands for j, _ in of_band)
        bands.append(Band(low, len(of_band), sum(found for _, found in of_band), expected))
        high = low
    return bands


def _alike(sets: list[Hashes], found: Iterable[int]) -> int:
    """How many of the pages found resemble an earlier one, whichever, by at least `ALIKE`."""
    hashes = np.concatenate(sets)
    owners = np.repeat(np.arange(len(sets)), [len(s) for s in sets])
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    sizes = np.array([len(s) for s in sets])
    alike = 0
    for i in found:
        low, high = np.searchsorted(hashes, sets[i], "left"), np.searchsorted(hashes, sets[i], "right")
        counts = high - low
        starts = np.repeat(low - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        others = owners[starts + np.arange(counts.sum())]
        common = np.bincount(others[others < i], minlength=len(sets))[:i]
        alike += bool((common / (sizes[:i] + sizes[i] - common) >= ALIKE).any())
    return alike


def write_recipe(path: Path) -> NearDuplicates:
    """Write a recipe that compares whole pages of many languages and does little else; its near block."""
    text = (resources.files("corpus") / "recipes" / "sample.toml").read_text()
    for old, new in (
        ('scope = "block"', 'scope = "dump"'),
        ('keep = ["en", "fr"]', 'keep = ["en", "fr", "de", "es", "it", "pl", "pt", "nl", "ru", "tr"]'),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    near = NearDuplicates()
    text += "\n[commoncrawl.duplicates]\nexact = true\n\n[commoncrawl.duplicates.near]\n"
    text += f"ngram = {near.ngram}\nbands = {near.bands}\nrows = {near.rows}\nseed = {near.seed}\n"
    path.write_text(text)
    return near


def run_filter(copies: Path, recipe: Path, run: Path) -> None:
    """Annotate and compare; no language model, no classifier, no documents."""
    arguments = ["--input", str(copies), "--recipe", str(recipe), "--output", str(run)]
    without = ["--without", "perplexity", "--without", "reference", "--until", "duplicates"]
    process([sys.executable, "-m", "pipelines", "crawl-filter", *arguments, *without])


def print_found(found: Found, settings: NearDuplicates) -> None:
    """Tables for people."""
    print(f"\ncopies of whole pages, {found.pages:,} pages compared, against the generator's truth:")
    right, all_same = found.exact_right, found.exact_right + found.exact_missed
    recall, precision = _share(right, all_same), _share(right, found.exact)
    print(f"  exact: recall {recall}, precision {precision} of {found.exact:,}")
    print(
        f"    {found.planted:,} were planted in another dump; without each dump's repeated paragraphs "
        f"{found.same:,} still had the same text;\n    found as exact or near duplicates: "
        f"{_share(found.planted_found, found.planted)}"
    )
    print(
        f"  near: precision {_share(found.near_planted, found.near)} of {found.near:,} (planted copies), "
        f"{_share(found.near_alike, found.near)} (J ≥ {ALIKE} to some earlier page, by all pairs)"
    )
    print(f"    true Jaccard J   planted   recall   1-(1-J^{settings.rows})^{settings.bands}")
    high = ""
    for band in found.bands:
        name = f"{band.low:.2f}" + (f" to {high}" if high else "")
        high = f"{band.low:.2f}"
        if band.pairs:
            recall, theory = band.found / band.pairs, band.expected / band.pairs
            print(f"    {name:<16} {band.pairs:>7,} {recall:>8.3f} {theory:>8.3f}")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.4f}" if whole else "none"
