"""`python -m trainer` as it is asked: what it is told wrongly, what it prints, what it begins from."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.trainer.corpora import write_corpus
from tests.trainer.models import write_tokenizer
from tests.trainer.runs import BATCH, LENGTH, SMALL, Ended, Start, curve, records, run, weights
from tokenizer.reader import Corpus, Reader
from trainer.checkpoint.folder import find
from trainer.export.models import export, restore
from trainer.presets import Shape

ROOT = Path(__file__).parents[2]
VOCAB = 400
STEPS = 12
FEW = (*SMALL, "--tokens", STEPS * BATCH, "--checkpoint-every", 4, "--evaluate-every", 6)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"), vocab=VOCAB)


@pytest.fixture(scope="module")
def kept(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards with a tokenizer beside them; tests that change any take a copy."""
    sha256 = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    root = tmp_path_factory.mktemp("corpus") / "shards"
    write_corpus(root, (17, 17, 17), vocab=VOCAB, tokenizer=sha256)
    shutil.copy(tokenizer, root / "tokenizer.model")
    return root


@pytest.fixture
def shards(kept: Path, tmp_path: Path) -> Path:
    return shutil.copytree(kept, tmp_path / "shards")


@pytest.fixture(scope="module")
def done(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `FEW`, started as users do."""
    output = tmp_path_factory.mktemp("done") / "run"
    command = [sys.executable, "-m", "trainer", *map(str, FEW), "--data", str(kept), "--output", str(output)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    output.with_name("err").write_text(ended.stderr)
    output.with_name("out").write_text(ended.stdout)
    return output


def assert_told(ended: Ended, *needles: str, status: int = 2) -> None:
    """One line on stderr that says what is wrong."""
    assert ended.status == status, ended.err
    lines = [line for line in ended.err.splitlines() if line.startswith("trainer: ")]
    assert len(lines) == 1, ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    for needle in needles:
        assert re.search(needle, lines[0]), lines[0]
    others = [line for line in ended.err.splitlines() if line not in lines]
    if status == 2:
        assert all(line.startswith("step 0: ") for line in others), others


def flip(path: Path, byte: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)


def no_step(output: Path) -> bool:
    return not (output / "metrics.jsonl").exists() or not records(output, "train")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def test_a_run_tells_where_it_is_and_what_came_of_it(done: Path) -> None:
    lines = done.with_name("err").read_text().splitlines()
    assert [line.split(":")[0] for line in lines if "bits per byte" in line] == [
        "step 0",
        "step 6",
        "step 12",
    ]
    (last,) = [line for line in lines if line.startswith("step 12 of 12: loss ")]
    assert last.endswith("0 min 00 s left")
    assert "kg CO2eq" in lines[-1]
    table = done.with_name("out").read_text().splitlines()
    assert table[0].split() == ["tokens", "bytes", "bits/byte", "unigram", "nats/token"]
    assert [line.split()[0] for line in table[1:3]] == ["books", "github"]
    assert sorted(path.name for path in done.iterdir()) == [
        *("checkpoints", "loss.png", "metrics.jsonl", "tokenizer.model")
    ]
    (about,) = records(done, "run")
    assert about["recipe"]["steps"] == STEPS
    assert about["parameters"] == Shape(128, 4, 4, VOCAB).parameters


def test_a_bar_on_a_terminal(kept: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 120, 0, 0))
    shown = bytearray()

    def read() -> None:
        try:
            while part := os.read(ours, 4096):
                shown.extend(part)
        except OSError:  # the last one that had it open has closed it
            pass

    reader = threading.Thread(target=read)
    reader.start()
    start = Start(
        *FEW, "--stop-after", 3, "--data", kept, "--output", tmp_path / "run", terminal=os.ttyname(theirs)
    )
    assert start.wait().status == 0
    os.close(theirs)
    reader.join(10)
    text = shown.decode()
    assert re.search(r"\r *\d+%\|.*\| 3/12 \[.*loss \d\.\d{3}, [\d,]+ tokens/s\]", text), text
    assert "step 0: bits per byte" in text
    assert "step 3 of 12" in text


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


def test_options_may_change(kept: Path, done: Path, tmp_path: Path) -> None:
    """What only decides speed and what is written: the samples stay, the losses to rounding."""
    output = tmp_path / "run"
    command = (*FEW, "--data", kept, "--output", output)
    assert run(*command, "--stop-after", 5).status == 0
    words = ("--micro-batch", 8, "--checkpointing", "selective", "--keep", 1, "--no-deterministic")
    assert run(*command, *words).status == 0
    for one, other in zip(records(output, "train"), records(done, "train"), strict=True):
        assert one["tokens_by_source"] == other["tokens_by_source"]
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)


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


def test_prompts_are_continued_at_each_evaluation(kept: Path, tokenizer: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    words = ("--length", 64, "--prompt", "The mill", "--prompt", "1, 2")
    ended = run(*FEW, *words, "--data", kept, "--output", output)
    assert ended.status == 0, ended.err
    samples = records(output, "sample")
    assert [(record["step"], record["text"][:4]) for record in samples] == [
        (step, prompt[:4]) for step in (0, 6, 12) for prompt in ("The mill", "1, 2")
    ]
    assert len({record["text"] for record in samples}) > 2
    assert samples[0]["text"] in ended.err
    (output / "tokenizer.model").unlink()
    (copy := shutil.copytree(kept, tmp_path / "shards")).joinpath("tokenizer.model").unlink()
    assert_told(
        run(*FEW, *words, "--data", copy, "--output", output), "holds no tokenizer.model", "run `mix` again"
    )


def test_a_run_begins_from_an_exported_model(kept: Path, done: Path, tokenizer: Path, tmp_path: Path) -> None:
    """Its first scores are the last ones of the model, its first loss is the model's on the first batch."""
    folder, output = tmp_path / "exported", tmp_path / "run"
    export(find(done / "checkpoints"), folder, tokenizer, torch.float32)
    command = (*FEW, "--data", kept, "--output", output, "--from", folder, "--seed", 1)
    assert run(*command, "--stop-after", 2).status == 0
    first, last = records(output, "evaluation")[0], records(done, "evaluation")[-1]
    assert first["bits_per_byte"] == last["bits_per_byte"]

    reader = Reader([Corpus.open(kept)], LENGTH, seed=1)
    rows = torch.from_numpy(next(reader.batches(BATCH // LENGTH, 0, 1, 0)).astype("int64"))
    with torch.no_grad():
        loss = restore(folder, "cpu")(rows[:, :-1], rows[:, 1:]).mean().item()
    assert records(output, "train")[0]["loss"] == pytest.approx(loss, abs=1e-5)

    other = json.loads((folder / "config.json").read_text()) | {"rms_norm_eps": 1e-5}
    (folder / "config.json").write_text(json.dumps(other))
    assert run(*command, "--stop-after", 3).status == 0  # goes on from its checkpoint
    words = (*FEW, "--data", kept, "--output", tmp_path / "new", "--from", folder)
    assert_told(run(*words), re.escape(f"{folder} is of Shape("), "the preset and shards of Shape")
    flip(folder / "model.safetensors")
    assert_told(run(*command), "start was [0-9a-f]{64}, is [0-9a-f]{64}")
    flip(folder / "tokenizer.model")
    assert_told(run(*words), "tokenizer.model: not the tokenizer")
