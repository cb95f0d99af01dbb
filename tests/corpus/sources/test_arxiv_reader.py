"""Bulk tars: what is read of them, what is skipped, and what is bad, accounted for member by member."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from corpus.build.source import FileRange, ReadContext
from corpus.inputs import InputFile
from corpus.recipe import Limits
from corpus.sample import ROOT
from corpus.schema import document_id
from corpus.settings.arxiv import ArXiv
from corpus.sources.arxiv import SOURCE
from corpus.sources.arxiv.byte_source import FileSource
from corpus.sources.arxiv.submission import Identity, identity
from corpus.sources.arxiv.tar import Tar
from corpus.tally import Tally

Row = dict[str, Any]
BODY = "\\section{S}\nwords"
PAPER = f"\\documentclass{{article}}\n\\begin{{document}}\n{BODY}\n\\end{{document}}\n".encode()


def member(name: str, size: int = 0, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def tar(members: list[tuple[str, bytes] | tarfile.TarInfo], form: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for item in members:
            if isinstance(item, tarfile.TarInfo):
                archive.addfile(item)
            else:
                archive.addfile(member(item[0], len(item[1])), io.BytesIO(item[1]))
    return out.getvalue()


def zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def read(
    path: Path, data: bytes, limits: Limits | None = None, batch_bytes: int = 1 << 20, **settings: Any
) -> tuple[list[Row], list[Row], dict[str, int]]:
    """Documents, bad records and counters of a file with these bytes."""
    path.write_bytes(data)
    bad: list[Row] = []
    tally = Tally(lambda rows: bad.extend(rows.to_pylist()))
    context = ReadContext(ArXiv(**settings), limits or Limits(), {}, batch_bytes)
    file = InputFile(path.name, str(path), len(data), "", "", False)
    rows = []
    for batch in SOURCE.read(FileRange(file, 0, len(data)), context, tally):
        assert pc.all(pc.equal(batch["source"], "arxiv")).as_py()
        rows.extend(batch.to_pylist())
    tally.flush()
    counters = dict(tally.counters)
    assert counters.get("in", 0) == counters.get("out", 0) + counters.get("bad", 0)
    return rows, bad, counters


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("1308/1308.0001.gz", Identity("1308.0001", None, "2013-08")),
        ("1501/1501.00001v12.gz", Identity("1501.00001", 12, "2015-01")),
        ("9901/hep-th9901001.gz", Identity("hep-th/9901001", None, "1999-01")),
        ("0701/math.AG0701123v2.tar.gz", Identity("math.AG/0701123", 2, "2007-01")),
        ("hep-th/9108028.tex", Identity("hep-th/9108028", None, "1991-08")),
        ("cond-mat/9108028v1", Identity("cond-mat/9108028", 1, "1991-08")),
        ("1313/1313.0001.gz", Identity("1313.0001", None, None)),
        ("thesis.tex", Identity("thesis", None, None)),
    ],
)
def test_ids(path: str, expected: Identity) -> None:
    assert identity(path) == expected


def test_submissions_of_each_kind(tmp_path: Path) -> None:
    figures = [("fig.pdf", b"%PDF" * 1000), ("data.csv", b"1,2\n" * 1000), ("README", b"read me")]
    files = [("ms.tex", PAPER.replace(b"words", b"\\input{sec/a}")), ("sec/a.tex", b"words"), *figures]
    data = tar(
        [
            member("1308", type=tarfile.DIRTYPE),
            ("1308/1308.00001.gz", zipped(tar(files))),
            ("1308/1308.00002v3.gz", zipped(PAPER)),
            ("1308/1308.00003.gz", PAPER),
            ("1308/1308.00004.gz", tar(files, tarfile.PAX_FORMAT)),
            ("1308/1308.00005.pdf", b"%PDF"),
            ("1308/1308.00006.gz", zipped(b"%PDF-1.4")),
            ("1308/1308.00007.gz", zipped(b"%!PS-Adobe")),
            ("1308/1308.00008.gz", zipped(b"<!DOCTYPE html><html>")),
            ("1308/1308.00009.gz", zipped(b"PK\x03\x04")),
            ("1308/1308.00010.gz", zipped(b"")),
            ("1308/1308.00011.gz", zipped(b"This paper has been withdrawn by the author.")),
            ("1308/1308.00012.gz", zipped(b"%auto-ignore\n\\documentclass{article} withdrawn")),
            ("1308/1308.00013.gz", zipped(tar(figures))),
            ("1308/1308.00014.gz", b""),
            ("1308/1308.00015.gz", zipped(b"\\documentstyle{article}\\begin{document}Old.\\end{document}")),
            member("1308/link.gz", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            member("1308/device.gz", type=tarfile.CHRTYPE),
        ]
    )
    rows, bad, counters = read(tmp_path / "arXiv_src_1308_001.tar", data)
    assert [(row["key"], row["text"]) for row in rows] == [
        ("1308.00001", BODY),
        ("1308.00002", BODY),
        ("1308.00003", BODY),
        ("1308.00004", BODY),
        ("1308.00015", "\\begin{document}Old."),
    ]
    assert bad == []
    assert counters == {
        "framed": 18,
        "in": 5,
        "out": 5,
        "skipped": 13,
        "skipped/folder": 1,
        "skipped/pdf": 2,
        "skipped/postscript": 1,
        "skipped/html": 1,
        "skipped/zip": 1,
        "skipped/empty": 2,
        "skipped/withdrawn": 2,
        "skipped/no_tex": 1,
        "skipped/not_a_file": 2,
    }
    second = rows[1]
    assert second["id"] == document_id("arxiv", "1308.00002")
    assert second["timestamp"] == "2013-08"
    assert second["file"] == "arXiv_src_1308_001.tar"
    assert data[second["offset"] :].startswith(b"1308/1308.00002v3.gz")
    assert json.loads(second["metadata"]) == {"main": "paper.tex", "member": "1308/1308.00002v3.gz"}
    assert (second["arxiv_v1_version"], second["arxiv_v1_reason"]) == (3, None)
    assert rows[0]["arxiv_v1_version"] is None
    assert rows[4]["arxiv_v1_reason"] == "no_section"


def test_single_submissions(tmp_path: Path) -> None:
    for name, data in (("1308.0001v1.tex", PAPER), ("1308.0001v1.gz", zipped(PAPER))):
        (row,), _, counters = read(tmp_path / name, data)
        assert (row["key"], row["arxiv_v1_version"], row["text"]) == ("1308.0001", 1, BODY)
        assert counters == {"framed": 1, "in": 1, "out": 1}
    assert read(tmp_path / "empty.tar", b"")[2] == {"framed": 1, "skipped": 1, "skipped/empty": 1}


def test_batches_are_closed_by_their_size(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar([(f"1308/1308.000{i:02}.gz", zipped(PAPER)) for i in range(30)]))
    file = InputFile(path.name, str(path), 0, "", "", False)
    tally = Tally(lambda rows: None)
    context = ReadContext(ArXiv(), Limits(), {}, 2_000)
    sizes = [batch.num_rows for batch in SOURCE.read(FileRange(file, 0, 0), context, tally)]
    assert sum(sizes) == 30
    assert max(sizes) < 10


GOOD = ("1308/1308.00099.gz", zipped(PAPER))
BAD = {
    "truncated_gzip": zipped(PAPER * 20)[:-20],
    "bad_gzip": zipped(PAPER)[:-8] + bytes(8),
    "gzip_bomb": zipped(tar([("fig.bin", bytes(1_900_000))])),
    "submission_too_large": zipped(tar([("a.bin", random.Random(1).randbytes(2_000_000))])),
    "text_too_large": zipped(tar([("a.tex", PAPER * 5_000)])),
    "truncated_tar": zipped(tar([("a.tex", PAPER), ("b.tex", PAPER * 100)])[:3000]),
    "bad_tar": zipped(tar([("a.tex", PAPER)])[:1024] + b"no header" * 100),
    "too_many_members": zipped(tar([(f"{i}.tex", b"") for i in range(30)])),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_submission_stops_nothing(reason: str, tmp_path: Path) -> None:
    limits = Limits(record_bytes=300_000, compression_ratio=800)
    data = tar([GOOD, ("1308/1308.00001.gz", BAD[reason]), GOOD])
    rows, bad, counters = read(tmp_path / "a.tar", data, limits, submission_bytes=2_000_000, max_members=20)
    assert [row["key"] for row in rows] == ["1308.00099"] * 2
    assert [(b["reason"], b["offset"], b["file"], b["stage"]) for b in bad] == [
        (reason, 1024, "a.tar", "read")
    ]
    assert counters == {"framed": 3, "in": 3, "out": 2, "bad": 1, f"bad/{reason}": 1}


def test_a_single_text_that_is_too_large(tmp_path: Path) -> None:
    _, bad, _ = read(tmp_path / "1308.0001.gz", zipped(PAPER * 100), Limits(record_bytes=3_000))
    assert [b["reason"] for b in bad] == ["text_too_large"]


def test_members_that_lead_outside_are_no_files_of_the_paper(tmp_path: Path) -> None:
    members = [
        ("../../evil.tex", DOUBLE),
        ("/abs.tex", DOUBLE),
        ("__MACOSX/ms.tex", DOUBLE),
        ("._ms.tex", DOUBLE),
        member("link.tex", type=tarfile.SYMTYPE, linkname="../../evil.tex"),
        member("hard.tex", type=tarfile.LNKTYPE, linkname="ms.tex"),
        ("./ms.tex", PAPER),
    ]
    (row,), bad, _ = read(tmp_path / "a.tar", tar([("1308/1308.00001.gz", zipped(tar(members)))]))
    assert (row["text"], bad) == (BODY, [])
    assert json.loads(row["metadata"])["main"] == "ms.tex"
    assert {p.name for p in tmp_path.iterdir()} == {"a.tar"}


DOUBLE = PAPER.replace(b"words", b"\\section{T}\nother words")


def test_a_member_of_ten_gigabytes_that_is_not_there(tmp_path: Path) -> None:
    huge = member("fig.pdf", 10 << 30)
    header = huge.tobuf(tarfile.GNU_FORMAT)
    inner = tar([("a.tex", PAPER)])[:1024] + header + bytes(2048)
    tracemalloc.start()
    data = tar([("1308/1308.00001.gz", zipped(inner)), GOOD])
    rows, bad, _ = read(tmp_path / "a.tar", data)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()
    assert [row["key"] for row in rows] == ["1308.00099"]
    assert [b["reason"] for b in bad] == ["truncated_tar"]
    text = tar([("a.tex", PAPER)])[:1024] + member("b.tex", 10 << 30).tobuf(tarfile.GNU_FORMAT)
    assert read(tmp_path / "b.tar", tar([("x.gz", zipped(text))]))[1][0]["reason"] == "text_too_large"


def test_a_damaged_span_of_the_outer_tar(tmp_path: Path) -> None:
    data = bytearray(tar([GOOD, GOOD, GOOD]))
    second = 512 + -(-len(GOOD[1]) // 512) * 512
    data[second + 100 : second + 140] = b"x" * 40
    rows, bad, counters = read(tmp_path / "a.tar", bytes(data))
    assert len(rows) == 2
    assert [(b["reason"], b["offset"]) for b in bad] == [("bad_tar", second + 512)]
    assert counters == {"framed": 2, "in": 3, "out": 2, "bad": 1, "bad/bad_tar": 1}


@pytest.mark.parametrize("lost", [450, 600])
def test_a_cut_outer_tar(lost: int, tmp_path: Path) -> None:
    whole = tar([GOOD, GOOD])[:2048]
    assert len(GOOD[1]) < 512
    rows, bad, _ = read(tmp_path / "a.tar", whole[:-lost])
    assert len(rows) == 1
    assert [b["reason"] for b in bad] == ["truncated_tar"]


def test_a_tar_without_its_last_padding(tmp_path: Path) -> None:
    rows, bad, _ = read(tmp_path / "a.tar", tar([GOOD])[: 512 + len(GOOD[1])])
    assert (len(rows), bad) == (1, [])


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_each_format(form: int) -> None:
    names = ["a.tex", "d" * 90 + "/" + "e" * 90 + ".tex", "f" * 99, "è.tex"]
    if form != tarfile.USTAR_FORMAT:
        names.append("g" * 400 + ".tex")
    data = tar([(name, name.encode() * 200) for name in names], form)
    archive = Tar(FileSource(io.BytesIO(data)))
    assert [(m.name, archive.read(m.size)) for m in archive] == [(n, n.encode() * 200) for n in names]


def test_long_names_and_pax_headers_beyond_their_bound_are_passed_over() -> None:
    for kind in (b"L", b"x"):
        blob = member("@", 5 << 20, type=kind).tobuf(tarfile.USTAR_FORMAT) + b"x" * (5 << 20)
        data = blob + tar([("a.tex", PAPER)])
        assert [m.name for m in Tar(FileSource(io.BytesIO(data)))] == ["a.tex"]


def test_an_old_sparse_file_is_passed_over() -> None:
    header = bytearray(member("sparse", 512, type=b"S").tobuf(tarfile.GNU_FORMAT))
    header[482] = 1
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:]))
    more = bytearray(512)
    data = bytes(header) + bytes(more) + b"d" * 512 + tar([("a.tex", PAPER)])
    assert [(m.name, m.kind) for m in Tar(FileSource(io.BytesIO(data)))] == [
        ("sparse", "other"),
        ("a.tex", "file"),
    ]


def test_a_tar_of_nothing_but_long_names_ends() -> None:
    data = member("@", 512, type=b"L").tobuf(tarfile.USTAR_FORMAT) + b"x" * 512
    assert list(Tar(FileSource(io.BytesIO(data * 10_000)))) == []


def test_a_paper_of_one_line_of_twenty_megabytes(tmp_path: Path) -> None:
    line = b"\\x words $a_1$ {b} % " * 1_000_000
    main = PAPER.replace(b"words", b"\\newcommand{\\x}{X}" + line.replace(b"%", b"\\%"))
    start = time.process_time()
    (row,), _, _ = read(tmp_path / "1308.0001.tex", main)
    assert time.process_time() - start < 60
    assert row["text"].count("Xwords $a_1$ {b} \\%") == 1_000_000


def test_limits_of_tokens_reject_only_where_a_tokenizer_is_named() -> None:
    assert SOURCE.checks(ArXiv()) == []
    assert SOURCE.assets(ArXiv()) == []
    named = ArXiv(tokenizer="sp", max_tokens=10, max_tokens_per_character=0.5)
    assert [(c.column, c.limit, c.sign) for c in SOURCE.checks(named)] == [
        ("arxiv_v1_tokens", 10.0, 1),
        ("arxiv_v1_tokens_per_character", 0.5, 1),
    ]
    assert SOURCE.assets(named) == ["sp"]


def test_tokens_are_counted_by_the_tokenizer_named(tmp_path: Path) -> None:
    (plain,), _, _ = read(tmp_path / "1308.0001.tex", PAPER)
    assert plain["arxiv_v1_tokens"] is None
    file = InputFile("1308.0001.tex", str(tmp_path / "1308.0001.tex"), len(PAPER), "", "", False)
    model = str(ROOT / "models" / "en.sp.model")
    context = ReadContext(ArXiv(tokenizer="sp"), Limits(), {"sp": model}, 1 << 20)
    (batch,) = SOURCE.read(FileRange(file, 0, file.size), context, Tally(lambda rows: None))
    (row,) = batch.to_pylist()
    assert len(BODY) / 8 < row["arxiv_v1_tokens"] <= len(BODY)
    assert row["arxiv_v1_tokens_per_character"] == row["arxiv_v1_tokens"] / len(BODY)


def test_the_newest_version_stays() -> None:
    (rule,) = SOURCE.unique(ArXiv())
    assert (rule.key, rule.order[0]) == (("key",), ("arxiv_v1_version", "descending"))
