"""Scale on paper: the formulae agree with real runs at three sizes, and a dump comes out as it must."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpus import inputs, recipe
from corpus.crawl.estimate import Volume, estimate
from corpus.crawl.job import prepare
from corpus.dedup.paragraphs import ParagraphFilter, ParagraphIndex
from corpus.kernels.lines import scan
from corpus.manifests import sum_counters
from corpus.parts import records
from corpus.runs import Run, write_answer
from pipelines import crawl_filter, runners
from tests.bench.generator import make_wet_files

SETTINGS = recipe.load("llama1").commoncrawl
# 72,000 WET files of 125 MB, 3·10^9 pages, 10^11 lines of which 7·10^10 are distinct within their split.
DUMP = Volume(72_000, 72_000 * 125_000_000, 3 * 10**9, 7 * 10**10, listed=True)


def test_a_dump_in_ccnets_blocks() -> None:
    sizes = estimate(DUMP, SETTINGS)
    assert (sizes.splits, sizes.scopes) == (1600, 32)
    assert 0.55e12 < sizes.run_bytes < 0.62e12
    assert 8.7e9 < sizes.answer_bytes < 9.5e9
    assert (sizes.run_bytes + sizes.answer_bytes + sizes.reference_bytes) / 10**11 < 16  # bytes a paragraph
    assert sizes.split_bytes < 1 << 30
    assert sizes.merge_bytes == SETTINGS.dedup.bucket_bytes


def test_a_whole_dump_as_one_scope_needs_more_buckets_and_no_more_memory() -> None:
    block = estimate(DUMP, SETTINGS)
    whole = estimate(DUMP, replace(SETTINGS, dedup=replace(SETTINGS.dedup, scope="dump")))
    assert whole.scopes == 1
    assert whole.buckets * whole.merge_bytes >= 7 * 10**10 * 22
    assert (whole.merge_bytes, whole.split_bytes) == (block.merge_bytes, block.split_bytes)
    assert whole.reference_bytes < 2e9


@pytest.mark.parametrize("files", [1, 3, 9])
def test_the_formulae_agree_with_real_runs(files: int, tmp_path: Path) -> None:
    make_wet_files(tmp_path / "wet", files * 700_000, files)
    sample = recipe.load("sample")
    # Small buckets, so that there are several.
    settings = replace(
        sample.commoncrawl,
        perplexity=None,
        reference=None,
        dedup=replace(SETTINGS.dedup, bucket_bytes=30_000),
    )
    job = prepare(str(tmp_path / "run"), replace(sample, commoncrawl=settings), "dedup")
    splits = inputs.plan_splits(inputs.resolve([str(tmp_path / "wet")]), settings.dedup)
    runners.run(lambda p, w: crawl_filter.build(p, job, splits, "dedup", w), job.root, "local", 1, [])
    index = [part for part, _ in records(job.root, "index")]
    dedup = [part for part, _ in records(job.root, "dedup")]
    counters = sum_counters(index)
    volume = Volume(files, sum(s.bytes for s in splits), counters["out"], counters["keys"], listed=False)
    expected = estimate(volume, settings)
    assert expected.splits == len(index)
    runs = sum(f.bytes for part in index for f in part.files)
    assert runs == pytest.approx(expected.run_bytes, rel=0.02)
    paragraphs = [part for part in dedup if part.name.startswith("paragraphs")]
    answers = sum(f.bytes for part in dedup for f in part.files)
    # The run's own number of buckets came from its compressed size; the formula's from its keys.
    slack = 120 * abs(len(paragraphs) - expected.buckets) * (files + 1)
    assert answers == pytest.approx(expected.answer_bytes, rel=0.1, abs=slack + 200)


def test_one_line_in_every_page_of_a_million_costs_one_entry(tmp_path: Path) -> None:
    pages, batches, splits = 1_000_000, 20, 4
    texts = []
    for batch in range(batches):
        numbers = np.arange(pages // batches) + batch * (pages // batches)
        letters = [np.base_repr(int(n) + 10**6, 26).translate(_NO_DIGITS) for n in numbers]
        texts.append(pa.array([f"We value your privacy\nown {x}\nalso {x}" for x in letters]))
    scanned = [scan(text, 0) for text in texts]
    paths = [str(tmp_path / f"run-{i}") for i in range(splits)]
    for number, path in enumerate(paths):
        with ParagraphIndex(str(tmp_path), 8 << 20) as index, Path(path).open("wb") as f:
            for lines in scanned[number::splits]:
                index.add(lines)
            assert index.write(f) == 2 * pages // splits + 1
    answer = tmp_path / "answer"
    with answer.open("wb") as f:
        write_answer(f, [Run.open(path) for path in paths], 0, 1, "drop-all", 8 << 20)
    for number, path in enumerate(paths):
        filter_ = ParagraphFilter.open(path, [(str(answer), number)], "drop-all")
        for lines in scanned[number::splits]:
            kept = filter_.mask(lines)
            assert (kept == (lines.ordinal > 0)).all()


_NO_DIGITS = str.maketrans("0123456789", "qrstuvwxyz".upper())
