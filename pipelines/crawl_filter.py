"""The crawl filter as one Beam graph.

Elements are splits of the input, then references to parts (names, sizes, digests): no text, no hash and
no token passes between steps. Data of different splits meets in run files, read by range. Keys are numbers,
and declared to be, so that their coders are deterministic on every engine.

    splits ─ index ─┬─ group by (scope, bucket) ─ dedup ─ group by split ─┬─ annotate ─ decide ─ export
                    └──────────────────────────────────────────────────────┘

Where whole pages are compared, stage `duplicates` stands between annotate and decide: twice the same way
from runs to answers, of addresses and then of texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import apache_beam as beam

from corpus.crawl.annotate import annotate_split
from corpus.crawl.decisions import decide_part
from corpus.crawl.dedup import answer_bucket
from corpus.crawl.duplicates import index_newest, mark_split
from corpus.crawl.export import export_group
from corpus.crawl.index import index_split
from corpus.crawl.job import CrawlJob, Scope, duplicate_scopes, scopes, stages_until
from corpus.inputs import Split
from corpus.parts import Part
from corpus.recipe import digest
from pipelines.engines.on_worker import OnWorker

# By split (or export file): a `Split`, a `Part`, a pair of parts, or (scope, digest of answers).
_OfSplit = tuple[int, Any]
# By (scope, bucket): (split, digest of the part with its runs).
_OfBucket = tuple[tuple[int, int], tuple[int, str]]
# By scope: (bucket, digest of its answer).
_OfScope = tuple[int, tuple[int, str]]


def build(
    pipeline: beam.Pipeline, job: CrawlJob, splits: Sequence[Split], until: str, on_worker: OnWorker
) -> None:
    """Add the graph to a pipeline, up to and with the stage `until`; `on_worker` goes before its work."""
    stages = stages_until(job.settings, until)
    plan = scopes(job.settings, splits, job.earlier)
    # Local workers are dealt their elements once: the largest first, so that the shares are even.
    by_size = sorted(splits, key=lambda s: (-s.bytes, s.ordinal))
    start = beam.Create([(s.ordinal, s) for s in by_size], reshuffle=False).with_output_types(_OfSplit)
    work = _spread(pipeline | "Splits" >> start, on_worker)
    indexed = work | "Index" >> _map(_index, _OfSplit, job=job)
    if "dedup" not in stages:
        return
    answers = _answers("Dedup", indexed, job, plan)
    if "annotate" not in stages:
        return
    annotated = (
        {"split": work, "index": indexed, "answers": answers}
        | "BySplit" >> beam.CoGroupByKey()
        | "Annotate" >> _map(_annotate, _OfSplit, job=job, plan=plan)
    )
    if "duplicates" in stages:
        found = _duplicates(annotated, job, duplicate_scopes(job.settings, splits))
        pairs = {"annotated": annotated, "found": found} | "WithDuplicates" >> beam.CoGroupByKey()
        annotated = pairs | "Pair" >> _map(_pair, _OfSplit)
    else:
        annotated = annotated | "Alone" >> _map(_alone, _OfSplit)
    _decide_and_export(annotated, job, stages)


def build_decide(
    pipeline: beam.Pipeline,
    job: CrawlJob,
    annotated: Sequence[tuple[Part, Part | None]],
    until: str,
    on_worker: OnWorker,
) -> None:
    """Add a graph that decides (and exports) parts that are annotated, and compared, already."""
    numbered = [(int(p.name.removeprefix("part-")), (p, d)) for p, d in annotated]
    start = beam.Create(numbered, reshuffle=False).with_output_types(_OfSplit)
    _decide_and_export(
        _spread(pipeline | "Annotated" >> start, on_worker), job, stages_until(job.settings, until)
    )


def _spread(elements: Any, on_worker: OnWorker) -> Any:
    """Elements dealt out to workers that are found fit for the run."""
    fit = beam.ParDo(on_worker).with_output_types(_OfSplit)
    return elements | "Spread" >> beam.Reshuffle() | "OnWorker" >> fit


def _map(function: Callable[..., Any], type_: Any, **known: Any) -> Any:
    """A step whose elements are declared to be of a type, as Beam cannot read it from a `partial`."""
    return beam.MapTuple(partial(function, **known)).with_output_types(type_)


def _answers(name: str, parts: Any, job: CrawlJob, plan: Sequence[Scope]) -> Any:
    """Answers to the runs in the parts of all splits: (split, (scope, digest of all its answers))."""
    return (
        parts
        | f"{name}Buckets"
        >> beam.FlatMapTuple(partial(_buckets_of_split, plan=plan)).with_output_types(_OfBucket)
        | f"{name}ByBucket" >> beam.GroupByKey()
        | name >> _map(_answer, _OfScope, job=job, plan=plan)
        | f"{name}ByScope" >> beam.GroupByKey()
        | f"{name}Splits"
        >> beam.FlatMapTuple(partial(_splits_of_scope, plan=plan)).with_output_types(_OfSplit)
    )


def _duplicates(annotated: Any, job: CrawlJob, plan: Sequence[Scope]) -> Any:
    """The parts of stage `duplicates` by split: first the addresses, then the texts of the newest pages."""
    newest, compared = [s for s in plan if s.kind == "url"], [s for s in plan if s.kind != "url"]
    inputs = {"annotated": annotated}
    if newest:
        inputs["newest"] = _answers("Newest", annotated, job, newest)
    if compared:
        indexed = (
            inputs
            | "NewestBySplit" >> beam.CoGroupByKey()
            | "IndexNewest" >> _map(_index_newest, _OfSplit, job=job, newest=newest)
        )
        inputs |= {"runs": indexed, "compared": _answers("Compare", indexed, job, compared)}
    mark = _map(_mark, _OfSplit, job=job, newest=newest, compared=compared)
    return inputs | "FoundBySplit" >> beam.CoGroupByKey() | "Mark" >> mark


def _decide_and_export(annotated: Any, job: CrawlJob, stages: Sequence[str]) -> None:
    if "decide" not in stages:
        return
    decided = annotated | "Decide" >> _map(_decide, _OfSplit, job=job)
    if "export" not in stages:
        return
    size = job.settings.export.splits_per_file
    _ = (
        decided
        | "ByExportFile" >> _map(_export_group, _OfSplit, size=size)
        | "GroupForExport" >> beam.GroupByKey()
        | "Export" >> _map(_export, Part, job=job)
    )


def _index(ordinal: int, split: Split, job: CrawlJob) -> tuple[int, Part]:
    return ordinal, index_split(job, split)


def _buckets_of_split(
    ordinal: int, part: Part, plan: Sequence[Scope]
) -> Iterator[tuple[tuple[int, int], tuple[int, str]]]:
    """((scope, bucket), (split, digest of the part with its runs)) for every bucket a split takes part in."""
    for number, scope in enumerate(plan):
        if ordinal in scope.splits:
            for bucket in range(scope.buckets):
                yield (number, bucket), (ordinal, part.digest)


def _answer(
    key: tuple[int, int], members: Iterable[tuple[int, str]], job: CrawlJob, plan: Sequence[Scope]
) -> tuple[int, tuple[int, str]]:
    """(scope, (bucket, digest of its answer part))."""
    number, bucket = key
    answer = answer_bucket(job, plan[number], bucket, dict(members))
    return number, (bucket, answer.digest)


def _splits_of_scope(
    number: int, answers: Iterable[tuple[int, str]], plan: Sequence[Scope]
) -> Iterator[tuple[int, tuple[int, str]]]:
    """(split, (scope, digest of all its answers)) for each split of a scope."""
    whole = digest(sorted(answers))
    for ordinal in plan[number].splits:
        yield ordinal, (number, whole)


def _annotate(
    ordinal: int, group: dict[str, Iterable[Any]], job: CrawlJob, plan: Sequence[Scope]
) -> tuple[int, Part]:
    (split,), (index,) = list(group["split"]), list(group["index"])
    answers = {plan[number]: whole for number, whole in group["answers"]}
    return ordinal, annotate_split(job, split, index, answers)


def _index_newest(
    ordinal: int, group: dict[str, Iterable[Any]], job: CrawlJob, newest: Sequence[Scope]
) -> tuple[int, Part]:
    (annotated,) = group["annotated"]
    answers = {newest[number]: whole for number, whole in group.get("newest", ())}
    return ordinal, index_newest(job, ordinal, annotated, answers)


def _mark(
    ordinal: int,
    group: dict[str, Iterable[Any]],
    job: CrawlJob,
    newest: Sequence[Scope],
    compared: Sequence[Scope],
) -> tuple[int, Part]:
    (annotated,) = group["annotated"]
    answers = {newest[number]: whole for number, whole in group.get("newest", ())}
    answers |= {compared[number]: whole for number, whole in group.get("compared", ())}
    return ordinal, mark_split(job, ordinal, annotated, next(iter(group.get("runs", ())), None), answers)


def _pair(ordinal: int, group: dict[str, Iterable[Part]]) -> tuple[int, tuple[Part, Part]]:
    (annotated,), (found,) = group["annotated"], group["found"]
    return ordinal, (annotated, found)


def _alone(ordinal: int, annotated: Part) -> tuple[int, tuple[Part, None]]:
    return ordinal, (annotated, None)


def _decide(ordinal: int, parts: tuple[Part, Part | None], job: CrawlJob) -> tuple[int, tuple[Part, Part]]:
    return ordinal, (parts[0], decide_part(job, *parts))


def _export_group(
    ordinal: int, pair: tuple[Part, Part], size: int
) -> tuple[int, tuple[int, tuple[Part, Part]]]:
    return ordinal // size, (ordinal, pair)


def _export(group: int, members: Iterable[tuple[int, tuple[Part, Part]]], job: CrawlJob) -> Part:
    in_order = [pair for _, pair in sorted(members, key=lambda m: m[0])]
    return export_group(job, group, in_order)
