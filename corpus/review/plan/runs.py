"""One run to come: its stages with their work, wall time, bytes and memory, from a measured one's rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus.crawl.job import SOURCE
from corpus.review.plan import assumptions
from corpus.review.plan.amounts import Amounts
from corpus.review.plan.measured import MeasuredRun, MeasuredStage
from corpus.review.plan.rates import LEAST_WORK, Rate, extracted, rates
from corpus.review.plan.schedule import makespan

# CPU seconds in which an interpreter takes down what it has imported, to those in which it started: 0.37 to
# 0.47 for Beam alone, and for whole commands. No record can have them.
_END = 0.4
_MATTERS = 0.05  # share of a plan's core seconds


@dataclass(frozen=True)
class StagePlan:
    """A stage of a run to come.

    Attributes:
        stage: its name.
        units: of each thing that drives it, how much, and CPU seconds a unit.
        parts: how many.
        cpu_seconds: of all its parts, starts left out.
        start_seconds: CPU seconds of what its first part costs each process, in all.
        wall_seconds: on the workers, until the last part is done.
        longest_seconds: of the longest part.
        written, exchanged: bytes of its files; of these, of files through which splits meet.
        memory: resident bytes of a worker.
        measured: on how much its rate rests.
    """

    stage: str
    units: Mapping[str, tuple[float, float]]
    parts: int
    cpu_seconds: float
    start_seconds: float
    wall_seconds: float
    longest_seconds: float
    written: float
    exchanged: float
    memory: float
    measured: str


@dataclass(frozen=True)
class Extent:
    """How much a run to come reads and keeps, and how it is cut.

    Attributes:
        volume: raw bytes, or of what it reads.
        whence: who says so.
        files, splits, scopes, buckets: raw files, and how they are cut.
        read_bytes: of raw files; the crawl's WET is read twice.
        kept_bytes: of text that is kept.
    """

    volume: float
    whence: str
    files: int
    splits: int
    scopes: int
    buckets: int
    read_bytes: float
    kept_bytes: float


@dataclass(frozen=True)
class RunPlan(Extent):
    """A run to come.

    Attributes:
        label: its source, or kind.
        start_seconds: CPU seconds of processes before their first part, and after the last.
        stages: in their order.
        references: bytes that pass through the engine.
        wall_seconds: with the starts.
        notes: what was assumed.
    """

    label: str
    start_seconds: float
    stages: tuple[StagePlan, ...]
    references: float
    wall_seconds: float
    notes: tuple[str, ...]

    @property
    def cpu_seconds(self) -> float:
        """Core seconds of work, starts included."""
        return self.start_seconds + sum(s.cpu_seconds + s.start_seconds for s in self.stages)

    @property
    def written(self) -> float:
        """Bytes of all its files, none of which a run removes: what is stored at its end, the peak."""
        return sum(s.written for s in self.stages)

    @property
    def exchanged(self) -> float:
        """Bytes through which splits meet, and references through the engine."""
        return sum(s.exchanged for s in self.stages) + self.references

    @property
    def kept(self) -> float:
        """Bytes that later commands read: all but what was exchanged."""
        return sum(s.written - s.exchanged for s in self.stages)

    @property
    def memory(self) -> float:
        """Resident bytes of a worker at most."""
        return max((s.memory for s in self.stages), default=0.0)


def plan_run(
    run: MeasuredRun,
    workers: int,
    extent: Extent,
    shares: Mapping[str, Sequence[float]],
    done: tuple[Amounts, Amounts],
    notes: Sequence[str],
) -> RunPlan:
    """A run to come.

    Args:
        run: the measured run.
        workers: processes.
        extent: of the run to come.
        shares: of each part of each stage, its share of the stage's work.
        done: what the measured run did, and what is to be done.
        notes: what was assumed.
    """
    found = rates(run)
    stages = _stages(run, found, shares, *done, workers)
    start_cpu, start_wall = _start_seconds(run, workers)
    return RunPlan(
        **vars(extent),
        label=run.label,
        start_seconds=start_cpu,
        stages=stages,
        references=done[1].references,
        wall_seconds=start_wall + sum(stage.wall_seconds for stage in stages),
        notes=(*notes, *assumptions.of_clock(run.label, found)),
    )


def _stages(
    run: MeasuredRun,
    found_rates: Mapping[str, Rate],
    shares: Mapping[str, Sequence[float]],
    before: Amounts,
    after: Amounts,
    workers: int,
) -> tuple[StagePlan, ...]:
    """The stages of a run to come."""
    found = []
    for stage in run.stages:
        rate = found_rates[stage.name]
        units = {t.driver: (after.units[stage.name].get(t.driver, 0.0), t.per_unit) for t in rate.terms}
        work = sum(amount * per_unit for amount, per_unit in units.values())
        of_parts = [(work * share + rate.per_part) * rate.wall_per_cpu for share in shares[stage.name]]
        parts = len(of_parts)
        start = rate.start * min(workers, parts)
        written = max(after.written[stage.name], 0.0)
        found.append(
            StagePlan(
                stage=stage.name,
                units=units,
                parts=parts,
                cpu_seconds=work + rate.per_part * parts,
                start_seconds=start,
                wall_seconds=makespan(of_parts, workers) + rate.start * rate.wall_per_cpu * (parts > 0),
                longest_seconds=max(of_parts, default=0.0),
                written=written,
                exchanged=after.exchanged[stage.name],
                memory=_memory(stage, before, after),
                measured=_basis(rate),
            )
        )
    return tuple(found)


def too_small(run: MeasuredRun, planned: RunPlan, whole: float) -> list[str]:
    """The stages of a plan that matter, and were measured on too little work, with how much it takes.

    Args:
        whole: core seconds of all runs of the plan.
    """
    problems, found = [], rates(run)
    for stage in planned.stages:
        rate = found[stage.stage]
        if rate.work >= LEAST_WORK or stage.cpu_seconds < _MATTERS * whole:
            continue
        times = math.ceil(LEAST_WORK / max(rate.work, LEAST_WORK / 100))
        needed = (
            f"{run.raw_bytes * times / 1e6:,.1f} MB of raw input" if run.raw_bytes else f"{times} times it"
        )
        problems.append(
            f"stage {stage.stage} of {run.run.root}: {rate.work:.3f} s in {rate.parts} parts, where {needed} "
            f"would have {LEAST_WORK} s"
        )
    return problems


def _start_seconds(run: MeasuredRun, workers: int) -> tuple[float, float]:
    """(CPU seconds, wall seconds) of a command's start and end, and of its workers' where it has several.

    A command with worker processes leaves without taking its interpreter down (`pipelines.__main__`), its
    workers take down theirs.
    """
    start = run.start_cpu
    whole = start * (1 + _END)
    return (whole, whole) if workers == 1 else (start + whole * workers, start + whole)


def read_bytes(run: MeasuredRun, raw: float) -> float:
    """Bytes read of the raw files: of WET, whose text is not written in between, twice."""
    twice = run.run.source == SOURCE and not extracted(run)
    return raw * (2 if twice else 1)


def _memory(stage: MeasuredStage, before: Amounts, after: Amounts) -> float:
    peak = max((part.memory for part in stage.parts), default=0)
    return max(peak - before.memory[stage.name], 0.0) + after.memory[stage.name]


def _basis(rate: Rate) -> str:
    notes = [] if rate.told_apart else ["starts not told apart"]
    if rate.work < LEAST_WORK:
        notes.append("too little to be exact")
    parts = "1 part" if rate.parts == 1 else f"{rate.parts} parts"
    return ", ".join([f"{rate.work:.3g} s in {parts}", *notes])
