"""Examples of what changed, on a console: both reasons, the values against both thresholds, the text.

In: ``changes`` as `illustrate` gives them. Out: lines; text of documents is made visible and kept to a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from corpus.review.compare.numbers import number
from corpus.review.compare.rows import ABSENT, KEPT
from corpus.review.visible import on_one_line

_CHANGES = 12  # of which examples are shown; hundreds of pairs of reasons are possible
_KEY_CHARACTERS = 90
_WORD_CHARACTERS = 60
_TEXT = ("text", "text_from", "characters")
_VALUES = 8  # that differ, of one document
_HEADINGS = {"fate": "", "bucket": "bucket: ", "held_out": "held out: ", "language": "language: "}
Row = dict[str, Any]


def show_changes(console: Console, changes: Sequence[Row]) -> None:
    """Print examples of the changes."""
    for change in changes[:_CHANGES]:
        a, b = (_word(change[side]) for side in "ab")
        heading = f"{_HEADINGS[change['kind']]}{a} → {b}"
        count = f"{number(change['documents'])} document{'s' if change['documents'] != 1 else ''}"
        console.print()
        console.print(Text.assemble((heading, "bold"), f"  ({count})"))
        for example in change["examples"]:
            _show(console, example)
    if len(changes) > _CHANGES:
        console.print(Text(f"\n… and {len(changes) - _CHANGES:,} changes more (--json has all)"))


def _show(console: Console, example: Row) -> None:
    lines = [Text.assemble((example["id"], "cyan"), "  ", on_one_line(example["key"] or "", _KEY_CHARACTERS))]
    says = [_says(example[side]) for side in "ab"]
    lines.append(Text(says[0] if says[0] == says[1] else f"A: {says[0]}    B: {says[1]}"))
    sides = "".join(side for side in "ab" if example[side]["fate"] != ABSENT)
    for limit in example["limits"]:
        lines += [Text(line, style="yellow") for line in _limit(limit, sides)]
    values = example["values"]
    if values:
        told = ", ".join(f"{v['column']} {number(v['a'])} → {number(v['b'])}" for v in values[:_VALUES])
        more = f", and {len(values) - _VALUES} more" if len(values) > _VALUES else ""
        lines.append(Text(f"also: {told}{more}"))
    lines += [Text(line, style="dim") for line in _texts(example)]
    console.print()
    for line in lines:
        console.print(Padding(line, (0, 0, 0, 2), expand=False))


def _says(side: Row) -> str:
    fate = _word(side["fate"])
    told = [
        fate if fate in (KEPT, ABSENT) else f"rejected: {fate}",
        *(_word(side[name]) for name in ("language", "bucket") if side[name]),
    ]
    if side["held_out"]:
        told.append("held out")
    return ", ".join(told)


def _limit(limit: Row, sides: str) -> list[str]:
    """A column's value against the limits of the runs that have the document; what is the same once."""
    values = [_word(v) if isinstance(v := limit[side], str) else number(v, 6) for side in sides]
    told = (
        values[:1]
        if len(set(values)) == 1
        else [f"{v} in {s.upper()}" for v, s in zip(values, sides, strict=True)]
    )
    value = limit["column"] + (f" = {', '.join(told)}" if set(values) != {"–"} else "")
    limits = [limit[f"limit_{side}"] or "no limit" for side in sides]
    if len(set(limits)) == 1:
        return [f"{value}   wanted: {limits[0]}"]
    return [f"{value}   wanted in A: {limits[0]}", f"{' ' * len(value)}   wanted in B: {limits[1]}"]


def _texts(example: Row) -> list[str]:
    """The texts' beginnings: one where both are the same."""
    shown = [_text(**{name: example[side][name] for name in _TEXT}) for side in "ab"]
    if shown[0] == shown[1] or "" in shown:
        return [next((text for text in shown if text), "(the text was not kept)")]
    return [f"{name}: {text}" for name, text in zip("AB", shown, strict=True)]


def _text(text: str | None, text_from: int, characters: int | None) -> str:
    """An excerpt, and of how many characters; empty where the run did not keep the text."""
    if text is None or characters is None:
        return ""
    shown = ("… " if text_from else "") + on_one_line(text, len(text))
    return f"{shown} … ({characters:,} characters)" if characters > len(text) else shown or "(no text)"


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return on_one_line(str(value), _WORD_CHARACTERS)
