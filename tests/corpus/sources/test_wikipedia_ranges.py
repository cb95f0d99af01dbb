"""A dump read in ranges: whatever the cut, each page comes once and every damage is told once."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import random
from pathlib import Path
from typing import Any

import py7zr
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.sources.wikipedia import SOURCE
from corpus.sources.wikipedia.streams import cut
from tests.corpus.sources.wikipedia_dumps import END, head, input_file, multistream, page, read_file

WORDS = ["river", "mill", "stone", "bridge", "valley", "winter", "letter", "market", "tower", "meadow"]
PAGES = 40


def prose(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(5, 400)))


def pages(seed: int, n: int = PAGES) -> list[str]:
    rng = random.Random(seed)
    return [page(i + 1, prose(rng), namespace=0 if i % 7 else 1) for i in range(n)]


def dump(kind: str, seed: int) -> bytes:
    """A whole dump in one of the ways that dumps are compressed."""
    rng = random.Random(seed)
    found = pages(seed)
    text = head() + "".join(found) + END
    if kind == "plain":
        return text.encode()
    if kind == "single":
        return bz2.compress(text.encode())
    if kind == "multistream":  # the head, some pages each, the end
        groups = [found[i : i + 3] for i in range(0, len(found), 3)]
        return multistream([head(), *map("".join, groups), END])
    # As pbzip2 and its like: streams end anywhere, in a page and in a tag.
    edges = sorted(rng.sample(range(1, len(text)), 15))
    return multistream([text[a:b] for a, b in itertools.pairwise([0, *edges, len(text)])])


def places(rows: list[dict[str, Any]]) -> list[tuple[int, str, int]]:
    return [(row["offset"], row["id"], row["bytes"]) for row in rows]


KINDS = ["plain", "single", "multistream", "pbzip2"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_dump_has_its_pages(kind: str, tmp_path: Path) -> None:
    (tmp_path / "enwiki-x.xml").write_bytes(dump(kind, 1))
    rows, bad, counters = read_file(tmp_path / "enwiki-x.xml")
    assert [row["wikipedia_v1_page"] for row in rows] == [i + 1 for i in range(PAGES) if i % 7]
    assert bad == []
    assert counters == {
        "framed": PAGES,
        "in": 34,
        "out": 34,
        "skipped": 6,
        "skipped/namespace": 6,
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 9), cuts=st.lists(st.floats(0, 1), max_size=12))
def test_ranges_together_are_the_whole(kind: str, seed: int, cuts: list[float], tmp_path: Path) -> None:
    path = tmp_path / "enwiki-x.xml"
    data = dump(kind, seed)
    path.write_bytes(data)
    whole = read_file(path)
    edges = sorted({0, len(data), *(int(share * len(data)) for share in cuts)})
    parts = read_file(path, list(itertools.pairwise(edges)))
    assert places(parts[0]) == places(whole[0])
    assert parts[1:] == whole[1:]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 5),
    damage=st.floats(0.02, 0.98),
    cuts=st.lists(st.floats(0, 1), max_size=6),
)
def test_so_they_are_of_a_damaged_dump(
    kind: str, seed: int, damage: float, cuts: list[float], tmp_path: Path
) -> None:
    path = tmp_path / "enwiki-x.xml"
    data = bytearray(dump(kind, seed))
    at = int(damage * len(data))
    data[at : at + 3] = b"<\xff\x00"
    path.write_bytes(data)
    whole = read_file(path)
    edges = sorted({0, len(data), *(int(share * len(data)) for share in cuts)})
    parts = read_file(path, list(itertools.pairwise(edges)))
    assert places(parts[0]) == places(whole[0])
    assert parts[1:] == whole[1:]


@pytest.mark.parametrize("kind", ["gz", "xz", "7z", "utf16.bz2", "utf16"])
def test_what_cannot_be_cut_is_read_by_the_first_range(kind: str, tmp_path: Path) -> None:
    text = head() + "".join(pages(3)) + END
    path = tmp_path / f"enwiki-x.xml.{kind}"
    if kind == "gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif kind == "xz":
        path.write_bytes(lzma.compress(text[:5000].encode()) + lzma.compress(text[5000:].encode()))
    elif kind == "7z":
        with py7zr.SevenZipFile(path, "w") as f:
            f.writestr(text.encode(), "enwiki-x.xml")
    else:
        data = ("\ufeff" + text).encode("utf-16-le")
        path.write_bytes(bz2.compress(data) if kind.endswith("bz2") else data)
    size = path.stat().st_size
    rows, bad, _ = read_file(path, [(0, size // 3), (size // 3, size // 2), (size // 2, size)])
    (tmp_path / "enwiki-x.xml").write_text(text)
    plain, _, _ = read_file(tmp_path / "enwiki-x.xml")
    assert bad == []
    assert [(row["id"], row["text"]) for row in rows] == [(row["id"], row["text"]) for row in plain]


def test_large_dumps_are_cut_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "enwiki-x.xml.bz2"
    path.write_bytes(bytes(1000))
    assert cut(input_file(path), 400) == [(0, 333), (333, 666), (666, 1000)]
    assert cut(input_file(path), 1000) == [(0, 1000)]
    other = path.rename(tmp_path / "enwiki-x.xml.7z")
    assert cut(input_file(other), 400) == [(0, 1000)]
    assert SOURCE.cut is cut


def test_a_damaged_stream_is_one_bad_span_and_costs_the_pages_in_it(tmp_path: Path) -> None:
    found = pages(5)
    streams = [bz2.compress(p.encode()) for p in (head(), *found, END)]
    broken = bytearray(streams[11])
    broken[len(broken) // 2] ^= 0xFF
    path = tmp_path / "enwiki-x.xml.bz2"
    path.write_bytes(b"".join([*streams[:11], bytes(broken), *streams[12:]]))
    rows, bad, counters = read_file(path)
    assert [row["wikipedia_v1_page"] for row in rows] == [i + 1 for i in range(PAGES) if i % 7 and i != 10]
    assert [(b["reason"], b["offset"]) for b in bad] == [("bad_bz2", sum(map(len, streams[:11])))]
    assert counters["in"] == 34


def test_a_bomb_is_one_bad_span(tmp_path: Path) -> None:
    found = pages(6, 6)
    bomb = bz2.compress(page(99, "x" * (50 << 20)).encode())
    path = tmp_path / "enwiki-x.xml.bz2"
    streams = [head(), *found[:3]]
    path.write_bytes(multistream(streams) + bomb + multistream([*found[3:], END]))
    rows, bad, _ = read_file(path)
    assert [row["wikipedia_v1_page"] for row in rows] == [2, 3, 4, 5, 6]
    assert [b["reason"] for b in bad] == ["page_cut", "bz2_bomb"]


def test_a_dump_that_ends_too_early_is_told(tmp_path: Path) -> None:
    data = bz2.compress((head() + "".join(pages(7)) + END).encode())
    path = tmp_path / "enwiki-x.xml.bz2"
    path.write_bytes(data[: len(data) * 2 // 3])
    _, bad, _ = read_file(path)
    assert [b["reason"] for b in bad] == ["truncated_bz2"]
    plain = (head() + "".join(pages(7))).encode()
    path.write_bytes(plain)
    _, bad, _ = read_file(path)
    assert [b["reason"] for b in bad] == ["truncated_xml"]
    path.write_bytes(plain[:-100])
    _, bad, _ = read_file(path)
    assert [b["reason"] for b in bad] == ["truncated_page"]
