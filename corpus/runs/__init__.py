"""Runs: sorted files of 64-bit keys through which the data of different splits meets.

In: the keys of one split (`corpus.run_builder`, `write_run`). Out: for each bucket of a scope an answer
(`write_answer`): one bit a key and run, read back per run (`read_answers`, `KeyFilter`). Keys are hashes
of lines, of record ids, of pages. Bucket b of B, a power of two, holds the keys with ⌊key·B / 2^64⌋ = b.

A run: header; sections, each the keys of one prefix, uint64 little-endian and ascending, then one flag
bit a key (in two or more documents of the split), padded to eight bytes, then in a ranked run one `RANK`
a key; then an index of the sections, by which any range of keys is one range of bytes. An answer: bitmaps,
range by range and in each run by run; then an index, run by run; then a footer. Each section and bitmap
has an xxh3-64 checksum that also covers its place, so that a wrong index shows too; all are checked on
reading.
"""

from corpus.runs.answers import KeyFilter, read_answers, write_answer
from corpus.runs.layout import KEY_SPACE, RANK, Ranks, bucket_count, bytes_of_answers, bytes_of_run
from corpus.runs.merge import Merge, Policy, fitting_ranges, outranks
from corpus.runs.run_file import KeyRange, Run, SortedKeys, rank, write_run

__all__ = [
    "KEY_SPACE",
    "RANK",
    "KeyFilter",
    "KeyRange",
    "Merge",
    "Policy",
    "Ranks",
    "Run",
    "SortedKeys",
    "bucket_count",
    "bytes_of_answers",
    "bytes_of_run",
    "fitting_ranges",
    "outranks",
    "rank",
    "read_answers",
    "write_answer",
    "write_run",
]
