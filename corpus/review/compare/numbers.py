"""Numbers as a comparison prints them."""

from __future__ import annotations


def number(value: float | bool | None, digits: int = 4) -> str:
    """Whole numbers with commas, others with so many significant digits or more; – where there is none."""
    if value is None:
        return "–"
    if isinstance(value, int) or value.is_integer():
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def signed(value: float | None) -> str:
    """A difference, with its sign."""
    return "–" if value is None else f"{value:+.4g}"
