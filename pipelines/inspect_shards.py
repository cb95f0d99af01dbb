"""From a document on to its tokens and shards, and from a token of a shard back to its document.

In: opened runs. Out: the steps after a document's export; a token with the document that it is of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from corpus.errors import CorruptPartError, UserError
from corpus.review.inspect.follow import Step
from corpus.review.inspect.query import Query
from corpus.review.inspect.search import Match, NotFoundError, Watch, find, rows_of
from corpus.review.runs import DECIDED, OpenedRun
from tokenizer import trace, trace_token
from tokenizer.trace import Tokenized
from tokenizer.trace_token import Token


class Traced(NamedTuple):
    """A token of a shard, and where its document comes from.

    Attributes:
        shards, name, shard, position: where it stands.
        token: itself.
        tokens, tokenized: the run of tokens, and the document's row there.
        match, row: the document, where its run is still there; else `note` says why not.
    """

    shards: OpenedRun
    name: str
    shard: int
    position: int
    token: Token
    tokens: OpenedRun
    tokenized: Tokenized
    match: Match | None
    row: dict[str, Any] | None
    note: str


def after_export(runs: Sequence[OpenedRun], match: Match, row: dict[str, Any]) -> Iterator[Step]:
    """Where a kept document lies in the given runs of tokens and shards that were made from its run."""
    own = trace.sha256_of(match.run)
    for tokens in (run for run in runs if run.kind == "tokens"):
        if own not in [sha256 for _, _, sha256 in tokens.manifest["runs"]]:
            yield Step("tokens", tokens.root, None, {"note": "made from other runs than this document's"})
            continue
        found = trace.find_tokens(tokens, row["source"], match.id)
        if found is None:
            raise CorruptPartError(f"{tokens.root} has no document {match.id}: run tokenize again")
        facts = {
            "tokens": found.tokens,
            f"in {found.part}.tokens from token": found.first,
            "held out": found.held_out or None,
        }
        yield Step("tokens", f"{tokens.root}/tokens/{found.part}.parquet", found.row, facts)
        for shards in (run for run in runs if run.kind == "shards"):
            yield from _copies(shards, tokens, found)


def trace_back(
    run: OpenedRun,
    given: Sequence[OpenedRun],
    name: str,
    shard: int,
    position: int,
    sample: int | None,
    length: int,
    seed: int,
    watch: Watch,
) -> Traced:
    """A token of a shard, back to its document.

    Raises:
        UserError: there is no such set, shard, position or sample.
        CorruptPartError: what a shard says of its documents is not what lies there.
    """
    if name not in run.manifest["sets"]:
        raise UserError(f"--set {name}: {run.root} has {', '.join(run.manifest['sets'])}")
    if sample is not None:
        shard, position = trace_token.place_of_sample(run, name, sample, length, seed)
    token = trace_token.token_at(run, name, shard, position)
    tokens = trace_token.tokens_run(run, given)
    tokenized = trace.tokenized_row(tokens, token.part, token.row)
    match = row = None
    note = ""
    try:
        found = trace_token.documents_run(tokens, token.source, given, tokenized.file)
        decided = [run for run in found if run.kind in DECIDED]
        if decided:
            match = find(decided, Query(id=tokenized.id), watch)[0]
            (row,) = rows_of([match], None)
        else:
            note = (
                f"{tokens.root} was made from a run that decides about no documents: see its {tokenized.file}"
            )
    except (UserError, NotFoundError) as error:
        note = str(error)
    return Traced(run, name, shard, position, token, tokens, tokenized, match, row, note)


def _copies(shards: OpenedRun, tokens: OpenedRun, found: Tokenized) -> Iterator[Step]:
    try:
        copies = trace.find_copies(shards, tokens, found)
    except UserError as error:
        yield Step("shards", shards.root, None, {"note": str(error)})
        return
    if not copies:
        yield Step("shards", shards.root, None, {"note": "no copy of it was drawn"})
    for copy in copies:
        facts = {
            "document": copy.document,
            "position": copy.position,
            "tokens": copy.tokens,
            "copy": f"{copy.copy + 1} of {copy.epochs:.2f} epochs",
        }
        path = f"{shards.root}/{copy.set}/shard-{copy.shard:05d}.bin"
        yield Step("shards", path, None, facts)
