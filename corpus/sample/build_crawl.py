"""Build the sample crawl: `python -m corpus.sample.build_crawl [FOLDER]`.

Page texts, boilerplate and planted trouble in; four WET and two WARC files and one empty file out, in
Common Crawl's layout under FOLDER (default: the committed `crawl/`). The same texts always give the
same records in the same order. Prints a table of what was written.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import itertools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from corpus.sample import CRAWL, TEXTS, records, trouble
from corpus.sample.pages import Page, Sites, conversion_body, read_folder, read_pages
from corpus.sample.responses import Served, other_answers, page_records

SEGMENT = "crawl-data/CC-MAIN-2019-30/segments/1563195524475.48"
STEM = "CC-MAIN-20190716093244-20190716115244-"
WET_FILES = (0, 1, 2, 3)
WARC_FILES = (4, 5)
EMPTY_FILE = 6
NEWER_HEADER_FILE = 2  # its records name the language, as newer dumps do
TROUBLED_WET, TROUBLED_WARC = 3, 5

# Planned duplicates: few, since a policy that drops every copy loses the original as well.
COPIED = {"en-ordinary": 2, "en-poor": 1}  # exact copies on the same site, by group of the original
MIRRORED = 5  # French pages
MIRROR = "http://miroir-francophone.example"
SYNDICATED = (  # the sites that print the agency's article, and the file of each
    (0, "http://www.penmarrow-courier.example/wire/2019/07/ferry-trial"),
    (2, "https://www.hollinvoices.example/news/electric-ferry"),
    (4, "https://shore-gazette.example/2019-07-16/electric-ferry-begins-winter-trial"),
)
HALF_SHARED_WITH = "river-wend-floods"
REPEATED_ID_FILES = (0, 1)

LANGUAGES = {"en": "eng", "fr": "fra", "de": "deu", "es": "spa", "it": "ita", "pl": "pol"}


@dataclass
class Plan:
    """The pages of each file, in order, and what is peculiar to some of them."""

    files: dict[int, list[Page]]
    served: dict[str, Served] = field(default_factory=dict)  # by URL
    repeated_id: dict[str, str] = field(default_factory=dict)  # URL -> the URL whose record id it takes


def plan(pages: list[Page], planted: dict[str, Page], sites: Sites) -> Plan:
    """Deal the pages to the files and add the planned duplicates."""
    dealt = Plan(_deal(pages))
    _repeat_a_line(dealt.files)
    for original, copy in [*_copies(dealt.files), *_mirror(dealt.files)]:
        place = next(n for n in WET_FILES if original in dealt.files[n])
        dealt.files[(place + 1) % len(WET_FILES)].append(copy)
    for n, url in SYNDICATED:
        page = dataclasses.replace(planted["syndicated"], url=url, site=sites.of(url, "en"))
        dealt.files[n].append(page)
    shared = next(page for page in pages if page.name == HALF_SHARED_WITH)
    place = next(n for n, held in dealt.files.items() if shared.name in {page.name for page in held})
    dealt.files[(place + 1) % len(WET_FILES)].append(_half_shared(planted["half-shared"], shared))
    for held in dealt.files.values():
        held.sort(key=lambda page: _hash(page.url))
    first, second = (_of_group(dealt.files[n], "en-reference")[0].url for n in REPEATED_ID_FILES)
    dealt.repeated_id[second] = first
    dealt.served = _servings([page for n in WARC_FILES for page in dealt.files[n]])
    return dealt


def build(folder: Path) -> Plan:
    """Write the crawl's files under the folder."""
    sites = Sites()
    planted = {page.name: page for page in read_folder(TEXTS / "planted", "en", sites)}
    dealt = plan(read_pages(sites), planted, sites)
    for n in dealt.files:
        path = file_path(folder, n)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_wet(n, dealt, planted) if n in WET_FILES else _warc(n, dealt, planted))
    file_path(folder, EMPTY_FILE).write_bytes(b"")
    return dealt


def file_path(folder: Path, n: int) -> Path:
    """Where the file of that number lies."""
    kind, ending = ("warc", "warc.gz") if n in WARC_FILES else ("wet", "warc.wet.gz")
    return folder / SEGMENT / kind / f"{STEM}{n:05d}.{ending}"


def _wet(n: int, dealt: Plan, planted: dict[str, Page]) -> bytes:
    good = []
    for page in dealt.files[n]:
        body = conversion_body(page)
        language = LANGUAGES[page.language] if n == NEWER_HEADER_FILE else None
        headers = records.conversion_headers(page.url, page.date, body, language)
        if page.url in dealt.repeated_id:
            taken = records.record_id("conversion", dealt.repeated_id[page.url])
            headers = records.replaced(headers, "WARC-Record-ID", taken)
        good.append(records.record(headers, body))
    troubles, end = [], b""
    if n == TROUBLED_WET:
        troubles, end = trouble.in_wet(planted), trouble.end_of_wet(planted)
    return _file(n, "Text of the sample crawl", good, troubles, end)


def _warc(n: int, dealt: Plan, planted: dict[str, Page]) -> bytes:
    good = [page_records(page, dealt.served.get(page.url, Served())) for page in dealt.files[n]]
    others, end = other_answers(records.CRAWL_DATE), b""
    if n == TROUBLED_WARC:
        others, end = trouble.in_warc(planted), trouble.end_of_warc(planted)
    return _file(n, "Fetches of the sample crawl", good, others, end)


def _file(n: int, description: str, good: list[bytes], others: list[bytes], end: bytes) -> bytes:
    """One other record after each good one while there are any: a good one follows each trouble."""
    mixed = itertools.chain.from_iterable(itertools.zip_longest(good, others, fillvalue=b""))
    return records.warcinfo(file_path(Path(), n).name, description) + b"".join(mixed) + end


def _deal(pages: list[Page]) -> dict[int, list[Page]]:
    """Pages to files in turn, group by group: each file gets its share of each language."""
    numbers = (*WET_FILES, *WARC_FILES)
    files: dict[int, list[Page]] = {n: [] for n in numbers}
    for n, page in zip(itertools.cycle(numbers), sorted(pages, key=lambda p: (p.group, _hash(p.url)))):
        files[n].append(page)
    return files


def _repeat_a_line(files: dict[int, list[Page]]) -> None:
    """One page says its second paragraph again at its end."""
    held = files[WET_FILES[0]]
    at = next(i for i, page in enumerate(held) if page.group == "en-ordinary" and len(page.paragraphs) > 3)
    again = (*held[at].paragraphs, held[at].paragraphs[1])
    held[at] = dataclasses.replace(held[at], paragraphs=again)


def _copies(files: dict[int, list[Page]]) -> list[tuple[Page, Page]]:
    """Exact copies under another URL of the same site."""
    pairs = []
    for group, count in COPIED.items():
        originals = [page for n in WET_FILES[1:] for page in _of_group(files[n], group)]
        for page in originals[:count]:
            url = page.url + ("&" if urlsplit(page.url).query else "?") + "session=5d2d8c1f"
            pairs.append((page, dataclasses.replace(page, url=url)))
    return pairs


def _mirror(files: dict[int, list[Page]]) -> list[tuple[Page, Page]]:
    """French pages, unchanged, on a site that copies others."""
    french = [page for n in WET_FILES for page in _of_group(files[n], "fr")]
    mirrored = []
    for page in french[:MIRRORED]:
        parts = urlsplit(page.url)
        mirrored.append((page, dataclasses.replace(page, url=f"{MIRROR}/{parts.netloc}{parts.path}")))
    return mirrored


def _half_shared(page: Page, other: Page) -> Page:
    """The page with the first half of another page's paragraphs in its middle."""
    middle = len(page.paragraphs) // 2
    quoted = other.paragraphs[: len(other.paragraphs) // 2]
    return dataclasses.replace(
        page, paragraphs=(*page.paragraphs[:middle], *quoted, *page.paragraphs[middle:])
    )


def _servings(pages: list[Page]) -> dict[str, Served]:
    """The pages that a server sends in another way than UTF-8 declared in the HTTP header."""
    wanted = [
        ("fr", Served("windows-1252")),
        ("de", Served("windows-1252")),
        ("pl", Served("iso-8859-2")),
        ("es", Served("windows-1252", declared_in="meta")),
        ("en-ordinary", Served(encoding="chunked")),
        ("en-reference", Served(encoding="gzip")),
    ]
    return {_of_group(pages, group)[0].url: served for group, served in wanted}


def _of_group(pages: list[Page], group: str) -> list[Page]:
    return [page for page in pages if page.group == group]


def _hash(url: str) -> str:
    """A fixed order with no meaning."""
    return hashlib.sha256(url.encode("utf-8")).hexdigest()


def _table(folder: Path, dealt: Plan) -> str:
    """Records, pages by language and bytes of each file."""
    rows = [("file", "records", *LANGUAGES, "pages", "bytes")]
    for n in (*dealt.files, EMPTY_FILE):
        path = file_path(folder, n)
        data = path.read_bytes()
        counts = Counter(page.language for page in dealt.files.get(n, []))
        languages = [str(counts[code]) for code in LANGUAGES]
        held = str(len(records.members(data)))
        rows.append((path.name, held, *languages, str(counts.total()), f"{len(data):,}"))
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{row[0]:<{width}}" + "".join(f"{cell:>9}" for cell in row[1:]) for row in rows)


def main() -> None:
    """Build into the folder of the command line."""
    parser = argparse.ArgumentParser(description="Build the sample crawl.")
    parser.add_argument("folder", nargs="?", type=Path, default=CRAWL)
    folder = parser.parse_args().folder
    dealt = build(folder)
    print(_table(folder, dealt))


if __name__ == "__main__":
    main()
