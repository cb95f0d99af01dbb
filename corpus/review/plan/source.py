"""A run of a source to come: from its raw files to its documents."""

from __future__ import annotations

from corpus.inputs import InputFile, resolve, split_from_dict
from corpus.review.plan import assumptions
from corpus.review.plan.amounts import amounts, duplicate_rate
from corpus.review.plan.measured import MeasuredRun
from corpus.review.plan.runs import Extent, RunPlan, plan_run, read_bytes
from corpus.review.plan.tasks import layout
from corpus.review.plan.volumes import Volume, input_volume, recipe_volume
from corpus.review.plan.wanted import Wanted


def source_run(run: MeasuredRun, wanted: Wanted) -> RunPlan:
    """Plan a run of the crawl filter or a build like a measured one.

    Raises:
        UserError: there is no volume of it, or no input.
    """
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
    extent = Extent(
        volume=volume.raw_bytes,
        whence=volume.whence,
        files=len(volume.files),
        splits=cut.splits,
        scopes=cut.scopes,
        buckets=cut.buckets,
        read_bytes=read_bytes(run, volume.raw_bytes),
        kept_bytes=kept_bytes * growth * left,
    )
    notes = assumptions.of_source(run, wanted.recipe, rate)
    return plan_run(run, wanted.workers, extent, cut.shares, (before, after), notes)


def _volume(run: MeasuredRun, kept_share: float, wanted: Wanted) -> Volume:
    source = run.run.source
    if wanted.inputs:
        return input_volume(source, resolve(wanted.inputs, wanted.input_root))
    return recipe_volume(source, kept_share, wanted.dumps, wanted.volumes.get(source))


def _files(run: MeasuredRun) -> list[InputFile]:
    """The raw files of a crawl's run."""
    return [f for saved in run.run.json("inputs.json") for f in split_from_dict(saved).files]
