"""What a training tells of itself: the log of its steps, and how near its speed is to the device's.

Out: `metrics.jsonl`, a JSON object a line, each with "kind" and "step". FLOPs are of one token, forward and
backward; peaks are FLOP/s of one device. MFU is FLOPs a token × tokens/s over the peaks of all devices.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from trainer.devices import Board, board_of
from trainer.errors import TrainerError
from trainer.presets import Shape


class MetricsLog:
    """A file of JSON lines that a run goes on with after any stop.

    A run that goes on from a checkpoint does the steps after it again, so their lines are dropped on opening,
    and so is a last line that was cut off. Floats are written so that reading gives the same bits; NaN and
    infinity, which JSON lacks, are written as null.

    Args:
        path: of the file; its folder is made.
        resume: step of the checkpoint, 0 for a new run.

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


def flops_6n(shape: Shape) -> int:
    """FLOPs a token as 6 × parameters, all of them, without attention (Kaplan et al. 2020, section 2.1)."""
    return 6 * shape.parameters


def flops_attention(shape: Shape, length: int) -> int:
    """FLOPs a token with attention over `length`, without the embedding, which multiplies nothing.

    6 × (parameters − V·D) + 12 × layers × dim × length: PaLM, appendix B, and torchtitan. Masked scores count
    too, though causal attention skips them, so that figures compare with those of others.
    """
    return 6 * (shape.parameters - shape.vocab * shape.dim) + 12 * shape.layers * shape.dim * length


class Peak(NamedTuple):
    """The most a device does: FLOP/s, and what says so, as "data sheet of NVIDIA H100 SXM, bfloat16"."""

    flops: float
    origin: str


def peak_flops(device: torch.device, dtype: torch.dtype) -> Peak:
    """The most a device does with matrices of a type: by its data sheet, else by a short matrix product.

    float32 counts as tf32 where `torch.set_float32_matmul_precision` allows it.
    """
    tf32 = dtype is torch.float32 and torch.get_float32_matmul_precision() != "highest"
    number_format = "tf32" if tf32 else str(dtype).removeprefix("torch.")
    return sheet_peak(board_of(device), number_format) or measured_peak(device, dtype)


def sheet_peak(board: Board | None, number_format: str) -> Peak | None:
    """The peak of a board's data sheet, None where that has none for the format (bfloat16, tf32, float32)."""
    if board is None or number_format not in board.flops:
        return None
    return Peak(board.flops[number_format], f"data sheet of {board.name}, {number_format}")


def measured_peak(
    device: torch.device, dtype: torch.dtype, clock: Callable[[], float] = time.perf_counter
) -> Peak:
    """The best of ten products of square matrices, 2·n³ FLOPs each: under a second on two cores.

    A data sheet says what a device could do, this what it does: an MFU by this is higher.
    """
    n = 1024 if device.type == "cpu" else 8192
    generator = torch.Generator(device).manual_seed(
        0
    )  # numbers of zeros and ones would draw less power, and run faster
    a = torch.randn(n, n, generator=generator, device=device, dtype=dtype)
    best = math.inf
    for _ in range(10):
        _synchronise(device)
        start = clock()
        torch.mm(a, a)
        _synchronise(device)
        best = min(best, clock() - start)
    return Peak(2 * n**3 / best, f"measured, {str(dtype).removeprefix('torch.')}")


def _synchronise(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
