"""What a plan takes for granted, said in words: where the measured run and the one to come differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from corpus import registry
from corpus.crawl.job import SOURCE, annotator_assets
from corpus.recipe import Recipe
from corpus.review.plan.amounts import duplicate_rate
from corpus.review.plan.measured import MeasuredRun
from corpus.review.plan.rates import Rate, extracted

_WAITING = 1.3  # seconds by the clock, a second on a core


def of_source(run: MeasuredRun, recipe: Recipe, rate: float | None) -> list[str]:
    """What is assumed of a source's run."""
    assert run.recipe is not None
    if run.run.source != SOURCE:
        notes = ["every stage grows as the raw bytes; buckets take as much memory as in the measured run"]
        if getattr(run.recipe, run.run.source) != getattr(recipe, run.run.source):
            notes.append(f"[{run.run.source}] of the measured run's recipe is another than the plan's")
        return notes
    notes = _of_annotators(run.recipe, recipe)
    if extracted(run):
        notes.append(
            "the measured run read HTML (WARC): what index takes and writes is that of text taken out of "
            "HTML, not of WET"
        )
    measured = duplicate_rate(run)
    notes.append(
        f"{measured:.1%} of the text are duplicates, as measured"
        if rate is None
        else f"{rate:.1%} of the text are duplicates, as asked for, where {measured:.1%} were measured; of "
        "what is left as much is kept, and lines repeat within splits in proportion"
    )
    notes.append("languages, the shares that rules keep, and keys that repeat within a split, as measured")
    one, other = run.recipe.commoncrawl.export.rejected, recipe.commoncrawl.export.rejected
    if one != other:
        notes.append(
            f"the measured run kept {one!r} of rejected pages, the recipe keeps {other!r}: what annotate "
            "writes follows from the shares of pages, taken to be as long everywhere"
        )
    return notes


def of_clock(label: str, found: Mapping[str, Rate]) -> list[str]:
    """Where the measured parts took much longer by the clock than on a core."""
    slow = [f"{name} {rate.wall_per_cpu:.1f}" for name, rate in found.items() if rate.wall_per_cpu > _WAITING]
    if not slow:
        return []
    return [
        f"parts wait again as in the measured run of {label}, for files or as the machine does other work; "
        f"time by the clock : core time {', '.join(slow)}"
    ]


def of_workers(workers: int, runs: Iterable[MeasuredRun]) -> list[str]:
    """What is assumed of the workers."""
    together = max(
        (len({part.process for part in stage.parts}) for run in runs for stage in run.stages), default=1
    )
    if workers <= together:
        return []
    return [
        f"workers do not slow one another down: at most {together} worked side by side in the measured runs"
    ]


def not_planned(labels: Iterable[str], recipe: Recipe, all_sources: bool) -> list[str]:
    """What of the recipe is left out, as no run of it was given."""
    given = set(labels)
    sources = [SOURCE, *registry.BUILDS] if all_sources else []
    lacking = [s for s in sources if s not in given and getattr(recipe, s, None) is not None]
    lacking += [kind for kind in ("tokens", "shards") if kind not in given]
    return [f"not planned, as no run of it was given: {', '.join(lacking)}"] if lacking else []


def _of_annotators(had: Recipe, recipe: Recipe) -> list[str]:
    notes = []
    for name in registry.ANNOTATORS:
        one, other = getattr(had.commoncrawl, name), getattr(recipe.commoncrawl, name)
        if (one is None) != (other is None):
            without = "without" if one is None else "with"
            notes.append(
                f"annotate was measured {without} [commoncrawl.{name}], which the recipe "
                f"{'has: its seconds are too few' if one is None else 'lacks: its seconds are too many'}"
            )
    models = sorted(set(annotator_assets(recipe.commoncrawl)) - set(annotator_assets(had.commoncrawl)))
    if models:
        notes.append(
            f"annotate was measured with other models than {', '.join(models)}: its seconds and memory are "
            "of those"
        )
    dedup, other_dedup = asdict(had.commoncrawl.dedup), asdict(recipe.commoncrawl.dedup)
    changed = [key for key in ("scope", "policy", "hash") if dedup[key] != other_dedup[key]]
    if changed:
        notes.append(
            f"duplicates were measured with another {', '.join(changed)}: the recipe will find another share"
        )
    return notes
