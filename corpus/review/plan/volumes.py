"""What there is to do of each source: raw bytes and files, and from where the figure is.

In: ``volumes.toml``, what the user says instead, or real input. Out: `Volume`s.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from corpus.errors import UserError
from corpus.inputs import InputFile

_SIZE = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*([kMGTP]?)(i?)B?")
_POWERS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5}


@dataclass(frozen=True)
class Volume:
    """Raw bytes of a source, its files, in their order, and who says so."""

    source: str
    files: tuple[InputFile, ...]
    whence: str

    @property
    def raw_bytes(self) -> int:
        """As stored."""
        return sum(f.size for f in self.files)


def recipe_volume(source: str, kept_share: float, dumps: int, given: float | None) -> Volume:
    """The volume of a source of the paper.

    Args:
        source: its name.
        kept_share: bytes of text kept a raw byte, of the measured run.
        dumps: of the crawl.
        given: raw bytes that the user says instead.

    Raises:
        UserError: what was kept is known, and the measured run kept nothing.
    """
    known = _known()[source]
    crawl = source == "commoncrawl"
    whence = str(known["whence"]) + (f"; {dumps} dumps taken to be as large" if crawl else "")
    if given is not None:
        raw, whence = given, "given by --volume"
    elif "raw_bytes" in known:
        raw = float(known["raw_bytes"]) * (dumps if crawl else 1)
    elif kept_share > 0:
        raw = float(known["kept_bytes"]) / kept_share
        whence += f", {kept_share:.3g} bytes a raw byte in the measured run"
    else:
        raise UserError(
            f"the measured run of {source} kept nothing, so that its raw volume does not follow from what is "
            f"to be kept: say it with --volume {source}=SIZE"
        )
    return Volume(source, _files(source, raw, known, dumps if crawl else 0), whence)


def input_volume(source: str, files: Sequence[InputFile]) -> Volume:
    """The volume of files that are there.

    Raises:
        UserError: there is nothing in them.
    """
    if not any(f.size for f in files):
        raise UserError("--input: there is not one byte in it to plan for")
    return Volume(source, tuple(files), "the files of --input")


def parse_volumes(given: Sequence[str]) -> dict[str, float]:
    """Raw bytes by source, of ``SOURCE=SIZE`` such as ``commoncrawl=42TB``.

    Raises:
        UserError: the form, the source or the size is wrong.
    """
    found = {}
    for text in given:
        source, _, size = text.partition("=")
        if source not in _known():
            raise UserError(
                f"--volume {text}: the form is SOURCE=SIZE, with one of the sources {', '.join(_known())}"
            )
        found[source] = parse_size(size, f"--volume {text}")
    return found


def parse_size(text: str, of: str) -> float:
    """Bytes of a size such as ``42TB``, ``7.6TiB``, ``1e12``.

    Raises:
        UserError: it is none, or zero.
    """
    match = _SIZE.fullmatch(text.strip())
    size = float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2]] if match else 0.0
    if not (size >= 1 and math.isfinite(size)):
        raise UserError(f"{of}: {text!r} is no size: give bytes, such as 42TB, 7.6TiB or 1e12")
    return size


def _known() -> Mapping[str, Mapping[str, float | str]]:
    text = (resources.files("corpus.review.plan") / "volumes.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _files(source: str, raw: float, known: Mapping[str, float | str], dumps: int) -> tuple[InputFile, ...]:
    """Files of equal size, as a source has them: of a crawl those of its dumps' lists."""
    of_file = known.get("file_bytes") or float(known["raw_bytes"]) / float(known["files"])
    count = max(round(raw / float(of_file)), dumps, 1)
    size, over = divmod(round(raw), count)
    found = []
    for number in range(count):
        dump = f"dump-{number * dumps // count}" if dumps else ""
        name = f"{source}/{dump or 'files'}/{number:09d}{known['ending']}"
        found.append(InputFile(name, name, size + (number < over), "", dump, listed=bool(dumps)))
    return tuple(found)
