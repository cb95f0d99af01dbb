"""Dumps read whole: the sample, wikis by name and head, hostile and broken files, cited addresses."""

from __future__ import annotations

import bz2
import itertools
import resource
import time
from pathlib import Path

import isal.igzip
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import recipe
from corpus.errors import UserError
from corpus.recipe import Limits
from corpus.sample import build_wikipedia
from corpus.settings.wikipedia import Wikipedia
from corpus.sources.wikipedia import SOURCE
from corpus.sources.wikipedia.citations import cited_urls
from corpus.sources.wikipedia.markup import show
from corpus.sources.wikipedia.site import BadHead, read_site
from corpus.training.cited_urls import read_cited
from corpus.urls import normalize_url
from tests.builds import build_here, rows, sample_of
from tests.corpus.sources.wikipedia_dumps import END, head, page, read_file

PROSE = "The mill stands by the water, and its wheel has been turning since the old bridge fell. " * 3


def test_the_committed_sample_is_what_the_builder_makes(tmp_path: Path) -> None:
    build_wikipedia.build(tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in sample_of("wikipedia").iterdir()}
    assert made == committed


def test_the_sample_is_accounted_for(tmp_path: Path) -> None:
    sample = sample_of("wikipedia")
    _, counters = build_here(tmp_path, "wikipedia", [sample], input_root=sample)
    assert {k: v for k, v in counters.items() if not k.startswith(("kept/", "held_out"))} == {
        "in": 35,
        "kept": 18,
        "merged": 0,
        "rejected": 6,
        "rejected/empty": 1,
        "rejected/language": 1,
        "rejected/nesting": 1,
        "rejected/older_revision": 2,
        "rejected/short": 1,
        "bad": 11,
        "bad/bad_bz2": 1,
        "bad/bad_xml": 3,
        "bad/empty_file": 1,
        "bad/garbage": 1,
        "bad/missing_id": 1,
        "bad/page_not_closed": 1,
        "bad/truncated_bz2": 1,
        "bad/xml_doctype": 1,
        "bad/xml_nesting": 1,
        "skipped": 3,
        "skipped/model": 1,
        "skipped/namespace": 1,
        "skipped/redirect": 1,
    }
    texts = "\n".join(row["text"] for row in rows(tmp_path, "documents"))
    for leftover in (
        "{{",
        "}}",
        "[[",
        "]]",
        "''",
        "{|",
        "|}",
        "<ref",
        "thumb",
        "|mini",
        "-{",
        "http",
        "&nbsp;",
    ):
        assert leftover not in texts, leftover


def test_cited_addresses_are_a_list_that_the_classifier_takes(tmp_path: Path) -> None:
    sample = sample_of("wikipedia")
    build_here(tmp_path, "wikipedia", [sample], input_root=sample)
    with isal.igzip.open(tmp_path / "cited/urls.txt.gz", "rt", encoding="utf-8") as f:
        urls = f.read().split("\n")
    assert urls.pop() == ""
    assert len(urls) == 20
    assert urls == sorted(set(urls), key=str.encode)
    assert (tmp_path / "cited/urls.txt.gz").read_bytes() == (
        tmp_path / "cited/part-00000.txt.gz"
    ).read_bytes()
    assert (tmp_path / "cited/urls.txt.gz").read_bytes()[4:8] == bytes(4)  # no time
    cited = read_cited(str(tmp_path / "cited/urls.txt.gz"), "url")
    crawled = ["http://www.harbourmuseum.example/collections/fresnel-lens/", "https://nowhere.example/"]
    assert cited.contains([normalize_url(url) or "" for url in crawled]).tolist() == [True, False]
    assert len(cited) == len(urls)


@pytest.mark.parametrize(
    ("name", "database", "language", "declared"),
    [
        ("dewiki-20220701-pages-articles.xml.bz2", "dewiki", "de", ""),
        ("dewiki-20220701-pages-articles.xml.bz2", "enwiki", "de", "en"),
        ("dumps/ru/ruwiki_20220701.xml", "enwiki", "ru", "en"),
        ("zh_min_nanwiki-latest.xml", "enwiki", "zh-min-nan", "en"),
        ("pages-articles.xml", "frwiki", "fr", ""),
        ("mywiki-export.xml", "plwiki", "my", "pl"),  # my: Burmese
        ("ourwiki-export.xml", "plwiki", "pl", ""),
    ],
)
def test_the_name_of_a_file_tells_the_language_first(
    name: str, database: str, language: str, declared: str
) -> None:
    site = read_site(head("xx", database=database).encode(), name)
    assert (site.language, site.declared, site.project) == (language, declared, "wiki")


def test_without_a_database_the_address_tells_it_and_then_the_text() -> None:
    text = head("hu").replace("<dbname>huwiki</dbname>", "")
    assert read_site(text.encode(), "x.xml").language == "hu"
    bare = b'<mediawiki xml:lang="sv" version="0.10">'
    assert read_site(bare, "x.xml").language == "sv"
    assert read_site(bare, "x.xml").namespace_of("Category:A") == 14
    assert read_site(b"", "x.xml").language == ""


def test_other_projects_are_no_wikipedia(tmp_path: Path) -> None:
    path = tmp_path / "dewiktionary-20220701.xml"
    path.write_text(head("de", database="dewiktionary") + page(1, PROSE) + END)
    found, _, _ = read_file(path)
    assert [(row["wikipedia_v1_reason"], row["text"]) for row in found] == [("project", None)]


def test_heads_that_are_refused() -> None:
    with pytest.raises(BadHead) as caught:
        read_site(b'<!DOCTYPE x [<!ENTITY a "b">]>' + head().encode(), "x.xml")
    assert caught.value.reason == "xml_doctype"
    with pytest.raises(BadHead) as caught:
        read_site(b"<a>" * 100, "x.xml")
    assert caught.value.reason == "xml_nesting"
    with pytest.raises(BadHead) as caught:
        read_site(b"plain text", "x.xml")
    assert caught.value.reason == "bad_xml"


def test_an_entity_bomb_costs_nothing(tmp_path: Path) -> None:
    names = [f"e{n}" for n in range(20)]
    entities = '<!ENTITY e0 "ha">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in itertools.pairwise(names)
    )
    path = tmp_path / "enwiki-x.xml"
    bomb = page(1, "x").replace(">x<", f">&{names[-1]};<")
    path.write_text(f"<!DOCTYPE mediawiki [{entities}]>\n" + head() + bomb + END)
    _, bad, counters = read_file(path)
    assert [b["reason"] for b in bad] == ["xml_doctype"]
    path.write_text(head() + f"<!DOCTYPE x [{entities}]>" + bomb + page(2, PROSE) + END)
    found, bad, counters = read_file(path)
    assert [b["reason"] for b in bad] == ["bad_xml"]
    assert counters["in"] == 1
    path.write_text(head() + page(2, PROSE) + f"<!DOCTYPE x [{entities}]>" + bomb + END)
    found, bad, _ = read_file(path)
    assert len(found) == 1
    assert [b["reason"] for b in bad] == ["garbage", "bad_xml"]


def test_a_line_of_200_megabytes_is_one_bad_page(tmp_path: Path) -> None:
    path = tmp_path / "enwiki-x.xml"
    line = "[[a|b]] {{c}} ''d'' " * (10 << 20)
    with path.open("w") as f:
        f.write(head() + page(1, PROSE) + page(2, "@@@").split("@@@")[0])
        f.write(line)
        f.write("</text></revision></page>" + page(3, PROSE) + END)
    del line
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    found, bad, _ = read_file(path)
    assert [row["wikipedia_v1_page"] for row in found] == [1, 3]
    assert [b["reason"] for b in bad] == ["page_too_large"]
    assert time.process_time() - start < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10  # kB


def test_wikitext_has_a_limit_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "enwiki-x.xml"
    path.write_text(head() + page(1, "ä" * 600) + page(2, "a" * 600 + PROSE) + END)
    found, bad, _ = read_file(path, settings=Wikipedia(page_bytes=1000))
    assert [row["wikipedia_v1_page"] for row in found] == [2]
    assert [(b["reason"], b["message"]) for b in bad] == [("wikitext_too_large", "1200 bytes")]
    _, bad, _ = read_file(path, limits=Limits(record_bytes=500))
    assert [b["reason"] for b in bad] == ["page_too_large", "page_too_large"]


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"no dump\n" * 1000, b"BZh9", b"\x1f\x8b\x08", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c"],
)
def test_what_is_no_dump_is_bad_once(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "enwiki-x.xml.bz2"
    path.write_bytes(data)
    half = len(data) // 2
    found, bad, counters = read_file(path, [(0, half), (half, len(data))] if half else None)
    assert found == []
    assert len(bad) == counters["in"] == 1


@given(data=st.binary(max_size=60))
def test_any_bytes_in_a_page_are_a_page_or_bad(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "enwiki-x.xml"
    wrong = page(1, "@@@").encode().replace(b"@@@", data.replace(b"<page>", b"").replace(b"</page>", b""))
    path.write_bytes(head().encode() + wrong + page(2, PROSE).encode() + END.encode())
    found, bad, counters = read_file(path)
    assert found[-1]["wikipedia_v1_page"] == 2
    assert len(found) + len(bad) + counters.get("skipped", 0) == 2  # an empty text that has bytes: a stub


def test_redirects_by_their_words_where_the_schema_has_no_element(tmp_path: Path) -> None:
    path = tmp_path / "ruwiki-x.xml"
    text = "#Перенаправление [[Река]]"
    path.write_text(head("ru", version="0.3") + page(1, text, namespace=None) + END)
    assert read_file(path)[2] == {"framed": 1, "skipped": 1, "skipped/redirect": 1}
    path.write_text(head("ru", version="0.10") + page(1, text) + END)
    assert read_file(path)[2] == {"framed": 1, "in": 1, "out": 1}


def test_a_batch_is_about_so_large(tmp_path: Path) -> None:
    path = tmp_path / "enwiki-x.xml.bz2"
    path.write_bytes(
        bz2.compress((head() + "".join(page(n, PROSE * 50) for n in range(1, 200)) + END).encode())
    )
    found, _, _ = read_file(path)
    assert len(found) == 199


def test_a_language_without_a_wikipedia_is_told() -> None:
    with pytest.raises(UserError, match="'dx'"):
        SOURCE.check_input([], Wikipedia(languages=["de", "dx"]))
    SOURCE.check_input([], recipe.load("llama1").wikipedia)


CITED = {
    "in a reference": (
        "<ref>[http://a.example/x A], http://b.example/y.</ref>",
        ["a.example/x", "b.example/y"],
    ),
    "a name, capitals, more lines": ('<REF name="n">\n* http://a.example\n</Ref>', ["a.example"]),
    "in a list of references": (
        "<references><ref name=a>http://a.example/1</ref></references>",
        ["a.example/1"],
    ),
    "in a citation in a reference": (
        "<ref>{{cite web|url=http://a.example/x|archive-url=https://web.archive.org/web/1/http://a.example/x}}</ref>",
        ["a.example/x", "web.archive.org/web/1/http://a.example/x"],
    ),
    "in a citation elsewhere": (
        "* {{Cite book |title={{lang|de|x}} |url = https://a.example/x |year=1}}",
        ["a.example/x"],
    ),
    "not in other templates and links": ("{{Infobox|website=http://a.example}} [http://b.example b]", []),
    "not in comments": ("<ref><!-- http://a.example --></ref>", []),
    "without what does not say which page": (
        "<ref>https://www.A.example/x/?utm_source=y&amp;id=1#z</ref>",
        ["a.example/x?id=1"],
    ),
    "without a scheme": ("<ref>[//a.example/x x]</ref>", ["a.example/x"]),
    "brackets": ("<ref>(http://a.example/x) http://b.example/(y)</ref>", ["a.example/x", "b.example/(y)"]),
    "once": ("<ref>http://a.example</ref><ref>https://www.a.example/</ref>", ["a.example"]),
    "what is no address": ("<ref>http:// http://x http://[::1</ref>", []),
}


@pytest.mark.parametrize("name", CITED)
def test_cited(name: str) -> None:
    wikitext, expected = CITED[name]
    shown = show(wikitext)
    assert cited_urls(shown.references, shown.text, "en") == [f"https://{url}" for url in expected]


def test_citations_in_other_languages() -> None:
    assert cited_urls([], "{{Internetquelle|url=http://a.example}}", "de") == ["https://a.example"]
    assert cited_urls([], "{{Internetquelle|url=http://a.example}}", "fr") == []
    assert cited_urls([], "{{Цитат уеб|уеб_адрес=http://a.example}}", "bg") == ["https://a.example"]


@given(st.text("ab/:.?&=#%(){}|[]<> \nhttp", max_size=60))
def test_cited_addresses_are_normal_already(text: str) -> None:
    for url in cited_urls([text, f"http://{text}"], text, "en"):
        assert f"https://{normalize_url(url)}" == url
