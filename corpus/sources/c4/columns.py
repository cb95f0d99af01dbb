"""The columns that C4 adds to its documents, and what is decided by them.

Of published files only the first three are there. Counts are of lines unless named otherwise.

| column | what it says |
|---|---|
| `c4_v1_reason` | why a page goes before any of `checks` is asked, see `corpus.sources.c4.rebuild` |
| `c4_v1_validation` | 1: the page is of the validation split |
| `c4_v1_characters` | code points of the page |
| `c4_v1_lines` | its lines that are neither blank nor a header's; each is in one of the next eight |
| `c4_v1_long_word` … `c4_v1_kept_lines` | what the rules make of them (`corpus.kernels.rules_c4`) |
| `c4_v1_sentences` | sentences of the kept lines, each line by itself; 0 of pages that are too long |
| `c4_v1_duplicate_lines` | of the kept lines (with spans: sentences) those that stay in another page |
| `c4_v1_repeated_lines` | of the rest those that stand further up in the page; both null without dedup |
| `c4_v1_unique_sentences` | sentences of what is left, as one text |
| `c4_v1_english` | langdetect's probability of English, 0 where another language is likelier |
| `c4_v1_bad_words` | lines with a bad word; null without a list |

The last five are null where an earlier rule speaks against the page.
"""

from __future__ import annotations

import pyarrow as pa

from corpus.rules import Check
from corpus.settings.c4 import C4

NAME = "c4"
# In the order of the kernel's columns.
COUNTS = (
    "characters", "lines", "long_word", "no_end_mark", "few_words", "lorem_ipsum", "javascript",
    "curly_bracket", "policy", "kept_lines",
)  # fmt: skip


def _integers(*names: str) -> tuple[pa.Field, ...]:
    return tuple(pa.field(f"c4_v1_{name}", pa.int64()) for name in names)


# Of a page by itself.
PAGE_FIELDS = (
    pa.field("c4_v1_reason", pa.string()),
    *_integers("validation", *COUNTS, "sentences", "bad_words"),
)
FIELDS = (
    *PAGE_FIELDS,
    *_integers("duplicate_lines", "repeated_lines", "unique_sentences"),
    pa.field("c4_v1_english", pa.float64()),
)


def checks(settings: C4) -> list[Check]:
    """The thresholds that no other page depends on, in tfds's order."""
    found = []
    if settings.mode == "rebuild":
        found.append(Check("c4_v1_english", "language", -1, settings.min_english, False))
        if settings.bad_words and settings.bad_words_rule == "tfds-3":
            found.append(Check("c4_v1_bad_words", "bad_words", 1, float(settings.max_bad_words), False))
    if "validation" not in settings.splits:
        found.append(Check("c4_v1_validation", "validation_split", 1, 0.0, False))
    if "train" not in settings.splits:
        found.append(Check("c4_v1_validation", "train_split", -1, 1.0, False))
    return found
