"""Builds of books: overlaps across files and parts, and who stays."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from corpus import storage
from corpus.errors import CorruptPartError
from corpus.stages import make_part
from tests.builds import Row, build_here, rows
from tests.corpus.sources import books_texts as texts
from tests.corpus.sources.books_texts import chosen

STAGES = ("sketch", "pairs", "overlaps", "clusters")
START = "*** START OF THIS PROJECT GUTENBERG EBOOK X ***"


def fates(run: Path) -> dict[str, str | None]:
    """By file, or id of a row: the reason against it, None where it was kept."""
    annotated, decided = rows(run, "annotated"), rows(run, "decisions")
    return {
        row["file"].rsplit("/", 1)[-1]: decision["reason"]
        for row, decision in zip(annotated, decided, strict=True)
    }


def write(folder: Path, books: dict[str, list[str]]) -> Path:
    folder.mkdir()
    for name, tokens in books.items():
        (folder / f"{name}.txt").write_text(texts.text(tokens) + "\n")
    return folder


def test_planted_overlaps_decide_correctly(tmp_path: Path) -> None:
    """Of each pair the longer is kept; the shorter goes where more than 90 % of it is in the longer."""
    books, expected = {}, {}
    for share in (85, 89, 91, 95):
        base = texts.words(share, 4_000)
        copy = texts.with_containment(base, share, share / 100 + 0.004 * (share > 90))
        books |= {f"{share}-long": [*base, *texts.words(share + 1_000, 600)], f"{share}-short": copy}
        expected |= {
            f"{share}-long.txt": None,
            f"{share}-short.txt": "overlap" if share > 90 else None,
        }
    build_here(tmp_path / "run", "books", [write(tmp_path / "in", books)], chosen())
    assert fates(tmp_path / "run") == expected


def test_an_omnibus_stands_for_its_parts_in_other_files(tmp_path: Path) -> None:
    stories = [texts.words(i, 2_000) for i in range(12)]
    books = {f"story{i:02}": texts.edited(story, i, 0.03) for i, story in enumerate(stories)}
    books |= {"omnibus": [w for s in stories for w in s], "other": texts.words(99, 3_000)}
    _, counters = build_here(
        tmp_path / "run",
        "books",
        [write(tmp_path / "in", books)],
        chosen(split_bytes=1, bucket_bytes=1 << 16),
    )
    assert {name: r for name, r in fates(tmp_path / "run").items() if r is None} == {
        "omnibus.txt": None,
        "other.txt": None,
    }
    assert counters["rejected/overlap"] == 12
    assert len(list((tmp_path / "run" / "pairs").glob("*.pairs"))) > 1  # they met in buckets


def test_the_same_verdicts_whatever_the_splits_and_buckets(tmp_path: Path) -> None:
    base = texts.words(1, 3_000)
    books = {f"b{i}": texts.edited(base, i, 0.02 * i + 0.01) for i in range(6)}
    books |= {f"c{i}": texts.words(50 + i, 1_500) for i in range(3)}
    folder = write(tmp_path / "in", books)
    results = []
    for i, sizes in enumerate([(1 << 24, 1 << 28), (1, 1 << 15), (30_000, 1 << 17)]):
        build_here(tmp_path / f"run{i}", "books", [folder], chosen(*sizes))
        results.append(fates(tmp_path / f"run{i}"))
        winners = pq.ParquetFile(tmp_path / f"run{i}" / "clusters" / "all.verdicts").read()
        assert winners.num_rows == Counter(results[-1].values())["overlap"] > 0
    assert results[0] == results[1] == results[2]


def test_gutenberg_comes_first_then_the_longest(tmp_path: Path) -> None:
    base = texts.words(3, 2_000)
    folder = write(tmp_path / "in", {"long": [*base, *texts.words(4, 100)], "short": base})
    (folder / "gutenberg.txt").write_text(
        f"The Project Gutenberg EBook\n{START}\n{texts.text(base[:1_950])}\n"
    )
    build_here(tmp_path / "run", "books", [folder], chosen())
    assert fates(tmp_path / "run") == {"gutenberg.txt": None, "long.txt": "overlap", "short.txt": "overlap"}


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ({}, {"omnibus.txt": "overlap", "a.txt": None, "b.txt": "overlap"}),  # b went with its omnibus
        ({"rule": "direct"}, {"omnibus.txt": "overlap", "a.txt": None, "b.txt": None}),
        ({"omnibus": "goes"}, {"omnibus.txt": "omnibus", "a.txt": None, "b.txt": None}),
    ],
)
def test_rules_of_who_stays(tmp_path: Path, overlap: Row, expected: dict[str, str | None]) -> None:
    a, b = texts.words(5, 2_000), texts.words(6, 2_000)
    folder = write(tmp_path / "in", {"omnibus": a + b, "b": b})
    (folder / "a.txt").write_text(f"The Project Gutenberg EBook\n{START}\n{texts.text(a)}\n")
    build_here(tmp_path / "run", "books", [folder], chosen(overlap=overlap))
    assert fates(tmp_path / "run") == expected


@pytest.mark.parametrize("overlap", [(), None])
def test_of_files_of_one_book_one_stays(tmp_path: Path, overlap: Any) -> None:
    """Its id is its number and name: so it is unique, though the texts have nothing in common."""
    header = f"Release Date: 2004 [EBook #90012]\n{START}\n"
    for folder, tokens in (("old", texts.words(7, 900)), ("new", texts.words(8, 1_000))):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "90012-0.txt").write_text(header + texts.text(tokens))
    build_here(tmp_path / "run", "books", [tmp_path / "in"], chosen(overlap=overlap))
    found = {
        row["file"]: decision["reason"]
        for row, decision in zip(
            rows(tmp_path / "run", "annotated"), rows(tmp_path / "run", "decisions"), strict=True
        )
    }
    assert found == {"new/90012-0.txt": None, "old/90012-0.txt": "same_book"}


def test_what_is_rejected_for_itself_stands_for_nothing(tmp_path: Path) -> None:
    base = texts.words(9, 1_500)
    folder = write(tmp_path / "in", {"good": base})
    longer = texts.text([*base, *texts.words(10, 50)])
    text = f"** This is a COPYRIGHTED Project Gutenberg eBook **\n{START}\n{longer}"
    (folder / "copyrighted.txt").write_text(text)
    build_here(tmp_path / "run", "books", [folder], chosen(copyrighted="reject"))
    assert fates(tmp_path / "run") == {"copyrighted.txt": "copyrighted", "good.txt": None}


def test_many_copies_in_one_bucket_stay_within_the_bound(tmp_path: Path) -> None:
    base = texts.words(11, 600)
    books = {f"copy{i:02}": [*base, *texts.words(100 + i, i % 7)] for i in range(40)}
    _, counters = build_here(
        tmp_path / "run", "books", [write(tmp_path / "in", books)], chosen(overlap={"max_bucket": 3})
    )
    assert (counters["kept"], counters["rejected/overlap"]) == (1, 39)
    stages = json.loads((tmp_path / "run" / "stats.json").read_bytes())["stages"]
    assert stages["pairs"]["capped"] > 0
    assert stages["overlaps"]["pairs"] < 40 * 39 // 2


def test_a_damaged_set_is_noticed(tmp_path: Path) -> None:
    base = texts.words(12, 1_000)
    folder = write(tmp_path / "in", {"a": base, "b": base})
    job, _ = build_here(tmp_path / "run", "books", [folder], chosen())
    (path,) = (tmp_path / "run" / "sketch").glob("*.sets")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))
    stage = job.stage("overlaps")
    storage.remove(str(tmp_path / "run" / "overlaps" / "bucket-00000.part.json"))
    (task,) = stage.tasks(job)
    with pytest.raises(CorruptPartError, match=r"\.sets is damaged at byte 0"):
        make_part(job, stage, task)


def test_stages_can_be_sent_to_workers(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"a": texts.words(13, 500)})
    job, _ = build_here(tmp_path / "run", "books", [folder], chosen())
    for stage in job.stages():
        assert pickle.loads(pickle.dumps(stage)).name == stage.name
        assert pickle.loads(pickle.dumps(stage.tasks(job))) == stage.tasks(job)
    assert [s.name for s in job.stages()][1:5] == list(STAGES)
