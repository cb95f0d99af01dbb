"""Build the sample of books: `python -m corpus.sample.build_books [FOLDER]`.

`texts/books.toml` and the texts of `texts/pages/` in; files as Project Gutenberg has them, and two small
collections in JSON Lines and Parquet, with planted trouble, under FOLDER (default: the committed `books/`).
The same texts always give the same texts; the bytes of containers may change with the libraries that write
them.
"""

from __future__ import annotations

import io
import textwrap
import tomllib
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.sample import ROOT, TEXTS
from corpus.sample.files import build_by_command, write
from corpus.sample.records import deflate

FOLDER = ROOT / "books"
LINES = "reading-room/shelf.jsonl.gz"
PARQUET = "reading-room/letters.parquet"

_WIDTH = 74
_ASCII = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "–": "--", "—": "--", "…": "...", "\u00a0": " "}
)
_SPELT = str.maketrans({"°": " degrees", "£": "L", "½": " 1/2", "¼": " 1/4", "×": "x", "æ": "ae", "œ": "oe"})
_LICENCE = """\
This file should be named {name}

START: FULL LICENSE

{terms}"""
_TERMS = "\n\n".join(
    f"1.{letter}.  The sample's eBooks may be copied, given away and used again under the\n"
    f"terms of this project; paragraph {letter} of a licence that no reader should be shown."
    for letter in "ABCDEFGH"
)
_SMALL_PRINT = """\
***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***
Why is this "Small Print!" statement here?  It stands for the long one of
the old etexts, and tells you that nobody promises anything.
*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*
"""


def read_books() -> dict[str, list[dict[str, Any]]]:
    """`books.toml`."""
    return tomllib.loads((TEXTS / "books.toml").read_text("utf-8"))


def files() -> dict[str, bytes]:
    """Every file of the sample, by its path."""
    books = read_books()
    found: dict[str, bytes] = {}
    archives: dict[str, dict[str, bytes]] = {}
    for book in books["book"]:
        data = gutenberg_file(book)
        archive, inside, member = book["path"].partition(".zip/")
        if inside:
            archives.setdefault(f"{archive}.zip", {})[member] = data
        else:
            found[book["path"]] = data
    for path, members in archives.items():
        found[path] = _zip(members | {"lvale10.htm": b"<html><body>The same as a page</body></html>"})
    found[LINES] = deflate(_json_lines(books["row"]))
    found[PARQUET] = _parquet(books["parquet"])
    return found | _trouble(found)


def build(folder: Path) -> None:
    """Write the files under the folder."""
    for path, data in files().items():
        write(folder / path, data)


def text_of(book: dict[str, Any]) -> str:
    """The text that a reader should find in a book of the list, its credits not among it."""
    if "text" in book:
        return str(book["text"])
    chapters = [_chapter(page, book) for page in book["pages"]]
    text = "\n\n\n".join(chapters)
    for old, new in book.get("changes", []):
        text = text.replace(old, new)
    if book.get("plain"):
        text = text.translate(_ASCII)
    if book.get("encoding") == "ascii":  # as it was done: accents are left out
        text = unicodedata.normalize("NFKD", text.translate(_SPELT)).encode("ascii", "ignore").decode()
    return text


def gutenberg_file(book: dict[str, Any]) -> bytes:
    """The bytes of a text file, lines ended as Gutenberg's are."""
    name = book["path"].rsplit("/", 1)[-1]
    text = text_of(book)
    if credit := book.get("credit"):
        text = f"{credit}\n\n\n{text}"
    if book["header"] == "new":
        text = _new(book, text, name)
    elif book["header"] == "old":
        end = book.get("end", f"End of the Project Gutenberg Etext of {book['title']}")
        text = f"{_old_header(book, name)}\n{_SMALL_PRINT}\n\n\n{text}\n\n\n{end}\n\n"
    elif book["header"] == "bottom":
        text = f"The Project Gutenberg Etext of {book['title']}\n\n{text}\n\n{_SMALL_PRINT}"
    else:
        return (text + "\n").encode(book["encoding"])
    return text.replace("\n", "\r\n").encode(book["encoding"])


def _chapter(page: str, book: dict[str, Any]) -> str:
    head, _, body = (TEXTS / "pages" / f"{page}.txt").read_text("utf-8").partition("\n\n")
    title = dict(line.split(": ", 1) for line in head.split("\n"))["title"]
    width = book.get("width", _WIDTH)
    paragraphs = [textwrap.fill(line.strip(), width) for line in body.split("\n") if line.strip()]
    heading = title.rpartition(" – ")[0] or title
    return "\n\n".join([heading.upper(), *paragraphs])


def _new(book: dict[str, Any], text: str, name: str) -> str:
    title = textwrap.fill(book["title"].upper(), 50)
    fields = [
        ("Title", book["title"]),
        ("Author", book["author"]),
        ("Release Date", f"{book['released']} [EBook #{book['number']}]"),
        ("Language", book.get("language")),
        ("Character set encoding", book["declared"]),
    ]
    header = "\n\n".join(f"{key}: {value}" for key, value in fields if value)
    end = book.get("end", f"End of the Project Gutenberg EBook of {book['title']}, by\n{book['author']}")
    return (
        f"The Project Gutenberg EBook of {book['title']}, by {book['author']}\n\n"
        f"This eBook is a sample, of texts that were written for it.\n\n\n{header}\n\n"
        f"*** START OF THIS PROJECT GUTENBERG EBOOK {title} ***\n\n\n\n\n{text}\n\n\n\n\n{end}\n\n"
        f"*** END OF THIS PROJECT GUTENBERG EBOOK {title} ***\n\n{_LICENCE.format(name=name, terms=_TERMS)}\n"
    )


def _old_header(book: dict[str, Any], name: str) -> str:
    title = f"**The Project Gutenberg Etext of {book['title']}, by {book['author']}**"
    return (
        f"{title}\n\nPlease take a look at the important information in this header.\n\n\n"
        f"{book['title']}\n\n{book['released']}  [Etext #{book['number']}]\n\n\n"
        f"{title}\n*****This file should be named {name}******\n\n"
    )


def _json_lines(rows: list[dict[str, Any]]) -> bytes:
    lines = [orjson.dumps(_row(row) | {"meta": {"shelf": 3}}) for row in rows]
    lines.insert(1, b'{"id":"reading-room/cut","text":"A line that ends before its ti')
    lines.insert(2, b'{"id":"reading-room/bare","title":"No text at all"}')
    return b"\n".join([*lines, b""])


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    table = pa.Table.from_pylist([_row(row) for row in rows] + [{"id": 6, "title": "Lost", "text": None}])
    pq.write_table(table, out, compression="zstd", row_group_size=2, use_dictionary=False)
    return out.getvalue()


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {k: row[k] for k in ("id", "title", "author", "language") if k in row} | {"text": text_of(row)}


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (1994, 8, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return out.getvalue()


def _trouble(files: dict[str, bytes]) -> dict[str, bytes]:
    listing = "total 4711\n" + "".join(
        f"-rw-rw-r--  1 1005  100 {10_007 * i % 900_001:>10} Feb {i % 28 + 1:>2}  2001 {i:02}book10.txt\n"
        for i in range(60)
    )
    whole = files["gutenberg/90004/lvale10.zip"]
    return {
        "gutenberg/90013/90013.zip": whole[: len(whole) // 2],
        "gutenberg/90014/90014.txt": b"",
        "gutenberg/90015/90015.txt": b"BM\x00\x00\x01\x00not a text at all\x00\x00" * 60,
        "gutenberg/90016/old/index09.txt": listing.replace("\n", "\r\n").encode(),
        "gutenberg/90002/cover.jpg": b"\xff\xd8\xff\xe0no picture",
        "pamphlets/half.txt.gz": deflate(files["pamphlets/apprentices.txt"])[:-900],
    }


if __name__ == "__main__":
    build_by_command(build, FOLDER, __doc__)
