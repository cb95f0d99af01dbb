"""What `cross-dedup` and `decontaminate` say on standard output."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import orjson

from corpus.overlap.index import read_part
from corpus.overlap.job import OverlapJob
from corpus.overlap.ngrams import Tables
from corpus.overlap.report import ALL_FIELDS
from corpus.recipe import to_dict

_SHOWN = 30
_WIDTH = 44


def print_plan(job: OverlapJob) -> None:
    """The settings, the runs and the stages (`--dry-run`)."""
    print("settings:")
    for line in orjson.dumps(to_dict(job.settings), option=orjson.OPT_INDENT_2).decode().splitlines():
        print(f"  {line}")
    print("\nruns, in the order of their sources' priority:")
    for run in job.runs:
        print(f"  {run.name:<16}{run.documents:>14,} documents in {len(run.files):,} files  {run.root}")
    print(f"\noutput below {job.root}:")
    for stage in job.stages():
        print(f"  {stage.name:<16}{len(stage.tasks(job)):>14,} parts")


def print_evaluations(tables: Tables) -> None:
    """The evaluations, and how much of them can be found."""
    print(f"\n{'evaluations':<{_WIDTH}}{'items':>8}{'searched':>10}{'n':>4}{'n-grams':>10}")
    rows = tables.evaluations.to_pylist()
    for row in rows[:_SHOWN]:
        print(
            f"{_short(row['evaluation'])}{row['items']:>8,}{row['searched']:>10,}{row['ngram']:>4}"
            f"{row['ngrams']:>10,}"
        )
    if len(rows) > _SHOWN:
        print(f"… and {len(rows) - _SHOWN:,} more")


def print_copies(job: OverlapJob, counters: dict[str, int]) -> None:
    """Of each run, how many documents others have, and which."""
    print(f"\n{'run':<16}{'documents':>14}{'to remove':>12}   kept in")
    for run in job.runs:
        kept = {other.name: counters.get(f"removed/{run.name}/{other.name}", 0) for other in job.runs}
        where = ", ".join(f"{name} {n:,}" for name, n in kept.items() if n)
        removed = counters.get(f"removed/{run.name}", 0)
        print(f"{run.name:<16}{run.documents:>14,}{removed:>12,}   {where}")
    print(f"\nwritten below {job.root}:")
    print("  RUN/removals.txt          ids, a removal list for the recipe of the run (then: redecide)")
    print("  RUN/report.parquet        of each, which document is kept for it")


def print_hits(job: OverlapJob, tables: Tables, counters: dict[str, int]) -> None:
    """Of each evaluation, its items found, and how many documents of each run have one."""
    report = read_part(job.root, job.part("report", "all"), "report.parquet").to_pylist()
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in report:
        if row["field"] == ALL_FIELDS:
            found[row["evaluation"]][row["run"]] = row
    runs = [run.name for run in job.runs]
    print(f"\n{'documents with n-grams of':<{_WIDTH}}{'items':>8}{'n':>4}" + _cells(runs))
    by_documents = sorted(found, key=lambda name: (-sum(r["documents"] for r in found[name].values()), name))
    rows = {row["evaluation"]: row for row in tables.evaluations.to_pylist()}
    for name in by_documents[:_SHOWN]:
        cells = [found[name].get(run, {}).get("documents", 0) for run in runs]
        print(f"{_short(name)}{rows[name]['items']:>8,}{rows[name]['ngram']:>4}" + _cells(cells))
    if len(by_documents) > _SHOWN:
        print(f"… and {len(by_documents) - _SHOWN:,} more")
    print(f"{'no n-gram of the other evaluations':<{_WIDTH}}{len(rows) - len(found):>8,} files")
    short = sum(row["items"] - row["searched"] for row in rows.values())
    if short:
        print(f"{'items with fewer words than n: not searched':<{_WIDTH}}{short:>8,}")
    print(f"\n{'documents':<28}{counters['in']:>12,}")
    for name, what in (
        ("matched", "with an n-gram"),
        ("removed", "to remove"),
        ("removed/cut", "  of which pieces stay"),
        ("removed/too_many_pieces", "  in too many pieces"),
        ("removed/nothing_left", "  nothing long enough left"),
    ):
        if name in counters or name == "matched":
            print(f"{what:<28}{counters.get(name, 0):>12,}")
    print(f"\nwritten below {job.root}:")
    print("  found/                    each n-gram found: document, evaluation, item, field, place")
    print("  report/report.parquet     the table above, also by field of the items")
    if job.decontaminate.remove:
        print("  RUN/removals.txt          ids, a removal list for the recipe of the run (then: redecide)")
        print("  RUN/documents/            what stays of the documents on it")


def _cells(values: Sequence[Any]) -> str:
    return "".join(f"{value:>16,}" if isinstance(value, int) else f"{value:>16}" for value in values)


def _short(name: str) -> str:
    """The end of a long name, in a column."""
    return f"{name if len(name) < _WIDTH else '…' + name[-(_WIDTH - 2) :]:<{_WIDTH}}"
