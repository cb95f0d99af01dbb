"""StackExchange: which dumps and sites, how posts become documents, and whole builds, real ones too."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpus import recipe
from corpus.errors import UserError
from corpus.inputs import InputFile
from corpus.raw.sevenzip import open_members
from corpus.sample import build_stackexchange
from corpus.settings.stackexchange import StackExchange
from corpus.sources.stackexchange import SOURCE
from corpus.sources.stackexchange.join import documents
from corpus.sources.stackexchange.posts import POST
from corpus.sources.stackexchange.sites import (
    Dump,
    holds_posts,
    is_meta,
    language_of,
    license_of,
    select,
    site_of,
)
from corpus.tally import Tally
from tests.builds import build_here, rows, sample_of, with_build, with_settings
from tests.corpus.sources.stackexchange_data import REAL_DUMPS, needs_shared, plain_rows

# The sample's splits are tiny; real dumps would be hundreds of parts.
RECIPE = with_build(recipe.load("sample"), split_bytes=128 << 20)
GOLDEN = Path(__file__).parents[2] / "golden" / "sources" / "stackexchange"
DAY = "2014-03-13T20:32:04.033"


# ---- files and sites


def file(path: str) -> InputFile:
    return InputFile(path.lstrip("/"), path, 1, "", "", False)


@pytest.mark.parametrize(
    ("path", "site"),
    [
        ("/dump/math.stackexchange.com.7z", "math.stackexchange.com"),
        ("/dump/stackoverflow.com-Posts.7z", "stackoverflow.com"),
        ("/dump/ru.stackoverflow.com/Posts.xml", "ru.stackoverflow.com"),
        ("/dump/ai.stackexchange.com-2016-09/Posts.xml", "ai.stackexchange.com"),
        ("/dump/ai.stackexchange.com_2016-09-12/Posts.xml.gz", "ai.stackexchange.com"),
        ("/dump/ai.stackexchange.com.20160912/posts.xml.bz2", "ai.stackexchange.com"),
        ("/dump/ai.stackexchange.com-2016-09.7z", "ai.stackexchange.com"),
        ("/dump/stackoverflow.com-Posts/Posts.xml.zst", "stackoverflow.com"),
        ("/dump/Meta.StackExchange.com/Posts.xml.xz", "meta.stackexchange.com"),
        ("s3://bucket/area51.stackexchange.com.7z", "area51.stackexchange.com"),
    ],
)
def test_sites_of_files(path: str, site: str) -> None:
    assert holds_posts(file(path))
    assert site_of(file(path)) == site


@pytest.mark.parametrize(
    "path",
    ["a.com/Users.xml", "a.com/Posts.txt", "a.com-Users.7z", "a.com-PostHistory.7z", "readme.txt", "a.7zz"],
)
def test_other_files(path: str) -> None:
    assert not holds_posts(file(path))


def test_input_without_posts_is_an_error() -> None:
    with pytest.raises(UserError, match="no posts"):
        SOURCE.check_input([file("a.com/Users.xml")], StackExchange())
    with pytest.raises(UserError, match=r"no dump of b\.com"):
        SOURCE.check_input([file("a.com/Posts.xml")], StackExchange(sites=["a.com", "b.com"]))


def test_cuts_cover_plain_files_once_and_leave_others_whole() -> None:
    plain = dataclasses.replace(file("a.com/Posts.xml"), size=25)
    assert SOURCE.cut(plain, 10) == [(0, 10), (10, 20), (20, 25)]
    for path in ("a.com.7z", "a.com/Posts.xml.gz", "a.com/Users.xml"):
        assert SOURCE.cut(dataclasses.replace(file(path), size=25), 10) == [(0, 25)]
    assert SOURCE.cut(dataclasses.replace(plain, size=0), 10) == [(0, 0)]


def test_meta_sites_and_languages() -> None:
    assert is_meta("meta.stackexchange.com")
    assert is_meta("ru.meta.stackoverflow.com")
    assert is_meta("datascience.meta.stackexchange.com")
    assert not is_meta("metaphysics.stackexchange.com")
    assert [language_of(site) for site in ("ru.stackoverflow.com", "ru.meta.stackoverflow.com", "a.com")] == [
        "ru",
        "ru",
        "en",
    ]


@pytest.mark.parametrize(
    ("stated", "created", "expected"),
    [
        ("CC BY-SA 4.0", "2010-01-01", "CC-BY-SA-4.0"),
        (None, "2011-04-07T23:59:59.999", "CC-BY-SA-2.5"),
        (None, "2011-04-08T00:00:00.000", "CC-BY-SA-3.0"),
        (None, "2018-05-01T23:59:59.999", "CC-BY-SA-3.0"),
        (None, "2018-05-02T00:00:00.000", "CC-BY-SA-4.0"),
        (None, None, None),
        ("all rights reserved", DAY, None),
    ],
)
def test_licenses(stated: str | None, created: str | None, expected: str | None) -> None:
    assert license_of(stated, created) == expected


DUMPS = [
    Dump("a-2016.7z", "a", 900, "2016-09"),
    Dump("a-2017.7z", "a", 300, "2017-01"),
    Dump("b.7z", "b", 200, "2015-01"),
    Dump("c.7z", "c", 300, "2015-01"),
    Dump("meta.c.7z", "meta.c", 400, "2015-01"),
    Dump("d.7z", "d", 100, "2015-01"),
    Dump("x/d.7z", "d", 50, "2015-01"),
]


@pytest.mark.parametrize(
    ("settings", "used"),
    [
        (StackExchange(), {"a-2017.7z", "b.7z", "c.7z", "x/d.7z"}),
        (StackExchange(largest=1), {"a-2017.7z"}),  # of equals the first by name
        (StackExchange(largest=2), {"a-2017.7z", "c.7z"}),
        (StackExchange(largest=0, meta="rank"), {"a-2017.7z", "b.7z", "c.7z", "meta.c.7z", "x/d.7z"}),
        (StackExchange(largest=1, meta="rank"), {"meta.c.7z"}),
        (StackExchange(largest=1, sites=["meta.c", "b"]), {"meta.c.7z", "b.7z"}),
    ],
)
def test_which_dumps_are_used(settings: StackExchange, used: set[str]) -> None:
    reasons = select(reversed(DUMPS), settings)
    assert {file for file, reason in reasons.items() if reason is None} == used
    assert reasons["a-2016.7z"] == "older_dump"
    assert reasons["d.7z"] == "older_dump"
    assert {r for f, r in reasons.items() if f not in {*used, "a-2016.7z", "d.7z"}} <= {"site"}


# ---- posts to documents


def post(
    number: int, parent: int = 0, score: int = 0, text: str | None = "text", **more: Any
) -> dict[str, Any]:
    return {
        "id": number, "question": parent or number, "is_answer": parent > 0, "score": score, "accepted": None,
        "title": None if parent else "Title", "text": text, "tags": None, "created": DAY, "license": None,
        "offset": number,
    } | more  # fmt: skip


def join(
    posts: Sequence[dict[str, Any]], batch_bytes: int = 1 << 20, **settings: Any
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    tally = Tally(lambda batch: None)
    table = pa.Table.from_pylist(posts, POST)
    batches = list(documents(table, "s.com", "f", StackExchange(**settings), batch_bytes, tally))
    for batch in batches:
        batch.validate(full=True)
    found = [row for batch in batches for row in batch.to_pylist()]
    counters = {name: n for name, n in tally.counters.items() if n}
    assert len(posts) == len(found) + counters.get("merged", 0) + counters.get("rejected", 0)
    assert counters.pop("out", 0) == len(found)
    assert counters.pop("in", 0) == len(posts)
    return found, counters


def texts(posts: Sequence[dict[str, Any]], **settings: Any) -> list[str]:
    return [row["text"] for row in join(posts, **settings)[0]]


def test_answers_from_the_highest_score_to_the_lowest() -> None:
    """As numbers, where RedPajama compares strings: 9 > 100 > 10 > -1."""
    posts = [post(1), *(post(n, 1, score, f"{score}") for n, score in enumerate([9, 10, -1, 100], 2))]
    assert texts(posts) == ["Q: Title\n\ntext\n\nA: 100\n\nA: 10\n\nA: 9\n\nA: -1"]


def test_of_equal_scores_the_accepted_answer_is_first_then_the_earlier() -> None:
    posts = [post(9, 1, 5, "nine"), post(8, 1, 5, "eight"), post(7, 1, 5, "seven"), post(1, accepted=8)]
    assert texts(posts) == ["Q: Title\n\ntext\n\nA: eight\n\nA: seven\n\nA: nine"]
    posts[0]["score"] = 6  # acceptance does not outweigh a score
    assert texts(posts) == ["Q: Title\n\ntext\n\nA: nine\n\nA: eight\n\nA: seven"]


def test_a_title_is_plain_text() -> None:
    assert texts([post(1, title=" What is\n List<String>  & &amp;? ")]) == [
        "Q: What is List<String> & &amp;?\n\ntext"
    ]


@pytest.mark.parametrize(
    ("title", "text", "expected", "reason"),
    [
        ("Title", None, "Q: Title\n\nA: a", None),
        ("Title", "", "Q: Title\n\nA: a", None),
        (None, "body", "Q: body\n\nA: a", None),
        (" ", "body", "Q: body\n\nA: a", None),
        (None, None, None, "empty"),
        ("", "", None, "empty"),
    ],
)
def test_questions_that_lack_something(
    title: str | None, text: str | None, expected: str | None, reason: str | None
) -> None:
    (row,), counters = join([post(1, title=title, text=text), post(2, 1, text="a")])
    assert (row["text"], row["stackexchange_v1_reason"], row["bytes"]) == (
        expected,
        reason,
        len(expected or ""),
    )
    assert counters == {"merged": 1}


def test_what_becomes_of_other_answers() -> None:
    posts = [
        post(1),
        post(2, 1, text=""),
        post(3, 1, text=None),
        post(4, 99),
        post(5, 1, text="five"),
        post(5, 1, text="again", offset=70),
        post(6, title="Six"),
        post(6, title="Six again", offset=60),
    ]
    found, counters = join(posts[::-1])
    assert [row["text"] for row in found] == ["Q: Title\n\ntext\n\nA: five", "Q: Six\n\ntext"]
    assert counters == {
        "merged": 1, "rejected": 5, "rejected/duplicate_id": 2, "rejected/empty_answer": 2,
        "rejected/no_question": 1,
    }  # fmt: skip
    assert join([post(2, 1), post(3, 1)]) == ([], {"rejected": 2, "rejected/no_question": 2})
    assert join([]) == ([], {})


def test_answers_that_a_recipe_leaves_out() -> None:
    posts = [post(1), *(post(n, 1, n, f"{n}") for n in range(2, 8)), post(8), post(9, 8, 4, "9")]
    found, counters = join(posts, min_answer_score=4, max_answers=2)
    assert [row["text"] for row in found] == ["Q: Title\n\ntext\n\nA: 7\n\nA: 6", "Q: Title\n\ntext\n\nA: 9"]
    assert [row["stackexchange_v1_answers"] for row in found] == [2, 1]
    assert counters == {
        "merged": 3, "rejected": 4, "rejected/answer_score": 2, "rejected/answer_rank": 2,
    }  # fmt: skip
    assert texts(posts, max_answers=0) == ["Q: Title\n\ntext", "Q: Title\n\ntext"]


def test_marks_are_the_recipes() -> None:
    posts = [post(1), post(2, 1, text="a"), post(3, 1, text="b")]
    redpajama = {"title_end": " ", "answer_start": "\n", "question_mark": "Q: ", "answer_mark": "A: "}
    assert texts(posts, **redpajama) == ["Q: Title text\nA: a\nA: b"]


def test_columns_of_a_document() -> None:
    posts = [
        post(7, score=-2, accepted=9, tags="<c++><c-sharp>", license="CC BY-SA 4.0", offset=123),
        post(9, 7, 3, created="2019-01-01T00:00:00"),
        post(8, 7, 1),
        post(11, tags="|a|b|", created=None),
    ]
    (first, second), _ = join(posts)
    assert {k: v for k, v in first.items() if k not in ("text", "id")} == {
        "source": "stackexchange", "key": "https://s.com/questions/7", "language": "en", "timestamp": DAY,
        "license": "CC-BY-SA-3.0 AND CC-BY-SA-4.0", "bytes": len(first["text"]), "file": "f", "offset": 123,
        "metadata": '{"accepted":9,"answers":[{"id":9,"score":3},{"id":8,"score":1}],"question":7,"score":-2,'
        '"site":"s.com","tags":["c++","c-sharp"]}',
        "stackexchange_v1_reason": None, "stackexchange_v1_answers": 2,
    }  # fmt: skip
    assert len(first["id"]) == 32
    assert json.loads(second["metadata"])["tags"] == ["a", "b"]
    assert (second["timestamp"], second["license"]) == (None, None)


def test_batches_follow_the_size_of_the_text() -> None:
    posts = [p for n in range(1, 200, 2) for p in (post(n), post(n + 1, n, text="x" * n))]
    whole, counters = join(posts)
    for batch_bytes in (1, 100, 1000):
        assert join(posts[::-1], batch_bytes) == (whole, counters)


# ---- whole builds


def build(
    root: Path, inputs: Sequence[Path], chosen: recipe.Recipe = RECIPE, **settings: Any
) -> dict[str, int]:
    _, counters = build_here(
        root, "stackexchange", inputs, with_settings(chosen, "stackexchange", **settings)
    )
    return counters


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_bytes().hex()
        for path in sorted((root / "documents").rglob("*.parquet"))
    }


def without_place(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda row: row["id"])


def test_the_sample_is_as_its_texts_make_it(tmp_path: Path) -> None:
    """Byte by byte, but for archives: their members."""
    build_stackexchange.build(tmp_path)
    committed = sample_of("stackexchange")
    names = sorted(str(p.relative_to(committed)) for p in committed.rglob("*") if p.is_file())
    assert names == sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    for name in names:
        assert _contents(committed / name) == _contents(tmp_path / name), name


def _contents(path: Path) -> Any:
    if path.suffix != ".7z":
        return path.read_bytes()
    return [(name, stream.read()) for name, stream in open_members(str(path), 1000)]


def test_the_sample_has_every_kind_of_trouble(tmp_path: Path) -> None:
    counters = build(tmp_path, [sample_of("stackexchange")])
    assert counters == {
        "in": 69, "kept": 19, "kept/en": 15, "kept/es": 4, "merged": 24, "held_out": counters["held_out"],
        "bad": 8, "bad/bad_number": 1, "bad/bad_reference": 2, "bad/broken_row": 1,
        "bad/doctype": 1, "bad/empty_file": 1, "bad/garbage": 1, "bad/truncated_bz2": 1,
        "rejected": 18, "rejected/duplicate_id": 1, "rejected/empty": 1, "rejected/empty_answer": 1,
        "rejected/no_question": 1, "rejected/older_dump": 7, "rejected/site": 7,
        "skipped": 11, "skipped/moderator_nomination": 1, "skipped/other_file": 2, "skipped/tag_wiki": 4,
        "skipped/tag_wiki_excerpt": 4,
    }  # fmt: skip
    tag = re.compile(r"</?(p|li|pre|code|em|strong)\b|&(lt|amp|nbsp);")
    texts = {
        row["key"]: row["text"].replace("take a parser: &lt; and", "") for row in rows(tmp_path, "documents")
    }
    assert not [key for key, text in texts.items() if tag.search(text)]


REAL = {
    "ai.stackexchange.com": (421, 749),
    "beer.stackexchange.com": (1029, 2277),
    "coffee.stackexchange.com": (225, 327),
    "genai.stackexchange.com": (181, 243),
    "matheducators.stackexchange.com": (397, 1507),
}


@needs_shared
def test_real_dumps(tmp_path: Path) -> None:
    """Counted by another parser: five sites and a meta site, of two of them an older dump as well."""
    counters = build(tmp_path / "all", [REAL_DUMPS], largest=28)
    questions, answers = (sum(n) for n in zip(*REAL.values(), strict=True))
    older = {1: 264 + 663, 2: 415 + 1572}
    assert counters == {
        "in": questions + answers + sum(older.values()) + 598,
        "kept": questions,
        "kept/en": questions,
        "held_out": counters["held_out"],
        "merged": answers,
        "rejected": sum(older.values()) + 598,
        "rejected/older_dump": sum(older.values()),
        "rejected/site": 598,
        "bad": 0,
        "skipped": counters["skipped"],
        "skipped/tag_wiki": 382,
        "skipped/tag_wiki_excerpt": 382,
        "skipped/wiki_placeholder": 9,
    }
    found = rows(tmp_path / "all", "documents")
    by_site = Counter(json.loads(row["metadata"])["site"] for row in found)
    assert by_site == {site: n for site, (n, _) in REAL.items()}
    assert {row["file"] for row in found if "beer" in row["key"]} == {"beer.stackexchange.com.7z"}
    assert not [row for row in found if "2016-09" in row["file"]]
    _scores_fall(found)


def _scores_fall(found: list[dict[str, Any]]) -> None:
    for row in found:
        scores = [answer["score"] for answer in json.loads(row["metadata"])["answers"]]
        assert scores == sorted(scores, reverse=True)
        assert row["text"].count("\n\nA: ") >= len(scores)


@needs_shared
def test_the_three_largest_real_sites_without_unanswered_questions(tmp_path: Path) -> None:
    counters = build(tmp_path, [REAL_DUMPS], largest=3, unanswered="reject")
    largest = sorted(REAL, key=lambda site: -sum(REAL[site]))[:3]
    assert counters["rejected/site"] == 598 + sum(sum(REAL[site]) for site in set(REAL) - set(largest))
    found = rows(tmp_path, "documents")
    assert {json.loads(row["metadata"])["site"] for row in found} == set(largest)
    assert counters["kept"] == len(found) == sum(REAL[site][0] for site in largest) - 108
    assert counters["rejected/unanswered"] == 108
    assert all(json.loads(row["metadata"])["answers"] for row in found)


@needs_shared
def test_pinned_sites(tmp_path: Path) -> None:
    sites = ["datascience.meta.stackexchange.com", "coffee.stackexchange.com"]
    counters = build(tmp_path, [REAL_DUMPS], sites=sites, largest=1)
    assert {json.loads(row["metadata"])["site"] for row in rows(tmp_path, "documents")} == set(sites)
    assert counters["rejected/empty_answer"] == 5  # of the meta site: images alone


@needs_shared
def test_sizes_of_splits_and_buckets_change_no_document(tmp_path: Path) -> None:
    small = with_build(RECIPE, split_bytes=300_000, bucket_bytes=200_000, batch_bytes=50_000)
    counters = build(tmp_path / "whole", [REAL_DUMPS])
    assert build(tmp_path / "small", [REAL_DUMPS], small) == counters
    whole, cut = (without_place(rows(tmp_path / name, "documents")) for name in ("whole", "small"))
    assert whole == cut
    assert len(list((tmp_path / "small" / "annotated").glob("*.parquet"))) > 20
    assert build(tmp_path / "again", [REAL_DUMPS], small) == counters
    assert digests(tmp_path / "again") == digests(tmp_path / "small")


@needs_shared
def test_real_texts_hold_the_words_of_the_posts(tmp_path: Path) -> None:
    """Every title, and every word between the tags of every body, in the right document."""
    build(tmp_path, [REAL_DUMPS / "genai.stackexchange.com"])
    found = {json.loads(row["metadata"])["question"]: row["text"] for row in rows(tmp_path, "documents")}
    posts = [
        row
        for row in plain_rows(REAL_DUMPS / "genai.stackexchange.com" / "Posts.xml")
        if row["PostTypeId"] in "12"
    ]
    assert len(posts) == 424
    for row in posts:
        text = found[int(row.get("ParentId", row["Id"]))]
        assert " ".join(row.get("Title", "").split()) in text
        words = html.unescape(re.sub(r"<[^>]*>", " ", row["Body"])).split()
        assert [word for word in words if word not in text] == []
