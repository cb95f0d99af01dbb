"""A WET set of any size, made from real pages where there are some, with known shares of repetition.

Seeds are pages of the development data (or of the built-in sample). A page of the set is a seed whose
lines are kept as they are with probability `REPEATED` (so they repeat over the set) and otherwise get
some of their words replaced by words of the same seed (so they do not); `COPIES` of the pages are exact
copies of the page before.
"""

from __future__ import annotations

import gzip
import os
import random
import uuid
from pathlib import Path

from corpus import inputs, recipe
from corpus.sample import CRAWL
from corpus.sources.commoncrawl import read_pages
from corpus.tally import Tally

REPEATED = 0.25
COPIES = 0.05
_REPLACED_WORDS = 0.15
_CHUNK = 16 << 20


def real_warc_files() -> list[Path]:
    """WARC files of real pages, where the development data is there."""
    shared = Path(os.environ.get("LLAMA_CORPUS_SHARED", Path(__file__).parents[3] / "shared"))
    return sorted((shared / "data" / "commoncrawl").glob("html-*.warc.gz"))


def seed_pages() -> list[tuple[str, list[str]]]:
    """(title, lines) of pages of at least 600 characters, the real ones if the data is there."""
    paths = list(map(str, real_warc_files())) or [str(CRAWL)]
    limits = recipe.load("sample").limits
    pages = []
    for file in inputs.resolve(paths):
        tally = Tally(lambda batch: None)
        for batch in read_pages(file.path, file.name, limits, _CHUNK, tally):
            for title, text in zip(
                batch.column("title").to_pylist(), batch.column("text").to_pylist(), strict=True
            ):
                lines = [line.strip() for line in text.split("\n") if line.strip()]
                if sum(map(len, lines)) >= 600:
                    pages.append((title or "", lines))
    return pages


def make_wet_files(folder: Path, text_bytes: int, files: int, seed: int = 0) -> int:
    """Write `files` WET files of `text_bytes` of text in all; returns the bytes of text written."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = seed_pages()
    written = 0
    for number in range(files):
        rng = random.Random(f"{seed}/{number}")
        body: str | None = None
        size = page = 0
        with open(folder / f"CC-MAIN-00000000000000-{number:05d}.warc.wet.gz", "wb") as out:
            while size < text_bytes // files:
                if body is None or rng.random() >= COPIES:
                    body = _page(rng, *rng.choice(seeds))
                data = body.encode()
                out.write(gzip.compress(_record(f"{number}/{page}", data), 6, mtime=0))
                size += len(data)
                page += 1
        written += size
    return written


def _page(rng: random.Random, title: str, lines: list[str]) -> str:
    words = [word for line in lines for word in line.split()]
    made = [title]
    for line in lines:
        if rng.random() < REPEATED:
            made.append(line)
        else:
            made.append(
                " ".join(
                    rng.choice(words) if rng.random() < _REPLACED_WORDS else word for word in line.split()
                )
            )
    return "\n".join(made) + "\n"


def _record(name: str, body: bytes) -> bytes:
    header = (
        "WARC/1.0\r\nWARC-Type: conversion\r\n"
        f"WARC-Target-URI: https://bench.example/{name}\r\nWARC-Date: 2020-01-01T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}>\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return header.encode() + body + b"\r\n\r\n"
