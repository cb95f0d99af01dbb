"""A document's way through a run: raw file, every stage, the exported file; files and rows.

In: a document found and its row. Out: `Step`s in the order of the stages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from corpus.crawl.pages import extracted_path, run_path
from corpus.errors import CorruptPartError
from corpus.exchange import open_parquet
from corpus.parts import PartFile
from corpus.review.inspect.measures import stands_for
from corpus.review.inspect.page import scope_of
from corpus.review.inspect.raw_file import RawFileError, input_of, present, split_of
from corpus.review.inspect.search import Match
from corpus.review.runs import OpenedRun, decided_parts

EXPORTED = "export"


@dataclass(frozen=True)
class Step:
    """A stage, the file in which the document lies after it, its row there, and what is known of it."""

    stage: str
    file: str
    row: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def follow(match: Match, row: dict[str, Any], input_root: str | None) -> Iterator[Step]:
    """The stages of a run that a document went through."""
    run = match.run
    yield _raw(run, row, input_root)
    _, number = split_of(run, row["file"])
    name = match.part.annotated.path.rsplit("/", 1)[1].removesuffix(".parquet")
    if run.kind == "crawl-filter":
        yield from _before_annotation(match, row, name, number)
    made = next(
        stage for stage in run.stages for part in run.parts(stage) if match.part.annotated in part.files
    )
    facts = {"bytes": row["bytes"], "language": row["language"], "row group": _group(run, match)}
    yield Step(made, f"{run.root}/{match.part.annotated.path}", match.row, facts)
    if "duplicates" in run.stages:
        yield Step("duplicates", f"{run.root}/duplicates/{name}.parquet", match.row)
    facts = {"decision": "kept" if row["kept"] else f"rejected: {row['reason']}", "bucket": row["bucket"]}
    if row["held_out"]:
        facts["held out"] = True
    if winner := None if row["kept"] or run.kind != "build" else stands_for(match, row["reason"]):
        facts["the one that stays"] = winner
    yield Step("decide", f"{run.root}/{match.part.decisions.path}", match.row, facts)
    if row["kept"]:
        yield exported(match, row)


def exported(match: Match, row: dict[str, Any]) -> Step:
    """Where a kept document was exported to.

    Raises:
        CorruptPartError: it is in no file of documents.
    """
    run = match.run
    if EXPORTED not in run.stages:
        return Step(EXPORTED, "", None, {"note": "the run was stopped before its documents were written"})
    # Groups of annotated parts share files, in the parts' order; folders are named by what the rows say.
    size = run.settings(EXPORTED)["splits_per_file"]
    paths = [part.annotated.path for part in decided_parts(run)]
    group = f"part-{paths.index(match.part.annotated.path) // size:05d}"
    by = [row["language"], row["bucket"]]
    path = "/".join(["documents", *filter(None, by), f"{group}.parquet"])
    files = [f for part in run.parts(EXPORTED) for f in part.files]
    for file in sorted(files, key=lambda f: (f.path != path, f.path)):
        found = row_of(run.root, file, match.id)
        if found is not None:
            return Step(EXPORTED, f"{run.root}/{file.path}", found)
    raise CorruptPartError(f"{run.root}/documents has no document {match.id}, which was kept: run it again")


def row_of(root: str, file: PartFile, id_: str) -> int | None:
    """The first row of a file whose id is this one; only ids are read."""
    start = 0
    with open_parquet(root, file) as parquet:
        for batch in parquet.iter_batches(65_536, columns=["id"]):
            at = pc.index(batch.column("id"), id_).as_py()
            if at >= 0:
                return int(start + at)
            start += batch.num_rows
    return None


def _raw(run: OpenedRun, row: dict[str, Any], input_root: str | None) -> Step:
    file = input_of(run, row["file"])
    facts: dict[str, Any] = {"offset": row["offset"], "bytes of the file": file.size}
    try:
        file = present(file, input_root)
    except RawFileError as error:
        facts["note"] = str(error)
    return Step("raw", file.path, None, facts)


def _before_annotation(match: Match, row: dict[str, Any], name: str, number: int) -> Iterator[Step]:
    run = match.run
    (index,) = (part for part in run.parts("index") if part.name == name)
    facts: dict[str, Any] = {"pages of the split": index.counters.get("out", 0)}
    kept = next((f for f in index.files if f.path == extracted_path(name, number)), None)
    if kept:
        facts["text kept in"] = kept.path
    yield Step("index", f"{run.root}/{run_path(name, 'paragraphs')}", None, facts)
    total, left = row["paragraphs_v1_total"], len(row["paragraphs_v1"] or ())
    _, scope = scope_of(match)
    # Of earlier runs' keys there may be more buckets than the scope's own splits ask for.
    answers = [part for part in run.parts("dedup") if part.name.startswith(f"{scope.kind}-{scope.name}-")]
    path = answers[0].files[0].path if len(answers) == 1 else f"dedup/{scope.kind}-{scope.name}-*"
    facts = {"scope": scope.name, "splits": len(scope.splits), "paragraphs": total, "removed": total - left}
    yield Step("dedup", f"{run.root}/{path}", None, facts)


def _group(run: OpenedRun, match: Match) -> int:
    with open_parquet(run.root, match.part.annotated) as parquet:
        end = 0
        for group in range(parquet.num_row_groups):
            end += parquet.metadata.row_group(group).num_rows
            if match.row < end:
                return group
    raise CorruptPartError(f"{run.root}/{match.part.annotated.path} has no row {match.row}")
