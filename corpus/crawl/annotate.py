"""Stage `annotate`: pages of a split, read again, without their duplicate paragraphs, with all scores.

In: the split's pages, its runs and the answers of its deduplication scopes. Out:
``annotated/part-NNNNN.parquet``, a row a page: the document, then

- ``digest``: the record's digest in the crawl;
- ``paragraphs_v1`` (list of int32): ordinals of the kept lines in the page's text, so that the document
  can be rebuilt from the public crawl; ``paragraphs_v1_total`` (int32): its lines;
- ``paragraphs_v1_reason``: ``short``, ``all_duplicate``, or null;
- the annotators' columns; ``language`` stands among the document's.

Where the recipe compares whole pages, their keys are written beside it (`corpus.crawl.page_keys`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from corpus import registry
from corpus.crawl.dedup import key_filter, paragraph_filter
from corpus.crawl.job import FOLDERS, SOURCE, CrawlJob, Scope, annotator_assets
from corpus.crawl.page_keys import candidates, write_keys
from corpus.crawl.pages import id_keys, natural_ids, read_again, repeated_id
from corpus.dedup.paragraphs import ParagraphFilter
from corpus.errors import CorruptPartError
from corpus.inputs import InputFile, Split
from corpus.kernels.lines import assemble, scan
from corpus.parts import Part, PartWriter, commit_part
from corpus.runs import KeyFilter
from corpus.schema import DOCUMENT
from corpus.tally import Tally

_FIELDS = [
    pa.field("digest", pa.string()),
    pa.field("paragraphs_v1", pa.list_(pa.int32())),
    pa.field("paragraphs_v1_total", pa.int32()),
    pa.field("paragraphs_v1_reason", pa.string()),
]


class Annotator(Protocol):
    """Columns that a model gives; null where it does not run. Rows are never dropped."""

    fields: tuple[pa.Field, ...]

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The columns of `fields`, aligned with the batch's rows."""


def annotate_split(job: CrawlJob, split: Split, index: Part, answers: Mapping[Scope, str]) -> Part:
    """Annotate the pages of a split.

    Counters: ``in`` (pages read), ``text_bytes`` and ``kept_bytes`` (UTF-8 before and after
    deduplication), ``lines`` and ``lines_kept``, ``rejected/REASON`` for rows that the recipe leaves out.

    Args:
        index: the split's index part.
        answers: digest of all answers of each scope that the split is in.

    Raises:
        CorruptPartError: the input changed since it was indexed, or a part is not as written.
    """
    inputs = [index.digest, *sorted((scope.kind, digest) for scope, digest in answers.items())]
    spec = job.spec("annotate", split.name, inputs, [f.tag for f in split.files])
    return commit_part(job.root, spec, lambda writer: _work(writer, job, split, index, list(answers)))


def _work(writer: PartWriter, job: CrawlJob, split: Split, index: Part, scopes: list[Scope]) -> None:
    by_kind = {scope.kind: scope for scope in scopes}
    paragraphs = paragraph_filter(job, split, index, by_kind["paragraphs"])
    ids = key_filter(job, split.ordinal, index, by_kind["ids"])
    annotators = open_annotators(job)
    schema = annotated_schema(annotators)
    again = Tally(lambda batch: None)  # bad records are in the index part already
    block = job.settings.duplicates
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(writer.parquet(f"{FOLDERS['annotate']}/{split.name}.parquet", schema))
        keys = stack.enter_context(write_keys(writer, job, split.name, block)) if block else None
        for file, pages in read_again(job, split, index, again):
            documents = _documents(pages, file, job, paragraphs, ids, writer.tally)
            for annotator in annotators:
                documents = _with_columns(documents, annotator)
            rows = _leave_out(documents, pages, job, writer.tally).select(schema.names).cast(schema)
            sink.write(rows)
            if keys:
                keys.add(rows)
    if again.counters["out"] != index.counters.get("out", 0):
        raise CorruptPartError(
            f"{split.files[0].name} … {split.files[-1].name} changed while the run was on: "
            f"{again.counters['out']:,} pages where there were {index.counters.get('out', 0):,}; run again"
        )
    writer.tally.count("bytes_raw", sum(f.size for f in split.files))


def open_annotators(job: CrawlJob) -> list[Annotator]:
    """The recipe's annotators, in the order in which they run; models are loaded once a process."""
    paths = {name: job.path_of(name) for name in annotator_assets(job.settings)}
    return [
        factory(job.settings, paths)
        for name, factory in registry.ANNOTATORS.items()
        if getattr(job.settings, name) is not None
    ]


def annotated_schema(annotators: list[Annotator]) -> pa.Schema:
    """Columns of an annotated part."""
    own = [f for f in DOCUMENT if f.name != "text"]
    text = DOCUMENT.field("text")
    scores = [f for a in annotators for f in a.fields if f.name not in DOCUMENT.names]
    return pa.schema([own[0], own[1], text, *own[2:], *_FIELDS, *scores])


def _documents(
    pages: pa.RecordBatch,
    file: InputFile,
    job: CrawlJob,
    paragraphs: ParagraphFilter,
    ids: KeyFilter,
    tally: Tally,
) -> pa.RecordBatch:
    """A row a page: its id, origin, and text without duplicate paragraphs."""
    n = pages.num_rows
    lines = scan(pages.column("text"), job.settings.min_chars, job.settings.dedup.hash)
    try:
        kept = paragraphs.mask(lines)
    except CorruptPartError as error:
        raise CorruptPartError(f"{file.name}: {error}") from error
    text, ordinals = assemble(pages.column("text"), lines, kept)
    reason = pa.array(
        np.where(lines.short, "short", "all_duplicate"), pa.string(), mask=np.asarray(text.is_valid())
    )
    lengths = pc.coalesce(pc.binary_length(text), pc.binary_length(pages.column("text")))
    tally.count("in", n)
    tally.count("text_bytes", pc.sum(pc.binary_length(pages.column("text"))).as_py() or 0)
    tally.count("kept_bytes", pc.sum(pc.binary_length(text)).as_py() or 0)
    tally.count("lines", int(lines.lines.sum()))
    tally.count("lines_kept", int(kept.sum()))
    columns = {
        "id": pa.array(_ids(pages, file, ids), pa.string()),
        "source": pa.repeat(pa.scalar(SOURCE, pa.string()), n),
        "text": text,
        "key": pages.column("url"),
        "timestamp": pages.column("timestamp"),
        "license": pa.nulls(n, pa.string()),
        "metadata": pa.array(_metadata(pages, file), pa.string()),
        "bytes": lengths.cast(pa.int64()),
        "file": pages.column("file"),
        "offset": pages.column("offset"),
        "digest": pages.column("digest"),
        "paragraphs_v1": ordinals,
        "paragraphs_v1_total": pa.array(lines.lines, pa.int32()),
        "paragraphs_v1_reason": reason,
    }
    return pa.RecordBatch.from_pydict(columns)


def _ids(pages: pa.RecordBatch, file: InputFile, filter_: KeyFilter) -> list[str]:
    """Ids by record id; a page whose record id an earlier page has gets one by its place."""
    ids = natural_ids(pages, file)
    for i in np.flatnonzero(filter_.drop(id_keys(ids))):
        row = pages.slice(i, 1).to_pylist()[0]
        ids[i] = repeated_id(row["record_id"], file, row["offset"])
    return ids


def _metadata(pages: pa.RecordBatch, file: InputFile) -> list[str]:
    rows = zip(pages.column("record_id").to_pylist(), pages.column("title").to_pylist(), strict=True)
    return [
        orjson.dumps({"dump": file.dump, "record_id": record_id, "title": title}).decode()
        for record_id, title in rows
    ]


def _with_columns(batch: pa.RecordBatch, annotator: Annotator) -> pa.RecordBatch:
    for field, column in zip(annotator.fields, annotator.annotate(batch), strict=True):
        batch = batch.append_column(field, column)
    return batch


def _leave_out(
    documents: pa.RecordBatch, pages: pa.RecordBatch, job: CrawlJob, tally: Tally
) -> pa.RecordBatch:
    """Do with the pages that no threshold can bring back what the recipe's `export.rejected` says."""
    mode = job.settings.export.rejected
    reason = documents.column("paragraphs_v1_reason")
    if mode == "text":  # the text as crawled, for those of which nothing else is left
        text = pc.if_else(pc.is_valid(reason), pages.column("text"), documents.column("text"))
        return documents.set_column(documents.schema.get_field_index("text"), "text", text)
    language = job.settings.language
    candidate = candidates(documents, language)
    if mode == "columns":
        text = pc.if_else(candidate, documents.column("text"), pa.scalar(None, pa.string()))
        return documents.set_column(documents.schema.get_field_index("text"), "text", text)
    sure = pc.fill_null(pc.greater_equal(documents.column("lid_v1_score"), language.min_score), False)
    for why, is_sure, is_candidate in zip(
        reason.to_pylist(), sure.to_pylist(), candidate.to_pylist(), strict=True
    ):
        if not is_candidate:
            tally.by_reason("rejected", why or ("language" if is_sure else "language_score"))
    return documents.filter(candidate)
