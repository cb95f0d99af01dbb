"""Across finished runs, as a user calls it: copies go where a better source has them; evaluations go."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from corpus.overlap import hosts
from corpus.schema import document_id
from pipelines.__main__ import main
from tests.pipelines.conftest import COMMAND, ROOT, digests, llama_corpus
from tests.pipelines.finished import ids_of, write_run
from tests.shared import DATA, needs

EVALS = DATA / "evals"
_WORDS = (
    "ferry",
    "harbour",
    "mill",
    "market",
    "bridge",
    "river",
    "island",
    "valley",
    "library",
    "stone",
    "winter",
    "summer",
    "boat",
    "wheel",
    "grain",
    "keeper",
    "letter",
    "window",
    "garden",
    "forest",
    "engine",
    "signal",
    "copper",
    "ribbon",
    "lantern",
    "orchard",
    "meadow",
    "tower",
    "anchor",
    "barrel",
)


def call(*args: Any, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a subcommand in this process, which is quicker; fail the test unless it ends with `status`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            returned = main(list(map(str, args)))
        except SystemExit as error:  # argparse
            returned = int(error.code or 0)
    assert returned == status, f"status {returned}\n{out.getvalue()}\n{err.getvalue()}"
    return subprocess.CompletedProcess(args, returned, out.getvalue(), err.getvalue())


def _prose(seed: int, words: int) -> str:
    """Sentences of our words that no evaluation has."""
    rng = random.Random(seed)
    sentences = [
        " ".join(rng.choice(_WORDS) for _ in range(rng.randint(6, 14))).capitalize() + "."
        for _ in range(words // 10)
    ]
    return "\n".join(sentences)


def _table(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def _list(path: Path) -> list[str]:
    return path.read_text().splitlines()


# Copies


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that share texts: wikipedia 0 is c4 1 and commoncrawl 2; c4 3 is commoncrawl 0 and 5."""
    root = tmp_path_factory.mktemp("copies")
    own = {name: [_prose(1000 * i + j, 60) for j in range(8)] for i, name in enumerate(("w", "c", "b", "cc"))}
    own["c"][1] = own["w"][0].upper().replace("\n", " \n\n ")
    own["cc"][2] = "  " + own["w"][0].replace(" ", "\u00a0")
    own["cc"][0] = own["cc"][5] = own["c"][3]
    own["cc"][4] = own["w"][0].replace(".", "!", 1)  # not the same
    own["b"][6] = own["b"][7]  # copies within a run
    own["w"].append("\n \u00a0")  # nothing but white space, as is
    own["c"].append(" ")
    for name, source in (("w", "wikipedia"), ("c", "c4"), ("b", "books"), ("cc", "commoncrawl")):
        write_run(root / name, source, own[name])
    return root


@pytest.fixture(scope="module")
def deduplicated(copies: Path) -> Path:
    """Given in an order that is not the priority's."""
    output = copies / "cross"
    call("cross-dedup", *(copies / name for name in ("cc", "b", "c", "w")), "--output", output)
    return output


def test_the_source_first_in_priority_keeps_the_text(deduplicated: Path) -> None:
    assert _list(deduplicated / "wikipedia/removals.txt") == []
    assert _list(deduplicated / "books/removals.txt") == []
    assert _list(deduplicated / "c4/removals.txt") == ids_of("c4", 1)
    assert _list(deduplicated / "commoncrawl/removals.txt") == ids_of("commoncrawl", 0, 2, 5)
    report = _table(deduplicated / "commoncrawl/report.parquet")
    assert [row["id"] for row in report] == ids_of("commoncrawl", 0, 2, 5)
    kept = {row["id"]: (row["source"], row["kept_source"], row["kept_id"]) for row in report}
    for number, source, other in ((0, "c4", 3), (5, "c4", 3), (2, "wikipedia", 0)):
        assert kept[document_id("commoncrawl", number)] == ("commoncrawl", source, document_id(source, other))
    counters = json.loads((deduplicated / "stats.json").read_bytes())["counters"]
    assert (counters["in"], counters["removed"]) == (34, 4)
    assert counters["removed/commoncrawl"] == 3
    assert counters["removed/commoncrawl/c4"] == 2
    keys = json.loads((deduplicated / "stats.json").read_bytes())["stages"]["keys"]
    assert (keys["in"], keys["empty"], keys["out"]) == (34, 2, 32)


def test_what_it_wrote_is_verified_and_damage_is_named(deduplicated: Path, tmp_path: Path) -> None:
    assert "everything as written" in call("verify", deduplicated).stdout
    copy = tmp_path / "copy"
    shutil.copytree(deduplicated, copy)
    with (copy / "c4/removals.txt").open("a") as f:
        f.write("0" * 32 + "\n")
    assert "c4/removals.txt" in call("verify", copy, status=1).stdout


def test_two_workers_many_buckets_and_another_place_give_the_same_lists(
    deduplicated: Path, copies: Path, tmp_path: Path
) -> None:
    runs = [copies / name for name in ("w", "c", "b", "cc")]
    llama_corpus("cross-dedup", *runs, "--output", tmp_path / "two", "--workers", 2)
    assert digests(tmp_path / "two") == digests(deduplicated)
    recipe = tmp_path / "small.toml"
    recipe.write_text(_sample_recipe() + "\n[cross_dedup]\nbucket_bytes = 500\n")
    call("cross-dedup", *runs, "--output", tmp_path / "small", "--recipe", recipe)
    manifest = json.loads((tmp_path / "small/compare/manifest.json").read_bytes())
    assert manifest["parts"] == 16
    for source in ("wikipedia", "c4", "books", "commoncrawl"):
        for name in ("removals.txt", "report.parquet"):
            assert (tmp_path / "small" / source / name).read_bytes() == (
                deduplicated / source / name
            ).read_bytes()


def test_another_priority_and_two_runs_of_one_source(copies: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(_sample_recipe() + '\n[cross_dedup]\npriority = ["commoncrawl", "wikipedia", "c4"]\n')
    texts = [row["text"] for path in sorted((copies / "cc").rglob("part-*.parquet")) for row in _table(path)]
    write_run(tmp_path / "later", "commoncrawl", [_prose(77, 50), texts[2], texts[7]])
    runs = (copies / "cc", tmp_path / "later", copies / "w", copies / "c")
    call("cross-dedup", *runs, "--recipe", recipe, "--output", tmp_path / "out")
    assert _list(tmp_path / "out/commoncrawl-1/removals.txt") == []
    assert _list(tmp_path / "out/commoncrawl-2/removals.txt") == ids_of("commoncrawl", 1, 2)
    assert _list(tmp_path / "out/wikipedia/removals.txt") == ids_of("wikipedia", 0)
    report = _table(tmp_path / "out/c4/report.parquet")
    assert {row["id"]: row["kept_run"] for row in report} == {
        document_id("c4", 1): "commoncrawl-1",
        document_id("c4", 3): "commoncrawl-1",
    }
    assert {row["kept_id"] for row in report} == {
        document_id("commoncrawl", 2),
        min(document_id("commoncrawl", 0), document_id("commoncrawl", 5)),
    }
    refused = call(
        "cross-dedup", copies / "b", copies / "c", "--recipe", recipe, "--output", tmp_path / "x", status=2
    )
    assert "its source 'books' is not in the recipe's priority" in refused.stderr


# Evaluations

_ITEM = (
    "A lighthouse keeper counts forty two gulls before breakfast and seventeen more before noon, then loses "
    "count of them. How many gulls had he counted when he stopped for his tea?"
)
_ANSWER = (
    "He had counted fifty nine gulls altogether, since forty two and seventeen add up to fifty nine of them."
)
_COMMON = "This story is told in every harbour of the north and nobody knows who told it first of all."


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs and evaluations.

    c4: 0 quotes the item, in other dress, in the middle; 1 the answer at its start; 2 both, again and
    again; 3 is the answer and little more; 4 twelve of its words. All eleven of github have the set phrase.
    """
    root = tmp_path_factory.mktemp("planted")
    texts = [_prose(i, 300) for i in range(9)]
    dressed = _ITEM.upper().replace(",", " —").replace(" ", "\n", 3)
    texts[0] = f"{texts[0]}\n{dressed}\n{_prose(100, 300)}"
    texts[1] = f"{_ANSWER}\n{texts[1]}"
    texts[2] = "\n".join(f"{_prose(200 + i, 120)}\n{_ITEM if i % 2 else _ANSWER}" for i in range(11))
    texts[3] = f"Somebody asked.\n{_ANSWER}\nThat was all."
    texts[4] += "\n" + " ".join(_ANSWER.split()[:12]) + " and so on"
    write_run(root / "c4", "c4", texts)
    write_run(
        root / "github",
        "github",
        [f"{_prose(300 + i, 150)}\n{_COMMON}\n{_prose(400 + i, 150)}" for i in range(11)],
    )
    evals = root / "evals"
    evals.mkdir()
    lines = [{"question": _ITEM, "answer": _ANSWER}, {"question": "Is it so?", "answer": "It is."}]
    (evals / "gulls.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (evals / "phrases.csv").write_text(f'id,text\n1,"{_COMMON}"\n2,"{_COMMON} Or so."\n3,short\n')
    (evals / "LICENSE").write_text("not an evaluation")
    return root


@pytest.fixture(scope="module")
def cleaned(planted: Path) -> Path:
    runs = (planted / "github", planted / "c4")
    call("decontaminate", *runs, "--evaluations", planted / "evals", "--remove", "--output", planted / "out")
    return planted / "out"


def _hits(output: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((output / "found").glob("*.parquet")) for row in _table(path)]


def test_every_planted_ngram_is_a_hit_with_its_place(planted: Path, cleaned: Path) -> None:
    texts = {
        row["id"]: row["text"]
        for path in sorted(planted.glob("*/documents/en/*.parquet"))
        if path.parts[-4] in ("c4", "github")
        for row in _table(path)
    }
    hits = _hits(cleaned)
    for hit in hits:
        found = texts[hit["id"]][hit["start"] : hit["end"]]
        plain = "".join(c for c in found.lower() if c.isalnum() or c.isspace())
        assert plain.split() == hit["ngram"].split()
        assert len(hit["ngram"].split()) == 13
    ngrams = {"question": len(_ITEM.split()) - 12, "answer": len(_ANSWER.split()) - 12}
    by = Counter((hit["id"], hit["evaluation"], hit["item"], hit["field"]) for hit in hits)
    c4 = {number: document_id("c4", number) for number in range(5)}
    assert {key: n for key, n in by.items() if key[0] in c4.values()} == {
        (c4[0], "evals/gulls.jsonl", 0, "question"): ngrams["question"],
        (c4[1], "evals/gulls.jsonl", 0, "answer"): ngrams["answer"],
        (c4[2], "evals/gulls.jsonl", 0, "question"): 5 * ngrams["question"],
        (c4[2], "evals/gulls.jsonl", 0, "answer"): 6 * ngrams["answer"],
        (c4[3], "evals/gulls.jsonl", 0, "answer"): ngrams["answer"],
    }
    assert {hit["source"] for hit in hits if hit["id"] in c4.values()} == {"c4"}


def test_a_phrase_in_more_than_ten_documents_is_reported_and_spared(cleaned: Path) -> None:
    common = [hit for hit in _hits(cleaned) if hit["evaluation"] == "evals/phrases.csv"]
    assert len({hit["id"] for hit in common}) == 11
    assert {(hit["documents"], hit["spared"], hit["items"], hit["item"]) for hit in common} == {
        (11, True, 2, 0)
    }
    assert {hit["spared"] for hit in _hits(cleaned) if hit["evaluation"] == "evals/gulls.jsonl"} == {False}
    assert _list(cleaned / "github/removals.txt") == []
    assert not (cleaned / "github/documents").exists()


def test_removal_follows_gpt_3(planted: Path, cleaned: Path) -> None:
    assert _list(cleaned / "c4/removals.txt") == ids_of("c4", 0, 1, 2, 3)
    outcomes = {
        row["id"]: (row["outcome"], row["pieces"])
        for path in (cleaned / "outcomes").glob("*.parquet")
        for row in _table(path)
    }
    assert outcomes == {
        document_id("c4", 0): ("cut", 2),
        document_id("c4", 1): ("cut", 1),
        document_id("c4", 2): ("too_many_pieces", 0),
        document_id("c4", 3): ("nothing_left", 0),
    }
    whole = {r["id"]: r for path in (planted / "c4/documents").rglob("*.parquet") for r in _table(path)}
    pieces = [r for path in sorted((cleaned / "c4/documents").rglob("*.parquet")) for r in _table(path)]
    assert len(pieces) == 3
    for piece in pieces:
        metadata = json.loads(piece["metadata"])
        origin = whole[metadata["piece_of"]]
        start = metadata["start"]
        assert piece["text"] == origin["text"][start : start + len(piece["text"])]
        assert piece["id"] == document_id("c4", origin["id"], metadata["piece"])
        assert len(piece["text"]) >= 200
        assert piece["bytes"] == len(piece["text"].encode())
        assert "gulls" not in piece["text"].lower()
        assert piece["held_out"] == origin["held_out"]
        assert piece["key"] == origin["key"]
    # Nothing more than the window went: 200 characters before the item, none after the answer but 200.
    first = whole[document_id("c4", 0)]["text"]
    at = first.index("A\nLIGHTHOUSE")
    cut = sorted(p["text"] for p in pieces if json.loads(p["metadata"])["piece_of"] == document_id("c4", 0))
    end = at + len(_ITEM.replace(",", " —"))
    assert cut == sorted([first[: at - 200], first[end + 200 :]])
    # What is clean is clean: a second look at the pieces finds nothing.
    write_run(planted / "again", "c4", [piece["text"] for piece in pieces])
    out = planted / "again-out"
    call("decontaminate", planted / "again", "--evaluations", planted / "evals", "--output", out)
    assert _hits(out) == []


def test_the_report_has_items_fields_and_runs(cleaned: Path) -> None:
    rows = {(r["evaluation"], r["field"], r["run"]): r for r in _table(cleaned / "report/report.parquet")}
    numbers = {key: (row["items"], row["documents"]) for key, row in rows.items()}
    assert numbers == {
        ("evals/gulls.jsonl", "", "c4"): (1, 4),
        ("evals/gulls.jsonl", "question", "c4"): (1, 2),
        ("evals/gulls.jsonl", "answer", "c4"): (1, 3),
        ("evals/phrases.csv", "", "github"): (2, 11),
        ("evals/phrases.csv", "text", "github"): (2, 11),
    }
    counters = json.loads((cleaned / "stats.json").read_bytes())["counters"]
    assert counters["in"] == 20
    assert counters["matched"] == 15
    assert (counters["removed"], counters["removed/cut"], counters["pieces"]) == (4, 2, 3)
    assert "everything as written" in call("verify", cleaned).stdout


def test_without_remove_there_is_only_a_report(planted: Path, cleaned: Path, tmp_path: Path) -> None:
    runs = (planted / "c4", planted / "github")
    done = call("decontaminate", *runs, "--evaluations", planted / "evals", "--output", tmp_path / "o")
    assert _hits(tmp_path / "o") == _hits(cleaned)
    assert not list((tmp_path / "o").glob("*/removals.txt"))
    line = next(line for line in done.stdout.splitlines() if line.startswith("evals/gulls.jsonl"))
    assert line.split() == ["evals/gulls.jsonl", "2", "13", "0", "4"]


def test_options_change_what_is_found(planted: Path, tmp_path: Path) -> None:
    def found(*options: Any) -> tuple[set[str], set[str]]:
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        runs = (planted / "c4", planted / "github")
        call("decontaminate", *runs, "--evaluations", planted / "evals", "--output", out, *options)
        hits = _hits(out)
        lists = [id_ for path in out.glob("*/removals.txt") for id_ in _list(path)]
        return {hit["id"] for hit in hits}, set(lists)

    answers, _ = found("--fields", "answer", "text", "--max-documents", 0)
    assert answers == {*ids_of("c4", 1, 2, 3), *ids_of("github", *range(11))}
    twelve, removed = found("--ngram", 12, "--max-documents", 0, "--remove")
    assert twelve == removed == {*ids_of("c4", 0, 1, 2, 3, 4), *ids_of("github", *range(11))}


def test_two_workers_write_the_same_bytes_and_a_killed_run_goes_on(
    planted: Path, cleaned: Path, tmp_path: Path
) -> None:
    arguments = [
        "decontaminate", planted / "c4", planted / "github", "--evaluations", planted / "evals", "--remove"
    ]  # fmt: skip
    llama_corpus(*arguments, "--output", tmp_path / "two", "--workers", 2)
    assert digests(tmp_path / "two") == digests(cleaned)
    killed = 0
    rng = random.Random(5)
    for attempt in range(3):
        output = tmp_path / f"killed-{attempt}"
        command = [*COMMAND, *map(str, arguments), "--output", str(output)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (output / "evaluations/manifest.json").exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        call(*arguments, "--output", output)
        assert digests(output) == digests(cleaned)
        assert not list(output.rglob("*.tmp"))
    assert killed, "the kills came after the end"


def test_a_lost_part_is_made_again(planted: Path, cleaned: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(cleaned, output)
    (output / "hits/c4-00000.part.json").unlink()
    (output / "c4/removals.txt").unlink()
    runs = (planted / "c4", planted / "github")
    call("decontaminate", *runs, "--evaluations", planted / "evals", "--remove", "--output", output)
    assert digests(output) == digests(cleaned)


# Real commands before and after


def test_lists_are_applied_by_redecide(sample_run: Path, tmp_path: Path) -> None:
    """The sample crawl: one page is also in Wikipedia, another quotes an evaluation."""
    crawl = tmp_path / "cc"
    shutil.copytree(sample_run, crawl)
    kept = [row for path in sorted((crawl / "documents").rglob("*.parquet")) for row in _table(path)]
    copied, quoting = kept[0], max(kept[1:], key=lambda row: len(row["text"]))
    write_run(tmp_path / "wiki", "wikipedia", [copied["text"].upper(), _prose(1, 100)])
    call("cross-dedup", crawl, tmp_path / "wiki", "--output", tmp_path / "cross")
    assert _list(tmp_path / "cross/commoncrawl/removals.txt") == [copied["id"]]

    item = " ".join(quoting["text"].split()[20:40])
    (tmp_path / "e.jsonl").write_text(json.dumps({"text": item}))
    call(
        "decontaminate", crawl, "--evaluations", tmp_path / "e.jsonl", "--remove", "--output", tmp_path / "d"
    )
    assert _list(tmp_path / "d/commoncrawl/removals.txt") == [quoting["id"]]

    lists = [tmp_path / "cross/commoncrawl/removals.txt", tmp_path / "d/commoncrawl/removals.txt"]
    text = _sample_recipe()
    assert "[commoncrawl.decide]" in text
    named = f"[commoncrawl.decide]\nremovals = {json.dumps(list(map(str, lists)))}"
    (tmp_path / "r.toml").write_text(text.replace("[commoncrawl.decide]", named))
    call("redecide", crawl, "--recipe", tmp_path / "r.toml")
    left = {row["id"] for path in (crawl / "documents").rglob("*.parquet") for row in _table(path)}
    assert left == {row["id"] for row in kept} - {copied["id"], quoting["id"]}
    # The lists were of the run as it was: they are not overwritten by what is found now.
    again = call("cross-dedup", crawl, tmp_path / "wiki", "--output", tmp_path / "cross", status=2)
    assert "holds a cross-dedup of other runs" in again.stderr
    assert _list(tmp_path / "cross/commoncrawl/removals.txt") == [copied["id"]]


def test_lists_are_applied_to_a_build_by_redecide(tmp_path: Path) -> None:
    """The sample of C4: two of its pages are also in Wikipedia, a third quotes an evaluation."""
    c4 = tmp_path / "c4"
    call("build", "c4", "--output", c4)
    kept = [row for path in sorted((c4 / "documents").rglob("*.parquet")) for row in _table(path)]
    write_run(tmp_path / "wiki", "wikipedia", [kept[0]["text"], kept[3]["text"].lower()])
    call("cross-dedup", tmp_path / "wiki", c4, "--output", tmp_path / "cross")
    copied = sorted([kept[0]["id"], kept[3]["id"]])
    assert _list(tmp_path / "cross/c4/removals.txt") == copied
    item = " ".join(kept[5]["text"].split()[5:25])
    (tmp_path / "e.jsonl").write_text(json.dumps({"text": item}))
    call("decontaminate", c4, "--evaluations", tmp_path / "e.jsonl", "--remove", "--output", tmp_path / "d")
    lists = [str(tmp_path / "cross/c4/removals.txt"), str(tmp_path / "d/c4/removals.txt")]
    text = _sample_recipe()
    before, build = text.split("[build]")
    assert "removals = []" in build
    build = build.replace("removals = []", f"removals = {json.dumps(lists)}", 1)
    (tmp_path / "r.toml").write_text(f"{before}[build]{build}")
    call("redecide", c4, "--recipe", tmp_path / "r.toml")
    left = {row["id"] for path in (c4 / "documents").rglob("*.parquet") for row in _table(path)}
    assert left == {row["id"] for row in kept} - {*copied, kept[5]["id"]}
    decisions = [row for path in (c4 / "decisions").rglob("*.parquet") for row in _table(path)]
    removed = {row["id"] for row in decisions if row["reason"] == "removed"}
    assert removed == {*copied, kept[5]["id"]}


def test_pages_on_hosts_of_other_sources_are_dropped_by_redecide(
    sample_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample's sites are made up: two of them stand for arXiv's here."""
    crawl = tmp_path / "cc"
    shutil.copytree(sample_run, crawl)
    kept = [row["key"] for path in (crawl / "documents").rglob("*.parquet") for row in _table(path)]
    sites = Counter(urlsplit(key).hostname for key in kept)
    mine = [site for site, _ in sites.most_common(2)]
    monkeypatch.setattr(hosts, "_table", lambda: {"arxiv": mine, "wikipedia": ["wikipedia.org"]})
    hosts.hosts_of.cache_clear()
    named = '[commoncrawl.decide]\ndrop_hosts_of = ["wikipedia", "arxiv"]'
    (tmp_path / "r.toml").write_text(_sample_recipe().replace("[commoncrawl.decide]", named))
    call("redecide", crawl, "--recipe", tmp_path / "r.toml")
    monkeypatch.undo()
    hosts.hosts_of.cache_clear()
    left = [row["key"] for path in (crawl / "documents").rglob("*.parquet") for row in _table(path)]
    assert Counter(urlsplit(key).hostname for key in left) == Counter(
        {site: n for site, n in sites.items() if site not in mine}
    )
    decisions = [row for path in (crawl / "decisions").rglob("*.parquet") for row in _table(path)]
    counters = json.loads((crawl / "stats.json").read_bytes())["counters"]
    assert counters["rejected/other_source"] == sum(row["reason"] == "other_source" for row in decisions)
    assert counters["rejected/other_source"] >= sum(sites[site] for site in mine) > 1


# Errors before any work


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cut off", "it is no run, or one that was cut off"),
        ("no folder", "it is no run, or one that was cut off"),
        ("other kind", "is a run of kind 'decontaminate'"),
        ("not JSON", "is not valid JSON"),
        ("until decide", "was stopped before its documents were written"),
        ("altered", "is not what manifest.json says"),
        ("no manifest of export", "its documents cannot be read"),
        ("twice", "this run, or a copy of it, is given twice"),
        ("into itself", "is one of the runs"),
        ("nothing kept", "no page was kept there"),
    ],
)
@pytest.mark.parametrize("command", ["cross-dedup", "decontaminate"])
def test_what_is_no_finished_run_is_refused_before_any_work(
    planted: Path, tmp_path: Path, command: str, change: str, message: str
) -> None:
    run, other = tmp_path / "run", write_run(tmp_path / "other", "wikipedia", [])
    shutil.copytree(planted / "c4", run)
    output = tmp_path / "out"
    manifest = run / "manifest.json"
    body = json.loads(manifest.read_bytes())
    if change == "cut off":
        manifest.unlink()
    elif change == "no folder":
        shutil.rmtree(run)
    elif change == "other kind":
        manifest.write_text(json.dumps(body | {"kind": "decontaminate"}))
    elif change == "not JSON":
        manifest.write_text("{")
    elif change == "until decide":
        manifest.write_text(json.dumps(body | {"stages": {}, "complete": False}))
    elif change == "altered":
        (run / "export/manifest.json").write_text((run / "export/manifest.json").read_text() + " ")
    elif change == "no manifest of export":
        (run / "export/manifest.json").unlink()
    elif change == "twice":
        other = tmp_path / "copy"
        shutil.copytree(run, other)
    elif change == "into itself":
        output = run
    elif change == "nothing kept":
        shutil.rmtree(run)
        write_run(run, "c4", [])
    evaluations = ("--evaluations", planted / "evals") if command == "decontaminate" else ()
    refused = call(command, run, other, *evaluations, "--output", output, status=2)
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert output == run or not output.exists()


def test_a_file_of_documents_that_was_altered_stops_it(planted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(planted / "c4", run)
    path = run / "documents/en/part-00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    failed = call(
        "decontaminate", run, "--evaluations", planted / "evals", "--output", tmp_path / "o", status=1
    )
    assert "part-00001.parquet does not have the sha256 of its record" in failed.stderr
    assert not (tmp_path / "o/manifest.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--evaluations", "EVALS/none.jsonl"), "does not exist"),
        (("--evaluations", "EVALS/LICENSE"), "its ending tells no format"),
        (("--evaluations", "EVALS", "--fields", "label"), "no evaluation has a field label"),
        (("--evaluations", "EVALS", "--ngram", "60"), "give a smaller --ngram"),
        (("--evaluations", "EVALS", "--ngram", "many"), "neither 'auto' nor a number"),
        (("--evaluations", "EVALS", "--no-such-option"), "unknown option: --no-such-option"),
        (("--evaluations", "BAD"), "line 1: not valid JSON"),
    ],
)
def test_a_wrong_evaluation_or_option_is_refused_before_any_work(
    planted: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "bad.jsonl").write_text("not JSON\n")
    places = {"EVALS": str(planted / "evals"), "BAD": str(tmp_path / "bad.jsonl")}
    given = [_replaced(option, places) for option in options]
    refused = call("decontaminate", planted / "c4", *given, "--output", tmp_path / "o", status=2)
    assert message in refused.stderr
    assert not (tmp_path / "o").exists()


def _replaced(option: str, places: dict[str, str]) -> str:
    for name, place in places.items():
        option = option.replace(name, place)
    return option


def test_one_run_alone_has_nothing_to_be_compared_with(planted: Path, tmp_path: Path) -> None:
    refused = call("cross-dedup", planted / "c4", "--output", tmp_path / "o", status=2)
    assert "give two or more" in refused.stderr


def test_other_settings_or_evaluations_are_not_mixed_in(planted: Path, cleaned: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(cleaned, output)
    runs = (planted / "c4", planted / "github")
    everything = ("--evaluations", planted / "evals", "--remove", "--output", output)
    refused = call("decontaminate", *runs, *everything, "--ngram", 8, status=2)
    assert "of other settings" in refused.stderr
    one = ("--evaluations", planted / "evals/gulls.jsonl", "--remove", "--output", output)
    assert "of other evaluations" in call("decontaminate", *runs, *one, status=2).stderr
    assert "of other runs" in call("decontaminate", runs[0], *everything, status=2).stderr
    assert digests(output) == digests(cleaned)


def test_dry_run_says_what_would_be_done_and_writes_nothing(planted: Path, tmp_path: Path) -> None:
    done = call(
        "decontaminate",
        planted / "c4",
        "--evaluations",
        planted / "evals",
        "--output",
        tmp_path / "o",
        "--dry-run",
    )
    assert "9 documents in 3 files" in done.stdout
    assert not (tmp_path / "o").exists()
    done = call("cross-dedup", planted / "c4", planted / "github", "--output", tmp_path / "o", "--dry-run")
    assert "11 documents in 4 files" in done.stdout
    assert not (tmp_path / "o").exists()


# Real evaluations


@needs(EVALS)
def test_real_items_that_are_planted_are_found_and_nothing_else(tmp_path: Path) -> None:
    gsm8k = [json.loads(line) for line in (EVALS / "gsm8k/test.jsonl").read_text().splitlines()]
    hellaswag = [
        json.loads(line) for line in (EVALS / "hellaswag/hellaswag_slice.jsonl").read_text().splitlines()
    ]
    texts = [_prose(i, 400) for i in range(40)]
    for i in range(5):
        texts[i] += "\n" + gsm8k[100 * i]["question"] + "\n" + _prose(900 + i, 200)
    for i in range(5):
        texts[10 + i] += "\n" + hellaswag[100 * i]["ctx"].upper() + "\n" + _prose(950 + i, 200)
    write_run(tmp_path / "c4", "c4", texts)
    call("decontaminate", tmp_path / "c4", "--evaluations", EVALS, "--remove", "--output", tmp_path / "o")
    hits = _hits(tmp_path / "o")
    planted = {
        *((document_id("c4", i), "evals/gsm8k/test.jsonl", 100 * i) for i in range(5)),
        *((document_id("c4", 10 + i), "evals/hellaswag/hellaswag_slice.jsonl", 100 * i) for i in range(5)),
    }
    assert {(hit["id"], hit["evaluation"], hit["item"]) for hit in hits} == planted
    assert _list(tmp_path / "o/c4/removals.txt") == ids_of("c4", 0, 1, 2, 3, 4, 10, 11, 12, 13, 14)


@needs(EVALS)
def test_a_clean_run_has_no_hit(sample_run: Path, tmp_path: Path) -> None:
    done = call("decontaminate", sample_run, "--evaluations", EVALS, "--ngram", "auto", "--output", tmp_path)
    assert _hits(tmp_path) == []
    assert _table(tmp_path / "report/report.parquet") == []
    line = next(line for line in done.stdout.splitlines() if line.startswith("no n-gram of the other"))
    assert line.split()[-2:] == ["65", "files"]


def _sample_recipe() -> str:
    return (ROOT / "corpus/recipes/sample.toml").read_text()
