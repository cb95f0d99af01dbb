"""Sections of a page: a heading with its level and the lines up to the next one.

In: sections in the order of the page; the first, of level 0, has no heading. Out: those that stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LINES = re.compile(r"\n{3,}")


@dataclass
class Section:
    """A heading and the lines below it."""

    level: int
    heading: str
    lines: list[str]

    def __str__(self) -> str:
        """Heading and lines, with at most one empty line between two."""
        body = _LINES.sub("\n\n", "\n".join(self.lines)).strip("\n")
        return "\n".join(part for part in (self.heading, body) if part)


def without_named(sections: Sequence[Section], names: frozenset[str]) -> list[Section]:
    """Leave out sections with one of these headings (in lower case), and those below them."""
    kept = []
    dropped_level = 0
    for section in sections:
        if dropped_level and section.level > dropped_level:
            continue
        dropped_level = section.level if section.heading.strip(" :").lower() in names else 0
        if not dropped_level:
            kept.append(section)
    return kept


def without_empty(sections: Sequence[Section]) -> list[Section]:
    """Leave out sections of which nothing is left, neither lines nor a section below."""
    kept: list[Section] = []
    below = 0  # level of the next section that stays
    for section in reversed(sections):
        if any(section.lines) or below > section.level > 0:
            kept.append(section)
            below = section.level
    return kept[::-1]
