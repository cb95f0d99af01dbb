"""Stage `duplicates`: which candidate pages are copies of others; between annotate and decide.

In: the keys that `annotate` wrote (`corpus.crawl.page_keys`). Out: ``duplicates/part-NNNNN.parquet``,
aligned with the annotated part row by row: ``id`` and, of the kinds that are on, null for pages that are no
candidates:

- ``url_duplicate_v1``: a newer page has this address;
- ``exact_duplicate_v1``, ``near_duplicate_v1``: an earlier page has the same text, or one alike.

Two rounds of runs and answers over all splits. The addresses come first, and only the newest page of each
is asked for and compared in the second. Were all kinds found at once, of two copies of one address the
older would go for its address and the newer for its text, and nothing would stay. As it is, the second
round keeps the first page in one order (splits, then rows), so of pages that resemble each other one
always stays. No text is read: memory is the keys of one split, or of one bucket.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.crawl.dedup import checked_run, key_filter, paths_of_answers
from corpus.crawl.job import FOLDERS, CrawlJob, Scope
from corpus.crawl.page_keys import addresses, keys_of
from corpus.crawl.pages import keys_path, run_path
from corpus.decide import DUPLICATES
from corpus.dedup.newest import NewestFilter
from corpus.errors import CorruptPartError
from corpus.inputs import Split
from corpus.kernels.arrays import Bools
from corpus.parts import Part, PartWriter, commit_part, open_part_file
from corpus.run_builder import RunBuilder
from corpus.runs import KeyFilter, write_run

_BATCH_ROWS = 16_384


def compared_kinds(job: CrawlJob) -> list[str]:
    """Kinds of the second round."""
    block = job.settings.duplicates
    wanted = {"exact": block and block.exact, "near": block and block.near}
    return [kind for kind, on in wanted.items() if on]


def runs_part_name(split_name: str) -> str:
    """Name of the part that holds a split's runs of the second round."""
    return split_name.replace("part-", "runs-")


def index_newest(job: CrawlJob, ordinal: int, annotated: Part, answers: Mapping[Scope, str]) -> Part:
    """Write the runs of texts (``.exact.run``, ``.near.run``) of a split's pages that are their newest.

    Args:
        answers: digest of all answers of the first round's scope, where there is one.
    """
    name = Split.name_of(ordinal)

    def work(writer: PartWriter) -> None:
        newest = _newest_filter(job, ordinal, annotated, answers)
        memory, spill = job.settings.dedup.bucket_bytes // 2, tempfile.gettempdir()
        with RunBuilder(spill, memory) as exact, RunBuilder(spill, memory) as near:
            builders = {"exact": exact, "near": near}
            for rows in _key_rows(job, annotated, name):
                asked = _candidates(rows) & ~_outdated(rows, newest)
                for kind in compared_kinds(job):
                    builders[kind].add(keys_of(rows, kind, asked & _present(rows, kind)).ravel())
            for kind in compared_kinds(job):
                with writer.file(run_path(name, kind)) as f:
                    write_run(f, *builders[kind].finish())

    inputs = [annotated.digest, *sorted((scope.kind, digest) for scope, digest in answers.items())]
    return commit_part(job.root, job.spec("duplicates", runs_part_name(name), inputs), work)


def mark_split(
    job: CrawlJob, ordinal: int, annotated: Part, runs: Part | None, answers: Mapping[Scope, str]
) -> Part:
    """Write a split's columns.

    Counters: ``in`` (rows), ``candidates``, and one for each kind: the pages it speaks against.

    Args:
        runs: the split's part of `index_newest`, where the recipe compares texts.
        answers: digest of all answers of each scope of both rounds.

    Raises:
        CorruptPartError: a part is not as written.
    """
    name = Split.name_of(ordinal)

    def work(writer: PartWriter) -> None:
        newest = _newest_filter(job, ordinal, annotated, answers)
        compared = {
            scope.kind: key_filter(job, ordinal, runs, scope)
            for scope in answers
            if runs is not None and scope.kind in compared_kinds(job)
        }
        kinds = ["url"] * (newest is not None) + compared_kinds(job)
        fields = [pa.field(f"{DUPLICATES[kind]}_v1", pa.bool_()) for kind in kinds]
        schema = pa.schema([pa.field("id", pa.string(), False), *fields])
        with writer.parquet(f"{FOLDERS['duplicates']}/{name}.parquet", schema) as sink:
            for rows in _key_rows(job, annotated, name):
                candidate = _candidates(rows)
                found = _found(rows, candidate, newest, compared)
                writer.tally.count("in", rows.num_rows)
                writer.tally.count("candidates", int(candidate.sum()))
                for kind, bits in found.items():
                    writer.tally.count(kind, int(bits.sum()))
                columns = [pa.array(found[kind], mask=~candidate) for kind in kinds]
                sink.write(pa.RecordBatch.from_arrays([rows.column("id"), *columns], schema=schema))

    inputs = [
        annotated.digest,
        runs.digest if runs else None,
        *sorted((scope.kind, digest) for scope, digest in answers.items()),
    ]
    return commit_part(job.root, job.spec("duplicates", name, inputs), work)


def _found(
    rows: pa.RecordBatch, candidate: Bools, newest: NewestFilter | None, compared: Mapping[str, KeyFilter]
) -> dict[str, Bools]:
    """By kind, which rows are duplicates."""
    outdated = _outdated(rows, newest)
    found = {"url": outdated}
    for kind, filter_ in compared.items():
        asked = candidate & ~outdated & _present(rows, kind)
        keys = keys_of(rows, kind, asked)
        # A page asks with all its keys, though one is enough: later pages must find each.
        found[kind] = np.zeros(rows.num_rows, bool)
        found[kind][asked] = filter_.drop(keys.ravel()).reshape(keys.shape).any(axis=1)
    return found


def _newest_filter(
    job: CrawlJob, ordinal: int, annotated: Part, answers: Mapping[Scope, str]
) -> NewestFilter | None:
    for scope in answers:
        if scope.kind == "url":
            run = checked_run(job, ordinal, annotated, scope.kind)
            return NewestFilter(run, paths_of_answers(job, ordinal, scope))
    return None


def _key_rows(job: CrawlJob, annotated: Part, split_name: str) -> Iterator[pa.RecordBatch]:
    file = annotated.file(keys_path(split_name))
    if file is None:
        raise CorruptPartError(
            f"annotated part {annotated.name} has no keys; delete its record and run again"
        )
    with open_part_file(job.root, file) as f:
        yield from pq.ParquetFile(f).iter_batches(_BATCH_ROWS)


def _candidates(rows: pa.RecordBatch) -> Bools:
    return np.asarray(rows.column("candidate").to_numpy(zero_copy_only=False))


def _outdated(rows: pa.RecordBatch, newest: NewestFilter | None) -> Bools:
    """Rows whose address has a newer page."""
    outdated = np.zeros(rows.num_rows, bool)
    if newest is not None:
        outdated[_present(rows, "url")] = newest.drop(*addresses(rows))
    return outdated


def _present(rows: pa.RecordBatch, kind: str) -> Bools:
    return np.asarray(pc.is_valid(rows.column(kind)).to_numpy(zero_copy_only=False))
