"""Build the sample of C4: `python -m corpus.sample.build_c4 [FOLDER]`.

Texts of `texts/c4.txt` in; files of JSON lines out, in the layout of allenai/c4 and in RedPajama's, with
planted trouble, under FOLDER (default: the committed `c4/`). The same texts always give the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from corpus.sample import ROOT, TEXTS
from corpus.sample.files import build_by_command, json_line, write
from corpus.sample.records import deflate

FOLDER = ROOT / "c4"
FIRST = "en/c4-train.00000-of-00002.json.gz"
SECOND = "en/c4-train.00001-of-00002.json.gz"  # three gzip members, of which the second is cut
VALIDATION = "en/c4-validation.00000-of-00001.json.gz"
REDPAJAMA = "redpajama/c4-train.00000-of-00001.jsonl"
EMPTY = "en/c4-train.00002-of-00002.json.gz"

# The MD5 of each, without its scheme, is a multiple of 1,000: C4's rule for the validation split.
VALIDATION_URLS = (
    "https://validation-split.example/pages/693",
    "https://validation-split.example/pages/770",
)
Row = dict[str, Any]


def read_rows() -> list[Row]:
    """The texts, with their addresses and times, in allenai's shape."""
    rows = []
    for block in (TEXTS / "c4.txt").read_text("utf-8").strip().split("\n\n"):
        head, text = block.split("\n", 1)
        url, timestamp = head.split(" ")
        rows.append({"text": text, "timestamp": timestamp, "url": url})
    return rows


def build(folder: Path) -> None:
    """Write the files under the folder."""
    rows = read_rows()
    validation = [row | {"url": url} for row, url in zip(rows[-2:], VALIDATION_URLS, strict=True)]
    first, second, others = rows[:8], rows[8:14], rows[14:18]
    lines = [json_line(row) for row in first]
    lines.insert(2, b'{"text":"A row that ends before its time')
    lines.insert(4, b'{"timestamp":"2019-04-20T00:00:00Z","url":"https://no-text.example/"}')
    lines.insert(5, b"")
    lines.insert(6, b'{"text":"A row of one Latin-1 letter: caf\xe9.","url":"https://latin-1.example/"}')
    lines.insert(7, b'{"text":["a","list"],"url":"https://list.example/"}')
    deep = b"[" * 2000 + b"]" * 2000
    lines.insert(8, b'{"text":"Brackets.","url":"https://deep.example/","x":' + deep + b"}")
    lines.append(json_line(first[0]))  # the same row again
    lines.append(
        json_line({"text": " \n", "timestamp": "2019-04-20T00:00:00Z", "url": "https://blank.example/"})
    )
    halves = [deflate(b"".join(json_line(row) + b"\n" for row in half)) for half in (second[:3], second[3:])]
    lost = deflate(json_line(rows[0] | {"url": "https://never-read.example/"}))
    halves.insert(1, lost[: len(lost) // 2])
    redpajama = [
        {"text": row["text"], "meta": {"timestamp": row["timestamp"], "url": row["url"], "language": "en"}}
        for row in others[:3]
    ]
    redpajama.append({"text": others[3]["text"]})  # of some copies only the text is left
    write(folder / FIRST, deflate(b"\n".join(lines) + b"\n"))
    write(folder / SECOND, b"".join(halves))
    write(folder / EMPTY, b"")
    write(folder / VALIDATION, deflate(b"".join(json_line(row) + b"\n" for row in validation)))
    write(folder / REDPAJAMA, b"".join(json_line(row) + b"\n" for row in redpajama))


if __name__ == "__main__":
    build_by_command(build, FOLDER, __doc__)
