"""GitHub: rows of code through the reader and the whole build, beside a loop over files in Python.

The code is Python's own standard library, as often as need be, each time as another repository. The peer does
what RedPajama's scripts do to a file (data_prep/github: a licence's prefix, one regular expression and a test
of each leading line for the header, lengths of lines, share of alphanumeric characters, a digest), and
CodeParrot's, on one core, without tokens. MB are of decompressed JSON lines, or of the files' bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus import recipe
from corpus.build.source import FileRange, ReadContext
from corpus.inputs import resolve
from corpus.recipe import Limits
from corpus.sample import TEXTS
from corpus.settings.github import GitHub
from corpus.sources.github import SOURCE
from corpus.tally import Tally
from tests.bench.sources import Row
from tests.builds import build_here, with_settings

_BYTES = 100_000_000
_LOOP_BYTES = 15_000_000
_BLOCK_COMMENT = re.compile(r"/\*[^*]*\*+(?:[^/*][^*]*\*+)*/")
_LICENSE_TEXT = (TEXTS / "github/harbour/tide-tables/LICENSE").read_bytes()


def measure() -> list[Row]:
    """MB/s of each step and of its peer."""
    files = _code()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        many, few = _rows(files, _BYTES), _rows(files, _LOOP_BYTES)
        lines, small = folder / "rows.jsonl.gz", folder / "few.jsonl.gz"
        size, small_size = _write_lines(lines, many), _write_lines(small, few)
        table = folder / "rows.parquet"
        pq.write_table(pa.Table.from_pylist(many), table, compression="zstd", row_group_size=1_000)
        tree = folder / "tree"
        for path, text in files:
            (tree / "python/lib" / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / "python/lib" / path).write_text(text, "utf-8")
        (tree / "python/lib/LICENSE").write_bytes(_LICENSE_TEXT)
        tree_size = sum(len(text.encode()) for _, text in files)
        chosen = with_settings(recipe.load("sample"), "github", licenses="", layout="rows")
        _read(small, GitHub())  # compiles the kernel, loads the list of licences
        return [
            _timed("reader, JSON lines", size, lambda: _read(lines, GitHub())),
            _timed("reader, Parquet", size, lambda: _read(table, GitHub())),
            _timed("reader, folders", tree_size, lambda: _read(tree, GitHub(layout="repositories"))),
            _timed(
                "whole build, JSON lines", size, lambda: build_here(folder / "b", "github", [lines], chosen)
            ),
            _timed("a loop in Python, RedPajama's rules", small_size, lambda: _loop(small)),
        ]


def _code() -> list[tuple[str, str]]:
    """Path and text of the modules of the standard library."""
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for path in sorted(root.rglob("*.py")):
        if "site-packages" in path.parts or "lib2to3" in path.parts:
            continue
        try:
            found.append((str(path.relative_to(root)), path.read_bytes().decode("utf-8")))
        except UnicodeDecodeError:  # what tests of encodings read
            continue
    return found


def _rows(files: list[tuple[str, str]], least: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    size = 0
    while size < least:
        repository = f"python/lib-{size}"
        for path, text in files:
            rows.append({"repo_name": repository, "path": path, "content": text, "license": "mit"})
            size += len(text)
            if size >= least:
                break
    return rows


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> int:
    data = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    path.write_bytes(gzip.compress(data, 1))
    return len(data)


def _read(path: Path, block: GitHub) -> None:
    context = ReadContext(block, Limits(), {}, 16 << 20)
    tally = Tally(lambda bad: None)
    root = str(path if path.is_dir() else path.parent)
    for file in resolve([str(path)], root):
        for start, end in SOURCE.cut(file, 128 << 20):
            for _ in SOURCE.read(FileRange(file, start, end), context, tally):
                pass
    assert tally.counters["out"] > 0


def _loop(path: Path) -> dict[str, str]:
    """Kept paths by digest."""
    kept: dict[str, str] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if not row["license"].startswith(("mit", "bsd", "apache")):
                continue
            text = _without_header(row["content"])
            lengths = list(map(len, text.splitlines()))
            if not lengths or max(lengths) > 1000 or len(text) / len(lengths) > 100:
                continue
            if sum(map(str.isalnum, text)) / len(text) < 0.25:
                continue
            digest = hashlib.md5(row["content"].encode()).hexdigest()
            kept.setdefault(digest, row["path"])
    return kept


def _without_header(text: str) -> str:
    lines = text.split("\n")
    skip = 0
    for line in lines:
        if line and not line.lstrip().startswith(("//", "#", "--")):
            break
        skip += 1
    rest = "\n".join(lines[skip:])
    found = _BLOCK_COMMENT.search(rest)
    if found and "copyright" in found[0].lower():
        return rest[: found.start()] + rest[found.end() :]
    return rest


def _timed(what: str, size: int, work: Callable[[], Any]) -> Row:
    start = time.process_time()
    work()
    return Row(what, size, time.process_time() - start)
