"""What the header of a Gutenberg text says of the book: lines before the text -> a `Header`.

The newer headers have fields (``Title: …``, continued on indented lines), the older ones a first line such as
``The Project Gutenberg Etext of Emma, by Jane Austen`` and ``June, 1994 [Etext #158]``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from corpus.tables import read_table

FIELDS = ("title", "author", "translator", "editor", "illustrator", "contributor", "edition")
_FIELD = re.compile(r"(?P<name>[A-Z][A-Za-z ]{2,30}?):(?:\s+(?P<value>\S.*))?$")
# "[EBook #158]"; before there were such lines, "Emma/Jane Austen [emma10x.xxx] 158".
_NUMBER = re.compile(
    r"(?:\[\s*e-?(?:book|text)\s*#\s*|\[\w{1,8}\.xxx\]\s*)(?P<number>\d{1,7})\b", re.IGNORECASE
)
_ENCODING = re.compile(r"character set(?: encoding)?:[^\S\n]*(?P<value>[^\s][^\r\n]{0,60})", re.IGNORECASE)
_RELEASE = re.compile(r"\brelease date(?::|\b) *(?P<value>.{1,60})", re.IGNORECASE)
_FIRST_LINE = re.compile(
    r"\W*(?:this is )?(?:the )?project gutenberg(?:['’]s)?(?: e-?book| e-?text)(?: of|,) +"
    r"(?P<title>[^*]+?)(?:,? by (?P<author>[^*]+?))?[\s*]*$",
    re.IGNORECASE,
)
_COPYRIGHTED = re.compile(r"this is a COPYRIGHTED project gutenberg", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(
    r"(?P<month>[A-Z][a-z]{2,8})\.?,?\s+(?:(?P<day>\d{1,2}),\s*)?(?P<year>(?:19|20)\d\d)\b"
    r"|(?P<only>(?:19|20)\d\d)\b"
)
_LOOKED_AT = 300  # first characters of a line: longer ones are none of a header
_FIRST_LINES = 40  # that are not blank, in which an old header names the book


@dataclass(frozen=True)
class Header:
    """What is known of a book; `fields` by their names in `FIELDS`, the rest as in the header."""

    fields: dict[str, str] = field(default_factory=dict)
    number: int | None = None  # of the etext
    languages: tuple[str, ...] = ()  # ISO 639-1 where the name is known, else as given, in lower case
    released: str | None = None  # ISO 8601, as exact as given
    encoding: str | None = None
    copyrighted: bool = False

    @property
    def language(self) -> str | None:
        """The only language, or the first of several; None where it is not known."""
        return next((code for code in self.languages if len(code) == 2), None)


def declared_encoding(head: bytes) -> str | None:
    """What the first bytes of a file say that it is encoded in."""
    match = _ENCODING.search(head.decode("latin-1"))
    return match["value"].strip() if match else None


def parse_header(lines: Sequence[str]) -> Header:
    """Read the lines that stand before the text."""
    lines = [line[:_LOOKED_AT] for line in lines]
    fields = _fields(lines)
    text = "\n".join(lines)
    number = _NUMBER.search(text)
    known = {name: fields[name] for name in FIELDS if name in fields}
    if "title" not in known:
        known = _from_first_line(lines) | known
    encoding = _ENCODING.search(text)
    release = _RELEASE.search(text)
    dates = (release["value"] if release else "", fields.get("posting date", ""), _line_of(lines, number))
    return Header(
        fields=known,
        number=int(number["number"]) if number else None,
        languages=_languages(fields.get("language", "")),
        released=next(filter(None, map(_date, dates)), None),
        encoding=encoding["value"].strip() if encoding else None,
        copyrighted=_COPYRIGHTED.search(text) is not None,
    )


def _fields(lines: Sequence[str]) -> dict[str, str]:
    """Fields by lower-case name; of repeated ones the first."""
    found: dict[str, str] = {}
    current = ""
    for line in lines:
        stripped = line.strip()
        if match := _FIELD.match(line):
            current = match["name"].lower()
            if current in found:
                current = ""
            else:
                found[current] = (match["value"] or "").strip()
        elif current and stripped and line[:1].isspace():
            found[current] = f"{found[current]} {stripped}".strip()
        elif stripped or found.get(current):
            current = ""
    return {name: value for name, value in found.items() if value}


def _from_first_line(lines: Sequence[str]) -> dict[str, str]:
    for line in [line for line in lines if line.strip()][:_FIRST_LINES]:
        if match := _FIRST_LINE.match(line.strip()):
            return {name: value.strip() for name, value in match.groupdict().items() if value}
    return {}


def _line_of(lines: Sequence[str], match: re.Match[str] | None) -> str:
    """The line in which something was found in the joined lines."""
    return "" if match is None else "\n".join(lines)[: match.start()].rpartition("\n")[2]


def _languages(value: str) -> tuple[str, ...]:
    codes = read_table("corpus.sources.books", "languages.toml")
    whole = value.strip().rstrip(".").lower()
    if whole in codes:
        return (codes[whole],)
    names = [name.strip() for name in re.split(r",|;|/|&|\band\b|\bwith\b", whole) if name.strip()]
    known = set(codes.values())
    return tuple(dict.fromkeys(name if name in known else codes.get(name, name) for name in names))


def _date(value: str | None) -> str | None:
    match = _DATE.search(value or "")
    if not match:
        return None
    if match["only"]:
        return str(match["only"])
    name = match["month"].lower()[:3]
    if name not in _MONTHS:
        return str(match["year"])
    date = f"{match['year']}-{_MONTHS.index(name) + 1:02}"
    return f"{date}-{int(match['day']):02}" if match["day"] and 1 <= int(match["day"]) <= 31 else date


def language_code(value: str | None) -> str | None:
    """ISO 639-1 of a language's name or code, None where it is not known."""
    return next((code for code in _languages(value or "") if len(code) == 2), None)
