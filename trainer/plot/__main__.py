"""`python -m trainer.plot`: the curves of a run as a picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from trainer.errors import TrainerError
from trainer.plot.figure import loss_curve


def command(arguments: Sequence[str] | None = None) -> int:
    """Draw the curves of a run's folder; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.plot", description="The curves of a run as a picture."
    )
    parser.add_argument("run", type=Path, help="folder of a run, with its metrics.jsonl")
    parser.add_argument("--output", type=Path, help="PNG to write (default: RUN/loss.png)")
    options = parser.parse_args(arguments)
    png = options.output or options.run / "loss.png"
    try:
        loss_curve(options.run / "metrics.jsonl", png)
    except TrainerError as error:
        print(error, file=sys.stderr)
        return 1
    print(png)
    return 0


if __name__ == "__main__":
    sys.exit(command())
