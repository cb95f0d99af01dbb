"""Two folders of tokens or shards side by side: what each source gives, and bytes per token.

In: two opened runs of kind tokens or shards. Out: plain data.
"""

from __future__ import annotations

from typing import Any

from corpus.review.compare.settings import differences
from corpus.review.runs import OpenedRun

# What is compared of a source, as ``stats.json`` has it; bytes_per_token of tokens is worked out.
MEASURES = {
    "tokens": ("in", "bytes", "tokens", "bytes_per_token", "held_out", "held_out_tokens"),
    "shards": ("weight", "share", "unique", "drawn", "epochs", "documents", "bytes_per_token"),
}
_ADDED_UP = frozenset(MEASURES["tokens"] + MEASURES["shards"]) - {"epochs", "bytes_per_token"}


def compare_composition(a: OpenedRun, b: OpenedRun) -> dict[str, Any]:
    """What differs between two runs of tokens or shards.

    Returns:
        ``settings``; ``sources``: a row a source, and last of all together (source ""), each with its
        measures as pairs of A and B, None where a run does not have the source; ``same``: nothing differs.
    """
    measures = MEASURES[a.kind]
    sides = [_sources(run) for run in (a, b)]
    sources = [
        {"source": source, **{m: [side.get(source, {}).get(m) for side in sides] for m in measures}}
        for source in dict.fromkeys(name for side in sides for name in side if name)
    ]
    sources.append({"source": "", **{m: [side[""].get(m) for side in sides] for m in measures}})
    settings = differences(a, b)
    return {
        "kind": a.kind,
        "source": "",
        "a": a.root,
        "b": b.root,
        "settings": [d._asdict() for d in settings],
        "sources": sources,
        "same": not settings and sides[0] == sides[1],
    }


def _sources(run: OpenedRun) -> dict[str, dict[str, float]]:
    """Measures by source; of all together under ""."""
    found: dict[str, dict[str, float]] = {}
    for source, stats in run.stats["sources"].items():
        measured = {name: stats[name] for name in MEASURES[run.kind] if name in stats}
        if run.kind == "tokens":
            measured = dict.fromkeys(("held_out", "held_out_tokens"), 0) | measured
            measured["bytes_per_token"] = stats["bytes"] / stats["tokens"] if stats.get("tokens") else 0.0
        found[source] = measured
    total = {
        name: sum(measured.get(name, 0) for measured in found.values())
        for name in MEASURES[run.kind]
        if name in _ADDED_UP
    }
    tokens = "tokens" if run.kind == "tokens" else "drawn"
    size = sum(m["bytes_per_token"] * m[tokens] for m in found.values())
    total["bytes_per_token"] = size / total[tokens] if total[tokens] else 0.0
    return {**found, "": total}
