"""What `inspect` prints of one document, and of one token; text of documents made visible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from corpus.review.inspect.measures import Measure, measures, stands_for
from corpus.review.inspect.missing import marked
from corpus.review.inspect.page import Paragraph, original
from corpus.review.inspect.raw_file import RawFileError
from corpus.review.inspect.raw_record import RawRecord, raw_record
from corpus.review.inspect.search import Match
from corpus.review.inspect.shown import on_line
from corpus.review.visible import visible
from pipelines.inspect_console import VALUE, Console, shown
from pipelines.inspect_shards import Traced

_LINE = 2_000  # characters of a line of text that are shown
_RAW_LINES = 40
_TOKEN_LINES = 12  # of the raw record of a token's document
_CONTEXT = 6  # lines at either end of a long group of lines, of a text that is not shown whole
_HINT = ": --lines 0 shows all"
# What is removed from the raw text of sources whose documents are its other lines.
_REMOVED = {"github": "header", "books": "boilerplate"}
_OTHER_LINES = (
    "the document has lines that are not there: they were changed when it was read, or the raw file was since"
)
_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "dim")}


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
    console.line(on_line(row["key"] or row["id"], VALUE), "bold")
    verdict = "kept" if row["kept"] else f"rejected: {row['reason']}"
    console.line(verdict + (", held out" if row["held_out"] else ""), "green" if row["kept"] else "red")
    if winner:
        console.line(f"the document that stays in its place: {winner}")
    if len(found) > 1:
        others = ", ".join(f"{m.run.name} {m.part.annotated.path} row {m.row}" for m in found[1:])
        console.line(f"{len(found)} rows have this id; the others: {others}", "dim")
    console.section("held to")
    console.pairs(_measure_row(m, row["reason"]) for m in held_to)
    console.section("columns")
    console.pairs([(name, "cyan"), (shown(value), "")] for name, value in row.items() if name != "text")
    console.section("text")
    if paragraphs is not None:
        _print_text(console, paragraphs, most)
    elif row["text"] is None:
        nothing = "there is none" if not row["bytes"] else 'not kept by this run (rejected = "columns")'
        console.line(nothing, "dim")
    else:
        _print_text(console, [Paragraph(line, None) for line in row["text"].split("\n")], most)
    if note:
        console.line()
        console.line(visible(note, lines=False), "yellow")
    if raw and not raw.lines:
        console.section(f"raw: {raw.what} in {raw.origin}")
        _print_text(console, _raw_lines(raw), min(most or _RAW_LINES, _RAW_LINES))


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
        (on_line(token.before, VALUE), "dim"),
        (f"⟦{on_line(token.piece, VALUE)}⟧", "bold"),
        (on_line(token.after, VALUE), "dim"),
    ]
    rows = [
        ("token", f"{token.id}, piece {on_line(token.piece, VALUE)}"),
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
            ("raw", f"{on_line(row['file'], VALUE)}, offset {row['offset']:,}"),
            ("key", on_line(row["key"] or "", VALUE)),
        ]
    if console.rich:
        console.rich.print(Text.assemble(*around, overflow="fold"))
    else:
        console.line(" ".join(text for text, _ in around))
    console.line()
    console.pairs([(name, "cyan"), (value, "")] for name, value in rows)
    if note:
        console.line(visible(note, lines=False), "yellow")
    if raw:
        console.section(f"raw: {raw.what} in {raw.origin}")
        _print_text(console, _raw_lines(raw), _TOKEN_LINES, "")


def _raw_lines(raw: RawRecord) -> list[Paragraph]:
    return [Paragraph(line.rstrip("\r"), None) for line in raw.text.split("\n")]


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
            why = _REMOVED.get(match.run.source, "not in the document")
            found = marked(raw.text, row["text"])
            note = f"read again from {raw.origin}"
            if " ".join(line for line, there in found if there).split() != row["text"].split():
                note += f"; {_OTHER_LINES}"
            return [Paragraph(line, None if there else why) for line, there in found], raw, note
        return None, raw, ""
    except RawFileError as error:
        return None, None, str(error)


def _print_text(console: Console, lines: Sequence[Paragraph], most: int, hint: str = _HINT) -> None:
    """Lines with a mark before those that were removed, and after each group of these the reason."""
    rows: list[list[tuple[str, str]]] = []
    for why, group in _groups(lines):
        style = "red" if why else ""
        mark = "−" if why else " "
        of_group = [
            [(mark if line.text.strip() else " ", style), (on_line(line.text, _LINE), style)]
            for line in group
        ]
        if 0 < most < len(lines) and len(group) > 2 * _CONTEXT:
            left_out = f"⋮ {len(group) - 2 * _CONTEXT:,} more lines{' removed' if why else ''}"
            of_group[_CONTEXT:-_CONTEXT] = [[(" ", ""), (left_out, "dim")]]
        if why:
            end = len(of_group) - _blank_at_end(group)
            of_group.insert(end, [(" ", ""), (f"↑ {why}", "dim italic")])
        rows += of_group
    cut = rows[:most] if most > 0 else rows
    if console.rich:
        console.pairs(cut)
    else:
        for row in cut:
            console.line(" ".join(text for text, _ in row))
    if 0 < most < len(lines):
        console.line(f"of {len(lines):,} lines{hint}", "dim")


def _blank_at_end(lines: Sequence[Paragraph]) -> int:
    """How many lines at the end are blank, of those that are always shown."""
    last = next((i for i, line in enumerate(lines[::-1]) if line.text.strip()), 0)
    return min(last, _CONTEXT)


def _groups(lines: Sequence[Paragraph]) -> Iterator[tuple[str | None, list[Paragraph]]]:
    """Neighbouring lines that were kept, or removed for one reason; blank lines go with those before."""
    group: list[Paragraph] = []
    reason: str | None = None
    for line in lines:
        if group and line.text.strip() and line.removed != reason:
            yield reason, group
            group = []
        if line.text.strip() or not group:
            reason = line.removed if line.text.strip() else None
        group.append(line)
    if group:
        yield reason, group


def _measure_row(measure: Measure, reason: str | None) -> list[tuple[str, str]]:
    mark, style = _MARKS[measure.passed]
    decisive = measure.passed is False and measure.reason == reason
    strong = "bold red" if decisive else ""
    said = "the reason" if decisive else ""
    return [
        (mark, style),
        (measure.name, strong or "cyan"),
        (shown(measure.value), strong),
        (measure.bound, "dim"),
        (said, strong),
    ]
