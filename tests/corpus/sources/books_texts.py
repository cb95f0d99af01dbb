"""Made-up books for tests: words drawn by a fixed generator, with overlaps that are known exactly."""

from __future__ import annotations

import random
from typing import Any

from corpus import recipe
from corpus.dedup.book_pairs import pairs
from corpus.recipe import Recipe
from tests.builds import with_build

VOCABULARY = 20_000
NGRAM = 5


def words(seed: int, count: int) -> list[str]:
    """Words as frequent as in a natural text (Zipf), the same for a seed."""
    chance = random.Random(seed)
    return [f"w{int(VOCABULARY ** chance.random()):x}" for _ in range(count)]


def text(tokens: list[str], width: int = 12) -> str:
    """Tokens as lines of some words, in sentences."""
    lines = [" ".join(tokens[i : i + width]) for i in range(0, len(tokens), width)]
    return "\n".join(f"{line.capitalize()}," for line in lines)


def edited(tokens: list[str], seed: int, share: float) -> list[str]:
    """A copy in which single words, evenly spread, are others, so that about `share` of shingles are lost."""
    chance = random.Random(seed)
    gap = NGRAM / share
    out, at = list(tokens), chance.random() * gap
    while at < len(out):
        out[int(at)] = f"changed{chance.randrange(10**9)}"
        at += gap * (0.5 + chance.random())
    return out


def replaced(tokens: list[str], seed: int, share: float) -> list[str]:
    """A copy of which one passage of `share` of the words is another text."""
    size = round(len(tokens) * share)
    start = random.Random(seed).randrange(len(tokens) - size)
    return [*tokens[:start], *words(seed + 1_000_000, size), *tokens[start + size :]]


def shingles(tokens: list[str]) -> set[tuple[str, ...]]:
    return {tuple(tokens[i : i + NGRAM]) for i in range(len(tokens) - NGRAM + 1)}


def containment(a: list[str], b: list[str]) -> float:
    """Share of the smaller's shingles that both have."""
    first, second = shingles(a), shingles(b)
    return len(first & second) / min(len(first), len(second))


def with_containment(tokens: list[str], seed: int, share: float) -> list[str]:
    """A copy, edited by single words, whose containment is as near to `share` as words allow, from below."""
    low, high, best = 0.0, 1.0, list(tokens)
    for _ in range(30):
        middle = (low + high) / 2
        copy = edited(tokens, seed, middle) if middle else list(tokens)
        if containment(tokens, copy) <= share:
            high, best = middle, copy
        else:
            low = middle
    return best


def all_pairs(*arguments: Any) -> tuple[list[list[int]], int]:
    """Every pair once, ascending; the number of keys beyond the bound."""
    batches, capped = pairs(*arguments)
    rows = [row for batch in batches for row in batch.tolist()]
    return sorted(map(list, {tuple(row) for row in rows})), capped


def chosen(
    split_bytes: int = 1 << 24, bucket_bytes: int = 1 << 28, overlap: Any = (), **changes: Any
) -> Recipe:
    """The sample's recipe with other sizes and values in the block of books."""
    raw = recipe.to_dict(recipe.load("sample"))
    raw["books"] |= changes
    if overlap is None:
        del raw["books"]["overlap"]
    else:
        raw["books"]["overlap"] |= dict(overlap)
    sizes = {"split_bytes": split_bytes, "bucket_bytes": bucket_bytes}
    return with_build(recipe.from_dict(raw, "test"), rejected="text", held_out=0.0, **sizes)
