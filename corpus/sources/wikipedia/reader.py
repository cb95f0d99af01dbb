"""Wikipedia: a range of a dump -> batches of documents, bad records, counters.

In: ``pages-articles`` XML (schemas 0.3 to 0.11), plain or compressed. Out: RecordBatches of `DOCUMENT` and
`FIELDS`, a row an article in the order of the file. An article is a page of namespace 0 that is no redirect;
of several revisions it is the newest.

| counter | what it counts |
|---|---|
| `framed` | pages that could be read as XML |
| `in` | articles, and each unreadable page, span or file once |
| `skipped` | pages that are no article: `namespace`, `redirect`, `model` (scripts and the like), `no_text` |
| `older_revisions` | revisions of articles beside the newest; in no sum |
| `language_by_name` | files whose name tells another language than their head; in no sum |
| `bad`, `out` | always `in = out + bad` |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import orjson
import pyarrow as pa

from corpus.build.rows import DocumentRows
from corpus.build.source import FileRange, ReadContext
from corpus.schema import document_id
from corpus.settings.wikipedia import Wikipedia
from corpus.sources.wikipedia.citations import cited_urls
from corpus.sources.wikipedia.markup import TooNested
from corpus.sources.wikipedia.pages import Page, Unreadable, pages
from corpus.sources.wikipedia.site import ARTICLE, BadHead, Site, languages, read_site
from corpus.sources.wikipedia.streams import chunks, head_of
from corpus.sources.wikipedia.text import clean, clean_title
from corpus.tally import BadRecord, Tally

NAME = "wikipedia"
FIELDS = (
    # `language`: not one of the recipe's; `project`: no Wikipedia; `nesting`: markup beyond the limit;
    # `empty`: nothing is left of it.
    pa.field("wikipedia_v1_reason", pa.string()),
    pa.field("wikipedia_v1_page", pa.int64()),
    pa.field("wikipedia_v1_revision", pa.int64()),
    pa.field("wikipedia_v1_characters", pa.int64()),  # of the text without its title
    pa.field("wikipedia_v1_cited", pa.list_(pa.string())),  # URLs, normalised: see `cited`
)
_NUMBER = re.compile(r"[0-9]{1,18}")


class _Bad(Exception):
    """An article that cannot be a document; `reason` is a short fixed name."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read(part: FileRange, context: ReadContext, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Read the articles whose page begins in a range.

    Raises:
        OSError: the file cannot be opened or read; what it holds raises nothing.
    """
    settings: Wikipedia = context.settings
    rows = DocumentRows(NAME, FIELDS, context.batch_bytes)
    if part.file.size == 0:
        _count_bad(tally, part, Unreadable(-1, "empty_file", "a file of 0 bytes", b""))
        return
    try:
        site = read_site(head_of(part.file, context.limits), part.file.name)
    except BadHead as error:
        if part.start == 0:  # the file is bad once, however many ranges it has
            _count_bad(tally, part, Unreadable(-1, error.reason, str(error), b""))
        return
    if site.declared and part.start == 0:
        tally.count("language_by_name")
    reader = _Articles(site, settings)
    limit = context.limits.record_bytes
    for item in pages(chunks(part, context.limits), limit, first=part.start == 0):
        if isinstance(item, Unreadable):
            _count_bad(tally, part, item)
            continue
        tally.count("framed")
        if reason := reader.no_article(item):
            tally.skipped(reason)
            continue
        try:
            row = reader.row(item)
        except _Bad as error:
            _count_bad(
                tally, part, Unreadable(item.offset, error.reason, str(error), (item.title or "").encode())
            )
            continue
        tally.count("in")
        tally.count("out")
        tally.count("older_revisions", item.older)
        if batch := rows.add(row | {"file": part.file.name, "offset": item.offset}):
            yield batch
    if batch := rows.finish():
        yield batch


class _Articles:
    """Pages of one wiki as rows."""

    def __init__(self, site: Site, settings: Wikipedia) -> None:
        self._site = site
        self._settings = settings
        headings = languages().get(site.language, {}).get("sections", []) if settings.drop_sections else []
        self._dropped = frozenset(heading.lower() for heading in headings)
        self._redirect_words = tuple(word.lower() for word in site.redirect_words)
        self._reason = None
        if site.project != "wiki":
            self._reason = "project"
        elif site.language not in settings.languages:
            self._reason = "language"

    def no_article(self, page: Page) -> str | None:
        """Why a page is no article by nature."""
        if page.namespace is None:
            namespace = self._site.namespace_of(page.title or "")
        else:
            namespace = int(page.namespace) if _NUMBER.fullmatch(page.namespace) else -1
        if namespace != ARTICLE:
            return "namespace"
        if page.redirect or (page.text or "")[:100].lstrip().lower().startswith(self._redirect_words):
            return "redirect"
        if page.model not in (None, "", "wikitext"):
            return "model"
        return "no_text" if page.text is None else None

    def row(self, page: Page) -> dict[str, Any]:
        """The document of an article.

        Raises:
            _Bad: it has no id or title, or is too large.
        """
        title = clean_title(page.title or "")
        if not title:
            raise _Bad("missing_title", "a page without a title")
        if page.id is None or not _NUMBER.fullmatch(page.id):
            raise _Bad("missing_id", f"a page with id {page.id}")
        wikitext = page.text or ""
        if len(wikitext) > self._settings.page_bytes // 4:
            size = len(wikitext.encode())
            if size > self._settings.page_bytes:
                raise _Bad("wikitext_too_large", f"{size} bytes")
        language = self._site.language
        revision = page.revision if page.revision and _NUMBER.fullmatch(page.revision) else None
        row: dict[str, Any] = {
            "id": document_id(NAME, language, int(page.id)),
            "key": title,
            "text": None,
            "language": language or None,
            "timestamp": page.timestamp,
            "license": self._settings.license,
            "metadata": self._metadata(page, title),
            "wikipedia_v1_page": int(page.id),
            "wikipedia_v1_revision": int(revision) if revision else None,
            "wikipedia_v1_reason": self._reason,
        }
        if self._reason is None:
            try:
                cleaned = clean(wikitext, self._site, self._settings, self._dropped)
            except TooNested:
                return row | {"wikipedia_v1_reason": "nesting"}
            body = cleaned.text.strip()
            if body:
                row["text"] = f"{title}\n\n{body}" if self._settings.title else body
            row["wikipedia_v1_characters"] = len(body)
            row["wikipedia_v1_reason"] = None if body else "empty"
            row["wikipedia_v1_cited"] = cited_urls(cleaned.references, cleaned.shown, language)
        return row

    def _metadata(self, page: Page, title: str) -> str:
        known = {"page": page.id, "revision": page.revision, "declared_language": self._site.declared}
        if self._site.project == "wiki" and self._site.language:
            name = quote(title.replace(" ", "_"), safe="/:(),!*'")
            known["url"] = f"https://{self._site.language}.wikipedia.org/wiki/{name}"
        return orjson.dumps({k: v for k, v in known.items() if v}, option=orjson.OPT_SORT_KEYS).decode()


def _count_bad(tally: Tally, part: FileRange, item: Unreadable) -> None:
    tally.count("in")
    record = BadRecord(NAME, part.file.name, item.offset, "read", item.reason, item.message, item.first_bytes)
    tally.bad(record)
