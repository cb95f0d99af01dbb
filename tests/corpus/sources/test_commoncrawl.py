"""Pages out of WET and WARC files: what each column holds, what is counted, what is bad and why."""

from __future__ import annotations

import gzip
import random
import tomllib
import zlib
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest

from tests.corpus.sources.commoncrawl_files import members, read_file, record, response
from tests.shared import DATA, needs

CRAWL = DATA / "commoncrawl"
EXPECTED = tomllib.loads((Path(__file__).parent / "expected_commoncrawl.toml").read_text())


def write(folder: Path, data: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(data)
    return path


@needs(CRAWL)
@pytest.mark.parametrize("name", EXPECTED)
def test_counts_of_public_files(name: str) -> None:
    read = read_file(CRAWL / name)
    shares = {
        total: {k.split("/")[1]: n for k, n in read.counters.items() if k.startswith(f"{total}/")}
        for total in ("bad", "skipped")
    }
    got = {k: read.counters.get(k, 0) for k in ("framed", "in", "out")} | shares
    assert got == EXPECTED[name]


@needs(CRAWL)
def test_every_public_file_has_an_expectation() -> None:
    found = {str(p.relative_to(CRAWL)) for p in CRAWL.rglob("*") if p.is_file()}
    assert found == set(EXPECTED)


@needs(CRAWL)
def test_a_real_wet_page() -> None:
    (page,) = read_file(CRAWL / "whirlwind/whirlwind.warc.wet.gz").pages
    assert page["url"] == "https://an.wikipedia.org/wiki/Escopete"
    assert page["timestamp"] == "2024-05-18T01:58:10Z"
    assert page["title"] == "Escopete - Biquipedia, a enciclopedia libre"
    assert page["digest"].startswith("sha1:")
    assert page["offset"] > 0
    assert not page["text"].endswith("\n")


@needs(CRAWL)
def test_the_title_is_not_taken_from_an_embedded_drawing() -> None:
    (page,) = read_file(CRAWL / "html-iawc/title-extraction-embedded-SVG.warc").pages
    assert page["title"] == "Testing title extraction with embedded SVG"


class TestConversion:
    def test_columns(self, tmp_path: Path) -> None:
        info = record("software: x", 0, "warcinfo")
        wet = record("  Title \nfirst\r\n  second  \n\n\n", 7, extra="WARC-Block-Digest: sha1:ABC")
        read = read_file(write(tmp_path, members(info, wet)))
        assert read.pages == [
            {
                "record_id": "urn:uuid:7",
                "url": "http://example.org/7",
                "timestamp": "2024-05-18T01:58:10Z",
                "digest": "sha1:ABC",
                "title": "Title",
                "text": "first\r\n  second  ",
                "file": "name.warc",
                "offset": len(members(info)),
            }
        ]
        assert read.counters == {"framed": 2, "in": 1, "out": 1, "skipped": 1, "skipped/warcinfo": 1}

    @pytest.mark.parametrize(
        ("body", "title", "text"),
        [("", "", ""), ("only", "only", ""), ("\nline", "", "line"), ("\n\n", "", "")],
    )
    def test_short_bodies_are_pages(self, tmp_path: Path, body: str, title: str, text: str) -> None:
        (page,) = read_file(write(tmp_path, record(body))).pages
        assert (page["title"], page["text"]) == (title, text)

    def test_headers_are_found_by_name_in_any_order_and_case(self, tmp_path: Path) -> None:
        data = (
            b"WARC/1.1\r\nWARC-Identified-Content-Language: eng,fra\r\ncontent-length: 6\r\n"
            b"warc-target-uri: <http://example.org/1>\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"WARC-TYPE: Conversion\r\nWARC-Date:\r\n\t2024-05-18T01:58:10Z\r\n\r\nA\nB\nC\n\r\n\r\n"
        )
        (page,) = read_file(write(tmp_path, data)).pages
        assert (page["title"], page["text"], page["url"]) == ("A", "B\nC", "http://example.org/1")
        assert page["timestamp"] == "2024-05-18T01:58:10Z"
        assert page["record_id"] is None

    def test_other_types_are_skipped_by_name(self, tmp_path: Path) -> None:
        kinds = ["request", "metadata", "revisit", "resource", "continuation", "warcinfo", "novelty"]
        data = members(*[record("x", kind=k) for k in kinds], record("x", content_type="image/png"))
        counters = read_file(write(tmp_path, data)).counters
        names = ["not_text", "unknown_type", *kinds[:-1]]
        assert counters == {"framed": 8, "skipped": 8} | {f"skipped/{n}": 1 for n in names}

    def test_invalid_utf8_is_bad(self, tmp_path: Path) -> None:
        read = read_file(write(tmp_path, record(b"T\n\xff\xfe") + record(number=2)))
        assert (read.reasons, read.urls) == (["invalid_utf8"], ["2"])
        assert read.bad[0] | {"message": ""} == {
            "source": "commoncrawl",
            "file": "name.warc",
            "offset": 0,
            "stage": "read",
            "reason": "invalid_utf8",
            "message": "",
            "first_bytes": b"T\n\xff\xfe",
        }

    def test_a_record_without_type_is_bad(self, tmp_path: Path) -> None:
        data = record().replace(b"WARC-Type: conversion\r\n", b"") + record(number=2)
        read = read_file(write(tmp_path, data))
        assert (read.reasons, read.urls) == (["missing_type"], ["2"])

    def test_lines_and_addresses_beyond_the_limit_are_bad(self, tmp_path: Path) -> None:
        long_line = record("T\n" + "é" * 600 + "\nx", 1)
        many_lines = record("T\n" + "ab\n" * 600, 2)
        long_url = record(number=3, url="http://example.org/" + "u" * (1 << 20))
        read = read_file(write(tmp_path, long_line + many_lines + long_url), line_bytes=1000)
        assert (read.reasons, read.urls) == (["line_too_long", "headers_too_large"], ["2"])
        read = read_file(write(tmp_path, long_url + record()), header_bytes=2 << 20)
        assert (read.reasons, read.urls) == (["url_too_long"], ["1"])

    def test_batches_close_at_the_page_that_reaches_their_size(self, tmp_path: Path) -> None:
        data = members(*[record("T\n" + "x" * 40, n) for n in range(7)])
        read = read_file(write(tmp_path, data), batch_bytes=100)
        assert [batch.num_rows for batch in read.batches] == [3, 3, 1]
        assert read.urls == [str(n) for n in range(7)]


class TestClueWeb:
    """ClueWeb09 and 12, and other writers that keep the standard loosely."""

    FIELDS = (
        b"WARC-Type: response\nWARC-Target-URI: http://example.org/1\nWARC-Date: 2009-03-65T08:43:19-0800\n"
        b"WARC-TREC-ID: clueweb09-en0000-00-00000\nWARC-Identified-Payload-Type: \n"
        b"WARC-Record-ID: <urn:uuid:1>\nContent-Type: application/http;msgtype=response\n"
    )
    BLOCK = b"HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Length: 9\n\n<p>Text.</p>\n"

    def page(self, tmp_path: Path, data: bytes) -> dict[str, Any]:
        for file in (data + record(number=2), members(data, record(number=2))):
            read = read_file(write(tmp_path, file))
            assert (read.urls, read.reasons) == (["1", "2"], [])
        return read.pages[0]

    def test_version_0_18_line_feeds_and_an_impossible_date(self, tmp_path: Path) -> None:
        length = b"Content-Length: %d\n\n" % len(self.BLOCK)
        page = self.page(tmp_path, b"WARC/0.18\n" + self.FIELDS + length + self.BLOCK + b"\n\n")
        assert (page["text"], page["timestamp"]) == ("Text.", "2009-03-65T08:43:19-0800")
        assert page["digest"] is None  # and none is needed

    def test_crlf_in_the_warc_header_and_line_feeds_in_that_of_http(self, tmp_path: Path) -> None:
        header = b"WARC/0.18\n" + self.FIELDS + b"Content-Length: %d\n\n" % len(self.BLOCK)
        page = self.page(tmp_path, header.replace(b"\n", b"\r\n") + self.BLOCK + b"\r\n\r\n")
        assert page["text"] == "Text."

    @pytest.mark.parametrize("end", [b"\n", b"\r\n"])
    def test_an_empty_line_in_the_middle_of_the_header(self, tmp_path: Path, end: bytes) -> None:
        fields = self.FIELDS.replace(b"example.org/1\n", b"example.org/1\n\n")
        header = b"WARC/0.18\n" + fields + b"Content-Length: %d\n\n" % len(self.BLOCK)
        page = self.page(tmp_path, header.replace(b"\n", end) + self.BLOCK + b"\r\n\r\n")
        assert (page["text"], page["record_id"]) == ("Text.", "urn:uuid:1")

    @pytest.mark.parametrize("counted", [True, False])
    def test_an_empty_line_too_many_after_the_header(self, tmp_path: Path, counted: bool) -> None:
        length = len(self.BLOCK) + counted
        header = b"WARC/0.18\n" + self.FIELDS + b"Content-Length: %d\n\n" % length
        page = self.page(tmp_path, header + b"\n" + self.BLOCK + b"\n\n")
        assert page["text"] == "Text."

    def test_the_length_in_an_http_header_is_not_that_of_the_record(self, tmp_path: Path) -> None:
        data = b"WARC/0.18\n" + self.FIELDS + b"\n" + self.BLOCK + b"\n\n" + record(number=2)
        read = read_file(write(tmp_path, data))
        assert (read.urls, read.reasons) == (["2"], ["missing_content_length"])

    def test_uris_in_brackets_and_names_in_lower_case(self, tmp_path: Path) -> None:
        header = b"WARC/1.0\n" + self.FIELDS.replace(b"http://example.org/1", b"<http://example.org/1>")
        data = header.lower().replace(b"warc/", b"WARC/") + b"content-length: %d\n\n" % len(self.BLOCK)
        assert self.page(tmp_path, data + self.BLOCK + b"\n\n")["url"] == "http://example.org/1"

    def test_lines_between_records_are_one_bad_span(self, tmp_path: Path) -> None:
        read = read_file(write(tmp_path, record() + b"left over\nfrom a record\n" + record(number=2)))
        assert (read.urls, read.reasons) == (["1", "2"], ["garbage"])


HTML = (
    "<html><head><title> A\n page </title></head><body><h1>Été</h1><p>Il fait très chaud.</p></body></html>"
)
TEXT = ("A page", "Été\n\nIl fait très chaud.")
CYRILLIC = "<html><head>{}<title>Погода</title></head><body><p>{}</p></body></html>"
SENTENCE = "Сегодня в городе прошёл сильный дождь, и вечером стало заметно прохладнее."


class TestResponse:
    def read_one(self, tmp_path: Path, data: bytes) -> tuple[str, str]:
        (page,) = read_file(write(tmp_path, data)).pages
        return page["title"], page["text"]

    def test_status_and_media_type_decide_what_is_a_page(self, tmp_path: Path) -> None:
        data = members(
            response(b"<p>a</p>", number=1),
            response(b"<p>a</p>", "Content-Type: Application/XHTML+XML; charset=utf-8", 2),
            response(b"line\nline\n", "Content-Type: text/plain", 3),
            response(b"{}", "Content-Type: application/json", 4),
            response(b"<p>a</p>", "Server: x", 5),
            response(b"<p>a</p>", number=6, status="404 Not Found"),
            record("20080430\n", 7, "response", content_type="text/dns"),
        )
        read = read_file(write(tmp_path, data))
        assert read.urls == ["1", "2", "3"]
        assert (read.pages[2]["title"], read.pages[2]["text"]) == (None, "line\nline")
        skipped = {k: n for k, n in read.counters.items() if "/" in k}
        assert skipped == {"skipped/not_html": 2, "skipped/http_status": 1, "skipped/not_http": 1}

    def test_the_digest_is_that_of_the_payload(self, tmp_path: Path) -> None:
        digests = b"WARC-Block-Digest: sha1:B\r\nWARC-Payload-Digest: sha1:P\r\nContent-Length"
        data = response(b"<p>a</p>").replace(b"Content-Length", digests, 1)
        assert read_file(write(tmp_path, data)).pages[0]["digest"] == "sha1:P"

    @pytest.mark.parametrize(
        ("encoding", "encode"),
        [
            ("gzip", gzip.compress),
            ("x-gzip", lambda b: gzip.compress(b[:50]) + gzip.compress(b[50:])),
            ("deflate", zlib.compress),
            ("deflate", lambda b: zlib.compress(b)[2:-4]),
            ("br", brotli.compress),
            ("gzip, br", lambda b: brotli.compress(gzip.compress(b))),
            ("identity", bytes),
            ("gzip", bytes),  # undone by the crawler, which left the header
            ("br", bytes),
        ],
    )
    def test_content_encodings(self, tmp_path: Path, encoding: str, encode) -> None:  # type: ignore[no-untyped-def]
        headers = f"Content-Type: text/html\r\nContent-Encoding: {encoding}"
        assert self.read_one(tmp_path, response(encode(HTML.encode()), headers)) == TEXT

    def test_chunked_and_gzip(self, tmp_path: Path) -> None:
        packed = gzip.compress(HTML.encode())
        parts = [packed[:10], packed[10:25], packed[25:]]
        chunks = b"".join(b"%X;name=x\r\n%b\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"
        headers = "Content-Type: text/html\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip"
        assert self.read_one(tmp_path, response(chunks, headers)) == TEXT

    def test_chunked_by_name_only(self, tmp_path: Path) -> None:
        headers = "Content-Type: text/html\r\nTransfer-Encoding: chunked"
        assert self.read_one(tmp_path, response(HTML.encode(), headers)) == TEXT

    @pytest.mark.parametrize(
        ("payload", "headers", "reason"),
        [
            (b"5\r\nabcde\r\nFF\r\nabc", "Transfer-Encoding: chunked", "bad_chunked"),
            (b"5\r\nabcde\r\nmonkeys", "Transfer-Encoding: chunked", "bad_chunked"),
            (gzip.compress(b"<p>" * 99, mtime=0)[:-9], "Content-Encoding: gzip", "bad_encoding"),
            (b"\x1f\x8b\x08\x00" + b"\xff" * 30, "Content-Encoding: gzip", "bad_encoding"),
            (b"\xff" * 30, "Content-Encoding: deflate", "bad_encoding"),
            (b"\xff" * 30, "Content-Encoding: br", "bad_encoding"),
            (brotli.compress(b"<p>a b c" * 99)[:-5], "Content-Encoding: br", "bad_encoding"),
            (b"\x28\xb5\x2f\xfd", "Content-Encoding: zstd", "unsupported_encoding"),
            (gzip.compress(bytes(3 << 20), mtime=0), "Content-Encoding: gzip", "gzip_bomb"),
            (brotli.compress(bytes(3 << 20)), "Content-Encoding: br", "gzip_bomb"),
            (b"<p>" + random.Random(1).randbytes(1 << 20), "X: y", "html_too_large"),
            (
                gzip.compress(random.Random(1).randbytes(9000) * 120, mtime=0),
                "Content-Encoding: gzip",
                "html_too_large",
            ),
        ],
    )
    def test_payloads_that_cannot_be_read(
        self, tmp_path: Path, payload: bytes, headers: str, reason: str
    ) -> None:
        data = members(response(payload, f"Content-Type: text/html\r\n{headers}"), record(number=2))
        read = read_file(write(tmp_path, data), html_bytes=1 << 20, compression_ratio=500)
        assert (read.reasons, read.urls) == ([reason], ["2"])

    def test_responses_without_an_http_header_are_bad(self, tmp_path: Path) -> None:
        http = "application/http; msgtype=response"
        data = members(
            record("<html>", 1, "response", content_type=http),
            record("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", 2, "response", content_type=http),
            response(b"<p>a</p>", "Content-Type: text/html\r\nX: " + "y" * 2000, 3),
        )
        read = read_file(write(tmp_path, data), header_bytes=1000)
        assert read.reasons == ["bad_http", "bad_http", "headers_too_large"]

    @pytest.mark.parametrize("declared", ["header", "meta", "nowhere"])
    @pytest.mark.parametrize("charset", ["windows-1251", "koi8-r", "utf-8", "utf-16"])
    def test_cyrillic_charsets(self, tmp_path: Path, charset: str, declared: str) -> None:
        meta = f'<meta charset="{charset}">' if declared == "meta" else ""
        headers = "Content-Type: text/html" + (f"; charset={charset}" if declared == "header" else "")
        payload = CYRILLIC.format(meta, SENTENCE).encode(charset)
        assert self.read_one(tmp_path, response(payload, headers)) == ("Погода", SENTENCE)

    @pytest.mark.parametrize("label", ["", "; charset=iso-8859-1", "; charset=utf-8", "; charset=monkeys"])
    def test_latin1(self, tmp_path: Path, label: str) -> None:
        data = response(HTML.encode("latin-1"), f"Content-Type: text/html{label}")
        assert self.read_one(tmp_path, data) == TEXT

    def test_utf8_under_another_label(self, tmp_path: Path) -> None:
        data = response(HTML.encode(), "Content-Type: text/html; charset=iso-8859-1")
        assert self.read_one(tmp_path, data) == TEXT

    def test_a_million_nested_elements_are_refused(self, tmp_path: Path) -> None:
        deep = response(b"<div>" * 1_000_000 + b"x")
        flat = response(b"<p>x<br>" * 100_000, number=2)
        read = read_file(write(tmp_path, members(deep, flat)))
        assert (read.reasons, read.urls) == (["html_nesting"], ["2"])
