"""Numbers and names as people read them, for the page and the data card."""

from __future__ import annotations

from corpus.review.visible import visible

SOURCES = {
    "commoncrawl": "CommonCrawl",
    "c4": "C4",
    "github": "GitHub",
    "wikipedia": "Wikipedia",
    "books": "Books",
    "arxiv": "arXiv",
    "stackexchange": "StackExchange",
}
NONE = "–"


def count(n: float | None) -> str:
    """A whole number, thousands apart."""
    return NONE if n is None else f"{n:,.0f}"


def share(value: float | None) -> str:
    """A share in percent, with one decimal; one that is not nothing is never shown as such."""
    if value is None:
        return NONE
    return "< 0.1 %" if 0 < value < 0.0005 else f"{100 * value:.1f} %"


def number(value: float | None) -> str:
    """A measured value in four digits."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.4g}"


def fixed(value: float | None) -> str:
    """A value with two decimals, as the paper's table has them."""
    return NONE if value is None else f"{value:.2f}"


def scaled(n: float | None, unit: str = "") -> str:
    """A large number in thousands, millions …; with ``B`` as unit in kB, MB …"""
    if n is None:
        return NONE
    prefixes = ("", "k", "M", "G", "T") if unit else ("", "k", "M", "B", "T")
    place = 0
    while abs(n) >= 999.95 and place < len(prefixes) - 1:
        n, place = n / 1000, place + 1
    digits = f"{n:,.0f}" if place == 0 else f"{n:,.1f}"
    return f"{digits} {prefixes[place]}{unit}".strip()


def seconds(value: float) -> str:
    """A duration in its two largest units."""
    if value < 60:
        return f"{value:.3g} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"


def language(code: str) -> str:
    """A language by its code; none where there is none."""
    return visible(code, lines=False) or "none given"


def source(name: str) -> str:
    """A source as the paper spells it."""
    return SOURCES.get(name, name)
