"""Apostrophes of bold and italic text, by MediaWiki's rules (includes/parser/Parser.php, doQuotes).

In: wikitext. Out: the same without runs of apostrophes that are markup; those that are not stay. What counts
is a line: of three apostrophes the first may be an elision, as in ``l'''Orlando furioso''``.
"""

from __future__ import annotations

import re

_RUN = re.compile("''+")
_ITALIC, _BOLD, _BOTH = 2, 3, 5


def remove(text: str) -> str:
    """Remove the markup line by line."""
    if "''" not in text:
        return text
    return "\n".join(_line(line) if "''" in line else line for line in text.split("\n"))


def _line(line: str) -> str:
    runs = list(_RUN.finditer(line))
    # How many of each run's apostrophes are text: they stand before its markup.
    sizes = [len(run[0]) for run in runs]
    kept = [1 if size == _BOLD + 1 else max(0, size - _BOTH) for size in sizes]
    marks = [min(size - extra, _BOTH) for size, extra in zip(sizes, kept, strict=True)]
    bold = sum(mark in (_BOLD, _BOTH) for mark in marks)
    italic = sum(mark in (_ITALIC, _BOTH) for mark in marks)
    if bold % 2 and italic % 2:
        elided = _elision(line, runs, kept, marks)
        if elided is not None:
            kept[elided] += 1
    out = []
    position = 0
    for run, extra in zip(runs, kept, strict=True):
        out += [line[position : run.start()], "'" * extra]
        position = run.end()
    out.append(line[position:])
    return "".join(out)


def _elision(line: str, runs: list[re.Match[str]], kept: list[int], marks: list[int]) -> int | None:
    """The bold run that is an apostrophe and an italic one: after one letter, else a word, else a space."""
    found: dict[str, int] = {}
    for number, (run, extra, mark) in enumerate(zip(runs, kept, marks, strict=True)):
        if mark != _BOLD:
            continue
        before = (line[max(0, run.start() - 2) : run.start()] + "'" * extra)[-2:]
        if before.endswith(" "):
            kind = "space"
        elif len(before) < 2 or before[0] == " ":
            kind = "letter"
        else:
            kind = "word"
        found.setdefault(kind, number)
    return next((found[kind] for kind in ("letter", "word", "space") if kind in found), None)
