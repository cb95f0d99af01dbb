"""A comparison as people read it in a terminal or a log.

In: what `compare_documents` or `compare_composition` found. Out: tables and examples on a console. Text of
documents is shown by `corpus.review.visible` only, and never read as markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from corpus.review.compare.composition import MEASURES
from corpus.review.compare.examples import show_changes
from corpus.review.compare.numbers import number, signed
from corpus.review.visible import on_one_line

_ROWS = 24  # of a table, of which there may be hundreds
_VALUE_CHARACTERS = 60

_SHA256 = re.compile("[0-9a-f]{64}")

Found = dict[str, Any]


def show(console: Console, found: Found) -> None:
    """Print a comparison of two runs."""
    console.print()
    console.rule(Text(f"{found['kind']} {found['source']}".strip()), align="left")
    console.print(Text(f"A  {on_one_line(found['a'], 200)}\nB  {on_one_line(found['b'], 200)}"))
    if found["same"]:
        console.print(Text("Nothing differs."))
    _show_settings(console, found["settings"])
    if "sources" in found:
        _show_composition(console, found)
        return
    _show_documents(console, found)
    if not found["same"]:
        _show_kept(console, found)
        _show_values(console, found["values"])
        show_changes(console, found["changes"])


def _show_settings(console: Console, settings: Sequence[Found]) -> None:
    rows = [(s["where"], s["key"], _value(s["a"]), _value(s["b"])) for s in settings]
    _table(console, "Settings that differ", ("", "key", "A", "B"), rows, numbers_from=4, most=60)


def _show_documents(console: Console, found: Found) -> None:
    sums = found["documents"]
    names = {
        "kept_both": "kept by both",
        "kept_only_a": "kept by A only",
        "kept_only_b": "kept by B only",
        "kept_neither": "kept by neither",
        "both": "in both runs",
        "only_a": "in A only",
        "only_b": "in B only",
    }
    rows = [
        (name, number(sums[key]["documents"]), number(sums[key]["bytes_a"]), number(sums[key]["bytes_b"]))
        for key, name in names.items()
    ]
    _table(console, "Documents", ("", "documents", "bytes in A", "bytes in B"), rows)
    total = sum(row["documents"] for row in found["matrix"])
    if not total:
        console.print(Text("Neither run has documents."))
    elif not sums["both"]["documents"]:
        console.print(Text("The runs share no document: they are of other inputs.", style="bold"))
    changes = [row for row in found["matrix"] if row["a"] != row["b"]]
    same = [row for row in found["matrix"] if row["a"] == row["b"]]
    for title, rows_, sides in (("From what to what", changes, "ab"), ("As before", same, "a")):
        _table(
            console,
            title,
            (*(f"in {side.upper()}" for side in sides), "documents", "%", "bytes in A", "bytes in B"),
            [
                (
                    *(on_one_line(row[side], _VALUE_CHARACTERS) for side in sides),
                    number(row["documents"]),
                    f"{100 * row['documents'] / total:.2f}",
                    number(row["bytes_a"]),
                    number(row["bytes_b"]),
                )
                for row in rows_
            ],
            numbers_from=len(sides),
        )


def _show_kept(console: Console, found: Found) -> None:
    names = ("a", "b", "dropped", "new", "moved_out", "moved_in")
    _table(
        console,
        "Kept documents by language and bucket",
        ("language", "bucket", "A", "B", "dropped", "new", "moved out", "moved in"),
        [
            (
                on_one_line(row["language"], _VALUE_CHARACTERS),
                on_one_line(row["bucket"], _VALUE_CHARACTERS),
                *(number(row[name]) for name in names),
            )
            for row in found["kept"]
        ],
        numbers_from=2,
    )
    for title, rows in (
        ("Kept by both, in another bucket", found["buckets"]),
        ("In both, in another language", found["languages"]),
    ):
        told = [(*(_value(row[side]) for side in "ab"), number(row["documents"])) for row in rows]
        _table(console, title, ("in A", "in B", "documents"), told, numbers_from=2)
    held = found["held_out"]
    console.print(Text(f"\nHeld out: {number(held['a'])} in A, {number(held['b'])} in B."))
    for side, name in (("b", "for_training_in_b"), ("a", "for_training_in_a")):
        if held[name]:
            other = "ab"["ba".index(side)].upper()
            line = f"{number(held[name])} documents held out by {other} are for training in {side.upper()}."
            console.print(Text(line, style="bold"))


def _show_values(console: Console, values: Sequence[Found]) -> None:
    percentiles = ("5", "25", "50", "75", "95")
    _table(
        console,
        "Values that differ, of documents in both (B − A where both have one)",
        ("column", "compared", "differ", "A only", "B only", "mean", *(f"{p} %" for p in percentiles)),
        [
            (
                on_one_line(row["column"], _VALUE_CHARACTERS),
                *(number(row[name]) for name in ("compared", "differ", "only_a", "only_b")),
                signed(row["mean"]),
                *(signed(row["percentiles"].get(p)) for p in percentiles),
            )
            for row in values
        ],
        most=60,
    )


def _show_composition(console: Console, found: Found) -> None:
    measures = MEASURES[found["kind"]]
    rows = [
        (on_one_line(row["source"] or "all", _VALUE_CHARACTERS), *(_pair(row[name]) for name in measures))
        for row in found["sources"]
    ]
    title = "Sources (A → B where they differ)"
    _table(console, title, ("", *(name.replace("_", " ") for name in measures)), rows, most=60)


def _table(
    console: Console,
    title: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers_from: int = 1,
    most: int = _ROWS,
) -> None:
    """A table, unless it has no rows; columns from `numbers_from` on are numbers."""
    listed = list(rows)
    if not listed:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(header):
        table.add_column(Text(name), justify="right" if at >= numbers_from else "left", overflow="fold")
    for row in listed[:most]:
        table.add_row(*(Text(cell) for cell in row))
    console.print(Text(f"\n{title}", style="bold"))
    console.print(table)
    if len(listed) > most:
        console.print(Text(f"… and {len(listed) - most:,} rows more (--json has all)"))


def _value(value: Any) -> str:
    if isinstance(value, str) and _SHA256.fullmatch(value):
        return f"{value[:12]}…"
    return "–" if value is None else on_one_line(str(value), _VALUE_CHARACTERS)


def _pair(values: Sequence[float | None]) -> str:
    a, b = (number(value) for value in values)
    return a if a == b else f"{a} → {b}"
