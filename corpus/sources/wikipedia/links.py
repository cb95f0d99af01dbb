"""Links of wikitext: their labels stay.

In: wikitext without templates and tables. Out: the text that a reader sees in their place. Links to files,
media, categories and other languages' pages vanish with all that is in them. One pass from left to right,
with a stack for links whose label may hold others.
"""

from __future__ import annotations

import re

from corpus.sources.wikipedia.markup import GAP, MARKS, NOTHING, TooNested
from corpus.sources.wikipedia.site import CATEGORY, FILE, MEDIA, Site, fold, wiki_codes

# Protocols of MediaWiki's that stand in articles (includes/DefaultSettings.php, $wgUrlProtocols).
PROTOCOLS = r"(?:https?:|ftps?:|ircs?:|news:|mailto:|gopher:|git:|svn:)?//|mailto:|news:"
_TOKEN = re.compile(
    r"\[\[([^\[\]{}|\n<>]*)(\||\]\])?"  # 1: target, 2: what ends it
    rf"|\[(?:{PROTOCOLS})([^\s\[\]<>\"]*)[ \t]*"  # 3: the rest of an address
    r"|\]\]?",
    re.IGNORECASE,
)
_REMOVED = frozenset({FILE, MEDIA, CATEGORY})
_LINK, _FILE, _EXTERNAL = 0, 1, 2
_TRAILING_BRACKETS = re.compile(r"^(.*\S)\s*[(（][^()（）]*[)）]$|^([^,]*\S),.*$")


def resolve(text: str, site: Site, nesting: int) -> str:
    """Put the labels of links in their places.

    Args:
        text: wikitext without templates and tables; may have marks.
        site: whose namespaces prefixes name.
        nesting: of links in links.

    Raises:
        TooNested: more than `nesting` are open at a time.
    """
    out: list[str] = []
    stack: list[tuple[int, int, int]] = []  # kind, index in `out`, position in `text`
    position = 0
    line_end = -1  # the last so far
    links = 0  # on the stack, files too
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        out.append(text[position:start])
        line_end = max(line_end, text.rfind("\n", position, start))
        position = end
        target, ends = match[1], match[2]
        if target is not None:
            removed = _is_removed(target, site)
            if ends == "]]":
                out.append(GAP if removed else _shown(target))
            elif removed or ends == "|":
                stack.append((_FILE if removed else _LINK, len(out), end))
                links += 1
                if ends == "|" and not removed and text.startswith("]]", end):
                    out.append(_without_qualifier(target))  # [[Ajax (myth)|]]
                out.append(NOTHING)  # italics of the label are not those of the text around it
            else:
                out.append(target)
        elif match[3] is not None:
            stack.append((_EXTERNAL, len(out), end))
        elif match[0] == "]]" and links:
            links -= 1
            kind = _EXTERNAL
            while kind == _EXTERNAL:  # those that are not closed
                kind, index, _ = stack.pop()
            if kind == _FILE:
                out[index:] = [GAP]
            else:
                out.append(NOTHING)
        elif stack and stack[-1][0] == _EXTERNAL:
            _, index, opened = stack.pop()
            if line_end >= opened:
                out.append(match[0])
            elif opened == start:
                out[index:] = [GAP]  # shown as a number alone
        elif match[0] == "]":
            out.append("]")
        if len(stack) > nesting:
            raise TooNested
    out.append(text[position:])
    return "".join(out)


def _is_removed(target: str, site: Site) -> bool:
    prefix, colon, _ = MARKS.sub("", target).partition(":")
    if not colon or not prefix:
        return False
    name = fold(prefix)
    if name in site.namespaces:
        return site.namespaces[name] in _REMOVED
    return name in wiki_codes()


def _shown(target: str) -> str:
    """What a link without a label shows."""
    return target.strip().removeprefix(":")


def _without_qualifier(target: str) -> str:
    """What MediaWiki makes of an empty label: the target without namespace, brackets, rest after a comma."""
    name = target.rpartition(":")[2].strip()
    match = _TRAILING_BRACKETS.match(name)
    return (match[1] or match[2]) if match else name
