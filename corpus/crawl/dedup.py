"""Stage `dedup`: a bucket of the runs of one scope → the answer to each of them; and the answers read back.

Out: ``dedup/KIND-SCOPE-BUCKET.answer`` (see `corpus.runs`), or ``duplicates/…`` for whole pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from corpus import storage
from corpus.crawl.job import CrawlJob, Scope
from corpus.crawl.pages import run_path
from corpus.dedup.paragraphs import ParagraphFilter
from corpus.errors import CorruptPartError
from corpus.inputs import Split
from corpus.parts import Part, PartWriter, check_file, commit_part
from corpus.runs import KeyFilter, Merge, Run, read_answers, write_answer


def answer_bucket(job: CrawlJob, scope: Scope, bucket: int, members: Mapping[int, str]) -> Part:
    """Merge one bucket of a scope, of earlier runs first.

    Args:
        members: digest of the part that holds the run, of every split of the scope, by ordinal.
    """
    policies: dict[str, Merge] = {"paragraphs": job.settings.dedup.policy, "url": "keep-newest"}
    policy = policies.get(scope.kind, "keep-first")
    memory = job.settings.dedup.bucket_bytes
    name = scope.part_name(bucket)
    inputs: list[Any] = [policy, scope.buckets, *(members[ordinal] for ordinal in sorted(members))]
    if job.earlier:
        inputs.append({"after": [run.sha256 for run in job.earlier]})

    def work(writer: PartWriter) -> None:
        # Runs of earlier crawls are not hashed here, once a bucket: `read_earlier` compared their sizes with
        # their records, and each section that is read is checked by its own checksum.
        earlier = [
            Run.open(storage.join(run.root, run_path(Split.name_of(ordinal), scope.kind)))
            for run in job.earlier
            for ordinal in range(run.splits)
        ]
        runs = [Run.open(_run(job, Split.name_of(ordinal), scope.kind)) for ordinal in sorted(members)]
        with writer.file(_answer(scope, bucket)) as f:
            write_answer(f, [*earlier, *runs], bucket, scope.buckets, policy, memory, unasked=len(earlier))

    return commit_part(job.root, job.spec(scope.stage, name, inputs), work)


def paragraph_filter(job: CrawlJob, split: Split, index: Part, scope: Scope) -> ParagraphFilter:
    """Which lines of a split stay, by the answers of its scope."""
    run = checked_run(job, split.ordinal, index, scope.kind)
    answers = paths_of_answers(job, split.ordinal, scope)
    return ParagraphFilter.open(run.path, answers, job.settings.dedup.policy)


def key_filter(job: CrawlJob, ordinal: int, part: Part, scope: Scope) -> KeyFilter:
    """Which keys of a split an earlier page has: record ids, or keys of texts.

    Args:
        ordinal: the split's.
        part: holds the split's run.
        scope: of a kind that keeps the first.
    """
    run = checked_run(job, ordinal, part, scope.kind)
    bits = read_answers(run, paths_of_answers(job, ordinal, scope))
    return KeyFilter(run.read().keys, bits, "keep-first")


def paths_of_answers(job: CrawlJob, ordinal: int, scope: Scope) -> Iterator[tuple[str, int]]:
    """Address of each bucket's answer, and the split's place among the runs that it answers."""
    place = scope.splits.index(ordinal)
    for bucket in range(scope.buckets):
        yield storage.join(job.root, _answer(scope, bucket)), place


def checked_run(job: CrawlJob, ordinal: int, part: Part, kind: str) -> Run:
    """A split's run, opened after its size and sha256 have been checked.

    Raises:
        CorruptPartError: it is not what the part's record says.
    """
    name = Split.name_of(ordinal)
    file = part.file(run_path(name, kind))
    if file is None:
        raise CorruptPartError(
            f"part {part.name} of {part.stage} has no {kind} run; delete its record and run again"
        )
    if problem := check_file(job.root, file):
        raise CorruptPartError(f"{problem}; delete it and run again")
    return Run.open(_run(job, name, kind))


def _run(job: CrawlJob, split_name: str, kind: str) -> str:
    return storage.join(job.root, run_path(split_name, kind))


def _answer(scope: Scope, bucket: int) -> str:
    return f"{scope.stage}/{scope.part_name(bucket)}.answer"
