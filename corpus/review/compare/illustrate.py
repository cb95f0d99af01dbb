"""Examples of changes as people read them: both reasons, what was measured, the thresholds, the text.

In: example rows by change. Out: plain data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from corpus.review.compare.changes import KINDS, Change
from corpus.review.compare.rows import ABSENT, KEPT
from corpus.review.compare.texts import Place, read_texts
from corpus.review.runs import OpenedRun
from corpus.review.thresholds import Thresholds

_CHANGES = 100  # that have examples; of languages there may be thousands
_CHARACTERS = 300  # of a text that are shown
_COMPARED_CHARACTERS = 65_536  # of two texts, to show where they differ
_CONTEXT_CHARACTERS = 60  # before that
_SAYS = ("fate", "language", "bucket", "held_out", "bytes")
# The reason whose thresholds a change of this kind comes from.
_BEHIND = {"bucket": "perplexity", "language": "language_score"}
Row = dict[str, Any]


def illustrate(
    runs: tuple[OpenedRun, OpenedRun],
    found: Mapping[Change, Sequence[Row]],
    numbers: Mapping[Change, int],
    values: Sequence[str],
) -> list[Row]:
    """The changes with their examples, by kind and then in the order of `numbers`.

    Args:
        runs: A and B.
        found: example rows of each change (`pair_schema`).
        numbers: documents of each change.
        values: columns that were compared.
    """
    thresholds = [Thresholds(run) for run in runs]
    rank = {change: at for at, change in enumerate(numbers)}
    order = sorted(found, key=lambda change: (KINDS.index(change.kind), rank[change]))
    shown = {change: found[change] for change in order[:_CHANGES]}
    texts = [
        read_texts(
            run,
            [_place(row, side) for rows in shown.values() for row in rows if _is_in(row, side)],
            _COMPARED_CHARACTERS,
        )
        for run, side in zip(runs, "ab", strict=True)
    ]
    return [
        {
            **change._asdict(),
            "documents": numbers[change],
            "examples": [_example(change, row, thresholds, texts, values) for row in shown.get(change, ())],
        }
        for change in order
    ]


def _example(
    change: Change,
    row: Row,
    thresholds: Sequence[Thresholds],
    texts: Sequence[Mapping[Place, tuple[str, int]]],
    values: Sequence[str],
) -> Row:
    limits = _limits(change, row, thresholds)
    told = {limit["column"] for limit in limits}
    example: Row = {"id": row["id"], "key": row["key"], "limits": limits}
    example["values"] = [
        {"column": name, "a": row[f"{name}_a"], "b": row[f"{name}_b"]}
        for name in values
        if name not in told and row[f"{name}_a"] != row[f"{name}_b"] and _is_in(row, "a") and _is_in(row, "b")
    ]
    found = [
        k.get(_place(row, side)) if _is_in(row, side) else None for side, k in zip("ab", texts, strict=True)
    ]
    start = _first_difference([text for text in found if text])
    for side, text in zip("ab", found, strict=True):
        example[side] = {name: row[f"{name}_{side}"] for name in _SAYS} | {
            "text": text[0][start : start + _CHARACTERS] if text else None,
            "text_from": start,
            "characters": text[1] if text else None,
        }
    return example


def _first_difference(texts: Sequence[tuple[str, int]]) -> int:
    """Where an excerpt begins that shows how two texts differ; 0 where they do not, or do so at once."""
    if len(texts) < 2 or texts[0] == texts[1]:
        return 0
    (a, _), (b, _) = texts
    same = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return max(0, same - _CONTEXT_CHARACTERS) if same > _CHARACTERS - _CONTEXT_CHARACTERS else 0


def _limits(change: Change, row: Row, thresholds: Sequence[Thresholds]) -> list[Row]:
    """The columns that the reasons look at, with both values and both limits."""
    reasons = [row["fate_a"], row["fate_b"], _BEHIND.get(change.kind, KEPT)]
    limits: dict[str, Row] = {}
    language = row["language_a"] or row["language_b"]
    for reason in dict.fromkeys(reason for reason in reasons if reason not in (KEPT, ABSENT)):
        for side, known in zip("ab", thresholds, strict=True):
            if not _is_in(row, side):
                continue
            for column, limit in known.of(reason, row[f"language_{side}"] or language):
                entry = limits.setdefault(
                    column,
                    {"column": column, "a": row.get(f"{column}_a"), "b": row.get(f"{column}_b")}
                    | {"limit_a": None, "limit_b": None},
                )
                entry[f"limit_{side}"] = limit
    return list(limits.values())


def _is_in(row: Row, side: str) -> bool:
    return bool(row[f"fate_{side}"] != ABSENT)


def _place(row: Row, side: str) -> Place:
    return row[f"part_{side}"], row[f"row_{side}"]
