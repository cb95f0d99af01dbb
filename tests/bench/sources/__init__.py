"""Readers of the other sources beside what else reads them: one module a source, each with `measure`."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """What was measured, bytes of text that entered it, CPU seconds."""

    what: str
    size: int
    cpu: float
