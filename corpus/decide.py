"""Decisions: annotated columns and the recipe's thresholds → kept, or the first reason against.

In: a batch of annotated pages (no text needed). Out: a `DECISION` batch, row by row. Nothing here
looks at text, so a changed threshold is cheap to try.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import xxhash

from corpus import storage
from corpus.errors import UserError
from corpus.overlap.hosts import REASON as OTHER_SOURCE
from corpus.overlap.hosts import hosts_of
from corpus.recipe import CommonCrawl
from corpus.rules import Check, checks
from corpus.schema import DECISION

# The columns of annotated parts that every decision looks at.
COLUMNS = (
    "id",
    "key",
    "language",
    "lid_v1_score",
    "paragraphs_v1_reason",
    "perplexity_v1",
    "reference_v1",
)
# Why a page is a duplicate, in the order in which reasons count; the columns are these with `_v1`.
DUPLICATES = {"exact": "exact_duplicate", "url": "url_duplicate", "near": "near_duplicate"}
_ID = re.compile(r"[0-9a-f]{32}")
_HELD_OUT_SEED = 0x6865_6C64  # "held"; a hash of its own, so that no other use of ids correlates


@dataclass(frozen=True)
class Removals:
    """Ids, URLs (exact) and domains (with all below them) that must not be in the corpus."""

    ids: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()

    def has(self, id_: str, url: str | None) -> bool:
        """Whether a page is on the list."""
        if id_ in self.ids or url in self.urls:
            return True
        if not self.domains or not url:
            return False
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:  # not a URL that has a host, so in no domain
            return False
        labels = host.split(".")
        return any(".".join(labels[i:]) in self.domains for i in range(len(labels)))


def read_removals(paths: Iterable[str]) -> Removals:
    """Read removal lists: one id (32 hex digits), URL or domain a line; `#` begins a comment line.

    Raises:
        UserError: a list is missing or a line is none of the three.
    """
    ids, urls, domains = set(), set(), set()
    for path in paths:
        try:
            data = storage.read_bytes(path)
        except OSError as error:
            raise UserError(f"removal list {path} cannot be read: {error}") from error
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
        for number, line in enumerate(text.splitlines(), 1):
            entry = line.strip()
            if not entry or entry.startswith("#"):
                continue
            if _ID.fullmatch(entry):
                ids.add(entry)
            elif "://" in entry:
                urls.add(entry)
            elif re.fullmatch(r"[\w-]+(\.[\w-]+)+", entry):
                domains.add(entry.lower())
            else:
                raise UserError(f"{path}:{number}: {entry!r} is no id, URL or domain")
    return Removals(frozenset(ids), frozenset(urls), frozenset(domains))


@dataclass(frozen=True)
class Cutoffs:
    """Perplexity cut-offs of one language: head below the first, middle below the second."""

    head: float
    middle: float


def columns(settings: CommonCrawl) -> list[str]:
    """Names of the columns of annotated parts that a recipe's decisions look at."""
    return [*COLUMNS, *dict.fromkeys(check.column for check in checks(settings))]


def decide(
    batch: pa.RecordBatch, settings: CommonCrawl, cutoffs: Mapping[str, Cutoffs], removals: Removals
) -> pa.RecordBatch:
    """Decide a batch of annotated pages.

    The first reason against a page, in this order: ``removed``; ``other_source`` (on a host of one of the
    sources in `drop_hosts_of`); ``short``, ``all_duplicate`` (as the annotated part says);
    ``language_score`` (below the threshold), ``language`` (not kept);
    ``exact_duplicate``, ``url_duplicate``, ``near_duplicate`` (as the columns of stage `duplicates` say);
    the first threshold of an enforced block of rules, named after its column (`corpus.rules.checks`);
    ``perplexity`` (its bucket is not kept); ``reference`` (classifier below the threshold).

    Args:
        batch: rows with at least `columns`, and a column for each of `DUPLICATES` that the recipe asks for.
        cutoffs: by language; a language without an LM goes to bucket ``all`` (CCNet).

    Raises:
        UserError: a value that the thresholds need was not annotated.
    """
    ids = batch.column("id").to_pylist()
    urls = batch.column("key").to_pylist()
    languages = batch.column("language").to_pylist()
    n = len(ids)
    found = batch.column("paragraphs_v1_reason").to_pylist()
    score = floats(batch, "lid_v1_score")
    perplexity = floats(batch, "perplexity_v1")
    reference = floats(batch, "reference_v1")
    keep_languages = set(settings.language.keep)
    classified = set(settings.reference.languages) if settings.reference else set()

    has_text = np.array([reason is None for reason in found], dtype=bool)
    wanted = np.array([language in keep_languages for language in languages], dtype=bool)
    scored = score >= settings.language.min_score  # NaN: False
    candidate = has_text & wanted & scored
    bucket = [
        _bucket(languages[i], perplexity[i], settings, cutoffs) if candidate[i] else None for i in range(n)
    ]
    needs_reference = candidate & np.array([language in classified for language in languages], dtype=bool)
    _require(needs_reference & np.isnan(reference), "reference_v1", ids)

    duplicate = _duplicates(batch, candidate, settings, ids)
    against = first_failed(checks(settings), batch, candidate, ids)

    hosts = hosts_of(tuple(settings.decide.drop_hosts_of))
    kept_buckets = set(settings.decide.buckets)
    reasons: list[str | None] = []
    for i in range(n):
        if removals.has(ids[i], urls[i]):
            reasons.append("removed")
        elif hosts.has(urls[i]):
            reasons.append(OTHER_SOURCE)
        elif found[i] is not None:
            reasons.append(found[i])
        elif not scored[i]:
            reasons.append("language_score")
        elif not wanted[i]:
            reasons.append("language")
        elif duplicate[i] is not None:
            reasons.append(duplicate[i])
        elif against[i] is not None:
            reasons.append(against[i])
        elif bucket[i] not in kept_buckets:
            reasons.append("perplexity")
        elif needs_reference[i] and reference[i] < settings.decide.min_reference:
            reasons.append("reference")
        else:
            reasons.append(None)
    held_out = [
        reason is None and uniform(id_) < settings.decide.held_out
        for id_, reason in zip(ids, reasons, strict=True)
    ]
    columns = [
        pa.array(ids, pa.string()),
        pa.array([reason is None for reason in reasons], pa.bool_()),
        pa.array(reasons, pa.string()),
        pa.array(languages, pa.string()),
        pa.array(bucket, pa.string()),
        pa.array(held_out, pa.bool_()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=DECISION)


def first_failed(
    thresholds: list[Check], batch: pa.RecordBatch, candidate: np.ndarray, ids: list[str]
) -> list[str | None]:
    """Reason of the first threshold that each candidate fails; columns may be null for what is none.

    Raises:
        UserError: a value that a threshold needs is null.
    """
    reasons: list[str | None] = [None] * len(ids)
    for check in thresholds:
        values = floats(batch, check.column)
        _require(candidate & np.isnan(values), check.column, ids)
        beyond = check.sign * (values - check.limit)
        for i in np.flatnonzero(candidate & ((beyond >= 0) if check.strict else (beyond > 0))):
            reasons[i] = reasons[i] or check.reason
    return reasons


def _bucket(language: str, perplexity: float, settings: CommonCrawl, cutoffs: Mapping[str, Cutoffs]) -> str:
    if settings.perplexity is None or language not in settings.perplexity.models:
        return "all"
    if np.isnan(perplexity):
        raise UserError(
            f"column perplexity_v1 is empty for pages in {language!r} that this recipe keeps: they were "
            "annotated under another recipe; run crawl-filter with this recipe into another --output"
        )
    cutoff = cutoffs[language]
    if perplexity < cutoff.head:
        return "head"
    return "middle" if perplexity < cutoff.middle else "tail"


def _duplicates(
    batch: pa.RecordBatch, candidate: np.ndarray, settings: CommonCrawl, ids: list[str]
) -> list[str | None]:
    """The first kind of duplicate that each page is, as a reason."""
    reasons: list[str | None] = [None] * batch.num_rows
    block = settings.duplicates
    for kind, reason in DUPLICATES.items():
        if block is None or not getattr(block, kind):
            continue
        column = f"{reason}_v1"
        present = batch.schema.get_field_index(column) >= 0
        found = batch.column(column) if present else pa.nulls(batch.num_rows, pa.bool_())
        _require(candidate & np.asarray(found.is_null().to_numpy(zero_copy_only=False)), column, ids)
        for i, is_duplicate in enumerate(found.to_pylist()):
            reasons[i] = reasons[i] or (reason if is_duplicate else None)
    return reasons


def _require(missing: np.ndarray, column: str, ids: list[str]) -> None:
    if missing.any():
        first = ids[int(np.argmax(missing))]
        raise UserError(
            f"column {column} is empty for {int(missing.sum())} pages that this recipe keeps (first: "
            f"{first}): they were annotated under another recipe; run crawl-filter with this recipe "
            "into another --output"
        )


def floats(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """A column as float64[rows], NaN where it is null or absent."""
    if batch.schema.get_field_index(name) < 0:
        return np.full(batch.num_rows, np.nan)
    column = batch.column(name).cast(pa.float64())
    return np.asarray(column.fill_null(float("nan")).to_numpy(zero_copy_only=False))


def uniform(id_: str) -> float:
    """A number in [0, 1) that depends on the id alone."""
    return float(xxhash.xxh3_64_intdigest(id_.encode(), seed=_HELD_OUT_SEED)) / 2.0**64
