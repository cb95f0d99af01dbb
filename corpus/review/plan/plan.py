"""The plan of a corpus: every run of it, from raw files to shards, by the rates of measured runs.

In: measured runs, a recipe, volumes, a number of workers. Out: a `Plan`. A run of `tokens` and one of
`shards` follow what the sources keep; the sources that no measured run is given of are left out, and named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from corpus.errors import UserError
from corpus.review.plan import assumptions
from corpus.review.plan.cost import Cost, costs
from corpus.review.plan.drawn import Drawn, drawn
from corpus.review.plan.following import shards_run, tokens_run
from corpus.review.plan.measured import MeasuredRun
from corpus.review.plan.runs import RunPlan, too_small
from corpus.review.plan.source import source_run
from corpus.review.plan.wanted import Wanted
from corpus.review.runs import DECIDED


@dataclass(frozen=True)
class Plan:
    """All runs of a corpus, one after the other; what the sources give; what it costs; what was assumed."""

    recipe: str
    workers: int
    runs: tuple[RunPlan, ...]
    sources: tuple[Drawn, ...]
    costs: tuple[Cost, ...]
    notes: tuple[str, ...]

    @property
    def cpu_seconds(self) -> float:
        """Core seconds of work."""
        return sum(run.cpu_seconds for run in self.runs)

    @property
    def wall_seconds(self) -> float:
        """With the runs one after the other, each on all workers."""
        return sum(run.wall_seconds for run in self.runs)

    @property
    def written(self) -> float:
        """Bytes stored at the end: nothing is removed on the way, so the peak."""
        return sum(run.written for run in self.runs)

    @property
    def kept(self) -> float:
        """Bytes that later commands read."""
        return sum(run.kept for run in self.runs)

    @property
    def exchanged(self) -> float:
        """Bytes through which splits meet."""
        return sum(run.exchanged for run in self.runs)

    @property
    def memory(self) -> float:
        """Resident bytes of a worker at most."""
        return max(run.memory for run in self.runs)


def make_plan(measured: Sequence[MeasuredRun], wanted: Wanted) -> Plan:
    """Plan a corpus.

    Raises:
        UserError: two runs of one source, none of a source, a run too small to measure, numbers that no run
            can have.
    """
    wanted.check()
    by_label: dict[str, MeasuredRun] = {}
    for run in measured:
        if run.label in by_label:
            other = by_label[run.label].run.root
            raise UserError(
                f"{other} and {run.run.root} are both runs of {run.label}: give one to measure by"
            )
        by_label[run.label] = run
    of_sources = [run for run in measured if run.run.kind in DECIDED]
    if not of_sources:
        raise UserError("no run of crawl-filter or build among those given: there is no source to plan")
    if wanted.inputs and len(of_sources) > 1:
        raise UserError("--input is of one source: give one run of crawl-filter or build with it")
    left_out = {"dedup", "decontaminate"} & {run.run.kind for run in measured}
    notes = [f"runs of {kind} are not planned" for kind in sorted(left_out)]
    runs = [source_run(run, wanted) for run in of_sources]
    sources: tuple[Drawn, ...] = ()
    if tokens := by_label.get("tokens"):
        kept = {run.label: run.kept_bytes for run in runs}
        runs.append(tokens_run(tokens, kept, wanted))
        if wanted.recipe.mixture:
            sources, problem = drawn(tokens, kept, wanted.recipe.mixture)
            notes += [problem] if problem else []
        if (shards := by_label.get("shards")) and sources:
            runs.append(shards_run(shards, runs[-1], sources, wanted))
    notes += assumptions.of_workers(wanted.workers, measured)
    notes += assumptions.not_planned(by_label, wanted.recipe, all_sources=not wanted.inputs)
    plan = Plan(wanted.recipe.name, wanted.workers, tuple(runs), sources, (), tuple(notes))
    problems = [problem for run in runs for problem in too_small(by_label[run.label], run, plan.cpu_seconds)]
    if problems:
        raise UserError("too little was measured to plan by: " + "; ".join(problems))
    read = sum(run.read_bytes for run in runs if run.files)
    return replace(
        plan,
        costs=costs(wanted.prices, wanted.workers, plan.wall_seconds, plan.written, plan.kept, read),
    )


def plain(plan: Plan) -> dict[str, object]:
    """A plan as plain data, its sums with it."""
    sums = ("cpu_seconds", "wall_seconds", "written", "kept", "exchanged", "memory")
    data = asdict(plan)
    for run, values in zip(plan.runs, data["runs"], strict=True):
        values |= {name: getattr(run, name) for name in sums}
    return data | {name: getattr(plan, name) for name in sums}
