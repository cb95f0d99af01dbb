"""Evaluations in finished runs, as a user calls it: n-grams found, reported, removed."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from corpus.finished import read_runs
from corpus.schema import document_id
from tests.pipelines.across import ANSWER, ITEM, call, listed, prose, table
from tests.pipelines.conftest import COMMAND, ROOT, digests, llama_corpus
from tests.pipelines.finished import ids_of, write_run
from tests.shared import DATA, needs

EVALS = DATA / "evals"


def _hits(output: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((output / "found").glob("*.parquet")) for row in table(path)]


def test_every_planted_ngram_is_a_hit_with_its_place(planted: Path, cleaned: Path) -> None:
    texts = {
        row["id"]: row["text"]
        for path in sorted(planted.glob("*/documents/en/*.parquet"))
        if path.parts[-4] in ("c4", "github")
        for row in table(path)
    }
    hits = _hits(cleaned)
    for hit in hits:
        found = texts[hit["id"]][hit["start"] : hit["end"]]
        plain = "".join(c for c in found.lower() if c.isalnum() or c.isspace())
        assert plain.split() == hit["ngram"].split()
        assert len(hit["ngram"].split()) == 13
    ngrams = {"question": len(ITEM.split()) - 12, "answer": len(ANSWER.split()) - 12}
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
    assert listed(cleaned / "github/removals.txt") == []
    assert not (cleaned / "github/documents").exists()


def test_removal_follows_gpt_3(planted: Path, cleaned: Path) -> None:
    assert listed(cleaned / "c4/removals.txt") == ids_of("c4", 0, 1, 2, 3)
    outcomes = {
        row["id"]: (row["outcome"], row["pieces"])
        for path in (cleaned / "outcomes").glob("*.parquet")
        for row in table(path)
    }
    assert outcomes == {
        document_id("c4", 0): ("cut", 2),
        document_id("c4", 1): ("cut", 1),
        document_id("c4", 2): ("too_many_pieces", 0),
        document_id("c4", 3): ("nothing_left", 0),
    }
    whole = {r["id"]: r for path in (planted / "c4/documents").rglob("*.parquet") for r in table(path)}
    pieces = [r for path in sorted((cleaned / "c4/documents").rglob("*.parquet")) for r in table(path)]
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
    end = at + len(ITEM.replace(",", " —"))
    assert cut == sorted([first[: at - 200], first[end + 200 :]])
    # What is clean is clean: a second look at the pieces finds nothing.
    write_run(planted / "again", "c4", [piece["text"] for piece in pieces])
    out = planted / "again-out"
    call("decontaminate", planted / "again", "--evaluations", planted / "evals", "--output", out)
    assert _hits(out) == []


def test_the_report_has_items_fields_and_runs(cleaned: Path) -> None:
    rows = {(r["evaluation"], r["field"], r["run"]): r for r in table(cleaned / "report/report.parquet")}
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
        lists = [id_ for path in out.glob("*/removals.txt") for id_ in listed(path)]
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


@needs(EVALS)
def test_real_items_that_are_planted_are_found_and_nothing_else(tmp_path: Path) -> None:
    gsm8k = [json.loads(line) for line in (EVALS / "gsm8k/test.jsonl").read_text().splitlines()]
    hellaswag = [
        json.loads(line) for line in (EVALS / "hellaswag/hellaswag_slice.jsonl").read_text().splitlines()
    ]
    texts = [prose(i, 400) for i in range(40)]
    for i in range(5):
        texts[i] += "\n" + gsm8k[100 * i]["question"] + "\n" + prose(900 + i, 200)
    for i in range(5):
        texts[10 + i] += "\n" + hellaswag[100 * i]["ctx"].upper() + "\n" + prose(950 + i, 200)
    write_run(tmp_path / "c4", "c4", texts)
    call("decontaminate", tmp_path / "c4", "--evaluations", EVALS, "--remove", "--output", tmp_path / "o")
    hits = _hits(tmp_path / "o")
    planted = {
        *((document_id("c4", i), "evals/gsm8k/test.jsonl", 100 * i) for i in range(5)),
        *((document_id("c4", 10 + i), "evals/hellaswag/hellaswag_slice.jsonl", 100 * i) for i in range(5)),
    }
    assert {(hit["id"], hit["evaluation"], hit["item"]) for hit in hits} == planted
    assert listed(tmp_path / "o/c4/removals.txt") == ids_of("c4", 0, 1, 2, 3, 4, 10, 11, 12, 13, 14)


@needs(EVALS)
def test_a_clean_run_has_no_hit(sample_run: Path, tmp_path: Path) -> None:
    done = call("decontaminate", sample_run, "--evaluations", EVALS, "--ngram", "auto", "--output", tmp_path)
    assert _hits(tmp_path) == []
    assert table(tmp_path / "report/report.parquet") == []
    line = next(line for line in done.stdout.splitlines() if line.startswith("no n-gram of the other"))
    assert line.split()[-2:] == ["65", "files"]


def test_what_stays_of_cut_documents_is_an_input_of_what_follows(planted: Path, cleaned: Path) -> None:
    """Beside their runs, which are decided again with the removal lists."""
    runs = read_runs([str(planted / "c4"), str(planted / "github"), str(cleaned)], ["github", "c4"])
    pieces = {run.source: run.documents for run in runs if run.root == str(cleaned)}
    expected = {
        source: sum(map(len, (table(path) for path in (cleaned / source / "documents").rglob("*.parquet"))))
        for source in ("c4", "github")
    }
    assert pieces == {source: n for source, n in expected.items() if n}
    assert sum(pieces.values()) > 0
