"""The runs that follow the sources: tokens of all that they keep, and the shards of a mixture of these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from corpus.review.plan.amounts import Amounts
from corpus.review.plan.drawn import Drawn
from corpus.review.plan.measured import MeasuredRun, MeasuredStage
from corpus.review.plan.runs import Extent, RunPlan, plan_run
from corpus.review.plan.tasks import Shares
from corpus.review.plan.wanted import Wanted


def tokens_run(run: MeasuredRun, kept: Mapping[str, float], wanted: Wanted) -> RunPlan:
    """Plan a run of `tokenize`.

    Args:
        run: a measured one.
        kept: bytes of text that each source keeps.
    """
    parts = sum(max(math.ceil(text / wanted.part_bytes), 1) for text in kept.values())
    text = sum(kept.values())
    growth = text / max(run.stage("tokens").units, 1)
    return _following(run, {"tokens": parts}, growth, text, "bytes of text that the sources keep", wanted)


def shards_run(run: MeasuredRun, tokens: RunPlan, sources: Sequence[Drawn], wanted: Wanted) -> RunPlan:
    """Plan a run of `mix`.

    Args:
        run: a measured one.
        tokens: the run of `tokenize` before it.
        sources: what is drawn of each.
    """
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
    extent = Extent(volume, whence, 0, max(parts.values()), 0, 0, volume, 0.0)
    notes = ["memory as in the measured run, whose parts may be smaller"]
    return plan_run(run, wanted.workers, extent, shares, (same, grown), notes)


def _written(stage: MeasuredStage, growth: float, parts: int) -> float:
    """Bytes of a stage's files: as many a part where all of its parts have as many, else as its work."""
    sizes = {part.written for part in stage.parts}
    if growth == 1 or len(stage.parts) == 1 or len(sizes) > 1:
        return stage.written * (growth if parts > 1 else 1)
    return float(max(sizes) * parts)
