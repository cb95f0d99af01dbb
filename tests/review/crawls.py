"""Whole runs of the crawl filter, of pages that a test makes up: decided by the real rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpus import parts, recipe
from corpus.accounts import write_json
from corpus.crawl.finish import run_stats
from corpus.crawl.job import STAGES, CrawlJob, annotator_assets
from corpus.decide import decide
from corpus.manifests import sum_counters, write_manifest
from corpus.parts import Part, PartSpec, PartWriter
from corpus.recipe import digest, to_dict
from corpus.schema import DECISION, DOCUMENT, document_id
from corpus.tally import BadRecord

ANNOTATED = pa.schema(
    [
        *DOCUMENT,
        pa.field("digest", pa.string()),
        pa.field("paragraphs_v1", pa.list_(pa.int32())),
        pa.field("paragraphs_v1_total", pa.int32()),
        pa.field("paragraphs_v1_reason", pa.string()),
        pa.field("lid_v1_score", pa.float64()),
        pa.field("perplexity_v1", pa.float64()),
        pa.field("reference_v1", pa.float64()),
    ]
)
_RAW = "crawl-data/CC-MAIN-2019-30/00000.warc.wet.gz"


def page(number: int, **others: Any) -> dict[str, Any]:
    """An annotated page that every rule of the sample recipe lets pass, but for what a test sets."""
    text = others.get("text", f"A page about lamps, number {number}.")
    return {
        "id": document_id("commoncrawl", number),
        "source": "commoncrawl",
        "text": text,
        "key": f"https://lamps.example/{number}",
        "language": "en",
        "bytes": len((text or "").encode()),
        "file": _RAW,
        "offset": number,
        "paragraphs_v1": [0, 2],
        "paragraphs_v1_total": 4,
        "lid_v1_score": 0.9,
        "perplexity_v1": 200.0,
        "reference_v1": 0.8,
        **others,
    }


def write_crawl(
    root: Path, files: Iterable[Sequence[dict[str, Any]] | pa.RecordBatch], bad: Sequence[BadRecord] = ()
) -> Path:
    """Write a run, a part for each list or batch of annotated pages; its raw files are nowhere."""
    chosen = recipe.load("sample")
    job = CrawlJob(
        str(root), chosen, dict.fromkeys([*annotator_assets(chosen.commoncrawl), "cutoffs"], "0" * 64)
    )
    cutoffs, removals = job.cutoffs(), job.removals()
    done: dict[str, list[Part]] = {stage: [] for stage in STAGES if stage != "duplicates"}

    def commit(stage: str, name: str, work: Callable[[PartWriter], None]) -> None:
        done[stage].append(parts.commit_part(str(root), PartSpec(stage, name, {}, (name,)), work))

    splits = []
    for number, rows in enumerate(files):
        batch = (
            rows if isinstance(rows, pa.RecordBatch) else pa.RecordBatch.from_pylist(list(rows), ANNOTATED)
        )
        decided = decide(batch, chosen.commoncrawl, cutoffs, removals)
        unreadable = bad if number == 0 else ()
        name = f"part-{number:05d}"
        commit("index", name, lambda w, b=batch, u=unreadable: _index(w, b, u))  # type: ignore[misc]
        commit("annotate", name, lambda w, n=name, b=batch: _annotate(w, n, b))  # type: ignore[misc]
        commit("decide", name, lambda w, n=name, d=decided: _decide(w, n, d))  # type: ignore[misc]
        raw = {"name": _RAW, "path": f"/nowhere/{_RAW}", "size": 1, "tag": "1", "dump": "", "listed": False}
        splits.append({"ordinal": number, "dump": "", "block": 0, "files": [raw]})
    stages = {
        stage: write_manifest(str(root), stage, made, {"settings": job.stage_settings(stage)})
        for stage, made in done.items()
    }
    stats = run_stats({stage: sum_counters(made) for stage, made in done.items()})
    write_json(str(root), "stats.json", stats)
    write_json(str(root), "inputs.json", splits)
    write_json(str(root), "recipe.json", to_dict(chosen))
    took = {"cpu_seconds": 1.0, "wall_seconds": 2.0, "peak_rss_bytes": 3 << 20, "hosts": ["here"]}
    write_json(str(root), "timing.json", {stage: took | {"parts": len(made)} for stage, made in done.items()})
    manifest = {
        "kind": "crawl-filter",
        "complete": True,
        "demonstration": True,
        "models": job.model_hashes,
        "inputs": {"files": len(splits), "bytes": len(splits), "sha256": "0" * 64},
        "stages": stages,
        "stats_sha256": digest(stats),
    }
    write_json(str(root), "manifest.json", manifest)
    return root


def many_pages(rows: int, per_part: int) -> Iterable[pa.RecordBatch]:
    """So many pages of two languages, a few hundred bytes each, with values and hosts of every kind."""
    words = [
        "the",
        "lamp",
        "on",
        "the",
        "gallery",
        "turns",
        "once",
        "a",
        "minute",
        "and",
        "is",
        "seen",
        "for",
        "twenty",
        "miles",
        "at",
        "sea",
    ]
    texts = [" ".join(words[i % 16 :] + words * (1 + i % 12)) for i in range(97)]
    for start in range(0, rows, per_part):
        n = min(per_part, rows - start)
        random = np.random.default_rng(start)
        here = np.arange(start, start + n)
        text = pa.array(texts).take(pa.array(here % len(texts)))
        lines = random.integers(0, 12, n)
        gone = lines == 0
        hosts = random.zipf(1.3, n) % 200_000
        columns = {
            "id": pa.array([document_id("commoncrawl", i) for i in here.tolist()]),
            "source": pa.repeat(pa.scalar("commoncrawl"), n),
            "text": text,
            "key": pa.array([f"https://host-{h}.example/page/{i}" for h, i in zip(hosts, here, strict=True)]),
            "language": pa.array(np.where(random.random(n) < 0.7, "en", "it")),
            "bytes": pa.compute.binary_length(text).cast(pa.int64()),
            "file": pa.repeat(pa.scalar(_RAW), n),
            "offset": pa.array(here),
            "paragraphs_v1": pa.ListArray.from_arrays(
                pa.array(np.concatenate([[0], np.cumsum(lines)]), pa.int32()),
                pa.array(np.zeros(int(lines.sum())), pa.int32()),
            ),
            "paragraphs_v1_total": pa.repeat(pa.scalar(12, pa.int32()), n),
            "paragraphs_v1_reason": pa.array(np.where(gone, "all_duplicate", "short"), mask=~gone),
            "lid_v1_score": pa.array(random.beta(8, 1, n)),
            "perplexity_v1": pa.array(np.exp(random.normal(5.7, 0.5, n))),
            "reference_v1": pa.array(random.beta(2, 1, n)),
        }
        yield pa.RecordBatch.from_arrays(
            [columns.get(field.name, pa.nulls(n, field.type)).cast(field.type) for field in ANNOTATED],
            schema=ANNOTATED,
        )


def _index(writer: PartWriter, batch: pa.RecordBatch, bad: Sequence[BadRecord]) -> None:
    writer.tally.count("in", batch.num_rows)
    writer.tally.count("out", batch.num_rows)
    for record in bad:
        writer.tally.count("in")
        writer.tally.bad(record)


def _annotate(writer: PartWriter, name: str, batch: pa.RecordBatch) -> None:
    writer.tally.count("in", batch.num_rows)
    with writer.parquet(f"annotated/{name}.parquet", ANNOTATED) as sink:
        sink.write(batch)


def _decide(writer: PartWriter, name: str, decided: pa.RecordBatch) -> None:
    writer.tally.count("in", decided.num_rows)
    with writer.parquet(f"decisions/{name}.parquet", DECISION) as sink:
        sink.write(decided)
    for row in decided.select(["reason", "language", "bucket", "held_out"]).to_pylist():
        if row["reason"] is not None:
            writer.tally.by_reason("rejected", row["reason"])
        else:
            writer.tally.by_reason("kept", f"{row['language']}/{row['bucket']}")
            writer.tally.count("held_out", int(row["held_out"]))


def write_shards(root: Path, **sources: dict[str, float]) -> Path:
    """Write the account of a run of shards, without shards: what a report says of a mixture."""
    stats = {"counters": {"documents": 1}, "sources": sources}
    write_json(str(root), "stats.json", stats)
    mixture = {"tokens": 1000, "max_epochs": 4.0, "seed": 0}
    manifest = {
        "kind": "shards",
        "complete": True,
        "stages": {},
        "mixture": mixture,
        "tokenizer": {"sentencepiece": "0.2.3", "sha256": "0" * 64, "pieces": 2000},
        "stats_sha256": digest(stats),
    }
    write_json(str(root), "manifest.json", manifest)
    return root
