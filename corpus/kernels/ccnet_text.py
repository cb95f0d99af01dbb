"""CCNet's two text normalisations in plain Python: str in, str out.

They are the rules themselves. The compiled kernels take their tables from here, send what no table
can do through here, and are tested against it. Rules: facebookresearch/cc_net,
cc_net/text_normalizer.py (`normalize_for_dedup`, `normalize`).
"""

from __future__ import annotations

import re
import unicodedata

# Marks: deleted from deduplication keys, replaced by these for the language model. A full-width one
# stands in the table, but digits become "0" before marks are looked at, so it is never reached.
MARKS: dict[str, str] = {
    "，": ",", "。": ".", "、": ",", "„": '"', "”": '"', "“": '"', "«": '"', "»": '"', "１": '"',
    "」": '"', "「": '"', "《": '"', "》": '"', "´": "'", "∶": ":", "：": ":", "？": "?", "！": "!",
    "（": "(", "）": ")", "；": ";", "–": "-", "—": " - ", "．": ". ", "～": "~", "’": "'", "…": "...",
    "━": "-", "〈": "<", "〉": ">", "【": "[", "】": "]", "％": "%", "►": "-",
}  # fmt: skip

DIGIT = re.compile(r"\d")  # category Nd
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_MARK_OR_CONTROL = re.compile(f"[{''.join(MARKS)}\x00-\x1f\x7f-\x9f]")
_TO_MARK = str.maketrans(MARKS)


def normalize_for_dedup(line: str) -> str:
    """The form of a line whose hash is its key: accents, inner spaces and ASCII marks stay.

    It is not stripped again after marks are deleted.
    """
    return _MARK_OR_CONTROL.sub("", DIGIT.sub("0", line.strip().lower()))


def normalize_for_language_model(text: str) -> str:
    """The form of a whole document that the language model reads: one line, without accents."""
    return fold_for_language_model(text.strip().lower())


def fold_for_language_model(lowered: str) -> str:
    """What `normalize_for_language_model` does after strip and lower case."""
    decomposed = unicodedata.normalize("NFD", lowered)
    bare = "".join([c for c in decomposed if unicodedata.category(c) != "Mn"])
    return CONTROL.sub("", DIGIT.sub("0", bare).translate(_TO_MARK))
