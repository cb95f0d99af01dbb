"""StackExchange: bodies → text, and values of XML attributes, beside other parsers and plain rules."""

from __future__ import annotations

import html
import re
from html.entities import html5
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree, NodeType

from corpus.kernels import xml_values as values
from corpus.kernels.html_tags import (
    BREAK,
    CELL,
    DROPPED,
    ITEM,
    LINE,
    LIST,
    PARAGRAPH,
    PRE,
    ROW,
    tag_key,
    tags,
)
from corpus.kernels.xml_texts import Decoder
from tests.corpus.sources.stackexchange_data import FILES, needs_shared, plain_rows

MARK = "* "
LONG = "x" * 5_000_000


def decode(texts: list[str], is_html: bool) -> tuple[list[str | None], list[int]]:
    """Texts as they stand in attributes, decoded."""
    data = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([0, *map(len, data)])
    spans = np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64)
    why = np.zeros(len(texts), np.int8)
    array = Decoder(MARK).texts(np.frombuffer(b"".join(data), np.uint8), spans, is_html, why)
    array.validate(full=True)
    return array.to_pylist(), why.tolist()


def as_value(text: str) -> str:
    """As a dump writes it: what is markup or would be changed as a reference."""
    return re.sub('[&<>"\t\n\r]', lambda m: f"&#{ord(m[0])};" if m[0] < " " else html.escape(m[0]), text)


def text_of(*bodies: str) -> list[str | None]:
    found, why = decode([as_value(body) for body in bodies], is_html=True)
    assert not any(why)
    return found


CASES = {
    "paragraphs": ("<p>One\ntwo  three.</p>\n\n<p>Four.</p>\n", "One two three.\n\nFour."),
    "heading, rule": ("<h1>Title</h1>\n<p>a</p>\n<hr>\n<p>b</p>", "Title\n\na\n\nb"),
    "line break": ("<p>a<br>\nb<br><br/>c<br></p><p>d</p>", "a\nb\n\nc\n\nd"),
    "list": ("<p>a:</p>\n<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n<p>b</p>", "a:\n\n* one\n* two\n\nb"),
    "ordered list has no stray bullet": ("<ol>\n<li>one</li>\n<li>two</li>\n</ol>", "* one\n* two"),
    "list of paragraphs": ("<ul><li><p>one</p></li><li><p>two</p></li></ul>", "* one\n\n* two"),
    "list in a list": ("<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>", "* a\n* b\n* c"),
    "empty item": ("<ul><li></li><li>a</li><li> </li></ul>b", "* a\n\nb"),
    "unclosed items": ("<ul><li>a<li>b</ul>", "* a\n* b"),
    "code keeps its spaces": (
        "<p>Do:</p>\n\n<pre><code>def f(x):\n    return  x\n\n\tx\n</code></pre>\n\n<p>end</p>",
        "Do:\n\ndef f(x):\n    return  x\n\n\tx\n\nend",
    ),
    "code that begins with a line end": ("<pre>\n\n  a\n</pre>b", "  a\n\nb"),
    "line end after pre and what comes before it": ("c<pre>\n\n  a\n</pre>b", "c\n\n\n  a\n\nb"),
    "entities once": ("<p>&lt;b&gt; &amp;lt; &amp;amp; &#38;lt;</p>", "<b> &lt; &amp; &lt;"),
    "entities of code": (
        "<pre><code>List&lt;String&gt; &amp;&amp; &quot;x&quot;</code></pre>",
        'List<String> && "x"',
    ),
    "entities of all kinds": ("&eacute;&#233;&#xE9;&#x1F600;&nbsp;.&NotEqualTilde;", "ééé😀\xa0.≂̸"),
    "entities without semicolon": ("&copy2 &notit; &noti &amp", "©2 ¬it; ¬i &"),
    "no entity": ("AT&T & &; &# &#x; &unknown; &unknown", "AT&T & &; &# &#x; &unknown; &unknown"),
    "numbers that are no character": (
        "&#0;&#xD800;&#x110000;&#99999999999;&#x80;",
        "\ufffd\ufffd\ufffd\ufffd€",
    ),
    "inline elements": ("x<sup>2</sup> <a href='u>v'>li</a><b>nk</b> <img alt='>' src=a>.", "x2 link ."),
    "white space over tags": ("a <b> b</b> <i> </i>c<span> d</span>", "a b c d"),
    "quotation": ("a<blockquote>\n<p>q</p>\n</blockquote>b", "a\n\nq\n\nb"),
    "table": (
        "<table><thead>\n<tr>\n<th>A</th>\n<th>B</th>\n</tr>\n</thead><tbody><tr><td>1</td><td></td><td>3</td>"
        "</tr></tbody></table>x",
        "A\tB\n1\t\t3\n\nx",
    ),
    "comments": ("a<!-- begin snippet: js hide: false --><!--> b<!---> c<!-- > --!>d", "a b cd"),
    "script and style": ("a<script>if (1 < 2) { '</p>' }</script>b<STYLE>p {}</style >c<style>d", "abc"),
    "what looks like a tag": ("1 < 2 <3 <= </ > <>", "1 < 2 <3 <= <>"),
    "bogus comments": ("a<!DOCTYPE html>b<?php x ?>c</3>d<![CDATA[e]]>f", "abcdf"),
    "attributes": ("<a b='>' c=\">\" d=e/f g = '>' =h>x</a><a b=c\"d>y</a>z", "xyz"),
    "upper case": ("<P>a</P><UL><LI>b</LI></UL>", "a\n\n* b"),
    "cut tag": ("a <b c='d>", "a"),
    "line ends of other systems": ("<pre>a\r\nb\rc</pre>d\r\ne", "a\nb\nc\n\nd e"),
    "empty": ("<p></p>\n<p> </p>", ""),
    "spaces that are not white in HTML": ("a\u2003b\xa0 c", "a\u2003b\xa0 c"),
}


@pytest.mark.parametrize("case", CASES)
def test_bodies(case: str) -> None:
    body, expected = CASES[case]
    assert text_of(body) == [expected]


def test_hostile_bodies_take_one_pass() -> None:
    """Depth, unclosed quotes, half entities, open comments: linear, and none loses the next body."""
    deep = "<div>" * 200_000 + "a" + "</div>" * 200_000
    bodies = [
        deep,
        "<ul><li>" * 100_000 + "b",
        "<a b='" * 100_000,
        "&" * 200_000 + "c",
        "&amp" * 100_000,
        "<!--" * 100_000,
        "<script>" * 100_000,
        "</script" * 100_000,
        LONG,
        "<p>end</p>",
    ]
    found = text_of(*bodies)
    assert found[:3] == ["a", "* b", ""]
    assert found[3] == "&" * 200_000 + "c"
    assert found[4] == "&" * 100_000
    assert found[5:8] == ["", "", ""]
    assert found[8:] == [LONG, "end"]


def test_text_may_be_longer_than_its_html() -> None:
    """A list mark an item, and the one named reference whose value takes more bytes than its name."""
    assert text_of("<ul>" + "<li>a" * 10_000) == ["\n".join(["* a"] * 10_000)]
    assert text_of("&nGt;" * 10_000) == [html5["nGt;"] * 10_000]


def test_every_named_reference() -> None:
    """Before a character that ends any name. Tab and newline are white space like any other."""
    found = text_of(*(f"a&{name}!" for name in sorted(html5)))
    values = (html5[name] if html5[name].strip("\t\n") else " " for name in sorted(html5))
    assert found == [f"a{value}!" for value in values]


@given(st.text(st.sampled_from("&#xX0aF1;ltgmpqunosb \xe9😀"), max_size=40))
def test_references_as_the_standard_library(text: str) -> None:
    text = re.sub("&#[xX]?[0-9a-fA-F]{5,}", "&", text)
    controls = re.compile(
        "&#([xX]0*1?[0-9a-fA-F]|0*[12]?[0-9]|0*3[01]|[xX]0*[7-9a-fA-F][0-9a-fA-F]|0*1[2-5][0-9])"
    )
    text = controls.sub("&", text)  # control characters, of which the library drops some
    expected = " ".join(html.unescape(text).replace("\x7f", "").split(" ")).strip(" ")
    assert text_of(text.replace("\x7f", "")) == [re.sub(" +", " ", expected)]


# ---- the same rules over the tree of a whole HTML parser

NAMES = (
    "p", "h1", "pre", "blockquote", "hr", "table", "thead", "tbody", "tr", "td", "th", "div", "ul", "ol",
    "li", "br",
)  # fmt: skip
KINDS = {
    name: int(tags().kinds[np.flatnonzero(tags().keys == tag_key(name))[0]]) for name in (*NAMES, "script")
}


class PlainText:
    """The rules of `html_text`, as the words of its documentation have them, over a tree's events."""

    def __init__(self) -> None:
        self.text = ""
        self.due = self.breaks = self.tabs = self.held = self.pres = self.lists = self.cells = 0
        self.space = self.mark = False

    def block(self, lines: int) -> None:
        if not self.mark:
            self.due, self.tabs = max(self.due, lines), 0

    def edge(self, kind: int, closing: bool) -> None:
        if kind == BREAK and not closing:
            self.breaks += 1
        elif kind == PARAGRAPH:
            self.block(2)
        elif kind == PRE:
            self.pres += -1 if closing else 1
            self.held = 0 if closing else self.held
            self.block(2)
        elif kind == LINE:
            self.block(1)
        elif kind == LIST:
            if closing:
                self.lists, self.mark = self.lists - 1, False
            self.block(1 if self.lists else 2)
            self.lists += not closing
        elif kind == ITEM:
            self.mark = False
            self.block(1)
            self.mark = not closing
        elif kind == ROW:
            self.block(1)
            self.cells = 0
        elif kind == CELL and not closing:
            self.tabs += bool(self.cells)
            self.cells += 1

    def add(self, text: str) -> None:
        for c in text:
            if c in "\t\n\f\r " and not self.pres:
                self.space = True
            elif c in "\n\r":
                self.held += 1
            else:
                lines = max(self.due, self.breaks) + self.held
                if self.text:
                    self.text += "\n" * lines + "\t" * self.tabs
                    self.text += " " if self.space and not lines and not self.tabs else ""
                self.text += (MARK if self.mark else "") + c
                self.due = self.breaks = self.tabs = self.held = 0
                self.space = self.mark = False


def tree_text(body: str) -> str:
    plain = PlainText()
    root = HTMLTree.parse(f"<!DOCTYPE html><body>{body}</body>").body
    stack = [(root, False)]
    while stack:
        node, closing = stack.pop()
        if node.type == NodeType.TEXT:
            plain.add(node.value)
        elif node.type == NodeType.ELEMENT:
            kind = KINDS.get(node.tag, PARAGRAPH if re.fullmatch("h[1-6]", node.tag) else 0)
            if kind == DROPPED:
                continue
            plain.edge(kind, closing)
            if not closing:
                stack.append((node, True))
                stack += [(child, False) for child in reversed(node.child_nodes)]
    return plain.text


def well_formed() -> st.SearchStrategy[str]:
    text = st.text(st.sampled_from("abcd!  \n\t;'\"=é"), max_size=30) | st.sampled_from(
        ["&lt;", "&amp;amp;", "&nbsp;", "<br>", "<!-- c > -->", "<hr>", "<img alt='a>b' src=\"c\">"]
    )
    inline = st.recursive(
        text,
        lambda inner: st.builds(
            "<{0}>{1}</{0}>".format, st.sampled_from(["b", "em", "code", "sup"]), st.lists(inner).map("".join)
        ),
        max_leaves=4,
    )
    paragraphs = st.builds("<{0}>{1}</{0}>".format, st.sampled_from(["p", "h2", "pre", "div"]), inline)

    def blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        many = st.lists(inner, max_size=3).map("\n".join)
        items = st.lists(many.map("<li>{}</li>".format), max_size=3).map("\n".join)
        cells = st.lists(inline.map("<td>{}</td>".format), max_size=3).map("".join)
        rows = st.lists(cells.map("<tr>{}</tr>".format), max_size=3).map("\n".join)
        return st.one_of(
            many.map("<blockquote>\n{}</blockquote>".format),
            many.map("<div class='x'>{}</div>".format),
            st.builds("<{0}>{1}</{0}>".format, st.sampled_from(["ul", "ol"]), items),
            rows.map("<table><tbody>{}</tbody></table>".format),
        )

    return st.lists(st.recursive(inline | paragraphs, blocks, max_leaves=8), max_size=4).map("".join)


@given(well_formed())
def test_well_formed_bodies_as_their_trees(body: str) -> None:
    assert text_of(body) == [tree_text(body)]


@needs_shared
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_real_bodies_as_their_trees(path: Path) -> None:
    bodies = [row["Body"] for row in plain_rows(path)]
    for body, found in zip(bodies, text_of(*bodies), strict=True):
        assert found == tree_text(body), body


# ---- values


def expat_value(value: str) -> str | None:
    """The value as expat reads it, None where it does not."""
    try:
        return ElementTree.fromstring(f'<row a="{value}"/>').get("a")
    except ElementTree.ParseError:
        return None


@given(
    st.lists(
        st.text(st.sampled_from("&#x0123456789aAfF;ltgmpqus \t\n\r\xe9\u2028\ufffe😀\x01"), max_size=12)
        | st.text(st.sampled_from("plain text!"), max_size=30)
    ).map("".join)
)
def test_values_as_expat(text: str) -> None:
    text = re.sub("&#x?0{4,}", "&#0", text)  # so many zeros are beyond what is looked at
    (found,), (why,) = decode([text], is_html=False)
    assert found == expat_value(text)
    assert (why == values.GOOD) == (found is not None)


@given(st.binary(max_size=12))
def test_values_of_any_bytes(data: bytes) -> None:
    data = re.sub(rb'[<"&]', b"", data)
    why = np.zeros(1, np.int8)
    spans = np.array([[0, len(data)]])
    found = Decoder(MARK).texts(np.frombuffer(data, np.uint8), spans, False, why).to_pylist()
    try:
        expected = expat_value(data.decode())
    except UnicodeDecodeError:
        assert why[0] in (values.NOT_UTF8, values.BAD_CHARACTER)
    else:
        assert found == [expected]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a&b", values.BAD_REFERENCE),
        ("&nbsp;", values.BAD_REFERENCE),  # HTML's, not XML's
        ("&lol9;", values.BAD_REFERENCE),
        ("&#0;", values.BAD_REFERENCE),
        ("&#xD800;", values.BAD_REFERENCE),
        ("&#x1F;", values.BAD_REFERENCE),
        ("&#1114112;", values.BAD_REFERENCE),
        ("&#99999999999999999999;", values.BAD_REFERENCE),
        ("a\x1f", values.BAD_CHARACTER),
        ("\ud800", values.NOT_UTF8),
    ],
)
def test_values_that_cannot_be_decoded(value: str, reason: int) -> None:
    assert decode(["good", value, "good"], is_html=False) == (["good", None, "good"], [0, reason, 0])
