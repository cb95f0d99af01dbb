"""Markup of a language's variants, ``-{…}-``: one variant's text stays (MediaWiki, LanguageConverter).

In: wikitext without templates. Out: the same without the markup. Serbian is written in Cyrillic and in Latin;
a page is stored in the script of its authors, and only what is marked differs from one to the other.
"""

from __future__ import annotations

import re

# Codes by script, the newer spelling first.
_CYRILLIC = ("sr-cyrl", "sr-ec", "sr-cyrl-ekavsk", "sr-cyrl-ijekavsk", "sr")
_LATIN = ("sr-latn", "sr-el", "sr-latn-ekavsk", "sr-latn-ijekavsk", "sr")
LANGUAGES = frozenset({"sr"})
_MARKED = re.compile(r"-\{([^{}]*)\}-")
_FLAGS = re.compile(r"^\s*([A-Z-]|[a-z-]{2,}(?:\s*;\s*[a-z-]{2,})*)\s*\|")
_RULE = re.compile(r"(?:^|;)\s*(?:[^;:]*=>\s*)?([a-z]{2,3}(?:-[a-z]+)*)\s*:")
_CYRILLIC_LETTER = re.compile("[\u0400-\u04ff]")
_LATIN_LETTER = re.compile("[A-Za-z\u0100-\u024f]")
_SAMPLE = 20_000
_DEPTH = 4
# H: only a rule for later; T: the title; D: describes the rule; -: removes a rule; N: a variant's name.
_UNSEEN = frozenset("HTDN-")


def resolve(text: str) -> str:
    """Replace marked text by that of the page's script."""
    if "-{" not in text:
        return text
    sample = _MARKED.sub("", text[:_SAMPLE])
    cyrillic = len(_CYRILLIC_LETTER.findall(sample)) >= len(_LATIN_LETTER.findall(sample))
    codes = _CYRILLIC if cyrillic else _LATIN
    for _ in range(_DEPTH):  # the innermost first
        text, found = _MARKED.subn(lambda match: _chosen(match[1], codes), text)
        if not found:
            break
    return text


def _chosen(content: str, codes: tuple[str, ...]) -> str:
    flags = _FLAGS.match(content)
    if flags:
        content = content[flags.end() :]
        if flags[1] in _UNSEEN:
            return ""
    rules = list(_RULE.finditer(content))
    if not rules or rules[0].start():
        return content
    texts: dict[str, str] = {}
    for rule, following in zip(rules, [*rules[1:], None], strict=True):
        end = following.start() if following else len(content)
        texts.setdefault(rule[1], content[rule.end() : end].strip().rstrip(";").strip())
    return next((texts[code] for code in codes if code in texts), next(iter(texts.values())))
