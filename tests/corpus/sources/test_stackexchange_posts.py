"""StackExchange: `Posts.xml` → posts: the same as a whole XML parser's, and nothing lost after trouble."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import py7zr
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.build.source import FileRange, ReadContext
from corpus.inputs import InputFile
from corpus.recipe import Limits
from corpus.settings.stackexchange import StackExchange
from corpus.sources.stackexchange import posts as posts_module
from corpus.sources.stackexchange import stream
from corpus.sources.stackexchange.posts import POST, read_posts
from corpus.tally import Tally
from tests.corpus.sources.stackexchange_data import FILES, needs_shared, plain_rows

HEAD = '\ufeff<?xml version="1.0" encoding="utf-8"?>\r\n<posts>\r\n'
TAIL = "</posts>"
DAY = "2014-03-13T20:32:04.033"


def question(number: int = 1, title: str = "T", body: str = "b", score: Any = 1, more: str = "") -> str:
    return (
        f'  <row Id="{number}" PostTypeId="1" CreationDate="{DAY}" Score="{score}" Body="{body}" '
        f'Title="{title}" Tags="&lt;a&gt;&lt;b-c&gt;" {more}/>\r\n'
    )


def answer(number: int, parent: int = 1, body: str = "a", score: Any = 1) -> str:
    return (
        f'  <row Id="{number}" PostTypeId="2" ParentId="{parent}" CreationDate="{DAY}" Score="{score}" '
        f'Body="{body}" />\r\n'
    )


class Found:
    """What was read of a file: posts, bad records, counters."""

    def __init__(
        self, path: Path, ranges: list[tuple[int, int]] | None = None, limits: Limits | None = None
    ) -> None:
        size = path.stat().st_size
        file = InputFile(f"site/{path.name}", str(path), size, "", "", False)
        self.bad: list[dict[str, Any]] = []
        tally = Tally(lambda batch: self.bad.extend(batch.to_pylist()))
        context = ReadContext(StackExchange(), limits or Limits(), {}, 1 << 24)
        batches = [
            batch
            for start, end in ranges or [(0, size)]
            for batch in read_posts(FileRange(file, start, end), context, tally)
        ]
        tally.flush()
        for batch in batches:
            batch.validate(full=True)
        self.posts = pa.Table.from_batches(batches, POST).to_pylist()
        self.counters = {name: n for name, n in tally.counters.items() if n}
        assert self.counters.get("in", 0) == self.counters.get("out", 0) + self.counters.get("bad", 0)
        assert len(self.posts) == self.counters.get("out", 0)

    @property
    def ids(self) -> list[int]:
        return [post["id"] for post in self.posts]

    @property
    def reasons(self) -> list[tuple[int, str]]:
        return [(bad["offset"], bad["reason"]) for bad in self.bad]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Found]:
    def read(content: str | bytes, name: str = "Posts.xml", **options: Any) -> Found:
        path = tmp_path / name
        path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        return Found(path, **options)

    return read


def test_a_question_and_an_answer(read: Callable[..., Found]) -> None:
    rows = question(
        7, "List&lt;String&gt; &amp;amp;", "&lt;p&gt;x &amp;lt; y&lt;/p&gt;", -3, 'AcceptedAnswerId="9"'
    )
    found = read(HEAD + rows + answer(9, 7, score=12) + TAIL)
    assert found.posts == [
        {
            "id": 7, "question": 7, "is_answer": False, "score": -3, "accepted": 9,
            "title": "List<String> &amp;", "text": "x < y", "tags": "<a><b-c>", "created": DAY,
            "license": None, "offset": len(HEAD.encode()) + 2,
        },
        {
            "id": 9, "question": 7, "is_answer": True, "score": 12, "accepted": None, "title": None,
            "text": "a", "tags": None, "created": DAY, "license": None,
            "offset": len((HEAD + rows).encode()) + 2,
        },
    ]  # fmt: skip
    assert found.counters == {"framed": 2, "in": 2, "out": 2}


@pytest.mark.parametrize(
    "row",
    [
        '<row Id="1" PostTypeId="1" Score="0"></row>',
        "<row\n\tId='1' PostTypeId = '1'\rScore\n=\n'0' Body='say \"a > b\"' x:y.z-1='' é='' />",
        '<row Id="1" PostTypeId="1" Score="0" Body=""/><!-- <row Id="2" --><?pi <row ?>',
    ],
)
def test_rows_however_they_are_written(read: Callable[..., Found], row: str) -> None:
    found = read(HEAD + row + TAIL)
    assert (found.ids, found.bad) == ([1], [])


def test_other_types_are_skipped_whatever_they_lack(read: Callable[..., Found]) -> None:
    rows = (
        "".join(f'<row Id="{i}" PostTypeId="{i}" />' for i in range(3, 11))
        + '<row PostTypeId="4" Score="x" />'
    )
    found = read(HEAD + rows + question() + TAIL)
    assert (found.ids, found.bad) == ([1], [])
    assert found.counters == {
        "framed": 10, "in": 1, "out": 1, "skipped": 9, "skipped/orphaned_tag_wiki": 1,
        "skipped/tag_wiki_excerpt": 2, "skipped/tag_wiki": 1, "skipped/moderator_nomination": 1,
        "skipped/wiki_placeholder": 1, "skipped/privilege_wiki": 1, "skipped/unknown_type": 2,
    }  # fmt: skip


def written_rows() -> st.SearchStrategy[str]:
    """Rows with attributes in any order and spacing, well-formed or nearly."""
    texts = st.sampled_from(["a b", "&lt;&#65;", "x > y", "", "/>", "=", "\u00e9", "<"])
    numbers = st.sampled_from(["1", "2", "-3", "7", "2", "1", "x"])
    pairs = [st.tuples(st.just(name), numbers) for name in ("Id", "PostTypeId", "ParentId", "Score")]
    pairs += [
        st.tuples(st.sampled_from(["Title", "Body", "X", "IdX", "AcceptedAnswerId"]), texts | numbers)
    ] * 2
    pad = st.sampled_from(["", "", "", " ", "\n"])
    space = st.sampled_from([" ", " ", " ", "\n", "\t ", " ", ""])
    quote = st.sampled_from('""\'')
    attributes = [
        st.builds(
            lambda before, pair, left, right, mark: f"{before}{pair[0]}{left}={right}{mark}{pair[1]}{mark}",
            space, pair, pad, pad, quote,
        )
        for pair in pairs
    ]  # fmt: skip
    together = st.tuples(*attributes).flatmap(st.permutations).map("".join)
    return st.builds("<row{}{}{}".format, together, pad, st.sampled_from(["/>", "></row>"]))


@settings(deadline=None, max_examples=300)
@given(written_rows())
def test_rows_as_a_whole_parser_reads_them(row: str) -> None:
    """Read where the parser reads it and it is a post; bad where the parser refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Posts.xml"
        path.write_text(f"<posts>{row}</posts>", "utf-8")
        found = Found(path)
    try:
        attributes = dict(ElementTree.fromstring(f"<posts>{row}</posts>")[0].attrib)
    except ElementTree.ParseError:
        known = re.findall(r"(IdX|X)\s*=", row)
        assert found.bad or len(set(known)) < len(known)  # of what is not read nothing is asked
        return
    if attributes.get("PostTypeId") not in ("1", "2"):
        assert not found.posts
        return
    needed = {"Id", "Score"} | ({"ParentId"} if attributes["PostTypeId"] == "2" else set())
    numbers = [v for k, v in attributes.items() if k.endswith(("Id", "Score"))]
    if needed - attributes.keys() or not all(re.fullmatch(r"-?[0-9]+", v) for v in numbers):
        assert [reason for _, reason in found.reasons] in (["bad_number"], ["missing_attribute"])
        return
    (post,) = found.posts
    assert (post["id"], post["score"]) == (int(attributes["Id"]), int(attributes["Score"]))
    assert post["title"] == attributes.get("Title")


BAD = {
    "a tag in a value": ('<row Id="5" PostTypeId="1" Body="<p>" />', "broken_row"),
    "no quote": ("<row Id=5 PostTypeId='1' />", "broken_row"),
    "no value": ("<row Id PostTypeId='1' />", "broken_row"),
    "no space": ("<row Id='5'PostTypeId='1' />", "broken_row"),
    "the end is not the end": ("<row Id='5' / PostTypeId='1' />", "broken_row"),
    "an attribute twice": ("<row Id='5' Id='6' PostTypeId='1' Score='1' />", "broken_row"),
    "a text twice": ("<row Id='5' Body='' Body='' PostTypeId='1' Score='1' />", "broken_row"),
    "an id that is none": ("<row Id='x' PostTypeId='1' Score='1' />", "bad_number"),
    "a score that is none": ("<row Id='5' PostTypeId='1' Score='1.5' />", "bad_number"),
    "no number": ("<row Id='5' PostTypeId='1' Score='' />", "bad_number"),
    "a type that is none": ("<row Id='5' PostTypeId='one' Score='1' />", "bad_number"),
    "a number too large": (f"<row Id='5' PostTypeId='1' Score='{'9' * 19}' />", "bad_number"),
    "no id": ("<row PostTypeId='1' Score='1' />", "missing_attribute"),
    "no type": ("<row Id='5' Score='1' />", "missing_attribute"),
    "no score": ("<row Id='5' PostTypeId='1' />", "missing_attribute"),
    "an answer to nothing": ("<row Id='5' PostTypeId='2' Score='1' />", "missing_attribute"),
    "an entity of the dump's own": ("<row Id='5' PostTypeId='1' Score='1' Body='&lol;' />", "bad_reference"),
    "a control character": ("<row Id='5' PostTypeId='1' Score='1' Title='\x01' />", "bad_character"),
    "a lone surrogate": ("<row Id='5' PostTypeId='1' Score='1' Tags='\ud800' />", "invalid_utf8"),
    "text": ("some words", "garbage"),
    "another element": ("<tag Id='5' />", "garbage"),
    "a cut entity": ('lt;p&gt;a" />', "garbage"),
    "zeros": ("\0" * 5000, "garbage"),
    "a document type": ('<!DOCTYPE posts [<!ENTITY a "<row Id=\'1\' />"> <!ENTITY b "]>">]>', "doctype"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_bad_is_counted_and_the_rest_read(read: Callable[..., Found], case: str) -> None:
    content, reason = BAD[case]
    before = HEAD + question(1)
    found = read(before + content + "\r\n" + question(2) + answer(3, 2) + TAIL)
    assert found.ids == [1, 2, 3]
    assert found.reasons == [(len(before.encode()), reason)]
    first = content.encode("utf-8", "surrogatepass")[:64]
    assert found.bad[0]["first_bytes"][: len(first)] == first


def test_entities_never_grow(read: Callable[..., Found]) -> None:
    """A billion laughs: the document type is bad, and so is each row that uses it."""
    levels = "".join(f'<!ENTITY lol{i} "{f"&lol{i - 1};" * 10}">' for i in range(1, 10))
    bomb = f'<?xml version="1.0"?>\n<!DOCTYPE posts [<!ENTITY lol0 "lol">{levels}]>\n<posts>\n'
    found = read(bomb + question(1, body="&lol9;") + question(2) + TAIL)
    assert found.ids == [2]
    assert [reason for _, reason in found.reasons] == ["doctype", "bad_reference"]


def test_a_file_that_ends_early(read: Callable[..., Found]) -> None:
    whole = HEAD + question(1) + question(2)
    assert read(whole).reasons == [(len(whole.encode()), "truncated_file")]
    for cut in (3, 20, 100):
        found = read(whole[:-cut])
        assert found.ids == [1]
        assert found.reasons == [(len((HEAD + question(1)).encode()) + 2, "truncated_row")]
    assert read(whole + TAIL).bad == []


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"not XML", "<posts/>".encode("utf-16"), b"\xef\xbb\xbf"]
)
def test_files_of_something_else(read: Callable[..., Found], content: bytes) -> None:
    found = read(content)
    assert found.posts == []
    assert len(found.bad) == 1


def test_an_empty_site(read: Callable[..., Found]) -> None:
    assert read(HEAD + TAIL).counters == {}


def test_rows_beyond_the_limit_wherever_blocks_end(
    read: Callable[..., Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest row that is allowed is read, one byte more is not; nor one without an end."""
    limits = Limits(record_bytes=5000)
    fits = question(2, body="b" * (5000 - len(question(2, body="").strip())))
    rows = [question(1), fits, fits.replace('Id="2"', 'Id="3"').replace("bb", "bbb", 1), question(4)]
    endless = '  <row Id="5" PostTypeId="1" Body="' + "b" * 20_000
    content = HEAD + "".join(rows) + endless + question(6) + TAIL
    third = len((HEAD + "".join(rows[:2])).encode()) + 2
    fifth = len((HEAD + "".join(rows)).encode()) + 2
    for block in (1 << 22, 4999, 1000, 37):
        monkeypatch.setattr(stream, "BLOCK", block)
        found = read(content, limits=limits)
        assert found.ids == [1, 2, 4, 6]
        assert found.reasons == [
            (third, "row_too_long"),
            (fifth, "row_too_long" if block < 5000 else "broken_row"),
        ]


def test_a_line_of_200_megabytes(read: Callable[..., Found]) -> None:
    content = (HEAD + question(1) + '<row Id="2" Body="').encode() + b"x" * 200_000_000 + question(3).encode()
    found = read(content + TAIL.encode())
    assert found.ids == [1, 3]
    assert [reason for _, reason in found.reasons] == ["row_too_long"]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 9), max_size=8), st.integers(40, 400), st.integers(40, 700))
def test_any_ranges_and_blocks_read_the_same(pieces: list[int], step: int, block: int) -> None:
    """Good and bad, each once, whatever a range or a block cuts through."""
    kinds = list(BAD.values())
    rows = [
        question(n) if kind < 6 else kinds[(7 * n + kind) % len(kinds)][0] for n, kind in enumerate(pieces)
    ]
    # A document type holds what looks like a row, which only the range that it begins in knows to pass over.
    rows = [row for row in rows if not row.startswith("<!DOCTYPE")]
    content = (HEAD + "".join(rows) + TAIL).encode("utf-8", "surrogatepass")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "Posts.xml"
        path.write_bytes(content)
        whole = Found(path)
        patch.setattr(stream, "BLOCK", block)
        ranges = [(a, min(a + step, len(content))) for a in range(0, len(content), step)]
        cut = Found(path, ranges)
    assert cut.posts == whole.posts
    assert cut.reasons == whole.reasons
    assert cut.counters == whole.counters


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


FORMATS = {"gz": "gzip", "bz2": "bz2", "xz": "xz", "zst": "zstd"}


@pytest.mark.parametrize("ending", COMPRESSED)
def test_compressed_files(read: Callable[..., Found], ending: str) -> None:
    content = (HEAD + "".join(question(n, title=f"{n * n}") for n in range(2000)) + TAIL).encode()
    plain = read(content)
    compress = COMPRESSED[ending]
    assert read(compress(content), f"Posts.xml.{ending}").posts == plain.posts
    half = len(content) // 2
    assert (
        read(compress(content[:half]) + compress(content[half:]), f"Posts.xml.{ending}").posts == plain.posts
    )
    cut = read(compress(content[:half]) + compress(content[half:])[:-3000], f"Posts.xml.{ending}")
    assert len(cut.bad) == 1
    assert cut.bad[0]["reason"] == f"truncated_{FORMATS[ending]}"
    assert 999 <= len(cut.posts) < 2000  # the first member at least
    assert cut.posts == plain.posts[: len(cut.posts)]
    reason = {"bz2": "bad_bz2", "xz": "bad_xz"}.get(ending, "not_compressed")
    assert read(b"nothing of the kind" * 9, f"Posts.xml.{ending}").reasons == [(0, reason)]


@pytest.mark.parametrize("ending", COMPRESSED)
def test_compressed_bombs(read: Callable[..., Found], ending: str) -> None:
    rows = "".join(question(n, body=hashlib.sha512(b"%d" % n).hexdigest()) for n in range(1000))
    bomb = COMPRESSED[ending]((HEAD + rows).encode() + b" " * 300_000_000)
    found = read(bomb, f"Posts.xml.{ending}", limits=Limits(compression_ratio=100))
    assert found.ids == list(range(1000))
    assert [bad["reason"] for bad in found.bad] == [f"{FORMATS[ending]}_bomb"]


def archive(path: Path, members: dict[str, str]) -> bytes:
    with py7zr.SevenZipFile(path, "w") as f:
        for name, content in members.items():
            f.writestr(content, name)
    return path.read_bytes()


def test_archives(read: Callable[..., Found], tmp_path: Path) -> None:
    content = HEAD + question(1) + answer(2) + TAIL
    users = '<users><row Id="1" /></users>'
    packed = archive(tmp_path / "made.7z", {"Badges.xml": users, "Posts.xml": content, "Users.xml": users})
    found = read(packed, "a.stackexchange.com.7z")
    assert (found.ids, found.bad) == ([1, 2], [])
    assert found.posts[0]["offset"] == len(HEAD.encode()) + 2
    assert read(packed[: len(packed) // 2], "b.7z").reasons == [(0, "bad_7z")]
    assert read(archive(tmp_path / "other.7z", {"Users.xml": users}), "c.7z").reasons == [(0, "no_posts")]


@needs_shared
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_real_dumps_as_a_whole_parser_reads_them(path: Path) -> None:
    found = Found(path)
    assert found.bad == []
    expected = [
        {
            "id": int(row["Id"]),
            "question": int(row["ParentId"] if row["PostTypeId"] == "2" else row["Id"]),
            "is_answer": row["PostTypeId"] == "2",
            "score": int(row["Score"]),
            "accepted": int(row["AcceptedAnswerId"]) if "AcceptedAnswerId" in row else None,
            "title": row.get("Title"),
            "tags": row.get("Tags"),
            "created": row["CreationDate"],
            "license": row.get("ContentLicense"),
        }
        for row in plain_rows(path)
        if row["PostTypeId"] in "12"
    ]
    assert [
        {k: v for k, v in post.items() if k not in ("text", "offset")} for post in found.posts
    ] == expected
    data = path.read_bytes()
    assert all(data[post["offset"] :].startswith(f'<row Id="{post["id"]}"'.encode()) for post in found.posts)


def test_its_name_is_that_of_the_source() -> None:
    assert posts_module.NAME == "stackexchange"
