"""Bytes of TeX files -> text.

In: bytes, and the codec that the paper declares. Out: text, for any bytes: no paper is lost to its encoding.
Line ends become "\\n", a form feed, which TeX reads as the end of a paragraph, two; other control
characters go.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

from corpus.sources.arxiv.tables import codecs as inputenc

_DECLARED = re.compile(rb"\\(?:usepackage|RequirePackage)[ \t]*\[([A-Za-z0-9-]{1,40})\][ \t]*\{inputenc\}")
_CONTROLS = {code: None for code in range(32) if chr(code) not in "\t\n\f"} | {0x0C: "\n\n", 0x7F: None}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_CODECS = inputenc()


def declared_codec(files: Iterable[bytes]) -> str | None:
    """The codec that a paper's files declare, the first that we know."""
    for data in files:
        for match in _DECLARED.finditer(data):
            if codec := _CODECS.get(match[1].decode("ascii").lower()):
                return codec
    return None


def decode(data: bytes, declared: str | None) -> str:
    """The text of a file: UTF-8 where it is that, else as declared, else Windows-1252, else Latin-1."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _tidy(data.decode("utf-16", "replace"))
    for codec in ("utf-8-sig", declared or "cp1252", "cp1252"):
        try:
            return _tidy(data.decode(codec))
        except UnicodeDecodeError:
            continue
    return _tidy(data.decode("latin-1"))


def _tidy(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    return text.translate(_CONTROLS) if _CONTROL.search(text) else text
