"""Text of documents on one line of a terminal."""

from __future__ import annotations

import unicodedata

from corpus.review.visible import shortened, visible

_RIGHT_TO_LEFT = ("R", "AL", "AN")
_ISOLATE, _END = "\u2068", "\u2069"  # first strong isolate, pop directional isolate


def on_line(text: str, characters: int) -> str:
    """At most so many characters of a text, made visible, tabs as spaces; then how many more there are.

    Where letters run from right to left they are isolated, so that what stands beside them stays.
    """
    begun, more = shortened(text, characters)
    shown = visible(begun.expandtabs(4), lines=False)
    if any(unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in shown):
        shown = f"{_ISOLATE}{shown}{_END}"
    return f"{shown} … (+{more:,} characters)" if more else shown
