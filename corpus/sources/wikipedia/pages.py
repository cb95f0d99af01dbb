"""Pages of a dump: pieces of XML -> one page after the other, and what could not be read.

In: the chunks of a range (`corpus.sources.wikipedia.streams`). Out: `Page`s whose ``<page>`` begins in the
range, and `Unreadable`s. A dump is a flat list of pages, and ``<`` is always escaped in what people
wrote, so that pages are found by their tags and each is parsed by itself: what is broken in one does not
touch the next, no entity can be declared, and memory is one page, which `record_bytes` bounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.parsers import expat

from corpus.sources.wikipedia.streams import Chunk, Cut
from corpus.tally import FIRST_BYTES

_START = b"<page>"
_END = b"</page>"
_DUMP_END = b"</mediawiki>"
_LONGEST = len(_DUMP_END)
# What may stand before, between and after pages: the dump's own tags, its head, logs of older schemas.
_FRAME = re.compile(
    rb"(?:\s+|\xef\xbb\xbf|<\?xml[^>]*>|</?mediawiki[^>]*>|<siteinfo>.*?</siteinfo>|<!--.*?-->|<logitem>.*?</logitem>)*",
    re.DOTALL,
)
_GAP = 1 << 20  # of what stands between pages no more is looked at
_DEPTH = 32
_TEXT_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Page:
    """A page with its newest revision; what the dump does not say is None.

    `text` is None where the dump has none of it (a stub, a deleted revision); `older` counts the other
    revisions that the dump has of the page.
    """

    offset: int
    title: str | None
    namespace: str | None
    id: str | None
    redirect: bool
    revision: str | None
    timestamp: str | None
    model: str | None
    text: str | None
    older: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A page or a span that cannot be read."""

    offset: int
    reason: str
    message: str
    first_bytes: bytes


def pages(items: Iterator[Chunk | Cut], record_bytes: int, first: bool) -> Iterator[Page | Unreadable]:
    """The pages of a range.

    What stands between two pages belongs to the range of the first of them, and so does the end of the dump.

    Args:
        items: the range's chunks.
        record_bytes: of a page's XML, beyond which it is bad.
        first: the range begins the file, and what stands before its first page belongs to it.
    """
    return _Pager(items, record_bytes).pages(first)


class _Pager:
    """Holds the bytes between the last page and the end of what has been read."""

    def __init__(self, items: Iterator[Chunk | Cut], record_bytes: int) -> None:
        self._items = items
        self._limit = record_bytes
        self._held = bytearray()
        self._origins: list[tuple[int, Chunk]] = []  # where in what is held each chunk begins
        self._cut: Cut | None = None

    def pages(self, first: bool) -> Iterator[Page | Unreadable]:
        own_gap, told = first, False
        while True:
            gap_offset, _ = self._origin(0)
            found, gap = self._find_start()
            if own_gap:
                at = _end_of_frame(gap)
                if gap[at:].strip():
                    rest = gap[at : at + FIRST_BYTES]
                    yield Unreadable(gap_offset, "garbage", "text that is of no page", rest)
            if not found:
                if self._cut is None:
                    if own_gap and not told and _DUMP_END not in gap:
                        message = "the dump does not end: pages may be missing"
                        yield Unreadable(gap_offset, "truncated_xml", message, b"")
                    return
                cut, self._cut = self._cut, None
                if not cut.own:
                    return
                yield Unreadable(cut.offset, cut.reason, cut.message, cut.first_bytes)
                own_gap = False
                continue
            offset, own = self._origin(0)
            if not own:
                return
            own_gap = True
            item = self._page(offset)
            told = isinstance(item, Unreadable) and item.reason == "truncated_page"
            yield item

    def _find_start(self) -> tuple[bool, bytes]:
        """Drop what is held up to the next page's start; whether there is one, and what was dropped."""
        dropped = bytearray()
        while True:
            at = self._held.find(_START)
            if at >= 0:
                self._keep(dropped, self._drop(at))
                return True, bytes(dropped)
            self._keep(dropped, self._drop(max(0, len(self._held) - len(_START) + 1)))
            if not self._more():
                self._keep(dropped, self._drop(len(self._held)))
                return False, bytes(dropped)

    @staticmethod
    def _keep(dropped: bytearray, data: bytes) -> None:
        """Of a long gap the beginning, and the very end."""
        dropped += data
        if len(dropped) > _GAP:
            del dropped[_GAP - FIRST_BYTES : -FIRST_BYTES]

    def _page(self, offset: int) -> Page | Unreadable:
        """The page at whose start what is held begins."""
        searched = len(_START)
        while True:
            end = self._held.find(_END, searched)
            following = self._held.find(_START, searched, end if end >= 0 else len(self._held))
            if following >= 0:
                return self._broken(offset, following, "page_not_closed", "another page begins inside it")
            if end >= 0:
                break
            searched = max(len(_START), len(self._held) - _LONGEST)
            if len(self._held) > self._limit:
                return self._too_large(offset)
            if not self._more():
                reason = "page_cut" if self._cut else "truncated_page"
                return self._broken(
                    offset, len(self._held), reason, f"{len(self._held)} bytes of it are there"
                )
        end += len(_END)
        if end > self._limit:
            return self._broken(offset, end, "page_too_large", f"{end} bytes")
        return parse_page(self._drop(end), offset)

    def _broken(self, offset: int, end: int, reason: str, message: str) -> Unreadable:
        return Unreadable(offset, reason, message, self._drop(end)[:FIRST_BYTES])

    def _too_large(self, offset: int) -> Unreadable:
        """Pass over a page without holding it."""
        size = len(_START)
        first_bytes = self._drop(size)
        while True:
            ends = [at for at in (self._held.find(_START), self._held.find(_END)) if at >= 0]
            if ends:
                at = min(ends)
                size += at
                if self._held.startswith(_END, at):
                    at += len(_END)
                    size += len(_END)
                self._drop(at)
                break
            size += len(self._drop(max(0, len(self._held) - _LONGEST)))
            if not self._more():
                size += len(self._drop(len(self._held)))
                break
        return Unreadable(offset, "page_too_large", f"{size} bytes", first_bytes)

    def _more(self) -> bool:
        """Read on; False at the end and at a cut."""
        if self._cut is not None:
            return False
        item = next(self._items, None)
        if isinstance(item, Cut):
            self._cut = item
        if not isinstance(item, Chunk):
            return False
        self._origins.append((len(self._held), item))
        self._held += item.data
        return True

    def _origin(self, at: int) -> tuple[int, bool]:
        """Offset of the byte held at an index, and whether it is the range's own."""
        while not self._held and self._more():
            pass
        chunk, start = None, 0
        for begin, candidate in self._origins:
            if begin > at:
                break
            chunk, start = candidate, begin
        if chunk is None:
            return 0, True
        return chunk.offset + (at - start if chunk.exact else 0), at - start < chunk.own

    def _drop(self, size: int) -> bytes:
        data = bytes(self._held[:size])
        del self._held[:size]
        moved = [(begin - size, chunk) for begin, chunk in self._origins]
        # Of the chunks that begin before what is held only the last reaches into it.
        before = sum(begin <= 0 for begin, _ in moved)
        self._origins = moved[max(0, before - 1) :]
        return data


def _end_of_frame(gap: bytes) -> int:
    frame = _FRAME.match(gap)
    return frame.end() if frame else 0


def parse_page(xml: bytes, offset: int) -> Page | Unreadable:
    """Read one ``<page>`` element."""
    reader = _PageXml()
    try:
        return reader.read(xml, offset)
    except expat.ExpatError as error:
        return Unreadable(offset, "bad_xml", str(error), xml[:FIRST_BYTES])
    except _TooDeep:
        return Unreadable(offset, "xml_nesting", f"elements {_DEPTH} deep", xml[:FIRST_BYTES])


class _TooDeep(Exception):
    """Elements in elements beyond what any dump has."""


class _PageXml:
    """Takes in the elements of one page; keeps the newest of its revisions."""

    def __init__(self) -> None:
        self._depth = 0
        self._path = ""
        self._text: list[str] = []
        self._page: dict[str, str] = {}
        self._newest: dict[str, str] = {}
        self._revision: dict[str, str] = {}
        self._revisions = 0

    def read(self, xml: bytes, offset: int) -> Page:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.buffer_size = min(max(len(xml), 64), _TEXT_BUFFER)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.Parse(xml, True)
        newest = self._newest
        has_text = "text" in newest and "deleted" not in newest
        if not newest.get("text") and newest.get("bytes", "0") != "0":
            has_text = False  # a stub
        return Page(
            offset=offset,
            title=self._page.get("title"),
            namespace=self._page.get("ns"),
            id=self._page.get("id"),
            redirect="redirect" in self._page,
            revision=newest.get("id"),
            timestamp=newest.get("timestamp"),
            model=newest.get("model"),
            text=newest["text"] if has_text else None,
            older=max(0, self._revisions - 1),
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEPTH:
            raise _TooDeep
        self._path += "/" + name
        self._text.clear()
        if self._path == "/page/revision":
            self._revision = {}
        elif self._path == "/page/revision/text":
            self._revision["bytes"] = attributes.get("bytes", "0")
            if "deleted" in attributes:
                self._revision["deleted"] = ""

    def _end(self, name: str) -> None:
        if self._path == "/page/revision":
            self._revisions += 1
            # Of equal times, or without any, the later one in the dump.
            if self._revision.get("timestamp", "") >= self._newest.get("timestamp", ""):
                self._newest = self._revision
        elif self._path.startswith("/page/revision/") and self._depth == 3:
            self._revision[name] = "".join(self._text)
        elif self._depth == 2:
            self._page[name] = "".join(self._text)
        self._path = self._path[: -len(name) - 1]
        self._depth -= 1
        self._text.clear()
