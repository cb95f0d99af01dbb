"""What the user named as input, resolved to an ordered list of raw files, and cut into splits.

In: paths, globs, directories, lists of paths (`@FILE`, `*.paths`, `*.paths.gz`), and dumps by name
(`cc:CC-MAIN-2019-30`). Out: `InputFile`s whose order is the corpus's order (dump, then position), and
`Split`s of consecutive files of one block. Names are relative to the input root, so that the same tree
elsewhere gives the same ids and bytes; the root of a dump's files is the site, whatever part of them is read.
"""

from __future__ import annotations

import gzip
import io
import itertools
import os
import posixpath
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from corpus import storage
from corpus.errors import UserError
from corpus.recipe import Dedup

_DUMP = re.compile(r"CC-MAIN-\d{4}-\d{2,3}(?!\d)")
_LIST_ENDINGS = (".paths", ".paths.gz")
# Files that count as one of CCNet's shards where the dump's full list is not known.
SHARD_FILES = 45
_LIST_BYTES_MAX = 1 << 30
_SITE = "https://data.commoncrawl.org"
_DATA = "crawl-data/"  # begins the entries of CommonCrawl's path lists, which are relative to site or bucket
# cc:DUMP, cc:DUMP/warc, with [FIRST:END] of the list and @SITE, such as s3://commoncrawl, in either order.
_NAMED_DUMP = re.compile(
    r"cc:(?P<dump>CC-MAIN-\d{4}-\d{2})(?:/(?P<kind>wet|warc))?"
    r"(?:\[(?P<first>\d*):(?P<end>\d*)\])?(?:@(?P<site>[^\[\]]+))?(?:\[(?P<first_>\d*):(?P<end_>\d*)\])?"
)
# Mean bytes of the files of February 2019: 7.62 TiB of WET and 59.86 TiB of WARC in 64,000 files each
# (commoncrawl.org/blog/february-2019-crawl-archive-now-available). Asking for each size would be as many
# requests as files.
_TYPICAL_BYTES = {"wet": 131_000_000, "warc": 1_028_000_000}


@dataclass(frozen=True)
class InputFile:
    """A raw file.

    `name` is relative to the input root. `listed`: it came from a list of paths. Of a file of CommonCrawl's
    own lists `size` is a typical one and `tag` is empty, as such files never change. `dump_files` is the
    length of the list of a dump of which a slice is read, else 0.
    """

    name: str
    path: str
    size: int
    tag: str
    dump: str
    listed: bool
    dump_files: int = 0


@dataclass(frozen=True)
class Split:
    """Consecutive files read by one task; each makes one part of every stage."""

    ordinal: int
    dump: str
    block: int
    files: tuple[InputFile, ...]

    @property
    def name(self) -> str:
        """Name of its parts."""
        return self.name_of(self.ordinal)

    @staticmethod
    def name_of(ordinal: int) -> str:
        """Name of the parts of the split with this number."""
        return f"part-{ordinal:05d}"

    @property
    def bytes(self) -> int:
        """Raw size."""
        return sum(f.size for f in self.files)


def resolve(inputs: Sequence[str], root: str | None = None) -> list[InputFile]:
    """Find the files that the user named, in the order of the corpus: by dump, then as listed or by name.

    Args:
        inputs: paths, globs, directories, lists, dumps.
        root: folder that names are made relative to; by default the deepest folder common to all, and
            for CommonCrawl's files that are listed the site or bucket.

    Raises:
        UserError: an input matches nothing, two files get one name, or a file is outside the root.
    """
    if not inputs:
        raise UserError("no input: give --input PATH, GLOB, DIRECTORY, @LIST-OF-PATHS or cc:DUMP")
    if root and storage.is_local(root):
        root = os.path.abspath(root)
    found: dict[str, _Match] = {}
    for pattern in inputs:
        matches = _matches(pattern, root)
        if not matches:
            raise UserError(f"input {pattern!r} matches no file")
        for match in matches:
            found.setdefault(match.info.path, match)
    shared = root.rstrip("/") if root else ""
    if not root and (without_site := [path for path, match in found.items() if not match.site]):
        shared = _common_folder(without_site)
    seen: dict[str, str] = {}
    files = []
    for match in found.values():
        base = shared if root or not match.site else match.site
        f = _input_file(match, base)
        if f.name in seen:
            raise UserError(f"{seen[f.name]} and {f.path} have the same name {f.name!r} below {base}")
        seen[f.name] = f.path
        files.append(f)
    # A stable sort: files of a list keep the list's order within their dump.
    return sorted(files, key=lambda f: (f.dump, "" if f.listed else f.name))


def plan_splits(files: Sequence[InputFile], dedup: Dedup) -> list[Split]:
    """Cut the files of each dump into splits that never straddle a block.

    A split holds ⌈n / shards_per_dump⌉ files of its dump, so at most `shards_per_dump` parts a dump. A
    block holds `shards_per_block` shards, where a shard is as many files as that for a dump read from its
    list of paths (the whole list, where a slice is read), and 45 files otherwise, so that a small input is
    one block (CCNet: cc_net/mine.py, `num_shards` and `hash_in_mem`).
    """
    splits: list[Split] = []
    for dump, group in itertools.groupby(files, key=lambda f: f.dump):
        members = list(group)
        per_split = -(-len(members) // dedup.shards_per_dump)
        of_dump = -(-max(f.dump_files for f in members) // dedup.shards_per_dump)
        listed = all(f.listed for f in members)
        per_shard = max(of_dump, per_split) if listed else max(SHARD_FILES, per_split)
        per_block = per_shard * dedup.shards_per_block
        for block, start in enumerate(range(0, len(members), per_block)):
            of_block = members[start : start + per_block]
            for first in range(0, len(of_block), per_split):
                chunk = tuple(of_block[first : first + per_split])
                splits.append(Split(len(splits), dump, block, chunk))
    return splits


def split_from_dict(saved: dict[str, Any]) -> Split:
    """A split as saved in a run's ``inputs.json``."""
    return Split(**{**saved, "files": tuple(InputFile(**f) for f in saved["files"])})


@dataclass(frozen=True)
class _Match:
    """A file found. `site`: of CommonCrawl's listed files, where `crawl-data/` lies."""

    info: storage.FileInfo
    listed: bool
    site: str = ""
    dump_files: int = 0


def _matches(pattern: str, root: str | None) -> list[_Match]:
    if pattern.startswith("cc:"):
        return _named_dump(pattern)
    if pattern.startswith("@") or pattern.endswith(_LIST_ENDINGS):
        return _listed_files(pattern.removeprefix("@"), root)
    try:
        found = storage.find(os.path.abspath(pattern) if storage.is_local(pattern) else pattern)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"input {pattern!r} cannot be listed: {error}") from error
    return [_Match(info, listed=False) for info in found]


def _named_dump(pattern: str) -> list[_Match]:
    """The files of a dump, or of a slice of its list, as CommonCrawl lists them."""
    named = _NAMED_DUMP.fullmatch(pattern)
    if not named:
        raise UserError(
            f"input {pattern!r}: the form is cc:CC-MAIN-YYYY-WW or cc:CC-MAIN-YYYY-WW/warc, with [FIRST:END] "
            f"for a slice of its files and @ADDRESS for another place than {_SITE}"
        )
    site = (named["site"] or _SITE).rstrip("/")
    address = storage.join(site, _DATA, named["dump"], f"{named['kind'] or 'wet'}.paths.gz")
    entries = _read_list(address)
    first, end = named["first"] or named["first_"], named["end"] or named["end_"]
    chosen = entries[int(first or 0) : int(end) if end else None]
    dump_files = len(entries) if len(chosen) < len(entries) else 0
    return [_of_commoncrawl(site, entry, dump_files) for entry in chosen]


def _listed_files(path: str, root: str | None) -> list[_Match]:
    address = os.path.abspath(path) if storage.is_local(path) else path
    found = []
    for entry in _read_list(path):
        base = root or _base_of(address, entry)
        if "://" not in entry and not entry.startswith("/"):
            if entry.startswith(_DATA) and not storage.is_local(base):
                found.append(_of_commoncrawl(base.rstrip("/"), entry))
                continue
            entry = storage.join(base, entry)
        try:
            found.append(_Match(storage.info(entry), listed=True))
        except FileNotFoundError as error:
            raise UserError(f"{entry}, named in the list {path}, does not exist") from error
        except OSError as error:
            raise UserError(f"{entry}, named in the list {path}, cannot be read: {error}") from error
    return found


def _read_list(path: str) -> list[str]:
    try:
        data = storage.read_bytes(path)
    except (OSError, ImportError) as error:
        raise UserError(f"list of inputs {path!r} cannot be read: {error}") from error
    if data[:2] == b"\x1f\x8b":
        data = _gunzip(data, path)
    lines = (line.strip() for line in data.decode("utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _base_of(list_address: str, entry: str) -> str:
    """What an entry is relative to: the list's folder, on a web server its root.

    CommonCrawl's entries are relative to where `crawl-data` lies, which the list's own address shows.
    """
    above, below, _ = list_address.partition("/" + _DATA)
    if entry.startswith(_DATA) and below:
        return above
    if list_address.startswith(("https://", "http://")):
        return "/".join(list_address.split("/", 3)[:3])
    return posixpath.dirname(list_address)


def _of_commoncrawl(site: str, entry: str, dump_files: int = 0) -> _Match:
    size = _TYPICAL_BYTES["wet" if "/wet/" in entry else "warc"]
    info = storage.FileInfo(storage.join(site, entry), size, "")
    return _Match(info, listed=True, site=site, dump_files=dump_files)


def _gunzip(data: bytes, path: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as f:
            text = f.read(_LIST_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"list of inputs {path} is not readable gzip: {error}") from error
    if len(text) > _LIST_BYTES_MAX:
        raise UserError(f"list of inputs {path} inflates to more than {_LIST_BYTES_MAX:,} bytes")
    return text


def _common_folder(paths: Iterable[str]) -> str:
    folders = [posixpath.dirname(p) for p in paths]
    if len({p.split("://", 1)[0] if "://" in p else "" for p in folders}) > 1:
        raise UserError("inputs lie on different file systems: give --input-root, or run them apart")
    common = posixpath.commonprefix([f + "/" for f in folders])
    return common[: common.rfind("/")]


def _input_file(match: _Match, base: str) -> InputFile:
    path = match.info.path
    if base and not path.startswith(base + "/"):
        raise UserError(f"{path} does not lie below the input root {base}")
    dump = _DUMP.search(path)
    return InputFile(
        name=path[len(base) :].lstrip("/"),
        path=path,
        size=match.info.size,
        tag=match.info.tag,
        dump=dump.group() if dump else "",
        listed=match.listed,
        dump_files=match.dump_files,
    )
