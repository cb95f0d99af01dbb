"""The steps of the filter, each alone over the same batches: where the time goes."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus import registry, rules
from corpus.crawl.job import annotator_assets, prepare
from corpus.dedup.paragraphs import ParagraphFilter, ParagraphIndex
from corpus.kernels.lines import assemble, scan
from corpus.recipe import Recipe
from corpus.runs import Run, write_answer
from corpus.sources.commoncrawl import read_pages
from corpus.tally import Tally
from tests.bench.generator import real_warc_files
from tests.bench.measure import step

_MEMORY = 256 << 20


def print_steps(wet: Path, folder: Path, size: int, recipe: Recipe) -> None:
    """Reading, deduplication, every annotator and every rule over the WET files of a folder."""
    print("\nsteps alone, MB/s of the text that enters each:")
    paths = sorted(wet.glob("*.gz"))
    pages = step("read: inflate, frame, decode", size, partial(_read, paths, recipe))
    texts = [batch.column("text") for batch in pages]
    documents = step("paragraph deduplication, both passes", size, partial(_deduplicate, texts, folder))
    kept = sum(batch.column("text").nbytes for batch in documents)
    job = prepare(str(folder), recipe, "annotate")
    models = {name: job.path_of(name) for name in annotator_assets(recipe.commoncrawl)}
    for name in ("language", "perplexity", "reference"):
        annotator = registry.ANNOTATORS[name](recipe.commoncrawl, models)
        columns = step(name, kept, partial(_annotate, annotator, documents))
        documents = [_with(d, annotator.fields, c) for d, c in zip(documents, columns, strict=True)]
    english = [d.filter(pa.compute.equal(d.column("language"), "en")) for d in documents]
    english_bytes = sum(d.column("text").nbytes for d in english)
    for name, block in _rule_blocks().items():
        settings = _with_block(recipe, name, block)
        annotator = registry.ANNOTATORS[name](settings, {})
        annotator.annotate(english[0].slice(0, 10))  # compiles what is not yet compiled
        step(f"rules: {name}", english_bytes, partial(_annotate, annotator, english))


def print_html(recipe: Recipe) -> None:
    """Text out of HTML, over the real WARC files; MB/s of HTML."""
    paths = real_warc_files()
    if not paths:
        return
    raw = sum(_html_bytes(path) for path in paths)
    print("\nHTML extraction alone, MB/s of HTML:")
    step("inflate, frame, decode, extract", raw, partial(_read, paths, recipe))


def _html_bytes(path: Path) -> int:
    from warcio.archiveiterator import ArchiveIterator

    with path.open("rb") as f:
        return sum(
            len(record.content_stream().read())
            for record in ArchiveIterator(f)
            if record.rec_type == "response"
        )


def _read(paths: list[Path], recipe: Recipe) -> list[pa.RecordBatch]:
    tally = Tally(lambda batch: None)
    size = recipe.commoncrawl.batch_bytes
    return [b for path in paths for b in read_pages(str(path), path.name, recipe.limits, size, tally)]


def _deduplicate(texts: list[pa.StringArray], folder: Path) -> list[pa.RecordBatch]:
    """Scan, run, answer; scan again, look up, assemble."""
    run, answer = folder / "run", folder / "answer"
    with ParagraphIndex(tempfile.gettempdir(), _MEMORY) as index, run.open("wb") as f:
        for text in texts:
            index.add(scan(text, 300))
        index.write(f)
    with answer.open("wb") as f:
        write_answer(f, [Run.open(str(run))], 0, 1, "drop-all", _MEMORY)
    paragraphs = ParagraphFilter.open(str(run), [(str(answer), 0)], "drop-all")
    batches = []
    for text in texts:
        lines = scan(text, 300)
        batches.append(pa.RecordBatch.from_pydict({"text": assemble(text, lines, paragraphs.mask(lines))[0]}))
    return batches


def _annotate(annotator: Any, documents: list[pa.RecordBatch]) -> list[list[pa.Array]]:
    return [annotator.annotate(batch) for batch in documents]


def _with(batch: pa.RecordBatch, fields: tuple[pa.Field, ...], columns: list[pa.Array]) -> pa.RecordBatch:
    for field, column in zip(fields, columns, strict=True):
        batch = batch.append_column(field, column)
    return batch


def _rule_blocks() -> dict[str, Any]:
    return {
        "c4": rules.C4Rules(),
        "gopher_quality": rules.GopherQuality(),
        "gopher_repetition": rules.GopherRepetition(),
        "fineweb": rules.FineWebRules(),
    }


def _with_block(recipe: Recipe, name: str, block: Any) -> Any:
    from dataclasses import replace

    return replace(recipe.commoncrawl, **{name: block})
