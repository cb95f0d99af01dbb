"""StackExchange: a dump into documents, beside XML parsers alone and beside a loop in RedPajama's shape.

MB are of `Posts.xml`. The dump is made of the real ones' rows where there are some, else of the sample's,
again and again under other ids.
"""

from __future__ import annotations

import io
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.parsers import expat

from bs4 import BeautifulSoup
from lxml import etree

from corpus import recipe
from corpus.build.source import FileRange, ReadContext
from corpus.inputs import InputFile
from corpus.sample import ROOT
from corpus.settings.stackexchange import StackExchange
from corpus.sources.stackexchange.posts import read_posts
from corpus.tally import Tally
from tests.bench.sources import Row
from tests.builds import build_here, with_build, with_settings
from tests.shared import DATA

_BYTES, _FEW_BYTES = 150_000_000, 3_000_000
_HEAD, _TAIL = b'<?xml version="1.0" encoding="utf-8"?>\n<posts>\n', b"</posts>\n"
_ROW = re.compile(rb"^ *<row .*$", re.MULTILINE)
_IDS = re.compile(rb' (Id|ParentId|AcceptedAnswerId)="(\d+)"')
_LARGEST_ID = 1_000_000


def measure() -> list[Row]:
    """MB/s of our reader and whole build, and of their peers, on the same rows."""
    folders = [DATA / "stackexchange", ROOT / "stackexchange"]
    files = next(found for folder in folders if (found := sorted(folder.glob("*/Posts.xml"))))
    rows = [row for file in files for row in _renumbered(_ROW.findall(file.read_bytes()), files.index(file))]
    few = _dump(rows, _FEW_BYTES)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "bench.example" / "Posts.xml"
        path.parent.mkdir()
        path.write_bytes(_dump(rows, _BYTES))
        data = path.read_bytes()
        _read(path, len(few) // 2)  # compiles, where that has not been done
        return [
            _timed("rows and texts", len(data), lambda: _read(path, len(data))),
            _timed("the whole build", len(data), lambda: _build(path, Path(temporary) / "run")),
            _timed("lxml, rows alone", len(data), lambda: _lxml(data)),
            _timed("expat, rows alone", len(data), lambda: _expat(data)),
            _timed("loop: lxml and BeautifulSoup", len(few), lambda: _loop(few)),
        ]


def _renumbered(rows: list[bytes], copy: int) -> list[bytes]:
    """The rows with all their ids moved."""
    moved = copy * _LARGEST_ID
    return [_IDS.sub(lambda m: b' %s="%d"' % (m[1], int(m[2]) + moved), row) for row in rows]


def _dump(rows: list[bytes], size: int) -> bytes:
    out, copy = [_HEAD], 0
    total = 0
    while total < size:
        for row in _renumbered(rows, 100 * copy):
            if total < size:
                out += [row, b"\n"]
                total += len(row) + 1
        copy += 1
    return b"".join([*out, _TAIL])


def _read(path: Path, end: int) -> int:
    file = InputFile(path.name, str(path), path.stat().st_size, "", "", False)
    context = ReadContext(StackExchange(), recipe.load("sample").limits, {}, 16 << 20)
    tally = Tally(lambda batch: None)
    posts = sum(batch.num_rows for batch in read_posts(FileRange(file, 0, end), context, tally))
    assert posts
    assert not tally.counters["bad"]
    return posts


def _build(path: Path, run: Path) -> None:
    chosen = with_build(
        with_settings(recipe.load("sample"), "stackexchange", largest=28), split_bytes=128 << 20
    )
    _, counters = build_here(run, "stackexchange", [path.parent], chosen)
    assert counters["kept"]
    assert not counters["bad"]


def _lxml(data: bytes) -> int:
    """The six attributes of each row, and nothing more."""
    read = 0
    for _, row in etree.iterparse(io.BytesIO(data), tag="row"):
        read += len([row.get(name) for name in ("Id", "PostTypeId", "ParentId", "Score", "Title", "Body")])
        row.clear()
        while row.getprevious() is not None:
            del row.getparent()[0]
    return read


def _expat(data: bytes) -> int:
    read = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal read
        read += len(attributes.get("Body", ""))

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.Parse(data, True)
    return read


def _loop(data: bytes) -> int:
    """Rows by lxml, texts by BeautifulSoup, answers in a dictionary (RedPajama: stack_exchange)."""
    questions: dict[str, str] = {}
    answers: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for _, row in etree.iterparse(io.BytesIO(data), tag="row"):
        if row.get("PostTypeId") in ("1", "2"):
            text = BeautifulSoup(row.get("Body").replace("<li>", "\n* "), "lxml").get_text()
            if row.get("PostTypeId") == "1":
                questions[row.get("Id")] = f"Q: {row.get('Title')}\n\n{text}"
            else:
                answers[row.get("ParentId")].append((int(row.get("Score")), text))
        row.clear()
        while row.getprevious() is not None:
            del row.getparent()[0]
    joined = [
        "\n\nA: ".join([q, *(t for _, t in sorted(answers[id_], reverse=True))])
        for id_, q in questions.items()
    ]
    assert joined
    return len(joined)


def _timed(what: str, size: int, work: Callable[[], Any]) -> Row:
    start = time.process_time()
    work()
    return Row(what, size, time.process_time() - start)
