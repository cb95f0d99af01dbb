"""ARC files: their records as pages, in both versions, and what damage costs."""

from __future__ import annotations

import gzip
import io
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from corpus.recipe import Limits
from corpus.sources.commoncrawl.warc import Record, read_records
from tests.corpus.sources.commoncrawl_files import members, read_file
from tests.shared import DATA, needs

CRAWL = DATA / "commoncrawl"
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>T</title><p>Page %d of all pages.</p>"


def arc(
    number: int = 1,
    body: bytes | None = None,
    line: str = "{url} 127.0.0.1 20080430204826 text/html {length}",
    url: str = "http://example.org/{number}",
    length: int | str | None = None,
    end: bytes = b"\n",
) -> bytes:
    """One record. `length`: what its line says, by default the truth."""
    body = HTTP % number if body is None else body
    url = url.format(number=number)
    return line.format(url=url, length=len(body) if length is None else length).encode() + b"\n" + body + end


FILEDESC = arc(
    url="filedesc://a.arc",
    body=b"1 0 Someone\nURL IP-address Archive-date Content-type Archive-length\n",
)
VERSION_2 = (
    "{url} 127.10.100.2 19961104142103 text/html 200 fac069150613fe55599cc7fa88aa089d - 209 a.arc {length}"
)
A, B, C = arc(1), arc(2), arc(3)
LONG = arc(2, HTTP % 2 + b"\n".join(b"%d %d" % (n * n, n ^ 0x5A5A) for n in range(20_000)))


def frame(data: bytes, **limits: int) -> list[tuple[int, str]]:
    """Offset, and the end of the record's URL or the reason of its damage."""
    found = []
    for item in read_records(io.BytesIO(data), Limits(**limits), frozenset({"response"})):
        if isinstance(item, Record):
            found.append((item.offset, item.headers[b"warc-target-uri"].decode("latin-1").rsplit("/", 1)[-1]))
        else:
            found.append((item.offset, item.reason))
    return found


def names(data: bytes, **limits: int) -> list[str]:
    return [name for _, name in frame(data, **limits)]


def write(folder: Path, data: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(data)
    return path


class TestPages:
    @pytest.mark.parametrize("line", ["{url} 127.0.0.1 20080430204826 text/html {length}", VERSION_2])
    def test_columns(self, tmp_path: Path, line: str) -> None:
        read = read_file(write(tmp_path, members(FILEDESC, arc(7, line=line))))
        (page,) = read.pages
        timestamp = page.pop("timestamp")
        assert timestamp == ("1996-11-04T14:21:03Z" if line == VERSION_2 else "2008-04-30T20:48:26Z")
        assert page == {
            "record_id": None,
            "url": "http://example.org/7",
            "digest": None,
            "title": "T",
            "text": "Page 7 of all pages.",
            "file": "name.warc",
            "offset": len(members(FILEDESC)),
        }
        assert read.counters == {"framed": 2, "in": 1, "out": 1, "skipped": 1, "skipped/filedesc": 1}

    def test_what_is_no_page(self, tmp_path: Path) -> None:
        data = members(
            arc(body=b"20080430\nexample.org. 5 IN A 1.2.3.4\n", url="dns:example.org"),
            arc(body=b"HTTP/1.0 404 Not Found\r\nContent-Type: text/html\r\n\r\n<p>no"),
            arc(body=b"HTTP/1.0 200 OK\r\nContent-Type: image/gif\r\n\r\nGIF89a"),
            arc(body=b"<html>the page and no header"),
            arc(5),
        )
        read = read_file(write(tmp_path, data))
        assert (read.urls, read.reasons) == (["5"], ["bad_http"])
        skipped = {k: n for k, n in read.counters.items() if k.startswith("skipped/")}
        assert skipped == {"skipped/not_http": 1, "skipped/http_status": 1, "skipped/not_html": 1}

    @pytest.mark.parametrize(
        ("line", "url"),
        [
            ("{url} - 20080430204826 text/html {length}", "http://example.org/1"),
            ("{url} 2001:db8::1 20080430204826 no-type {length}", "http://example.org/1"),
            ("{url} 1.2.3.4 20080430204826  {length}", "http://example.org/1"),
            ("{url} 1.2.3.4 20080430204826 text/html; charset=utf-8 {length}", "http://example.org/1"),
            ("{url} 1.2.3.4 20080430204826 text/html {length}\r", "http://example.org/1"),
            ("{url} 1.2.3.4 20080430204826 text/html {length}", "http://example.org/a page of 9 words/1"),
            (VERSION_2, "http://example.org/a page/1"),
        ],
    )
    def test_lines_of_all_kinds(self, tmp_path: Path, line: str, url: str) -> None:
        (page,) = read_file(write(tmp_path, arc(line=line, url=url))).pages
        assert (page["url"], page["text"]) == (url, "Page 1 of all pages.")

    @pytest.mark.parametrize("date", ["200804302048", "20081399204826", "201404010000000000"])
    def test_a_date_of_another_kind_is_none(self, tmp_path: Path, date: str) -> None:
        line = "{url} 1.2.3.4 " + date + " text/html {length}"
        assert read_file(write(tmp_path, arc(line=line))).pages[0]["timestamp"] is None

    @needs(CRAWL)
    def test_the_same_crawl_as_arc_and_as_warc_gives_the_same_pages(self) -> None:
        stem = "IAH-20080430204825-00000-blackbook"
        arc_pages, warc_pages = (
            sorted((p["url"], p["title"] or "", p["text"]) for p in read_file(CRAWL / f"{stem}{end}").pages)
            for end in (".arc.gz", ".warc.gz")
        )
        assert len(arc_pages) == 130
        assert arc_pages == warc_pages

    @needs(CRAWL)
    @pytest.mark.parametrize(
        "name",
        [
            "IAH-20080430204825-00000-blackbook.arc.gz",
            "edge-jwat/small_BNF.arc",
            "edge-warcio/example.arc.gz",
        ],
    )
    def test_two_readers_agree(self, name: str) -> None:
        with (CRAWL / name).open("rb") as file:
            items = list(read_records(file, Limits(), frozenset({"response", "filedesc"})))
        ours = [(i.headers[b"warc-target-uri"].decode(), i.body) for i in items if isinstance(i, Record)]
        assert len(ours) == len(items)
        with (CRAWL / name).open("rb") as file:
            theirs = [
                (r.rec_headers.get_header("uri"), r.raw_stream.read())
                for r in ArchiveIterator(file, no_record_parse=True)
            ]
        # warcio takes the first two lines of the first record's body for its header
        assert ours[1:] == theirs[1:]


class TestFraming:
    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"", b"\n" * 40])
    def test_plain(self, end: bytes) -> None:
        first, second = arc(1, end=end), arc(2, end=end)
        assert frame(first + second) == [(0, "1"), (len(first), "2")]

    def test_a_member_a_record_and_one_member_over_all(self) -> None:
        one, two = members(A), members(B)
        assert frame(one + two + members(C)) == [(0, "1"), (len(one), "2"), (len(one + two), "3")]
        assert frame(members(A + B + C)) == [(0, "1"), (len(A), "2"), (len(A + B), "3")]

    @pytest.mark.parametrize("block", [64, 100, 1000])
    def test_members_cut_anywhere(self, block: int) -> None:
        data = A + LONG + C
        assert names(members(*[data[i : i + block] for i in range(0, len(data), block)])) == ["1", "2", "3"]

    def test_a_line_longer_than_is_looked_at_first(self) -> None:
        long = arc(2, url="http://example.org/" + "u" * 5000 + "/{number}")
        for data in (A + long + C, members(A, long, C), long + C):
            assert names(data)[-2:] == ["2", "3"]

    def test_a_file_without_its_first_record_is_known_by_a_record(self) -> None:
        assert names(members(A)) == names(A) == ["1"]
        assert names(members(B)[:40] + members(A)) == ["bad_gzip", "1"]


class TestDamage:
    @pytest.mark.parametrize("pack", [members, lambda *records: b"".join(records)])
    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (arc(2, length=5), "wrong_content_length"),
            (arc(2, length=0), "wrong_content_length"),
            (arc(2, length=-1), "bad_content_length"),
            (arc(2, length="abc"), "bad_content_length"),
            (b"bytes of no record\n", "garbage"),
            (b"http://example.org/2 and nothing else\n", "garbage"),
        ],
    )
    def test_one_bad_record_costs_no_other(self, pack, bad: bytes, reason: str) -> None:  # type: ignore[no-untyped-def]
        good = arc(3, end=b"\n\n")
        if reason == "garbage" and pack is not members:
            # In a plain file nothing tells garbage from a wrong length: the record before it pays.
            assert names(pack(A, bad, good)) == ["wrong_content_length", "3"]
            return
        data = pack(A, bad, good)
        assert frame(data) == [(0, "1"), (len(pack(A)), reason), (len(pack(A, bad)), "3")]

    def test_a_length_too_large(self) -> None:
        for length in (200, 5 << 30):
            assert names(members(A, arc(2, length=length), C)) == ["1", "truncated_record", "3"]
        assert names(A + arc(2, length=100) + C) == ["1", "wrong_content_length", "3"]
        assert names(A + arc(2, length=5 << 30) + C) == ["1", "truncated_record", "3"]

    def test_a_record_cut_by_the_end_of_the_file(self) -> None:
        for cut in (20, len(B) - 20):
            assert names(A + B[:-cut]) == ["1", "truncated_record"]
            assert names(members(A, B[:-cut])) == ["1", "truncated_record"]

    @pytest.mark.parametrize("at", [15, 200, -5, -1])
    def test_altered_member(self, at: int) -> None:
        long = bytearray(members(LONG))
        long[at] ^= 0xFF
        assert frame(members(A) + long + members(C))[1:] == [
            (len(members(A)), "bad_gzip"),
            (len(members(A)) + len(long), "3"),
        ]

    def test_bounds(self) -> None:
        endless = b"http://example.org/" + b"u" * 5000
        assert names(A + endless + b" 1.2.3.4 20080430204826 text/html 0\n" + C, header_bytes=4000) == [
            "1",
            "headers_too_large",
            "3",
        ]
        bomb = gzip.compress(arc(2, bytes(10 << 20)))
        assert names(members(A) + bomb + members(C)) == ["1", "gzip_bomb", "3"]

    def test_a_record_beyond_the_limit_is_passed_over(self, tmp_path: Path) -> None:
        read = read_file(write(tmp_path, FILEDESC + A + LONG + C), record_bytes=1000)
        assert (read.urls, read.reasons) == (["1", "3"], ["record_too_large"])

    @given(st.binary(max_size=60), st.integers(1, len(A + B)), st.integers(0, 60))
    @settings(max_examples=200, deadline=None)
    def test_any_damage_ends_and_leaves_the_last_record(self, noise: bytes, at: int, cut: int) -> None:
        damaged = FILEDESC + (A + B)[:at] + noise + (A + B)[at + cut :]
        assert names(damaged + b"\n" + C)[-1] == "3"

    @pytest.mark.parametrize(
        "data",
        [
            A + b"\nhttp://x" * 200_000,
            A + b"\nhttp://x 1.2.3.4 20080430204826 text/html 99999999999999" * 40_000,
            A + b"\nhttp://x 1.2.3.4 20080430204826 text/html 3000000" * 40_000,
            A + b"\nhttp:" + b" " * 900_000 + b"\n:" * 10,
        ],
        ids=["urls", "lengths", "lengths inside", "spaces"],
    )
    def test_the_search_for_the_next_record_is_linear(self, data: bytes) -> None:
        before = time.process_time()
        assert names(data)
        assert time.process_time() - before < 10
