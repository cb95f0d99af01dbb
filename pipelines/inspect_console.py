"""What `inspect` prints: laid out on a terminal, plain into a pipe, or as JSON; text made visible."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import orjson
import rich.console
from rich.table import Table
from rich.text import Text

from corpus.review.inspect.follow import Step
from corpus.review.inspect.search import Match
from corpus.review.inspect.shown import on_line

VALUE = 600  # characters of a column's value that are shown
_WIDE = 120  # columns of a terminal on which whole ids are shown


class Console:
    """Where to print to, and how.

    Attributes:
        json: one JSON object a line, and nothing else.
        rich: lays out on a terminal; None into a pipe.
    """

    def __init__(self, json: bool) -> None:
        self.json = json
        terminal = sys.stdout.isatty() and not json
        self.rich = rich.console.Console(highlight=False, markup=False, emoji=False) if terminal else None

    def object(self, value: dict[str, Any]) -> None:
        """Print a JSON object on a line."""
        sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line, folded on a terminal."""
        if self.rich:
            self.rich.print(Text(text, style=style, overflow="fold"))
        else:
            sys.stdout.write(text.rstrip() + "\n")

    def section(self, title: str) -> None:
        """Print a heading."""
        self.line()
        self.line(title, "bold underline")

    def pairs(self, pairs: Iterable[Sequence[tuple[str, str]]]) -> None:
        """Print rows of cells (text, style): on a terminal in columns, the last one folded."""
        if self.rich is None:
            for row in pairs:
                self.line("\t".join(text for text, _ in row))
            return
        rows = list(pairs)
        grid = Table.grid(padding=(0, 2, 0, 0))
        for number in range(max(map(len, rows), default=0)):
            grid.add_column(overflow="fold", no_wrap=number == 0)
        for row in rows:
            grid.add_row(*(Text(text, style=style) for text, style in row))
        self.rich.print(grid)


def show_matches(
    console: Console,
    found: Sequence[Match],
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str],
    more: bool,
) -> None:
    """The table of a search."""
    names = ["id", "source", "language", "bucket", "reason", "bytes", *columns, "key"]
    if console.json:
        for match, row in zip(found, rows, strict=True):
            chosen = {name: row.get(name) for name in names}
            console.object(
                {"run": match.run.root, **chosen, "kept": row["kept"], "held_out": row["held_out"]}
            )
        return
    if console.rich is None:
        console.line("\t".join(names))
        for row in rows:
            console.line("\t".join(_cell(name, row) for name in names))
    else:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for name in names:
            right = name == "bytes" or name in columns
            table.add_column(
                name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis",
                ratio=1 if name == "key" else None, min_width=8 if name == "key" else None,
            )  # fmt: skip
        for row in rows:
            cells = [_cell(name, row) for name in names]
            if console.rich.width < _WIDE:
                cells[0] = cells[0][:12]
            style = "" if row["kept"] else "dim"
            table.add_row(*(Text(cell, style=style) for cell in cells))
        console.rich.print(table)
    if more:
        console.line(f"{len(rows)} shown, there are more: --limit, --random", "dim")


def show_steps(console: Console, id_: str, steps: Iterator[Step]) -> None:
    """A document's way, a stage after the other."""
    for step in steps:
        if console.json:
            console.object({"id": id_, **asdict(step)})
            continue
        facts = {k: v for k, v in step.facts.items() if v is not None}
        said = " · ".join(v if k == "note" else f"{k} {shown(v)}" for k, v in facts.items())
        if console.rich is None:
            console.line("\t".join((step.stage, step.file, "" if step.row is None else str(step.row), said)))
            continue
        place = step.file if step.row is None else f"{step.file}, row {step.row:,}"
        rows = [[(f"{step.stage:<10}", "bold"), (place, "")], [("", ""), (said, "dim")]]
        console.pairs(rows if said else rows[:1])


def _cell(name: str, row: dict[str, Any]) -> str:
    if name == "reason":
        return row["reason"] or ("kept, held out" if row["held_out"] else "kept")
    return shown(row.get(name))


def shown(value: Any) -> str:
    """A value as text on one line, of a document made visible."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return on_line(", ".join(map(str, value)), VALUE) or "none"
    return on_line(str(value), VALUE)
