"""Perplexity percentiles of a run, from which `decide` takes its buckets.

In: columns `id`, `language`, `perplexity_v1` of annotated pages. Out: CCNet's table of cut-offs
(cc_net/data/cutoff.csv): a header of languages, a row a percentile 0–99. A cut-off is a perplexity,
1 decimal, and belongs to the language model it was measured with.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

import numpy as np
import pyarrow.compute as pc

from corpus import storage
from corpus.errors import UserError
from corpus.training.annotated import SmallestHashes, id_hashes, read_annotated

PERCENTILES = 100
_SEED = 0x6361_6C69  # "cali"; a hash of its own, so that no other use of ids correlates
_COLUMNS = ("id", "language", "perplexity_v1")


def measure_cutoffs(run: str, sample: int = 1_000_000, min_documents: int = 1_000) -> dict[str, np.ndarray]:
    """Percentiles 0–99 of the perplexity of each language that a run has scored.

    Percentile p is the smallest perplexity that at least p % of the documents do not exceed.

    Args:
        run: output folder or address of a crawl-filter run.
        sample: documents a language at most, chosen by id hash.
        min_documents: fewer in a language are an error.

    Returns:
        100 cut-offs (float64) by language.

    Raises:
        UserError: no or too few documents have a perplexity.
    """
    samples: dict[str, SmallestHashes] = {}
    for batch in read_annotated(run, _COLUMNS):
        scored = batch.filter(pc.is_valid(batch.column("perplexity_v1")))
        hashes = id_hashes(scored.column("id"), _SEED)
        perplexity = scored.column("perplexity_v1").to_numpy()
        for language in pc.unique(scored.column("language")).to_pylist():
            rows = np.asarray(pc.equal(scored.column("language"), language))
            samples.setdefault(language, SmallestHashes(sample, np.float64)).add(
                hashes[rows], perplexity[rows]
            )
    if not samples:
        raise UserError(f"no document of {run} has a perplexity: its recipe has no language model")
    values = {language: samples[language].result()[1] for language in sorted(samples)}
    few = [f"{language} ({len(v)})" for language, v in values.items() if len(v) < min_documents]
    if few:
        raise UserError(
            f"too few documents with a perplexity in {', '.join(few)}: percentiles want at least "
            f"{min_documents}; run on more input, or lower --min-documents for a demonstration"
        )
    percentiles = np.arange(PERCENTILES)
    return {k: np.percentile(v, percentiles, method="inverted_cdf") for k, v in values.items()}


def write_cutoffs(path: str, cutoffs: Mapping[str, np.ndarray]) -> None:
    """Write a table of cut-offs; `cutoffs` has 100 values a language."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    languages = sorted(cutoffs)
    writer.writerow(["percentile", *languages])
    for p in range(PERCENTILES):
        writer.writerow([p, *(f"{cutoffs[language][p]:.1f}" for language in languages)])
    storage.write_bytes(path, text.getvalue().encode())


def load_cutoffs(path: str) -> dict[str, np.ndarray]:
    """Read a table of cut-offs, ours or CCNet's: 100 values (float64) by language.

    Raises:
        UserError: it does not have the rows 0–99, or a value is not a number.
    """
    rows = list(csv.reader(io.StringIO(storage.read_bytes(path).decode("utf-8"))))
    try:
        numbers = np.array([[float(cell) for cell in row] for row in rows[1:]])
    except ValueError as error:
        raise UserError(f"cut-offs {path}: {error}") from error
    whole = numbers.ndim == 2 and numbers.shape == (PERCENTILES, len(rows[0]))
    if not whole or not np.array_equal(numbers[:, 0], np.arange(PERCENTILES)):
        raise UserError(
            f"cut-offs {path}: a row for each percentile 0–99 is wanted, below a header of languages"
        )
    return {language: numbers[:, i] for i, language in enumerate(rows[0]) if i > 0}
