"""Paragraph deduplication over splits, buckets and scopes equals the recipe's words, done naively."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.paragraphs import ParagraphFilter, ParagraphIndex
from corpus.errors import CorruptPartError
from corpus.kernels.ccnet_text import normalize_for_dedup
from corpus.kernels.lines import assemble, scan
from corpus.runs import Run, write_answer

# Few lines, many spellings: pages meet often, under one key and under another.
LINES = st.sampled_from(
    ["Home", "HOME ", "About us", "Page 1", "page 2", "»", "", " ", "ΟΔΟΣ", "οδος", "Île", "x", "y", "z", "İ"]
)
PAGES = st.lists(LINES, max_size=6).map("\n".join)
SPLITS = st.lists(st.lists(st.lists(PAGES, max_size=4), max_size=3), min_size=1, max_size=4)
MIN_CHARS = 4


def naive(splits, policy) -> list[str | None]:
    """A scope's pages, in order, with their lines dropped as the recipe says (section 3.2)."""
    pages = [page for batches in splits for batch in batches for page in batch]
    stripped = ["\n".join(line.strip() for line in page.split("\n")).rstrip("\n") for page in pages]
    long_enough = [len(page) >= MIN_CHARS for page in stripped]
    documents: dict[str, set[int]] = {}
    for i, page in enumerate(stripped):
        if long_enough[i]:
            for line in page.split("\n"):
                documents.setdefault(normalize_for_dedup(line), set()).add(i)
    result = []
    for i, page in enumerate(stripped):
        kept, seen = [], set()
        for line in page.split("\n") if long_enough[i] else []:
            key = normalize_for_dedup(line)
            elsewhere = len(documents[key]) >= 2 if policy == "drop-all" else min(documents[key]) < i
            if key and key not in seen and not elsewhere:
                kept.append(line)
            seen.add(key)
        result.append("\n".join(kept) if kept else None)
    return result


def through_files(folder, splits, policy, buckets=1, bucket_bytes=1 << 20, memory_bytes=1 << 20):
    """A scope's pages after both passes."""
    scanned = [
        [(pa.array(b, pa.string()), scan(pa.array(b, pa.string()), MIN_CHARS)) for b in s] for s in splits
    ]
    runs = [str(folder / f"run-{i}") for i in range(len(splits))]
    for path, batches in zip(runs, scanned, strict=True):
        with ParagraphIndex(str(folder), memory_bytes) as index, open(path, "wb") as f:
            for _, lines in batches:
                index.add(lines)
            index.write(f)
    answers = [str(folder / f"answer-{b}") for b in range(buckets)]
    for bucket, path in enumerate(answers):
        with open(path, "wb") as f:
            write_answer(f, list(map(Run.open, runs)), bucket, buckets, policy, bucket_bytes)
    result = []
    for place, (path, batches) in enumerate(zip(runs, scanned, strict=True)):
        paragraph_filter = ParagraphFilter.open(path, [(a, place) for a in answers], policy)
        for text, lines in batches:
            result += assemble(text, lines, paragraph_filter.mask(lines))[0].to_pylist()
    return result


@pytest.mark.parametrize("policy", ["drop-all", "keep-first"])
@given(
    SPLITS, st.sampled_from([1, 2, 8]), st.sampled_from([22 * 5, 1 << 20]), st.sampled_from([1, 90, 1 << 20])
)
@settings(deadline=None, max_examples=60)
def test_equals_the_recipe_done_naively(
    tmp_path_factory, policy, splits, buckets, bucket_bytes, memory_bytes
):
    folder = tmp_path_factory.mktemp("scope")
    got = through_files(folder, splits, policy, buckets, bucket_bytes, memory_bytes)
    assert got == naive(splits, policy)


def test_repeated_inside_one_document_only_is_kept(tmp_path):
    assert through_files(tmp_path, [[["Home 1\nx\nhome 2"]]], "drop-all") == ["Home 1\nx"]


def test_in_two_documents_is_dropped_everywhere(tmp_path):
    splits = [[["Home\nfirst", "HOME\nsecond"]], [["third\nhome »"], ["home\nhome"]]]
    # "home »" becomes "home ", which is another key: normalised lines are not stripped again
    assert through_files(tmp_path, splits, "drop-all") == ["first", "second", "third\nhome »", None]


def test_keep_first_keeps_the_first_in_order(tmp_path):
    splits = [[["a line\nfirst"], ["A LINE\nsecond"]], [["third\na line", "fourth"]]]
    assert through_files(tmp_path, splits, "keep-first") == ["a line\nfirst", "second", "third", "fourth"]


def test_scopes_do_not_see_each_other(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert through_files(tmp_path / name, [[["the same page"]]], "drop-all") == ["the same page"]


def test_short_pages_do_not_count(tmp_path):
    assert through_files(tmp_path, [[["abc", "abc\ndef"]]], "drop-all") == [None, "abc\ndef"]


def test_text_that_changed_between_the_passes_is_found(tmp_path):
    through_files(tmp_path, [[["the first text"]]], "drop-all")
    paragraph_filter = ParagraphFilter.open(
        str(tmp_path / "run-0"), [(str(tmp_path / "answer-0"), 0)], "drop-all"
    )
    with pytest.raises(CorruptPartError, match="not in the run"):
        paragraph_filter.mask(scan(pa.array(["another text"]), 0))


def test_workers_find_every_kernel_compiled(tmp_path):
    """After `warm_up` both passes and the merge between them compile nothing, spilled or not."""
    script = f"""
import pathlib, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from numba.core.dispatcher import Dispatcher
from corpus.kernels import fold, language_model_text, lines, sorted_keys, warm_up, xxh64
import test_paragraphs as t
kernels = {{
    f for m in (fold, language_model_text, lines, sorted_keys, xxh64)
    for f in vars(m).values() if isinstance(f, Dispatcher)
}}
warm_up.warm_up()
before = {{k: len(k.signatures) for k in kernels}}
folder, splits = pathlib.Path({str(tmp_path)!r}), [[["a line", "of text\\nand more"]]] * 2
for policy in ("drop-all", "keep-first"):
    for size in (1, 1 << 20):
        t.through_files(folder, splits, policy, 2, 110, size)
language_model_text.normalize_for_language_model(t.pa.array(["of text"])[:0])
assert before == {{k: len(k.signatures) for k in kernels}}
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
