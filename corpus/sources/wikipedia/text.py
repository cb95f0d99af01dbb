"""Wikitext → running text: the whole way of one page.

In: wikitext and the wiki it is of. Out: paragraphs, headings and items of lists, a line each or as they were
broken, blocks parted by one empty line; no markup. Time is that of the page's length: every step is one pass.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

from corpus.settings.wikipedia import Wikipedia
from corpus.sources.wikipedia import gaps, links, markup, quotes, variants
from corpus.sources.wikipedia.markup import BREAK, GAP, LITERAL, LITERAL_END, MARKS, NOTHING
from corpus.sources.wikipedia.sections import Section, without_empty, without_named
from corpus.sources.wikipedia.site import Site

_BREAKS = "br hr"
# Block elements begin a line; of all others the tags go and nothing comes in their place.
_BLOCKS = "p div center blockquote poem li ul ol dl dd dt tr h1 h2 h3 h4 h5 h6 caption noinclude onlyinclude"
_INLINE = (
    "a abbr b bdi bdo big cite code data del dfn em font i ins kbd mark nowiki q rb rp rt rtc ruby s samp "
    "small span strike strong sub sup td th thead tbody tfoot time tt u var wbr ref references gallery pre "
    "source syntaxhighlight section img nobr"
)
_TAG = re.compile(
    rf"</?(?:({'|'.join(_BREAKS.split())})|({'|'.join(_BLOCKS.split())})|(?:{'|'.join(_INLINE.split())}))(?:[\s/][^<>]*)?>",
    re.IGNORECASE,
)
_MAGIC_WORD = re.compile(r"__([^\W_]+(?:_[^\W_]+)*)__")
_HEADING = re.compile(r"^(={1,6})(.+?)(={1,6})[ \t]*$")
_LIST = re.compile(r"^([*#:;]+)[ \t]*")
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_LITERAL = re.compile(f"{LITERAL}([0-9]+){LITERAL_END}")
_SPACES = re.compile(r"[ \t]{2,}")


@dataclass
class Cleaned:
    """A page's text, and the wikitext of its references and of what else is not hidden."""

    text: str
    references: list[str] = field(default_factory=list)
    shown: str = ""


def clean(wikitext: str, site: Site, settings: Wikipedia, dropped: frozenset[str]) -> Cleaned:
    """The text of a page, without its title.

    Args:
        wikitext: of the page.
        site: the wiki it is of.
        settings: the recipe's block.
        dropped: headings, in lower case, of sections that are left out.

    Raises:
        TooNested: markup in markup beyond the block's limit.
    """
    shown = markup.show(MARKS.sub("", wikitext))
    text = markup.remove_templates(shown.text, settings.nesting)
    if site.language in variants.LANGUAGES:
        text = variants.resolve(text)
    text = markup.remove_tables(text, settings.nesting)
    text = links.resolve(text, site, settings.nesting)
    text = _TAG.sub(_of_tag, text)
    text = _MAGIC_WORD.sub(lambda match: "" if match[1].isupper() else match[0], text)
    text = quotes.remove(text)
    if settings.close_gaps:
        text = gaps.close(text.replace("&nbsp;", "\xa0"))
    sections = _sections(text.replace(GAP, ""), settings.list_mark)
    if dropped:
        sections = without_named(sections, dropped)
    text = "\n\n".join(str(section) for section in without_empty(sections))
    text = _REFERENCE.sub(_character, text.replace(NOTHING, ""))
    if shown.literals:
        text = _LITERAL.sub(lambda match: _literal(shown.literals, match), text)
    return Cleaned(text, shown.references, shown.text)


def clean_title(title: str) -> str:
    """A title as it is shown."""
    return " ".join(title.replace("_", " ").split())


def _of_tag(match: re.Match[str]) -> str:
    if match[1]:
        return BREAK
    return "\n" if match[2] else NOTHING


def _sections(text: str, list_mark: str) -> list[Section]:
    sections = [Section(0, "", [])]
    for line in text.split("\n"):
        line = line.strip()
        if line.startswith("="):
            heading = _HEADING.match(line)
            if heading:
                level = min(len(heading[1]), len(heading[3]))
                sections.append(Section(level, _inline(line[level:-level].replace(BREAK, " ")), []))
                continue
        if line.startswith("|"):
            continue  # of a table or a template that does not begin or end as it should
        if line.startswith("----"):
            line = line.lstrip("-")  # a rule across the page
        item = _LIST.match(line)
        mark = ""
        if item:
            line = line[item.end() :]
            if not line.strip(NOTHING + BREAK + " \t"):
                continue
            if item[1][-1] in "*#":
                mark = list_mark
        first, *others = line.split(BREAK) if BREAK in line else (line,)
        sections[-1].lines.append(mark + _inline(first))
        sections[-1].lines += map(_inline, others)
    return sections


def _inline(text: str) -> str:
    text = text.strip()
    return _SPACES.sub(" ", text) if "  " in text or "\t" in text else text


def _character(match: re.Match[str]) -> str:
    return html.unescape(match[0])


def _literal(literals: list[tuple[str, bool]], match: re.Match[str]) -> str:
    content, entities = literals[int(match[1])]
    return (_REFERENCE.sub(_character, content) if entities else content).strip("\n")
