"""One pass over a run's decided documents, without their text: what is counted of them.

In: annotated rows and their decisions, a row group at a time. Out: `Documents`. Memory is that of a row group
and of the counts, whatever the run's size.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from corpus.decide import floats
from corpus.review.report.counting import Chosen, Frequent, Histogram, log_edges
from corpus.review.report.rules import Rules
from corpus.review.runs import DecidedPart, OpenedRun, decided_parts, read_decided

EXAMPLES = 10  # of a rule
_NAMES = 50_000  # hosts, licences that are counted exactly
_LANGUAGES = 2_000
_HOST = r"^[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]+)"
_NAME_CHARACTERS = 100
_REPOSITORY = "github_v1_repository"
_COLUMNS = (
    "key", "license", "bytes", "lid_v1_score", "perplexity_v1", "reference_v1", "paragraphs_v1",
    "paragraphs_v1_total", _REPOSITORY,
)  # fmt: skip


def _lengths() -> Histogram:
    return Histogram(log_edges(1, 1e10, 10))


def _shares() -> Histogram:
    return Histogram(np.linspace(0, 1, 51))


@dataclass
class Documents:
    """What is counted of a run's decided documents; kept and rejected apart.

    Attributes:
        kept, rejected: documents. kept_bytes: UTF-8 of the kept.
        length: UTF-8 bytes; of the crawl after deduplication, or as crawled where nothing was left.
        score: of language identification; reference: of the classifier; both 0 to 1.
        removed: share of a page's lines that deduplication removed.
        perplexity: by language.
        measured: what thresholds look at, by column.
        kept_languages, rejected_languages, language_bytes: by language; empty name: none.
        kept_places, rejected_places: by host of the address, or by repository.
        licences: of kept documents.
        chosen: rows to be shown, by reason.
    """

    kept: int = 0
    rejected: int = 0
    kept_bytes: int = 0
    length: Histogram = field(default_factory=_lengths)
    score: Histogram = field(default_factory=_shares)
    reference: Histogram = field(default_factory=_shares)
    removed: Histogram = field(default_factory=_shares)
    perplexity: dict[str, Histogram] = field(default_factory=dict)
    measured: dict[str, Histogram] = field(default_factory=dict)
    kept_languages: Frequent = field(default_factory=lambda: Frequent(_LANGUAGES))
    rejected_languages: Frequent = field(default_factory=lambda: Frequent(_LANGUAGES))
    language_bytes: Frequent = field(default_factory=lambda: Frequent(_LANGUAGES))
    kept_places: Frequent = field(default_factory=lambda: Frequent(_NAMES))
    rejected_places: Frequent = field(default_factory=lambda: Frequent(_NAMES))
    licences: Frequent = field(default_factory=lambda: Frequent(_NAMES))
    chosen: Chosen = field(default_factory=lambda: Chosen(EXAMPLES))


def gather(run: OpenedRun, rules: Rules) -> Documents:
    """Count a run's documents.

    Args:
        run: of a kind that decides.
        rules: its own; their thresholds and languages are looked at.

    Raises:
        UserError, CorruptPartError: see `decided_parts` and `read_decided`.
    """
    found = Documents(
        perplexity={name: Histogram(log_edges(1, 1e7, 20)) for name in rules.settings.get("cutoffs", {})},
        measured={c["column"]: _scale(c["limit"]) for c in rules.checks if c["limit"]},
    )
    bar = tqdm(decided_parts(run), desc=f"{run.name}: documents", unit="part", disable=None, leave=False)
    for number, part in enumerate(bar):
        row = 0
        for batch, decisions in read_decided(run, part, [*_COLUMNS, *found.measured]):
            _add(found, batch, decisions, number, row)
            row += batch.num_rows
    return found


def _scale(limit: float) -> Histogram:
    """Bins for a measure: of a share equal ones from 0 to 1, of what is counted by tenths of a decade."""
    return _shares() if limit <= 1 else _lengths()


def part_name(part: DecidedPart) -> str:
    """Name of the part, and of its split, that a pair of files is of."""
    return posixpath.basename(part.annotated.path).removesuffix(".parquet")


def _add(found: Documents, batch: pa.RecordBatch, decisions: pa.RecordBatch, part: int, row: int) -> None:
    is_kept = decisions.column("kept")
    kept = np.asarray(is_kept.to_numpy(zero_copy_only=False))
    found.kept += int(kept.sum())
    found.rejected += int((~kept).sum())
    size = floats(batch, "bytes")
    found.kept_bytes += int(size[kept].sum())
    found.length.add(np.where(size > 0, size, np.nan), kept)
    found.score.add(floats(batch, "lid_v1_score"), kept)
    found.reference.add(floats(batch, "reference_v1"), kept)
    found.removed.add(_removed_share(batch), kept)
    for name, histogram in found.measured.items():
        histogram.add(floats(batch, name), kept)
    language = pc.fill_null(decisions.column("language"), "")
    perplexity = floats(batch, "perplexity_v1")
    for name, histogram in found.perplexity.items():
        of_it = np.asarray(pc.equal(language, name).to_numpy(zero_copy_only=False))
        histogram.add(perplexity[of_it], kept[of_it])
    grouped = pa.table({"language": language, "bytes": batch.column("bytes"), "kept": is_kept})
    for entry in (
        grouped.group_by(["language", "kept"]).aggregate([("bytes", "sum"), ("bytes", "count")]).to_pylist()
    ):
        name, n = entry["language"][:_NAME_CHARACTERS], entry["bytes_count"]
        (found.kept_languages if entry["kept"] else found.rejected_languages).add([(name, n)])
        if entry["kept"]:
            found.language_bytes.add([(name, entry["bytes_sum"] or 0)])
    places = _places(batch)
    if places is not None:
        found.kept_places.add(_counted(places.filter(is_kept)))
        found.rejected_places.add(_counted(places.filter(pc.invert(is_kept))))
    found.licences.add(_counted(batch.column("license").filter(is_kept)))
    ids = decisions.column("id").cast(pa.binary()).to_pylist()
    found.chosen.add(ids, decisions.column("reason").to_pylist(), part, row)


def _removed_share(batch: pa.RecordBatch) -> np.ndarray:
    """Of each page the lines that are gone, by all it had; NaN where it was not compared."""
    if batch.schema.get_field_index("paragraphs_v1") < 0:
        return np.full(batch.num_rows, np.nan)
    left = pc.fill_null(pc.list_value_length(batch.column("paragraphs_v1")), 0)
    total = floats(batch, "paragraphs_v1_total")
    share = 1 - np.asarray(left.cast(pa.float64()).to_numpy(zero_copy_only=False)) / np.maximum(total, 1)
    return np.where(total > 0, share, np.nan)


def _places(batch: pa.RecordBatch) -> pa.Array | None:
    """Where each document is from: repository, or host of its address; null where neither is known."""
    if batch.schema.get_field_index(_REPOSITORY) >= 0:
        return batch.column(_REPOSITORY)
    return pc.utf8_lower(pc.struct_field(pc.extract_regex(batch.column("key"), _HOST), "host"))


def _counted(names: pa.Array) -> list[tuple[str, int]]:
    short = pc.utf8_slice_codeunits(names.drop_null().cast(pa.string()), 0, _NAME_CHARACTERS)
    return [(entry["values"], entry["counts"]) for entry in short.value_counts().to_pylist()]
