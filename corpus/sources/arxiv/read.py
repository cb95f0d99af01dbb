"""ArXiv's bulk files -> documents, one a paper.

In: tars of submissions as arXiv gives them out, or single submissions (``.gz``, ``.tar.gz``, ``.tex``). Out:
batches of `DOCUMENT` and `FIELDS`. A submission that is no paper in TeX is *skipped*; one that cannot be read
is *bad*, and so is a span of a tar without a header, after which reading goes on at the next member. A paper
without a heading, or of which nothing is left, is a document with `arxiv_v1_reason`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa

from corpus import storage
from corpus.build.rows import DocumentRows
from corpus.build.source import FileRange, ReadContext
from corpus.raw.damage import Unreadable
from corpus.schema import document_id
from corpus.settings.arxiv import ArXiv
from corpus.sources.arxiv.byte_source import FileSource, Source
from corpus.sources.arxiv.paper import Paper, read_paper
from corpus.sources.arxiv.submission import Identity, Skipped, identity, read_submission
from corpus.sources.arxiv.tar import BLOCK, Member, Tar, is_header
from corpus.tally import BadRecord, Tally

NAME = "arxiv"
FIELDS = (
    pa.field("arxiv_v1_reason", pa.string()),  # no_section, empty; null: none
    pa.field("arxiv_v1_version", pa.int64()),  # of the paper, as the file's name says
    pa.field("arxiv_v1_source", pa.int64()),  # characters of the files that it is read from, without comments
    pa.field("arxiv_v1_macros", pa.int64()),  # names that the paper defines
    pa.field("arxiv_v1_expanded", pa.int64()),  # calls of them
    pa.field("arxiv_v1_left", pa.int64()),  # calls that stay in the text by their names, for a limit
    pa.field("arxiv_v1_growth", pa.float64()),  # characters of the text : characters of its source
    pa.field("arxiv_v1_missing", pa.int64()),  # files that it names and that are not there
    pa.field("arxiv_v1_tokens", pa.int64()),  # by the recipe's tokenizer, if it names one
    pa.field("arxiv_v1_tokens_per_character", pa.float64()),
)


def read(part: FileRange, context: ReadContext, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Read the papers of one file.

    Raises:
        OSError: the file cannot be opened or read; what it holds raises nothing.
    """
    reader = _Reader(part.file.name, context, tally)
    with storage.open_read(part.file.path) as file:
        head = file.read(BLOCK)
        source = FileSource(file)
        if is_header(head):
            yield from reader.archive(Tar(source))
        else:
            tally.count("framed")
            yield from reader.submission(
                Member(posixpath.basename(part.file.name), part.file.size, "file", 0), source
            )
    yield from reader.rest()


class _Reader:
    def __init__(self, name: str, context: ReadContext, tally: Tally) -> None:
        self._name = name
        self._settings: ArXiv = context.settings
        self._context = context
        self._tally = tally
        self._rows = DocumentRows(NAME, FIELDS, context.batch_bytes)
        self._tokenizer = _tokenizer(context)

    def archive(self, archive: Tar) -> Iterator[pa.RecordBatch]:
        """The papers of a tar."""
        while True:
            try:
                for member in archive:
                    self._tally.count("framed")
                    if member.kind != "file":
                        self._tally.skipped("folder" if member.kind == "folder" else "not_a_file")
                    elif member.name.lower().endswith(".pdf"):
                        self._tally.skipped("pdf")
                    else:
                        yield from self.submission(member, archive)
                return
            except Unreadable as error:
                self._bad(archive.position, error, b"")
                if error.reason != "bad_tar" or not archive.resynchronise():
                    return

    def submission(self, member: Member, source: Source) -> Iterator[pa.RecordBatch]:
        """The paper of one submission, as a batch if one is full."""
        try:
            files = read_submission(source, self._settings, self._context.limits)
        except Skipped as skipped:
            self._tally.skipped(str(skipped))
            return
        except Unreadable as error:
            self._bad(member.offset, error, member.name.encode())
            return
        paper = read_paper(files, self._settings)
        if paper is None:
            self._tally.skipped("no_tex")
            return
        for why, n in sorted(paper.result.counts.left.items()):
            self._tally.by_reason("macros_left", why, n)
        self._tally.count("in")
        batch = self._rows.add(self._row(member, identity(member.name), paper))
        if batch is not None:
            yield self._counted(batch)

    def rest(self) -> Iterator[pa.RecordBatch]:
        """The last batch."""
        batch = self._rows.finish()
        if batch is not None:
            yield self._counted(batch)

    def _row(self, member: Member, found: Identity, paper: Paper) -> dict[str, Any]:
        result = paper.result
        metadata: dict[str, Any] = {"main": paper.main, "member": member.name}
        if result.counts.left_names:
            metadata["macros_left"] = result.counts.left_names
        if result.counts.unread:
            metadata["inputs_left"] = result.counts.unread
        characters = len(paper.text)
        tokens = len(self._tokenizer.encode(paper.text)) if self._tokenizer else None
        return {
            "id": document_id(NAME, found.arxiv_id),
            "text": paper.text,
            "key": found.arxiv_id,
            "timestamp": found.month,
            "metadata": orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS).decode(),
            "file": self._name,
            "offset": member.offset,
            "arxiv_v1_reason": paper.reason,
            "arxiv_v1_version": found.version,
            "arxiv_v1_source": result.source,
            "arxiv_v1_macros": result.macros,
            "arxiv_v1_expanded": result.counts.expanded,
            "arxiv_v1_left": result.counts.left.total(),
            "arxiv_v1_growth": characters / max(result.source, 1),
            "arxiv_v1_missing": result.counts.missing,
            "arxiv_v1_tokens": tokens,
            "arxiv_v1_tokens_per_character": None if tokens is None else tokens / max(characters, 1),
        }

    def _counted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        self._tally.count("out", batch.num_rows)
        return batch

    def _bad(self, offset: int, error: Unreadable, first_bytes: bytes) -> None:
        self._tally.count("in")
        self._tally.bad(BadRecord(NAME, self._name, offset, "read", error.reason, error.message, first_bytes))


def _tokenizer(context: ReadContext) -> Any:
    """The SentencePiece model that the recipe names, or None."""
    name = context.settings.tokenizer
    if not name:
        return None
    import sentencepiece  # only where asked for: it takes a tenth of a second

    return sentencepiece.SentencePieceProcessor(model_file=context.paths[name])
