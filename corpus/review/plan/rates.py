"""Rates of a stage from its parts: seconds a unit of what drives it, less what a process costs to start.

The first parts of a process also load models, compile kernels and fill caches of words. So the rate is the
median of what the later half of its parts took (where parts differ twofold in size: the median slope between
any two of them, Theil 1950, Sen 1968), which a few slow ones do not move; what is above it in all parts is
the process's start.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Sequence
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
    slope, per_part = _line(measured)
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


def _later(measured: Sequence[MeasuredPart]) -> list[MeasuredPart]:
    """The later half of each process's parts, of those that have enough for it."""
    by_process: dict[str, list[MeasuredPart]] = defaultdict(list)
    for part in measured:
        by_process[part.process].append(part)
    enough = 2 * _TELLING
    return [p for own in by_process.values() for p in (own[len(own) // 2 :] if len(own) >= enough else own)]


def _line(measured: Sequence[MeasuredPart]) -> tuple[float, float]:
    """(CPU seconds a unit, CPU seconds a part)."""
    if not measured:
        return 0.0, 0.0
    sizes = [part.units for part in measured]
    if len(measured) >= _TELLING and max(sizes) >= _SPREAD * min(sizes):
        pairs = itertools.combinations(measured[:_PAIRED], 2)
        slope = statistics.median(
            [(b.cpu - a.cpu) / (b.units - a.units) for a, b in pairs if a.units != b.units]
        )
        per_part = statistics.median(part.cpu - slope * part.units for part in measured)
        if slope > 0 and per_part >= 0:
            return slope, per_part
    return statistics.median(part.cpu / part.units for part in _later(measured)), 0.0


_PAIRED = 500  # parts of which all pairs are looked at
