"""How large a run will be, from what a crawl holds: files, bytes, memory, references exchanged.

The formulae are those of the file formats (`corpus.runs`) and of the plan (`corpus.inputs`); tests set them
against real runs. Sizes are bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from corpus.crawl.job import keys_of_raw_bytes, pages_of_raw_bytes
from corpus.inputs import SHARD_FILES
from corpus.recipe import CommonCrawl
from corpus.runs import bucket_count, bytes_of_answers, bytes_of_run

# What passes through the engine for a split and a bucket: two numbers, a digest, its pickle around them.
REFERENCE_BYTES = 120


@dataclass(frozen=True)
class Volume:
    """What a crawl holds. `keys`: distinct line keys, summed over the splits."""

    files: int
    raw_bytes: int
    pages: int
    keys: int
    listed: bool

    @classmethod
    def of_raw_bytes(cls, files: int, raw_bytes: int, listed: bool) -> Volume:
        """A guess from the compressed size alone, by the shares of usual WET files."""
        return cls(files, raw_bytes, pages_of_raw_bytes(raw_bytes), keys_of_raw_bytes(raw_bytes), listed)


@dataclass(frozen=True)
class Sizes:
    """What the stages up to `annotate` write and exchange.

    Attributes:
        splits: parts of `index`, `annotate` and `decide`, each.
        scopes: deduplication scopes.
        buckets: buckets of a scope.
        run_bytes, answer_bytes: all runs of paragraphs and ids, all answers.
        references, reference_bytes: what passes through the engine.
        merge_bytes: working memory of a task that merges a bucket.
        split_bytes: a split's keys, their bits and the batch of text in work: memory of annotate.
    """

    splits: int
    scopes: int
    buckets: int
    run_bytes: int
    answer_bytes: int
    references: int
    reference_bytes: int
    merge_bytes: int
    split_bytes: int


def estimate(volume: Volume, settings: CommonCrawl) -> Sizes:
    """Sizes of a run over one dump."""
    dedup = settings.dedup
    files_per_split = math.ceil(volume.files / dedup.shards_per_dump)
    splits = math.ceil(volume.files / files_per_split)
    files_per_shard = files_per_split if volume.listed else max(SHARD_FILES, files_per_split)
    blocks = math.ceil(volume.files / (files_per_shard * dedup.shards_per_block))
    scopes = blocks if dedup.scope == "block" else 1
    keys, pages = volume.keys // splits, volume.pages // splits
    buckets = bucket_count(volume.keys // scopes, dedup.bucket_bytes)
    id_buckets = bucket_count(volume.pages, dedup.bucket_bytes)
    runs = splits * (bytes_of_run(keys) + bytes_of_run(pages))
    of_scope = splits / scopes
    answers = scopes * bytes_of_answers(volume.keys // scopes, of_scope, buckets)
    answers += bytes_of_answers(volume.pages, splits, id_buckets)
    references = splits * (buckets + id_buckets + 2)
    return Sizes(
        splits=splits,
        scopes=scopes,
        buckets=buckets,
        run_bytes=int(runs),
        answer_bytes=int(answers),
        references=references,
        reference_bytes=references * REFERENCE_BYTES,
        merge_bytes=dedup.bucket_bytes,
        # Keys (8 bytes), a lookup's prefix table (about 1), a bit and its copy a byte each; text of a batch
        # as read, scanned, assembled and written.
        split_bytes=keys * 11 + 6 * settings.batch_bytes,
    )
