"""The end of a run: every page accounted for, then stats, timing and the run's manifest, written last.

In: the committed parts of every stage. Out: ``STAGE/manifest.json``, ``stats.json``, ``timing.json``,
``inputs.json``, ``recipe.json``, ``manifest.json``; ``after.json`` where the run has earlier ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from corpus import storage
from corpus.accounts import check_equal, collect, footer_rows, write_json
from corpus.crawl.duplicates import compared_kinds, runs_part_name
from corpus.crawl.earlier import EARLIER
from corpus.crawl.job import (
    FOLDERS,
    STAGES,
    CrawlJob,
    duplicate_scopes,
    export_groups,
    scopes,
    stages_until,
)
from corpus.inputs import Split
from corpus.manifests import sum_counters, write_manifest
from corpus.parts import Part
from corpus.recipe import digest, to_dict


def planned_names(job: CrawlJob, splits: Sequence[Split]) -> dict[str, list[str]]:
    """Names of all parts of every stage that the recipe has."""
    by_split = [s.name for s in splits]
    groups = export_groups([s.ordinal for s in splits], job.settings)
    deduplicated = scopes(job.settings, splits, job.earlier)
    compared = duplicate_scopes(job.settings, splits)
    names = {
        "index": by_split,
        "dedup": [s.part_name(b) for s in deduplicated for b in range(s.buckets)],
        "annotate": by_split,
        "duplicates": [
            *(s.part_name(b) for s in compared for b in range(s.buckets)),
            *(runs_part_name(name) for name in by_split if compared_kinds(job)),
            *by_split,
        ],
        "decide": by_split,
        "export": [f"part-{group:05d}" for group in groups],
    }
    return {stage: names[stage] for stage in stages_until(job.settings, STAGES[-1])}


def finish(job: CrawlJob, splits: Sequence[Split], until: str) -> dict[str, int]:
    """Consolidate the stages up to `until`, check the accounts, write the run's files.

    Returns:
        The run's counters, as in ``stats.json``.

    Raises:
        AccountingError: a stage's rows are not what the stage before put out.
        CorruptPartError: a planned part is not there.
    """
    names = planned_names(job, splits)
    stages = stages_until(job.settings, until)
    done: dict[str, list[Part]] = {}
    timing: dict[str, Any] = {}
    manifests: dict[str, str] = {}
    for stage in stages:
        done[stage], timing[stage] = collect(job.root, stage, names[stage])
        manifests[stage] = write_manifest(
            job.root, stage, done[stage], {"settings": job.stage_settings(stage)}
        )
    totals = {stage: sum_counters(done[stage]) for stage in stages}
    check_accounts(job.root, totals, done)
    stats = run_stats(totals)
    write_json(job.root, "stats.json", stats)
    write_json(job.root, "timing.json", timing)
    write_json(job.root, "inputs.json", [asdict(split) for split in splits])
    write_json(job.root, "recipe.json", to_dict(job.recipe))
    if job.earlier:
        write_json(job.root, EARLIER, [asdict(run) for run in job.earlier])
    else:
        storage.remove(storage.join(job.root, EARLIER))
    inputs = [f for split in splits for f in split.files]
    # Where models lie and how servers are asked changes no byte of the corpus.
    recipe = {k: v for k, v in to_dict(job.recipe).items() if k not in ("assets", "network")}
    manifest: dict[str, Any] = {
        "kind": "crawl-filter",
        "complete": until == STAGES[-1],
        "recipe": recipe | {"sha256": digest(recipe)},
        "demonstration": job.recipe.demonstration,
        "models": job.model_hashes,
        "inputs": {
            "files": len(inputs),
            "bytes": sum(f.size for f in inputs),
            "sha256": digest([[f.name, f.size, f.dump] for f in inputs]),
        },
        "stages": manifests,
        "stats_sha256": digest(stats),
    }
    if job.earlier:
        manifest["after"] = [run.sha256 for run in job.earlier]
    write_json(job.root, "manifest.json", manifest)
    counters: dict[str, int] = stats["counters"]
    return counters


def run_stats(totals: dict[str, dict[str, int]]) -> dict[str, Any]:
    """The run's account: pages in, kept, rejected, bad, merged, skipped, and each by reason."""
    index, annotate = totals["index"], totals.get("annotate", {})
    decide = totals.get("decide", {})
    run: dict[str, int] = {"in": index.get("in", 0)}
    for name in ("kept", "rejected", "bad", "merged", "skipped"):
        for counters in (index, annotate, decide):
            for key, n in counters.items():
                if key == name or key.startswith(name + "/"):
                    run[key] = run.get(key, 0) + n
        run.setdefault(name, 0)
    run["held_out"] = decide.get("held_out", 0)
    return {"counters": dict(sorted(run.items())), "stages": totals}


def check_accounts(root: str, totals: dict[str, dict[str, int]], done: dict[str, list[Part]]) -> None:
    """Check that no page was lost between framing and export.

    Rows are taken from the Parquet footers, and set against what the reader framed.
    """
    index = totals["index"]
    pages = index.get("in", 0) - index.get("bad", 0)
    check_equal("pages framed, less the bad", pages, "pages that index read", index.get("out", 0))
    if "annotate" not in totals:
        return
    annotate = totals["annotate"]
    check_equal("pages that index read", pages, "pages that annotate read", annotate.get("in", 0))
    rows = footer_rows(root, done["annotate"], FOLDERS.values())
    dropped = annotate.get("rejected", 0)
    check_equal("pages that annotate read", pages, "annotated rows and rows left out", rows + dropped)
    if "duplicates" in totals:
        found = footer_rows(root, done["duplicates"], FOLDERS.values())
        check_equal("annotated rows", rows, "rows compared with other pages", found)
    if "decide" not in totals:
        return
    decide = totals["decide"]
    check_equal("annotated rows", rows, "decision rows", footer_rows(root, done["decide"], FOLDERS.values()))
    check_equal(
        "annotated rows", rows, "kept and rejected", decide.get("kept", 0) + decide.get("rejected", 0)
    )
    counters = run_stats(totals)["counters"]
    whole = sum(counters[name] for name in ("kept", "rejected", "bad", "merged"))
    check_equal("in", counters["in"], "kept + rejected + bad + merged", whole)
    if "export" in totals:
        exported = footer_rows(root, done["export"], FOLDERS.values())
        check_equal("pages kept", decide.get("kept", 0), "documents exported", exported)
