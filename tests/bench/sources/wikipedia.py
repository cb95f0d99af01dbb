"""Wikipedia: a multistream dump through the reader and the whole build, beside mwxml and mwparserfromhell.

The dump is made of the sample's pages, each some hundred times under another title and id. The peer does what
huggingface/datasets does: files, references and tables out, then `strip_code`, on a dump small enough for it.
MB are of decompressed XML. On a real dump, whose pages are longer: `LLAMA_CORPUS_BENCH_WIKIPEDIA=DUMP.bz2`.
"""

from __future__ import annotations

import bz2
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mwparserfromhell
import mwxml

from corpus import recipe
from corpus.build.source import FileRange, ReadContext
from corpus.inputs import resolve
from corpus.recipe import Limits
from corpus.sample import build_wikipedia
from corpus.settings.wikipedia import Wikipedia
from corpus.sources.wikipedia import SOURCE
from corpus.tally import Tally
from tests.bench.sources import Row
from tests.builds import build_here

_BYTES = 30_000_000
_PEER_BYTES = 3_000_000
_PAGES_A_STREAM = 100  # as Wikipedia's own
_FILES = frozenset({"file", "image", "media"})


def measure() -> list[Row]:
    """MB/s of each step and of its peer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = os.environ.get("LLAMA_CORPUS_BENCH_WIKIPEDIA")
        dump = Path(given) if given else folder / "enwiki-20220701-pages-articles-multistream.xml.bz2"
        small = dump if given else folder / "enwiki-small.xml.bz2"
        if not given:
            _write(dump, _BYTES)
            _write(small, _PEER_BYTES)
        size, small_size = (len(bz2.decompress(path.read_bytes())) for path in (dump, small))
        chosen = recipe.load("sample")
        return [
            _timed("bzip2 alone", size, lambda: bz2.decompress(dump.read_bytes())),
            _timed("reader, bzip2 to documents", size, lambda: _read(dump)),
            _timed("whole build", size, lambda: build_here(folder / "b", "wikipedia", [dump], chosen)),
            _timed("mwxml and mwparserfromhell's strip_code", small_size, lambda: _peer(small)),
        ]


def _write(path: Path, least: int) -> None:
    """The sample's English pages as often as need be, as a dump of `least` bytes."""
    pages = [text for _, _, text in build_wikipedia.pages_of("en")]
    streams = [bz2.compress(build_wikipedia.head("en", "0.10").encode())]
    size = number = 0
    while size < least:
        xml = ""
        for _ in range(_PAGES_A_STREAM):
            number += 1
            xml += build_wikipedia.page_xml(number, f"Page {number}", pages[number % len(pages)])
        size += len(xml)
        streams.append(bz2.compress(xml.encode()))
    path.write_bytes(b"".join([*streams, bz2.compress(b"</mediawiki>\n")]))


def _read(path: Path) -> None:
    context = ReadContext(Wikipedia(), Limits(), {}, 16 << 20)
    tally = Tally(lambda bad: None)
    (file,) = resolve([str(path)], str(path.parent))
    for _ in SOURCE.read(FileRange(file, 0, file.size), context, tally):
        pass
    assert tally.counters["out"] > 0


def _peer(path: Path) -> int:
    """Characters of text."""
    found = 0
    with bz2.open(path, "rt", encoding="utf-8") as file:
        for page in mwxml.Dump.from_file(file):
            if page.namespace == 0 and page.redirect is None:
                for revision in page:
                    found += len(_plain(revision.text or ""))
    return found


def _plain(wikitext: str) -> str:
    sections = []
    for section in mwparserfromhell.parse(wikitext).get_sections(flat=True, include_headings=True):
        for link in section.ifilter_wikilinks(recursive=True):
            if str(link.title).strip().split(":")[0].lower() in _FILES:
                _remove(section, link)
        for tag in section.ifilter_tags(recursive=True):
            if str(tag.tag).lower() in ("ref", "table"):
                _remove(section, tag)
        sections.append(re.sub(r"__[A-Z]+__", "", section.strip_code()).strip())
    return "\n\n".join(sections)


def _remove(section: Any, node: Any) -> None:
    try:
        section.remove(node)
    except ValueError:  # it went with what it was in
        return


def _timed(what: str, size: int, work: Callable[[], Any]) -> Row:
    start = time.process_time()
    work()
    return Row(what, size, time.process_time() - start)
