"""What a dump says about its wiki: language, names of namespaces, whether it marks redirects.

In: the head of a dump, up to its first page, and the file's name. Out: a `Site`. The file's name has the
last word about the language where it names a wiki (``dewiki-20220701-…``): dumps that were cut or made
again elsewhere carry the head of another one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Any
from xml.parsers import expat

MEDIA, SPECIAL, ARTICLE, FILE, CATEGORY = -2, -1, 0, 6, 14
# MediaWiki's own, which every wiki understands beside its own (languages/messages/MessagesEn.php).
_CANONICAL = {
    "media": MEDIA,
    "special": SPECIAL,
    "talk": 1,
    "user": 2,
    "user talk": 3,
    "project": 4,
    "project talk": 5,
    "wikipedia": 4,
    "wikipedia talk": 5,
    "file": FILE,
    "image": FILE,
    "file talk": 7,
    "image talk": 7,
    "mediawiki": 8,
    "mediawiki talk": 9,
    "template": 10,
    "template talk": 11,
    "help": 12,
    "help talk": 13,
    "category": CATEGORY,
    "category talk": 15,
    "portal": 100,
    "portal talk": 101,
}
_WIKI_IN_NAME = re.compile(r"(?:^|[^a-z])([a-z]{2,}(?:_[a-z]+)*)(wiki(?:[a-z]*))(?=[-_.]|$)")
_HOST = re.compile(r"https?://([a-z-]+)\.(?:m\.)?([a-z]+)\.org/")
_REDIRECT_ELEMENT_SINCE = (0, 4)
_DEPTH = 32


class BadHead(Exception):
    """The head of a dump cannot be read; `reason` is a short fixed name."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Site:
    """A wiki.

    Attributes:
        language: code as in the wiki's address; empty where nothing tells it.
        declared: what the dump's head says where that is another language, else empty.
        project: `wiki` for Wikipedia, else `wiktionary` and so on.
        namespaces: numbers by names in lower case, with spaces.
        redirect_words: for schemas without an element for redirects, else empty.
    """

    language: str
    declared: str = ""
    project: str = "wiki"
    namespaces: dict[str, int] = field(default_factory=dict)
    redirect_words: tuple[str, ...] = ()

    def namespace_of(self, title: str) -> int:
        """The namespace that a title's prefix names; 0 without one."""
        prefix, colon, _ = title.partition(":")
        return self.namespaces.get(fold(prefix), ARTICLE) if colon else ARTICLE


def fold(name: str) -> str:
    """One form of a namespace's name, as MediaWiki compares them."""
    return " ".join(name.replace("_", " ").split()).lower()


@cache
def languages() -> dict[str, dict[str, list[str]]]:
    """The tables of ``languages.toml`` by language."""
    table: dict[str, Any] = tomllib.loads(_data("languages.toml"))
    return table


@cache
def wiki_codes() -> frozenset[str]:
    """Codes of all Wikipedias, as prefixes of links between them."""
    return frozenset(_data("languages.txt").split())


def _data(name: str) -> str:
    return (resources.files("corpus") / "sources" / "wikipedia" / name).read_text("utf-8")


def read_site(head: bytes, file_name: str) -> Site:
    """The wiki of a dump.

    Args:
        head: the dump as UTF-8, up to its first page; may have no ``siteinfo``.
        file_name: of the dump.

    Raises:
        BadHead: it has a document type, or is no XML.
    """
    found = _Head()
    found.parse(head)
    declared, project = _declared(found)
    named = _named(PurePosixPath(file_name).name)
    language = declared
    if named:
        language, project = named
    namespaces = dict(_CANONICAL)
    table = languages().get(language, {})
    namespaces |= {fold(name): FILE for name in table.get("file", ())}
    namespaces |= {fold(name): CATEGORY for name in table.get("category", ())}
    namespaces |= {fold(name): number for number, name in found.namespaces if name.strip()}
    words: tuple[str, ...] = ()
    if found.version is None or found.version < _REDIRECT_ELEMENT_SINCE:
        every: Iterable[str] = (w for entry in languages().values() for w in entry["redirect"])
        words = tuple(sorted({"#REDIRECT", *table.get("redirect", every)}))
    contradicted = declared if declared and declared != language else ""
    return Site(language, contradicted, project, namespaces, words)


def _named(name: str) -> tuple[str, str] | None:
    """Language and project that a file's name tells."""
    for match in _WIKI_IN_NAME.finditer(name.lower()):
        code = match[1].replace("_", "-")
        if code in wiki_codes():
            return code, match[2]
    return None


def _declared(head: _Head) -> tuple[str, str]:
    """Language and project by the database's name, by the address, by the text's language."""
    match = re.fullmatch(r"([a-z_]+?)(wik[a-z]+)", head.database)
    if match:
        return match[1].replace("_", "-"), match[2]
    match = _HOST.match(head.base)
    if match:
        return match[1], match[2].replace("wikipedia", "wiki")
    return head.language.lower(), "wiki"


class _Head:
    """Takes in the head of a dump."""

    def __init__(self) -> None:
        self.version: tuple[int, ...] | None = None
        self.language = ""
        self.database = ""
        self.base = ""
        self.namespaces: list[tuple[int, str]] = []
        self._path: list[str] = []
        self._text: list[str] = []
        self._key = ""

    def parse(self, head: bytes) -> None:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse
        parser.EntityDeclHandler = _refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        try:
            parser.Parse(head, False)
        except expat.ExpatError as error:
            raise BadHead("bad_xml", f"head of the dump: {error}") from error

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= _DEPTH:
            raise BadHead("xml_nesting", f"elements {_DEPTH} deep")
        self._path.append(name)
        self._text.clear()
        if name == "mediawiki":
            self.language = attributes.get("xml:lang", "")
            version = attributes.get("version", "")
            if re.fullmatch(r"\d{1,4}(\.\d{1,4})*", version):
                self.version = tuple(map(int, version.split(".")))
        elif name == "namespace":
            self._key = attributes.get("key", "")

    def _end(self, name: str) -> None:
        text = "".join(self._text).strip()
        if name == "dbname":
            self.database = text
        elif name == "base":
            self.base = text
        elif name == "namespace" and re.fullmatch(r"-?\d{1,9}", self._key):
            self.namespaces.append((int(self._key), text))
        self._path.pop()
        self._text.clear()


def _refuse(*_: Any) -> None:
    raise BadHead("xml_doctype", "a document type: dumps have none, and entities could be declared in it")
