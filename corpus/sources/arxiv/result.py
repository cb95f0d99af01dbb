r"""What is counted and found while a paper is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Counts:
    """What is counted on the way.

    Attributes:
        expanded: calls of the paper's macros and environments in whose place their text is.
        calls_left: name and reason of each call that stays by its name.
        missing: files that are named and not there.
        unread: files that are not read for a limit.
        failed_skips: conditionals without an end.
    """

    expanded: int = 0
    calls_left: list[tuple[str, str]] = field(default_factory=list)
    missing: int = 0
    unread: int = 0
    failed_skips: int = 0

    @property
    def left(self) -> Counter[str]:
        """Calls that stay by name, by reason."""
        return Counter(why for _, why in self.calls_left)

    @property
    def left_names(self) -> dict[str, str]:
        """The names that stay, each with its first reason."""
        return dict(reversed(self.calls_left))


@dataclass(frozen=True)
class Result:
    """What became of a paper.

    Attributes:
        text: from the first heading on, or all of it.
        front: what stands before the first heading.
        has_section: whether there is a heading.
        source: characters of the files read.
        macros: names that the author defines as macros.
        counts: see there.
    """

    text: str
    front: str
    has_section: bool
    source: int
    macros: int
    counts: Counts
