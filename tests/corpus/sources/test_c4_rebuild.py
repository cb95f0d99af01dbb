"""C4 built again from crawls: against plain Python over the same pages, over splits, by every switch."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import recipe
from corpus.annotate.sentences import untrained_punkt
from corpus.assets import file_sha256
from corpus.errors import UserError
from corpus.recipe import Limits, Recipe
from corpus.sample import CRAWL, ROOT, records
from corpus.settings.c4 import C4
from corpus.sources.c4 import used_assets
from corpus.sources.c4.columns import checks
from corpus.sources.c4.cuts import into_lines, into_spans, left
from corpus.sources.c4.urls import line_key
from corpus.sources.commoncrawl import read_pages
from corpus.tally import Tally
from tests.builds import build_here, rows, with_build, with_settings
from tests.corpus.sources.plain_c4 import Page, md5, rebuild, split_page
from tests.shared import DATA, needs

WORDS = (ROOT / "models" / "stand-in-words.txt").read_text("utf-8").split("\n")[:-1]

Row = dict[str, Any]


def chosen(**changes: Any) -> Recipe:
    changes = {"mode": "rebuild", "splits": ["train", "validation"]} | changes
    return with_build(with_settings(recipe.load("sample"), "c4", **changes), rejected="text")


def pages_of(paths: Iterable[Path]) -> list[Page]:
    found = []
    for path in paths:
        tally = Tally(lambda records: None)
        for batch in read_pages(str(path), path.name, Limits(), 16 << 20, tally):
            for p in batch.to_pylist():
                body = f"{p['title']}\n{p['text']}" if p["title"] else p["text"]
                found.append(split_page(p["url"], p["timestamp"], body))
    return [page for page in found if page is not None]


def texts(run: Path) -> dict[str, str]:
    found = rows(run, "documents")
    assert len({r["id"] for r in found}) == len({r["key"] for r in found}) == len(found)
    return {r["key"]: r["text"] for r in found}


def reasons(run: Path) -> dict[str, str | None]:
    pairs = zip(rows(run, "annotated"), rows(run, "decisions"), strict=True)
    return {page["key"]: decision["reason"] for page, decision in pairs}


def test_the_sample_crawl_gives_what_plain_python_makes_of_it(tmp_path: Path) -> None:
    files = sorted(CRAWL.rglob("*.gz"))
    counters = build_here(tmp_path, "c4", [CRAWL], chosen())[1]
    expected = rebuild(pages_of(files), untrained_punkt().count, WORDS)
    assert texts(tmp_path) == expected
    assert len(expected) == counters["kept"] > 60
    assert counters["rejected/all_duplicate"] > 5  # copies and mirrors were planted
    assert counters["in"] == counters["kept"] + counters["rejected"] + counters["bad"]


@needs(DATA)
def test_real_crawls_give_what_plain_python_makes_of_them(tmp_path: Path) -> None:
    folder = DATA / "commoncrawl"
    files = [*sorted(folder.glob("*.warc.gz")), *sorted((folder / "whirlwind").glob("*.wet.gz"))]
    bad_words = DATA / "assets" / "ldnoobw-en-25e679f0.txt"
    raw = recipe.to_dict(chosen(bad_words="list"))
    raw["assets"]["list"] = {"url": str(bad_words)}
    counters = build_here(tmp_path, "c4", files, recipe.from_dict(raw, "test"))[1]
    words = [word for word in bad_words.read_text("utf-8").split("\n") if word]
    assert texts(tmp_path) == rebuild(pages_of(files), untrained_punkt().count, words)
    assert counters["rejected/bad_words"] > 10
    assert counters["rejected/language"] > 100


def test_splits_and_buckets_change_nothing(tmp_path: Path) -> None:
    files = sorted(CRAWL.rglob("*.wet.gz"))
    found = []
    small = {"split_bytes": 1, "bucket_bytes": 20_000, "batch_bytes": 5_000}
    for number, changes in enumerate(({"split_bytes": 1 << 20}, small)):
        out = tmp_path / str(number)
        job, _ = build_here(out, "c4", files, with_build(chosen(), **changes))
        found.append([texts(out), reasons(out)])
        buckets = len(job.parts("line-answers"))
        assert (len(job.splits()), buckets > 1) == (5 if number else 1, bool(number))
    assert found[0] == found[1]


def wet(path: Path, pages: Iterable[tuple[str, str, str]]) -> Path:
    """A WET file of (address, time, text)."""
    data = [
        records.record(records.conversion_headers(url, date, text.encode()), text.encode())
        for url, date, text in pages
    ]
    path.write_bytes(records.warcinfo(path.name, "test") + b"".join(data))
    return path


def random_pages(seed: int, count: int) -> list[tuple[str, str, str]]:
    """Pages of few lines and addresses, so that nearly every one meets others."""
    rng = random.Random(seed)
    animals, hours = ("fox", "hen", "cow", "dog", "cat", "owl"), ("six", "seven", "eight")
    lines = [f"The {animal} went down to the river at {hour}." for animal in animals for hour in hours]
    lines += [line.upper() for line in lines[:3]] + [
        "A line without an end",
        "lorem ipsum dolor sit amet, it is.",
    ]
    pages = []
    for n in range(count):
        prefix = rng.choice(["http://", "https://www.", "https://"])
        url = f"{prefix}site{rng.randrange(count // 2)}.example/" + rng.choice(
            ["", "?ref=a", "?utm_source=b", "/"]
        )
        text = "Title\n" + "\n".join(rng.choices(lines, k=rng.randrange(1, 7)))
        pages.append((url, f"2019-04-{10 + n % 19:02d}T{n % 24:02d}:{n % 60:02d}:{n // 60:02d}Z", text))
    return pages


@pytest.mark.parametrize("seed", range(3))
def test_pages_that_meet_across_splits(seed: int, tmp_path: Path) -> None:
    pages = random_pages(seed, 60)
    files = [wet(tmp_path / f"{n}.warc.wet", pages[n::4]) for n in range(4)]
    build_here(tmp_path / "run", "c4", files, with_build(chosen(), split_bytes=1, bucket_bytes=4_000))
    plain = [split_page(*page) for page in pages]
    expected = rebuild([page for page in plain if page], untrained_punkt().count, WORDS)
    assert texts(tmp_path / "run") == expected
    counts = [r["c4_v1_duplicate_lines"] for r in rows(tmp_path / "run", "annotated")]
    assert any(counts)
    assert None in counts


def test_of_two_captures_at_one_time_one_stays(tmp_path: Path) -> None:
    text = "One of the two stays here. It does not matter which of them. They are quite the same."
    pages = [("http://same.example/", "2019-04-20T00:00:00Z", text)] * 2
    for n, files in enumerate(([pages], [pages[:1], pages[1:]])):
        paths = [wet(tmp_path / f"{n}-{i}.warc.wet", part) for i, part in enumerate(files)]
        _, counters = build_here(tmp_path / str(n), "c4", paths, with_build(chosen(), split_bytes=1))
        assert (counters["kept"], counters["rejected/url_duplicate"]) == (1, 1)


THREE = "It rained all day in the hills. We stayed inside with the dog. Then it stopped at last."
PAGES = [
    ("http://a.example/", "2019-04-20T00:00:00Z", f"{THREE}\nTwo words here."),
    ("http://a.example", "2019-04-21T00:00:00Z", f"{THREE} And again it rained."),
    ("http://b.example/", "2019-04-22T00:00:00Z", f"{THREE}\nThis line is about JavaScript and its uses."),
    ("http://c.example/", "2019-04-22T00:00:00Z", f"What a zarnquat this is!\n{THREE} So we went out."),
    ("http://d.example/", "2019-04-22T00:00:00Z", f"{THREE}\nA line that ends in a mark'"),
]


def run(tmp_path: Path, **changes: Any) -> dict[str, str | None]:
    files = [wet(tmp_path / f"{n}.warc.wet", [page]) for n, page in enumerate(PAGES)]
    build_here(tmp_path / "run", "c4", files, with_build(chosen(**changes), split_bytes=1))
    return reasons(tmp_path / "run")


def kept(found: dict[str, str | None]) -> str:
    """Letters of the pages that stay; of a's two "A" is the newer."""
    names = {"http://a.example": "A"}
    return "".join(names.get(url, url[7]) for url, reason in found.items() if reason is None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "A"),  # b and d have one line, of which one of them keeps it; see the next test
        ({"dedup": "none"}, "Abd"),
        ({"dedup": "none", "newest": False}, "aAbd"),
        ({"dedup": "none", "javascript": "page"}, "Ad"),
        ({"dedup": "none", "bad_words": ""}, "Abcd"),
        ({"dedup": "none", "bad_words_rule": "tfds-2"}, "Abd"),
        ({"dedup": "none", "max_bad_words": 1}, "Abcd"),
        ({"dedup": "none", "min_sentences": 4}, "A"),
        ({"dedup": "none", "min_sentences": 4, "end_marks": ".?!\"'"}, "Ad"),
        ({"dedup": "none", "reading": "paper"}, ""),
        ({"dedup": "none", "newest": False, "reading": "paper", "min_sentences": 4}, "aA"),
        ({"dedup": "none", "max_characters": 105}, "a"),
    ],
)
def test_switches(changes: dict[str, Any], expected: str, tmp_path: Path) -> None:
    found = kept(run(tmp_path, **changes))
    if not changes:
        shared = min("bd", key=lambda letter: md5(f"http://{letter}.example/"))
        expected += shared
    assert found == expected


def test_a_page_dropped_for_a_bad_word_keeps_no_line_from_others_by_version_two(tmp_path: Path) -> None:
    """By version three its lines have been compared before."""
    line = "This line stands on both of the pages, and both of them would like to keep it."
    more = "It rained all day in the hills. We stayed inside with the dog."
    urls = sorted((f"http://{letter}.example/" for letter in "ab"), key=md5)
    pages = [
        (urls[0], "2019-04-20T00:00:00Z", f"{line}\nThere is a zarnquat on this page. It is only a word."),
        (urls[1], "2019-04-20T00:00:00Z", f"{line}\n{more}"),
    ]
    path = wet(tmp_path / "pages.warc.wet", pages)
    for rule, reason in (("tfds-3", "few_unique_sentences"), ("tfds-2", None)):
        build_here(tmp_path / rule, "c4", [path], chosen(bad_words_rule=rule))
        assert reasons(tmp_path / rule) == {urls[0]: "bad_words", urls[1]: reason}


def test_a_changed_threshold_makes_only_the_stages_that_it_shapes(tmp_path: Path) -> None:
    files = [wet(tmp_path / f"{n}.warc.wet", [page]) for n, page in enumerate(PAGES)]
    first, _ = build_here(tmp_path / "run", "c4", files, chosen())
    stages = [stage.name for stage in first.stages()]

    def made_again(**changes: Any) -> list[str]:
        before = {name: [p.key for p in first.parts(name)] for name in stages}
        job, _ = build_here(tmp_path / "run", "c4", files, chosen(**changes))
        again = [name for name in stages if [p.key for p in job.parts(name)] != before[name]]
        build_here(tmp_path / "run", "c4", files, chosen())
        return again

    assert made_again() == []
    assert made_again(min_english=0.5) == ["decide", "export"]
    assert made_again(max_bad_words=2) == ["decide", "export"]
    assert made_again(newest=False)[0] != "extract"
    found = made_again(max_lorem_ipsum=1)
    assert "line-runs" in found
    assert "url-runs" not in found
    assert made_again(line_min_words=4)[0] == "extract"


def test_three_sentences_in_a_row_stay_in_one_page(tmp_path: Path) -> None:
    shared = "It rained all day in the hills. We stayed inside with the dog. Then it stopped at last."
    urls = sorted((f"http://{letter}.example/" for letter in "ab"), key=md5)
    pages = [
        (
            urls[0],
            "2019-04-20T00:00:00Z",
            f"First comes this one here. {shared}\nAnd this comes after all of it.",
        ),
        (
            urls[1],
            "2019-04-20T00:00:00Z",
            f"Here is another beginning. Of two sentences it is.\n{shared.upper()} What follows is new.\n"
            "We stayed inside with the dog. Then it stopped at last. These two in a row are not enough.",
        ),
    ]
    path = wet(tmp_path / "pages.warc.wet", pages)
    build_here(tmp_path / "run", "c4", [path], chosen(dedup="spans"))
    found = {r["key"]: r for r in rows(tmp_path / "run", "annotated")}
    assert found[urls[0]]["text"] == pages[0][2]
    assert found[urls[1]]["text"] == (
        "Here is another beginning. Of two sentences it is.\nWhat follows is new.\n"
        "We stayed inside with the dog. Then it stopped at last. These two in a row are not enough."
    )
    assert [found[url]["c4_v1_duplicate_lines"] for url in urls] == [0, 3]
    with pytest.raises(UserError, match='dedup = "spans" needs'):
        recipe.from_dict({**recipe.to_dict(chosen()), "c4": {"dedup": "spans", "sentences": "marks"}}, "test")


PIECES = st.lists(st.integers(0, 4), min_size=1, max_size=12)


@settings(deadline=None)
@given(PIECES, st.data())
def test_what_is_left_of_a_page_holds_nothing_that_stays_elsewhere(
    words: list[int], data: st.DataObject
) -> None:
    text = "\n".join(f"Sentence number {word} is here." for word in words)
    for cutter in (into_lines, into_spans(untrained_punkt())):
        cut = cutter(text)
        lost = set(data.draw(st.lists(st.sampled_from(cut.keys)))) if cut.keys else set()
        rest, elsewhere, repeated = left(cut, [key in lost for key in cut.keys])
        lines = rest.split("\n") if rest else []
        assert elsewhere + repeated + len(lines) == len(words)
        if cut.width == 1:
            assert lines == [line for line in dict.fromkeys(text.split("\n")) if line_key(line) not in lost]
        elif not lost and len(set(cut.keys)) == len(cut.keys):
            assert rest == text


def test_what_is_decided_in_each_mode() -> None:
    assert [c.reason for c in checks(C4(mode="rebuild", bad_words="list"))] == ["language", "bad_words"]
    assert [c.reason for c in checks(C4(mode="rebuild", splits=["train"]))] == [
        "language",
        "validation_split",
    ]
    assert [c.reason for c in checks(C4(splits=["validation"], bad_words="list"))] == ["train_split"]


def test_rejected_pages_keep_their_columns_and_no_text(tmp_path: Path) -> None:
    files = [wet(tmp_path / "pages.warc.wet", PAGES)]
    build_here(tmp_path / "run", "c4", files, with_build(chosen(), rejected="columns"))
    found = rows(tmp_path / "run", "annotated")
    assert {r["c4_v1_reason"] is None: r["text"] is None for r in found} == {True: False, False: True}
    assert all(r["bytes"] > 0 for r in found if r["c4_v1_reason"] is None)
    assert all(json.loads(r["metadata"])["record_id"].startswith("urn:uuid") for r in found)


def test_models_and_lists_are_those_that_the_mode_and_the_switches_need() -> None:
    llama1 = recipe.load("llama1")
    assert used_assets(llama1.c4) == []
    rebuild_of = with_settings(llama1, "c4", mode="rebuild")
    assert used_assets(rebuild_of.c4) == ["ldnoobw-en", "punkt_tab"]
    assert set(used_assets(rebuild_of.c4)) < set(llama1.assets)
    assert used_assets(with_settings(rebuild_of, "c4", sentences="marks").c4) == ["ldnoobw-en"]
    list_of_c4 = DATA / "assets" / "ldnoobw-en-25e679f0.txt"
    if list_of_c4.is_file():
        assert file_sha256(list_of_c4) == llama1.assets["ldnoobw-en"].sha256


def test_the_numbers_of_each_reading() -> None:
    assert (C4().least_words, C4().least_sentences) == (5, 3)
    paper = C4(reading="paper", min_sentences=4)
    assert (paper.least_words, paper.least_sentences) == (3, 4)
