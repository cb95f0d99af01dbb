"""`python -m trainer`: what it prints, what it begins from, and what may change on the way."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import termios
import threading
from pathlib import Path

import pytest
import torch

from tests.trainer.runs import BATCH, FEW, LENGTH, VOCAB, Start, assert_told, flip, records, run
from tests.trainer.runs import FEW_STEPS as STEPS
from tokenizer.reader import Corpus, Reader
from trainer.checkpoint.folder import find
from trainer.export.models import export, restore
from trainer.presets import Shape


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


def test_a_dry_run_tells_what_would_be_trained_and_writes_nothing(kept: Path, tmp_path: Path) -> None:
    ended = run(*FEW, "--data", kept, "--output", tmp_path / "run", "--dry-run")
    assert ended.status == 0, ended.err
    told = dict(line.split(maxsplit=1) for line in ended.out.splitlines())
    assert told["tokens"] == f"{STEPS * BATCH:,} in {STEPS} batches of {BATCH}"
    assert told["parameters"] == f"{Shape(128, 4, 4, VOCAB).parameters:,}"
    assert told["memory"].startswith("about 0.")
    assert not (tmp_path / "run").exists()


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
