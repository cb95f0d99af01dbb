"""What `inspect` prints: laid out on a terminal, plain into a pipe, or as JSON; text made visible."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import orjson
import rich.console
from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text

from corpus.review.inspect.follow import Step
from corpus.review.inspect.search import Match
from corpus.review.inspect.shown import on_line
from corpus.review.visible import visible

VALUE = 600  # characters of a column's value that are shown
_GAP = 2  # columns of a terminal between two cells
_KEY = 40  # … that a key has at least, beside the other cells of its line
_SHORT_ID = 12  # digits of an id where there is no room for all


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
        self.line(visible(title, lines=False), "bold underline")

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
    cells = [[_cell(name, row) for name in names] for row in rows]
    if console.rich is None:
        for line in [names, *cells]:
            console.line("\t".join(line))
    else:
        styles = ["bold", *("" if row["kept"] else "dim" for row in rows)]
        _table(console.rich, [names, *cells], styles)
    if more:
        print(f"{len(rows)} shown, there are more: --limit, --random", file=sys.stderr)


def show_steps(console: Console, id_: str, steps: Iterator[Step]) -> None:
    """A document's way, a stage after the other."""
    for step in steps:
        if console.json:
            console.object({"id": id_, **asdict(step)})
            continue
        facts = {k: v for k, v in step.facts.items() if v is not None}
        said = " · ".join(
            visible(v, lines=False) if k == "note" else f"{k} {shown(v)}" for k, v in facts.items()
        )
        if console.rich is None:
            console.line(
                "\t".join(
                    (
                        step.stage,
                        visible(step.file, lines=False),
                        "" if step.row is None else str(step.row),
                        said,
                    )
                )
            )
            continue
        file = visible(step.file, lines=False)
        place = file if step.row is None else f"{file}, row {step.row:,}"
        rows = [[(f"{step.stage:<10}", "bold"), (place, "")], [("", ""), (said, "dim")]]
        console.pairs(rows if said else rows[:1])


def _table(terminal: rich.console.Console, lines: Sequence[Sequence[str]], styles: Sequence[str]) -> None:
    """Print lines of cells below each other; the last cell on its own line where there is no room."""
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)][:-1]
    if sum(widths) + _GAP * len(widths) > terminal.width:
        widths[0] = _SHORT_ID
    beside = sum(widths) + _GAP * len(widths) + _KEY <= terminal.width
    for number, (cells, style) in enumerate(zip(lines, styles, strict=True)):
        padded = [set_cell_size(cell, width) for cell, width in zip(cells, widths, strict=False)]
        line = (" " * _GAP).join([*padded, *(cells[-1:] if beside else ())])
        _print_cut(terminal, line, style)
        if not beside and number:
            _print_cut(terminal, "    " + cells[-1], style)


def _print_cut(terminal: rich.console.Console, line: str, style: str) -> None:
    terminal.print(Text(line, style=style), no_wrap=True, overflow="ellipsis", crop=True)


def _cell(name: str, row: dict[str, Any]) -> str:
    if name == "reason":
        return row["reason"] or ("held out" if row["held_out"] else "kept")
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
