"""C4's rebuild in plain Python, over pages held in memory: what the distributed build is tested against.

Written from tensorflow/datasets, tensorflow_datasets/text/c4.py and c4_utils.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from langdetect.lang_detect_exception import LangDetectException

from corpus.annotate.english import factory

DETECTORS = factory()
POLICY = [
    "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies",
]  # fmt: skip


@dataclass(frozen=True)
class Page:
    url: str
    timestamp: str
    text: str

    @property
    def normalized_url(self) -> str:
        url = re.sub(r"https?:\/\/(www\.)?", "", self.url)
        return re.sub(r"\?(utm_|ref|feed).*", "", url).rstrip("/")


Sentences = Callable[[str], int]


def split_page(url: str | None, timestamp: str | None, body: str) -> Page | None:
    lines = (line.strip() for line in re.split("\r\n|\r|\n", body))
    text = "\n".join(li for li in lines if li and not li.startswith(("WARC", "CONTENT-", "Content-")))
    return Page(url, timestamp, text) if url and text and timestamp else None


def clean(text: str, sentences: Sentences, min_words: int = 5, min_sentences: int = 3) -> str | None:
    """The cleaned text; None for a page that is dropped."""
    kept, count = [], 0
    for line in text.splitlines():
        line = line.strip()
        if any(len(word) > 1000 for word in line.split()):
            continue
        line = re.sub(r"\[\d*\]|\[edit\]|\[citation needed\]", "", line)
        if not line.endswith((".", "?", "!", '"')) or line.endswith("...") or len(line.split()) < min_words:
            continue
        lower = line.lower()
        if "lorem ipsum" in lower:
            return None
        if "javascript" in lower:
            continue
        if "{" in line:
            return None
        if any(phrase in lower for phrase in POLICY):
            continue
        count += sentences(line)
        kept.append(line)
    return "\n".join(kept).strip() if count >= min_sentences else None


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def deduplicated(pages: list[Page], sentences: Sentences, min_sentences: int = 3) -> list[Page]:
    owner: dict[str, str] = {}
    for page in pages:
        for line in page.text.split("\n"):
            key = md5(line.strip().lower())
            owner[key] = min(owner.get(key, page.url), page.url, key=md5)
    found = []
    for page in pages:
        seen: set[str] = set()
        lines = []
        for line in page.text.split("\n"):
            key = md5(line.strip().lower())
            if owner[key] == page.url and key not in seen:
                seen.add(key)
                lines.append(line)
        text = "\n".join(lines)
        if text and sentences(text) >= min_sentences:
            found.append(replace(page, text=text))
    return found


def is_english(text: str) -> bool:
    detector = DETECTORS.create()
    detector.append(text)
    try:
        best = detector.get_probabilities()
    except LangDetectException:
        return False
    return bool(best) and best[0].lang == "en" and best[0].prob >= 0.99


def rebuild(pages: list[Page], sentences: Sentences, bad_words: list[str]) -> dict[str, str]:
    """URL to text of the pages that stay, validation included."""
    newest: dict[str, Page] = {}
    for page in pages:
        held = newest.get(page.normalized_url)
        if len(page.text) <= 190_000 and (held is None or page.timestamp > held.timestamp):
            newest[page.normalized_url] = page
    cleaned = [(page, clean(page.text, sentences)) for page in newest.values()]
    kept = [replace(page, text=text) for page, text in cleaned if text is not None]
    kept = [page for page in deduplicated(kept, sentences) if is_english(page.text)]
    if bad_words:
        bad = re.compile(rf"(?:\W|^)({'|'.join(map(re.escape, bad_words))})(?:\W|$)")
        kept = [page for page in kept if not bad.search(page.text.lower())]
    return {page.url: page.text for page in kept}
