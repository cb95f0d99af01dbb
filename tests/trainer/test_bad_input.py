"""What `python -m trainer` is told wrongly: one line that says so, before the first step, and status 2."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.trainer.corpora import write_corpus
from tests.trainer.runs import BATCH, FEW, LENGTH, VOCAB, assert_told, curve, flip, records, run, weights
from tests.trainer.runs import FEW_STEPS as STEPS
from tokenizer.reader import Corpus
from trainer.checkpoint.folder import find


def no_step(output: Path) -> bool:
    return not (output / "metrics.jsonl").exists() or not records(output, "train")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


BAD_SHARDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no shards": (lambda root: (root / "manifest.json").unlink(), "manifest.json is missing"),
    "missing": (lambda root: (root / "train/shard-00001.bin").unlink(), "shard-00001.bin is missing"),
    "cut": (lambda root: cut(root / "train/shard-00002.bin"), r"shard-00002.bin has [\d,]+ bytes where"),
    "index": (lambda root: (root / "train/shard-00001.idx").unlink(), "shard-00001.idx is missing"),
    "rows": (lambda root: (root / "train/shard-00000.documents.npy").unlink(), "documents.npy is missing"),
    "held out": (lambda root: cut(root / "held-out/books/shard-00001.bin"), "books/shard-00001.bin has"),
    "table": (lambda root: flip(root / "train/shards.npy"), "shards.npy does not have the SHA-256"),
    "flipped": (lambda root: flip(root / "train/shard-00000.bin"), "shard-00000.bin .* SHA-256"),
    "tokenizer": (lambda root: flip(root / "tokenizer.model"), "tokenizer.model is not the tokenizer"),
}


@pytest.mark.parametrize(("change", "needle"), BAD_SHARDS.values(), ids=BAD_SHARDS)
def test_bad_shards_are_told_before_the_first_step(
    change: Callable[[Path], object], needle: str, shards: Path, tmp_path: Path
) -> None:
    change(shards)
    assert_told(run(*FEW, "--data", shards, "--output", tmp_path / "run"), needle)
    assert no_step(tmp_path / "run")


def test_a_flipped_byte_far_on_is_found_when_it_is_read_or_when_asked(
    shards: Path, done: Path, tmp_path: Path
) -> None:
    flipped, output = shards / "train/shard-00002.bin", tmp_path / "run"
    flip(flipped)
    needle = "shard-00002.bin does not have the SHA-256"
    command = (*FEW, "--data", shards, "--output", output)
    assert_told(run(*command, "--verify"), needle)
    assert_told(run(*command), needle, status=1)
    assert records(output, "train")
    flip(flipped)
    assert run(*command, "--verify").status == 0
    assert curve(output) == curve(done)
    assert weights(output) == weights(done)


BAD_WORDS: list[tuple[list[object], list[str]]] = [
    (["--preset", "3b"], ["no preset '3b'; there are tiny, 60m"]),
    (["--preset", "65b"], [r"65,\d+,\d+,\d+|\d\d,\d{3},\d{3},\d{3} parameters needs about", "--micro-batch"]),
    (["--tokens", 10**9], ["holds .* tokens to train on", "--tokens"]),
    (["--tokens", BATCH - 1], ["0 are wanted", "--tokens"]),
    (["--batch-tokens", LENGTH * 10**6], ["0 batches", "--batch-tokens"]),
    (["--warmup-steps", STEPS], ["a warm-up of 12 steps in a run of 12", "--warmup-steps"]),
    (["--batch-tokens", BATCH + 1], ["no whole number of sequences of 32"]),
    (["--from", "nowhere"], ["nowhere has no .*safetensors"]),
    (["--keep", "0"], []),
    (["--learning-rate", "0"], []),
    (["--learning-rate", "nan"], []),
    (["--watts", "-1"], []),
    (["--pue", "0.5"], ["PUE is at least 1"]),
    (["--prompt", "The mill"], ["sequences of 32", "shorter"]),
    (["--device", "cuda"], ["has no GPU"]),
]


@pytest.mark.parametrize(("words", "needles"), BAD_WORDS, ids=[" ".join(map(str, w)) for w, _ in BAD_WORDS])
def test_bad_words(words: list[object], needles: list[str], kept: Path, tmp_path: Path) -> None:
    if "cuda" in words and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    ended = run(*FEW, *words, "--data", kept, "--output", tmp_path / "run")
    if needles:
        assert_told(ended, *needles)
    else:  # argparse says how the command is used, too
        assert ended.status == 2
        assert re.search(f"error: argument {words[0]}: ", ended.err)
        assert "Traceback" not in ended.err
    assert no_step(tmp_path / "run")


def test_ranks_that_cannot_share_a_batch(kept: Path, tmp_path: Path) -> None:
    words = ("--batch-tokens", LENGTH * 3, "--tokens", STEPS * LENGTH * 3)
    ended = run(*FEW, *words, "--data", kept, "--output", tmp_path / "run", world=2)
    assert ended.status == 2
    assert "a global batch of 3 samples cannot be shared evenly by 2 ranks" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (["--seed", 1], "seed was 0, is 1"),
        (["--learning-rate", 0.5], r"learning_rate was 0\.003, is 0\.5"),
        (["--preset", "160m"], r"shape was \{'dim': 128, .* is \{'dim': 768"),
        (["--length", LENGTH // 2], "length was 32, is 16; batch was 8, is 16"),
        (["--tokens", 11 * BATCH], "steps was 12, is 11"),
        (["--within-documents"], "within_documents was False, is True"),
        (["--precision", "bf16"], "precision was fp32, is bf16"),
    ],
)
def test_a_run_does_not_go_on_by_another_recipe(
    words: list[object], needle: str, kept: Path, done: Path
) -> None:
    before = (done / "metrics.jsonl").read_bytes()
    ended = run(*FEW, *words, "--data", kept, "--output", done)
    assert_told(ended, "step-00000012 is of a run with another recipe", needle, "give another --output")
    assert (done / "metrics.jsonl").read_bytes() == before


def test_a_run_does_not_go_on_with_other_shards(done: Path, tokenizer: Path, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    other = write_corpus(tmp_path / "other", (17, 17, 17), vocab=VOCAB, tokenizer=sha256, seed=1)
    was, is_ = records(done, "run")[0]["recipe"]["corpus"], Corpus.open(other).sha256.hex()
    assert_told(run(*FEW, "--data", other, "--output", done), f"corpus was {was}, is {is_}")


def test_a_damaged_checkpoint(kept: Path, done: Path, tmp_path: Path) -> None:
    """It says what to delete; that done, the run goes on from the one before, to the same end."""
    output = shutil.copytree(done, tmp_path / "run")
    command = (*FEW, "--data", kept, "--output", output)
    last = find(output / "checkpoints")
    for name in ("rank-00000.safetensors", "manifest.json"):
        before = (last / name).read_bytes()
        flip(last / name, len(before) // 2)
        assert_told(run(*command), re.escape(f"{last / name}"), re.escape(f"delete {last} to go on"))
        (last / name).write_bytes(before)
    shutil.rmtree(last)
    assert run(*command).status == 0
    assert curve(output) == curve(done)
    assert weights(output) == weights(done)


def test_an_output_that_cannot_be_written(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file/run", Path("/proc/run")):
        ended = run(*FEW, "--data", kept, "--output", output, streams=tmp_path / "start")
        assert_told(ended, re.escape(f"{output} cannot be written to"), "another --output")


def test_training_that_diverges_ends_with_status_1(kept: Path, tmp_path: Path) -> None:
    words = ("--learning-rate", 1e30, "--tokens", 30 * BATCH // 4, "--batch-tokens", BATCH // 4)
    ended = run(*FEW, *words, "--data", kept, "--output", tmp_path / "run")
    assert_told(ended, "25 steps in a row could not be taken", "lower --learning-rate", status=1)
    assert len(records(tmp_path / "run", "skipped")) == 24
