"""The usual line of stages of a source: extract → (index → unique) → decide → export."""

from __future__ import annotations

from corpus.build import decide, export, extract, unique
from corpus.build.source import BuildSource
from corpus.stages import Stage


def usual_stages(source: BuildSource) -> tuple[Stage, ...]:
    """The stages of a source whose documents come whole out of its reader."""
    return (extract.stage(source), *closing_stages(source, annotated="extract"))


def closing_stages(source: BuildSource, annotated: str, verdicts: tuple[str, ...] = ()) -> tuple[Stage, ...]:
    """The stages after `annotated`, whose parts hold the documents: uniqueness, decisions, export.

    Args:
        source: their source.
        annotated: the stage that wrote ``annotated/NAME.parquet``.
        verdicts: stages between that have said which documents others stand for (`corpus.build.verdicts`).
    """
    return (
        *unique.stages(source, annotated),
        decide.stage(source, annotated, (*verdicts, unique.NAME)),
        export.stage(annotated),
    )
