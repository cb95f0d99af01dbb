"""HTML to title and text: what is running text, what is not, and how bytes are decoded."""

from __future__ import annotations

import pytest

from corpus.raw.damage import Unreadable
from corpus.raw.html import decode_text, read_html

ARTICLE = """<html><head><title>  The  kettle
</title><style>p {color: red}</style><script>var a = "<p>no</p>";</script></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/b">About</a></li></ul></nav>
<main><div class="content"><div><h1>The kettle</h1><p>It took   ten minutes to boil.</p>
<ul><li>Water</li><li>Heat</li></ul>
<p>Then we had <b>tea</b>.<br>Twice.</p><img src="a.png" alt="a kettle"></div></div></main>
<footer>Copyright 2024</footer></body></html>"""


def test_main_content_in_lines() -> None:
    title, text = read_html(ARTICLE.encode(), None, 100)
    assert title == "The kettle"
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    assert lines == [
        "The kettle",
        "It took ten minutes to boil.",
        "Water",
        "Heat",
        "Then we had tea.",
        "Twice.",
    ]


def test_a_page_without_main_content_gives_all_it_has() -> None:
    assert read_html(b"<nav><a href=/>Home</a></nav><footer>Us</footer>", None, 100)[1] == "Home\nUs"


@pytest.mark.parametrize("payload", [b"", b"\x00", b"<", b"<title>", b"<!--", b"\xef\xbb\xbf", b"<a b='"])
def test_odd_ends_do_no_harm(payload: bytes) -> None:
    read_html(payload, None, 100)


@pytest.mark.parametrize(
    ("page", "deep"),
    [
        ("<div>" * 101, True),
        ("<div>" * 100, False),
        ("<div></div>" * 1000, False),
        ("<p>a<li>b<br>" * 1000, False),
        ("<b><i>" * 51, True),
        ("a < b " * 1000, False),
    ],
)
def test_nesting(page: str, deep: bool) -> None:
    if not deep:
        read_html(page.encode(), None, 100)
        return
    with pytest.raises(Unreadable) as error:
        read_html(page.encode(), None, 100)
    assert error.value.reason == "html_nesting"


@pytest.mark.parametrize(
    ("payload", "charset", "text"),
    [
        (b"plain", None, "plain"),
        (b"\xef\xbb\xbfd\xc3\xa9j\xc3\xa0", "latin-1", "déjà"),  # UTF-8 before any label
        (b"d\xe9j\xe0 vu", "iso-8859-1", "déjà vu"),
        (b"\x93quoted\x94", "iso-8859-1", "“quoted”"),  # the label means Windows-1252 on the web
        ("日本語の文章です".encode("shift_jis"), "Shift_JIS", "日本語の文章です"),
        ("日本語".encode("iso-2022-jp"), "iso-2022-jp", "日本語"),
        ("né".encode("utf-16"), None, "né"),
    ],
)
def test_decoding(payload: bytes, charset: str | None, text: str) -> None:
    assert decode_text(payload, charset) == text
