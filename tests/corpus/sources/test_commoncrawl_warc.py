"""Framing: which records come out of sound and damaged files, where they begin, and at what cost."""

from __future__ import annotations

import gzip
import io
import os
import resource
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import IO, cast

import pytest
from fastwarc.warc import ArchiveIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from corpus.raw.damage import Damage
from corpus.recipe import Limits
from corpus.sources.commoncrawl.warc import Record, read_records
from tests.corpus.sources.commoncrawl_files import members, read_file, record
from tests.shared import DATA, needs

CRAWL = DATA / "commoncrawl"
ALL = frozenset({"conversion", "response", "request", "metadata", "warcinfo", "resource", "revisit"})
A, B, C = (record(number=n) for n in (1, 2, 3))
# Text that does not compress to next to nothing.
LONG = "\n".join(f"{n * n} {n ^ 0x5A5A}" for n in range(20_000))


def frame(data: bytes | IO[bytes], **limits: int) -> list[tuple[int, str]]:
    """Offset, and the record's number or the reason of its damage."""
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    found = []
    for item in read_records(file, Limits(**limits), ALL):
        if isinstance(item, Record):
            number = item.headers[b"warc-record-id"].decode()[10:-1]
            found.append((item.offset, number))
        else:
            found.append((item.offset, item.reason))
    return found


def names(data: bytes | IO[bytes], **limits: int) -> list[str]:
    return [name for _, name in frame(data, **limits)]


class TestSoundFiles:
    @pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\r\n", b"", b"\r\n" * 20])
    def test_plain(self, end: bytes) -> None:
        first, second = record(number=1, end=end), record(number=2, end=end)
        assert frame(first + second) == [(0, "1"), (len(first), "2")]

    def test_a_member_a_record(self) -> None:
        one, two = members(A), members(B)
        assert frame(one + two + members(C)) == [(0, "1"), (len(one), "2"), (len(one + two), "3")]

    def test_one_member_over_all(self) -> None:
        assert frame(members(A + B + C)) == [(0, "1"), (len(A), "2"), (len(A + B), "3")]

    @pytest.mark.parametrize("block", [1, 7, 64, 100, 1000])
    def test_members_cut_anywhere(self, block: int) -> None:
        data = A + B + C
        assert names(members(*[data[i : i + block] for i in range(0, len(data), block)])) == ["1", "2", "3"]

    def test_large_records_reach_over_pieces(self) -> None:
        data = record(LONG * 3, 1) + record(LONG, 2)
        for file in (data, members(data), members(record(LONG * 3, 1), record(LONG, 2))):
            bodies = [r.body for r in read_records(io.BytesIO(file), Limits(), ALL) if isinstance(r, Record)]
            assert bodies == [(LONG * 3).encode(), LONG.encode()]

    @pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n", b"", b"\r\n" * 9])
    def test_ends_of_records_anywhere_in_a_piece(self, end: bytes) -> None:
        bodies = [f"{n}\n".encode() + b"x" * (n * 7919 % 20_011) for n in range(300)]
        data = b"".join(record(body, n, end=end) for n, body in enumerate(bodies))
        for file in (data, members(data)):
            items = list(read_records(io.BytesIO(file), Limits(), ALL))
            assert [item.body for item in items if isinstance(item, Record)] == bodies
            assert len(items) == len(bodies)

    def test_line_feeds_only(self) -> None:
        data = record("x\r\n\r\ny", end=b"\n\n").replace(b"\r\n", b"\n").replace(b"x\n\ny", b"x\r\n\r\ny")
        assert names(data + B) == ["1", "2"]

    def test_repeated_fields(self) -> None:
        assert names(record(number=1, extra="Content-Length: 29") + B) == ["1", "2"]
        assert names(record(number=1, extra="WARC-Record-ID: <urn:uuid:9>") + B) == ["1", "2"]


class TestDamage:
    @pytest.mark.parametrize("pack", [members, lambda *records: b"".join(records)])
    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (record(number=2, length=5), "wrong_content_length"),
            (record(number=2, length=0), "wrong_content_length"),
            (record(number=2, length=None), "missing_content_length"),
            (record(number=2, length=-5), "bad_content_length"),
            (record(number=2, length="9" * 3000), "bad_content_length"),
            (record(number=2, length="monkeys"), "bad_content_length"),
            (record(number=2, extra="Content-Length: 3"), "duplicate_content_length"),
            (record(number=2).replace(b"WARC/1.0", b"WARC/x.y"), "bad_version"),
            (record(number=2).replace(b"WARC/1.0", b"WARC/1.0 monkeys"), "bad_version"),
            (b"bytes of\nno record\n", "garbage"),
            (b"WARC/1.0\r\nWARC-Type: conversion\r\n", "truncated_record"),
            (record(number=2, extra="X: " + "y" * 5000), "headers_too_large"),
        ],
    )
    def test_one_bad_record_costs_no_other(self, pack, bad: bytes, reason: str) -> None:  # type: ignore[no-untyped-def]
        data = pack(A, bad, C)
        assert frame(data, header_bytes=4000) == [(0, "1"), (len(pack(A)), reason), (len(pack(A, bad)), "3")]

    def test_a_length_too_large(self) -> None:
        # Member by member the length meets a wall; in a plain file it ends inside a later record, or behind.
        for length in (60, 5 << 30):
            bad = record(number=2, length=length)
            assert names(members(A, bad, C)) == ["1", "truncated_record", "3"]
        assert names(A + record(number=2, length=60) + C) == ["1", "wrong_content_length", "3"]
        assert names(A + record(number=2, length=5 << 30) + C) == ["1", "truncated_record", "3"]

    def test_a_record_cut_by_the_end_of_the_file(self) -> None:
        assert names(A + B[:-20]) == ["1", "truncated_record"]
        assert names(members(A, B[:-20])) == ["1", "truncated_record"]
        assert names(A + B[:20]) == ["1", "truncated_record"]

    @pytest.mark.parametrize("cut", [1, 8, 9, 5000])
    def test_truncated_member(self, cut: int) -> None:
        long = members(record(LONG, 2))
        expected = [(0, "1"), (len(members(A)), "truncated_gzip")]
        assert frame(members(A) + long[:-cut]) == expected

    def test_truncated_member_before_others(self) -> None:
        start = members(A) + members(record(LONG, 2))[:5000]
        found = frame(start + members(C, A))
        assert found[::2] == [(0, "1"), (len(start), "3")]
        assert found[1][0] == len(members(A))
        assert found[1][1] in ("bad_gzip", "wrong_content_length", "truncated_record")

    @pytest.mark.parametrize("at", [15, 200, -5, -1])
    def test_altered_member(self, at: int) -> None:
        long = bytearray(members(record(LONG, 2)))
        long[at] ^= 0xFF
        assert frame(members(A) + long + members(C))[1:] == [
            (len(members(A)), "bad_gzip"),
            (len(members(A)) + len(long), "3"),
        ]

    def test_garbage_between_members(self) -> None:
        start = members(A) + b"no member" + members(b"a member without a record")
        assert frame(start + members(C)) == [(0, "1"), (len(members(A)), "garbage"), (len(start), "3")]

    def test_a_member_of_garbage_between_members(self) -> None:
        start = members(A, b"a member without a record")
        assert frame(start + members(C)) == [(0, "1"), (len(members(A)), "garbage"), (len(start), "3")]

    def test_a_record_after_garbage_at_the_start(self) -> None:
        assert names(b"monkeys\n" + A) == ["garbage", "1"]

    def test_what_looks_like_a_header_inside_garbage_is_none(self) -> None:
        assert names(A + b"monkeys\nWARC/1.0\nnothing\n\nWARC/1.0 \n" + B) == ["1", "garbage", "2"]

    @given(st.binary(max_size=60), st.integers(1, len(A + B)), st.integers(0, 60))
    @settings(max_examples=300, deadline=None)
    def test_any_damage_ends_and_leaves_the_last_record(self, noise: bytes, at: int, cut: int) -> None:
        damaged = (A + B)[:at] + noise + (A + B)[at + cut :]
        items = list(read_records(io.BytesIO(damaged + b"\r\n\r\n" + C), Limits(), ALL))
        assert items
        assert [i for i in items if isinstance(i, Record)][-1].headers[b"warc-record-id"] == b"<urn:uuid:3>"

    @given(st.data())
    @settings(max_examples=300, deadline=None)
    def test_any_damage_to_gzip_ends_and_leaves_the_last_record(self, data: st.DataObject) -> None:
        packed = members(A, record(LONG[:2000], 2))
        at = data.draw(st.integers(0, len(packed) - 1))
        noise = data.draw(st.binary(max_size=20))
        damaged = packed[:at] + noise + packed[at + data.draw(st.integers(0, 20)) :]
        if not damaged.startswith(b"\x1f\x8b\x08"):
            return  # no longer a gzip file
        assert names(damaged + members(C))[-1] == "3"


class TestWholeFiles:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "empty_file"),
            (b"<html>\nno archive\n" * 5, "not_warc"),
            (b"\n\n\n", "not_warc"),
            (members(b"no archive"), "not_warc"),
            (members(b""), "not_warc"),
            (members(b"no", b"archive") + b"at all", "not_warc"),
            (b"BZh91AY&SY" + bytes(20), "unsupported_format"),
            (members(b"7z\xbc\xaf\x27\x1c" + bytes(20)), "unsupported_format"),
        ],
    )
    def test_one_bad_file(self, data: bytes, reason: str) -> None:
        assert frame(data) == [(-1, reason)]

    @pytest.mark.parametrize(("magic", "name"), [(b"BZh", "bzip2"), (b"\x04\x22\x4d\x18", "LZ4")])
    def test_the_message_names_the_format(self, magic: bytes, name: str) -> None:
        (damage,) = read_records(io.BytesIO(magic + b"x" * 99), Limits(), ALL)
        assert isinstance(damage, Damage)
        assert name in damage.message

    def test_damage_from_the_first_byte_on(self) -> None:
        assert frame(members(A)[:40]) == [(0, "truncated_gzip")]


class Sparse(io.RawIOBase):
    """A file of `head`, `size` zero bytes and `tail` that is nowhere held."""

    def __init__(self, head: bytes, size: int, tail: bytes) -> None:
        self._parts = [(head, len(head)), (None, size), (tail, len(tail))]
        self._size = len(head) + size + len(tail)
        self._at = 0
        self._zeros = bytes(1 << 20)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (self._size if whence == os.SEEK_END else 0)
        return self._at

    def read(self, size: int = -1) -> bytes:
        start = 0
        for data, length in self._parts:
            if self._at < start + length:
                inside = self._at - start
                wanted = min(size, length - inside, len(self._zeros))
                self._at += wanted
                return data[inside : inside + wanted] if data is not None else self._zeros[:wanted]
            start += length
        return b""


def sparse(head: bytes, size: int, tail: bytes) -> IO[bytes]:
    return cast("IO[bytes]", Sparse(head, size, tail))


class TestBounds:
    def test_a_record_beyond_the_limit_is_passed_over(self, tmp_path: Path) -> None:
        data = members(A, record(LONG, 2), record(LONG, 4, kind="resource"), C)
        (tmp_path / "f").write_bytes(data)
        read = read_file(tmp_path / "f", record_bytes=1000)
        assert (read.urls, read.reasons) == (["1", "3"], ["record_too_large"])
        assert read.counters["skipped/resource"] == 1

    def test_five_gigabytes_in_one_line(self) -> None:
        head = record(b"", 2, length=5 << 30, end=b"")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert names(sparse(A + head, 5 << 30, b"\r\n\r\n" + C)) == ["1", "2", "3"]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10

    @pytest.mark.parametrize(
        ("head", "reason"), [(b"monkeys", "garbage"), (b"WARC/1.0\r\nX: ", "headers_too_large")]
    )
    def test_a_gigabyte_without_a_record(self, head: bytes, reason: str) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert names(sparse(A + head, 1 << 30, b"\n" + C)) == ["1", reason, "3"]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10

    def test_gzip_bomb(self, tmp_path: Path) -> None:
        """A member that inflates to 4 GB is left at once: the process that reads it stays small."""
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        head = packer.compress(record(b"", 2, length=4 << 30, end=b"")) + packer.flush(zlib.Z_FULL_FLUSH)
        zeros = packer.compress(bytes(64 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
        bomb = head + zeros * 64 + packer.flush()
        (tmp_path / "f").write_bytes(members(A) + bomb + members(C))
        script = (
            "import resource, sys\n"
            "from tests.corpus.sources.commoncrawl_files import read_file\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "read = read_file(sys.argv[1])\n"
            "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "print(*read.urls, *read.reasons, after - before)\n"
        )
        command = [sys.executable, "-c", script, str(tmp_path / "f")]
        root = Path(__file__).parents[3]
        done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=60, check=True)
        *found, kilobytes = done.stdout.split()
        assert found == ["1", "3", "gzip_bomb"]
        assert int(kilobytes) < 50 << 10

    @pytest.mark.parametrize(
        "data",
        [
            A + b"\nWARC/1.0\n" * 200_000,
            A + b"\nWARC/1.0\r\nWARC-Type: conversion\r\n" * 60_000,
            members(A) + b"\x1f\x8b\x08" * 100_000,
            members(A) + b"".join(members(record(number=n))[:-4] for n in range(2_000)),
            members(A + b"WARC/1.0\r\nWARC-Type: metadata\r\nContent-Length: 3000000\r\n\r\n" * 80_000),
        ],
        ids=["versions", "headers", "magics", "cut-members", "lengths"],
    )
    def test_the_search_for_the_next_record_is_linear(self, data: bytes) -> None:
        before = time.process_time()
        assert names(data)[0] == "1"
        assert time.process_time() - before < 10


def sound_files() -> list[str]:
    """Public files whose framing is sound by three readers' account."""
    paths = ["edge-cdxj/cc.warc.gz", "edge-cdxj/post-test-more.warc", "edge-fastwarc/clueweb-quirk.warc.gz"]
    paths += ["edge-fastwarc/warcfile.warc.gz", "edge-warcio/example.warc", "edge-warcio/example.warc.gz"]
    paths += ["edge-warcio/post-test.warc.gz", "IAH-20080430204825-00000-blackbook.warc.gz"]
    paths += ["sample-0000.warc.gz", "html-multilang-a.warc.gz", "whirlwind/whirlwind.warc.wet.gz"]
    return [*paths, "whirlwind/whirlwind.warc", "whirlwind/whirlwind.warc.gz"]


@needs(CRAWL)
@pytest.mark.parametrize("name", sound_files())
def test_three_readers_agree(name: str) -> None:
    with (CRAWL / name).open("rb") as file:
        items = list(read_records(file, Limits(), ALL))
    assert all(isinstance(item, Record) for item in items)
    ours = [
        (r.headers.get(b"warc-record-id"), r.headers.get(b"warc-target-uri"), r.body)
        for r in items
        if isinstance(r, Record)
    ]
    with (CRAWL / name).open("rb") as file:
        fast = []
        for r in ArchiveIterator(file, parse_http=False):
            fields = {k.lower(): v for k, v in r.headers.items_bytes()}
            fast.append((fields.get(b"warc-record-id"), fields.get(b"warc-target-uri"), r.reader.read()))
    assert ours == fast
    with (CRAWL / name).open("rb") as file:
        slow = []
        for r in WarcioIterator(file, no_record_parse=True):
            url = r.rec_headers.get_header("WARC-Target-URI")
            slow.append((r.rec_headers.get_header("WARC-Record-ID"), url, r.raw_stream.read()))
    text = [(i and i.decode(), u and u.decode().strip("<>"), body) for i, u, body in ours]
    assert [(i, u and u.strip("<>"), body) for i, u, body in slow] == text


def test_gzip_written_by_the_standard_library(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "f", "wb") as f:  # with a file name in its header
        f.write(A + B)
    assert read_file(tmp_path / "f").urls == ["1", "2"]
