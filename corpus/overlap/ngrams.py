"""The word n-grams of evaluations: gathered from their texts, and found again in documents.

In: texts of evaluation files (`corpus.overlap.evaluations`). Out: three tables: `GRAM`, the distinct n-grams;
`PLACE`, where each stands; `EVALUATION`, a row a file. From them an `NgramIndex`, which finds every n-gram in
a batch of documents: candidates by a 64-bit hash (`corpus.kernels.ngram_scan`), and of these the ones whose
words are the same. So a shared hash can neither add a match nor hide one.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from corpus.errors import UserError
from corpus.kernels.arrays import Bytes, Ints, Positions
from corpus.kernels.arrow_text import text_buffers
from corpus.kernels.ngram_scan import Sieve, every_ngram, scan, sieve_of
from corpus.kernels.ngram_words import words
from corpus.kernels.rules_bytes import code_points
from corpus.overlap.evaluations import Text, base_field

# GPT-3 (arXiv 2005.14165, appendix C): N is the 5th percentile of the lengths of examples, at least 8 (fewer
# words collide by chance) and at most 13.
_AUTO_SHARE, _AUTO_MIN, _AUTO_MAX = 0.05, 8, 13

VERSION = 1  # raised by hand when words or tables become others
GRAM = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),  # hash; rows are sorted by it, then by text
        pa.field("text", pa.string(), nullable=False),  # folded words, by one space
    ]
)
PLACE = pa.schema(
    [
        pa.field("gram", pa.int32(), nullable=False),  # row of GRAM; sorted by this and the next two
        pa.field("evaluation", pa.int32(), nullable=False),  # row of EVALUATION
        pa.field("item", pa.int32(), nullable=False),
        pa.field("field", pa.string(), nullable=False),  # as `Text.field`
    ]
)
EVALUATION = pa.schema(
    [
        pa.field("evaluation", pa.string(), nullable=False),  # name of the file
        pa.field("items", pa.int64(), nullable=False),
        pa.field("searched", pa.int64(), nullable=False),  # items that have an n-gram at all
        pa.field("ngram", pa.int64(), nullable=False),  # n
        pa.field("ngrams", pa.int64(), nullable=False),  # distinct
    ]
)


@dataclass(frozen=True)
class Tables:
    """The n-grams of evaluations."""

    grams: pa.Table
    places: pa.Table
    evaluations: pa.Table


@dataclass
class _Gathered:
    """What is known while files are read: n-grams by text."""

    numbers: dict[str, int] = field(default_factory=dict)
    keys: list[int] = field(default_factory=list)
    places: list[tuple[int, int, int, str]] = field(default_factory=list)


def chosen(texts: Mapping[str, Sequence[Text]], fields: Sequence[str]) -> dict[str, list[Text]]:
    """Of all files' texts those of the named fields, or all where none is named.

    Raises:
        UserError: no file has one of the fields, or a file has none of them.
    """
    if not fields:
        return {name: list(found) for name, found in texts.items()}
    wanted = set(fields)
    there = {
        name: {f for t in found for f in (t.field, base_field(t.field))} for name, found in texts.items()
    }
    known = set().union(*there.values())
    if missing := sorted(wanted - known):
        raise UserError(
            f"no evaluation has a field {', '.join(missing)}; there are: {', '.join(sorted(known))}"
        )
    for name, has in there.items():
        if not has & wanted:
            raise UserError(
                f"evaluation {name} has none of the fields asked for; it has: {', '.join(sorted(has))}"
            )
    return {
        name: [t for t in found if t.field in wanted or base_field(t.field) in wanted]
        for name, found in texts.items()
    }


def size_for(texts: Iterable[Text], ngram: int | Literal["auto"]) -> int:
    """n for a file: as asked, or by its items: of each the text with the most words counts."""
    if ngram != "auto":
        return ngram
    longest: dict[int, int] = defaultdict(int)
    for text in texts:
        longest[text.item] = max(longest[text.item], sum(1 for _ in words(text.text)))
    lengths = sorted(longest.values())
    return min(_AUTO_MAX, max(_AUTO_MIN, lengths[int(_AUTO_SHARE * len(lengths))]))


def gather(texts: Mapping[str, Sequence[Text]], ngram: int | Literal["auto"]) -> Tables:
    """The tables of evaluations.

    Args:
        texts: of each file, by its name.
        ngram: words, or by file.
    """
    gathered = _Gathered()
    rows = []
    for evaluation, name in enumerate(sorted(texts)):
        n = size_for(texts[name], ngram)
        before = len(gathered.places)
        _add(gathered, evaluation, texts[name], n)
        added = gathered.places[before:]
        rows.append(
            {
                "evaluation": name,
                "items": len({t.item for t in texts[name]}),
                "searched": len({item for _, _, item, _ in added}),
                "ngram": n,
                "ngrams": len({gram for gram, *_ in added}),
            }
        )
    grams = pa.table(
        [pa.array(gathered.keys, pa.uint64()), pa.array(list(gathered.numbers), pa.string())], schema=GRAM
    )
    order = np.array(
        sorted(
            range(len(gathered.keys)), key=list(zip(gathered.keys, gathered.numbers, strict=True)).__getitem__
        ),
        np.int64,
    )
    place_of = np.empty(len(order), np.int64)
    place_of[order] = np.arange(len(order))
    places = sorted({(int(place_of[gram]), *rest) for gram, *rest in gathered.places})
    columns: list[Sequence[int | str]] = [*zip(*places, strict=True)] or [[], [], [], []]
    return Tables(
        grams.take(pa.array(order)),
        pa.table([pa.array(c, f.type) for c, f in zip(columns, PLACE, strict=True)], schema=PLACE),
        pa.Table.from_pylist(rows, EVALUATION),
    )


def _add(gathered: _Gathered, evaluation: int, texts: Sequence[Text], n: int) -> None:
    found = scan(pa.array([t.text for t in texts], pa.string()), every_ngram([n]))
    hashes = iter(found.key.tolist())
    for text in texts:
        spelled = [word.text for word in words(text.text)]
        for i in range(len(spelled) - n + 1):
            key, gram = next(hashes), " ".join(spelled[i : i + n])
            number = gathered.numbers.setdefault(gram, len(gathered.numbers))
            if number == len(gathered.keys):
                gathered.keys.append(key)
            gathered.places.append((number, evaluation, text.item, text.field))
    if next(hashes, None) is not None:
        raise AssertionError("the compiled loop and the plain rules find different words")


class Matches(NamedTuple):
    """n-grams found in n documents, in their order; one row each.

    `document` int64: row of the text. `gram` int32: row of `GRAM`. `start`, `end` int64: code points, from
    its first token to the end of its last.
    """

    document: Positions
    gram: Ints
    start: Positions
    end: Positions


class NgramIndex:
    """Finds the n-grams of `GRAM` in documents; for any number of threads."""

    def __init__(self, grams: pa.Table, sizes: Sequence[int]) -> None:
        """Take the n-grams, and how many words they have."""
        self._keys = grams.column("key").to_numpy()
        self._texts: pa.StringArray = pa.concat_arrays(
            [*grams.column("text").chunks, pa.array([], pa.string())]
        )
        # Without n-grams nothing is found, whatever the size.
        self._sieve: Sieve = sieve_of(self._keys, self._texts, list(sizes) or [_AUTO_MAX])

    def find(self, text: pa.StringArray) -> Matches:
        """Every n-gram in each document; a null one has none.

        Raises:
            TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
        """
        data, offsets, _ = text_buffers(text)
        candidates = scan(text, self._sieve)
        low = np.searchsorted(self._keys, candidates.key)
        known = np.flatnonzero(low < len(self._keys))
        known = known[self._keys[low[known]] == candidates.key[known]]
        high = np.searchsorted(self._keys, candidates.key[known], "right")
        rows = []
        for c, stop in zip(known.tolist(), high.tolist(), strict=True):
            document = int(candidates.document[c])
            first = int(offsets[document])
            start, end = first + int(candidates.start[c]), first + int(candidates.end[c])
            spelled = " ".join(word.text for word in words(data[start:end].tobytes().decode()))
            rows += [
                (document, gram, start, end)
                for gram in range(int(low[c]), stop)
                if self._texts[gram].as_py() == spelled
            ]
        documents, grams, starts, ends = np.array(rows, np.int64).reshape(-1, 4).T
        firsts = offsets.astype(np.int64)[documents]
        origins, starts, ends = np.split(_code_point_places(data, np.concatenate([firsts, starts, ends])), 3)
        return Matches(documents, grams.astype(np.int32), starts - origins, ends - origins)


def _code_point_places(data: Bytes, positions: Positions) -> Positions:
    """How many code points lie before each byte position, from the first of the positions on."""
    distinct, inverse = np.unique(positions, return_inverse=True)
    stages = [int(code_points(data, a, b)) for a, b in itertools.pairwise(distinct.tolist())]
    places: Positions = np.cumsum([0, *stages])[inverse]
    return places
