"""Posts of one dump → documents: each question with its answers, the highest score first.

In: all posts of some questions (`POST`). Out: batches of `DOCUMENT` and `FIELDS`, by question id. Each post
becomes part of a document, or is counted:

| counter | what it counts |
|---|---|
| `merged` | answers in their question's text |
| `rejected/duplicate_id` | posts whose id an earlier row of the dump has |
| `rejected/no_question` | answers whose question is not in the dump |
| `rejected/empty_answer` | answers without text |
| `rejected/answer_score`, `rejected/answer_rank` | answers that the recipe leaves out |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from corpus.kernels.arrays import Bools, Positions
from corpus.schema import DOCUMENT, document_id
from corpus.settings.stackexchange import StackExchange
from corpus.sources.stackexchange.posts import NAME
from corpus.sources.stackexchange.sites import language_of, license_of
from corpus.tally import Tally

REASON, ANSWERS = f"{NAME}_v1_reason", f"{NAME}_v1_answers"
FIELDS = (
    pa.field(REASON, pa.string()),  # empty: the question has neither title nor body
    pa.field(ANSWERS, pa.int64()),  # in the text
)
_TAG = re.compile(r"[^<>|]+")  # <a><b>, since 2024 |a|b|


def documents(
    posts: pa.Table, site: str, file: str, settings: StackExchange, batch_bytes: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """The documents of all posts of some questions of one dump.

    Args:
        posts: of schema `POST`, in any order.
        site: of the dump.
        file: its raw file, relative to the input root.
        settings: the source's block.
        batch_bytes: text that a batch holds, about.
        tally: takes the counters above, `in` and `out`.
    """
    tally.count("in", posts.num_rows)
    posts = posts.combine_chunks()  # what it was made of can go
    rows, starts = _arrange(posts, settings, tally)
    sizes = np.asarray(pc.fill_null(pc.binary_length(posts.column("text")), 0), np.int64)
    ends = np.append(starts[1:], len(rows))
    written = np.cumsum(sizes[rows])
    first = 0
    while first < len(starts):
        before = written[starts[first] - 1] if first else 0
        # Up to the first question whose text ends beyond a batch's; one at least.
        last = int(np.searchsorted(written[ends - 1], before + batch_bytes, "right"))
        last = max(last, first + 1)
        chosen = posts.take(pa.array(rows[starts[first] : ends[last - 1]]))
        tally.count("out", last - first)
        yield _batch(chosen, starts[first:last] - starts[first], site, file, settings)
        first = last


def _arrange(posts: pa.Table, settings: StackExchange, tally: Tally) -> tuple[Positions, Positions]:
    """Which posts are used, each question followed by its answers, and where in them questions stand."""
    ids, questions, scores, offsets = (
        np.asarray(posts.column(name)) for name in ("id", "question", "score", "offset")
    )
    is_answer = np.asarray(posts.column("is_answer"))
    order = np.lexsort((offsets, ids))
    kept = np.ones(len(ids), bool)
    kept[order[1:]] = ids[order[1:]] != ids[order[:-1]]
    _reject(tally, "duplicate_id", ~kept)

    asked = np.flatnonzero(kept & ~is_answer)
    asked = asked[np.argsort(ids[asked])]
    place = np.searchsorted(ids[asked], questions)
    has_question = np.zeros(len(ids), bool)
    if len(asked):
        place = np.minimum(place, len(asked) - 1)
        has_question = ids[asked][place] == questions
    _reject(tally, "no_question", kept & ~has_question)
    kept &= has_question
    empty = np.asarray(pc.fill_null(pc.equal(pc.binary_length(posts.column("text")), 0), True))
    _reject(tally, "empty_answer", kept & is_answer & empty)
    kept &= ~(is_answer & empty)
    if settings.min_answer_score is not None:
        low = is_answer & (scores < settings.min_answer_score)
        _reject(tally, "answer_score", kept & low)
        kept &= ~low

    accepted = np.asarray(pc.fill_null(posts.column("accepted"), -1))
    is_accepted = np.zeros(len(ids), bool)
    if len(asked):
        is_accepted = is_answer & (accepted[asked][place] == ids)
    rows = np.flatnonzero(kept)
    rows = rows[np.lexsort((ids[rows], ~is_accepted[rows], -scores[rows], is_answer[rows], questions[rows]))]
    starts = np.flatnonzero(~is_answer[rows])
    if settings.max_answers is not None:
        rank = np.arange(len(rows)) - starts[np.cumsum(~is_answer[rows]) - 1]
        beyond = rank > settings.max_answers
        _reject(tally, "answer_rank", beyond)
        rows = rows[~beyond]
        starts = np.flatnonzero(~is_answer[rows])
    tally.count("merged", len(rows) - len(starts))
    return rows, starts


def _reject(tally: Tally, reason: str, which: Bools) -> None:
    if which.any():
        tally.by_reason("rejected", reason, int(which.sum()))


def _batch(
    table: pa.Table, starts: Positions, site: str, file: str, settings: StackExchange
) -> pa.RecordBatch:
    """One batch; the rows are questions, at `starts`, each followed by its answers."""
    (rows,) = table.combine_chunks().to_batches()
    offsets = np.append(starts, rows.num_rows).astype(np.int32)
    pieces = _pieces(rows, settings)
    asked = rows.take(pa.array(starts))
    empty = pc.is_null(pieces.take(pa.array(starts)))
    text = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), pieces), settings.answer_start)
    text = pc.if_else(empty, pa.scalar(None, pa.string()), text)
    n = len(starts)
    questions = asked.column("id").to_pylist()
    columns = {
        "id": [document_id(NAME, site, question) for question in questions],
        "source": [NAME] * n,
        "text": text,
        "key": [f"https://{site}/questions/{question}" for question in questions],
        "language": [language_of(site)] * n,
        "timestamp": asked.column("created"),
        "license": _licenses(rows, starts),
        "metadata": _metadata(rows, asked, offsets, site),
        "bytes": pc.fill_null(pc.cast(pc.binary_length(text), pa.int64()), 0),
        "file": [file] * n,
        "offset": asked.column("offset"),
        REASON: pc.if_else(empty, pa.scalar("empty"), pa.scalar(None, pa.string())),
        ANSWERS: np.diff(offsets) - 1,
    }
    schema = pa.schema([*DOCUMENT, *FIELDS])
    arrays = [
        values if isinstance(values := columns[f.name], pa.Array) else pa.array(values, f.type)
        for f in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _pieces(rows: pa.RecordBatch, settings: StackExchange) -> pa.Array:
    """What each post adds to its document; null for a question without title and body."""
    title = pc.utf8_trim_whitespace(pc.replace_substring_regex(rows.column("title"), r"\s+", " "))
    title, body = (pc.fill_null(column, "") for column in (title, rows.column("text")))
    both = pc.and_(pc.not_equal(title, ""), pc.not_equal(body, ""))
    # Empty strings, not nulls that are passed over: for rows of nulls alone pyarrow 25 gives no row.
    asked = pc.binary_join_element_wise(title, body, pc.if_else(both, settings.title_end, ""))
    question = pc.binary_join_element_wise(settings.question_mark, asked, "")
    question = pc.if_else(pc.equal(asked, ""), pa.scalar(None, pa.string()), question)
    answer = pc.binary_join_element_wise(settings.answer_mark, body, "")
    return pc.if_else(rows.column("is_answer"), answer, question)


def _licenses(rows: pa.RecordBatch, starts: Positions) -> list[str | None]:
    """SPDX expression of each document: the licences of all its posts."""
    stated, created = rows.column("license").to_pylist(), rows.column("created").to_pylist()
    posts = [license_of(s, c) for s, c in zip(stated, created, strict=True)]
    ends = [*starts[1:].tolist(), len(posts)]
    found = []
    for start, end in zip(starts.tolist(), ends, strict=True):
        names = set(posts[start:end])
        found.append(None if None in names else " AND ".join(sorted(map(str, names))))
    return found


def _metadata(rows: pa.RecordBatch, asked: pa.RecordBatch, offsets: Any, site: str) -> list[str]:
    ids, scores = rows.column("id").to_pylist(), rows.column("score").to_pylist()
    columns = (asked.column(name).to_pylist() for name in ("id", "score", "accepted", "tags"))
    found = []
    for i, (question, score, accepted, tags) in enumerate(zip(*columns, strict=True)):
        answers = range(int(offsets[i]) + 1, int(offsets[i + 1]))
        value = {
            "accepted": accepted,
            "answers": [{"id": ids[j], "score": scores[j]} for j in answers],
            "question": question,
            "score": score,
            "site": site,
            "tags": _TAG.findall(tags or ""),
        }
        found.append(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())
    return found
