"""A stage's manifest: the records of all its parts consolidated, written last.

In: the parts of a stage. Out: ``STAGE/manifest.json`` with their summed counters and, up to 10,000, their
records; more lie in ``manifest.parts.parquet`` beside it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import storage
from corpus.errors import CorruptPartError
from corpus.parts import Part, records, remove_part
from corpus.recipe import digest

_MANIFEST_ENTRIES = 10_000  # parts that it lists itself


def write_manifest(root: str, stage: str, parts: Sequence[Part], extra: dict[str, Any]) -> str:
    """Consolidate a stage's parts into its ``manifest.json``; returns the manifest's sha256.

    Records of parts that are no longer in the plan are deleted with their files.
    """
    planned = {p.name for p in parts}
    for part, _ in records(root, stage):
        if part.name not in planned:
            remove_part(root, part)
    entries = [asdict(p) for p in sorted(parts, key=lambda p: p.name)]
    body: dict[str, Any] = {"stage": stage, **extra, "counters": sum_counters(parts), "parts": len(entries)}
    if len(entries) > _MANIFEST_ENTRIES:
        table = pa.table(
            {
                "name": [e["name"] for e in entries],
                "part": [orjson.dumps(e, option=orjson.OPT_SORT_KEYS).decode() for e in entries],
            }
        )
        with storage.write(storage.join(root, stage, "manifest.parts.parquet")) as f:
            pq.write_table(table, f, compression="zstd")
        body["entries_sha256"] = digest(entries)
    else:
        body["entries"] = entries
    data = orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    storage.write_bytes(storage.join(root, stage, "manifest.json"), data)
    return hashlib.sha256(data).hexdigest()


def read_manifest(root: str, stage: str) -> tuple[dict[str, Any], list[Part]]:
    """A stage's manifest and its parts.

    Raises:
        FileNotFoundError: the stage has not been finished.
        CorruptPartError: the manifest or its list of parts was altered.
    """
    path = storage.join(root, stage, "manifest.json")
    try:
        body = orjson.loads(storage.read_bytes(path))
    except orjson.JSONDecodeError as error:
        raise CorruptPartError(f"{path} is not valid JSON ({error}); run the stage again") from error
    if "entries" in body:
        return body, [Part.of(e) for e in body["entries"]]
    beside = storage.join(root, stage, "manifest.parts.parquet")
    with storage.open_read(beside) as f:
        entries = [orjson.loads(row) for row in pq.read_table(f)["part"].to_pylist()]
    if digest(entries) != body["entries_sha256"]:
        raise CorruptPartError(f"{beside} does not match {path}; run the stage again")
    return body, [Part.of(e) for e in entries]


def check_manifest(root: str, stage: str) -> str:
    """SHA-256 of a stage's manifest, that of its list of parts checked."""
    read_manifest(root, stage)
    return hashlib.sha256(storage.read_bytes(storage.join(root, stage, "manifest.json"))).hexdigest()


def sum_counters(parts: Iterable[Part]) -> dict[str, int]:
    """Counters of all parts added up, by name."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part.counters)
    return dict(sorted(total.items()))
