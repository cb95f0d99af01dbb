"""Runs whose documents are decided, as crawl-filter leaves them, of rows that a test gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from corpus import parts
from corpus.accounts import write_json
from corpus.crawl.job import VERSIONS
from corpus.manifests import write_manifest
from corpus.parts import PartSpec, PartWriter
from corpus.recipe import digest
from corpus.schema import DECISION, DOCUMENT, document_id

Row = dict[str, Any]
Root = TypeVar("Root", Path, str)
MEASURED = (
    pa.field("paragraphs_v1", pa.list_(pa.int32())),
    pa.field("lid_v1_score", pa.float64()),
    pa.field("perplexity_v1", pa.float64()),
    pa.field("reference_v1", pa.float64()),
)
ANNOTATED = pa.schema([*DOCUMENT, *MEASURED])
_GROUP_ROWS = 1000  # of a row group
_DECIDE = {
    "classified": ["en"],
    "cutoffs": {"en": {"head": 200.0, "middle": 300.0}},
    "decide": {"buckets": ["head", "middle"], "held_out": 0.05, "min_reference": 0.5},
    "languages": ["en", "fr"],
    "min_score": 0.5,
    "rules": [],
}


def document(number: int, reason: str | None = None, text: str | None = "Some text.", **others: Any) -> Row:
    """A document with its decision: kept, or rejected for a reason."""
    return {
        "id": document_id("commoncrawl", number),
        "source": "commoncrawl",
        "text": text,
        "key": f"https://example.com/{number}",
        "language": "en",
        "bytes": len((text or "").encode()),
        "file": "raw",
        "offset": number,
        "perplexity_v1": 250.0,
        "reference_v1": 0.7,
        "kept": reason is None,
        "reason": reason,
        "bucket": "middle",
        "held_out": False,
        **others,
    }


def write_decided(root: Root, files: Sequence[Sequence[Row]], **settings: Any) -> Root:
    """Write a run, a part for each list of documents; `settings` replace those of stage decide."""
    pairs = (
        (pa.RecordBatch.from_pylist(list(rows), ANNOTATED), pa.RecordBatch.from_pylist(list(rows), DECISION))
        for rows in files
    )
    return write_batches(root, pairs, settings)


def write_batches(
    root: Root, files: Iterable[tuple[pa.RecordBatch, pa.RecordBatch]], settings: Mapping[str, Any]
) -> Root:
    """Write a run, a part for each batch of `ANNOTATED` and its decisions."""
    done: dict[str, list[parts.Part]] = {"annotate": [], "decide": []}
    counters = {"in": 0, "kept": 0, "rejected": 0}
    for number, batches in enumerate(files):
        name = f"part-{number:05d}"
        for stage, folder, batch in zip(done, ("annotated", "decisions"), batches, strict=True):

            def work(writer: PartWriter, path: str, batch: pa.RecordBatch) -> None:
                with writer.file(path, rows=lambda: batch.num_rows) as f:
                    pq.write_table(pa.Table.from_batches([batch]), f, row_group_size=_GROUP_ROWS)

            path = f"{folder}/{name}.parquet"
            spec = PartSpec(stage, name, {}, (name,))
            done[stage].append(
                parts.commit_part(str(root), spec, lambda w, p=path, b=batch: work(w, p, b))  # type: ignore[misc]
            )
        kept = batches[1]["kept"].true_count
        counters["in"] += batches[1].num_rows
        counters["kept"] += kept
        counters["rejected"] += batches[1].num_rows - kept
    stages = {}
    for stage, made in done.items():
        chosen = {**_DECIDE, **settings} if stage == "decide" else {}
        stages[stage] = write_manifest(
            str(root), stage, made, {"settings": {**chosen, "version": VERSIONS[stage]}}
        )
    stats = {"counters": counters}
    write_json(str(root), "stats.json", stats)
    manifest = {"kind": "crawl-filter", "complete": True, "stages": stages, "stats_sha256": digest(stats)}
    write_json(str(root), "manifest.json", manifest)
    return root
