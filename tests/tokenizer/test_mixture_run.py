"""Tokens and shards through the real commands: what was drawn, traced back, resumed, refused."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import sentencepiece

from corpus import recipe
from tests.builds import as_toml
from tests.pipelines.conftest import COMMAND, ROOT, digests, llama_corpus
from tokenizer.reader import Corpus, Reader

SOURCES = ("github", "arxiv", "stackexchange", "c4")
WEIGHTS = {"github": 0.4, "arxiv": 0.3, "stackexchange": 0.1, "c4": 0.2}
TOKENS = 40_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sources, a tokenizer, tokens and shards."""
    root = tmp_path_factory.mktemp("shards")
    runs = [root / source for source in SOURCES]
    for source, run in zip(SOURCES, runs, strict=True):
        llama_corpus("build", source, "--output", run)
    write_recipe(root / "recipe.toml")
    train(root, runs)
    tokenizer = root / "tokenizer" / "tokenizer.model"
    llama_corpus(
        "tokenize", *runs, "--tokenizer", tokenizer, "--output", root / "tokens", "--part-bytes", 9_000
    )
    llama_corpus("mix", root / "tokens", "--recipe", root / "recipe.toml", "--output", root / "shards")
    return root


def train(root: Path, runs: list[Path], name: str = "tokenizer") -> None:
    command = ["-m", "tokenizer", "train", *map(str, runs), "--recipe", str(root / "recipe.toml")]
    subprocess.run([COMMAND[0], *command, "--output", str(root / name)], cwd=ROOT, check=True)


def write_recipe(path: Path, **mixture: object) -> None:
    raw = recipe.to_dict(recipe.load("sample"))
    raw["mixture"] |= {"weights": WEIGHTS, "tokens": TOKENS, "shard_tokens": 4_096, "max_epochs": 40.0}
    raw["mixture"] |= mixture
    path.write_text(as_toml(raw))


def documents(root: Path) -> dict[str, dict[str, object]]:
    rows = [row for s in SOURCES for p in (root / s / "documents").rglob("*.parquet") for row in read(p)]
    return {str(row["id"]): row for row in rows}


def read(path: Path) -> list[dict[str, object]]:
    return pq.ParquetFile(path).read(columns=["id", "source", "text", "held_out", "bytes"]).to_pylist()


def drawn(root: Path, name: str = "train") -> list[tuple[str, list[int]]]:
    """(id, tokens with marks) of every document of a set, in order; each traced back by its locator."""
    corpus = Corpus.open(root / "shards", name)
    parts = sorted((root / "tokens" / "tokens").glob("*.parquet"))
    tables = [pq.ParquetFile(path).read().to_pylist() for path in parts]
    found = []
    for shard in range(len(corpus.table)):
        tokens = np.frombuffer(Path(corpus.path(shard, ".bin")).read_bytes(), np.uint16)
        index, rows = corpus.documents(shard)
        for length, offset, row in zip(index.lengths, index.offsets, rows, strict=True):
            origin = tables[row["part"]][row["row"]]
            assert parts[row["part"]].name.startswith(corpus.manifest["sources"][row["source"]])
            assert origin["bytes"] == row["bytes"]
            found.append((origin["id"], tokens[offset // 2 : offset // 2 + length].tolist()))
    return found


def test_every_token_traces_back_to_its_document(folder: Path) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer" / "tokenizer.model"))
    known = documents(folder)
    for id_, tokens in drawn(folder):
        assert tokens == [1, *processor.encode(known[id_]["text"]), 2]
        assert not known[id_]["held_out"]


def test_sources_are_drawn_right_to_one_document(folder: Path) -> None:
    known = documents(folder)
    tokens, largest = Counter[str](), Counter[str]()
    for id_, ids in drawn(folder):
        source = str(known[id_]["source"])
        tokens[source] += len(ids)
        largest[source] = max(largest[source], len(ids))
    for source, weight in WEIGHTS.items():
        assert abs(tokens[source] - weight * TOKENS) <= 1 + largest[source] / 2


def test_no_document_comes_back_within_an_epoch(folder: Path) -> None:
    """Between two copies of a document lie more than a fifth of its source's others, on average all."""
    known = documents(folder)
    by_source: dict[str, list[str]] = {source: [] for source in SOURCES}
    for id_, _ in drawn(folder):
        by_source[str(known[id_]["source"])].append(id_)
    for source, ids in by_source.items():
        trained = [i for i, d in known.items() if d["source"] == source and not d["held_out"]]
        copies = Counter(ids)
        assert max(copies.values()) - min(copies[i] for i in trained) <= 1
        # Epoch c holds each document once: the order is that of whole epochs.
        for start in range(0, len(ids) - len(trained) + 1, len(trained)):
            assert len(set(ids[start : start + len(trained)])) == len(trained)


def test_held_out_documents_are_in_sets_of_their_own(folder: Path) -> None:
    known = documents(folder)
    for source in SOURCES:
        expected = sorted(i for i, d in known.items() if d["source"] == source and d["held_out"])
        found = sorted(i for i, _ in drawn(folder, f"held-out/{source}")) if expected else []
        assert found == expected


def test_shards_are_a_random_sample_of_the_mixture(folder: Path) -> None:
    manifest = json.loads((folder / "shards" / "manifest.json").read_bytes())
    assert manifest["sets"]["train"]["shards"] == -(-TOKENS // 4_096)
    reader = Reader([Corpus.open(folder / "shards")], 64, 0, folder / "cache")
    assert reader.samples == (manifest["sets"]["train"]["counters"]["tokens"] - 1) // 64


def test_workers_and_kills_change_no_byte(folder: Path, tmp_path: Path) -> None:
    args = ("mix", folder / "tokens", "--recipe", folder / "recipe.toml")
    llama_corpus(*args, "--output", tmp_path / "two", "--workers", 2)
    assert digests(tmp_path / "two") == digests(folder / "shards")
    rng, quiet = random.Random(5), subprocess.DEVNULL
    for _ in range(3):
        command = [*COMMAND, *map(str, args), "--output", str(tmp_path / "killed")]
        with subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet) as process:
            while not (tmp_path / "killed/tables/settings.json").exists() and process.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 2))
            process.send_signal(signal.SIGKILL)
    llama_corpus(*args, "--output", tmp_path / "killed")
    assert digests(tmp_path / "killed") == digests(folder / "shards")
    assert "everything as written" in llama_corpus("verify", tmp_path / "killed").stdout
    train(folder, [folder / source for source in SOURCES], "again")
    models = [(folder / name / "tokenizer.model").read_bytes() for name in ("tokenizer", "again")]
    assert models[0] == models[1]


def test_a_changed_shard_is_named(folder: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(folder / "shards"), str(tmp_path / "shards")], check=True)
    path = tmp_path / "shards" / "train" / "shard-00001.bin"
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    assert "shard-00001.bin" in llama_corpus("verify", tmp_path / "shards", status=1).stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"tokens": 4_000_000}, "beyond max_epochs"), ({"max_epochs": 1.5}, "beyond max_epochs")],
)
def test_a_mixture_that_cannot_be_drawn_is_refused(
    changes: dict[str, object], message: str, folder: Path, tmp_path: Path
) -> None:
    write_recipe(tmp_path / "r.toml", **changes)
    args = ("mix", folder / "tokens", "--recipe", tmp_path / "r.toml", "--output", tmp_path / "out")
    assert message in llama_corpus(*args, status=2).stderr
    assert not (tmp_path / "out").exists()
    shown = llama_corpus("mix", folder / "tokens", "--recipe", "sample", "--output", tmp_path / "o", status=2)
    assert "a weight for commoncrawl, and no tokens of it" in shown.stderr


def test_what_is_no_run_or_no_model_is_refused(folder: Path, tmp_path: Path) -> None:
    output = ("--output", tmp_path / "out")
    wrong = llama_corpus("tokenize", folder / "c4", "--tokenizer", tmp_path / "none", *output, status=2)
    assert "there is no such file" in wrong.stderr
    (tmp_path / "bad.model").write_bytes(b"no model")
    wrong = llama_corpus("tokenize", folder / "c4", "--tokenizer", tmp_path / "bad.model", *output, status=2)
    assert "no usable SentencePiece model" in wrong.stderr
    assert "no manifest.json" in llama_corpus("mix", folder, *output, status=2).stderr
    assert "of kind 'build'" in llama_corpus("mix", folder / "c4", *output, status=2).stderr


def test_another_tokenizer_is_not_mixed_in(folder: Path) -> None:
    other = folder / "other.model"
    # A field that SentencePiece does not know.
    other.write_bytes((folder / "tokenizer" / "tokenizer.model").read_bytes() + b"\xa0\x3f\x00")
    args = ("tokenize", *(folder / s for s in SOURCES), "--tokenizer", other, "--output", folder / "tokens")
    assert "other settings (tokenizer)" in llama_corpus(*args, status=2).stderr


FULL_DISK = """
mount -t tmpfs -o size="$2" tmpfs "$1" || exit 77
folder=$1; shift 2
"$@" 2>"$folder.errors"; echo $? >"$folder.status"
mkdir "$folder.before" && cp -a "$folder/." "$folder.before"
mount -o remount,size=64m "$folder"
"$@" || exit
cp -a "$folder/." "$folder.after"
"""


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_full_disk_is_named_and_nothing_is_lost(share: float, folder: Path, tmp_path: Path) -> None:
    """On a disk of a part of what the shards take; then with room."""
    out = tmp_path / "out"
    for path in (out, tmp_path / "out.after"):
        path.mkdir()
    blocks = sum(
        -(-path.stat().st_size // 4_096) for path in (folder / "shards").rglob("*") if path.is_file()
    )
    command = [*COMMAND, "mix", folder / "tokens", "--recipe", folder / "recipe.toml", "--output", out]
    inside = ["sh", "-c", FULL_DISK, "sh", str(out), f"{int(blocks * share) * 4}k", *map(str, command)]
    unshare = ["unshare", "--map-root-user", "--mount", *inside]
    done = subprocess.run(unshare, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("a file system cannot be mounted here")
    assert done.returncode == 0, done.stderr
    errors = (tmp_path / "out.errors").read_text()
    assert (tmp_path / "out.status").read_text() in ("1\n", "2\n")
    assert "cannot be written: No space left on device; finished parts are kept" in errors
    assert "Traceback" not in errors
    assert digests(tmp_path / "out.after") == digests(folder / "shards")
    # What was there is not made again; what was not whole was not there.
    kept = sorted((tmp_path / "out.before").rglob("*.part.json"))
    assert kept
    for path in kept:
        assert (
            tmp_path / "out.after" / path.relative_to(tmp_path / "out.before")
        ).read_bytes() == path.read_bytes()
    assert not list((tmp_path / "out.before").rglob("*.tmp"))
    assert not (tmp_path / "out.before" / "manifest.json").exists()


def test_no_room_for_the_tokenizers_sample_is_named(folder: Path, tmp_path: Path) -> None:
    runs = [str(folder / source) for source in SOURCES]
    command = [COMMAND[0], "-m", "tokenizer", "train", *runs, "--output", str(tmp_path / "o")]
    script = 'mount -t tmpfs -o size=16k tmpfs "$TMPDIR" || exit 77; exec "$@"'
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    (tmp_path / "small").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "small")}
    done = subprocess.run([*unshare, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("a file system cannot be mounted here")
    assert done.returncode == 2, done.stderr
    assert "sample.txt cannot be written: No space left on device" in done.stderr
    assert not (tmp_path / "o").exists()
