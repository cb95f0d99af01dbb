"""The account of a run: what its stages' parts say, checked against the rows that lie in the files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson
import pyarrow.parquet as pq

from corpus import parts, storage
from corpus.manifests import check_manifest, read_manifest, sum_counters
from corpus.parts import Part


class AccountingError(Exception):
    """Documents were lost or counted twice: the run must not be used."""


def collect(root: str, stage: str, names: Sequence[str]) -> tuple[list[Part], dict[str, Any]]:
    """A stage's parts, in the order of `names`, and the sum of what they took.

    Raises:
        CorruptPartError: a part is not there.
    """
    records = parts.read_all(root, stage, names)
    times = [local for _, local in records]
    summary = {
        "parts": len(records),
        "wall_seconds": round(sum(t["wall_seconds"] for t in times), 3),
        "cpu_seconds": round(sum(t["cpu_seconds"] for t in times), 3),
        "peak_rss_bytes": max((t["peak_rss_bytes"] for t in times), default=0),
        "hosts": sorted({t["host"] for t in times}),
    }
    return [part for part, _ in records], summary


class Collected(NamedTuple):
    """What lies of some stages: their parts, what these took, the sha256 of their manifests; by stage."""

    parts: dict[str, list[Part]]
    timing: dict[str, Any]
    manifests: dict[str, str]

    @property
    def totals(self) -> dict[str, dict[str, int]]:
        """Counters of each stage."""
        return {stage: sum_counters(found) for stage, found in self.parts.items()}


def collect_complete(root: str, stages: Iterable[str]) -> Collected:
    """The parts of stages that are complete, as their manifests list them.

    Raises:
        CorruptPartError: a part is not there, or a manifest was altered.
    """
    found = Collected({}, {}, {})
    for stage in stages:
        names = [part.name for part in read_manifest(root, stage)[1]]
        found.parts[stage], found.timing[stage] = collect(root, stage, names)
        found.manifests[stage] = check_manifest(root, stage)
    return found


def footer_rows(root: str, stage_parts: Iterable[Part], folders: Iterable[str]) -> int:
    """Rows of the parts' Parquet files in some folders, by their footers, not by their records."""
    rows = 0
    for part in stage_parts:
        for file in part.files:
            if file.path.startswith(tuple(folders)) and file.path.endswith(".parquet"):
                with storage.open_read(storage.join(root, file.path)) as f:
                    rows += pq.ParquetFile(f).metadata.num_rows
    return rows


def check_equal(left_name: str, left: int, right_name: str, right: int) -> None:
    """Raise `AccountingError` where two counts of the same differ."""
    if left != right:
        raise AccountingError(f"{left_name} ({left:,}) differs from {right_name} ({right:,})")


def write_json(root: str, name: str, value: Any) -> None:
    """Write one of a run's own files, keys sorted."""
    data = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    storage.write_bytes(storage.join(root, name), data + b"\n")
