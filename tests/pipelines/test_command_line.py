"""What the user gets wrong is a clear error before any work; what they change is applied."""

from __future__ import annotations

import json
import os
import shutil
from importlib import resources
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpus.sample import CRAWL
from tests.pipelines.conftest import digests, llama_corpus

SAMPLE = (resources.files("corpus") / "recipes" / "sample.toml").read_text()

EXPORT = "[commoncrawl.export]\nrejected = "


def _recipe(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = SAMPLE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--input", "nowhere/*.gz"], "matches no file"),
        (["--recipe", "lama1"], "no built-in recipe 'lama1': give one of llama1, sample"),
        (["--ouput", "x"], "unknown option: --ouput"),
        (["--direct_running_mode=multi_threading"], "loses rows"),
    ],
)
def test_wrong_words_are_errors_before_any_work(args: list[str], message: str, tmp_path: Path) -> None:
    done = llama_corpus("crawl-filter", "--output", tmp_path / "run", *args, status=2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_model_that_is_missing_names_the_command_that_makes_it(tmp_path: Path) -> None:
    recipe = _recipe(
        tmp_path,
        ('url = "sample:models/reference.bin"', 'url = ""'),
        ('url = "sample:models/fr.binary"', 'url = "nowhere.bin"'),
    )
    done = llama_corpus("crawl-filter", "--output", tmp_path / "run", "--recipe", recipe, status=2)
    assert "train-classifier" in done.stderr
    assert "nowhere.bin" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_language_model_that_was_trained_otherwise_is_refused(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, ('kenlm = "fr.binary"\nencoding = "words"', 'kenlm = "fr.binary"'))
    done = llama_corpus("crawl-filter", "--output", tmp_path / "run", "--recipe", recipe, status=2)
    assert "models.fr] says encoding = 'text'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_dry_run_shows_recipe_inputs_and_outputs_and_writes_nothing(tmp_path: Path) -> None:
    done = llama_corpus("crawl-filter", "--output", tmp_path / "run", "--dry-run")
    for expected in ('"min_chars": 300', "00003.warc.wet.gz", "annotate", "estimates"):
        assert expected in done.stdout
    assert not (tmp_path / "run").exists()


def test_the_sample_recipe_on_other_pages_says_that_it_is_for_demonstration(tmp_path: Path) -> None:
    wet = next(CRAWL.rglob("*-00000.warc.wet.gz"))
    done = llama_corpus("crawl-filter", "--input", wet, "--output", tmp_path / "run")
    assert "demonstration only" in done.stderr
    assert json.loads((tmp_path / "run/manifest.json").read_text())["demonstration"] is True


def test_an_output_of_another_recipe_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "run"
    llama_corpus("crawl-filter", "--output", output)
    before = digests(output)
    other = _recipe(tmp_path, ("min_chars = 300", "min_chars = 200"))
    done = llama_corpus("crawl-filter", "--output", output, "--recipe", other, status=2)
    assert "stage index was made with other settings (min_chars)" in done.stderr
    other = _recipe(tmp_path, ("min_reference = 0.5", "min_reference = 0.6"))
    done = llama_corpus("crawl-filter", "--output", output, "--recipe", other, status=2)
    assert "redecide" in done.stderr
    assert digests(output) == before


def test_a_finished_run_that_is_further_stays_so(sample_run: Path, tmp_path: Path) -> None:
    crawl, output = tmp_path / "crawl", tmp_path / "run"
    shutil.copytree(CRAWL, crawl)
    args = ("crawl-filter", "--input", crawl, "--input-root", crawl, "--output", output)
    llama_corpus(*args)
    done = llama_corpus(*args, "--until", "annotate")
    assert f"{output} has got to export already" in done.stderr
    assert digests(output) == digests(sample_run)
    first, second = sorted(crawl.rglob("*.warc.wet.gz"))[:2]
    shutil.copyfile(second, first)
    llama_corpus(*args, "--until", "annotate")
    assert "everything as written" in llama_corpus("verify", output).stdout
    llama_corpus(*args[:-1], tmp_path / "again")
    assert digests(output) == digests(tmp_path / "again") != digests(sample_run)


def test_parts_ahead_of_a_run_that_stops_before_them_are_kept_and_named(
    sample_run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    shutil.copytree(sample_run, output)
    (output / "manifest.json").unlink()  # as of a run that was cut off
    llama_corpus("crawl-filter", "--output", output, "--until", "annotate")
    assert list(json.loads((output / "manifest.json").read_text())["stages"]) == [
        "annotate",
        "dedup",
        "index",
    ]
    verified = llama_corpus("verify", output).stdout
    assert "parts of decide, export lie there" in verified
    assert "everything as written" in verified
    (output / "documents" / "stray.parquet").write_bytes(b"")
    assert "stray.parquet belongs to no part" in llama_corpus("verify", output, status=1).stdout
    (output / "documents" / "stray.parquet").unlink()
    llama_corpus("crawl-filter", "--output", output)
    assert digests(output) == digests(sample_run)


def test_redecide_applies_new_thresholds_and_nothing_else(sample_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    strict = _recipe(tmp_path, ('buckets = ["head", "middle"]', 'buckets = ["head"]'))
    llama_corpus("crawl-filter", "--output", output)
    llama_corpus("redecide", output, "--recipe", strict)
    stats = json.loads((output / "stats.json").read_text())["counters"]
    assert stats["kept"] == stats["kept/en/head"] + stats["kept/fr/head"]
    assert pq.read_table(output / "documents").num_rows == stats["kept"]
    assert not (output / "documents/en/middle").exists() or not list(output.glob("documents/en/middle/*"))
    unchanged = ("annotated/", "index/", "dedup/", "annotate/", "extracted/", "bad/")
    before, after = digests(sample_run), digests(output)
    assert {k: v for k, v in before.items() if k.startswith(unchanged)} == {
        k: v for k, v in after.items() if k.startswith(unchanged)
    }
    straight = tmp_path / "straight"
    llama_corpus("crawl-filter", "--output", straight, "--recipe", strict)
    assert digests(straight) == after
    llama_corpus("verify", output)


def test_redecide_refuses_what_was_not_annotated(tmp_path: Path) -> None:
    output = tmp_path / "run"
    columns = (f'{EXPORT}"text"', f'{EXPORT}"columns"')
    llama_corpus("crawl-filter", "--output", output, "--recipe", _recipe(tmp_path, columns))
    languages = ('keep = ["en", "fr"]', 'keep = ["en", "fr", "de"]')
    wider = _recipe(tmp_path, columns, languages, ('"middle"]', '"middle", "all"]'))
    done = llama_corpus("redecide", output, "--recipe", wider, status=1)
    assert "no text" in done.stderr
    assert "with this recipe into another --output" in done.stderr
    assert not (output / "manifest.json").exists()


def test_a_run_stopped_after_a_stage_goes_on(sample_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    llama_corpus("crawl-filter", "--output", output, "--until", "annotate")
    assert not (output / "decisions").exists()
    llama_corpus("crawl-filter", "--output", output, "--until", "decide")
    assert not (output / "documents").exists()
    llama_corpus("export", output)
    assert digests(output) == digests(sample_run)


@pytest.mark.parametrize("mode", ["columns", "none"])
def test_what_stays_of_rejected_pages_changes_no_document(
    mode: str, sample_run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    recipe = _recipe(tmp_path, (f'{EXPORT}"text"', f'{EXPORT}"{mode}"'))
    llama_corpus("crawl-filter", "--output", output, "--recipe", recipe)
    assert (
        json.loads((output / "stats.json").read_text())["counters"]
        == (json.loads((sample_run / "stats.json").read_text())["counters"])
    )
    assert pq.read_table(output / "documents").equals(pq.read_table(sample_run / "documents"))
    annotated = pq.read_table(output / "annotated")
    whole = pq.read_table(sample_run / "annotated")
    assert annotated["text"].nbytes < whole["text"].nbytes
    assert (annotated.num_rows < whole.num_rows) == (mode == "none")


def test_verify_names_what_is_wrong(tmp_path: Path) -> None:
    output = tmp_path / "run"
    llama_corpus("crawl-filter", "--output", output)
    assert "everything as written" in llama_corpus("verify", output).stdout
    document = next(output.glob("documents/en/head/*.parquet"))
    data = bytearray(document.read_bytes())
    data[len(data) // 2] ^= 1
    document.write_bytes(data)
    (output / "annotated/part-00001.parquet").unlink()
    (output / "decisions/stray.parquet").write_bytes(b"x")
    (output / "index/part-00003.part.json").unlink()
    done = llama_corpus("verify", output, status=1)
    for expected in (
        "documents/en/head/part-00000.parquet does not have the sha256",
        "annotated/part-00001.parquet is missing",
        "decisions/stray.parquet belongs to no part",
        "index/part-00003.part.json is missing",
        "4 problems",
    ):
        assert expected in done.stdout
    done = llama_corpus("verify", tmp_path, status=2)
    assert "no manifest.json" in done.stderr


def test_an_altered_input_of_a_stage_stops_it_by_name(tmp_path: Path) -> None:
    output = tmp_path / "run"
    llama_corpus("crawl-filter", "--output", output, "--until", "decide")
    part = output / "annotated/part-00001.parquet"
    data = bytearray(part.read_bytes())
    data[100] ^= 1
    part.write_bytes(data)
    done = llama_corpus("export", output, status=1)
    assert "annotated/part-00001.parquet does not have the sha256 of its record" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["crawl-filter", "redecide", "export", "verify", "train-lm"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    text = llama_corpus(command, "--help").stdout
    assert "example" in text
    assert f"llama-corpus {command}" in text


def test_a_file_that_changes_between_the_passes_stops_the_run_by_name(tmp_path: Path) -> None:
    page = b"A title\n" + b"".join(b"Line %c has some words of its own in it.\n" % c for c in range(97, 120))
    head = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: %d\r\n\r\n" % len(page)
    wet = tmp_path / "crawl" / "one.warc.wet"
    wet.parent.mkdir()
    wet.write_bytes(head + page + b"\r\n\r\n")
    stamp = wet.stat().st_mtime_ns
    args = ("crawl-filter", "--input", wet, "--output", tmp_path / "run")
    llama_corpus(*args, "--until", "dedup")
    wet.write_bytes((head + page + b"\r\n\r\n").replace(b"some words", b"more words"))
    os.utime(wet, ns=(stamp, stamp))  # same size, same time: only its content says so
    done = llama_corpus(*args, status=1)
    assert "one.warc.wet" in done.stderr
    assert "changed" in done.stderr
    assert "Traceback" not in done.stderr
