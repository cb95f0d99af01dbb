"""The end of a build: every document accounted for, stats and timing; the run's manifest last."""

from __future__ import annotations

from typing import Any

from corpus.accounts import check_equal, collect_complete, footer_rows, write_json
from corpus.build.decide import NAME as DECIDE
from corpus.build.export import NAME as EXPORT
from corpus.build.job import BuildJob
from corpus.parts import Part
from corpus.recipe import digest, to_dict

_FATES = ("kept", "rejected", "bad", "merged")


def finish(job: BuildJob, until: str) -> dict[str, int]:
    """Check the accounts of the stages up to `until`, and write the run's files.

    Returns:
        The run's counters, as in ``stats.json``.

    Raises:
        AccountingError: documents were lost or counted twice.
        CorruptPartError: a part is not there.
    """
    names = [stage.name for stage in job.stages()]
    done, timing, manifests = found = collect_complete(job.root, names[: names.index(until) + 1])
    totals = found.totals
    counters = run_counters(totals)
    _check(job, counters, totals, done)
    stats = {"counters": counters, "stages": totals}
    write_json(job.root, "stats.json", stats)
    write_json(job.root, "timing.json", timing)
    write_json(job.root, "recipe.json", to_dict(job.recipe))
    inputs = [(r.file.name, r.file.size, r.start, r.end) for split in job.splits() for r in split.ranges]
    block = to_dict(job.settings)
    manifest: dict[str, Any] = {
        "kind": "build",
        "source": job.source_name,
        "complete": until == EXPORT,
        "recipe": {"name": job.recipe.name, job.source_name: block, "build": to_dict(job.build)},
        "recipe_sha256": digest([block, to_dict(job.build), to_dict(job.limits)]),
        "demonstration": job.recipe.demonstration,
        "models": job.model_hashes,
        "inputs": {"ranges": len(inputs), "files": len({i[0] for i in inputs}), "sha256": digest(inputs)},
        "stages": manifests,
        "stats_sha256": digest(stats),
    }
    write_json(job.root, "manifest.json", manifest)
    return counters


def run_counters(totals: dict[str, dict[str, int]]) -> dict[str, int]:
    """The run's account: documents in, kept, rejected, bad, merged, skipped, and each by reason."""
    first = next(iter(totals.values()))
    run: dict[str, int] = {"in": first.get("in", 0)}
    for name in (*_FATES, "skipped"):
        for counters in totals.values():
            for key, n in counters.items():
                if key == name or key.startswith(name + "/"):
                    run[key] = run.get(key, 0) + n
        run.setdefault(name, 0)
    run["held_out"] = totals.get(DECIDE, {}).get("held_out", 0)
    return dict(sorted(run.items()))


def _check(
    job: BuildJob, run: dict[str, int], totals: dict[str, dict[str, int]], done: dict[str, list[Part]]
) -> None:
    """Set what the reader framed against the rows of the files and what was decided."""
    first = next(iter(totals.values()))
    read = first.get("in", 0) - first.get("bad", 0) - first.get("merged", 0)
    check_equal("framed, less the bad and the merged", read, "read", first.get("out", 0))
    if DECIDE not in totals:
        return
    rows = {
        stage.folder: footer_rows(job.root, done[stage.name], [stage.folder])
        for stage in job.stages()
        if stage.folder and stage.name in done
    }
    decide = totals[DECIDE]
    check_equal("annotated rows", rows["annotated"], "rows decided", decide.get("in", 0))
    check_equal("rows decided", decide.get("in", 0), "decision rows", rows["decisions"])
    check_equal("in", run["in"], "kept + rejected + bad + merged", sum(run[name] for name in _FATES))
    if EXPORT in totals:
        check_equal("kept", decide.get("kept", 0), "documents written", rows["documents"])
