"""The generator's truth is what lies in its files, and a run is measured against it rightly."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from warcio.archiveiterator import ArchiveIterator

from corpus.dedup.near import words
from corpus.recipe import NearDuplicates
from corpus.sample import CRAWL
from tests.bench import copies
from tests.bench.generator import (
    EDITS,
    EXACT,
    NEAR,
    Copy,
    make_copied_dump,
    make_wet_files,
    read_truth,
    seed_pages,
)


def texts(folder: Path) -> dict[str, str]:
    """Address → text of every page of a set."""
    found = {}
    for path in sorted(folder.rglob("*.gz")):
        with path.open("rb") as f:
            for record in ArchiveIterator(f):
                body = record.content_stream().read().decode()
                assert found.setdefault(record.rec_headers["WARC-Target-URI"], body) is body
    return found


def edited(copy: Copy, pages: dict[str, str]) -> float:
    """Share of the words of a copy that are not its original's."""
    a, b = pages[copy.page].split(), pages[copy.original].split()
    assert len(a) == len(b)
    return float(np.mean([x != y for x, y in zip(a, b, strict=True)]))


def check_truth(folder: Path) -> Counter[str]:
    pages, truth = texts(folder), read_truth(folder)
    assert len({c.page for c in truth}) == len({c.original for c in truth}) == len(truth)
    order = list(pages)
    for copy in truth:
        assert order.index(copy.original) < order.index(copy.page)
        if copy.kind == "exact":
            assert copy.edits == 0
            assert pages[copy.page] == pages[copy.original]
        else:
            assert copy.edits in EDITS
            assert edited(copy, pages) <= copy.edits + 4 * (copy.edits / len(pages[copy.page].split())) ** 0.5
    near = [copy for copy in truth if copy.kind == "near"]
    # A word may be replaced by itself, so a little less is edited than the rate says.
    rates = [edited(copy, pages) / copy.edits for copy in near]
    assert 0.75 < np.mean(rates) <= 1.1
    originals = {c.page for c in truth}
    fresh = [text for page, text in pages.items() if page not in originals]
    assert len(set(fresh)) == len(fresh)
    return Counter({"pages": len(pages), **Counter(copy.kind for copy in truth)})


def test_a_set_has_the_shares_that_it_promises(tmp_path: Path) -> None:
    seeds = seed_pages([CRAWL])
    size = make_wet_files(tmp_path / "a", 1_500_000, 2, seeds=seeds)
    assert size == sum(len(text.encode()) for text in texts(tmp_path / "a").values()) >= 1_500_000
    counts = check_truth(tmp_path / "a")
    assert counts["exact"] / counts["pages"] == pytest.approx(EXACT, rel=0.3)
    assert counts["near"] / counts["pages"] == pytest.approx(NEAR, rel=0.3)
    make_wet_files(tmp_path / "b", 1_500_000, 2, seeds=seeds)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("text", ["Été à l'ΌΣΟΣ, 1 234 «mots»… un deux trois", "one two three four", "", "a"])
def test_shingles_are_those_of_the_rule(text: str) -> None:
    bare = words(text)
    assert len(copies.shingles(text, 3)) == len({tuple(bare[i : i + 3]) for i in range(len(bare) - 2)})


def test_a_run_is_measured_against_the_truth(tmp_path: Path) -> None:
    folder, run = tmp_path / "copies", tmp_path / "run"
    make_copied_dump(folder, 1_000_000, seeds=seed_pages([CRAWL]))
    counts = check_truth(folder)
    assert counts["exact"] > 40
    assert counts["near"] > 150
    settings = copies.write_recipe(tmp_path / "recipe.toml")
    assert settings == NearDuplicates()
    copies.run_filter(folder, tmp_path / "recipe.toml", run)
    found = copies.measure(folder, run, settings)
    copies.print_found(found, settings)
    assert 0 < found.same <= found.planted <= counts["exact"]
    assert found.exact == found.exact_right > 0
    assert found.exact_missed == 0
    assert found.near_planted / found.near > 0.95
    assert found.near_alike / found.near > 0.95
    assert sum(band.pairs for band in found.bands) > 150
    for band in found.bands:
        # The theory holds for pairs drawn at random: five standard deviations, and one page.
        spread = 5 * max(band.expected * (1 - band.expected / max(band.pairs, 1)), 0) ** 0.5 + 1
        assert abs(band.found - band.expected) <= spread, band
    alike = [band for band in found.bands if band.low >= 0.9]
    assert sum(band.found for band in alike) == sum(band.pairs for band in alike)
