r"""ArXiv: bulk tars through the reader, beside pylatexenc, and beside a loop of regular expressions.

The papers are those of the sample that read without a fault, each with its text twenty times, as often as
need be. The loop does what RedPajama's cleaner does to a file (data_prep/arxiv: text before the first
heading, whole and trailing comments, what follows the bibliography, macros without arguments), over the same
archives; it expands no other macro. Pylatexenc's parser reads the same text into nodes, and its latex2text
turns them into words; both know LaTeX's macros and not the paper's. MB are of TeX, inflated.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pylatexenc.latex2text import LatexNodes2Text
from pylatexenc.latexwalker import LatexWalker

from corpus.build.source import FileRange, ReadContext
from corpus.inputs import resolve
from corpus.recipe import Limits
from corpus.sample.build_arxiv import PAPERS, archive
from corpus.settings.arxiv import ArXiv
from corpus.sources.arxiv import SOURCE
from corpus.tally import Tally
from tests.bench.sources import Row

_BYTES = 20_000_000
_LOOP_BYTES = 4_000_000
_PEER_BYTES = 600_000
_TIMES = 20
_FAULTY = frozenset({"1308.00005", "2401.00005"})  # a bomb, files that read each other

_HEADING = re.compile(r"\\(?:part|chapter|(?:sub){0,2}section|(?:sub)?paragraph)\b\*?(?:\[.*?\])?\{.*?\}")
_END = re.compile(r"\\appendix\b|\\begin\{(?:references|thebibliography)\}|\\bibliography\{.*?\}")
_MACRO = re.compile(r"\\(?:newcommand\*?\{(\\[A-Za-z0-9]+?)\}|def(\\[A-Za-z0-9]+?))\{(.*?)\}$", re.MULTILINE)


def measure() -> list[Row]:
    """MB/s of the reader and of its peers."""
    papers = _papers()
    with tempfile.TemporaryDirectory() as name:
        many, few = (Path(name) / f"arXiv_src_{which}.tar" for which in ("2401_001", "2401_002"))
        size, small_size = _write(many, papers, _BYTES), _write(few, papers, _LOOP_BYTES)
        rows = [
            _timed("reader", size, lambda: _read(many)),
            _timed("a loop of regular expressions, RedPajama's", small_size, lambda: _loop(few)),
        ]
    text = "\n".join(f["main"] for f in papers)
    part = (text * (1 + _PEER_BYTES // len(text)))[:_PEER_BYTES]
    pieces = [part[i : i + 30_000] for i in range(0, len(part), 30_000)]
    size = len(part.encode())
    rows.append(
        _timed("pylatexenc, parser", size, lambda: [LatexWalker(p).get_latex_nodes() for p in pieces])
    )
    to_text = LatexNodes2Text()
    rows.append(_timed("pylatexenc, latex2text", size, lambda: [to_text.latex_to_text(p) for p in pieces]))
    return rows


def _papers() -> list[dict[str, str]]:
    """Files of each paper; ``main`` is the one with the text, twenty times as long."""
    found = []
    for folder in sorted(PAPERS.glob("*/*")):
        files = [f for f in sorted(folder.iterdir()) if f.suffix == ".tex"]
        if folder.name in _FAULTY or len(files) != 1:
            continue
        text = files[0].read_bytes().decode("utf-8", "replace")
        head, begin, body = text.partition("\\section{")
        body, end, rest = body.partition("\\end{document}")
        if begin and end:
            found.append({"main": head + (begin + body) * _TIMES + end + rest})
    return found


def _write(path: Path, papers: list[dict[str, str]], least: int) -> int:
    """A bulk tar of papers; returns the bytes of their TeX."""
    members = []
    size = 0
    while size < least:
        data = papers[len(members) % len(papers)]["main"].encode()
        inner = archive([("ms.tex", data)])
        members.append((f"2401/2401.{len(members):05}.gz", gzip.compress(inner, 6, mtime=0)))
        size += len(data)
    path.write_bytes(archive(members))
    return size


def _read(path: Path) -> None:
    tally = Tally(lambda bad: None)
    (file,) = resolve([str(path)])
    for _ in SOURCE.read(FileRange(file, 0, file.size), ReadContext(ArXiv(), Limits(), {}, 16 << 20), tally):
        pass
    assert tally.counters["out"] == tally.counters["framed"] > 0


def _loop(path: Path) -> int:
    """Characters of the cleaned papers."""
    kept = 0
    with tarfile.open(path) as outer:
        for member in outer:
            file = outer.extractfile(member)
            assert file is not None
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(file.read()))) as inner:
                for item in inner:
                    content = inner.extractfile(item)
                    assert content is not None
                    kept += len(_clean(content.read().decode("utf-8")))
    return kept


def _clean(text: str) -> str:
    macros = {m[1] or m[2]: m[3] for m in _MACRO.finditer(text)}
    heading = _HEADING.search(text)
    if not heading:
        return ""
    text = text[heading.start() :]
    text = re.sub(r"(?m)^%.*\n?", "", text)
    text = re.sub(r"[^\\]%.+$", "", text, flags=re.MULTILINE)
    end = _END.search(text)
    text = text[: end.start()] if end else text
    for name, value in macros.items():
        text = re.sub(re.escape(name) + r"([^a-zA-Z0-9])", value.replace("\\", "\\\\") + r"\1", text)
    return text


def _timed(what: str, size: int, work: Callable[[], Any]) -> Row:
    start = time.process_time()
    work()
    return Row(what, size, time.process_time() - start)
