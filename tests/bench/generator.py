"""WET sets of any size, made from real pages where there are some, with known shares of repetition.

Seeds are pages of the development data (or of the built-in sample). A fresh page is a seed whose lines are
kept as they are with probability `REPEATED` (so they repeat over the set) and otherwise get some of their
words replaced by words of the same seed (so they do not). Other pages are copies of a fresh one, each of
another: exact, or near, with one of `EDITS` as the share of its words that are replaced. Which page is a
copy of which is written beside the set's folder: ``FOLDER.truth.csv``.
"""

from __future__ import annotations

import csv
import gzip
import random
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO

from corpus import inputs, recipe
from corpus.sample import CRAWL
from corpus.sources.commoncrawl import read_pages
from corpus.tally import Tally
from tests.shared import DATA

REPEATED = 0.25
EXACT = 0.05
NEAR = 0.05
EDITS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2)
_REPLACED_WORDS = 0.15
_CHUNK = 16 << 20

Seeds = list[tuple[str, list[str]]]  # (title, lines)


@dataclass(frozen=True)
class Copy:
    """One line of the truth: addresses of a page and of the page it was made from; kind exact or near."""

    page: str
    original: str
    kind: str
    edits: float


def real_warc_files() -> list[Path]:
    """WARC files of real pages, where the development data is there."""
    return sorted((DATA / "commoncrawl").glob("html-*.warc.gz"))


def seed_pages(paths: Iterable[Path] = ()) -> Seeds:
    """Pages of at least 600 characters, of the given files or else the real ones if the data is there."""
    chosen = list(map(str, paths or real_warc_files())) or [str(CRAWL)]
    limits = recipe.load("sample").limits
    pages = []
    for file in inputs.resolve(chosen):
        tally = Tally(lambda batch: None)
        for batch in read_pages(file.path, file.name, limits, _CHUNK, tally):
            for title, text in zip(
                batch.column("title").to_pylist(), batch.column("text").to_pylist(), strict=True
            ):
                lines = [line.strip() for line in text.split("\n") if line.strip()]
                if sum(map(len, lines)) >= 600:
                    pages.append((title or "", lines))
    return pages


def make_wet_files(
    folder: Path, text_bytes: int, files: int, seed: int = 0, seeds: Seeds | None = None
) -> int:
    """Write `files` WET files of `text_bytes` of text in all; returns the bytes of text written."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = seeds or seed_pages()
    written, truth = 0, []
    for number in range(files):
        rng = random.Random(f"{seed}/{number}")
        fresh: list[tuple[str, str]] = []  # pages of the file that have no copy yet
        with wet_file(folder, number) as out:
            pages = _Pages(out, rng, chosen, str(number))
            while pages.size < text_bytes // files:
                if not fresh or (kind := _drawn(rng, EXACT, NEAR)) == "fresh":
                    fresh.append(pages.fresh())
                    del fresh[:-50]  # as far back as copies lie
                else:
                    truth.append(pages.copy(kind, *fresh.pop(rng.randrange(len(fresh)))))
        written += pages.size
    _write_truth(folder, truth)
    return written


def make_copied_dump(folder: Path, text_bytes: int, seed: int = 0, seeds: Seeds | None = None) -> int:
    """Write two dumps of `text_bytes` each: half of the second are copies of pages of the first.

    A quarter of the copies is exact. In different dumps lie copies that paragraph deduplication within
    a dump leaves alone. Returns the bytes of text written.
    """
    chosen, rng = seeds or seed_pages(), random.Random(f"copies/{seed}")
    first, second = folder / "CC-MAIN-2020-10", folder / "CC-MAIN-2020-16"
    fresh: list[tuple[str, str]] = []
    with wet_file(first, 0) as out:
        pages = _Pages(out, rng, chosen, "first")
        while pages.size < text_bytes:
            fresh.append(pages.fresh())
    rng.shuffle(fresh)
    truth = []
    with wet_file(second, 0) as out:
        copies = _Pages(out, rng, chosen, "second")
        while copies.size < text_bytes:
            kind = _drawn(rng, 0.125, 0.375) if fresh else "fresh"
            if kind == "fresh":
                copies.fresh()
            else:
                truth.append(copies.copy(kind, *fresh.pop()))
    _write_truth(folder, truth)
    return pages.size + copies.size


def _write_truth(folder: Path, truth: Iterable[Copy]) -> None:
    with _truth_of(folder).open("w", newline="") as f:
        writer = csv.DictWriter(f, [field.name for field in fields(Copy)])
        writer.writeheader()
        writer.writerows(map(asdict, truth))


def read_truth(folder: Path) -> list[Copy]:
    """The planted copies of a set."""
    with _truth_of(folder).open(newline="") as f:
        return [Copy(r["page"], r["original"], r["kind"], float(r["edits"])) for r in csv.DictReader(f)]


def _truth_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".truth.csv")  # in the folder it would be read as a crawl file


class _Pages:
    """Writes pages to one file; a page is (address, text)."""

    def __init__(self, out: IO[bytes], rng: random.Random, seeds: Seeds, name: str) -> None:
        self._out = out
        self._rng = rng
        self._seeds = seeds
        self._name = name
        self._pages = 0
        self.size = 0  # bytes of text

    def fresh(self) -> tuple[str, str]:
        """A page of its own."""
        title, lines = self._rng.choice(self._seeds)
        words = [word for line in lines for word in line.split()]
        kept = (self._rng.random() < REPEATED for _ in lines)
        made = [
            line if keep else self._edited(line, words, _REPLACED_WORDS)
            for line, keep in zip(lines, kept, strict=True)
        ]
        return self._write("\n".join([title, *made]) + "\n")

    def copy(self, kind: str, original: str, text: str) -> Copy:
        """A copy of a page; its title, which is no part of a page's text, is the same."""
        edits = 0.0
        if kind == "near":
            edits = self._rng.choice(EDITS)
            title, *lines = text.removesuffix("\n").split("\n")
            words = [word for line in lines for word in line.split()]
            text = "\n".join([title, *(self._edited(line, words, edits) for line in lines)]) + "\n"
        return Copy(self._write(text)[0], original, kind, edits)

    def _edited(self, line: str, words: list[str], share: float) -> str:
        rng = self._rng
        return " ".join(rng.choice(words) if rng.random() < share else word for word in line.split())

    def _write(self, text: str) -> tuple[str, str]:
        address, data = f"https://bench.example/{self._name}/{self._pages}", text.encode()
        self._out.write(gzip.compress(record(address, data), 6, mtime=0))
        self.size += len(data)
        self._pages += 1
        return address, text


def _drawn(rng: random.Random, exact: float, near: float) -> str:
    drawn = rng.random()
    return "exact" if drawn < exact else "near" if drawn < exact + near else "fresh"


def wet_file(folder: Path, number: int) -> IO[bytes]:
    """A new WET file of a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f"CC-MAIN-00000000000000-{number:05d}.warc.wet.gz").open("wb")


def record(address: str, body: bytes) -> bytes:
    """A page as it stands in a WET file, not compressed."""
    header = (
        "WARC/1.0\r\nWARC-Type: conversion\r\n"
        f"WARC-Target-URI: {address}\r\nWARC-Date: 2020-01-01T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, address)}>\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return header.encode() + body + b"\r\n\r\n"
