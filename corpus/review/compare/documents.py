"""Two decided runs compared document by document.

In: two opened runs of one kind and source. Out: plain data; every changed document, as batches, to a sink.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from corpus.review.compare.changes import Change, Examples, changed
from corpus.review.compare.counts import Counts
from corpus.review.compare.illustrate import illustrate
from corpus.review.compare.output import output_rows
from corpus.review.compare.pairs import Pairing
from corpus.review.compare.rows import value_columns
from corpus.review.compare.settings import differences
from corpus.review.compare.values import Values
from corpus.review.runs import OpenedRun


def compare_documents(
    a: OpenedRun,
    b: OpenedRun,
    examples: int,
    write: Callable[[pa.RecordBatch], None] | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> dict[str, Any]:
    """What differs between two runs, and what either keeps and drops.

    Args:
        a, b: the runs.
        examples: documents to show of each change.
        write: takes the changed documents (schema `CHANGED`).
        progress: is told how many documents more have been compared.

    Returns:
        ``settings``, ``documents`` (see `Counts.documents`), ``matrix``, ``kept``, ``held_out``, ``buckets``,
        ``languages``, ``values`` (see `Values.found`), ``changes`` with their examples, ``same``: nothing
        differs.

    Raises:
        UserError, CorruptPartError: a run's files cannot be read, or are not what its records say.
    """
    values = list(dict.fromkeys([*value_columns(a), *value_columns(b)]))
    counts, differing, shown = Counts(), Values(["bytes", *values]), Examples(examples)
    for pairs in Pairing(a, b, values).tables():
        counts.add(pairs)
        differing.add(pairs)
        rows = changed(pairs)
        shown.add(rows)
        if write and rows.num_rows:
            write(output_rows(a.source, rows, values))
        progress(pairs.num_rows)
    settings = differences(a, b)
    found = shown.found()
    matrix, buckets, languages = counts.matrix(), counts.buckets(), counts.languages()
    held_out = counts.held_out()
    numbers = {
        Change(kind, row["a"], row["b"]): row["documents"]
        for kind, rows in (("fate", matrix), ("bucket", buckets), ("language", languages))
        for row in rows
    }
    numbers[Change("held_out", True, False)] = held_out["for_training_in_b"]
    numbers[Change("held_out", False, True)] = held_out["for_training_in_a"]
    has_changed = any(row["a"] != row["b"] for row in matrix)
    return {
        "kind": a.kind,
        "source": a.source,
        "a": a.root,
        "b": b.root,
        "settings": [d._asdict() for d in settings],
        "documents": counts.documents(),
        "matrix": matrix,
        "kept": counts.kept(),
        "held_out": held_out,
        "buckets": buckets,
        "languages": languages,
        "values": differing.found(),
        "changes": illustrate((a, b), found, numbers, values),
        "same": not (settings or has_changed or found or differing.found() or buckets or languages),
    }
