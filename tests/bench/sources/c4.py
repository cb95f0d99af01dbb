"""C4: published rows beside datatrove's reader; the rebuild's rules beside datatrove's filter and langdetect.

MB are of decompressed JSON lines, of page text, and of documents' text. The rebuild's pages are generated
(`tests.bench.generator`); Punkt has no model here, so that nothing is fetched, and is as fast with one.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter
from datatrove.pipeline.readers import JsonlReader
from loguru import logger

from corpus import recipe
from corpus.annotate.english import factory, langdetect
from corpus.build.source import FileRange, ReadContext
from corpus.inputs import InputFile
from corpus.settings.c4 import C4
from corpus.sources.c4.pages import Measures
from corpus.sources.c4.published import read
from corpus.tally import Tally
from tests.bench.generator import make_wet_files, seed_pages
from tests.bench.sources import Row
from tests.builds import build_here, with_build, with_settings

_ROWS_BYTES = 100_000_000
_WET_BYTES = 60_000_000
_RULES_BYTES = 40_000_000
_SLOW_BYTES = 3_000_000


def measure() -> list[Row]:
    """MB/s of each step and of its peer, on the same text."""
    texts = ["\n".join(lines) for _, lines in seed_pages()]
    with tempfile.TemporaryDirectory() as folder:
        return [*_published(Path(folder), texts), *_rules(texts), *_detection(texts), *_rebuild(Path(folder))]


def _published(folder: Path, texts: list[str]) -> list[Row]:
    lines = [
        json.dumps({"text": t, "url": f"http://e.example/{n}", "timestamp": "2019-04-20T00:00:00Z"})
        for n, t in enumerate(texts)
    ]
    data = "\n".join(lines).encode() + b"\n"
    path = folder / "c4-train.00000-of-00001.json.gz"
    copies = _ROWS_BYTES // len(data)
    path.write_bytes(gzip.compress(data * copies, 1))
    size = len(data) * copies
    part = FileRange(InputFile(path.name, str(path), path.stat().st_size, "", "", False), 0, 0)
    context = ReadContext(C4(), recipe.load("sample").limits, {}, 16 << 20)
    reader = JsonlReader(str(folder), glob_pattern="*.json.gz", compression="gzip")
    logger.remove()  # its messages

    def ours() -> None:
        assert sum(map(len, read(part, context, Tally(lambda bad: None)))) == len(lines) * copies

    def theirs() -> None:
        assert sum(1 for _ in reader.run()) == len(lines) * copies

    return [_timed("published rows", size, ours), _timed("datatrove JsonlReader", size, theirs)]


def _rules(texts: list[str]) -> list[Row]:
    many, few = _up_to(texts, _RULES_BYTES), _up_to(texts, _SLOW_BYTES)
    pages, once = pa.array(many), pa.array(texts)
    measures = {
        name: Measures(C4(mode="rebuild", sentences=name), {}) for name in ("marks", "untrained-punkt")
    }
    peer = C4QualityFilter(min_num_sentences=3, min_words_per_line=5)
    documents = [Document(text=text, id=str(n)) for n, text in enumerate(few)]
    measures["marks"].clean(pages[:1])
    peer.filter(Document(text="To load its model.", id="0"))
    return [
        _timed("line rules, cleaned text", _size(many), lambda: measures["marks"].clean(pages)),
        # Each text once: what Punkt says of a place is remembered.
        _timed("line rules and Punkt", _size(texts), lambda: measures["untrained-punkt"].clean(once)),
        _timed("datatrove C4QualityFilter", _size(few), lambda: [peer.filter(d) for d in documents]),
    ]


def _detection(texts: list[str]) -> list[Row]:
    many, few = _up_to(texts, _RULES_BYTES), _up_to(texts, _SLOW_BYTES // 2)
    library = factory()
    langdetect().detect("To compile it.")

    def by_library() -> None:
        for text in few:
            detector = library.create()
            detector.append(text)
            detector.get_probabilities()

    return [
        _timed("langdetect, compiled", _size(many), lambda: [langdetect().detect(text) for text in many]),
        _timed("langdetect, the library", _size(few), by_library),
    ]


def _rebuild(folder: Path) -> list[Row]:
    size = make_wet_files(folder / "wet", _WET_BYTES, 2)
    chosen = with_build(with_settings(recipe.load("sample"), "c4", mode="rebuild"), split_bytes=1)
    files = sorted((folder / "wet").glob("*.gz"))
    row = _timed("rebuild from WET, whole build", size, lambda: build_here(folder / "b", "c4", files, chosen))
    kept = sum(pq.ParquetFile(p).metadata.num_rows for p in (folder / "b" / "documents").rglob("*.parquet"))
    return [Row(f"{row.what} ({kept:,} pages kept)", row.size, row.cpu)]


def _timed(what: str, size: int, work: Callable[[], Any]) -> Row:
    start = time.process_time()
    work()
    return Row(what, size, time.process_time() - start)


def _up_to(texts: list[str], size: int) -> list[str]:
    """Texts again and again, until they have so many bytes."""
    chosen: list[str] = []
    total = 0
    while total < size:
        for text in texts:
            chosen.append(text)
            total += len(text.encode())
            if total >= size:
                break
    return chosen


def _size(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)
