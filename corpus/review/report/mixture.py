"""The composition of the corpus beside the paper's: what the runs of tokens and of shards say.

In: the account of a run of `mix` (or of `tokenize` alone). Out: a row a source.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corpus import storage
from corpus.review.runs import DECIDED, OpenedRun
from corpus.tables import read_table


@dataclass(frozen=True)
class SourceShare:
    """A source in the paper's table 1 and in these runs; None where it is not known.

    Attributes:
        weight: asked for by the recipe; share: of the tokens drawn.
        unique, drawn: tokens. epochs: drawn by unique.
        bytes_per_token: UTF-8 bytes; the paper's by its disk size, whose format is not said.
        paper_drawn, paper_unique: tokens of its run of 1.4T.
    """

    source: str
    weight: float | None
    share: float | None
    unique: int | None
    drawn: int | None
    epochs: float | None
    bytes_per_token: float | None
    paper_share: float | None
    paper_epochs: float | None
    paper_drawn: float | None
    paper_unique: float | None
    paper_bytes_per_token: float | None


def compare_with_paper(runs: Sequence[OpenedRun]) -> list[SourceShare]:
    """The sources of the paper in its order, then others, by the last run of shards, else of tokens."""
    sources = _drawn(runs) or _tokenized(runs)
    paper = read_table("corpus.review.report", "table1.toml")
    order = list(paper["sources"])
    names = [*order, *sorted(sources.keys() - set(order))] if sources else []
    return [_row(name, sources.get(name, {}), paper) for name in names]


def other_runs(runs: Sequence[OpenedRun]) -> list[str]:
    """Runs that are not those which the tokens and shards beside them were made of, in words."""
    said = []
    by_kind = {run.kind: run for run in runs}
    manifests = {run.root: _manifest_sha256(run) for run in runs}
    shards, tokens = by_kind.get("shards"), by_kind.get("tokens")
    if shards and tokens and shards.manifest.get("tokens") != manifests[tokens.root]:
        said.append(
            f"The shards of {shards.name} were not drawn from the tokens of {tokens.name} as they are now."
        )
    if tokens:
        made_of = {entry[-1] for entry in tokens.manifest.get("runs", ())}
        others = [r.name for r in runs if r.kind in DECIDED and manifests[r.root] not in made_of]
        if others:
            said.append(f"The tokens of {tokens.name} were not made of {', '.join(others)} as they are now.")
    return said


def cut_off_runs(roots: Sequence[str]) -> list[str]:
    """Of folders with several runs those in which one was begun and not finished, in words."""
    begun = {
        posixpath.dirname(f.path) for r in roots for f in storage.find(storage.join(r, "*", "inputs.json"))
    }
    begun |= {
        posixpath.dirname(posixpath.dirname(f.path))
        for root in roots
        for f in storage.find(storage.join(root, "*", "*", "settings.json"))
    }
    return [
        f"{posixpath.basename(run)} was cut off before its end and is left out: run its command again."
        for run in sorted(begun)
        if not storage.exists(storage.join(run, "manifest.json"))
    ]


def _manifest_sha256(run: OpenedRun) -> str:
    return hashlib.sha256(storage.read_bytes(storage.join(run.root, "manifest.json"))).hexdigest()


def _drawn(runs: Sequence[OpenedRun]) -> dict[str, Any]:
    found = [run for run in runs if run.kind == "shards"]
    return found[-1].stats.get("sources", {}) if found else {}


def _tokenized(runs: Sequence[OpenedRun]) -> dict[str, Any]:
    found = [run for run in runs if run.kind == "tokens"]
    sources = found[-1].stats.get("sources", {}) if found else {}
    return {
        name: {
            "unique": counters.get("tokens", 0) - counters.get("held_out_tokens", 0),
            "bytes_per_token": counters.get("bytes", 0) / max(counters.get("tokens", 0), 1),
        }
        for name, counters in sources.items()
    }


def _row(name: str, ours: dict[str, Any], paper: dict[str, Any]) -> SourceShare:
    theirs = paper["sources"].get(name)
    drawn = paper["tokens"] * theirs["share"] if theirs else None
    unique = drawn / theirs["epochs"] if theirs else None
    return SourceShare(
        source=name,
        weight=ours.get("weight"),
        share=ours.get("share"),
        unique=ours.get("unique"),
        drawn=ours.get("drawn"),
        epochs=ours.get("epochs"),
        bytes_per_token=ours.get("bytes_per_token"),
        paper_share=theirs["share"] if theirs else None,
        paper_epochs=theirs["epochs"] if theirs else None,
        paper_drawn=drawn,
        paper_unique=unique,
        paper_bytes_per_token=theirs["disk"] / unique if theirs else None,
    )
