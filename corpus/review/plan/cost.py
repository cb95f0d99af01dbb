"""What a plan costs at prices that the user gives; no price is assumed."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.errors import UserError

GB = 1e9
HOUR = 3600.0
_MONTH = 730 * HOUR


@dataclass(frozen=True)
class Prices:
    """Of a core for an hour, of a GB stored for a month, of a GB read out of where the raw files lie."""

    core_hour: float | None = None
    gb_month: float | None = None
    egress_gb: float | None = None

    def check(self) -> None:
        """Raise `UserError` for a price that is none."""
        for name, price in vars(self).items():
            if price is not None and not 0 <= price < float("inf"):
                raise UserError(f"--price-{name.replace('_', '-')} {price:g}: a price is not below zero")


@dataclass(frozen=True)
class Cost:
    """One item: what it is for, how much of it, in which unit, at which price, and the product."""

    item: str
    amount: float
    unit: str
    price: float
    cost: float


def costs(
    prices: Prices, workers: int, wall_seconds: float, peak_bytes: float, kept_bytes: float, read_bytes: float
) -> tuple[Cost, ...]:
    """The items whose price is given.

    Args:
        prices: of the user.
        workers: cores held until the end, whether they work or wait.
        wall_seconds: how long.
        peak_bytes: stored while the run is on, at most.
        kept_bytes: stored afterwards, for a month.
        read_bytes: read of the raw files.
    """
    found = []

    def add(item: str, amount: float, unit: str, price: float | None) -> None:
        if price is not None:
            found.append(Cost(item, amount, unit, price, amount * price))

    add("cores held until the end", workers * wall_seconds / HOUR, "core-hours", prices.core_hour)
    during = peak_bytes / GB * wall_seconds / _MONTH
    add("storage while it runs", during, "GB-months", prices.gb_month)
    add("storage of what is kept, each month after", kept_bytes / GB, "GB-months", prices.gb_month)
    add("raw files read", read_bytes / GB, "GB", prices.egress_gb)
    return tuple(found)
