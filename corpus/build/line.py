"""The usual line of stages of a source: extract → (index, unique, of each rule) → decide → export."""

from __future__ import annotations

from corpus.build import decide, export, extract, unique
from corpus.build.job import BuildJob
from corpus.stages import Stage


def usual_stages(job: BuildJob) -> tuple[Stage, ...]:
    """The stages of a source whose documents come whole out of its reader."""
    return (extract.stage(job.source), *closing_stages(job, annotated="extract"))


def closing_stages(job: BuildJob, annotated: str, verdicts: tuple[str, ...] = ()) -> tuple[Stage, ...]:
    """The stages after `annotated`, whose parts hold the documents: uniqueness, decisions, export.

    Args:
        job: of their source.
        annotated: the stage that wrote ``annotated/NAME.parquet``.
        verdicts: stages between that have said which documents others stand for (`corpus.build.verdicts`).
    """
    rules = job.source.unique(job.settings)
    return (
        *unique.stages(rules, annotated),
        decide.stage(annotated, (*verdicts, *unique.names(rules))),
        export.stage(annotated),
    )
