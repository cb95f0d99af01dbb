"""The sample crawl: it is what its texts give, every text is in it, and so is every planted trouble."""

from __future__ import annotations

import html
import re
import zlib
from collections import Counter
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator

from corpus.recipe import Limits
from corpus.sample import CRAWL, TEXTS, records, trouble
from corpus.sample.build_crawl import (
    EMPTY_FILE,
    MIRROR,
    MIRRORED,
    NEWER_HEADER_FILE,
    SYNDICATED,
    TROUBLED_WARC,
    TROUBLED_WET,
    WARC_FILES,
    WET_FILES,
    Plan,
    build,
    file_path,
)
from corpus.sample.pages import Sites, conversion_body, read_pages
from corpus.sample.responses import Served

MOST_COMMITTED_BYTES = 400 * 1024
SOUND_FILES = [n for n in (*WET_FILES, *WARC_FILES) if n not in (TROUBLED_WET, TROUBLED_WARC)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """A fresh build."""
    folder = tmp_path_factory.mktemp("crawl")
    return folder, build(folder)


def files_under(folder: Path) -> dict[str, bytes]:
    """Relative path -> content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def headers_and_body(member: bytes) -> tuple[dict[str, str], bytes]:
    """A record as it stands, whatever its Content-Length says."""
    head, _, rest = member.partition(b"\r\n\r\n")
    lines = head.decode("utf-8").split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines), rest.removesuffix(b"\r\n\r\n")


def held(n: int) -> list[tuple[dict[str, str], bytes]]:
    """The committed records of a file, a truncated last one left out where the file has trouble."""
    members = records.members(file_path(CRAWL, n).read_bytes())
    return [headers_and_body(m) for m in (members[:-1] if n in (TROUBLED_WET, TROUBLED_WARC) else members)]


def test_a_build_repeats_to_the_byte(built: tuple[Path, Plan], tmp_path: Path) -> None:
    build(tmp_path)
    assert files_under(tmp_path) == files_under(built[0])


def test_the_committed_files_are_what_the_texts_give(built: tuple[Path, Plan]) -> None:
    fresh, committed = files_under(built[0]), files_under(CRAWL)
    assert list(fresh) == list(committed), "run python -m corpus.sample.build_crawl"
    for path, data in fresh.items():
        ours, theirs = records.members(data), records.members(committed[path])
        assert len(ours) == len(theirs), path
        for one, other in zip(ours[:-1], theirs[:-1], strict=True):
            assert one == other, path
        # Where a cut member ends depends on the version of zlib.
        shortest = min((len(m[-1]) for m in (ours, theirs) if m), default=0)
        assert ours[-1:] == theirs[-1:] or ours[-1][:shortest] == theirs[-1][:shortest], path


def test_it_is_small() -> None:
    assert sum(map(len, files_under(CRAWL).values())) <= MOST_COMMITTED_BYTES


@pytest.mark.parametrize("n", SOUND_FILES)
def test_another_reader_finds_every_record_sound(n: int) -> None:
    with file_path(CRAWL, n).open("rb") as file:
        found: Counter[str] = Counter()
        for record in ArchiveIterator(file, check_digests="raise"):
            record.content_stream().read()
            found[record.rec_type] += 1
    assert found["warcinfo"] == 1
    assert found.total() == len(held(n))


def test_every_page_lies_in_one_file(built: tuple[Path, Plan]) -> None:
    placed = Counter((page.group, page.name) for pages in built[1].files.values() for page in pages)
    names = [(page.group, page.name) for page in read_pages(Sites())]
    assert len(set(names)) == len(names)
    assert set(names) <= set(placed)
    copies = sum(placed[name] - 1 for name in names)
    assert 0 < copies <= 0.08 * len(names)


@pytest.mark.parametrize("n", WET_FILES)
def test_wet_bodies_hold_the_page_texts(built: tuple[Path, Plan], n: int) -> None:
    bodies = {headers["WARC-Target-URI"]: body for headers, body in held(n) if "WARC-Target-URI" in headers}
    for page in built[1].files[n]:
        assert bodies[page.url] == conversion_body(page)
        assert set(page.paragraphs) <= set(bodies[page.url].decode("utf-8").split("\n"))


@pytest.mark.parametrize("n", WARC_FILES)
def test_responses_hold_the_page_texts(built: tuple[Path, Plan], n: int) -> None:
    planned = built[1]
    texts = {}
    for headers, message in held(n):
        if headers["WARC-Type"] == "response" and "WARC-Target-URI" in headers:
            served = planned.served.get(headers["WARC-Target-URI"], Served())
            payload = decoded(message.partition(b"\r\n\r\n")[2], served.encoding)
            texts[headers["WARC-Target-URI"]] = html.unescape(payload.decode(served.charset, "replace"))
    for page in planned.files[n]:
        for text in (page.title, *page.paragraphs, page.site.cookies, *page.site.footer):
            assert text in texts[page.url]


def decoded(payload: bytes, encoding: str) -> bytes:
    """The payload without its content or transfer encoding."""
    if encoding == "gzip":
        return records.members(payload)[0]
    if encoding == "chunked":
        pieces = []
        while size := int(payload.partition(b"\r\n")[0], 16):
            payload = payload.partition(b"\r\n")[2]
            pieces.append(payload[:size])
            payload = payload[size + 2 :]
        return b"".join(pieces)
    return payload


def test_pages_are_served_in_several_ways() -> None:
    messages = [body for n in WARC_FILES for headers, body in held(n) if headers["WARC-Type"] == "response"]
    heads = [message.partition(b"\r\n\r\n")[0] for message in messages]
    for field in (
        b"charset=windows-1252",
        b"charset=iso-8859-2",
        b"Transfer-Encoding: chunked",
        b"Content-Encoding: gzip",
        b"HTTP/1.1 404",
        b"HTTP/1.1 301",
        b"image/png",
        b"application/pdf",
    ):
        assert any(field in head for head in heads), field
    for charset in (b"charset=windows-1252", b"charset=iso-8859-2"):
        assert not any(is_utf8(m) for m, head in zip(messages, heads, strict=True) if charset in head)
    in_meta = [m for m, head in zip(messages, heads, strict=True) if b'<meta charset="windows-1252">' in m]
    assert len(in_meta) == 1
    assert b"charset" not in in_meta[0].partition(b"\r\n\r\n")[0]
    assert any(headers["WARC-Type"] == "revisit" for n in WARC_FILES for headers, _ in held(n))


def test_one_file_names_the_language_before_the_type() -> None:
    for n in WET_FILES:
        for headers, _ in held(n)[1:]:
            names = list(headers)
            assert ("WARC-Identified-Content-Language" in names) == (n == NEWER_HEADER_FILE)
            if n == NEWER_HEADER_FILE:
                assert names.index("WARC-Identified-Content-Language") < names.index("Content-Type")


def test_planned_duplicates(built: tuple[Path, Plan]) -> None:
    bodies: dict[bytes, set[int]] = {}
    urls = []
    for n in WET_FILES:
        for headers, body in held(n)[1:]:
            bodies.setdefault(body, set()).add(n)
            urls.append(headers.get("WARC-Target-URI", ""))
    twice = [places for places in bodies.values() if len(places) == 2]
    assert len(twice) == 3 + MIRRORED
    assert sum(url.startswith(MIRROR) for url in urls) == MIRRORED
    assert {n for n, pages in built[1].files.items() for p in pages if p.name == "syndicated"} == {
        n for n, _ in SYNDICATED
    }
    pages = [page for group in built[1].files.values() for page in group]
    assert any(
        len(set(page.paragraphs)) < len(page.paragraphs) for page in pages if page.name != "syndicated"
    )
    half = next(page for page in pages if page.name == "half-shared")
    assert any(set(half.paragraphs) & set(page.paragraphs) for page in pages if page is not half)


def test_one_record_id_comes_twice() -> None:
    places: dict[str, list[int]] = {}
    for n in WET_FILES:
        for headers, _ in held(n):
            places.setdefault(headers["WARC-Record-ID"], []).append(n)
    assert [where for where in places.values() if len(where) > 1] == [[0, 1]]


def test_troubles_of_the_wet_file() -> None:
    troubled = held(TROUBLED_WET)
    types = Counter(headers["WARC-Type"] for headers, _ in troubled)
    assert types["screenshot"] == 1
    assert sum(not is_utf8(body) for _, body in troubled) == 1
    assert sum("WARC-Target-URI" not in headers for headers, _ in troubled) == 2  # warcinfo has none
    assert sum("Content-Length" not in headers for headers, _ in troubled) == 1
    assert sum(not body for _, body in troubled) == 1
    longest = max((line for _, body in troubled for line in body.split(b"\n")), key=len)
    assert len(longest) > Limits().line_bytes
    assert sum(claims_too_much(headers, body) for headers, body in troubled) == 1


def test_troubles_of_the_warc_file() -> None:
    troubled = held(TROUBLED_WARC)
    deepest = max(body.count(b"<div") for _, body in troubled)
    assert deepest == trouble.NESTED_DIVS > Limits().html_nesting
    assert sum("WARC-Target-URI" not in headers for headers, _ in troubled) == 2
    assert sum(claims_too_much(headers, body) for headers, body in troubled) == 1


@pytest.mark.parametrize("n", [TROUBLED_WET, TROUBLED_WARC])
def test_garbage_lies_between_members_and_the_last_is_cut(n: int) -> None:
    data = file_path(CRAWL, n).read_bytes()
    before, garbage, after = data.partition(trouble.GARBAGE)
    assert garbage
    assert records.members(before) + records.members(after) == records.members(data)
    assert len(records.members(after)) > 2
    with pytest.raises(EOFError):
        inflate_all(after)


@pytest.mark.parametrize("n", [TROUBLED_WET, TROUBLED_WARC])
def test_a_good_page_follows_a_length_that_is_too_large(n: int) -> None:
    troubled = held(n)
    at = next(i for i, record in enumerate(troubled) if claims_too_much(*record))
    headers, body = troubled[at + 1]
    assert int(headers["Content-Length"]) == len(body)


def test_compression_is_never_the_trouble() -> None:
    for data in files_under(CRAWL).values():
        for member in records.members(data):
            assert len(member) < Limits().compression_ratio * len(records.deflate(member))


def test_the_empty_file_is_empty() -> None:
    assert file_path(CRAWL, EMPTY_FILE).read_bytes() == b""


def test_the_encyclopaedia_cites_most_reference_pages() -> None:
    cited = {normalised(url) for url in (TEXTS / "cited-urls.txt").read_text(encoding="utf-8").split()}
    pages = read_pages(Sites())
    share = Counter(page.group for page in pages if normalised(page.url) in cited)
    totals = Counter(page.group for page in pages)
    assert share["en-reference"] > 0.7 * totals["en-reference"]
    assert 0 < share["en-ordinary"] < 0.2 * totals["en-ordinary"]
    assert cited - {normalised(page.url) for page in pages}


def normalised(url: str) -> str:
    """Without scheme, `www.`, fragment, tracking parameters and trailing slash."""
    url = re.sub(r"^https?://(www\.)?", "", url.partition("#")[0])
    url = re.sub(r"(?<=[?&])utm_[a-z]+=[^&]*&?", "", url)
    return url.rstrip("?&").rstrip("/")


def is_utf8(body: bytes) -> bool:
    """Whether the bytes decode."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def claims_too_much(headers: dict[str, str], body: bytes) -> bool:
    """Whether Content-Length goes beyond the record's end."""
    return int(headers.get("Content-Length", 0)) > len(body)


def inflate_all(data: bytes) -> None:
    """Inflate member after member.

    Raises:
        EOFError: the last member is cut.
    """
    while data:
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        inflater.decompress(data)
        if not inflater.eof:
            raise EOFError
        data = inflater.unused_data
