"""Progress of a run, read from the records of its parts: the same on every engine.

A bar on a terminal, a plain line from time to time in a log.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tqdm import tqdm

from corpus import parts, storage

_POLL_SECONDS = 0.5
_REMOTE_POLL_SECONDS = 30.0
_LOG_SECONDS = 15.0


@dataclass(frozen=True)
class StagePlan:
    """How many parts a stage will have; 0 where only the stages before it know."""

    stage: str
    parts: int


class Progress:
    """Watches a run's folder from a thread while the engine works; a context manager."""

    def __init__(self, root: str, plan: Sequence[StagePlan]) -> None:
        self._root = root
        self._plan = list(plan)
        self._seen: dict[str, set[str]] = {p.stage: set() for p in plan}
        self._counters: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()

    def __enter__(self) -> Progress:
        self._look(count=False)
        self._before = sum(map(len, self._seen.values()))
        total = sum(p.parts for p in self._plan)
        self._bar = tqdm(
            total=total, initial=self._before, unit="part", disable=not self._terminal, dynamic_ncols=True
        )
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look(count=True)
        self._show()
        self._bar.close()

    def _watch(self) -> None:
        period = _POLL_SECONDS if storage.is_local(self._root) else _REMOTE_POLL_SECONDS
        logged = time.monotonic()
        while not self._stop.wait(period):
            self._look(count=True)
            if self._terminal:
                self._show()
            elif time.monotonic() - logged >= _LOG_SECONDS:
                logged = time.monotonic()
                self._log()

    def _look(self, count: bool) -> None:
        for plan in self._plan:
            seen = self._seen[plan.stage]
            if len(seen) >= plan.parts:
                continue
            pattern = storage.join(self._root, plan.stage, "*" + parts.RECORD_SUFFIX)
            for file in storage.find(pattern):
                name = file.path.rsplit("/", 1)[-1].removesuffix(parts.RECORD_SUFFIX)
                if name in seen:
                    continue
                seen.add(name)
                if count:
                    self._add(plan.stage, name)

    def _add(self, stage: str, name: str) -> None:
        record = parts.read_record(self._root, stage, name)
        for counter, n in (record[0].counters if record else {}).items():
            key = f"{stage}:{counter}"
            self._counters[key] = self._counters.get(key, 0) + n

    def _done(self) -> int:
        return sum(map(len, self._seen.values()))

    def _text(self) -> str:
        """Stage reached, MB/s of raw input (which the crawl filter reads twice), share kept."""
        stage = next((p.stage for p in self._plan if len(self._seen[p.stage]) < p.parts), "done")
        seconds = time.monotonic() - self._started
        read = sum(n for counter, n in self._counters.items() if counter.endswith(":bytes_raw"))
        kept, decided = self._counters.get("decide:kept", 0), self._counters.get("decide:in", 0)
        share = f", {100 * kept / decided:.0f} % kept" if decided else ""
        return f"{stage}: {read / 2e6 / max(seconds, 1e-9):.1f} MB/s raw{share}"

    def _show(self) -> None:
        self._bar.set_description(self._text(), refresh=False)
        self._bar.update(self._done() - self._bar.n)

    def _log(self) -> None:
        done, total = self._done(), sum(p.parts for p in self._plan)
        seconds = time.monotonic() - self._started
        fresh = done - self._before
        left = f", about {seconds / fresh * (total - done):.0f} s left" if fresh else ""
        print(f"{done} of {total} parts, {self._text()}{left}", file=sys.stderr, flush=True)
