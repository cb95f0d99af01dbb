r"""Which of a submission's files the paper begins with.

In: the files without comments. Out: the names of those to read one after the other: the one main file; or, of
submissions that have none, all that no other one reads, in the order of their names. Main is a file
that, with the files that it reads, has ``\documentclass`` or ``\documentstyle`` and ``\begin{document}``, and
that no other file reads. Of several, the one with most headings, then by its name, then the longest.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import NamedTuple

from corpus.sources.arxiv.inputs import find_file
from corpus.sources.arxiv.tables import names

_CLASS = re.compile(r"\\document(?:class|style)(?![A-Za-z@])")
_PARTIAL_CLASS = re.compile(r"\\documentclass[ \t]*(?:\[[^\]]{0,2000}\])?[ \t]*\{(?:standalone|subfiles)\}")
_DOCUMENT = "\\begin{document}"
_HEADING = re.compile(r"\\(?:" + "|".join(sorted(names("sections"))) + r")\*?\s*[\[{]")
_INPUT = re.compile(
    r"\\(?:input|include|subfile)(?![A-Za-z@])[ \t]*(?:\{([^{}]{1,400})\}|([^\s{}\\%]{1,400}))"
    r"|\\(?:sub)?(?:import|inputfrom|includefrom)(?![A-Za-z@])\*?"
    r"[ \t]*\{([^{}]{1,400})\}[ \t]*\{([^{}]{1,400})\}"
)
_USUAL = ("main", "ms", "paper")
_TEXT_ENDINGS = (".tex", ".ltx", ".latex", "")


class _Candidate(NamedTuple):
    headings: int
    usual: int  # place of its name among the usual ones, from the end
    length: int
    name: str


def main_files(files: Mapping[str, str]) -> list[str]:
    """Names of the files to read, in their order; none if there is no TeX."""
    texts = {n: t for n, t in files.items() if posixpath.splitext(n)[1].lower() in _TEXT_ENDINGS}
    reads = {name: _named_files(files, name) for name in sorted(texts)}
    headings = {name: len(_HEADING.findall(text)) for name, text in texts.items()}
    candidates = []
    for name in sorted(texts):
        reached = _reached(name, reads)
        if any(_CLASS.search(files[n]) for n in reached) and any(_DOCUMENT in files[n] for n in reached):
            stem = posixpath.splitext(posixpath.basename(name))[0].lower()
            candidates.append(
                _Candidate(
                    headings=sum(headings.get(n, 0) for n in reached),
                    usual=-_USUAL.index(stem) if stem in _USUAL else -len(_USUAL),
                    length=sum(len(files[n]) for n in reached),
                    name=name,
                )
            )
    read_by_others = {n for name, named in reads.items() for n in named if n != name}
    whole = [c for c in candidates if not _PARTIAL_CLASS.search(texts[c.name])] or candidates
    whole = [c for c in whole if c.name not in read_by_others] or whole
    if whole:
        best = max(c[:3] for c in whole)
        return [min(c.name for c in whole if c[:3] == best)]
    return [n for n in sorted(texts) if n not in read_by_others] or sorted(texts)


def _named_files(files: Mapping[str, str], name: str) -> list[str]:
    found = []
    for match in _INPUT.finditer(files[name]):
        named = match[1] or match[2] or posixpath.join(match[3].strip(), match[4].strip())
        path = find_file(files, named.strip().strip('"'), [name])
        if path:
            found.append(path)
    return found


def _reached(start: str, reads: Mapping[str, list[str]]) -> list[str]:
    reached = {start: None}
    pending = [start]
    while pending:
        for name in reads.get(pending.pop(), ()):
            if name not in reached:
                reached[name] = None
                pending.append(name)
    return list(reached)
