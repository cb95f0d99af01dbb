"""The stages of a mixture, in their order."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from corpus.stages import Stage
from tokenizer.mix import draw, epochs, write
from tokenizer.mix.job import MixJob, one_task, part_tasks

_BY_HASH = ("pyarrow", "xxhash")


def stages() -> tuple[Stage, ...]:
    """From tokens to shards; a new mixture of the same tokens repeats only these."""
    return (
        Stage("histogram", part_tasks, epochs.histogram, settings=drawn, libraries=_BY_HASH),
        Stage("limits", one_task, epochs.find_bins, needs=("histogram",)),
        Stage("edges", part_tasks, epochs.edges, needs=("limits",), settings=drawn, libraries=_BY_HASH),
        Stage("epochs", one_task, epochs.find_limits, needs=("limits", "edges")),
        Stage("draw", part_tasks, draw.draw, needs=("epochs",), settings=drawn, libraries=_BY_HASH),
        Stage("shards", write.shard_tasks, write.write_shard, needs=("draw",), settings=marked),
        Stage("tables", write.set_tasks, write.write_table, needs=("shards",)),
    )


def drawn(job: MixJob) -> dict[str, Any]:
    """What shapes what is drawn."""
    return {
        "tokens": job.sha256,
        "seed": job.settings.seed,
        "shares": {name: asdict(share) for name, share in sorted(job.shares.items())},
        "sources": list(job.sources),
        "sets": [list(s) for s in job.sets],
        "marks": job.mark_count,
    }


def marked(job: MixJob) -> dict[str, Any]:
    """Which marks documents get."""
    return {"begin": job.settings.begin, "end": job.settings.end, "marks": list(job.marks)}
