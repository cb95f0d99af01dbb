"""The sample of arXiv: built as committed, and read with all that is planted in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.build.source import FileRange, ReadContext
from corpus.inputs import resolve
from corpus.recipe import Limits
from corpus.sample import build_arxiv
from corpus.settings.arxiv import ArXiv
from corpus.sources.arxiv import SOURCE
from corpus.tally import Tally

NO_SECTION = "math.CO/9901003"


def test_the_committed_files_are_those_of_the_papers(tmp_path: Path) -> None:
    build_arxiv.build(tmp_path)
    built, committed = (
        {f.name: f.read_bytes() for f in folder.iterdir()} for folder in (tmp_path, build_arxiv.FOLDER)
    )
    assert built == committed


@pytest.fixture(scope="module")
def sample() -> tuple[
    dict[tuple[str, int | None], dict[str, object]], list[dict[str, object]], dict[str, int]
]:
    bad: list[dict[str, object]] = []
    tally = Tally(lambda rows: bad.extend(rows.to_pylist()))
    context = ReadContext(ArXiv(), Limits(), {}, 1 << 20)
    rows = {}
    for file in resolve([str(build_arxiv.FOLDER)]):
        for batch in SOURCE.read(FileRange(file, 0, file.size), context, tally):
            rows |= {(row["key"], row["arxiv_v1_version"]): row for row in batch.to_pylist()}
    tally.flush()
    return rows, bad, dict(tally.counters)


def test_everything_planted_is_accounted_for(sample) -> None:  # type: ignore[no-untyped-def]
    rows, bad, counters = sample
    assert counters == {
        "framed": 27,
        "in": 23,
        "out": 18,
        "bad": 5,
        "bad/bad_tar": 1,
        "bad/gzip_bomb": 1,
        "bad/truncated_gzip": 1,
        "bad/truncated_tar": 2,
        "skipped": 5,
        "skipped/folder": 1,
        "skipped/html": 1,
        "skipped/pdf": 2,
        "skipped/withdrawn": 1,
        "macros_left": 3,
        "macros_left/output": 2,
        "macros_left/recursive": 1,
    }
    assert len(rows) == 18
    assert {key for (key, _), row in rows.items() if row["arxiv_v1_reason"]} == {NO_SECTION}
    assert {(b["file"], b["reason"]) for b in bad} == {
        ("arXiv_src_1308_001.tar", "truncated_gzip"),
        ("arXiv_src_1308_001.tar", "gzip_bomb"),
        ("arXiv_src_1308_001.tar", "truncated_tar"),
        ("arXiv_src_2401_001.tar", "bad_tar"),
        ("arXiv_src_2401_001.tar", "truncated_tar"),
    }


def test_every_paper_begins_at_its_first_heading_and_has_no_macro_or_comment_left(sample) -> None:  # type: ignore[no-untyped-def]
    rows, _, _ = sample
    for (key, _), row in rows.items():
        text = row["text"]
        if key == NO_SECTION:
            continue
        assert text.startswith(("\\section{", "\\chapter{", "\\part{")), key
        for gone in (
            "\\newcommand",
            "\\def",
            "\\begin{document}",
            "\\bibitem",
            "\\input",
            "iffalse",
            "abstract",
        ):
            assert gone not in text, (key, gone)
        assert row["arxiv_v1_left"] == (3 if key == "1308.00005" else 0)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("1308.00003", "Cette contradiction achève la preuve"),
        ("1308.00004", "„früher” oft vorkam – z.\\,B.\\ weil"),
        ("1308.00005", "Then comes \\a. What follows stays as it was written, a \\good\\ macro too"),
        ("1308.00006", "# 100 % of the ships that fit go in  \\todo{not a macro here}"),
        ("2401.00001", "rings, etc. That such a planet"),
        (
            "2401.00002",
            "\\lvert \\{a, b, c\\}_{}\\rvert = \\left\\lvert \\left\\{\\frac{x}{y}\\right\\}_{x<y}",
        ),
        ("2401.00005", "First second , which is not read again"),
    ],
)
def test_words_of_papers(sample, key: str, words: str) -> None:  # type: ignore[no-untyped-def]
    rows, _, _ = sample
    assert words in rows[key, None]["text"]
