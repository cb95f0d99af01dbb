"""A run that cannot fit is refused before it starts; what is said that it needs is what it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainer import memory, presets
from trainer.errors import TrainerError
from trainer.memory import available, check, needed
from trainer.parallel import CHECKPOINTING, Ranks
from trainer.recipe import Options, Recipe

ROOT = Path(__file__).parents[2]
GB = 10**9
A100 = 80 * GB


def run(name: str, checkpointing: str = "none") -> tuple[Recipe, Options]:
    """A preset as it is."""
    preset = presets.load(name)
    recipe = Recipe(preset.shape(), preset.length, 8, 100, 1e-3, 1, 0, preset.precision, False, 10.0, "", "")
    return recipe, Options("", Path(), preset.micro_batch, checkpointing)


def ranks(world: int = 1, here: int = 1) -> Ranks:
    return Ranks(0, world, here, torch.device("cpu"), "")


def device_of(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda ranks: size)


def test_the_largest_on_one_small_device_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    device_of(16 * GB, monkeypatch)
    message = (
        r"^a model of 65,285,660,672 parameters needs about 1[\d,]{3}\.\d GB on each of 1 devices with "
        r"micro-batches of 1; cpu has 16\.0 GB\. Use more devices, --checkpointing full, a smaller "
        "--micro-batch, or a smaller preset$"
    )
    with pytest.raises(TrainerError, match=message):
        check(*run("65b"), ranks())


def test_the_smallest_fits_this_machine() -> None:
    check(*run("tiny"), ranks())
    assert needed(*run("tiny"), 1) < 0.5 * GB


def test_the_limit_is_the_bytes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, options = run("60m")
    device_of(needed(recipe, options, 2), monkeypatch)
    check(recipe, options, ranks(2))
    with pytest.raises(TrainerError, match="on each of 1 devices"):
        check(recipe, options, ranks(1))


@pytest.mark.parametrize(
    ("name", "world", "fits"), [("7b", 1, False), ("7b", 8, True), ("65b", 8, False), ("65b", 2_048, True)]
)
def test_what_fits_cards_of_80_gb(name: str, world: int, fits: bool) -> None:
    """The paper trains the largest on 2,048 of them (section 2.4)."""
    assert (needed(*run(name, "selective"), world) < A100) == fits


def test_ranks_share_parameters_and_moments_alone() -> None:
    recipe, options = run("7b")
    two, four = needed(recipe, options, 2), needed(recipe, options, 4)
    assert two - four == recipe.shape.parameters * 16 // 4


def test_the_more_is_computed_again_the_less_is_kept() -> None:
    none, selective, full = (needed(*run("1b", checkpointing), 1) for checkpointing in CHECKPOINTING)
    assert none > selective > full > 16 * run("1b")[0].shape.parameters


@pytest.mark.parametrize(
    ("checkpointing", "precision"),
    [
        ("none", "fp32"),
        ("full", "bf16"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("selective", "fp32"), ("full", "fp32"), ("none", "bf16"), ("selective", "bf16"))
        ),
    ],
)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")
def test_the_estimate_is_near_what_a_step_takes(checkpointing: str, precision: str) -> None:
    """The shape of the 60m with 2,000 pieces, two rows of 1,024, not compiled."""
    # One thread, and memory given back as soon as it is free, so that the peak is that of live tensors.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    said = subprocess.run(
        [sys.executable, "-m", "tests.trainer.peak", checkpointing, precision],
        cwd=ROOT,
        env=environment,
        check=True,
        timeout=300,
        capture_output=True,
        text=True,
    )
    estimated, measured = map(int, said.stdout.split())
    assert 0.9 < estimated / measured < 1.3


def test_a_limit_of_the_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CGROUP_LIMIT", limit)
    whole = available(ranks())
    assert whole == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for text, expected in (("max\n", whole), (f"{2**70}\n", whole), ("1000000\n", 1_000_000)):
        limit.write_text(text)
        assert available(ranks()) == expected


def test_processes_of_a_machine_share_its_memory() -> None:
    assert available(ranks(8, here=4)) == available(ranks()) // 4


def test_in_bf16_the_weights_are_there_twice_on_one_rank() -> None:
    """Next to them nothing else counts where rows are one token long."""
    recipe, options = run("1b")
    narrow = replace(recipe, length=1)
    wide = replace(narrow, precision="fp32")
    twice = needed(narrow, options, 1) - needed(wide, options, 1)
    assert twice == pytest.approx(2 * recipe.shape.parameters, rel=0.1)
