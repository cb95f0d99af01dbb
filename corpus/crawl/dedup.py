"""Stage `dedup`: a bucket of the runs of one scope → the answer to each of them; and the answers read back.

Out: ``dedup/KIND-SCOPE-BUCKET.answer`` (see `corpus.runs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from corpus import storage
from corpus.crawl.job import CrawlJob, Scope
from corpus.crawl.pages import run_path
from corpus.dedup.paragraphs import ParagraphFilter
from corpus.errors import CorruptPartError
from corpus.inputs import Split
from corpus.parts import Part, PartWriter, check_file, commit_part
from corpus.runs import KeyFilter, Policy, Run, read_answers, write_answer


def answer_bucket(job: CrawlJob, scope: Scope, bucket: int, members: Mapping[int, str]) -> Part:
    """Merge one bucket of a scope.

    Args:
        members: digest of the index part of every split of the scope, by ordinal.
    """
    policy: Policy = job.settings.dedup.policy if scope.kind == "paragraphs" else "keep-first"
    memory = job.settings.dedup.bucket_bytes
    name = scope.part_name(bucket)
    inputs = [policy, scope.buckets, *(members[ordinal] for ordinal in sorted(members))]

    def work(writer: PartWriter) -> None:
        runs = [Run.open(_run(job, Split.name_of(ordinal), scope.kind)) for ordinal in sorted(members)]
        with writer.file(_answer(name)) as f:
            write_answer(f, runs, bucket, scope.buckets, policy, memory)

    return commit_part(job.root, job.spec("dedup", name, inputs), work)


def paragraph_filter(job: CrawlJob, split: Split, index: Part, scope: Scope) -> ParagraphFilter:
    """Which lines of a split stay, by the answers of its scope."""
    run = _checked_run(job, split, index, scope.kind)
    return ParagraphFilter.open(run.path, _answers(job, split, scope), job.settings.dedup.policy)


def id_filter(job: CrawlJob, split: Split, index: Part, scope: Scope) -> KeyFilter:
    """Which record ids of a split an earlier page has."""
    run = _checked_run(job, split, index, scope.kind)
    return KeyFilter(run.read().keys, read_answers(run, _answers(job, split, scope)), "keep-first")


def _answers(job: CrawlJob, split: Split, scope: Scope) -> Iterator[tuple[str, int]]:
    """Address of each bucket's answer, and the split's place among the runs that it answers."""
    place = scope.splits.index(split.ordinal)
    for bucket in range(scope.buckets):
        yield storage.join(job.root, _answer(scope.part_name(bucket))), place


def _checked_run(job: CrawlJob, split: Split, index: Part, kind: str) -> Run:
    file = index.file(run_path(split.name, kind))
    if file is None:
        raise CorruptPartError(f"index part {index.name} has no {kind} run; delete its record and run again")
    if problem := check_file(job.root, file):
        raise CorruptPartError(f"{problem}; delete it and run again")
    return Run.open(_run(job, split.name, kind))


def _run(job: CrawlJob, split_name: str, kind: str) -> str:
    return storage.join(job.root, run_path(split_name, kind))


def _answer(part_name: str) -> str:
    return f"dedup/{part_name}.answer"
