"""Builds of books: overlaps across files and parts, the sample, and the real revisions of seventeen works."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import zipfile
import zlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus import recipe, storage
from corpus.errors import CorruptPartError
from corpus.recipe import Recipe
from corpus.sample import build_books
from corpus.sample.build_books import read_books, text_of
from corpus.stages import make_part
from tests.builds import Row, build_here, rows, sample_of, with_build
from tests.corpus.sources import books_texts as texts

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("LLAMA_CORPUS_SHARED", ROOT.parent / "shared")) / "data" / "books"
STAGES = ("sketch", "pairs", "overlaps", "clusters")
START = "*** START OF THIS PROJECT GUTENBERG EBOOK X ***"


def chosen(
    split_bytes: int = 1 << 24, bucket_bytes: int = 1 << 28, overlap: Any = (), **changes: Any
) -> Recipe:
    raw = recipe.to_dict(recipe.load("sample"))
    raw["books"] |= changes
    if overlap is None:
        del raw["books"]["overlap"]
    else:
        raw["books"]["overlap"] |= dict(overlap)
    sizes = {"split_bytes": split_bytes, "bucket_bytes": bucket_bytes}
    return with_build(recipe.from_dict(raw, "test"), rejected="text", held_out=0.0, **sizes)


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


# --- the sample


def content(path: str, data: bytes) -> Any:
    """What a file holds, whatever the library that packed it."""
    if path.endswith(".parquet"):
        return pq.read_table(pa.BufferReader(data)).to_pylist()
    if path.endswith("half.txt.gz"):
        return zlib.decompressobj(31).decompress(data)[:1_000]
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".zip") and not path.endswith("90013.zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    return data[:1_000] if path.endswith(".zip") else data


def test_the_sample_is_what_its_texts_give() -> None:
    committed = {
        path.relative_to(build_books.FOLDER).as_posix(): path.read_bytes()
        for path in build_books.FOLDER.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    fresh = build_books.files()
    assert sorted(fresh) == sorted(committed), "run python -m corpus.sample.build_books"
    assert {p: content(p, d) for p, d in fresh.items()} == {p: content(p, d) for p, d in committed.items()}


def test_the_sample_has_every_trouble_and_gives_back_its_texts(tmp_path: Path) -> None:
    _, counters = build_here(tmp_path, "books", [sample_of("books")], chosen())
    assert counters == {
        "in": 29,
        "kept": 14,
        "kept/de": 1,
        "kept/en": 6,
        "kept/es": 1,
        "kept/fr": 1,
        "kept/it": 1,
        "kept/pl": 1,
        "rejected": 10,
        "rejected/binary": 1,
        "rejected/empty": 1,
        "rejected/not_prose": 1,
        "rejected/overlap": 6,
        "rejected/too_short": 1,
        "bad": 5,
        "bad/bad_json": 1,
        "bad/bad_zip": 1,
        "bad/no_text": 2,
        "bad/truncated_gzip": 1,
        "skipped": 2,
        "skipped/other_format": 2,
        "merged": 0,
        "held_out": 0,
    }
    found = {row["file"]: row["text"] for row in rows(tmp_path, "annotated")}
    for book in read_books()["book"]:
        archive, inside, _ = book["path"].partition(".zip/")
        text = found[f"{archive}.zip" if inside else book["path"]]
        note = "Transcriber's Note: The spelling of the originals was kept.\n\n\n"
        assert text.removeprefix(note) == text_of(book), book["path"]
    kept = {row["file"] for row in rows(tmp_path, "documents")}
    assert "gutenberg/90003/90003-0.txt" in kept  # the omnibus, in which 90001 and 90002 are
    assert {"gutenberg/90005/90005.txt", "gutenberg/90006/90006.txt"} < kept  # 80 % of each is in the other


# --- the real revisions


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not DATA.is_dir():
        pytest.skip("the development data is not here")
    run = tmp_path_factory.mktemp("books") / "run"
    build_here(run, "books", [DATA], chosen(split_bytes=8 << 20, bucket_bytes=32 << 20))
    return run


def test_real_revisions_collapse_and_works_do_not(real: Path) -> None:
    by_work: dict[str, Counter[str | None]] = defaultdict(Counter)
    for row, decision in zip(rows(real, "annotated"), rows(real, "decisions"), strict=True):
        by_work[row["file"].split("/")[0]][decision["reason"]] += 1
    assert len(by_work) == 17
    assert all(work[None] == 1 for work in by_work.values())
    assert sum(work["overlap"] for work in by_work.values()) == 42
    assert by_work["pg1342"] == Counter({None: 1, "overlap": 4, "not_prose": 1})
    assert by_work["pg44157"] == Counter({None: 1, "overlap": 1})  # in two encodings
    counters = orjson.loads((real / "stats.json").read_bytes())["counters"]
    assert (counters["in"], counters["kept"], counters["rejected"], counters["bad"]) == (60, 17, 43, 0)


def test_real_pairs_compared_are_those_that_overlap(real: Path) -> None:
    """Every two files of a work, none of two works: 123 pairs over 90 %, and none between 2 % and that."""
    stages = orjson.loads((real / "stats.json").read_bytes())["stages"]
    assert (stages["overlaps"]["pairs"], stages["overlaps"]["overlaps"]) == (123, 123)


PHRASES = (
    "Produced by", "START OF", "SMALL PRINT", "Etext", "EBook", "www.gutenberg", "Project Gutenberg", "@",
)  # fmt: skip
ORIGINS = {"pg2701": "Project Gutenberg", "pg972": "@"}


def test_real_texts_begin_and_end_as_books(real: Path) -> None:
    annotated = [row for row in rows(real, "annotated") if row["file"] != "pg1342/pandp09.txt"]
    assert len(annotated) == 59
    for row in annotated:
        head, tail = row["text"][:300], row["text"][-300:]
        own = ORIGINS.get(row["file"].split("/")[0])  # what its makers say of where the text is from
        for phrase in PHRASES:
            assert phrase not in tail, row["file"]
            assert phrase not in head or phrase == own, row["file"]
        assert row["books_v1_gutenberg"] == 1
        assert row["books_v1_alphabetic_words"] > 0.96
        assert row["books_v1_characters"] > 0.55 * (DATA / row["file"]).stat().st_size
    by_file = {row["file"]: json.loads(row["metadata"]) for row in annotated}
    numbers = {name.split("/")[0]: set() for name in by_file}
    for name, metadata in by_file.items():
        if "etext" in metadata:
            numbers[name.split("/")[0]].add(f"pg{metadata['etext']}")
    assert all(found == {work} for work, found in numbers.items())  # each file's own number
    encodings = Counter(metadata["encoding"] for metadata in by_file.values())
    assert encodings == {"ascii": 44, "utf-8": 10, "cp1252": 5}
    languages = Counter(row["language"] for row in annotated)
    assert languages["fr"] == 2
    assert languages["en"] + languages[None] == 57
