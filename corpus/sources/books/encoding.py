"""The text of a file of bytes, whatever its encoding: no book is dropped for it.

In: bytes, and the encoding that the file declares of itself, if any. Out: text and the name of the codec it
was read with. In this order:

1. a byte order mark;
2. UTF-8, where it is valid and not ASCII alone (text in another encoding hardly ever is, by chance);
3. the declared encoding, where it can read the bytes; Latin-1 as its superset windows-1252;
4. code page 850, where bytes that are letters in it, and signs in windows-1252, stand between letters;
5. what a detector says (resiliparse's, by frequencies of bytes) of the words that are not ASCII, where there
   are some, and its answer can read the bytes;
6. windows-1252, whose five unused bytes become control characters, as in Latin-1.

Mac Roman is only known where it is declared.
"""

from __future__ import annotations

import codecs
import re

from resiliparse.parse.encoding import detect_encoding

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Their bytes are all ASCII, so that nothing else tells them from it.
_SEVEN_BITS = frozenset({"iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_kr", "hz", "utf-7"})
_LATIN_1 = frozenset({"iso8859-1", "latin_1", "ascii"})
# Notations rather than encodings; no book is in one.
_ESCAPES = frozenset({"unicode_escape", "raw_unicode_escape", "punycode", "idna", "undefined"})
# What a Python codec may be called in a header: "ISO-8859-1", "Codepage 437", "ISO Latin-1", "CP-1251".
_NAME = re.compile(r"[A-Za-z][\w ./-]{1,30}")
_DETECTED_BYTES = 1 << 16
# Words with a byte beyond ASCII; from fewer of them a detector guesses any of a dozen encodings.
_TELLING = re.compile(rb"[^\s\x80-\xff]{0,30}[\x80-\xff][^\s]{0,30}")
_TELLING_WORDS = 16
_LETTER = rb"[A-Za-z]"
# Letters of code page 850 (437 has the same here) that windows-1252 has as signs; without those that are its
# quotation marks and dashes, which stand between letters too.
_DOS = re.compile(_LETTER + rb"[\x80-\x84\x86-\x8f\x98-\x9a\xa0-\xa5]" + _LETTER)
_WINDOWS = re.compile(_LETTER + rb"[\xc0-\xff]" + _LETTER)
_WINDOWS_1252 = "".join(
    bytes([b]).decode("latin-1" if b in b"\x81\x8d\x8f\x90\x9d" else "cp1252") for b in range(256)
)


def decode(data: bytes, declared: str | None = None) -> tuple[str, str]:
    """Text of the bytes, and the codec's name as Python has it."""
    for mark, codec in _MARKS:
        if data.startswith(mark) and (text := _try(data[len(mark) :], codec)) is not None:
            return text, codec
    named = codec_of(declared)
    if data.isascii():
        if named in _SEVEN_BITS and (text := _try(data, named)) is not None:
            return text, named
        return data.decode("ascii"), "ascii"
    if (text := _try(data, "utf-8")) is not None:
        return text, "utf-8"
    if named in _LATIN_1:
        return (_windows(data), "cp1252") if named != "ascii" else _guess(data)
    if named is not None and (text := _try(data, named)) is not None:
        return text, named
    return _guess(data)


def codec_of(declared: str | None) -> str | None:
    """The codec that a declaration names, or None."""
    if not declared:
        return None
    candidates: list[str] = []
    for match in _NAME.finditer(declared):
        name = match.group().strip().lower()
        number = re.search(r"\d+$", name)
        candidates += [name, name.replace(" ", "-"), name.replace("unicode ", ""), name.replace("iso ", "")]
        if number and ("page" in name or name.startswith(("cp", "dos"))):
            candidates.append(f"cp{number.group()}")
    for candidate in candidates:
        try:
            name = codecs.lookup(candidate).name
            "x".encode(name)  # some codecs are no encodings of text
        except (LookupError, ValueError):
            continue
        if name.replace("-", "_") not in _ESCAPES:
            return name
    return None


def _guess(data: bytes) -> tuple[str, str]:
    if len(_DOS.findall(data)) > len(_WINDOWS.findall(data)):
        return data.decode("cp850"), "cp850"
    telling = _TELLING.findall(data)
    if len(telling) >= _TELLING_WORDS:
        detected = codec_of(detect_encoding(b" ".join(telling)[:_DETECTED_BYTES]))
        if detected and detected != "utf-8" and detected not in _LATIN_1:
            text = _try(data, detected)
            if text is not None:
                return text, detected
    return _windows(data), "cp1252"


def _windows(data: bytes) -> str:
    """Windows-1252; its unused bytes as in Latin-1."""
    return codecs.charmap_decode(data, "strict", _WINDOWS_1252)[0]


def _try(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeError:
        return None
