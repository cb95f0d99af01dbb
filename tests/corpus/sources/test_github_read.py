"""Tables and folders read: shapes, containers, splits, limits, bad input; and the sample."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.build.source import FileRange, ReadContext
from corpus.errors import UserError
from corpus.inputs import InputFile, resolve
from corpus.recipe import Limits
from corpus.sample import ROOT as SAMPLE
from corpus.sample import build_github
from corpus.settings.github import GitHub
from corpus.sources.github import SOURCE
from corpus.sources.github.rows import is_rows, read_rows
from corpus.tally import Tally

Row = dict[str, Any]
LIMITS = Limits()


def read(
    files: list[InputFile],
    block: GitHub = GitHub(),  # noqa: B008
    limits: Limits = LIMITS,
    paths: dict[str, str] | None = None,
    split_bytes: int = 1 << 20,
) -> tuple[list[Row], dict[str, int], list[Row]]:
    """Documents, counters and bad records of files, cut and read as a build does."""
    bad: list[Row] = []
    tally = Tally(lambda batch: bad.extend(batch.to_pylist()))
    context = ReadContext(block, limits, paths or {}, 1 << 20)
    rows = [
        row
        for file in files
        for start, end in SOURCE.cut(file, split_bytes)
        for batch in SOURCE.read(FileRange(file, start, end), context, tally)
        for row in batch.to_pylist()
    ]
    tally.flush()
    counters = dict(tally.counters)
    assert counters.get("in", 0) == len(rows) + counters.get("bad", 0)
    return rows, counters, bad


def file_of(path: Path, data: bytes) -> list[InputFile]:
    path.write_bytes(data)
    return resolve([str(path)])


def code(number: int, **more: Any) -> Row:
    return {
        "repo_name": "a/b",
        "path": f"{number}.c",
        "content": f"int n = {number};\n",
        "license": "mit",
    } | more


def lines(rows: list[Row]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def contents(rows: list[Row]) -> list[str]:
    return [row["text"] for row in rows]


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("x.jsonl", bytes),
        ("x.json.gz", gzip.compress),
        ("x.ndjson.zst", zstandard.ZstdCompressor().compress),
        ("x.jsonl.gz", lambda data: b"".join(gzip.compress(data[i : i + 7]) for i in range(0, len(data), 7))),
    ],
)
def test_containers(tmp_path: Path, name: str, pack: Any) -> None:
    rows = [code(n) for n in range(5)]
    found, counters, _ = read(file_of(tmp_path / name, pack(lines(rows))))
    assert contents(found) == [row["content"] for row in rows]
    assert counters == {"framed": 5, "in": 5, "out": 5}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["", "\r", "x" * 30, "{}", '{"content": 1']) | st.integers(0, 99), max_size=12),
    st.integers(1, 120),
    st.booleans(),
)
def test_any_cut_of_a_plain_file_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, items: list[str | int], split: int, ends: bool
) -> None:
    data = b"\n".join(json.dumps(code(i)).encode() if isinstance(i, int) else i.encode() for i in items)
    file = file_of(tmp_path_factory.mktemp("cut") / "x.jsonl", data + b"\n" * ends)
    limits = replace(LIMITS, record_bytes=100)
    assert read(file, limits=limits, split_bytes=split) == read(file, limits=limits)


def write_parquet(path: Path, rows: list[Row], **options: Any) -> list[InputFile]:
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return resolve([str(path)])


def test_parquet_by_row_groups(tmp_path: Path) -> None:
    rows = [
        {"max_stars_repo_name": "a/b", "max_stars_repo_path": f"{n}.c", "max_stars_repo_licenses": ["MIT"],
         "content": f"int n = {n};\n", "other": [n], "max_stars_count": n}
        for n in range(10)
    ]  # fmt: skip
    (file,) = write_parquet(tmp_path / "x.parquet", rows, row_group_size=3)
    assert SOURCE.cut(file, 1) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert SOURCE.cut(file, 1 << 30) == [(0, 4)]
    found, counters, _ = read([file], split_bytes=1)
    assert contents(found) == [row["content"] for row in rows]
    assert [row["offset"] for row in found] == list(range(10))
    assert json.loads(found[3]["metadata"]) == {"max_stars_count": 3}
    assert counters == {"framed": 10, "in": 10, "out": 10}


@pytest.mark.parametrize(
    "type_", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_columns_of_any_kind_of_string(tmp_path: Path, type_: pa.DataType) -> None:
    table = pa.table(
        {
            "repo_name": pa.array(["a/b"] * 2),
            "path": pa.array(["1.c", "2.c"]),
            "content": pa.array(["int a;\n", None], pa.string()).cast(type_),
            "license": pa.array(["mit"] * 2),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    found, counters, _ = read(resolve([str(tmp_path / "x.parquet")]))
    assert contents(found) == ["int a;\n"]
    assert counters["skipped/no_content"] == 1


def test_a_damaged_row_group_is_bad_and_the_others_are_read(tmp_path: Path) -> None:
    rows = [code(n, content=os.urandom(600).hex()) for n in range(30)]
    path = tmp_path / "x.parquet"
    write_parquet(path, rows, row_group_size=10, compression="zstd", write_page_checksum=True)
    data = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(1).column(2)
    at = column.dictionary_page_offset or column.data_page_offset
    data[at + 400] ^= 0xFF
    found, counters, bad = read(file_of(path, bytes(data)))
    assert {row["github_v1_path"] for row in found} >= {f"{n}.c" for n in (*range(10), *range(20, 30))}
    assert len(found) == 20
    assert counters["bad/bad_parquet"] == 1
    assert bad[0]["offset"] == 10


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\0" * 40 + b"PAR1", b"x" * 1000])
def test_what_is_no_parquet_is_one_bad_file(tmp_path: Path, data: bytes) -> None:
    found, counters, bad = read(file_of(tmp_path / "x.parquet", data))
    assert found == []
    assert counters == {"in": 1, "bad": 1, "bad/bad_parquet": 1}
    assert bad[0]["offset"] == -1


def test_a_table_without_content_is_bad(tmp_path: Path) -> None:
    _, counters, _ = read(write_parquet(tmp_path / "x.parquet", [{"repo_name": "a/b", "path": "c"}]))
    assert counters["bad/no_content_column"] == 1


def test_bombs(tmp_path: Path) -> None:
    rows = [code(1, content="a" * 30_000_000)]
    bomb = write_parquet(tmp_path / "x.parquet", rows, compression="zstd")
    assert read(bomb)[1] == {"in": 1, "bad": 1, "bad/parquet_bomb": 1}
    bomb = file_of(tmp_path / "x.jsonl.gz", gzip.compress(lines(rows)))
    assert read(bomb)[1] == {"in": 1, "bad": 1, "bad/gzip_bomb": 1}


def test_what_is_too_large_is_bad_and_the_rest_goes_on(tmp_path: Path) -> None:
    limits = replace(LIMITS, record_bytes=1_000)
    rows = [code(1), code(2, content="b" * 5_000), code(3)]
    for name, data in (("x.jsonl", lines(rows)), ("x.jsonl.gz", gzip.compress(lines(rows)))):
        found, counters, bad = read(file_of(tmp_path / name, data), limits=limits)
        assert [row["github_v1_path"] for row in found] == ["1.c", "3.c"]
        assert counters == {"framed": 3, "in": 3, "bad": 1, "bad/record_too_large": 1, "out": 2}
        assert bad[0]["first_bytes"].startswith(b'{"repo_name')
    found, counters, _ = read(write_parquet(tmp_path / "x.parquet", rows), limits=limits)
    assert [row["github_v1_path"] for row in found] == ["1.c", "3.c"]
    assert counters["bad/record_too_large"] == 1


def test_nesting_is_bounded(tmp_path: Path) -> None:
    deep = b'{"repo_name": "a/b", "path": "c", "content": "d", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    _, counters, _ = read(file_of(tmp_path / "x.jsonl", deep + b"\n" + lines([code(1)])))
    assert counters == {"framed": 2, "in": 2, "bad": 1, "bad/json_too_deep": 1, "out": 1}


def test_a_row_without_a_licence_is_looked_up(tmp_path: Path) -> None:
    (tmp_path / "licenses.jsonl").write_text(
        '{"repo_name": "a/b", "license": "mit"}\n{"repo_name": "a/gpl", "license": "mit"}\n'
    )
    rows = [
        code(1, license=None),
        code(2, repo_name="a/gpl", license="gpl-3.0"),
        code(3, repo_name="a/unknown", license=None),
    ]
    block = GitHub(licenses="list")
    found, _, _ = read(
        file_of(tmp_path / "x.jsonl", lines(rows)), block, paths={"list": str(tmp_path / "licenses.jsonl")}
    )
    assert [row["github_v1_reason"] for row in found] == [None, "license", "no_license"]
    assert SOURCE.assets(block) == ["list"]


def test_switches(tmp_path: Path) -> None:
    html = "<html><head><script>" + "a();" * 200 + "</script></head><body><p>Short.</p></body></html>\n"
    rows = [
        code(1, path="a.crt"),
        code(2, path="x/LICENSE"),
        code(3, path="LICENSE"),
        code(4, content="# This file was Automatically Generated.\n" * 2),
        code(5, content="\n" * 5 + "automatically generated\n"),
        code(6, path="a.xml", content='<?xml version="1.0"?>\n<a/>\n'),
        code(7, path="a.html", content=html),
        code(8, path="a.html", content="<p>" + "Words that everybody can read. " * 8 + "\n</p>\n"),
    ]
    files = file_of(tmp_path / "x.jsonl", lines(rows))
    block = GitHub(
        skip_paths=["*.crt", "LICENSE"], extensions=[".c", ".html", ".xml", "LICENSE"], min_visible_html=0.2
    )
    found, _, _ = read(files, block)
    assert [row["github_v1_reason"] for row in found] == [
        "skipped_path", None, "skipped_path", None, None, None, "hidden_html", None,
    ]  # fmt: skip
    assert [row["github_v1_autogenerated"] for row in found] == [None, 0, None, 1, 0, 0, 0, 0]
    assert [row["github_v1_xml"] for row in found] == [None, 0, None, 0, 0, 1, 0, 0]
    reasons = [
        c.reason for c in SOURCE.checks(GitHub(autogenerated="reject", xml="reject", max_characters=9))
    ]
    assert reasons == [
        "line_length", "mean_line_length", "alphanumeric", "short", "long", "autogenerated", "xml",
    ]  # fmt: skip
    untouched, _, _ = read(
        file_of(tmp_path / "y.jsonl", lines([code(1, content="// Copyright\nint a;\n")])),
        GitHub(headers=False),
    )
    assert contents(untouched) == ["// Copyright\nint a;\n"]


def tree(root: Path, files: dict[str, bytes]) -> list[InputFile]:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return resolve([str(root)], str(root))


MIT = (build_github.REPOSITORIES / "harbour/tide-tables/LICENSE").read_bytes()


def test_folders(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            "o/n/LICENSE": MIT,
            "o/n/src/a.c": b"int a;\n",
            "o/n/.git/config": b"[core]\n",
            "o/n/image.png": b"\x89PNG\0",
            "o/n/latin.c": "/* é */\n".encode("latin-1"),
            "o/n/wide.txt": "\ufeffwide\n".encode("utf-16-be"),
            "o/n/wider.txt": "\ufeffwider\n".encode("utf-32-le"),
            "o/n/rows.jsonl": lines([code(1)]),
            "m/license.md": b"# " + MIT,
            "m/deep/er/b.c": b"int b;\n",
        },
    )
    (tmp_path / "o/n/link.c").symlink_to(tmp_path / "o/n/src/a.c")
    (tmp_path / "o/n/folder").symlink_to(tmp_path / "m")
    files = resolve([str(tmp_path)], str(tmp_path))
    found, counters, bad = read(files, GitHub(layout="repositories"), split_bytes=3)
    assert {row["key"]: row["license"] for row in found} == dict.fromkeys(
        [
            "m/deep/er/b.c",
            "m/license.md",
            "o/n/LICENSE",
            "o/n/rows.jsonl",
            "o/n/src/a.c",
            "o/n/wide.txt",
            "o/n/wider.txt",
        ],
        "MIT",
    )
    assert counters == {
        "framed": 11, "in": 8, "out": 7, "bad": 1, "bad/invalid_utf8": 1, "skipped": 3, "skipped/git": 1,
        "skipped/binary": 1, "skipped/link": 1,
    }  # fmt: skip
    assert [b["file"] for b in bad] == ["o/n/latin.c"]


def test_a_licence_that_is_a_link_out_of_the_repository_is_not_followed(tmp_path: Path) -> None:
    files = tree(tmp_path / "in", {"n/a.c": b"int a;\n", "n/b.c": b"int b;\n"})
    (tmp_path / "LICENSE").write_bytes(MIT)
    (tmp_path / "in/n/LICENSE").symlink_to(tmp_path / "LICENSE")
    found, _, _ = read(files, GitHub(layout="repositories"))
    assert [row["github_v1_reason"] for row in found] == ["no_license"] * 2


@pytest.mark.parametrize(
    ("depth", "repositories"), [(0, ["a", "b/c"]), (1, ["a", "b"]), (2, ["a/x", "b/c"])], ids=str
)
def test_where_a_repository_begins(tmp_path: Path, depth: int, repositories: list[str]) -> None:
    files = tree(tmp_path, {"a/README": b"x\n", "a/x/y/1.c": b"int a;\n", "b/c/y/2.c": b"int b;\n"})
    found, _, _ = read(files, GitHub(layout="repositories", repository_depth=depth))
    assert [r["github_v1_repository"] for r in found if r["github_v1_path"].endswith(".c")] == repositories


def test_a_file_too_large_or_outside_a_repository_is_bad(tmp_path: Path) -> None:
    files = tree(tmp_path, {"n/LICENSE": MIT, "n/a.c": b"a" * 101, "README": b"x\n"})
    found, counters, _ = read(files, GitHub(layout="repositories"), replace(LIMITS, record_bytes=100))
    assert counters == {
        "framed": 3, "in": 3, "bad": 3, "bad/record_too_large": 2, "bad/no_repository": 1,
    }  # fmt: skip
    assert found == []


@pytest.mark.parametrize(
    ("names", "block", "message"),
    [
        (["o/n/a.c", "o/x.jsonl"], GitHub(), "github.layout"),
        (["a.c", "o/n/b.c"], GitHub(), "--input-root"),
        (["n/a.c"], GitHub(repository_depth=2), "repository_depth"),
    ],
)
def test_input_that_fits_no_layout_is_the_users_error(
    tmp_path: Path, names: list[str], block: GitHub, message: str
) -> None:
    files = tree(tmp_path, dict.fromkeys(names, b"x\n"))
    with pytest.raises(UserError, match=message):
        SOURCE.check_input(files, block)


def test_input_that_fits_passes(tmp_path: Path) -> None:
    SOURCE.check_input(tree(tmp_path / "a", {"x.jsonl.gz": b"", "d/y.parquet": b""}), GitHub())
    SOURCE.check_input(tree(tmp_path / "b", {"o/n/a.c": b"", "m/b.py": b""}), GitHub())
    SOURCE.check_input(
        tree(tmp_path / "c", {"o/n/a.c": b"", "m/b.jsonl": b""}), GitHub(layout="repositories")
    )
    assert not is_rows("o/n/package.json")


def rows_of(folder: Path) -> dict[str, list[Any]]:
    found = {}
    for path in sorted(folder.rglob("*-0*")):
        end = 99 if path.suffix == ".parquet" else path.stat().st_size
        with path.open("rb") as f:
            found[path.name] = list(read_rows(f, path.name, 0, end, path.stat().st_size, LIMITS))
    return found


def test_the_sample_is_what_its_builder_builds(tmp_path: Path) -> None:
    build_github.build(tmp_path)
    built = rows_of(tmp_path)
    assert len(built) == 4
    assert built == rows_of(build_github.FOLDER)


def test_the_sample_as_rows_and_as_folders_gives_the_same_texts() -> None:
    lists = {"list": str(SAMPLE / "models" / "github-licenses.jsonl")}
    root = str(build_github.FOLDER)
    of_rows, _, _ = read(resolve([root], root), GitHub(licenses="list"), paths=lists)
    root = str(build_github.REPOSITORIES)
    of_folders, _, _ = read(resolve([root], root), GitHub(layout="repositories"))
    texts = {row["key"]: row["text"] for row in of_rows}
    assert len(of_folders) == 31
    assert {row["key"]: row["text"] for row in of_folders} == {
        row["key"]: texts[row["key"]] for row in of_folders
    }
