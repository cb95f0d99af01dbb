"""Begin and end of a job across runs: nothing is mixed with what other runs gave; accounts, manifest, last.

In: the committed parts of every stage. Out: ``settings.json`` at the beginning; at the end ``stats.json``,
``timing.json``, ``inputs.json`` (where the runs lie) and ``manifest.json``.
"""

from __future__ import annotations

import orjson

from corpus import storage
from corpus.accounts import check_equal, collect_complete, footer_rows, write_json
from corpus.errors import UserError
from corpus.finished import DOCUMENTS
from corpus.manifests import sum_counters
from corpus.overlap.index import INDEX
from corpus.overlap.job import OverlapJob
from corpus.parts import Part
from corpus.recipe import digest, to_dict

_SETTINGS = "settings.json"


def begin(job: OverlapJob, kind: str, evaluations: str = "") -> None:
    """Say what an output is made of, before its first part.

    Args:
        job: of any kind.
        kind: ``cross-dedup`` or ``decontaminate``.
        evaluations: digest of their texts, where there are any.

    Raises:
        UserError: it was begun with other runs or settings. Lists of a run that has since been decided anew
            would be wrong: what they name is gone from it.
    """
    now = {
        "kind": kind,
        "runs": [[run.name, run.sha256] for run in job.runs],
        "evaluations": evaluations,
        "settings": to_dict(job.settings),
    }
    path = storage.join(job.root, _SETTINGS)
    if storage.exists(path):
        had = orjson.loads(storage.read_bytes(path))
        if changed := sorted(key for key in now if had.get(key) != now[key]):
            raise UserError(
                f"{job.root} holds a {had.get('kind')} of other {' and '.join(changed)} (a run that was "
                "decided again counts as another): give another --output, or delete this one"
            )
    storage.remove_temporary(job.root)
    storage.remove(storage.join(job.root, "manifest.json"))  # a run is whole only when it ends
    write_json(job.root, _SETTINGS, now)


def finish(job: OverlapJob, kind: str) -> dict[str, int]:
    """Check the accounts and write the run's files; returns the counters of ``stats.json``.

    Raises:
        AccountingError: documents were lost or counted twice.
        CorruptPartError: a planned part is not there.
    """
    names = [stage.name for stage in job.stages()]
    if kind == "decontaminate":
        names = [INDEX, *names]
    done, timing, manifests = found = collect_complete(job.root, names)
    totals = found.totals
    first = totals["keys" if kind == "cross-dedup" else "scan"]
    check_equal("documents of the runs", job.documents, "documents read", first.get("in", 0))
    check = _check_cross if kind == "cross-dedup" else _check_decontaminate
    check(job, totals, done)
    counters = _counters(job, kind, done)
    stats = {"counters": counters, "stages": totals}
    write_json(job.root, "stats.json", stats)
    write_json(job.root, "timing.json", timing)
    write_json(job.root, "inputs.json", [{"name": run.name, "root": run.root} for run in job.runs])
    manifest = {
        "kind": kind,
        "complete": True,
        "settings": to_dict(job.settings),
        "runs": [
            {
                "name": run.name,
                "source": run.source,
                "sha256": run.sha256,
                "documents": run.documents,
            }
            for run in job.runs
        ],
        "stages": manifests,
        "stats_sha256": digest(stats),
    }
    write_json(job.root, "manifest.json", manifest)
    return counters


def _check_cross(job: OverlapJob, totals: dict[str, dict[str, int]], done: dict[str, list[Part]]) -> None:
    keys, compare = totals["keys"], totals["compare"]
    check_equal(
        "documents read",
        keys.get("in", 0),
        "with and without text",
        keys.get("out", 0) + keys.get("empty", 0),
    )
    check_equal("hashes written", keys.get("out", 0), "hashes compared", compare.get("in", 0))
    check_equal("copies found", compare.get("out", 0), "ids in lists", totals["lists"].get("out", 0))
    reported = footer_rows(job.root, done["lists"], [f"{run.name}/" for run in job.runs])
    check_equal("ids in lists", totals["lists"].get("out", 0), "rows in reports", reported)


def _check_decontaminate(
    job: OverlapJob, totals: dict[str, dict[str, int]], done: dict[str, list[Part]]
) -> None:
    scan, hits = totals["scan"], totals["hits"]
    check_equal("matches found", scan.get("matches", 0), "matches reported", hits.get("matches", 0))
    if "lists" in totals:
        removed = totals["lists"].get("out", 0)
        check_equal("documents cut or dropped", hits.get("removed", 0), "ids in lists", removed)
        pieces = footer_rows(job.root, done["hits"], [f"{run.name}/{DOCUMENTS}" for run in job.runs])
        check_equal("pieces kept", hits.get("pieces", 0), "rows of pieces", pieces)


def _counters(job: OverlapJob, kind: str, done: dict[str, list[Part]]) -> dict[str, int]:
    """Documents in, and removed or matched, by run."""
    counters: dict[str, int] = {"in": job.documents}
    for run in job.runs:
        counters[f"in/{run.name}"] = run.documents
    if kind == "cross-dedup":
        for part in done["lists"]:
            for name, n in part.counters.items():
                key = name.replace("out", "removed", 1)
                counters[key.replace("removed", f"removed/{part.name}", 1)] = n
        counters["removed"] = sum_counters(done["lists"]).get("out", 0)
    else:
        for stage in ("scan", "hits"):
            for part in done[stage]:
                for name, n in part.counters.items():
                    if name in ("matched", "hits", "removed", "pieces") or name.startswith("removed/"):
                        counters[name] = counters.get(name, 0) + n
    return dict(sorted(counters.items()))
