"""Finished runs with given documents, and their tokens and shards, made in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from corpus import storage
from corpus.finished import FinishedRun
from corpus.parts import PartFile
from corpus.schema import document_id
from corpus.settings.mixture import Mixture
from corpus.stages import StagedJob, close_stage, make_part
from tokenizer import tokenized
from tokenizer.mix import finish as mix
from tokenizer.tokenized import TokenizeJob

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("held_out", pa.bool_(), nullable=False),
    ]
)


def write_run(
    root: Path, source: str, texts: Sequence[str], held_out: Sequence[int] = (), files: int = 1
) -> FinishedRun:
    """A run whose documents have these texts, in so many files; the numbers in `held_out` are held out."""
    rows = [
        {
            "id": document_id(source, str(i)),
            "source": source,
            "text": text,
            "bytes": len(text.encode()),
            "held_out": i in held_out,
        }
        for i, text in enumerate(texts)
    ]
    found = []
    for number in range(files):
        path = root / "documents" / f"{number:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows[number::files], SCHEMA)
        pq.write_table(table, path)
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        found.append(PartFile(f"documents/{path.name}", table.num_rows, len(data), sha256))
    return FinishedRun(source, source, str(root), hashlib.sha256(source.encode()).hexdigest(), tuple(found))


def tokens_here(
    root: Path | str, runs: Sequence[FinishedRun], model: Path, part_bytes: int = 1 << 20
) -> dict[str, dict[str, int]]:
    """Tokenize runs in this process, without an engine; returns the counters of each source."""
    data = model.read_bytes()
    storage.write_bytes(storage.join(str(root), tokenized.MODEL), data)
    job = TokenizeJob(str(root), tuple(runs), tokenized.sha256_of(data), part_bytes)
    _stages(job)
    return tokenized.finish(job)


def mix_here(root: Path | str, tokens: Path | str, mixture: Mixture) -> dict[str, dict[str, float]]:
    """Draw a mixture in this process, without an engine; returns the table of its sources."""
    job = mix.prepare(str(root), str(tokens), mixture)
    _stages(job)
    return mix.finish(job)


def _stages(job: StagedJob) -> None:
    for stage in job.stages():
        for task in stage.tasks(job):
            make_part(job, stage, task)
        close_stage(job, stage)
