"""Rates of a stage from its parts: seconds a unit of what drives it, less what a process costs to start.

The first parts of a process also load models, compile kernels and fill caches of words. So the rate is the
median of what the parts took (where they differ twofold in size: the median slope between any two of them,
Theil 1950, Sen 1968), which a few slow ones do not move; what is above it is the process's start.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass, replace

from corpus.review.plan.measured import RAW, MeasuredPart, MeasuredRun, MeasuredStage

_SPREAD = 2.0  # largest part : smallest, from which on a part's own cost shows beside its size's
# CPU seconds below which a stage says little: records have milliseconds.
LEAST_WORK = 0.02
_TELLING = 4  # parts from which a median tells a start from the rest


@dataclass(frozen=True)
class Term:
    """CPU seconds a unit of one thing that a stage's work grows with."""

    driver: str
    per_unit: float


@dataclass(frozen=True)
class Rate:
    """What a stage takes.

    Attributes:
        stage: its name.
        terms: CPU seconds a unit, added up.
        per_part: CPU seconds of a part whatever its size; 0 where the parts are too alike to tell.
        start: CPU seconds that it adds to a process's first parts.
        wall_per_cpu: wall seconds a CPU second of a part.
        parts: how many were measured.
        work: CPU seconds of these less the starts: what the rate rests on.
        told_apart: whether there were parts enough to tell the start from the rate.
    """

    stage: str
    terms: tuple[Term, ...]
    per_part: float
    start: float
    wall_per_cpu: float
    parts: int
    work: float
    told_apart: bool


def rates(run: MeasuredRun) -> dict[str, Rate]:
    """The rate of each stage of a run, by name."""
    found = {stage.name: fit(stage) for stage in run.stages}
    if run.run.kind == "crawl-filter" and not extracted(run):
        found["annotate"] = _annotate(run, found["index"])
    return found


def fit(stage: MeasuredStage) -> Rate:
    """The rate of a stage that one thing drives."""
    measured = [part for part in stage.parts if part.units > 0]
    slope, per_part = _line([(part.units, part.cpu) for part in measured])
    steady = sum(per_part + slope * part.units for part in measured)
    cpu, wall = sum(p.cpu for p in stage.parts), sum(p.wall for p in stage.parts)
    told = cpu >= LEAST_WORK
    processes = len({part.process for part in measured})
    return Rate(
        stage=stage.name,
        terms=(Term(stage.driver, slope),),
        per_part=per_part,
        start=max(cpu - steady, 0.0) / max(processes, 1),
        wall_per_cpu=wall / cpu if told else 1.0,
        parts=len(measured),
        work=min(steady, cpu),
        told_apart=len(measured) >= _TELLING * max(processes, 1),
    )


def _annotate(run: MeasuredRun, index: Rate) -> Rate:
    """Reading the raw files again, at the rate of `index`; models, by what deduplication leaves."""
    stage = run.stage("annotate")
    again = index.terms[0].per_unit
    raw = {part.name: part.units for part in run.stage("index").parts}

    def less_reading(part: MeasuredPart) -> MeasuredPart:
        return replace(part, cpu=max(part.cpu - again * raw[part.name], 0.0))

    rest = fit(replace(stage, parts=tuple(map(less_reading, stage.parts))))
    whole = fit(stage)
    reading = again * sum(raw.values())
    return replace(
        rest,
        terms=(Term(RAW, again), *rest.terms),
        wall_per_cpu=whole.wall_per_cpu,
        work=min(rest.work + reading, sum(part.cpu for part in stage.parts)),
    )


def extracted(run: MeasuredRun) -> bool:
    """Whether the text of any raw file lies extracted (WARC), so that it is not read twice."""
    return any(f.path.startswith("extracted/") for part in run.run.parts("index") for f in part.files)


def _line(points: list[tuple[float, float]]) -> tuple[float, float]:
    """(seconds a unit, seconds a part) of (units, seconds)."""
    if not points:
        return 0.0, 0.0
    sizes = [units for units, _ in points]
    if len(points) >= _TELLING and max(sizes) >= _SPREAD * min(sizes):
        pairs = itertools.combinations(points[:_PAIRED], 2)
        slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs if a[0] != b[0]]
        slope = statistics.median(slopes)
        per_part = statistics.median(seconds - slope * units for units, seconds in points)
        if slope > 0 and per_part >= 0:
            return slope, per_part
    return statistics.median(seconds / units for units, seconds in points), 0.0


_PAIRED = 500  # parts of which all pairs are looked at
