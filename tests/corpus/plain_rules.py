"""Published quality rules in plain Python: a text in, the columns of its annotator out.

Written from the sources that `corpus.rules` names; the compiled kernels are tested against them.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import Any

from corpus.kernels.ccnet_text import MARKS
from corpus.rules import C4Rules, FineWebRules, GopherQuality, GopherRepetition

SYMBOLS = (
    set(string.punctuation) | set(MARKS) | {chr(c) for c in (*range(9), *range(11, 32), *range(127, 160))}
)

Row = dict[str, Any]


def split_words(text: str, words: str) -> list[str]:
    return text.split() if words == "whitespace" else re.findall(r"\w+|[^\w\s]+", text)


def split_lines(text: str, lines: str) -> list[str]:
    return text.splitlines() if lines == "splitlines" else text.split("\n")


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def sentences_by_marks(line: str) -> int:
    words = line.split()
    ended = [re.search(r"[.?!]+[\"')\]}”’»]*$|[.?!][\"')\]}”’».?!]*$", word) is not None for word in words]
    return sum(ended[:-1]) + (1 if words else 0)


def plain_c4(text: str, rules: C4Rules, bad_words: list[str]) -> Row:
    """tensorflow_datasets/text/c4_utils.py, `clean_page`, without its returns; datatrove, c4_filters.py."""
    dropped = [
        "long_word",
        "no_end_mark",
        "few_words",
        "lorem_ipsum",
        "javascript",
        "curly_bracket",
        "policy",
    ]
    found = dict.fromkeys(["lines", *dropped, "kept_lines", "bad_words", "sentences_by_marks"], 0)
    found["characters"] = len(text)
    flanked = re.compile(rf"(?:\W|^)({'|'.join(map(re.escape, bad_words))})(?:\W|$)") if bad_words else None
    for raw in split_lines(text, rules.lines):
        original = raw.strip()
        found["lines"] += 1
        line = re.sub(r"\[\d*\]|\[edit\]|\[citation needed\]", "", original)
        lower = line.lower()
        words = (line if rules.line_words == "edited" else original).split()
        if any(len(word) > rules.line_max_word for word in original.split()):
            found["long_word"] += 1
        elif rules.end_marks and (not line.endswith(tuple(rules.end_marks)) or line.endswith("...")):
            found["no_end_mark"] += 1
        elif len(words) < rules.line_min_words:
            found["few_words"] += 1
        elif "lorem ipsum" in lower:
            found["lorem_ipsum"] += 1
        elif "javascript" in lower:
            found["javascript"] += 1
        elif "{" in line:
            found["curly_bracket"] += 1
        elif re.search(
            "terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies", lower
        ):
            found["policy"] += 1
        else:
            found["kept_lines"] += 1
            found["sentences_by_marks"] += sentences_by_marks(line)
            found["bad_words"] += flanked is not None and flanked.search(lower) is not None
    return {f"c4_v1_{k}": v for k, v in found.items()} | ({} if bad_words else {"c4_v1_bad_words": None})


def plain_gopher_quality(text: str, rules: GopherQuality) -> Row:
    """datatrove, gopher_quality_filter.py; dolma, gopher.py."""
    words = split_words(text, rules.words)
    counted = [w for w in words if rules.counted == "all" or any(c not in SYMBOLS for c in w)]
    lines = split_lines(text, rules.lines)
    dots = rules.ellipses == "dots"
    if rules.symbols == "occurrences":
        hashes, ellipses = text.count("#"), text.count("…") + (text.count("...") if dots else 0)
    else:
        hashes = sum("#" in w for w in words)
        ellipses = sum("…" in w or (dots and "..." in w) for w in words)
    stops = [w for w in words if w in rules.stop_words]
    bulleted = sum(line.lstrip().startswith(tuple(rules.bullets)) for line in lines)
    trailing = sum(line.rstrip().endswith(("…", "...") if dots else "…") for line in lines)
    return {
        "gopher_v1_words": len(counted),
        "gopher_v1_mean_word_length": share(sum(map(len, counted)), len(counted)),
        "gopher_v1_hashes": share(hashes, len(words)),
        "gopher_v1_ellipses": share(ellipses, len(words)),
        "gopher_v1_bullet_lines": share(bulleted, len(lines)),
        "gopher_v1_ellipsis_lines": share(trailing, len(lines)),
        "gopher_v1_alphabetic_words": share(sum(any(map(str.isalpha, w)) for w in words), len(words)),
        "gopher_v1_stop_words": len(stops) if rules.stop_word_count == "occurrences" else len(set(stops)),
    }


def find_duplicates(items: list[str]) -> tuple[int, int]:
    """Items that came before, and their characters (datatrove)."""
    seen: set[str] = set()
    again = [item for item in items if item in seen or seen.add(item)]  # type: ignore[func-returns-value]
    return len(again), sum(map(len, again))


def plain_repetition(text: str, rules: GopherRepetition) -> Row:
    """datatrove, gopher_repetition_filter.py; dolma, gopher.py."""
    words = split_words(text, rules.words)
    dolma = rules.counting == "dolma"
    whole = sum(map(len, words)) if dolma else len(text)
    found: Row = {}

    paragraphs = re.split(r"\n{2,}", text.strip())
    copies, chars = find_duplicates(paragraphs)
    found["duplicate_paragraphs"] = copies / len(paragraphs)
    found["duplicate_paragraph_characters"] = share(chars, len(text))

    lines = text.split("\n") if dolma else re.split(r"\n+", text)
    copies, chars = find_duplicates(lines)
    if dolma:
        repeated = {line: n for line, n in Counter(lines).items() if n > 1}
        copies, chars = sum(repeated.values()), sum(len(line) * n for line, n in repeated.items())
    found["duplicate_lines"] = copies / len(lines)
    found["duplicate_line_characters"] = share(chars, whole) if whole else chars / 1

    for n in range(2, 11):
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        name = f"top_{n}_gram" if n < 5 else f"duplicate_{n}_grams"
        counts = Counter(grams)
        if not grams:
            found[name] = 0.0
        elif n < 5:
            gram, times = counts.most_common(1)[0]
            found[name] = share(times * len(("" if dolma else " ").join(gram)), whole)
        elif dolma:
            total = sum(times * len("".join(gram)) for gram, times in counts.items())
            found[name] = share(sum(t * len("".join(g)) for g, t in counts.items() if t > 1), total)
        else:
            seen, chars, i = set(), 0, 0
            while i < len(grams):
                if grams[i] in seen:
                    chars += len("".join(grams[i]))
                    i += n
                else:
                    seen.add(grams[i])
                    i += 1
            found[name] = share(chars, whole)
    return {f"gopher_v1_{k}": v for k, v in found.items()}


def plain_fineweb(text: str, rules: FineWebRules) -> Row:
    """datatrove, fineweb_quality_filter.py."""
    filled = [line for line in text.split("\n") if line.strip()]
    lines = text.split("\n") if rules.lines == "all" else filled
    return {
        "fineweb_v1_terminal_lines": share(sum(s.endswith(tuple(rules.terminal)) for s in lines), len(lines)),
        "fineweb_v1_short_lines": share(sum(len(s) <= rules.short_line for s in lines), len(lines)),
        "fineweb_v1_duplicate_line_characters": share(
            find_duplicates(filled)[1], len(text.replace("\n", ""))
        ),
        "fineweb_v1_newlines": share(text.count("\n"), len(split_words(text, rules.words))),
    }
