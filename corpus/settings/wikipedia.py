"""Settings of the Wikipedia source: which languages, and how a page of wikitext becomes a text.

In: the recipe's block ``[wikipedia]``. LLaMA (arXiv 2302.13971, section 2.1) names dumps of June to August
2022, the 20 languages, and that hyperlinks, comments and other formatting boilerplate go; all else here is a
choice.
"HF" is huggingface/datasets, datasets/wikipedia/wikipedia.py, whose order of cleaning it follows.
"""

from __future__ import annotations

from pydantic import Field
from pydantic.dataclasses import dataclass

from corpus.settings import STRICT

# fmt: off
LANGUAGES = (
    "bg", "ca", "cs", "da", "de", "en", "es", "fr", "hr", "hu",
    "it", "nl", "pl", "pt", "ro", "ru", "sl", "sr", "sv", "uk",
)
# fmt: on

# What decisions alone look at.
THRESHOLDS = frozenset({"min_characters"})


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Wikipedia:
    """Articles, from the dumps of pages and articles."""

    languages: list[str] = Field(default_factory=lambda: list(LANGUAGES), min_length=1)
    license: str = "CC-BY-SA-3.0"  # of the text; of dumps since June 2023 CC-BY-SA-4.0
    page_bytes: int = Field(default=8 << 20, gt=0)  # wikitext of a page; MediaWiki itself allows 2 MiB
    nesting: int = Field(default=200, gt=0)  # templates, tables and links open at a time; beyond it a reason
    min_characters: int = Field(default=100, ge=0)  # code points without the title
    list_mark: str = "* "  # before items of lists; "" as HF
    # Sections of notes, sources and external links: without their hyperlinks hardly more than labels.
    drop_sections: bool = True
    # What stood around a removed template: "Bern (; ; )" becomes "Bern", "so , and" becomes "so, and".
    close_gaps: bool = True
    title: bool = True  # first line, then an empty one
