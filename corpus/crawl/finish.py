"""The end of a run: every page accounted for, then stats, timing and the run's manifest, written last.

In: the committed parts of every stage. Out: ``STAGE/manifest.json``, ``stats.json``, ``timing.json``,
``inputs.json``, ``recipe.json``, ``manifest.json``; ``after.json`` where the run has earlier ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
import pyarrow.parquet as pq

from corpus import parts, storage
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
from corpus.errors import CorruptPartError
from corpus.inputs import Split
from corpus.parts import Part
from corpus.recipe import digest, to_dict


class AccountingError(Exception):
    """Pages were lost or counted twice: the run must not be used."""


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
        done[stage], timing[stage] = _collect(job.root, stage, names[stage])
        manifests[stage] = parts.write_manifest(
            job.root, stage, done[stage], {"settings": job.stage_settings(stage)}
        )
    totals = {stage: parts.sum_counters(done[stage]) for stage in stages}
    check_accounts(job.root, totals, done)
    stats = run_stats(totals)
    _write_json(job.root, "stats.json", stats)
    _write_json(job.root, "timing.json", timing)
    _write_json(job.root, "inputs.json", [asdict(split) for split in splits])
    _write_json(job.root, "recipe.json", to_dict(job.recipe))
    if job.earlier:
        _write_json(job.root, EARLIER, [asdict(run) for run in job.earlier])
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
    _write_json(job.root, "manifest.json", manifest)
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
    _equal("pages framed, less the bad", pages, "pages that index read", index.get("out", 0))
    if "annotate" not in totals:
        return
    annotate = totals["annotate"]
    _equal("pages that index read", pages, "pages that annotate read", annotate.get("in", 0))
    rows = _footer_rows(root, done["annotate"])
    dropped = annotate.get("rejected", 0)
    _equal("pages that annotate read", pages, "annotated rows and rows left out", rows + dropped)
    if "duplicates" in totals:
        found = _footer_rows(root, done["duplicates"])
        _equal("annotated rows", rows, "rows compared with other pages", found)
    if "decide" not in totals:
        return
    decide = totals["decide"]
    _equal("annotated rows", rows, "decision rows", _footer_rows(root, done["decide"]))
    _equal("annotated rows", rows, "kept and rejected", decide.get("kept", 0) + decide.get("rejected", 0))
    counters = run_stats(totals)["counters"]
    whole = sum(counters[name] for name in ("kept", "rejected", "bad", "merged"))
    _equal("in", counters["in"], "kept + rejected + bad + merged", whole)
    if "export" in totals:
        exported = _footer_rows(root, done["export"])
        _equal("pages kept", decide.get("kept", 0), "documents exported", exported)


def _collect(root: str, stage: str, names: Sequence[str]) -> tuple[list[Part], dict[str, Any]]:
    found, times = [], []
    for name in names:
        record = parts.read_record(root, stage, name)
        if record is None:
            raise CorruptPartError(f"part {name} of stage {stage} is not in {root}: run the command again")
        found.append(record[0])
        times.append(record[1])
    summary = {
        "parts": len(found),
        "wall_seconds": round(sum(t["wall_seconds"] for t in times), 3),
        "cpu_seconds": round(sum(t["cpu_seconds"] for t in times), 3),
        "peak_rss_bytes": max((t["peak_rss_bytes"] for t in times), default=0),
        "hosts": sorted({t["host"] for t in times}),
    }
    return found, summary


def _footer_rows(root: str, stage_parts: Sequence[Part]) -> int:
    """Rows by the Parquet footers, not by the records."""
    rows = 0
    for part in stage_parts:
        for file in part.files:
            if file.path.startswith(tuple(FOLDERS.values())) and file.path.endswith(".parquet"):
                with storage.open_read(storage.join(root, file.path)) as f:
                    rows += pq.ParquetFile(f).metadata.num_rows
    return rows


def _equal(left_name: str, left: int, right_name: str, right: int) -> None:
    if left != right:
        raise AccountingError(f"{left_name} ({left:,}) differs from {right_name} ({right:,})")


def _write_json(root: str, name: str, value: Any) -> None:
    data = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    storage.write_bytes(storage.join(root, name), data + b"\n")
