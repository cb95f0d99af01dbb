"""Held-out sets of a corpus of shards: documents to score, packed in windows in the order they are stored.

In: sets ``held-out/SOURCE``. Out: windows of `length` + 1 tokens, each one after the other's last, and which
targets in them are text of a document that is scored.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tokenizer.cache import VerifiedFiles
from tokenizer.reader import Corpus
from tokenizer.shards import Tokens
from trainer.data import Array, Documents
from trainer.errors import TrainerError

_PREFIX = "held-out/"


def held_out(corpus: Corpus) -> dict[str, Corpus]:
    """The held-out set of each source that has one, beside a corpus's training set.

    Raises:
        ShardError: a table is missing or is not the manifest's.
    """
    names = [name for name in corpus.manifest["sets"] if name.startswith(_PREFIX)]
    return {
        name.removeprefix(_PREFIX): Corpus.open(corpus.root, name, corpus.open_) for name in sorted(names)
    }


def files(corpus: Corpus) -> VerifiedFiles:
    """A corpus's files of tokens; what is known of them is shared with `Reader`."""
    folder = Path(tempfile.gettempdir(), f"llama-corpus-shards-{corpus.sha256.hex()[:16]}")
    return VerifiedFiles(folder, corpus.open_, keep=2)


class Window(NamedTuple):
    """Consecutive tokens of a held-out set; zeros beyond its end.

    Attributes:
        tokens: int64[T + 1].
        text: bool[T], whether each target, tokens[1:], is text of a document that is scored.
        documents: int64[T], the number of the document of each of tokens[:-1] within the window.
    """

    tokens: Array
    text: Array
    documents: Array


class HeldOut:
    """The documents of a held-out set that are scored: those whose text is a target from begin to end.

    Marks of begin and end are no text. A set's very first token is no target: without a mark before it, its
    document is not scored.

    Attributes:
        tokens: of text, of all documents that are scored.
        bytes: UTF-8 bytes of the same text.
        windows: how many there are; the last one reaches the end of the last document that is scored.
    """

    def __init__(self, corpus: Corpus, length: int, limit: int | None = None) -> None:
        """Choose the documents.

        Args:
            corpus: the held-out set.
            length: targets of a window.
            limit: only documents that end within so many tokens are scored; of none, the first with any text.

        Raises:
            TrainerError: there is no text that can be scored.
            ShardError: a file is missing, or is not the shard's.
        """
        self.length = length
        self._corpus, self._files, self._maps = corpus, files(corpus), dict[int, Tokens]()
        begin, end = (int(corpus.manifest["marks"][mark] is not None) for mark in ("begin", "end"))
        known: list[Documents] = []
        for shard in range(len(corpus.table)):
            known.append(Documents.read(corpus, shard))
            starts, rows = Documents.join(known)
            text = starts[:-1] + begin, starts[1:] - end
            whole = (text[0] < text[1]) & (text[0] > 0)
            if whole.any() and limit is not None and starts[-1] >= limit:
                break
        if not known or not whole.any():
            raise TrainerError(f"{corpus.root}: the set {corpus.name} has no document that could be scored")
        if limit is not None:
            first = int(whole.argmax())
            whole[first + 1 :] &= starts[first + 2 :] <= limit
        self.tokens = int((text[1] - text[0])[whole].sum())
        self.bytes = int(rows["bytes"][whole].sum(dtype=np.int64))
        self.windows = -(-(int(text[1][whole].max()) - 1) // length)
        # What lies beyond is one more document, which is not scored.
        self._documents = Documents(np.append(starts, starts[-1] + length + 1), rows)
        empty = np.where(whole, text[1], text[0])
        self._text = np.append(text[0], 0), np.append(empty, 0)

    def window(self, number: int) -> Window:
        """A window.

        Raises:
            ShardError: a shard is missing or is not as it was written.
        """
        place, size = number * self.length, self.length + 1
        of = self._documents.of(np.array([place]), size)[0]
        target, document = np.arange(place + 1, place + size), of[1:]
        begin, end = self._text
        text = (begin[document] <= target) & (target < end[document])
        return Window(self._read(place, size), text, of[:-1] - of[0])

    def _read(self, place: int, size: int) -> Array:
        starts = self._corpus.starts
        out, done = np.zeros(size, np.int64), 0
        while done < size and place + done < starts[-1]:
            shard = int(np.searchsorted(starts, place + done, "right")) - 1
            if shard not in self._maps:
                self._maps[shard] = self._files.tokens(*self._corpus.tokens_file(shard))
            part = self._maps[shard][place + done - starts[shard] :][: size - done]
            out[done : done + len(part)] = part
            done += len(part)
        return out
