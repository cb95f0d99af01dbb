"""What a run tells a person: a bar on a terminal, a plain line from time to time in a log; rank 0 alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

from trainer.evaluate.scores import Score
from trainer.metrics.carbon import Carbon

_LOG_SECONDS = 15.0


class Console:
    """Tells of a run on stderr.

    Attributes:
        silent: whether it tells nothing.
    """

    def __init__(self, silent: bool = False) -> None:
        self.silent = silent
        self._bar: tqdm | None = None  # type: ignore[type-arg]
        self._steps = self._first = 0
        self._told = self._began = time.monotonic()

    def begin(self, step: int, steps: int) -> None:
        """The steps done before this start, and in all."""
        self._steps, self._first = steps, step
        self._told = self._began = time.monotonic()
        if step:
            self.say(f"going on after step {step:,} of {steps:,}")
        if not self.silent and sys.stderr.isatty():
            self._bar = tqdm(total=steps, initial=step, unit="step", dynamic_ncols=True)

    def step(self, step: int, loss: float, tokens_per_second: float) -> None:
        """A step is done."""
        about = f"loss {loss:.3f}, {tokens_per_second:,.0f} tokens/s"
        if self._bar is not None:
            self._bar.set_postfix_str(about, refresh=False)
            self._bar.update()
        elif time.monotonic() - self._told > _LOG_SECONDS or step == self._steps:
            self._told = time.monotonic()
            left = (self._told - self._began) / (step - self._first) * (self._steps - step)
            self.say(f"step {step:,} of {self._steps:,}: {about}, {_duration(left)} left")

    def evaluated(self, step: int, scores: Mapping[str, Score]) -> None:
        """Held-out text has been scored."""
        table = ", ".join(f"{name} {score.bits_per_byte:.3f}" for name, score in scores.items())
        self.say(f"step {step:,}: bits per byte of held-out text: {table}")

    def skipped(self, step: int, reason: str, samples: list[int]) -> None:
        """A step has not been taken."""
        self.say(f"step {step:,} not taken ({reason}); samples {samples[0]:,} to {samples[1]:,}")

    def stopped(self, step: int, steps: int) -> None:
        """The run has stopped before its end, and a checkpoint is written."""
        self._close()
        self.say(f"stopped after step {step:,} of {steps:,}; the same command goes on from there")

    def end(self, carbon: Carbon, device_hours: float) -> None:
        """The run has come to its end."""
        self._close()
        self.say(
            f"{device_hours:.2f} device hours, {carbon.kwh:.3g} kWh ({carbon.origin}; PUE {carbon.pue}), "
            f"{carbon.kg_co2eq:.3g} kg CO2eq at {carbon.kg_per_kwh} kg/kWh"
        )

    def say(self, line: str) -> None:
        """A line, above the bar."""
        if not self.silent:
            tqdm.write(line, file=sys.stderr)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
