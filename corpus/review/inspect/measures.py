"""What a document was held to: each value beside the bound that the run's recipe set, and which it failed.

In: a row with its decision, and the settings that the run's manifests keep. Out: `Measure`s in the order in
which they were looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow.compute as pc

from corpus.build import verdicts
from corpus.exchange import open_parquet
from corpus.review.inspect.search import Match
from corpus.review.thresholds import Thresholds, passes


class Measure(NamedTuple):
    """A value and its bound.

    Attributes:
        name: column, or what else was looked at.
        value: of the document; None where it was not measured.
        bound: that it had to keep to, in words; empty where there is none.
        passed: whether it did; None where it was not asked.
        reason: that a document which fails is rejected for.
    """

    name: str
    value: Any
    bound: str
    passed: bool | None
    reason: str


def measures(match: Match, row: dict[str, Any]) -> list[Measure]:
    """What a document was held to, by the run's own recipe."""
    settings, thresholds = match.run.settings("decide"), Thresholds(match.run)
    if match.run.kind == "crawl-filter":
        return [*_crawl(row, settings, thresholds), *_duplicates(match)]
    own = f"{match.run.source}_v1_reason"
    read = [Measure(own, row[own], "none", row[own] is None, row[own] or "")] if own in row else []
    return [*read, *(_check(check, row, thresholds) for check in settings["checks"])]


def stands_for(match: Match, reason: str | None) -> str | None:
    """Id of the document that stays in this one's place, where uniqueness was the reason; None where not."""
    split = int(match.part.annotated.path.rsplit("part-", 1)[1].split(".")[0])
    this = (pc.field("split") == split) & (pc.field("row") == match.row) & (pc.field("reason") == reason)
    files = [f for stage in match.run.stages for part in match.run.parts(stage) for f in part.files]
    for file in (f for f in files if f.path.endswith(verdicts.ENDING)):
        with open_parquet(match.run.root, file) as parquet:
            for group in range(parquet.num_row_groups):
                of_split = parquet.metadata.row_group(group).column(0).statistics
                if of_split is None or of_split.min <= split <= of_split.max:
                    found = parquet.read_row_group(group).filter(this)
                    if found.num_rows:
                        return str(found["winner"][0])
    return None


def _crawl(row: dict[str, Any], settings: dict[str, Any], thresholds: Thresholds) -> Iterator[Measure]:
    def bound(reason: str) -> str:
        return ", ".join(threshold.limit for threshold in thresholds.of(reason, row["language"]))

    found, language = row["paragraphs_v1_reason"], row["language"]
    yield Measure("characters of the page", None, bound("short"), found != "short", "short")
    kept, total = len(row["paragraphs_v1"] or ()), row["paragraphs_v1_total"]
    left = None if found == "short" else found is None
    yield Measure("paragraphs left", f"{kept} of {total}", "≥ 1", left, "all_duplicate")
    score = row["lid_v1_score"]
    sure = None if score is None else score >= settings["min_score"]
    yield Measure("lid_v1_score", score, bound("language_score"), sure, "language_score")
    wanted = None if language is None else language in settings["languages"]
    yield Measure("language", language, bound("language"), wanted, "language")
    for check in settings["rules"]:
        yield _check(check, row, thresholds)
    if "perplexity_v1" in row:
        bucket = row["bucket"]
        in_bucket = None if bucket is None else bucket in settings["decide"]["buckets"]
        yield Measure("perplexity_v1", row["perplexity_v1"], bound("perplexity"), in_bucket, "perplexity")
    if language in (settings["classified"] or ()):
        value = row.get("reference_v1")
        passed = None if value is None else value >= settings["decide"]["min_reference"]
        yield Measure("reference_v1", value, bound("reference"), passed, "reference")


def _duplicates(match: Match) -> Iterator[Measure]:
    """Whether it is a copy of another page, where the recipe compares whole pages."""
    if "duplicates" not in match.run.stages:
        return
    name = match.part.annotated.path.replace("annotated/", "duplicates/")
    file = next(f for part in match.run.parts("duplicates") for f in part.files if f.path == name)
    with open_parquet(match.run.root, file) as parquet:
        row = parquet.read().slice(match.row, 1).to_pylist()[0]
    for column in [name for name in row if name != "id"]:
        found = row[column]
        yield Measure(column, found, "no", None if found is None else not found, column.removesuffix("_v1"))


def _check(check: dict[str, Any], row: dict[str, Any], thresholds: Thresholds) -> Measure:
    value = row.get(check["column"])
    limit = ", ".join(threshold.limit for threshold in thresholds.of(check["reason"]))
    return Measure(check["column"], value, limit, passes(check, value), check["reason"])
