"""What makers say of their boards, from `devices.toml`: FLOP/s at most, and watts.

In: the name of a device as torch gives it. Out: its board, or None where the table has none of that name.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

_FILE = Path(__file__).with_name("devices.toml")


class Board(NamedTuple):
    """A board as its data sheet has it.

    Attributes:
        name: of the data sheet.
        watts: what it may draw at most.
        flops: FLOP/s at most, dense, by number format: bfloat16, tf32, float32.
    """

    name: str
    watts: float
    flops: Mapping[str, float]


@functools.cache
def _table() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text("utf-8"))


def board(device_name: str) -> Board | None:
    """The board of a device with this name (`torch.cuda.get_device_name`), None where the table lacks it."""
    for row in _table()["board"]:
        if re.fullmatch(row["matches"], device_name):
            formats = ("bfloat16", "tf32", "float32")
            return Board(row["name"], row["watts"], {f: row[f] * 1e12 for f in formats if f in row})
    return None


def board_of(device: torch.device) -> Board | None:
    """The board of a device, None for a CPU and for what the table lacks."""
    return board(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def assumed_watts(device: torch.device) -> float:
    """What a device is taken to draw where nothing measures it.

    A GPU: its board's most, or the paper's 400 W where the table lacks it. A CPU: 12 W a thread of torch.
    """
    if device.type == "cpu":
        return float(_table()["cpu"]["watts_per_core"]) * torch.get_num_threads()
    found = board_of(device)
    return float(found.watts if found else _table()["unknown_gpu"]["watts"])
