"""Dumps that come one by one: each joins the runs before it, and gets what one run over all would give."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.manifests import read_manifest
from pipelines.__main__ import main
from tests.pipelines.conftest import COMMAND, ROOT, digests, llama_corpus
from tests.pipelines.generated import write_crawl

_DUMPS = ("CC-MAIN-2018-05", "CC-MAIN-2019-30", "CC-MAIN-2020-05")
_PAGES = 5 * 12  # a dump
_KILLS = 3
_MODELS = ("--without", "perplexity", "--without", "reference")


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("crawl")
    endings = [f" So {who} wrote." for who in ("a clerk", "a mayor", "a smith", "a nun", "a poet", "a guest")]
    write_crawl(root, random.Random(5), _DUMPS, 5, 12, repeat_ids=True, endings=endings)
    return root


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = (ROOT / "corpus/recipes/sample.toml").read_text()
    for old, new in (
        ('scope = "block"', 'scope = "global"'),
        ('policy = "drop-all"', 'policy = "keep-first"'),
        ("shards_per_dump = 1600", "shards_per_dump = 3"),
        ("shards_per_block = 50\nbucket_bytes = 268_435_456", "shards_per_block = 50\nbucket_bytes = 1_024"),
        ("300\nbatch_bytes = 16_777_216", "300\nbatch_bytes = 1_500"),
        ("min_chars = 300", "min_chars = 120"),
        ('buckets = ["head", "middle"]', 'buckets = ["all"]'),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = tmp_path_factory.mktemp("recipe") / "global.toml"
    path.write_text(text)
    return path


def _arguments(
    crawl: Path, recipe: Path, output: Path, dumps: Sequence[str], after: Sequence[Path] = ()
) -> list[str]:
    inputs = [str(crawl / dump) for dump in dumps]
    earlier = [word for run in after for word in ("--after", str(run))]
    places = ["--input-root", str(crawl), "--output", str(output)]
    return ["crawl-filter", "--input", *inputs, *places, "--recipe", str(recipe), *_MODELS, *earlier]


@pytest.fixture(scope="module")
def single(crawl: Path, recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All dumps in one run."""
    output = tmp_path_factory.mktemp("single") / "run"
    llama_corpus(*_arguments(crawl, recipe_file, output, _DUMPS))
    return output


@pytest.fixture(scope="module")
def joined(crawl: Path, recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run a dump, each after the others; of the dumps that were read the raw files are gone."""
    folder = tmp_path_factory.mktemp("joined")
    raw = folder / "crawl"
    shutil.copytree(crawl, raw)
    runs: list[Path] = []
    for dump in _DUMPS:
        before = {run: _everything(run) for run in runs}
        llama_corpus(*_arguments(raw, recipe_file, folder / dump, [dump], runs))
        assert before == {run: _everything(run) for run in runs}
        shutil.rmtree(raw / dump)
        runs.append(folder / dump)
    return runs


def _everything(run: Path) -> dict[Path, tuple[int, str]]:
    """Modification time and sha256 of every file, local ones too."""
    return {
        path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in run.rglob("*")
        if path.is_file()
    }


def _rows(run: Path, folder: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted((run / folder).glob("part-*.parquet")))


@pytest.mark.parametrize("folder", ["annotated", "decisions"])
def test_one_by_one_is_the_same_as_together(folder: str, joined: list[Path], single: Path) -> None:
    together = _rows(single, folder)
    assert together.num_rows == len(_DUMPS) * _PAGES
    assert pa.concat_tables(_rows(run, folder) for run in joined).equals(together)


def test_the_later_dumps_lose_what_the_earlier_have(
    joined: list[Path], crawl: Path, recipe_file: Path, tmp_path: Path
) -> None:
    llama_corpus(*_arguments(crawl, recipe_file, tmp_path / "alone", _DUMPS[-1:]))
    alone, after = _rows(tmp_path / "alone", "annotated"), _rows(joined[-1], "annotated")
    assert alone["key"].equals(after["key"])
    pairs = list(zip(*(rows["paragraphs_v1"].to_pylist() for rows in (alone, after)), strict=True))
    assert all(set(kept or ()) <= set(whole or ()) for whole, kept in pairs)
    assert sum(len(kept or ()) < len(whole or ()) for whole, kept in pairs) > _PAGES // 3
    assert sum(bool(kept) for _, kept in pairs) > _PAGES // 3
    changed = [a != b for a, b in zip(alone["id"].to_pylist(), after["id"].to_pylist(), strict=True)]
    assert sum(changed) == _PAGES // 3  # those whose record id every dump has


def test_ids_are_unique_over_all_runs(joined: list[Path]) -> None:
    ids = [id_ for run in joined for id_ in _rows(run, "annotated")["id"].to_pylist()]
    assert len(set(ids)) == len(ids)


def test_buckets_hold_the_keys_of_earlier_runs(joined: list[Path]) -> None:
    counts = [len(list((run / "dedup").glob("paragraphs-all-*.answer"))) for run in joined]
    assert counts == sorted(counts)
    assert 1 < counts[0] < counts[-1]


def test_the_manifest_names_the_earlier_runs_by_their_content(joined: list[Path]) -> None:
    shas = [hashlib.sha256((run / "index/manifest.json").read_bytes()).hexdigest() for run in joined]
    for number, run in enumerate(joined):
        assert json.loads((run / "manifest.json").read_text()).get("after", []) == shas[:number]
        for path in digests(run):
            if path.endswith(".json"):
                assert str(run.parent) not in (run / path).read_text()
        llama_corpus("verify", run)


def test_from_another_place_the_bytes_are_the_same(
    joined: list[Path], crawl: Path, recipe_file: Path, tmp_path: Path
) -> None:
    shutil.copytree(joined[0], tmp_path / "moved")
    llama_corpus(*_arguments(crawl, recipe_file, tmp_path / "run", _DUMPS[1:2], [tmp_path / "moved"]))
    assert digests(tmp_path / "run") == digests(joined[1])


def test_killed_amid_the_merge_it_goes_on(
    joined: list[Path], crawl: Path, recipe_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    arguments = _arguments(crawl, recipe_file, output, _DUMPS[-1:], joined[:-1])
    killed = 0
    for _ in range(_KILLS):
        before = len(list((output / "dedup").glob("*.part.json")))
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and len(list((output / "dedup").glob("*.part.json"))) < before + 2:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed == _KILLS
    llama_corpus(*arguments)
    assert digests(output) == digests(joined[-1])


def test_decided_and_exported_again_without_the_earlier_runs(
    joined: list[Path], crawl: Path, recipe_file: Path, tmp_path: Path
) -> None:
    before, output = tmp_path / "before", tmp_path / "run"
    shutil.copytree(joined[0], before)
    llama_corpus(*_arguments(crawl, recipe_file, output, _DUMPS[1:2], [before]), "--until", "decide")
    shutil.rmtree(before)
    llama_corpus("export", output)
    assert digests(output) == digests(joined[1])
    blocks = recipe_file.read_text().split("\n[")
    bare = [b for b in blocks if not b.startswith(("commoncrawl.perplexity", "commoncrawl.reference"))]
    recipe = tmp_path / "bare.toml"
    recipe.write_text("\n[".join(bare).replace("held_out = 0.05", "held_out = 0.5"))
    llama_corpus("redecide", output, "--recipe", recipe)
    assert json.loads((output / "manifest.json").read_text())["after"]
    recipe.write_text("\n[".join(bare))
    llama_corpus("redecide", output, "--recipe", recipe)
    assert digests(output) == digests(joined[1])


def test_a_changed_earlier_run_is_answered_anew(
    joined: list[Path], crawl: Path, recipe_file: Path, tmp_path: Path
) -> None:
    before, output = tmp_path / "before", tmp_path / "run"
    llama_corpus(*_arguments(crawl, recipe_file, before, _DUMPS[2:]), "--until", "index")
    llama_corpus(*_arguments(crawl, recipe_file, output, _DUMPS[1:2], [before]))
    assert digests(output) != digests(joined[1])
    shutil.rmtree(before)
    shutil.copytree(joined[0], before)
    index = {path: path.stat().st_mtime_ns for path in (output / "index").glob("*.run")}
    llama_corpus(*_arguments(crawl, recipe_file, output, _DUMPS[1:2], [before]))
    assert digests(output) == digests(joined[1])
    assert index == {path: path.stat().st_mtime_ns for path in index}


def test_a_dry_run_tells_what_is_known_of_the_earlier_run(
    joined: list[Path], crawl: Path, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    assert main([*_arguments(crawl, recipe_file, output, _DUMPS[1:2], joined[:1]), "--dry-run"]) == 0
    keys = read_manifest(str(joined[0]), "index")[0]["counters"]["keys"]
    shown = capsys.readouterr().out
    assert f"after {joined[0]}: {_PAGES} pages, {keys} line keys" in shown
    assert not output.exists()


class TestRefused:
    """Before any work, with a word on what to do."""

    @pytest.fixture
    def refused(self, crawl: Path, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        def ask(after: Sequence[Path], change: tuple[str, str] = ("", ""), output: Path | None = None) -> str:
            text = recipe_file.read_text()
            assert change[0] in text
            recipe = tmp_path / "changed.toml"
            recipe.write_text(text.replace(*change) if change[0] else text + change[1])
            chosen = output or tmp_path / "output"
            assert main(_arguments(crawl, recipe, chosen, _DUMPS[-1:], after)) == 2
            assert output or not chosen.exists()
            return capsys.readouterr().err

        return ask

    @pytest.fixture
    def copy(self, joined: list[Path], tmp_path: Path) -> Path:
        return Path(shutil.copytree(joined[0], tmp_path / "copy"))

    @pytest.mark.parametrize(
        "change", [('scope = "global"', 'scope = "dump"'), ('policy = "keep-first"', 'policy = "drop-all"')]
    )
    def test_a_recipe_that_cannot_join(self, change, joined, refused) -> None:
        error = refused(joined[:1], change)
        assert 'set policy = "keep-first" and scope = "global"' in error

    def test_whole_pages(self, joined, refused) -> None:
        error = refused(joined[:1], ("", "\n[commoncrawl.duplicates]\nexact = true\n"))
        assert "whole pages cannot be compared with those of earlier runs yet" in error

    def test_no_run(self, tmp_path, refused) -> None:
        assert "there is no finished run" in refused([tmp_path / "nowhere"])

    def test_an_unfinished_run(self, copy, refused) -> None:
        (copy / "manifest.json").unlink()
        assert "there is no finished run" in refused([copy])

    def test_a_run_of_another_kind(self, copy, refused) -> None:
        (copy / "manifest.json").write_text('{"kind": "train-lm"}')
        assert "no crawl-filter run, but 'train-lm'" in refused([copy])

    @pytest.mark.parametrize(
        "change",
        [
            ("min_chars = 120", "min_chars = 130"),
            ('hash = "xxh64"', 'hash = "sha1"'),
            ("html_nesting = 10_000", "html_nesting = 9_000"),
        ],
    )
    def test_other_keys(self, change, joined, refused) -> None:
        error = refused(joined[:1], change)
        assert "its keys were made with other settings (" in error
        assert change[1].split(" = ")[1].strip('"').replace("_", "") in error

    def test_another_library(self, copy, refused) -> None:
        path = copy / "index/manifest.json"
        body = json.loads(path.read_text())
        body["settings"]["libraries"]["resiliparse"] = "0.1"
        path.write_text(json.dumps(body))
        run = json.loads((copy / "manifest.json").read_text())
        run["stages"]["index"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (copy / "manifest.json").write_text(json.dumps(run))
        assert "libraries" in refused([copy])

    def test_an_index_that_was_altered(self, copy, refused) -> None:
        path = copy / "index/manifest.json"
        path.write_text(path.read_text() + "\n")
        assert "index/manifest.json is not what manifest.json says" in refused([copy])
        path.unlink()
        assert "its index cannot be read" in refused([copy])

    @pytest.mark.parametrize("kind", ["paragraphs", "ids"])
    def test_a_run_file_that_is_short_or_missing(self, kind, copy, refused) -> None:
        path = copy / f"index/part-00001.{kind}.run"
        os.truncate(path, 100)
        assert f"index/part-00001.{kind}.run is missing or not as it was written" in refused([copy])
        path.unlink()
        assert f"index/part-00001.{kind}.run is missing or not as it was written" in refused([copy])

    def test_the_output_itself(self, copy, refused) -> None:
        before = _everything(copy)
        assert "the output is that run itself" in refused([copy], output=copy)
        assert _everything(copy) == before

    def test_a_run_twice(self, joined, copy, refused) -> None:
        assert "given twice" in refused([joined[0], copy])

    def test_a_run_without_those_it_joined(self, joined, refused) -> None:
        assert "give its earlier runs too, before it" in refused([joined[1]])
        assert "give its earlier runs too, before it" in refused([joined[1], joined[0]])

    def test_an_input_of_an_earlier_run(self, joined, refused) -> None:
        error = refused(joined)
        assert f"{_DUMPS[-1]}/0.warc.wet of {_DUMPS[-1]} is an input of that run already" in error

    def test_going_on_without_the_earlier_run(self, joined, tmp_path, refused) -> None:
        output = Path(shutil.copytree(joined[2], tmp_path / "again"))
        before = digests(output)
        assert "stage dedup was made with other settings (after)" in refused([], output=output)
        assert digests(output) == before


def test_a_damaged_section_of_an_earlier_run_stops_the_merge(
    joined: list[Path], crawl: Path, recipe_file: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(joined[0], tmp_path / "copy"))
    path = copy / "index/part-00001.paragraphs.run"
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    arguments = _arguments(crawl, recipe_file, tmp_path / "run", _DUMPS[1:2], [copy])
    error = llama_corpus(*arguments, status=1).stderr
    assert "part-00001.paragraphs.run is damaged" in error
    assert "Traceback" not in error
