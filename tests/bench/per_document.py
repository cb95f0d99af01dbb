"""The crawl filter as it is commonly written: a loop over documents in Python, one library call each.

What CCNet's code does (cc_net/process_wet_file.py, dedup.py, split_by_lang.py, perplexity.py), in its
shape and with the same models, for a comparison in the same run. Prints the pages kept after
deduplication and language identification, which ours must agree with.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fasttext
import kenlm
import sentencepiece
from warcio.archiveiterator import ArchiveIterator

from corpus.kernels.ccnet_text import normalize_for_dedup, normalize_for_language_model

MIN_CHARS = 300


def documents(paths: list[Path]) -> Iterator[list[str]]:
    """Stripped lines of each page, its title left out."""
    for path in paths:
        with path.open("rb") as f:
            for record in ArchiveIterator(f):
                if record.rec_type == "conversion":
                    lines = record.content_stream().read().decode().rstrip("\n").split("\n")
                    yield [line.strip() for line in lines[1:]]


def key(line: str) -> bytes:
    """CCNet's key of a line: eight bytes of the SHA-1 of its normalised form."""
    return hashlib.sha1(normalize_for_dedup(line).encode()).digest()[:8]


def main(folder: str, lid: str, pieces_model: str, ngram_model: str) -> None:
    """Filter every WET file below a folder; print what was kept."""
    paths = sorted(Path(folder).rglob("*.gz"))
    language_model = fasttext.load_model(lid).f
    pieces = sentencepiece.SentencePieceProcessor(model_file=pieces_model)
    ngrams = kenlm.Model(ngram_model)
    seen: Counter[bytes] = Counter()
    for lines in documents(paths):
        if len("\n".join(lines)) >= MIN_CHARS:
            seen.update({key(line) for line in lines})
    pages = english = 0
    for lines in documents(paths):
        if len("\n".join(lines)) < MIN_CHARS:
            continue
        used: set[bytes] = set()
        kept = []
        for line in lines:
            k = key(line)
            if seen[k] < 2 and k not in used and normalize_for_dedup(line):
                kept.append(line)
            used.add(k)
        if not kept:
            continue
        pages += 1
        text = "\n".join(kept)
        answer = language_model.predict(text.replace("\n", "") + "\n", 1, 0.0, "strict")
        if answer[0][1] != "__label__en" or round(answer[0][0], 2) < 0.5:
            continue
        english += 1
        encoded = pieces.encode(normalize_for_language_model(text), out_type=str)
        ngrams.score(" ".join(encoded))
    print(pages, english)


if __name__ == "__main__":
    main(*sys.argv[1:])
