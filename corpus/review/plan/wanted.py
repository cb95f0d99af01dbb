"""What the user asks to be planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus.errors import UserError
from corpus.recipe import Recipe
from corpus.review.plan.cost import Prices


@dataclass(frozen=True)
class Wanted:
    """What the user asks for.

    Attributes:
        recipe: of the corpus to come.
        workers: processes.
        volumes: raw bytes by source, where they are not the recipe's.
        inputs: real files instead, of the one source that is measured.
        input_root: that their names are relative to.
        duplicates: rate of duplicates of the crawl; None: as measured.
        dumps: of the crawl.
        part_bytes: text of a part of tokens.
        prices: what things cost.
    """

    recipe: Recipe
    workers: int
    volumes: Mapping[str, float]
    inputs: Sequence[str]
    input_root: str | None
    duplicates: float | None
    dumps: int
    part_bytes: int
    prices: Prices

    def check(self) -> None:
        """Raise `UserError` for numbers that no run can have."""
        if self.workers < 1:
            raise UserError(f"--workers {self.workers}: a run needs one worker or more")
        if self.dumps < 1:
            raise UserError(f"--dumps {self.dumps}: the crawl has one dump or more")
        if self.duplicates is not None and not 0 <= self.duplicates < 1:
            raise UserError(
                f"--duplicate-rate {self.duplicates:g}: give a share of the text, from 0 to below 1"
            )
        self.prices.check()
