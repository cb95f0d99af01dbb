"""The parts that each stage of a run will have, as the stages' own planning gives them.

In: raw files and the recipe. Out: by stage the share of its work that each of its parts is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus import exchange, registry
from corpus.build import unique
from corpus.build.job import plan_splits as plan_build_splits
from corpus.crawl.job import SOURCE, duplicate_scopes, export_groups, scopes
from corpus.inputs import InputFile, plan_splits
from corpus.recipe import Recipe
from corpus.review.plan.measured import MeasuredRun

Shares = tuple[float, ...]  # summing to 1

# Stages whose parts are buckets, and the stage whose files are cut into them.
_BUCKETS_OF = {"pairs": "sketch", "overlaps": "sketch", "join": "extract"}
_UNPACKED = 6  # rows of posts in memory : their file (`corpus.sources.stackexchange.stages`)


@dataclass(frozen=True)
class Layout:
    """How a run is cut.

    Attributes:
        splits: parts that read raw files.
        scopes: of deduplication; 0 where there are none.
        buckets: of a scope, at most.
        splits_of_scope: of the largest.
        shares: by stage, of each part its share of the work.
    """

    splits: int
    scopes: int
    buckets: int
    splits_of_scope: int
    shares: Mapping[str, Shares]


def layout(run: MeasuredRun, recipe: Recipe, files: Sequence[InputFile], growth: float) -> Layout:
    """How a run over other files than the measured one's will be cut.

    Args:
        run: the measured run, of the same source.
        recipe: of the run to come.
        files: its raw files.
        growth: their bytes : the measured run's.
    """
    if run.run.source == SOURCE:
        return crawl_layout(recipe, files)
    return _build(run, recipe, files, growth)


def crawl_layout(recipe: Recipe, files: Sequence[InputFile]) -> Layout:
    """How a run of the crawl filter over these files will be cut."""
    settings = recipe.commoncrawl
    splits = plan_splits(files, settings.dedup)
    sizes = [float(split.bytes) for split in splits]
    deduplicated = scopes(settings, splits)
    paragraphs = [scope for scope in deduplicated if scope.kind == "paragraphs"]
    groups = export_groups([split.ordinal for split in splits], settings)
    # Keys of lines are as many as there is text, those of ids some hundredths of them.
    merged = [
        sum(sizes[i] for i in scope.splits) / scope.buckets
        for scope in paragraphs
        for _ in range(scope.buckets)
    ]
    compared = [bucket for scope in duplicate_scopes(settings, splits) for bucket in range(scope.buckets)]
    shares = {
        "index": _shares(sizes),
        "dedup": _shares(merged),
        "annotate": _shares(sizes),
        "decide": _shares(sizes),
        "export": _shares([sum(sizes[i] for i in group) for group in groups.values()]),
    }
    if settings.duplicates:
        shares["duplicates"] = _shares(sizes + [sum(sizes) / len(compared)] * len(compared))
    return Layout(
        splits=len(splits),
        scopes=len(paragraphs),
        buckets=max(scope.buckets for scope in paragraphs),
        splits_of_scope=max(len(scope.splits) for scope in paragraphs),
        shares=shares,
    )


def _build(run: MeasuredRun, recipe: Recipe, files: Sequence[InputFile], growth: float) -> Layout:
    build = recipe.build
    splits = plan_build_splits(files, registry.build_source(run.run.source), build.split_bytes)
    aligned = _shares([float(sum(r.bytes for r in split.ranges)) for split in splits])
    documents, buckets = aligned, 0
    shares: dict[str, Shares] = {}
    for stage in run.stages:
        if stage.name.startswith("unique-"):
            rows = round(run.stage("decide").counters.get("in", 0) * growth)
            count = unique.bucket_count(rows, build.bucket_bytes)
        elif stage.name in _BUCKETS_OF:
            exchanged = run.stage(_BUCKETS_OF[stage.name]).exchanged * growth
            held = exchanged * (_UNPACKED if stage.name == "join" else 1)
            count = exchange.bucket_count(round(held), build.bucket_bytes)
        elif stage.name == "export":
            count = -(-len(documents) // build.splits_per_file)
        elif all(part.name.startswith("part-") for part in stage.parts):
            shares[stage.name] = documents
            continue
        else:
            count = 1
        shares[stage.name] = (1 / count,) * count
        if stage.name == "join":
            documents = shares[stage.name]
        if stage.name != "export":
            buckets = max(buckets, count)
    return Layout(len(splits), 0, buckets, 0, shares)


def _shares(sizes: Sequence[float]) -> Shares:
    whole = sum(sizes)
    if not whole:
        return (1 / len(sizes),) * len(sizes) if sizes else ()
    return tuple(size / whole for size in sizes)
