"""The losses of twenty steps of a fixed model on a fixed corpus, beside those that were once found.

In: `tests/golden/trainer/losses.json`. A change that is meant to change them writes it again, with

    python -m tests.trainer.test_golden_loss

and says why in its message; other processors round otherwise, which is all that the tolerance is for.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.corpora import write_corpus
from tests.trainer.runs import records
from tests.trainer.small import finish, prepare
from tokenizer.reader import Corpus
from trainer import presets

GOLDEN = Path(__file__).parents[1] / "golden/trainer/losses.json"
STEPS = 20
COLUMNS = ("loss", "gradient_norm", "learning_rate", "loss_by_source", "tokens_by_source")


def found(folder: Path) -> dict[str, Any]:
    """What the golden file holds, of a run in a folder."""
    preset = dataclasses.replace(
        presets.load("tiny"), dim=64, layers=2, length=32, batch_tokens=256, warmup_steps=5
    )
    shards = write_corpus(folder / "shards", (40, 40))
    finish(prepare(shards, folder / "run", STEPS, preset))
    steps = records(folder / "run", "train")
    return {
        "corpus": Corpus.open(shards).sha256.hex(),
        "steps": [{column: step[column] for column in COLUMNS} for step in steps],
    }


def test_the_losses_are_those_of_before(tmp_path: Path) -> None:
    golden, now = json.loads(GOLDEN.read_bytes()), found(tmp_path)
    assert now["corpus"] == golden["corpus"]  # if not, the test's corpus has changed, not the trainer
    assert len(now["steps"]) == len(golden["steps"]) == STEPS
    for step, expected in zip(now["steps"], golden["steps"], strict=True):
        assert step["tokens_by_source"] == expected["tokens_by_source"]
        for column in COLUMNS[:-1]:
            assert step[column] == pytest.approx(expected[column], rel=1e-4), column


def test_the_golden_run_learns() -> None:
    losses = [step["loss"] for step in json.loads(GOLDEN.read_bytes())["steps"]]
    assert losses[-1] < losses[0] - 0.5


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(json.dumps(found(Path(temporary)), indent=1) + "\n")
    print(f"{GOLDEN} is written")
