"""Build the sample of GitHub: `python -m corpus.sample.build_github [FOLDER]`.

Folders of repositories in (`texts/github/`, by themselves input for `layout = "repositories"`); their
files as rows out, in the shapes of BigQuery and The Stack, with planted trouble, under FOLDER (default: the
committed `github/`). The same files always give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from corpus.sample import ROOT, TEXTS
from corpus.sample.files import build_by_command, json_line, write
from corpus.sample.records import deflate

FOLDER = ROOT / "github"
REPOSITORIES = TEXTS / "github"
BIGQUERY = "bigquery/contents-000000000000.json.gz"  # three gzip members, of which the second is cut
SAMPLES = "bigquery/sample_contents-000000000000.jsonl"
STACK = "the-stack/data/train-00000-of-00001.parquet"
STACK_2 = "the-stack-v2/train-00000-of-00001.jsonl.zst"

# As BigQuery and The Stack give them; of repositories that are not here `models/github-licenses.jsonl` tells.
LICENSES = {
    "harbour/tide-tables": ["mit"],
    "harbour/lamp-firmware": ["apache-2.0"],
    "meadow/bee-counter": ["bsd-3-clause"],
    "meadow/bee-counter-fork": ["bsd-3-clause"],
    "lintel/gate": ["MIT OR GPL-2.0-only"],
    "lintel/lock": ["GPL-3.0-or-later"],
    "lintel/hinge": ["ISC"],
    "orchard/pomme": ["Apache-2.0 WITH LLVM-exception"],
}
Row = dict[str, Any]


def files(owner: str) -> list[tuple[str, str, str]]:
    """Repository, path and content of the files of one owner."""
    found = []
    for path in sorted(p for p in (REPOSITORIES / owner).rglob("*") if p.is_file()):
        parts = path.relative_to(REPOSITORIES).parts
        found.append(("/".join(parts[:2]), "/".join(parts[2:]), path.read_bytes().decode()))
    return found


def build(folder: Path) -> None:
    """Write the files under the folder."""
    harbour = [_bigquery(*file) for file in files("harbour")]
    meadow = [_bigquery(*file) for file in files("meadow")]
    lost = deflate(_lines([_bigquery("harbour/tide-tables", "never-read.py", "x = 1\n")] * 3))
    members = [deflate(_lines(harbour)), lost[: len(lost) // 2], deflate(_lines(meadow))]
    write(folder / BIGQUERY, b"".join(members))
    write(folder / SAMPLES, _trouble())
    stack = [_stack(*file) for owner in ("lintel", "orchard") for file in files(owner)]
    stack.append(_stack("orchard/pomme", "latin-1.txt", "") | {"content": "Äpfel\n".encode("latin-1")})
    _write_parquet(folder / STACK, stack)
    second = _lines(
        {
            "repo_name": repository,
            "path": f"/{path}",
            "detected_licenses": LICENSES.get(repository, []),
            "license_type": "permissive" if repository in LICENSES else "no_license",
            "content": content,
        }
        for repository, path, content in files("quarry")
    )
    write(folder / STACK_2, zstandard.ZstdCompressor(level=3).compress(second))


def _trouble() -> bytes:
    """Rows of BigQuery's samples: what no rule lets pass, what is no file, and what cannot be read."""
    repository = "harbour/tide-tables"
    rows: list[Row | bytes] = [
        _bigquery(repository, "web/tide.min.js", "var tide=[" + "12.4," * 300 + "];\n"),
        _bigquery(repository, "web/wide.txt", ("high water " * 12 + "\n") * 4),
        _bigquery(repository, "web/frame.txt", ("+" + "-" * 60 + "+\n") * 4),
        _bigquery(repository, "tides/__init__.py", "# Copyright (c) 2020 The Harbour Authors\n"),
        _bigquery(repository, "tides/nothing.py", ""),
        _bigquery(repository, "tides/twice.py", "first = 1\n"),
        _bigquery(repository, "tides/twice.py", "second = 2\n"),
        _bigquery(repository, "board.png", "") | {"content": None, "binary": True},
        _bigquery(repository, "tables.db", "") | {"content": None},
        _bigquery(repository, "tides/nul.dat", "a\0b"),
        _bigquery(repository, "latest.txt", "saltmouth.txt") | {"symlink_target": "saltmouth.txt"},
        b'{"sample_repo_name": "harbour/tide-tables", "sample_path": "cut.py", "content": "def tide(',
        b'{"sample_repo_name": "harbour/tide-tables", "content": "no_path = 1"}',
        b'{"sample_repo_name": "harbour/tide-tables", "sample_path": "list.py", "content": ["a"]}',
        b"",
        _bigquery("meadow/bee-counter-fork", "NOTES.md", "# Notes\n\nThis fork counts wasps too.\n"),
    ]
    renamed = {"repo_name": "sample_repo_name", "path": "sample_path"}
    lines = [
        row if isinstance(row, bytes) else json_line({renamed.get(k, k): v for k, v in row.items()})
        for row in rows
    ]
    return b"\n".join(lines) + b"\n"


def _bigquery(repository: str, path: str, content: str) -> Row:
    return {
        "repo_name": repository,
        "ref": "refs/heads/master",
        "path": path,
        "symlink_target": None,
        "size": str(len(content.encode())),
        "content": content,
        "binary": False,
        "license": LICENSES[repository][0],
    }


def _stack(repository: str, path: str, content: str) -> Row:
    return {
        "max_stars_repo_name": repository,
        "max_stars_repo_path": path,
        "max_stars_repo_licenses": LICENSES.get(repository, []),
        "max_stars_count": len(path) % 7,
        "ext": path.rpartition(".")[2],
        "content": content.encode(),
    }


def _write_parquet(path: Path, rows: list[Row]) -> None:
    """Two row groups; the content is a column of strings that nobody has checked."""
    columns = {name: pa.array([row[name] for row in rows]) for name in rows[0]}
    binary = columns["content"].cast(pa.binary())
    columns["content"] = pa.StringArray.from_buffers(len(binary), *binary.buffers()[1:])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=len(rows) // 2 + 1, compression="zstd")


def _lines(rows: Iterable[Row]) -> bytes:
    return b"".join(json_line(row) + b"\n" for row in rows)


if __name__ == "__main__":
    build_by_command(build, FOLDER, __doc__)
