"""Real dumps: every file and page accounted for; the text beside that of mwparserfromhell, line by line.

The counts were found by hand: pages by counting tags, redirects and namespaces in the XML.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import mwparserfromhell
import pytest

from corpus import recipe
from corpus.build.source import FileRange
from corpus.inputs import InputFile
from corpus.recipe import Limits
from corpus.settings.wikipedia import Wikipedia
from corpus.sources.wikipedia.markup import show
from corpus.sources.wikipedia.pages import Page, pages
from corpus.sources.wikipedia.site import Site, languages, read_site, wiki_codes
from corpus.sources.wikipedia.streams import chunks, head_of
from corpus.sources.wikipedia.text import clean
from corpus.training.cited_urls import read_cited
from corpus.urls import normalize_url
from tests.builds import build_here, rows, with_build
from tests.shared import DATA, needs

DUMPS = DATA / "wikipedia"

pytestmark = needs(DUMPS)

LIMITS = Limits()
# As mwparserfromhell's path: all sections, no marks, gaps as they are.
AS_THEIRS = Wikipedia(drop_sections=False, close_gaps=False, list_mark="")


def dumps() -> list[Path]:
    return sorted(p for p in DUMPS.rglob("*") if p.is_file() and not p.name.startswith("external-refs"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    root = tmp_path_factory.mktemp("wikipedia")
    chosen = with_build(recipe.load("llama1"), rejected="text")
    _, counters = build_here(root, "wikipedia", dumps(), chosen)
    return root, counters


def test_every_page_is_accounted_for(run: tuple[Path, dict[str, int]]) -> None:
    _, counters = run
    assert len(dumps()) == 25
    assert {k: v for k, v in counters.items() if not k.startswith("held_out")} == {
        "in": 1645,
        "kept": 644,
        "kept/bg": 1,
        "kept/ca": 1,
        "kept/cs": 2,
        "kept/de": 2,
        "kept/en": 111,
        "kept/es": 1,
        "kept/fr": 3,
        "kept/hu": 1,
        "kept/it": 516,
        "kept/nl": 2,
        "kept/pl": 1,
        "kept/ru": 1,
        "kept/sl": 1,
        "kept/uk": 1,
        "merged": 0,
        "rejected": 1000,
        "rejected/empty": 2,
        "rejected/language": 906,  # ltg, fi, ja, no
        "rejected/older_revision": 1,  # in both English dumps
        "rejected/short": 91,
        "bad": 1,
        "bad/bad_xml": 1,  # the archive that is none
        "skipped": 1346,
        "skipped/namespace": 1033,
        "skipped/redirect": 313,
    }


def test_no_markup_is_left_but_what_is_text(run: tuple[Path, dict[str, int]]) -> None:
    root, _ = run
    left = Counter()
    for row in rows(root, "documents"):
        for mark in (
            "{{",
            "}}",
            "[[",
            "]]",
            "{|",
            "|}",
            "<ref",
            "__NO",
            "__TOC",
            "thumb|",
            "&nbsp;",
            "<br",
            "''",
        ):
            left[mark] += row["text"].count(mark)
    assert not left.total(), left


def test_cited_addresses_beside_those_found_by_a_regular_expression(
    run: tuple[Path, dict[str, int]],
) -> None:
    """The data folder's list has every address of the English dumps, cited or not, cut at ampersands."""
    root, _ = run
    ours = {
        u for row in rows(root, "annotated") if row["language"] == "en" for u in row["wikipedia_v1_cited"]
    }
    theirs = set()
    with (DUMPS / "external-refs-en.txt.gz").open("rb") as f:
        for line in gzip.decompress(f.read()).decode().splitlines():
            theirs.add(f"https://{normalize_url(line)}")
    without_rest = {url.split("&")[0] for url in ours}
    assert len(ours) > 4500
    assert len(without_rest & theirs) / len(without_rest) > 0.97
    assert len(theirs - without_rest) < 600  # external links that are no citations
    assert len(read_cited(str(root / "cited/urls.txt.gz"), "url")) > len(ours)


@cache
def articles() -> list[tuple[Site, str, str, str]]:
    """Wiki, title, wikitext, and what mwparserfromhell makes of it."""
    found = []
    for path in dumps():
        if path.suffix == ".7z":
            continue
        file = InputFile(path.name, str(path), path.stat().st_size, "", "", False)
        site = read_site(head_of(file, LIMITS), file.name)
        if site.language not in Wikipedia().languages:
            continue
        items = pages(chunks(FileRange(file, 0, file.size), LIMITS), LIMITS.record_bytes, True)
        found += [
            (site, item.title or "", item.text, theirs(item.text, site.language))
            for item in items
            if isinstance(item, Page) and item.namespace == "0" and not item.redirect and item.text
        ]
    return found


def theirs(wikitext: str, language: str) -> str:
    """What huggingface/datasets does: files, references and tables out, then `strip_code`."""
    names = {name.lower() for name in ("File", "Image", "Media", *languages()[language]["file"])}
    sections = []
    code = mwparserfromhell.parse(wikitext)
    for section in code.get_sections(flat=True, include_lead=True, include_headings=True):
        for link in section.ifilter_wikilinks(recursive=True):
            if str(link.title).strip().split(":")[0].lower() in names:
                _remove(section, link)
        for tag in section.ifilter_tags(recursive=True):
            if str(tag.tag).lower() in ("ref", "table"):
                _remove(section, tag)
        sections.append(re.sub(r"__[A-Z]+__", "", section.strip_code()).strip())
    return "\n\n".join(sections)


def _remove(section: mwparserfromhell.wikicode.Wikicode, node: mwparserfromhell.nodes.Node) -> None:
    try:
        section.remove(node)
    except ValueError:  # it went with what it was in
        return


def lines(text: str) -> Counter[str]:
    return Counter(line for line in (" ".join(line.split()) for line in text.split("\n")) if line)


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text))


def squeezed(text: str) -> str:
    """Letters and digits alone."""
    return re.sub(r"[\W_]+", "", text)


def differences(site: Site, wikitext: str, other: Counter[str]) -> Iterator[tuple[str, str]]:
    """Lines of theirs that are not in ours, each with the reason."""
    ours = clean(wikitext, site, AS_THEIRS, frozenset()).text
    all_of_ours = squeezed(ours)
    known = words(ours) + words(" ".join(show(wikitext).references))
    category = "|".join(("Category", *languages()[site.language]["category"]))
    keys = {" ".join(m.split()) for m in re.findall(rf"\[\[ *(?:{category}):[^\]|]*\|([^\]]*)\]\]", wikitext)}
    headings = {squeezed(m) for m in re.findall(r"^=+(.*?)=+", wikitext, re.MULTILINE)}
    for line in (other - lines(ours)).elements():
        if re.match(rf":?(?:{category}) *:", line, re.IGNORECASE) or line in keys:
            yield "a category", line
        elif re.match(r"[a-z-]{2,12}:\S", line) and line.split(":")[0] in wiki_codes():
            yield "another language's page", line
        elif line[0] in "|!" or line.startswith("{|"):
            yield "a table that they could not read", line
        elif squeezed(line) in all_of_ours:
            yield "other line ends, or apostrophes", line
        elif squeezed(line) in headings:
            yield "the heading of an empty section", line
        elif re.search(r"\[\[|\]\]|\{\{|\}\}|''|</?\w|\{\||\|\}", line):
            yield "markup that they could not read", line
        elif (words(line) - known).total() <= 2:  # where a reference begins and ends, words are joined
            yield "references that they could not read", line
        else:
            yield "unexplained", line


@pytest.mark.slow
def test_the_text_is_that_of_mwparserfromhell_but_for_what_it_leaves() -> None:
    found: Counter[str] = Counter()
    unexplained = []
    for site, title, wikitext, text in articles():
        other = lines(text)
        found["all"] += other.total()
        for reason, line in differences(site, wikitext, other):
            found[reason] += 1
            if reason == "unexplained":
                unexplained.append((site.language, title, line))
    assert found["all"] > 50_000
    assert found["other line ends, or apostrophes"] < 0.02 * found["all"], found
    assert len(unexplained) <= 12, (found, unexplained)


@pytest.mark.slow
def test_what_mwparserfromhell_loses_is_there() -> None:
    """Whole sections of pages with a tag or a table that is left open."""
    lost = {}
    for site, title, wikitext, text in articles():
        ours = words(clean(wikitext, site, AS_THEIRS, frozenset()).text)
        lost[title] = (ours - words(text)).total()
    assert lost["Alaska"] > 1000
    assert sum(lost.values()) > 5_000
