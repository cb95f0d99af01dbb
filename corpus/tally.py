"""What a part counts while it works: records in, skipped, bad, rejected, kept.

Counters are integers with names of the form ``in``, ``bad``, ``bad/truncated_gzip``; the total and
its share by reason always move together, so `in = kept + rejected + bad + merged` can be checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from corpus.schema import BAD_RECORD

FIRST_BYTES = 64  # of a bad record that are kept
_MESSAGE_CHARS = 300
_FLUSH_ROWS = 10_000


@dataclass(frozen=True)
class BadRecord:
    """A record that could not be read: where it lies and why."""

    source: str
    file: str
    offset: int
    stage: str
    reason: str
    message: str
    first_bytes: bytes = b""


class Tally:
    """Counters of one part, and its bad records, handed on in batches of `BAD_RECORD` rows."""

    def __init__(self, write_bad: Callable[[pa.RecordBatch], None]) -> None:
        self.counters: Counter[str] = Counter()
        self._write_bad = write_bad
        self._pending: list[BadRecord] = []

    def count(self, name: str, n: int = 1) -> None:
        """Add to one plain counter, such as ``in`` or ``lines``."""
        self.counters[name] += n

    def by_reason(self, name: str, reason: str, n: int = 1) -> None:
        """Add to a total and to its share, e.g. ``skipped`` and ``skipped/request``."""
        self.counters[name] += n
        self.counters[f"{name}/{reason}"] += n

    def skipped(self, reason: str, n: int = 1) -> None:
        """Count a record that is no document by nature (request, warcinfo, image…)."""
        self.by_reason("skipped", reason, n)

    def bad(self, record: BadRecord) -> None:
        """Count and keep a record that was framed (counted ``in``) but could not be read."""
        self.by_reason("bad", record.reason)
        self._pending.append(record)
        if len(self._pending) >= _FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Hand the bad records kept so far to the writer."""
        if not self._pending:
            return
        rows = [
            {
                "source": r.source,
                "file": r.file,
                "offset": r.offset,
                "stage": r.stage,
                "reason": r.reason,
                "message": r.message[:_MESSAGE_CHARS].encode("utf-8", "replace").decode(),
                "first_bytes": r.first_bytes[:FIRST_BYTES],
            }
            for r in self._pending
        ]
        self._pending.clear()
        self._write_bad(pa.RecordBatch.from_pylist(rows, schema=BAD_RECORD))
