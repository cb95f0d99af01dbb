"""`python -m tests.bench.plan`: what `llama-corpus plan` predicts beside what then happens.

Rates come from one run of the crawl filter on a small set, on one worker. Predicted by them, and then run:
ten times the input; twice the rate of duplicates; two workers. Core seconds and memory are those of the whole
command with its processes, bytes those of the parts' files.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from corpus import recipe
from corpus.review.plan.amounts import duplicate_rate
from corpus.review.plan.cost import Prices
from corpus.review.plan.measured import MeasuredRun, measure
from corpus.review.plan.plan import make_plan
from corpus.review.plan.wanted import Wanted
from corpus.review.runs import open_run
from tests.bench import generator
from tests.bench.measure import Cost, process
from tests.bench.models import write_recipe

_MANY = {"REPEATED": 0.63, "EXACT": 0.1, "NEAR": 0.1}  # twice the rate of duplicates


class Figures(NamedTuple):
    """Core seconds, wall seconds, and bytes."""

    core_seconds: float
    wall_seconds: float
    written: float
    exchanged: float
    memory: float


@dataclass(frozen=True)
class Case:
    """A run to predict: its name, the folder of its input, its workers."""

    name: str
    input: str
    workers: int


CASES = (
    Case("the same again", "small", 1),
    Case("ten times the input", "large", 1),
    Case("twice the duplicates", "repeated", 1),
    Case("two workers, ten times the input", "large", 2),
)


def main() -> None:
    """Predict, run, and print both."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.plan", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=60, help="text of the small set (default 60)")
    parser.add_argument("--files", type=int, default=12, help="its WET files (default 12)")
    parser.add_argument("--folder", type=Path, help="where inputs are kept for the next time")
    parser.add_argument("--inputs", action="store_true", help="make the inputs, and stop")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llama-corpus-bench-") as temporary:
        folder = args.folder or Path(temporary)
        _make_inputs(folder, args.megabytes * 10**6, args.files)
        if not args.inputs:
            _predict_and_run(folder, Path(temporary))


def _make_inputs(folder: Path, size: int, files: int) -> None:
    write_recipe(folder / "words.toml", "words")
    sets = {"small": (size, files), "large": (10 * size, 10 * files), "repeated": (5 * size, 5 * files)}
    for name, (text_bytes, count) in sets.items():
        shares = _MANY if name == "repeated" else {key: getattr(generator, key) for key in _MANY}
        if not (folder / name).exists():
            with patch.multiple(generator, **shares):
                generator.make_wet_files(folder / name, text_bytes, count)


def _predict_and_run(folder: Path, runs: Path) -> None:
    _run(folder, runs / "sample", CASES[0])
    sample = measure(open_run(str(runs / "sample")))
    print(f"measured on: {duplicate_rate(sample):.1%} duplicates")
    print(f"{'':<52}{'':<14}{'predicted':>12}{'measured':>12}{'error':>8}")
    for number, case in enumerate(CASES):
        cost = _run(folder, runs / str(number), case)
        run = measure(open_run(str(runs / str(number))))
        _print(case, _predicted(folder, sample, run, case), _measured(run, cost), run)


def _run(folder: Path, output: Path, case: Case) -> Cost:
    command = [sys.executable, "-m", "pipelines", "crawl-filter", "--workers", str(case.workers)]
    inputs = ["--input", str(folder / case.input), "--recipe", str(folder / "words.toml")]
    return process([*command, *inputs, "--output", str(output)])


def _predicted(folder: Path, sample: MeasuredRun, run: MeasuredRun, case: Case) -> Figures:
    """By the sample alone, and the rate of duplicates that the user would have to know."""
    wanted = Wanted(
        recipe=recipe.load(str(folder / "words.toml")),
        workers=case.workers,
        volumes={},
        inputs=[str(folder / case.input)],
        input_root=None,
        duplicates=duplicate_rate(run) if case.input == "repeated" else None,
        dumps=1,
        part_bytes=1 << 30,
        prices=Prices(),
    )
    plan = make_plan([sample], wanted)
    (only,) = plan.runs
    exchanged = sum(stage.exchanged for stage in only.stages)
    for stage in only.stages:
        seconds = stage.cpu_seconds + stage.start_seconds
        took = sum(part.cpu for part in run.stage(stage.stage).parts)
        print(f"  {case.name}, {stage.stage}: {seconds:.2f} core seconds predicted, {took:.2f} measured")
    return Figures(plan.cpu_seconds, plan.wall_seconds, plan.written, exchanged, plan.memory)


def _measured(run: MeasuredRun, cost: Cost) -> Figures:
    written = sum(stage.written for stage in run.stages)
    return Figures(cost.cpu, cost.wall, written, sum(s.exchanged for s in run.stages), cost.memory)


def _print(case: Case, predicted: Figures, measured: Figures, run: MeasuredRun) -> None:
    name = f"{case.name} ({duplicate_rate(run):.0%} duplicates)"
    for what in Figures._fields:
        one, other = getattr(predicted, what), getattr(measured, what)
        scale, unit = (1.0, "s") if what.endswith("seconds") else (1e6, "MB")
        error = f"{one / other - 1:+8.1%}"
        print(f"{name:<52}{what:<14}{one / scale:>10.1f} {unit:<2}{other / scale:>9.1f} {unit:<2}{error}")
        name = ""


if __name__ == "__main__":
    main()
