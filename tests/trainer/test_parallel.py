"""However a model lies on devices it is the same: checkpointing, compilation and ranks change no loss."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.trainer.corpora import write_corpus
from tests.trainer.models import SHAPE
from tests.trainer.sharded_steps import BATCH, LENGTH, PRECISIONS, STEPS, steps
from trainer.errors import TrainerError
from trainer.model import Llama, initialise
from trainer.parallel import CHECKPOINTING, Ranks, distribute, ranks

ROOT = Path(__file__).parents[2]
ALONE = Ranks(0, 1, 1, torch.device("cpu"), "")
PRODUCTS = 7  # matrices of a block
DOCUMENTS = torch.tensor([[0] * 20 + [1] * 44, [0] * 64])

Said = dict[str, Any]


class Counted(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **kwargs or {})


def distributed(checkpointing: str, compiled: bool = False, dtype: torch.dtype = torch.float32) -> Llama:
    with torch.device("meta"):
        model = Llama(SHAPE, dtype)
    distribute(model, ALONE, checkpointing=checkpointing, compiled=compiled)
    initialise(model, 0)
    return model


def losses(model: Llama, documents_BT: Tensor | None = None) -> Tensor:
    tokens_BT, targets_BT = torch.randint(SHAPE.vocab, (2, 2, 64), generator=torch.Generator().manual_seed(0))
    found: Tensor = model(tokens_BT, targets_BT, documents_BT)
    return found


def losses_and_gradients(model: Llama, documents_BT: Tensor | None = None) -> dict[str, Tensor]:
    """By name of the parameter; the losses as ``losses``."""
    found = {"losses": losses(model, documents_BT)}
    found["losses"].sum().backward()
    return found | {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def counted(checkpointing: str) -> tuple[Counter[str], Counter[str]]:
    """Operations on the way there and on the way back."""
    model = distributed(checkpointing)
    with Counted() as there:
        total = losses(model).sum()
    with Counted() as back:
        total.backward()
    return there.counts, back.counts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where 2 and 3 processes have said what they did: WORLD-RANK.json."""
    folder = tmp_path_factory.mktemp("sharded")
    write_corpus(folder / "shards")
    subprocess.run(
        [sys.executable, "-m", "tests.trainer.sharded_steps", str(folder)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        timeout=300,
    )
    return folder


@pytest.fixture(scope="module")
def two(folder: Path) -> list[Said]:
    return [json.loads((folder / f"2-{rank}.json").read_text()) for rank in range(2)]


@pytest.fixture(scope="module")
def three(folder: Path) -> list[Said]:
    return [json.loads((folder / f"3-{rank}.json").read_text()) for rank in range(3)]


@pytest.fixture(scope="module")
def one(folder: Path) -> Said:
    """What one process does."""
    return {precision: steps(folder, ALONE, precision) for precision in PRECISIONS}


@pytest.fixture
def restored() -> Iterator[None]:
    """Leaves the process's choice of kernels as it was."""
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True


@pytest.mark.parametrize("checkpointing", ["selective", "full"])
@pytest.mark.parametrize("documents_BT", [None, DOCUMENTS], ids=["across", "within"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_computed_again_is_the_same_bit_for_bit(
    checkpointing: str, documents_BT: Tensor | None, dtype: torch.dtype
) -> None:
    wanted = losses_and_gradients(distributed("none", dtype=dtype), documents_BT)
    found = losses_and_gradients(distributed(checkpointing, dtype=dtype), documents_BT)
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("checkpointing", ["none", "selective", pytest.param("full", marks=pytest.mark.slow)])
def test_compiled_it_is_the_same_model(checkpointing: str) -> None:
    wanted = losses_and_gradients(distributed("none"), DOCUMENTS)
    found = losses_and_gradients(distributed(checkpointing, compiled=True), DOCUMENTS)
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_selective_keeps_products_and_attention_and_computes_the_rest_again() -> None:
    (there, none), (_, selective), (_, full) = (counted(checkpointing) for checkpointing in CHECKPOINTING)
    attention = "_scaled_dot_product_flash_attention_for_cpu"
    assert (there[attention], there["silu"]) == (SHAPE.layers, SHAPE.layers)
    again_selective, again_full = selective - none, full - none
    assert (none["silu"], none[attention]) == (0, 0)
    assert again_selective["silu"] == again_full["silu"] == SHAPE.layers
    assert (again_selective["mm"], again_selective[attention]) == (0, 0)
    # The last product of a block is not needed for its gradients: w2's output.
    assert again_full["mm"] == (PRODUCTS - 1) * SHAPE.layers
    assert again_full[attention] == SHAPE.layers


def test_one_process_is_alone(restored: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with ranks("cpu") as first, ranks("cpu") as second:
        assert (first.rank, first.world, first.here, first.device) == (0, 1, 1, torch.device("cpu"))
        assert first.first
        assert first.attempt != second.attempt
        assert first.sum(torch.ones(2)).tolist() == [1, 1]
        assert torch.are_deterministic_algorithms_enabled()
    with ranks("cpu", deterministic=False):
        assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("device", "message"), [("tpu", "no device 'tpu': cpu or cuda"), ("cuda", r"process 0 .* has no GPU")]
)
def test_a_device_that_is_not_there_is_refused(
    device: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(TrainerError, match=message), ranks(device):
        pass


def test_all_ranks_share_the_name_of_a_start(two: list[Said], three: list[Said]) -> None:
    assert [len({said["attempt"] for said in all_}) for all_ in (two, three)] == [1, 1]
    assert two[0]["attempt"] != three[0]["attempt"]


def test_first_weights_are_the_same_on_any_number_of_ranks(
    one: Said, two: list[Said], three: list[Said]
) -> None:
    """Three do not divide the rows of a matrix."""
    assert SHAPE.dim % 3
    wanted = one["fp32"]["first"]
    assert len(wanted) == len(set(wanted.values())) + 2 * SHAPE.layers  # norms alone are equal
    assert all(said["fp32"]["first"] == wanted for said in two)
    assert all(said["first"] == wanted for said in three)


def test_two_ranks_share_the_samples_of_one(one: Said, two: list[Said]) -> None:
    for step in range(STEPS):
        parts = [said["fp32"]["rows"][step] for said in two]
        assert [len(part) for part in parts] == [BATCH // 2] * 2
        turns = list(itertools.chain.from_iterable(zip(*parts, strict=True)))
        assert turns == one["fp32"]["rows"][step]


@pytest.mark.parametrize("which", ["fp32", "selective"])
def test_two_ranks_take_the_steps_of_one(which: str, one: Said, two: list[Said]) -> None:
    wanted = one["fp32"]
    assert wanted["losses"][-1] < wanted["losses"][0] - 0.1
    for said in two:
        found = said[which]
        assert found["losses"] == pytest.approx(wanted["losses"], rel=1e-5)
        assert found["norms"] == pytest.approx(wanted["norms"], rel=1e-5)


def test_in_bf16_too_as_near_as_its_eight_bits_allow(one: Said, two: list[Said]) -> None:
    wanted = one["bf16"]
    assert wanted["losses"] != one["fp32"]["losses"]
    for said in two:
        assert said["bf16"]["losses"] == pytest.approx(wanted["losses"], rel=2**-9)
        assert said["bf16"]["norms"] == pytest.approx(wanted["norms"], rel=2**-6)


def test_all_ranks_say_the_same_of_a_step_and_of_all_sources(one: Said, two: list[Said]) -> None:
    first, second = (said["fp32"] for said in two)
    for key in ("losses", "by source", "tokens", "norms", "joules"):
        assert first[key] == second[key]
    assert first["tokens"] == one["fp32"]["tokens"]
    assert {sum(tokens) for tokens in first["tokens"]} == {BATCH * LENGTH}
    for found, wanted in zip(first["by source"], one["fp32"]["by source"], strict=True):
        assert found == pytest.approx(wanted, rel=1e-5)
    assert (first["joules"], one["fp32"]["joules"]) == ([2.0] * STEPS, [1.0] * STEPS)


def test_three_ranks_refuse_a_batch_they_cannot_share(three: list[Said]) -> None:
    message = f"a global batch of {BATCH} samples cannot be shared evenly by 3 ranks: choose a multiple of 3"
    assert [said["error"] for said in three] == [message] * 3
