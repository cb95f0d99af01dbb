"""Build the sample of Wikipedia: `python -m corpus.sample.build_wikipedia [FOLDER]`.

Pages of `texts/wikipedia/LANGUAGE/TITLE.wiki` in; dumps of pages and articles out, one of each kind of
compression, schema and encoding, with planted trouble, under FOLDER (default: the committed `wikipedia/`).
The same pages always give the same bytes.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from corpus.sample import ROOT, TEXTS
from corpus.sample.files import build_by_command, write, write_7z

FOLDER = ROOT / "wikipedia"
PAGES = TEXTS / "wikipedia"
_KIND = "20220701-pages-articles"
_TIME = 1_656_633_600  # of the member of an archive
_END = "</mediawiki>\n"
# Names of file and category namespaces, as the wikis' own dumps have them.
_NAMESPACES = {
    "bg": ("Файл", "Категория"),
    "da": ("Fil", "Kategori"),
    "de": ("Datei", "Kategorie"),
    "es": ("Archivo", "Categoría"),
    "fr": ("Fichier", "Catégorie"),
    "hr": ("Datoteka", "Kategorija"),
    "it": ("File", "Categoria"),
    "pl": ("Plik", "Kategoria"),
    "sr": ("Датотека", "Категорија"),
    "uk": ("Файл", "Категорія"),
}


def build(folder: Path) -> None:
    """Write the dumps under the folder."""
    english = list(pages_of("en"))
    write(folder / f"enwiki-{_KIND}-multistream.xml.bz2", _troubled(english))
    # An older dump of two of its pages, and of one that has been deleted since.
    older = [
        page_xml(n, t, x + "\n\nThis was written before the newer dump.", day=1) for n, t, x in english[:2]
    ]
    gone = page_xml(99, "Dew herb", english[4][2].replace("sundew", "dew herb"), day=1)
    write(folder / "enwiki-20220601-pages-articles.xml", _dump("en", [*older, gone]))
    german = _dump("en", [page_xml(*page) for page in pages_of("de")])  # its head is another wiki's
    write(folder / f"dewiki-{_KIND}.xml.gz", gzip.compress(german.encode(), mtime=0))
    french = _dump("fr", [page_xml(*page) for page in pages_of("fr")])
    write_7z(folder / f"frwiki-{_KIND}.xml.7z", {f"frwiki-{_KIND}.xml": french}, _TIME)
    serbian = _dump("sr", [page_xml(*page) for page in pages_of("sr")], version="0.11")
    write(folder / f"srwiki-{_KIND}.xml.xz", lzma.compress(serbian.encode()))
    write(folder / f"eswiki-{_KIND}.xml", _dump("es", [_with_history(*p) for p in pages_of("es")], "0.3"))
    ukrainian = "\ufeff" + _dump("uk", [page_xml(*page) for page in pages_of("uk")])
    write(folder / f"ukwiki-{_KIND}.xml.bz2", bz2.compress(ukrainian.encode("utf-16-le")))
    for language in ("bg", "da", "fi", "hr"):
        dump = _dump(language, [page_xml(*page) for page in pages_of(language)])
        write(folder / f"{language}wiki-{_KIND}.xml.bz2", bz2.compress(dump.encode()))
    italian = _dump("it", [page_xml(*page) for page in pages_of("it")])
    bomb = '<!DOCTYPE mediawiki [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>\n'
    write(folder / f"itwiki-{_KIND}.xml", italian)
    write(folder / f"itwiki-{_KIND}-entities.xml", bomb + italian)
    polish = bz2.compress(_dump("pl", [page_xml(*page) for page in pages_of("pl")]).encode())
    write(folder / f"plwiki-{_KIND}.xml.bz2", polish[: len(polish) // 2])
    write(folder / f"rowiki-{_KIND}.xml.bz2", b"")
    write(folder / f"cswiki-{_KIND}.xml.7z", b"This is no archive.\n")


def pages_of(language: str) -> list[tuple[int, str, str]]:
    """Number, title and wikitext of a language's pages."""
    paths = sorted((PAGES / language).glob("*.wiki"), key=lambda path: path.name.encode())
    return [(10 * (n + 1), path.stem, path.read_text("utf-8")) for n, path in enumerate(paths)]


def _troubled(pages: list[tuple[int, str, str]]) -> bytes:
    """A multistream dump, as the English one is, with a stream that is damaged and bytes between streams."""
    whole = [page_xml(*page) for page in pages]
    prose = pages[2][2]
    lost = bytearray(bz2.compress(page_xml(501, "Lost with its stream", prose).encode()))
    lost[len(lost) // 2] ^= 0xFF
    others = [
        page_xml(601, "Fresnel's lens", "#REDIRECT [[Fresnel lens]]", redirect="Fresnel lens"),
        page_xml(602, "Talk:Fresnel lens", "Is it ''Fresnel's''? ~~~~", namespace=1),
        page_xml(603, "Common.css", "a { color: blue }").replace(">wikitext<", ">css<"),
        page_xml(604, "Mill (disambiguation)", "{{disambig}}\n[[Category:Disambiguation]]"),
        page_xml(605, "A stub", "A '''stub''' is short."),
        page_xml(606, "Nested without end", "{{a|" * 2000 + "[[b|" * 2000 + "{|\n" * 2000 + "<ref>" * 2000),
        page_xml(607, "An entity", prose).replace("far less", "&far; less", 1),
        page_xml(608, "An open element", prose).replace("</title>", "</titel>"),
        page_xml(609, "Not closed", prose).replace("  </page>\n", ""),
        page_xml(610, "Deep", prose).replace("<ns>", "<x>" * 100 + "</x>" * 100 + "<ns>"),
        page_xml(611, "Without an id", prose).replace("<id>611</id>", "", 1),
    ]
    middle = len(whole[3]) // 2
    streams = [
        bz2.compress(head("en", "0.10").encode()),
        *(bz2.compress("".join(pair).encode()) for pair in (whole[:2], whole[2:3])),
        bytes(lost),
        bz2.compress(whole[3][:middle].encode()),  # a page in two streams
        bz2.compress((whole[3][middle:] + "".join(others[:6])).encode()),
        b"garbage between streams",
        bz2.compress(("".join(others[6:]) + "".join(whole[4:])).encode()),
        bz2.compress(_END.encode()),
    ]
    return b"".join(streams)


def _dump(language: str, pages: list[str], version: str = "0.10") -> str:
    return head(language, version) + "".join(pages) + _END


def head(language: str, version: str) -> str:
    """The head of a dump, up to its first page."""
    file, category = _NAMESPACES.get(language, ("File", "Category"))
    return f"""<mediawiki xmlns="http://www.mediawiki.org/xml/export-{version}/" version="{version}"
    xml:lang="{language}">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>{language}wiki</dbname>
    <base>https://{language}.wikipedia.example/wiki/</base>
    <generator>MediaWiki 1.39</generator>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Talk</namespace>
      <namespace key="6" case="first-letter">{file}</namespace>
      <namespace key="14" case="first-letter">{category}</namespace>
    </namespaces>
  </siteinfo>
"""


def page_xml(
    number: int, title: str, wikitext: str, namespace: int = 0, redirect: str = "", day: int = 20
) -> str:
    """A page of one revision as dumps have it."""
    target = f"\n    <redirect title={quoteattr(redirect)} />" if redirect else ""
    return f"""  <page>
    <title>{escape(title)}</title>
    <ns>{namespace}</ns>
    <id>{number}</id>{target}
    <revision>
      <id>{number * 100 + day}</id>
      <timestamp>2022-05-{day:02}T12:00:00Z</timestamp>
      <contributor>
        <username>Keeper</username>
        <id>7</id>
      </contributor>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="{len(wikitext.encode())}" xml:space="preserve">{escape(wikitext.rstrip())}</text>
      <sha1>0</sha1>
    </revision>
  </page>
"""


def _with_history(number: int, title: str, wikitext: str) -> str:
    """A page as in schema 0.3: no namespace, several revisions, here the newest first."""
    revisions = "".join(
        f"    <revision>\n      <id>{number + day}</id>\n"
        f"      <timestamp>2022-05-{day:02}T12:00:00Z</timestamp>\n"
        f'      <text xml:space="preserve">{escape(text)}</text>\n    </revision>\n'
        for day, text in ((9, wikitext), (8, "borrado"), (7, wikitext.replace("noria", "Noria")))
    )
    return f"  <page>\n    <title>{escape(title)}</title>\n    <id>{number}</id>\n{revisions}  </page>\n"


if __name__ == "__main__":
    build_by_command(build, FOLDER, __doc__)
