"""The paper's sizes (section 2, table 2), and what is refused."""

import dataclasses

import pytest
import torch

from trainer import presets
from trainer.errors import TrainerError
from trainer.model import Llama
from trainer.presets import Shape

# Counted on the released weights: the paper's 6.7B, 13.0B, 32.5B and 65.2B.
PARAMETERS = {"7b": 6_738_415_616, "13b": 13_015_864_320, "33b": 32_528_943_616, "65b": 65_285_660_672}
HIDDEN = {"7b": 11_008, "13b": 13_824, "33b": 17_920, "65b": 22_016}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_papers_sizes_have_exactly_its_parameters(name: str) -> None:
    shape = presets.load(name).shape()
    with torch.device("meta"):
        model = Llama(shape)
    assert sum(p.numel() for p in model.parameters()) == shape.parameters == PARAMETERS[name]
    assert (shape.hidden, shape.head_dim) == (HIDDEN[name], 128)


def test_the_papers_hyper_parameters() -> None:
    table = {name: presets.load(name) for name in PARAMETERS}
    assert [p.learning_rate for p in table.values()] == [3e-4, 3e-4, 1.5e-4, 1.5e-4]
    assert [p.tokens for p in table.values()] == [1e12, 1e12, 1.4e12, 1.4e12]
    assert [p.norm_eps for p in table.values()] == [1e-6, 1e-6, 1e-6, 1e-5]
    assert {(p.length, p.warmup_steps, p.batch_tokens) for p in table.values()} == {(2048, 2000, 4_194_304)}


@pytest.mark.parametrize(("name", "size"), [("60m", 60e6), ("160m", 160e6), ("1b", 1e9)])
def test_the_small_ones_are_as_large_as_their_names_say(name: str, size: float) -> None:
    assert presets.load(name).shape().parameters == pytest.approx(size, rel=0.06)


def test_every_preset_makes_whole_batches() -> None:
    for name in presets.names():
        preset = presets.load(name)
        assert preset.batch_tokens % preset.length == 0


def test_an_unknown_preset_is_told_with_those_there_are() -> None:
    with pytest.raises(TrainerError, match=r"no preset '8b'; there are tiny, 60m, .*65b"):
        presets.load("8b")


@pytest.mark.parametrize("change", [{"heads": 3}, {"dim": 0}, {"layers": 0}, {"vocab": -1}])
def test_a_shape_that_no_model_has_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(TrainerError, match="no model has this shape"):
        dataclasses.replace(Shape(64, 4, 2, 100), **change)
