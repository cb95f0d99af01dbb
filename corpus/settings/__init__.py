"""The recipe's blocks of the sources that `llama-corpus build` makes, a file a source; what they share."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Build:
    """What every source's build has in common; sizes in bytes. The first five shape no document."""

    split_bytes: int = Field(default=128 << 20, gt=0)  # raw bytes one task reads, of files that can be cut
    batch_bytes: int = Field(default=16 << 20, gt=0)  # text held at a time
    bucket_bytes: int = Field(default=256 << 20, gt=0)  # rows of all splits that one task holds
    splits_per_file: int = Field(default=8, gt=0)  # parts whose kept documents share a file
    rejected: Literal["text", "columns"] = "columns"  # what annotated parts keep of rejected documents
    held_out: float = Field(default=0.001, ge=0, lt=1)  # share of kept documents set aside by id
    removals: list[str] = Field(default_factory=list)  # files of ids, URLs and domains
