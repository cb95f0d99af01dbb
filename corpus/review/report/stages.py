"""What each stage of a run took: time, processor time, throughput, memory, hosts. It differs by machine.

In: ``timing.json``, the counters of the stages, and of some parts what their records say of where they were
made. Out: a row a stage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus import parts
from corpus.review.runs import OpenedRun

_RECORDS = 500  # parts of a stage whose records are read, evenly apart
# What a stage's throughput is measured in, the first that it counts; all UTF-8 or raw bytes.
_BYTES = {"bytes_raw": "raw", "text_bytes": "text", "bytes": "text"}
_ROWS = ("framed", "in", "documents")


@dataclass(frozen=True)
class StageTime:
    """A stage. Seconds are summed over its parts, whoever made them; None where it counts no such thing.

    Attributes:
        megabytes_per_second: of `unit` (raw or text), by one worker.
        rows_per_second: by one worker.
        median_part, longest_part: seconds, of the parts whose records were read.
    """

    stage: str
    parts: int
    wall_seconds: float
    cpu_seconds: float
    megabytes_per_second: float | None
    unit: str
    rows_per_second: float | None
    peak_rss_bytes: int
    median_part: float
    longest_part: float
    hosts: tuple[str, ...]


def stage_times(run: OpenedRun) -> list[StageTime]:
    """The stages of a run in their order, without those that were not timed.

    Raises:
        CorruptPartError: a record is missing.
    """
    timing = run.json("timing.json") or {}
    counted = run.stats.get("stages", {})
    return [_row(run, s, timing[s], counted.get(s, {})) for s in run.stages if s in timing]


def _row(run: OpenedRun, stage: str, took: dict[str, object], counters: dict[str, int]) -> StageTime:
    wall = float(took["wall_seconds"])  # type: ignore[arg-type]
    names = [part.name for part in run.parts(stage)]
    some = names[:: -(-len(names) // _RECORDS)] if names else []
    walls = [local["wall_seconds"] for _, local in parts.read_all(run.root, stage, some)] or [0.0]
    size = next((name for name in _BYTES if counters.get(name)), None)
    rows = next((name for name in _ROWS if counters.get(name)), None)
    return StageTime(
        stage=stage,
        parts=int(took["parts"]),  # type: ignore[call-overload]
        wall_seconds=wall,
        cpu_seconds=float(took["cpu_seconds"]),  # type: ignore[arg-type]
        megabytes_per_second=counters[size] / 1e6 / wall if size and wall else None,
        unit=_BYTES[size] if size else "",
        rows_per_second=counters[rows] / wall if rows and wall else None,
        peak_rss_bytes=int(took["peak_rss_bytes"]),  # type: ignore[call-overload]
        median_part=float(np.median(walls)),
        longest_part=max(walls),
        hosts=tuple(took["hosts"]),  # type: ignore[arg-type]
    )
