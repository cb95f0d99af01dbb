"""What `inspect` prints: laid out on a terminal, plain into a pipe, or as JSON; text made visible."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import orjson
import rich.console
from rich.table import Table
from rich.text import Text

from corpus.review.inspect.follow import Step
from corpus.review.inspect.measures import Measure, measures, stands_for
from corpus.review.inspect.missing import marked
from corpus.review.inspect.page import Paragraph, original
from corpus.review.inspect.raw_file import RawFileError
from corpus.review.inspect.raw_record import RawRecord, raw_record
from corpus.review.inspect.search import Match
from corpus.review.inspect.shown import on_line
from pipelines.inspect_shards import Traced

_LINE = 2_000  # characters of a line of text that are shown
_VALUE = 600  # … of a column's value
_RAW_LINES = 40
_WIDE = 120  # columns of a terminal on which whole ids are shown
_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "dim")}


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


def show_document(
    console: Console, found: Sequence[Match], row: dict[str, Any], input_root: str | None, most: int
) -> None:
    """One document: what was decided and why, all columns, its text with what was removed."""
    match = found[0]
    winner = None if row["kept"] or match.run.kind != "build" else stands_for(match, row["reason"])
    held_to = measures(match, row)
    paragraphs, raw, note = _before(match, row, input_root)
    if console.json:
        console.object(
            {
                "run": match.run.root,
                "document": row,
                "stands_for_it": winner,
                "measures": [m._asdict() for m in held_to],
                "paragraphs": [asdict(p) for p in paragraphs] if paragraphs is not None else None,
                "raw": raw._asdict() if raw else None,
                "note": note or None,
            }
        )
        return
    console.line(on_line(row["key"] or row["id"], _VALUE), "bold")
    verdict = "kept" if row["kept"] else f"rejected: {row['reason']}"
    console.line(verdict + (", held out" if row["held_out"] else ""), "green" if row["kept"] else "red")
    if winner:
        console.line(f"the document that stays in its place: {winner}")
    if len(found) > 1:
        others = ", ".join(f"{m.run.name} {m.part.annotated.path} row {m.row}" for m in found[1:])
        console.line(f"{len(found)} rows have this id; the others: {others}", "dim")
    _section(console, "held to")
    console.pairs(_measure_row(m, row["reason"]) for m in held_to)
    _section(console, "columns")
    console.pairs([(name, "cyan"), (_shown(value), "")] for name, value in row.items() if name != "text")
    _section(console, "text")
    if paragraphs is not None:
        _print_text(console, paragraphs, most)
    elif row["text"] is None:
        console.line("not kept by this run (export.rejected, build.rejected)", "dim")
    else:
        _print_text(console, [Paragraph(line, None) for line in row["text"].split("\n")], most)
    if note:
        console.line()
        console.line(note, "yellow")
    if raw and not raw.lines:
        _section(console, f"raw record: {raw.what} ({raw.origin})")
        _print_text(
            console,
            [Paragraph(line, None) for line in raw.text.split("\n")],
            min(most or _RAW_LINES, _RAW_LINES),
        )


def show_steps(console: Console, id_: str, steps: Iterator[Step]) -> None:
    """A document's way, a stage after the other."""
    for step in steps:
        if console.json:
            console.object({"id": id_, **asdict(step)})
            continue
        place = step.file if step.row is None else f"{step.file}, row {step.row:,}"
        facts = {k: v for k, v in step.facts.items() if v is not None}
        said = " · ".join(v if k == "note" else f"{k} {_shown(v)}" for k, v in facts.items())
        console.pairs(
            [[(f"{step.stage:<10}", "bold"), (place, "")], [("", ""), (said, "dim")]]
            if said
            else [[(f"{step.stage:<10}", "bold"), (place, "")]]
        )


def show_token(console: Console, traced: Traced, input_root: str | None) -> None:
    """A token, the document that it is of, and the raw record of that."""
    token, tokenized, match, row = traced.token, traced.tokenized, traced.match, traced.row
    raw, note = None, traced.note
    if match and row:
        try:
            raw = raw_record(match, row, input_root)
        except RawFileError as error:
            note = str(error)
    place = f"{traced.shards.root}/{traced.name}/shard-{traced.shard:05d}.bin"
    if console.json:
        console.object(
            {
                "shard": place,
                "position": traced.position,
                "token": token._asdict(),
                "tokens": {"run": traced.tokens.root, **tokenized._asdict()},
                "document": match
                and {"run": match.run.root, "file": match.part.annotated.path, "row": match.row},
                "raw": row and {"file": row["file"], "offset": row["offset"], "key": row["key"]},
                "raw_record": raw and raw._asdict(),
                "note": note or None,
            }
        )
        return
    around = [
        (on_line(token.before, _VALUE), "dim"),
        (f"⟦{on_line(token.piece, _VALUE)}⟧", "bold"),
        (on_line(token.after, _VALUE), "dim"),
    ]
    rows = [
        ("token", f"{token.id}, piece {on_line(token.piece, _VALUE)}"),
        ("shard", f"{place}, position {traced.position:,}"),
        (
            "document",
            f"number {token.document:,} of the shard, from position {token.first:,}; "
            f"this is token {token.of:,} of {token.tokens:,}",
        ),
        ("tokens", f"{traced.tokens.root}/tokens/{tokenized.part}.parquet, row {tokenized.row:,}"),
        ("export", f"{match.run.root + '/' if match else ''}{tokenized.file}, row {tokenized.file_row:,}"),
        ("id", tokenized.id),
    ]
    if match and row:
        rows += [
            ("annotated", f"{match.run.root}/{match.part.annotated.path}, row {match.row:,}"),
            ("raw", f"{row['file']}, offset {row['offset']:,}"),
            ("key", on_line(row["key"] or "", _VALUE)),
        ]
    if console.rich:
        console.rich.print(Text.assemble(*around, overflow="fold"))
    else:
        console.line(" ".join(text for text, _ in around))
    console.line()
    console.pairs([(name, "cyan"), (value, "")] for name, value in rows)
    if note:
        console.line(note, "yellow")
    if raw:
        _section(console, f"raw record: {raw.what} ({raw.origin})")
        _print_text(console, [Paragraph(line, None) for line in raw.text.split("\n")], 12)


def _before(
    match: Match, row: dict[str, Any], input_root: str | None
) -> tuple[list[Paragraph] | None, RawRecord | None, str]:
    """The text with what was removed of it, the raw record, and why there is neither."""
    try:
        if match.run.kind == "crawl-filter":
            page = original(match, row, input_root)
            return page.paragraphs, None, f"read again from {page.origin}"
        raw = raw_record(match, row, input_root)
        if raw.lines and row["text"] is not None:
            lines = [
                Paragraph(line, None if there else "not in the document")
                for line, there in marked(raw.text, row["text"])
            ]
            return lines, raw, f"read again from {raw.origin}"
        return None, raw, ""
    except RawFileError as error:
        return None, None, str(error)


def _print_text(console: Console, lines: Sequence[Paragraph], most: int) -> None:
    """Lines with a mark before those that were removed, and after each group of these the reason."""
    shown = lines[:most] if most > 0 else lines
    rows: list[list[tuple[str, str]]] = []
    for why, group in itertools.groupby(shown, key=lambda line: line.removed if line.text.strip() else None):
        mark = ("−" if why else " ", "red")
        rows += [[mark, (on_line(line.text, _LINE), "red" if why else "")] for line in group]
        if why:
            rows.append([(" ", ""), (f"↑ {why}", "dim italic")])
    if console.rich:
        console.pairs(rows)
    else:
        for row in rows:
            console.line(" ".join(text for text, _ in row))
    if len(shown) < len(lines):
        console.line(f"… and {len(lines) - len(shown):,} more lines (--lines 0 shows all)", "dim")


def _section(console: Console, title: str) -> None:
    console.line()
    console.line(title, "bold underline")


def _measure_row(measure: Measure, reason: str | None) -> list[tuple[str, str]]:
    mark, style = _MARKS[measure.passed]
    decisive = measure.passed is False and measure.reason == reason
    strong = "bold red" if decisive else ""
    said = "the reason" if decisive else ""
    return [
        (mark, style),
        (measure.name, strong or "cyan"),
        (_shown(measure.value), strong),
        (measure.bound, "dim"),
        (said, strong),
    ]


def _cell(name: str, row: dict[str, Any]) -> str:
    if name == "reason":
        return row["reason"] or ("kept, held out" if row["held_out"] else "kept")
    return _shown(row.get(name))


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return on_line(", ".join(map(str, value)), _VALUE) or "none"
    return on_line(str(value), _VALUE)
