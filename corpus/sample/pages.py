"""The sample's pages: texts and boilerplate in, the lines or the HTML of a page out.

A text file has the header lines `url:`, `date:` and `title:`, a blank line, then a paragraph a line.
Its folder names what it is (`en-reference`, `fr`, …). What a site repeats on each page is in
`sites.toml`.
"""

from __future__ import annotations

import html
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from corpus.sample import TEXTS


@dataclass(frozen=True)
class Site:
    """What every page of a site shows around its own text."""

    cookies: str
    navigation: tuple[str, ...]
    related: tuple[str, ...]  # heading, then links
    newsletter: str
    footer: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """A page of the crawl; a copy keeps the group and the site of its original."""

    group: str  # folder of its text: en-reference, fr, …
    name: str
    url: str
    date: str
    title: str
    paragraphs: tuple[str, ...]
    site: Site

    @property
    def language(self) -> str:
        """ISO 639-1 code, from the folder."""
        return self.group.partition("-")[0]


def read_folder(folder: Path, group: str, sites: Sites) -> list[Page]:
    """All pages of a folder, by file name."""
    return [_read_page(path, group, sites) for path in sorted(folder.glob("*.txt"))]


def read_pages(sites: Sites) -> list[Page]:
    """All page texts of the sample, by group and file name."""
    folders = sorted(f for f in (TEXTS / "pages").iterdir() if f.is_dir())
    return [page for folder in folders for page in read_folder(folder, folder.name, sites)]


def _read_page(path: Path, group: str, sites: Sites) -> Page:
    head, _, body = path.read_text(encoding="utf-8").partition("\n\n")
    fields = dict(line.split(": ", 1) for line in head.split("\n"))
    paragraphs = tuple(line.strip() for line in body.split("\n") if line.strip())
    url = fields["url"].strip()
    site = sites.of(url, group.partition("-")[0])
    return Page(group, path.stem, url, fields["date"].strip(), fields["title"].strip(), paragraphs, site)


class Sites:
    """The boilerplate of `sites.toml`: by host, else the generic one of the language."""

    def __init__(self) -> None:
        tables = tomllib.loads((TEXTS / "sites.toml").read_text(encoding="utf-8"))
        self._generic = tables["generic"]
        self._by_host = tables["sites"]

    def of(self, url: str, language: str) -> Site:
        """The boilerplate of the URL's host."""
        host = urlsplit(url).netloc
        table = self._by_host.get(host, self._generic[language])
        return Site(
            cookies=table["cookies"],
            navigation=tuple(table["navigation"]),
            related=tuple(table["related"]),
            newsletter=table["newsletter"],
            footer=tuple(line.replace("{host}", host) for line in table["footer"]),
        )


def plain_lines(page: Page) -> list[str]:
    """The lines of a WET body: the title, then all that the page shows, from top to bottom."""
    site = page.site
    around = (*site.related, site.newsletter, *site.footer)
    return [page.title, site.cookies, *site.navigation, *page.paragraphs, *around]


def conversion_body(page: Page) -> bytes:
    """The body of the page's WET record."""
    return ("\n".join(plain_lines(page)) + "\n").encode("utf-8")


def render_html(page: Page, meta_charset: str | None = None) -> str:
    """The page as HTML; its charset is declared inside it only where one is given."""
    site = page.site
    heading = page.title.replace(" – ", " | ").partition(" | ")[0]
    meta = f'<meta charset="{meta_charset}">\n' if meta_charset else ""
    related, *links = site.related
    paragraphs = "".join(f"<p>{html.escape(p)}</p>\n" for p in page.paragraphs)
    footer = "".join(f"<p>{html.escape(line)}</p>\n" for line in site.footer)
    return (
        f'<!DOCTYPE html>\n<html lang="{page.language}">\n<head>\n{meta}'
        f"<title>{html.escape(page.title)}</title>\n"
        '<link rel="stylesheet" href="/style.css">\n'
        "<script>document.documentElement.className = 'js';</script>\n</head>\n<body>\n"
        f'<div class="cookies" role="dialog"><p>{html.escape(site.cookies)}</p></div>\n'
        f"<header><nav>\n{_list(site.navigation)}</nav></header>\n"
        f"<main><article>\n<h1>{html.escape(heading)}</h1>\n{paragraphs}</article></main>\n"
        f'<aside class="related"><h2>{html.escape(related)}</h2>\n{_list(links)}</aside>\n'
        f'<form class="newsletter" action="/subscribe"><p>{html.escape(site.newsletter)}</p></form>\n'
        f"<footer>\n{footer}</footer>\n</body>\n</html>\n"
    )


def _list(items: tuple[str, ...] | list[str]) -> str:
    rows = "".join(f'<li><a href="/{n}">{html.escape(item)}</a></li>\n' for n, item in enumerate(items))
    return f"<ul>\n{rows}</ul>\n"
