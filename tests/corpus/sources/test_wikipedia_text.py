"""Wikitext to text: each kind of markup, unclosed and nested markup, and time that grows with the length."""

from __future__ import annotations

import dataclasses
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.settings.wikipedia import Wikipedia
from corpus.sources.wikipedia.citations import cited_urls
from corpus.sources.wikipedia.markup import MARKS, TooNested
from corpus.sources.wikipedia.site import Site, languages, read_site
from corpus.sources.wikipedia.text import clean
from tests.corpus.sources.wikipedia_dumps import head

PLAIN = Wikipedia(drop_sections=False)


def site(language: str) -> Site:
    return read_site(head(language).encode(), f"{language}wiki-20220701-pages-articles.xml")


def text(wikitext: str, language: str = "en", settings: Wikipedia = PLAIN) -> str:
    table = languages().get(language, {"sections": []})
    dropped = frozenset(h.lower() for h in table["sections"]) if settings.drop_sections else frozenset()
    return clean(wikitext, site(language), settings, dropped).text


CASES = {
    # comments, elements
    "a comment": ("on<!-- not -->ly", "only"),
    "a comment alone on its line takes the line": ("* a\n<!-- x -->\n* b", "* a\n* b"),
    "a comment without end": ("seen <!-- all this\n\nand this", "seen"),
    "a reference": ('It is so.<ref name="a">By {{cite|x}} [[y]]</ref> Truly.', "It is so. Truly."),
    "a reference with a slash at its end": ("so<ref name=x/> and<ref name=y />.", "so and."),
    "references in capitals, over lines": ("so<REF>\none\n\ntwo</Ref>.", "so."),
    "a reference without end, before another": ("a<ref>one b\nc<ref>two</ref> d", "a\nc d"),
    "a reference without end": ("a<ref>one b\nc", "a\nc"),
    "a list of references": ("<references><ref name=a>x</ref></references>after", "after"),
    "formulas go with their content": ("so <math>a < b</math> holds", "so holds"),
    "galleries": ("<gallery>\nFile:a.jpg|b\n</gallery>text", "text"),
    "nowiki is text": ("<nowiki>[[not]] a ''link'' &amp; {{x}}</nowiki>", "[[not]] a ''link'' & {{x}}"),
    "empty nowiki parts markup": ("''it''<nowiki/>'s", "it's"),
    "pre keeps its spaces": ("<pre>\nif x:\n    y\n</pre>", "if x:\n    y"),
    "source keeps its references": ("<syntaxhighlight lang=c>a &lt; b;</syntaxhighlight>", "a &lt; b;"),
    "source of which tags are text": ("<source><br> [[x]]</source>", "<br> [[x]]"),
    "line breaks": ("one<br>two<br />three<BR/>four", "one\ntwo\nthree\nfour"),
    "tags go, their text stays": ("H<sub>2</sub>O, <span style='x'>so</span>", "H2O, so"),
    "paragraphs": ("<p>one</p><p>two</p>", "one\n\ntwo"),
    "what is no tag": ("of a<v and <unknown>x</unknown>", "of a<v and <unknown>x</unknown>"),
    # templates
    "a template": ("so {{convert|5|km}} far", "so far"),
    "templates in templates": ("a{{x|{{y|{{{z|1}}}}}}}b", "ab"),
    "a template over lines": ("{{Infobox\n| a = {{b}}\n| c = d\n}}\nText", "Text"),
    "a template with a table in it": ("{{Infobox|x={|\n| y\n|}}}\nText", "Text"),
    "braces without a partner": ("a }} b {{ c", "a b c"),
    "single braces": ("the set {a, b} of {}", "the set {a, b} of {}"),
    "a template without end": ("{{Infobox\n| a = b\nText", "Infobox\nText"),
    "a link without end in a template": ("a {{x|[[y|z}} b [[c]]", "a b c"),
    # tables
    "a table": ('{| class="x"\n|-\n| a || b\n|}\nText', "Text"),
    "a table in a table": ("{|\n| a\n{|\n| b\n|}\n| c\n|}\nText", "Text"),
    "an indented table": (":{|\n| a\n|}\nText", "Text"),
    "a table of elements": ("<table><tr><td><table></table>a</td></tr></table>Text", "Text"),
    "a table without end": ("a\n{|\n| b\nc\n\n== D ==\nText", "a\n\nD\nText"),
    "rows without a table": ("a\n|-\n| b\n|}\nc", "a\n\nc"),
    # links
    "a link": ("[[Bern]], [[Bern|the town]]s, [[Bern#History]]", "Bern, the towns, Bern#History"),
    "an empty label": ("[[Ajax (myth)|]], [[Help:Ajax|]], [[Bern, Idaho|]]", "Ajax, Ajax, Bern"),
    "a label over lines": ("[[a|b\nc]]", "b\nc"),
    "a label with a bar": ("[[a|b|c]]", "b|c"),
    "a file": ("[[File:a.jpg|thumb|A [[b]] by [http://c d], [[e|f]]]]Text", "Text"),
    "a file in English and in small letters": ("[[image:a.jpg]][[ File : b.jpg |x]]Text", "Text"),
    "a link to a file": ("[[:File:a.jpg]] and [[:File:a.jpg|it]]", "File:a.jpg and it"),
    "a file without end": ("[[File:a.jpg|thumb|b\n\nText", "thumb|b\n\nText"),
    "categories": ("Text\n\n[[Category:A]]\n[[Category:B|b]]", "Text"),
    "a link to a category": ("[[:Category:A|all A]]", "all A"),
    "other languages' pages": ("Text[[de:Text]] [[zh-min-nan:Text]]", "Text"),
    "a link to another language's page": ("[[:de:Text|there]]", "there"),
    "other prefixes stay": ("[[wikt:word|word]], [[Wikipedia:About]]", "word, Wikipedia:About"),
    "addresses": ("[http://a.example label text], [//b.example it]", "label text, it"),
    "an address without label": ("so [http://a.example/x?y=z] it is", "so it is"),
    "a bare address": ("see http://a.example/x_y", "see http://a.example/x_y"),
    "brackets that are no link": ("he [the king] said [...]", "he [the king] said [...]"),
    "a link in an address": ("[http://a.example see [[b]] there]", "see b there"),
    "brackets without a partner": ("a [[b and c]] d]] e", "a b and c d e"),
    "what no page can be called": ("[[a{b}|c]]", "a{b}|c"),
    # apostrophes
    "bold and italic": ("'''b''' ''i'' '''''bi''''' isn't", "b i bi isn't"),
    "an elision": ("l'''Orlando furioso'' di Ariosto", "l'Orlando furioso di Ariosto"),
    "a possessive": ("the ''Times'''s editor", "the Times's editor"),
    "italic in italic": ("''in [[a|''b'']] c''", "in b c"),
    # lines
    "headings": ("== One ==\ntext\n===Two===\nmore", "One\ntext\n\nTwo\nmore"),
    "a heading with markup": ("== ''One'' [[two]]<br>three{{x}} ==\ntext", "One two three\ntext"),
    "empty sections": ("a\n== B ==\n{{x}}\n=== C ===\n\n== D ==\n=== E ===\ne", "a\n\nD\n\nE\ne"),
    "what is no heading": ("=== a === b\na = =", "=== a === b\na = ="),
    "lists": ("* a\n** b\n# c\n: d\n; e: f", "* a\n* b\n* c\nd\ne: f"),
    "an empty item": ("* a\n*\n* {{x}}\n* b", "* a\n* b"),
    "a rule": ("a\n----\nb", "a\n\nb"),
    "magic words": ("__NOTOC__\n__БЕЗ_ОГЛ__ a __init__ b", "a __init__ b"),
    "references to characters, once": (
        "a &amp;nbsp; &lt;b&gt; &#8212; &copy=1 &x;",
        "a &nbsp; <b> — &copy=1 &x;",
    ),
    "empty lines": ("a\n\n\n\n\nb  c\t\td", "a\n\nb c d"),
    # gaps
    "brackets of which nothing is left": ("Bern ({{lang|x}}; {{IPA|y}}) is", "Bern is"),
    "brackets of which something is left": ("Bern ({{lang|x}}, a town{{y}}) is", "Bern (a town) is"),
    "brackets that were empty before": ("call f() and ( ) of it{{x}}", "call f() and ( ) of it"),
    "a space before a mark": ("a {{x}}, b {{y}}. {{z}}", "a, b."),
    "brackets beside brackets": ("Bern ({{a}}){{b}}, is ({{c}})({{d}}) so", "Bern, is so"),
    "a list of which the end is gone": (
        "in 1920, {{isbn}}.\nin 1921, {{isbn}}\nwho: {{x}}",
        "in 1920.\nin 1921\nwho:",
    ),
    "a space that does not break": ("Rodolphe&nbsp;{{I}} (et&nbsp;{{II}})", "Rodolphe (et)"),
    "items of which a full stop is left": ("* {{cite}}.\n* {{a}}. b\n* ...", "* b\n* ..."),
    "a gap that begins a line": ("* {{cite}}; also b", "* also b"),
}


@pytest.mark.parametrize("name", CASES)
def test_markup(name: str) -> None:
    wikitext, expected = CASES[name]
    assert text(wikitext) == expected


BY_LANGUAGE = {
    "bg": ("[[Картинка:a.jpg|мини]][[Категория:Б]]Текст", "Текст"),
    "ca": ("[[Fitxer:a.jpg]][[Imatge:a.jpg]][[Categoria:B]]Text", "Text"),
    "cs": ("[[Soubor:a.jpg|náhled]][[Kategorie:B]]Text", "Text"),
    "da": ("[[Billede:a.jpg]][[Fil:a.jpg]][[Kategori:B]]Tekst", "Tekst"),
    "de": ("[[Datei:a.jpg|mini]][[Bild:b.jpg]][[Kategorie:B]]Text", "Text"),
    "en": ("[[Image:a.jpg|thumb]][[Media:b.ogg|listen]]Text", "Text"),
    "es": ("[[Archivo:a.jpg]][[Imagen:a.jpg]][[Categoría:B]][[CAT:B]]Texto", "Texto"),
    "fr": ("[[Fichier:a.jpg|vignette]][[Catégorie:B]]Texte", "Texte"),
    "hr": ("[[Datoteka:a.jpg]][[Slika:a.jpg]][[DT:a.jpg]][[Kategorija:B]]Tekst", "Tekst"),
    "hu": ("[[Fájl:a.jpg]][[Kép:a.jpg]][[Kategória:B]]Szöveg", "Szöveg"),
    "it": ("[[Immagine:a.jpg]][[File:a.jpg]][[Categoria:B]]Testo", "Testo"),
    "nl": ("[[Bestand:a.jpg]][[Afbeelding:a.jpg]][[Categorie:B]]Tekst", "Tekst"),
    "pl": ("[[Plik:a.jpg]][[Grafika:a.jpg]][[Kategoria:B]]Tekst", "Tekst"),
    "pt": ("[[Ficheiro:a.jpg]][[Imagem:a.jpg]][[Arquivo:a.jpg]][[Categoria:B]]Texto", "Texto"),
    "ro": ("[[Fișier:a.jpg]][[Fişier:a.jpg]][[Imagine:a.jpg]][[Categorie:B]]Text", "Text"),
    "ru": ("[[Файл:a.jpg|мини]][[изображение:a.jpg]][[Категория:Б]]Текст", "Текст"),
    "sl": ("[[Slika:a.jpg]][[Datoteka:a.jpg]][[Kategorija:B]]Besedilo", "Besedilo"),
    "sr": ("[[Датотека:a.jpg]][[Slika:a.jpg]][[Категорија:Б]]Текст", "Текст"),
    "sv": ("[[Fil:a.jpg]][[Bild:a.jpg]][[Kategori:B]]Text", "Text"),
    "uk": ("[[Файл:a.jpg]][[Зображення:a.jpg]][[Категорія:Б]]Текст", "Текст"),
}


@pytest.mark.parametrize("language", BY_LANGUAGE)
def test_names_of_files_and_categories(language: str) -> None:
    wikitext, expected = BY_LANGUAGE[language]
    assert text(wikitext, language) == expected


def test_every_language_has_its_words() -> None:
    assert tuple(languages()) == tuple(sorted(Wikipedia().languages))
    for table in languages().values():
        assert all(table[name] for name in ("file", "category", "redirect", "citation", "sections"))


def test_a_dump_names_its_own_namespaces() -> None:
    wiki = read_site(head("ltg", file="Fails", category="Kategoreja").encode(), "x.xml")
    assert clean("[[Fails:a.jpg|thumb]][[Kategoreja:B]]Teksts", wiki, PLAIN, frozenset()).text == "Teksts"


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("Он је -{sr-ec:ту; sr-el:tu;}- сада", "Он је ту сада"),
        ("On je -{sr-ec:ту; sr-el:tu;}- sada", "On je tu sada"),
        ("Зове се -{Microsoft Word}-.", "Зове се Microsoft Word."),
        ("-{A|sr-cyrl:рат;sr-latn:rat}- и мир", "рат и мир"),
        ("-{H|sr-ec:рат;sr-el:rat}--{T|sr-ec:Наслов}-Текст", "Текст"),
        ("-{R|слово}- -{sr-ec;sr-el|реч}- -{[[веза|њу]]}-", "слово реч њу"),
        ("ово -{није затворено", "ово -{није затворено"),
        ("-{а -{б}- в}- г", "а б в г"),
    ],
)
def test_variants_of_serbian(wikitext: str, expected: str) -> None:
    assert text(wikitext, "sr") == expected


def test_only_serbian_has_variants() -> None:
    assert text("a -{b}- c", "hr") == "a -{b}- c"


def test_sections_without_running_text_are_dropped_with_those_below() -> None:
    wikitext = "a\n== References ==\nx\n=== Books ===\ny\n== See also ==\nz\n== EXTERNAL LINKS: ==\nw"
    assert text(wikitext, settings=Wikipedia()) == "a\n\nSee also\nz"
    assert text("a\n== Weblinks ==\nb", "de", Wikipedia()) == "a"
    assert text("a\n== Weblinks ==\nb", "en", Wikipedia()) == "a\n\nWeblinks\nb"


def test_switches() -> None:
    settings = dataclasses.replace(PLAIN, list_mark="", close_gaps=False)
    assert text("* a ({{x}}) {{y}}, b", settings=settings) == "a () , b"


# fmt: off
PIECES = [
    *"ab \n'[]{}|=<>!*#:;-&/_", "<ref>", "</ref>", "<!--", "-->", "{|\n", "\n|}", "[[File:", "''", "'''",
    "{{", "}}", "[[", "]]", "== ", " ==", "<nowiki>", "</nowiki>", "<table>", "</table>", "-{", "}-",
    "[http://a ", "__TOC__",
]
# fmt: on
@pytest.mark.parametrize("markup", ["{{a|", "{|\n", "[[a|", "[[File:a|", "[http://a "])
def test_markup_in_markup_has_a_limit(markup: str) -> None:
    few = dataclasses.replace(PLAIN, nesting=10)
    text(markup * 10, settings=few)
    with pytest.raises(TooNested):
        text(markup * 11, settings=few)


MARKUP = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


@given(MARKUP)
def test_anything_becomes_text(wikitext: str) -> None:
    for language in ("en", "sr"):
        found = text(wikitext, language)
        assert not MARKS.search(found)
        assert "\n\n\n" not in found or "nowiki" in wikitext


@given(st.text("abc äЖ中.,\n", max_size=80))
def test_plain_text_stays(wikitext: str) -> None:
    assert text(wikitext).split() == wikitext.split()


BOMBS = {
    "templates": "{{a|" * 200_000,
    "closed templates": "{{a|" * 100_000 + "}}" * 100_000,
    "braces": "{" * 500_000 + "}" * 500_000,
    "links": "[[a|" * 200_000,
    "closed links": "[[a|" * 100_000 + "]]" * 100_000,
    "files": "[[File:a|" * 100_000 + "]]" * 100_000,
    "brackets": "[" * 500_000 + "]" * 500_000,
    "addresses": "[http://a " * 100_000 + "]" * 100_000,
    "tables": "{|\n" * 200_000,
    "closed tables": "{|\n" * 100_000 + "|}\n" * 100_000,
    "table elements": "<table>" * 100_000,
    "headings and tables": "{|\n== a ==\n" * 80_000,
    "references": "<ref>" * 150_000,
    "references and their ends": "<ref>a" * 80_000 + "</ref>" * 80_000,
    "lists of references": "<references>" * 80_000,
    "comments": "<!-- a -->" * 80_000,
    "comments without end": "<!-- a " * 120_000,
    "comments and spaces": "<!-- -->  " * 80_000,
    "nowiki": "<nowiki>a" * 100_000,
    "tags without end": "<span " * 150_000,
    "apostrophes": "'" * 1_000_000,
    "runs of apostrophes": "a''b'''c" * 120_000,
    "equals signs": "=" * 1_000_000,
    "headings": "=a=\n" * 200_000,
    "underscores": "_" * 1_000_000,
    "magic words": "__A" * 300_000,
    "spaces": " " * 1_000_000 + "a",
    "words and gaps": "a{{a}}" * 150_000,
    "empty brackets": "a" * 200_000 + "({{a}})" * 100_000,
    "spaces in brackets": "(" + " " * 1_000_000,
    "brackets and gaps": "({{a}} " * 150_000,
    "gaps": "{{a}} , " * 120_000,
    "open brackets": "(" * 300_000 + "{{a}}",
    "ampersands": "&" * 1_000_000,
    "variants": "-{" * 500_000,
    "closed variants": "-{a" * 100_000 + "}-" * 100_000,
    "bars": "|" * 1_000_000,
    "citations": "{{cite|a=http://a.b" * 60_000,
    "citations in citations": "{{cite {{a}} " * 80_000,
    "parameters": "{{cite" + "|a= " * 200_000,
    "semicolons": "-{" + "sr-ec:a;" * 100_000 + "}-",
}


@pytest.mark.parametrize("name", BOMBS)
def test_time_is_that_of_the_length(name: str) -> None:
    """Eight times the length of markup at its worst: far less than the 64 times of squares."""
    unbounded = dataclasses.replace(PLAIN, nesting=1 << 30)

    def seconds(part: str) -> float:
        start = time.process_time()
        text(part, "sr", unbounded)
        cited_urls([part], part, "en")
        return time.process_time() - start

    bomb, took = BOMBS[name], []
    for _ in range(3):  # a busy machine may be slow once; squares are slow every time
        took = [seconds(bomb[: len(bomb) // 8]), seconds(bomb)]
        if took[1] < max(25 * took[0], 1.0):
            return
    raise AssertionError(took)
