"""The log of a run's steps: `metrics.jsonl`, a JSON object a line, each with "kind" and "step"."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.errors import TrainerError


class MetricsLog:
    """A file of JSON lines that a run goes on with after any stop.

    A run that goes on from a checkpoint does the steps after it again, so their lines are dropped on opening,
    and so is a last line that was cut off. Floats are written so that reading gives the same bits; NaN and
    infinity, which JSON lacks, are written as null.

    Args:
        path: of the file; its folder is made.
        resume: step of the checkpoint; -1 for a run that begins anew.

    Raises:
        TrainerError: a line before the last is no record.
    """

    def __init__(self, path: Path, resume: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            kept = path.with_name(path.name + ".tmp")
            with kept.open("w", encoding="utf-8") as f:
                f.writelines(_line(record) for record in read_metrics(path) if record["step"] <= resume)
                f.flush()
                os.fsync(f.fileno())
            kept.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record, with "kind" and "step", and hand it to the system: a killed process loses none."""
        self._file.write(_line(record))
        self._file.flush()

    def close(self) -> None:
        """Bring all to the disk, and end."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a log, in order, without a last line that was cut off.

    Raises:
        TrainerError: the file cannot be read, or a line before the last is no record.
    """
    broken = 0
    try:
        with path.open(encoding="utf-8", errors="replace") as f:
            for number, line in enumerate(f, 1):
                if broken:
                    raise TrainerError(f"line {broken} of {path} is no record; mend it or move the file")
                record = _parse(line)
                if record is None:
                    broken = number
                else:
                    yield record
    except OSError as error:
        raise TrainerError(f"{path} cannot be read: {error.strerror}; give the folder of a run") from error


def _parse(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("step"), int) or "kind" not in record:
        return None
    return record


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(_finite(record), ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value
