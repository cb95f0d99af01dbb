"""Headers and encodings of Project Gutenberg's texts; the texts here are our own."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.sources.books.encoding import codec_of, decode
from corpus.sources.books.header import Header, declared_encoding, language_code, parse_header


def test_fields_of_a_header() -> None:
    lines = [
        "The Project Gutenberg EBook of The Lamplighter, by A. Nobody",
        "",
        "Title: The Lamplighter",
        "       A Tale of the Harbour",
        "",
        "Author: A. Nobody",
        "Translator: B. Somebody",
        "",
        "Posting Date: June 25, 2008 [EBook #90011]",
        "Release Date: March, 1994",
        "",
        "Language: French",
        "",
        "Character set encoding: ISO-8859-1",
    ]
    assert parse_header(lines) == Header(
        fields={
            "title": "The Lamplighter A Tale of the Harbour",
            "author": "A. Nobody",
            "translator": "B. Somebody",
        },
        number=90011,
        languages=("fr",),
        released="1994-03",
        encoding="ISO-8859-1",
        copyrighted=False,
    )


@pytest.mark.parametrize(
    ("lines", "title", "author", "number", "released"),
    [
        (
            ["**The Project Gutenberg Etext of The Lamplighter, by Nobody**", "May, 1995  [Etext #90012]"],
            "The Lamplighter",
            "Nobody",
            90012,
            "1995-05",
        ),
        (
            [
                "***This is the Project Gutenberg Etext of The Lamplighter***",
                "Official release date May 3, 1993",
            ],
            "The Lamplighter",
            None,
            None,
            "1993-05-03",
        ),
        (["The Lamplighter/A. Nobody [lampl10x.xxx] 87"], None, None, 87, None),
        (["Release Date: Feb. 2006 [EBook #90014]"], None, None, 90014, "2006-02"),
        (["Release Date: 2004-11-01 [EBook #90015]"], None, None, 90015, "2004"),
        (["Nothing of the kind"], None, None, None, None),
    ],
)
def test_older_headers(
    lines: list[str], title: str | None, author: str | None, number: int | None, released: str | None
) -> None:
    header = parse_header(lines)
    found = (header.fields.get("title"), header.fields.get("author"), header.number, header.released)
    assert found == (title, author, number, released)
    assert header.language is None  # unknown is unknown, not English


@pytest.mark.parametrize(
    ("value", "languages", "language"),
    [
        ("English", ("en",), "en"),
        ("English and Latin", ("en", "la"), "en"),
        ("French, German", ("fr", "de"), "fr"),
        ("de", ("de",), "de"),
        ("Greek, Modern", ("el",), "el"),
        ("Middle English", ("middle english",), None),
        ("Old English / English", ("old english", "en"), "en"),
    ],
)
def test_languages(value: str, languages: tuple[str, ...], language: str | None) -> None:
    header = parse_header([f"Language: {value}"])
    assert (header.languages, header.language, language_code(value)) == (languages, language, language)


FRENCH = "Le café où l'été s'achève – près de la forêt, à l'œuvre ; « naïveté » coûte."
GERMAN = "Die Mühle am Fluß gehört dem Müller, schön und groß, für Jäger und Bäcker."
RUSSIAN = "Старый фонарщик каждый вечер обходил пристань и зажигал огни над тихой водой гавани."


@pytest.mark.parametrize(
    ("data", "declared", "expected", "codec"),
    [
        (b"plain", None, "plain", "ascii"),
        (codecs.BOM_UTF8 + "é".encode(), "ISO-8859-1", "é", "utf-8"),
        ("“é”".encode(), "ISO-8859-1", "“é”", "utf-8"),  # what is valid UTF-8 is UTF-8, whatever it says
        (FRENCH.encode("cp1252"), "ISO-8859-1", FRENCH, "cp1252"),
        ("naïve".encode("latin-1"), "ISO Latin-1", "naïve", "cp1252"),
        (b"\x81\x8d caf\xe9", "ISO-8859-1", "\x81\x8d café", "cp1252"),  # never dropped
        (GERMAN.encode("cp437"), "Codepage 437", GERMAN, "cp437"),
        (GERMAN.encode("cp850"), "ASCII", GERMAN, "cp850"),
        (GERMAN.encode("cp1252"), "ASCII", GERMAN, "cp1252"),
        (GERMAN.encode("cp850"), None, GERMAN, "cp850"),
        (RUSSIAN.encode("cp1251"), "CP-1251", RUSSIAN, "cp1251"),
        (RUSSIAN.encode("koi8-r") * 20, None, RUSSIAN * 20, "koi8-r"),
        ("燈火".encode("big5"), "Big5", "燈火", "big5"),
        ("燈火".encode("iso2022_jp"), "ISO-2022-JP", "燈火", "iso2022_jp"),
        (codecs.BOM_UTF16_LE + "é".encode("utf-16-le"), None, "é", "utf-16-le"),
        (b"caf\xe9", "unicode_escape", "café", "cp1252"),
        (b"caf\xe9", "base64", "café", "cp1252"),
        (b"caf\xe9", "no such thing", "café", "cp1252"),
        (b"\x80abc\xff", "UTF-8", "€abcÿ", "cp1252"),
    ],
)
def test_encodings(data: bytes, declared: str | None, expected: str, codec: str) -> None:
    assert decode(data, declared) == (expected, codec)


@given(
    st.binary(max_size=300),
    st.sampled_from([None, "ASCII", "UTF-8", "ISO-8859-1", "Big5", "UTF-7", "CP-932"]),
)
def test_no_book_is_dropped_for_its_encoding(data: bytes, declared: str | None) -> None:
    text, codec = decode(data, declared)
    assert codec_of(codec) == codec
    text.encode()  # no lone surrogates


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("ISO-646-US (US-ASCII)", "ascii"),
        ("Unicode UTF-8", "utf-8"),
        ("windows-1252", "cp1252"),
        ("Codepage 850", "cp850"),
        ("CP-1251", "cp1251"),
        ("ISO-8859-15", "iso8859-15"),
        ("TIS-620", "tis-620"),
        ("", None),
        ("rot13", None),
    ],
)
def test_names_of_encodings(declared: str, codec: str | None) -> None:
    assert codec_of(declared) == codec


def test_the_declaration_is_found_in_the_first_bytes() -> None:
    assert declared_encoding(b"x\r\nCharacter set encoding: ISO-8859-1\r\n\r\n\xe9") == "ISO-8859-1"
    assert declared_encoding(b"Character set encoding:\r\n\r\nnext") is None
