"""Build the sample of arXiv: `python -m corpus.sample.build_arxiv [FOLDER]`.

Papers of `texts/arxiv/` in, a folder each; out bulk tars as arXiv lays them out, with planted trouble, under
FOLDER (default: the committed `arxiv/`). A paper of one file is a gzip of it, one of several a gzip of a tar.
The same papers always give the same bytes.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from corpus.sample import ROOT, TEXTS
from corpus.sample.files import build_by_command, write
from corpus.sample.records import deflate

FOLDER = ROOT / "arxiv"
PAPERS = TEXTS / "arxiv"
TIME = 1_380_000_000  # of every member
FIGURE = ("figure.pdf", b"%PDF-1.4\n" + bytes(range(256)) * 8)
BLOCK = 512
# Ten gigabytes that are not there.
HUGE = 10 << 30

Files = list[tuple[str, bytes]]


def paper(month: str, name: str) -> bytes:
    """A submission, as it lies in a bulk tar."""
    folder = PAPERS / month / name
    files = [(str(f.relative_to(folder)), f.read_bytes()) for f in sorted(folder.rglob("*")) if f.is_file()]
    return deflate(files[0][1] if len(files) == 1 else archive([*files, FIGURE]))


def archive(files: Files) -> bytes:
    """A tar of these files."""
    return b"".join(header(name, len(data)) + padded(data) for name, data in files) + bytes(2 * BLOCK)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    """The header of a member; the size may be a lie."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.type, info.linkname = size, TIME, kind, target
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(data: bytes) -> bytes:
    """Data up to the end of its last block."""
    return data + bytes(-len(data) % BLOCK)


def build(folder: Path) -> None:
    """Write the tars under the folder."""
    old: Files = [(f"9901/{name}.gz", paper("9901", name)) for name in names("9901")]
    old += [
        ("9901/astro-ph9901004.pdf", b"%PDF-1.4\nA paper without its source.\n"),
        (
            "9901/hep-th9901005.gz",
            deflate(b"This paper has been withdrawn by the author, who found an error.\n"),
        ),
    ]
    new: Files = [(f"1308/{name}.gz", paper("1308", name)) for name in names("1308")]
    whole = paper("1308", "1308.00001")
    outside = header("../../outside.tex", 16) + padded(b"\\section{Outside}")
    link = header("link.tex", 0, tarfile.SYMTYPE, "/etc/passwd")
    new += [
        ("1308/1308.00008.gz", whole[: len(whole) // 2]),
        (
            "1308/1308.00009.gz",
            deflate(archive([("figure.bin", bytes(6 << 20)), ("ms.tex", b"\\section{Bomb}")])),
        ),
        ("1308/1308.00010.gz", deflate(outside + link + header("figure.pdf", HUGE) + bytes(BLOCK))),
        ("1308/1308.00011.gz", deflate(FIGURE[1])),
        ("1308/1308.00012.gz", deflate(b"<html><body>A page, not a paper.</body></html>\n")),
    ]
    newest: Files = [(f"2401/{name}.gz", paper("2401", name)) for name in names("2401")]
    *before, last = newest
    lost = header("2401/2401.00007.gz", len(whole)).replace(b"2401.00007", b"2401.xxxxx") + padded(whole)
    cut = header("2401/2401.00009.gz", len(whole)) + whole[: BLOCK // 2]
    tars = {
        "arXiv_src_9901_001.tar": archive(old),
        "arXiv_src_1308_001.tar": header("1308", 0, tarfile.DIRTYPE) + archive(new),
        "arXiv_src_2401_001.tar": archive(before)[: -2 * BLOCK] + lost + archive([last])[: -2 * BLOCK] + cut,
    }
    for name, data in tars.items():
        write(folder / name, data)


def names(month: str) -> list[str]:
    """Names of the papers that lie in the tar of a month, in their order."""
    return sorted(folder.name for folder in (PAPERS / month).iterdir())


if __name__ == "__main__":
    build_by_command(build, FOLDER, __doc__)
