"""The external addresses that a page cites.

In: wikitext of a page's references, and of the rest of the page. Out: normalised URLs. Cited is every address
inside a ``ref``, and elsewhere every parameter of a citation template that is one (``url=``,
``archive-url=``, whatever the language calls them).
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import cache

from corpus.sources.wikipedia.site import languages
from corpus.urls import normalize_url

# Up to what ends an address in wikitext (MediaWiki, Parser.php, EXT_LINK_URL_CLASS) or a parameter.
_URL = re.compile(r"""(?:https?:|(?<=\[))//[^\s\[\]<>"{}|\x00-\x20]+""", re.IGNORECASE)
_PARAMETER = re.compile(
    r"""\|[^=|{}\[\]]{1,60}=\s*((?:https?:)?//[^\s\[\]<>"{}|\x00-\x20]+)""", re.IGNORECASE
)
_COMMENT = re.compile("<!--.*?(?:-->|$)", re.DOTALL)
_TRAILING = ",;.:!?'"
_ENGLISH = "en"


def cited_urls(references: Sequence[str], shown: str, language: str) -> list[str]:
    """Distinct URLs in the order in which they stand, normalised (`corpus.urls`) behind one scheme.

    Args:
        references: content of the page's references.
        shown: the page without them.
        language: whose names of citation templates are known, beside English ones.
    """
    found = []
    for reference in references:
        text = _COMMENT.sub("", reference) if "<!--" in reference else reference
        found += [match[0] for match in _URL.finditer(text)]
    for template in _citation(language).finditer(shown):
        found += [match[1] for match in _PARAMETER.finditer(template[1])]
    urls: dict[str, None] = {}
    for address in found:
        normalized = normalize_url(_trimmed(address))
        if normalized is not None and "." in normalized:
            urls[f"https://{normalized}"] = None
    return list(urls)


def _trimmed(address: str) -> str:
    """Without what ends a sentence, and a bracket that was opened before it (as MediaWiki)."""
    address = f"https:{address}" if address.startswith("//") else address
    address = html.unescape(address) if "&" in address else address
    trailing = _TRAILING if "(" in address else _TRAILING + ")"
    return address.rstrip(trailing)


@cache
def _citation(language: str) -> re.Pattern[str]:
    """Citation templates, with their parameters, and templates in these up to one level."""
    table = languages()
    names = {*table[_ENGLISH]["citation"], *table.get(language, {}).get("citation", ())}
    alternatives = "|".join(sorted(map(re.escape, names)))
    return re.compile(rf"\{{\{{\s*(?:{alternatives})((?:[^{{}}]++|\{{\{{[^{{}}]*+\}}\}})*+)", re.IGNORECASE)
