"""A generated crawl whose pages share many of their lines, within a file and across dumps."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

_LINES = [
    f"The {noun} of the {place} was {verb} in {year}, and people still talk about it."
    for noun in ("bridge", "library", "harbour", "mill", "market")
    for place in ("old town", "northern valley", "island", "river mouth")
    for verb in ("built", "repaired", "painted")
    for year in (1820, 1905)  # two years, one key: digits are folded
]


def write_crawl(
    root: Path,
    rng: random.Random,
    dumps: Sequence[str],
    files_per_dump: int,
    pages_per_file: int,
    repeat_ids: bool = False,
    endings: Sequence[str] = ("",),
) -> None:
    """Write WET files DUMP/NUMBER.warc.wet.

    Args:
        repeat_ids: every third page has the same record id in each dump, and some have none.
        endings: one is put after each line: the more, the fewer lines are the same.
    """
    for dump in dumps:
        for number in range(files_per_dump):
            records = []
            for i in range(pages_per_file):
                name = f"{dump}/{number}/{i}"
                id_ = name
                if repeat_ids and i % 3 == 0:
                    id_ = f"{number}/{i}"
                elif repeat_ids and i % 7 == 1:
                    id_ = ""
                records.append(_record(rng, name, id_, endings))
            path = root / dump / f"{number}.warc.wet"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"".join(records))


def _record(rng: random.Random, name: str, id_: str, endings: Sequence[str]) -> bytes:
    lines = [rng.choice(_LINES) + rng.choice(endings) for _ in range(rng.choice((1, 3, 5, 8)))]
    own = [f"Only {name} says that number {rng.random()} is lucky for some.".replace("/", " slash ")]
    own[0] = "".join(c if not c.isdigit() else chr(97 + int(c)) for c in own[0])
    made = [*lines, *(own if rng.random() < 0.5 else []), "  ", "", "…"]
    rng.shuffle(made)
    body = "\n".join(["A title", *made]).encode() + b"\n"
    record_id = f"WARC-Record-ID: <urn:uuid:{id_}>\r\n" if id_ else ""
    header = (
        f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://x.example/{name}\r\n"
        f"{record_id}Content-Length: {len(body)}\r\n\r\n"
    )
    return header.encode() + body + b"\r\n\r\n"
