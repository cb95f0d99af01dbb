"""Which licences a repository has, as an SPDX expression, and whether they are allowed.

In: ids, names or expressions that a table gives, or the texts of licence files. Out: `License`. Expressions
are parsed by license-expression (which knows deprecated ids and compares without regard to case), texts
recognised by licenseclassifier, a port of google/licensecheck: it names each licence text within a file, and
nothing where less than a given share of the file is one.

Of `A OR B` one may choose, so one allowed is enough; of `A AND B` both must be. `A WITH E` is decided by A
where E is an exception of the SPDX License List, which only adds permissions; `A+` by A.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from license_expression import (
    AND,
    OR,
    ExpressionError,
    LicenseSymbol,
    LicenseWithExceptionSymbol,
    Licensing,
    get_spdx_licensing,
)
from licenseclassifier import identify_license

from corpus.settings.github import GitHub
from corpus.tables import read_table

# Why a document cannot be used.
NO_LICENSE = "no_license"  # none is named or found
UNKNOWN_LICENSE = "unknown_license"  # one that nobody can name
LICENSE = "license"  # a known one that is not allowed

_EXPRESSION_CHARACTERS = 1_000  # longer ones are not parsed
_NAMES_CHARACTERS = 4_000  # more is not looked at
_ALTERNATIVES = re.compile(r"[\w.+-]+(?:/[\w.+-]+)+")  # "MIT/Apache-2.0", as Cargo once wrote OR
_CRASHES = re.compile(r"\(\s*(?:\)|(?:and|or|with)\b)", re.IGNORECASE)  # boolean.py, with errors of no name
_NAME_EDGES = re.compile(r"^the\s+|\s*\.$")
_TEXTS_REMEMBERED = 65_536
_UNKNOWN = "LicenseRef-unknown"


@dataclass(frozen=True)
class License:
    """What is known: an SPDX expression (None where none), and the reason against it (None: allowed)."""

    expression: str | None
    reason: str | None


@dataclass(frozen=True)
class _Table:
    families: dict[str, list[str]]
    names: dict[str, str]
    none: frozenset[str]


@functools.cache
def table() -> _Table:
    """The families, names and signs of absence of ``licenses.toml``."""
    data = read_table("corpus.sources.github", "licenses.toml")
    return _Table(data["families"], data["names"], frozenset(data["none"]["values"]))


@functools.cache
def spdx() -> Licensing:
    """The SPDX License List."""
    return get_spdx_licensing()


class LicenseRule:
    """Decides by a set of allowed ids; remembers what it has decided, a text by its digest."""

    def __init__(self, allowed: frozenset[str], several: str, coverage: float, text_bytes: int) -> None:
        self._allowed = allowed
        self._several = spdx().OR if several == "any" else spdx().AND
        self._coverage = coverage
        self._text_bytes = text_bytes
        self._cached = functools.lru_cache(maxsize=16_384)(self._of_names)
        self._texts: dict[bytes, tuple[str, ...]] = {}

    def of_names(self, names: tuple[str, ...]) -> License:
        """By what a table says: ids, names, expressions."""
        if sum(map(len, names)) > _NAMES_CHARACTERS:
            return License(None, UNKNOWN_LICENSE)
        return self._cached(names)

    def _of_names(self, names: tuple[str, ...]) -> License:
        given = [name for name in map(str.strip, names) if name.casefold() not in table().none]
        return self._of_expressions(given)

    def of_texts(self, texts: Iterable[bytes]) -> License:
        """By the texts of licence files."""
        return self._cached(tuple(name for text in texts for name in self._recognised(text)))

    def _recognised(self, text: bytes) -> tuple[str, ...]:
        """Ids of the licences that a text holds; one that stands for none that is known."""
        if len(text) > self._text_bytes:
            return (_UNKNOWN,)
        digest = hashlib.sha256(text).digest()
        if digest not in self._texts:
            if len(self._texts) >= _TEXTS_REMEMBERED:
                self._texts.clear()
            matches = identify_license(text.decode("utf-8", "replace"), self._coverage)
            self._texts[digest] = tuple(match.id for match in matches) or (_UNKNOWN,)
        return self._texts[digest]

    def _of_expressions(self, given: list[str]) -> License:
        """By one or several expressions, each of which is whole by itself."""
        pairs = zip(given, map(parsed, given), strict=True)
        trees = {text if tree is None else str(tree): tree for text, tree in pairs}
        if not trees:
            return License(None, NO_LICENSE)
        if None in trees.values():
            return License(" ; ".join(trees), UNKNOWN_LICENSE)
        tree = self._several(*trees.values()) if len(trees) > 1 else next(iter(trees.values()))
        if self._allows(tree):
            return License(str(tree), None)
        return License(str(tree), UNKNOWN_LICENSE if _UNKNOWN in spdx().license_keys(tree) else LICENSE)

    def _allows(self, tree: object) -> bool:
        if isinstance(tree, OR):
            return any(map(self._allows, tree.args))
        if isinstance(tree, AND):
            return all(map(self._allows, tree.args))
        if isinstance(tree, LicenseWithExceptionSymbol):
            return bool(tree.exception_symbol.is_exception) and self._allows(tree.license_symbol)
        if isinstance(tree, LicenseSymbol):
            return tree.key.removesuffix("+").casefold() in self._allowed
        raise TypeError(f"{type(tree).__name__} in a licence expression")


def open_rule(settings: GitHub) -> LicenseRule:
    """The rule of a recipe, one a process."""
    found: LicenseRule = _opened(
        tuple(settings.families),
        tuple(settings.also),
        settings.several,
        settings.license_coverage,
        settings.license_bytes,
    )
    return found


@functools.lru_cache(maxsize=4)
def _opened(
    families: tuple[str, ...], also: tuple[str, ...], several: str, coverage: float, text_bytes: int
) -> LicenseRule:
    names = (name for family in families for name in table().families[family])
    return LicenseRule(frozenset(map(str.casefold, (*names, *also))), several, coverage, text_bytes)


def parsed(text: str) -> Any | None:
    """The tree of an id, a name or an expression; None where it is none."""
    name = _NAME_EDGES.sub("", " ".join(text.casefold().split()))
    text = table().names.get(name, text)
    if len(text) > _EXPRESSION_CHARACTERS or _CRASHES.search(text):
        return None
    if _ALTERNATIVES.fullmatch(text):
        text = text.replace("/", " OR ")
    try:
        return spdx().parse(text)
    except ExpressionError:
        return None
