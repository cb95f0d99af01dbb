"""A raw file of posts, or a range of one → batches of questions and answers, and bad records.

In: `corpus.sources.stackexchange.stream`'s bytes. Out: RecordBatches of schema `POST`, in the order of the
file, bodies as running text.

| counter | what it counts |
|---|---|
| `framed` | rows |
| `in` | questions and answers, and each row or span that could not be read |
| `skipped` | rows of other types: tag wikis and their excerpts, nominations, … |
| `bad` | of `in`, those that could not be read |
| `out` | posts; in = out + bad |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.build.source import FileRange, ReadContext
from corpus.kernels import xml_values as values
from corpus.kernels.arrays import Bools, Bytes
from corpus.kernels.xml_rows import (
    ABSENT,
    ACCEPTED,
    BODY,
    CREATED,
    DUPLICATE,
    ID,
    LICENSE,
    NUMBER,
    PARENT,
    REASONS,
    ROW,
    SCORE,
    TAGS,
    TITLE,
    TYPE,
    Rows,
    find_rows,
)
from corpus.kernels.xml_texts import Decoder
from corpus.raw.damage import Unreadable
from corpus.sources.stackexchange.stream import blocks, is_plain
from corpus.tally import FIRST_BYTES, BadRecord, Tally

NAME = "stackexchange"
QUESTION, ANSWER = 1, 2

POST = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("question", pa.int64(), nullable=False),  # an answer's question; of a question its own id
        pa.field("is_answer", pa.bool_(), nullable=False),
        pa.field("score", pa.int64(), nullable=False),
        pa.field("accepted", pa.int64()),  # id of the accepted answer
        pa.field("title", pa.string()),
        pa.field("text", pa.string()),
        pa.field("tags", pa.string()),  # as written: <a><b> or |a|b|
        pa.field("created", pa.string()),  # ISO 8601
        pa.field("license", pa.string()),  # as written
        pa.field("offset", pa.int64(), nullable=False),  # of the row in the uncompressed file
    ]
)

# meta.stackexchange.com/questions/2677
_OTHER_TYPES = {
    3: "orphaned_tag_wiki",
    4: "tag_wiki_excerpt",
    5: "tag_wiki",
    6: "moderator_nomination",
    7: "wiki_placeholder",
    8: "privilege_wiki",
}
_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?$"
_LACKING = ("missing_attribute", "Id, PostTypeId, Score, or of an answer ParentId, is missing")


def read_posts(part: FileRange, context: ReadContext, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Read the posts whose rows begin in a range of a file; of a compressed file, all.

    Raises:
        OSError: the file cannot be opened or read; what it holds raises nothing.
    """
    yield from _Reader(part, context, tally).batches()


class _Reader:
    def __init__(self, part: FileRange, context: ReadContext, tally: Tally) -> None:
        self._part = part
        self._limits = context.limits
        self._tally = tally
        self._decoder = Decoder(context.settings.list_mark)
        self._too_long = ("row_too_long", f"it has more than {context.limits.record_bytes} bytes")
        self._base = part.start  # offset of the buffer
        self._limit = part.end if is_plain(part.file.name) else np.iinfo(np.int64).max

    def batches(self) -> Iterator[pa.RecordBatch]:
        buffer, lost, ended, final = b"", self._part.start > 0, False, False
        stream = blocks(self._part, self._limits.compression_ratio)
        while not final:
            try:
                block = next(stream, b"")
            except Unreadable as error:
                self._bad(0, error.reason, error.message, buffer[:FIRST_BYTES])
                return
            final = not block
            if final and not buffer and self._base == 0:
                self._bad(0, "empty_file", "it has no bytes", b"")
                return
            buffer += block
            rows = find_rows(buffer, self._limit - self._base, lost, final)
            yield from self._posts(buffer, rows)
            self._base += rows.used
            buffer, lost, ended = buffer[rows.used :], rows.lost, ended or rows.ended
            if rows.beyond:
                return
            if len(buffer) > self._limits.record_bytes:
                self._bad(0, *self._too_long, buffer[:FIRST_BYTES])
                buffer, lost, self._base = buffer[1:], True, self._base + 1
        if not lost and not ended:
            self._bad(0, "truncated_file", "it does not end with </posts>", b"")

    def _posts(self, buffer: bytes, rows: Rows) -> Iterator[pa.RecordBatch]:
        """The posts of what was found; counts all of it."""
        kind, types = rows.kind, rows.numbers[:, TYPE]
        is_row = np.isin(kind, (ROW, NUMBER, DUPLICATE))
        # A type that is no number reads as 0.
        other = ((kind == ROW) & ~np.isin(types, (ABSENT, QUESTION, ANSWER))) | (
            (kind == NUMBER) & ~np.isin(types, (ABSENT, 0, QUESTION, ANSWER))
        )
        self._tally.count("framed", int(is_row.sum()))
        for number, count in zip(*np.unique(types[other], return_counts=True), strict=True):
            self._tally.skipped(_OTHER_TYPES.get(int(number), "unknown_type"), int(count))
        against = {int(i): REASONS[int(kind[i])] for i in np.flatnonzero((kind != ROW) & ~other)}
        candidate = (kind == ROW) & ~other
        against |= dict.fromkeys(np.flatnonzero(candidate & _lacking(rows)).tolist(), _LACKING)
        too_long = candidate & (rows.end - rows.start > self._limits.record_bytes)
        against |= dict.fromkeys(np.flatnonzero(too_long).tolist(), self._too_long)
        candidate[list(against)] = False
        chosen = np.flatnonzero(candidate)
        batch, why = self._columns(np.frombuffer(buffer, np.uint8), rows, chosen)
        against |= {int(chosen[i]): values.REASONS[int(why[i])] for i in np.flatnonzero(why)}
        for i, (reason, message) in sorted(against.items()):
            start = int(rows.start[i])
            self._bad(start, reason, message, buffer[start : start + FIRST_BYTES])
        if why.any():
            batch = batch.filter(pa.array(why == values.GOOD))
        self._tally.count("in", batch.num_rows)
        self._tally.count("out", batch.num_rows)
        if batch.num_rows:
            yield batch

    def _columns(self, data: Bytes, rows: Rows, chosen: np.ndarray[Any, Any]) -> tuple[pa.RecordBatch, Any]:
        numbers, spans = rows.numbers[chosen], rows.texts[chosen]
        why = np.zeros(len(chosen), np.int8)
        texts = {
            column: self._decoder.texts(data, np.ascontiguousarray(spans[:, column]), column == BODY, why)
            for column in (TITLE, BODY, TAGS, CREATED, LICENSE)
        }
        is_answer = numbers[:, TYPE] == ANSWER
        created = texts[CREATED]
        is_time = pc.match_substring_regex(created, _TIME)
        arrays = [
            numbers[:, ID],
            np.where(is_answer, numbers[:, PARENT], numbers[:, ID]),
            is_answer,
            numbers[:, SCORE],
            pa.array(numbers[:, ACCEPTED], mask=numbers[:, ACCEPTED] == ABSENT),
            texts[TITLE],
            texts[BODY],
            texts[TAGS],
            pc.if_else(is_time, created, pa.scalar(None, pa.string())),
            texts[LICENSE],
            self._base + rows.start[chosen],
        ]
        return pa.RecordBatch.from_arrays([pa.array(a) for a in arrays], schema=POST), why

    def _bad(self, at: int, reason: str, message: str, first_bytes: bytes) -> None:
        """Count and keep what is bad `at` a byte of the buffer."""
        self._tally.count("in")
        self._tally.bad(
            BadRecord(NAME, self._part.file.name, self._base + at, "read", reason, message, first_bytes)
        )


def _lacking(rows: Rows) -> Bools:
    """Which rows lack a number that a post needs."""
    numbers = rows.numbers
    lacking = (numbers[:, [ID, TYPE, SCORE]] == ABSENT).any(axis=1)
    result: Bools = lacking | ((numbers[:, TYPE] == ANSWER) & (numbers[:, PARENT] == ABSENT))
    return result
