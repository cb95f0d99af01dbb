"""The plan of a corpus: every run of it, from raw files to shards, by the rates of measured runs.

In: measured runs, a recipe, volumes, a number of workers. Out: a `Plan`. A run of `tokens` and one of
`shards` follow what the sources keep; the sources that no measured run is given of are left out, and named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from corpus.errors import UserError
from corpus.inputs import InputFile, resolve, split_from_dict
from corpus.recipe import Recipe
from corpus.review.plan import assumptions
from corpus.review.plan.amounts import Amounts, amounts, duplicate_rate
from corpus.review.plan.cost import Cost, Prices, costs
from corpus.review.plan.drawn import Drawn, drawn
from corpus.review.plan.measured import MeasuredRun, MeasuredStage
from corpus.review.plan.rates import rates
from corpus.review.plan.runs import RunPlan, plan_stages, read_bytes, start_seconds, too_small
from corpus.review.plan.tasks import Shares, layout
from corpus.review.plan.volumes import Volume, input_volume, recipe_volume

_SOURCES = ("crawl-filter", "build")


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
    of_sources = [run for run in measured if run.run.kind in _SOURCES]
    if not of_sources:
        raise UserError("no run of crawl-filter or build among those given: there is no source to plan")
    if wanted.inputs and len(of_sources) > 1:
        raise UserError("--input is of one source: give one run of crawl-filter or build with it")
    left_out = {"dedup", "decontaminate"} & {run.run.kind for run in measured}
    notes = [f"runs of {kind} are not planned" for kind in sorted(left_out)]
    runs = [_source_run(run, wanted) for run in of_sources]
    sources: tuple[Drawn, ...] = ()
    if tokens := by_label.get("tokens"):
        kept = {run.label: run.kept_bytes for run in runs}
        runs.append(_tokens_run(tokens, kept, wanted))
        if wanted.recipe.mixture:
            sources, problem = drawn(tokens, kept, wanted.recipe.mixture)
            notes += [problem] if problem else []
        if (shards := by_label.get("shards")) and sources:
            runs.append(_shards_run(shards, runs[-1], sources, wanted))
    notes += assumptions.of_workers(wanted.workers, measured)
    notes += assumptions.not_planned(by_label, wanted.recipe, all_sources=not wanted.inputs)
    plan = Plan(wanted.recipe.name, wanted.workers, tuple(runs), sources, (), tuple(notes))
    problems = [
        problem
        for run in runs
        for problem in too_small(by_label[run.label], rates(by_label[run.label]), run, plan.cpu_seconds)
    ]
    if problems:
        raise UserError("too little was measured to plan by: " + "; ".join(problems))
    read = sum(run.read_bytes for run in runs)
    return replace(
        plan,
        costs=costs(wanted.prices, wanted.workers, plan.wall_seconds, plan.written, plan.kept, read),
    )


def _source_run(run: MeasuredRun, wanted: Wanted) -> RunPlan:
    kept_bytes = run.stage("export").counters.get("bytes", 0)
    volume = _volume(run, kept_bytes / max(run.raw_bytes, 1), wanted)
    assert run.recipe is not None
    growth = volume.raw_bytes / max(run.raw_bytes, 1)
    crawl = run.run.kind == "crawl-filter"
    rate = wanted.duplicates if crawl else None
    cut = layout(run, wanted.recipe, volume.files, growth)
    had = layout(run, run.recipe, _files(run), 1.0) if crawl else cut
    before = amounts(run, had, run.raw_bytes, None, run.recipe)
    after = amounts(run, cut, volume.raw_bytes, rate, wanted.recipe)
    left = (1 - rate) / max(1 - duplicate_rate(run), 1e-9) if rate is not None else 1.0
    return _run_plan(
        run,
        wanted.workers,
        cut.shares,
        (before, after),
        volume=volume.raw_bytes,
        whence=volume.whence,
        cut=(len(volume.files), cut.splits, cut.scopes, cut.buckets),
        read=read_bytes(run, volume.raw_bytes),
        kept=kept_bytes * growth * left,
        notes=assumptions.of_source(run, wanted.recipe, rate),
    )


def _tokens_run(run: MeasuredRun, kept: Mapping[str, float], wanted: Wanted) -> RunPlan:
    parts = sum(max(math.ceil(text / wanted.part_bytes), 1) for text in kept.values())
    text = sum(kept.values())
    growth = text / max(run.stage("tokens").units, 1)
    return _following(run, {"tokens": parts}, growth, text, "bytes of text that the sources keep", wanted)


def _shards_run(run: MeasuredRun, tokens: RunPlan, sources: Sequence[Drawn], wanted: Wanted) -> RunPlan:
    wanted_tokens = sum(source.drawn for source in sources)
    growth = wanted_tokens / max(run.stage("draw").units, 1)
    assert wanted.recipe.mixture is not None
    shards = math.ceil(wanted_tokens / wanted.recipe.mixture.shard_tokens)
    of_tokens = tokens.stages[0].parts
    parts = {"histogram": of_tokens, "edges": of_tokens, "draw": of_tokens, "shards": shards}
    return _following(run, parts, growth, wanted_tokens * 2, "tokens drawn, two bytes each", wanted)


def _following(
    run: MeasuredRun, parts: Mapping[str, int], growth: float, volume: float, whence: str, wanted: Wanted
) -> RunPlan:
    """A run that reads no raw files: everything grows as what it reads."""
    shares: dict[str, Shares] = {
        stage.name: (1 / parts.get(stage.name, 1),) * parts.get(stage.name, 1) for stage in run.stages
    }
    grown, same = (
        Amounts(
            units={s.name: {s.driver: s.units * (by if s.name in parts else 1)} for s in run.stages},
            written={s.name: _written(s, by, len(shares[s.name])) for s in run.stages},
            exchanged={s.name: s.exchanged * by for s in run.stages},
            memory=dict.fromkeys(shares, 0.0),
            references=0.0,
        )
        for by in (growth, 1.0)
    )
    cut = (0, max(parts.values()), 0, 0)
    return _run_plan(
        run, wanted.workers, shares, (same, grown), volume, whence, cut, volume, 0.0,
        ("memory as in the measured run, whose parts may be smaller",),
    )  # fmt: skip


def _written(stage: MeasuredStage, growth: float, parts: int) -> float:
    """Bytes of a stage's files: as many a part where all of its parts have as many, else as its work."""
    sizes = {part.written for part in stage.parts}
    if growth == 1 or len(stage.parts) == 1 or len(sizes) > 1:
        return stage.written * (growth if parts > 1 else 1)
    return float(max(sizes) * parts)


def _run_plan(
    run: MeasuredRun,
    workers: int,
    shares: Mapping[str, Shares],
    done: tuple[Amounts, Amounts],
    volume: float,
    whence: str,
    cut: tuple[int, int, int, int],
    read: float,
    kept: float,
    notes: Sequence[str],
) -> RunPlan:
    found = rates(run)
    stages = plan_stages(run, found, shares, *done, workers)
    start_cpu, start_wall = start_seconds(run, workers)
    files, splits, scopes, buckets = cut
    return RunPlan(
        label=run.label,
        volume=volume,
        whence=whence,
        files=files,
        splits=splits,
        scopes=scopes,
        buckets=buckets,
        read_bytes=read,
        kept_bytes=kept,
        start_seconds=start_cpu,
        stages=stages,
        references=done[1].references,
        wall_seconds=start_wall + sum(stage.wall_seconds for stage in stages),
        notes=(*notes, *assumptions.of_clock(run.label, found)),
    )


def _volume(run: MeasuredRun, kept_share: float, wanted: Wanted) -> Volume:
    source = run.run.source
    if wanted.inputs:
        return input_volume(source, resolve(wanted.inputs, wanted.input_root))
    return recipe_volume(source, kept_share, wanted.dumps, wanted.volumes.get(source))


def _files(run: MeasuredRun) -> list[InputFile]:
    """The raw files of a crawl's run."""
    return [f for saved in run.run.json("inputs.json") for f in split_from_dict(saved).files]


def plain(plan: Plan) -> dict[str, object]:
    """A plan as plain data, its sums with it."""
    sums = ("cpu_seconds", "wall_seconds", "written", "kept", "exchanged", "memory")
    data = asdict(plan)
    for run, values in zip(plan.runs, data["runs"], strict=True):
        values |= {name: getattr(run, name) for name in sums}
    return data | {name: getattr(plan, name) for name in sums}
