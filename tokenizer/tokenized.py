"""Stage `tokens`: kept documents of finished runs → their tokens, once, whatever is drawn of them later.

In: the documents of runs (`crawl-filter`, `build`), and a tokenizer. Out, a part some files of documents of
one source: ``tokens/SOURCE-NNNNN.tokens``, uint16 little-endian, one document after the other without marks;
``tokens/SOURCE-NNNNN.parquet``, a row a document (`ROW`).
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus import storage
from corpus.accounts import check_equal, collect_complete, write_json
from corpus.errors import CorruptPartError, UserError
from corpus.finished import FinishedRun, read_documents
from corpus.manifests import sum_counters
from corpus.parts import Part, PartFile, PartWriter
from corpus.recipe import digest
from corpus.stages import Stage, StagedJob, Task
from tokenizer.encoder import Encoder
from tokenizer.shards import TOKEN

NAME = "tokens"
KIND = "tokens"
MODEL = "tokenizer.model"
ROW = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),  # without marks
        pa.field("bytes", pa.int64(), nullable=False),  # UTF-8 of its text
        pa.field("held_out", pa.bool_(), nullable=False),
        pa.field("file", pa.string(), nullable=False),  # of documents, below its run
        pa.field("row", pa.int64(), nullable=False),  # of that file
    ]
)
# English has some four bytes a token: about 256M tokens a part (design, section 8).
PART_BYTES = 1 << 30

_encoders: dict[str, Encoder] = {}


@dataclass(frozen=True)
class TokenizeJob(StagedJob):
    """Tokens of finished runs.

    Attributes:
        runs: whose documents are tokenized; by the sources' order, then as given.
        sha256: of the tokenizer's model, which lies below `root` as ``tokenizer.model``.
        part_bytes: text of a part, about; it shapes which documents share a part.
    """

    runs: tuple[FinishedRun, ...]
    sha256: str
    part_bytes: int = PART_BYTES

    def stages(self) -> tuple[Stage, ...]:
        """The one stage."""
        return (Stage(NAME, tasks, work, settings=settings, libraries=("pyarrow", "sentencepiece")),)

    def payload_inputs(self, payload: Any) -> tuple[list[Any], list[str]]:
        """The files of a task, by what their run's manifest says of them."""
        return [[self.runs[run].source, file] for run, file in payload], []


def settings(job: TokenizeJob) -> dict[str, Any]:
    """The tokenizer."""
    return {"tokenizer": job.sha256}


def tasks(job: TokenizeJob) -> list[Task]:
    """A task some consecutive files of documents of one source: `part_bytes` of text, or one file."""
    found: list[Task] = []
    for source in dict.fromkeys(run.source for run in job.runs):
        files = [(i, f) for i, run in enumerate(job.runs) if run.source == source for f in run.files]
        group: list[tuple[int, dict[str, Any]]] = []
        size, number = 0, 0
        for run, file in files:
            if group and size + file.bytes > job.part_bytes // _COMPRESSION:
                found.append(Task(f"{source}-{number:05d}", group))
                group, size, number = [], 0, number + 1
            group.append((run, asdict(file)))
            size += file.bytes
        if group:
            found.append(Task(f"{source}-{number:05d}", group))
    return sorted(found, key=lambda t: (-sum(f["bytes"] for _, f in t.payload), t.name))


_COMPRESSION = 3  # text : its Parquet, about


def work(job: TokenizeJob, task: Task, writer: PartWriter) -> None:
    """Encode the documents of a task's files.

    Counters: ``in`` (rows read), ``out``, ``tokens``, ``bytes`` and, of those held out,
    ``held_out`` and ``held_out_tokens``.
    """
    encoder = _encoder(job)
    with (
        writer.file(f"{NAME}/{task.name}.tokens") as f,
        writer.parquet(f"{NAME}/{task.name}.parquet", ROW) as sink,
    ):
        for run, saved in task.payload:
            file = PartFile(**saved)
            row = 0
            for batch in read_documents(job.runs[run], file, ["id", "text", "bytes", "held_out"]):
                writer.tally.count("in", batch.num_rows)
                encoded = encoder.encode(batch.column("text"))
                f.write(encoded.ids.astype(TOKEN, copy=False).data)
                rows = _rows(batch, encoded.ends, file.path, row)
                sink.write(rows)
                row += batch.num_rows
                _count(writer, rows)


def _rows(batch: pa.RecordBatch, ends: np.ndarray[Any, Any], path: str, first: int) -> pa.RecordBatch:
    n = batch.num_rows
    return pa.RecordBatch.from_arrays(
        [
            batch.column("id"),
            pa.array(np.diff(ends, prepend=0), pa.int32()),
            batch.column("bytes"),
            batch.column("held_out"),
            pa.repeat(pa.scalar(path), n),
            pa.array(np.arange(first, first + n), pa.int64()),
        ],
        schema=ROW,
    )


def _count(writer: PartWriter, rows: pa.RecordBatch) -> None:
    tally = writer.tally
    held_out = rows.filter(rows.column("held_out"))
    tally.count("out", rows.num_rows)
    tally.count("held_out", held_out.num_rows)
    for name, some in (("tokens", rows), ("held_out_tokens", held_out)):
        tally.count(name, pc.sum(some.column("tokens")).as_py() or 0)
    tally.count("bytes", pc.sum(rows.column("bytes")).as_py() or 0)


def _encoder(job: TokenizeJob) -> Encoder:
    """The process's encoder of a model: it is loaded once, and keeps what it has seen."""
    if job.sha256 not in _encoders:
        path = storage.join(job.root, MODEL)
        model = storage.read_bytes(path)
        if sha256_of(model) != job.sha256:
            raise CorruptPartError(f"{path} is not the tokenizer of this run: run the command again")
        _encoders[job.sha256] = Encoder(model)
    return _encoders[job.sha256]


def read_model(tokenizer: str) -> bytes:
    """The bytes of a tokenizer's model.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    try:
        data = storage.read_bytes(tokenizer)
        Encoder(data).encode(pa.array(["a"]))  # compiled here once, not by each worker
    except FileNotFoundError as error:
        raise UserError(
            f"--tokenizer {tokenizer}: there is no such file; `python -m tokenizer train` makes one"
        ) from error
    except (ValueError, RuntimeError) as error:
        raise UserError(f"--tokenizer {tokenizer} is no usable SentencePiece model: {error}") from error
    return data


def sha256_of(model: bytes) -> str:
    """SHA-256 of a model, as 64 hex digits."""
    return hashlib.sha256(model).hexdigest()


def finish(job: TokenizeJob) -> dict[str, dict[str, int]]:
    """Check the accounts, and write the run's files; returns what there is of each source.

    Raises:
        AccountingError: documents were lost.
    """
    found = collect_complete(job.root, [NAME])
    done, counters = found.parts[NAME], found.totals[NAME]
    check_equal("documents", sum(run.documents for run in job.runs), "documents read", counters["in"])
    check_equal("documents read", counters["in"], "documents with tokens", counters["out"])
    sources = {
        source: sum_counters([part for part in done if source_of(part) == source])
        for source in dict.fromkeys(run.source for run in job.runs)
    }
    write_json(job.root, "timing.json", found.timing)
    write_json(job.root, "inputs.json", [{"name": run.name, "root": run.root} for run in job.runs])
    stats = {"counters": counters, "sources": sources}
    write_json(job.root, "stats.json", stats)
    manifest = {
        "kind": KIND,
        "complete": True,
        "tokenizer": {"sha256": job.sha256, "sentencepiece": version("sentencepiece")},
        "runs": [[run.name, run.source, run.sha256] for run in job.runs],
        "stages": found.manifests,
        "files": {MODEL: job.sha256},
        "stats_sha256": digest(stats),
    }
    write_json(job.root, "manifest.json", manifest)
    return sources


def source_of(part: Part) -> str:
    """The source of a part of stage `tokens`."""
    return part.name.rpartition("-")[0]
