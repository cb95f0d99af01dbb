"""The model is LLaMA: equal to one written plainly, causal, by distances, within documents if asked."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from tests.trainer import reference
from tests.trainer.models import SHAPE, random_model
from trainer import model as model_module
from trainer.model import Llama, RMSNorm, attend, initialise, rotate, rotations, within_documents
from trainer.presets import Shape

# Documents of rows of 12: of 5, 1 and 6 tokens; of 12; of 1, 9 and 2.
DOCUMENTS = torch.tensor([[0] * 5 + [1] + [2] * 6, [0] * 12, [0] + [1] * 9 + [2] * 2])


def rows(*size: int, seed: int = 0, vocab: int = SHAPE.vocab) -> Tensor:
    return torch.randint(vocab, size, generator=torch.Generator().manual_seed(seed))


def attention_inputs(*, length: int = 12) -> list[Tensor]:
    """q, k, v of three rows."""
    generator = torch.Generator().manual_seed(0)
    return list(torch.randn(3, len(DOCUMENTS), 4, length, 8, generator=generator).unbind())


class OnGpu:
    """A tensor that says it is on a GPU, so that the mask made for one can be looked at without one."""

    is_cuda = True

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.shape, self.device = tensor, tensor.shape, tensor.device

    def __getitem__(self, place: tuple[Tensor, Tensor]) -> Tensor:
        return self.tensor[place]


@pytest.mark.parametrize(
    "shape",
    [
        SHAPE,
        Shape(dim=48, heads=3, layers=1, vocab=50),
        Shape(dim=16, heads=1, layers=3, vocab=11, norm_eps=0.1),
    ],
)
@torch.no_grad()
def test_the_logits_are_those_of_one_written_plainly(shape: Shape) -> None:
    model, tokens_BT = random_model(shape), rows(2, 12, vocab=shape.vocab)
    found_BTV = model(tokens_BT)
    assert found_BTV.dtype == torch.float32
    for found_TV, tokens in zip(found_BTV, tokens_BT.tolist(), strict=True):
        wanted_TV = reference.logits(dict(model.named_parameters()), shape, tokens)
        torch.testing.assert_close(found_TV.double(), wanted_TV, rtol=1e-4, atol=2e-5)


def test_the_losses_and_their_gradients_are_those_of_the_logits() -> None:
    model, tokens_BT, targets_BT = random_model(), rows(3, 12), rows(3, 12, seed=1)
    losses_BT = model(tokens_BT, targets_BT)
    losses_BT.sum().backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    wanted_N = F.cross_entropy(model(tokens_BT).flatten(0, 1), targets_BT.flatten(), reduction="none")
    wanted_N.sum().backward()
    torch.testing.assert_close(losses_BT, wanted_N.view(3, 12))
    for name, p in model.named_parameters():
        torch.testing.assert_close(found[name], p.grad, rtol=1e-4, atol=1e-5, msg=name)


@torch.no_grad()
def test_a_later_token_never_changes_an_earlier_logit() -> None:
    model, tokens_BT = random_model(), rows(1, 12)
    whole_TV = model(tokens_BT)[0]
    for t in range(1, 12):
        other_BT = tokens_BT.clone()
        other_BT[0, t:] = (other_BT[0, t:] + 1) % SHAPE.vocab
        found_TV = model(other_BT)[0]
        assert torch.equal(found_TV[:t], whole_TV[:t])
        assert not found_TV[t:].isclose(whole_TV[t:]).all(1).any()


@torch.no_grad()
def test_only_distances_count() -> None:
    """The same tokens further back in a row, in a document of their own, have the same logits."""
    model, tokens_BT = random_model(), rows(1, 8)
    for before in (1, 7, 40):
        moved_BT = torch.cat((rows(1, before, seed=2), tokens_BT), 1)
        documents_BT = (torch.arange(before + 8) >= before).long().unsqueeze(0)
        targets_BT = torch.zeros_like(moved_BT)
        found_BT = model(moved_BT, targets_BT, documents_BT)[:, before:]
        torch.testing.assert_close(found_BT, model(tokens_BT, targets_BT[:, before:]), rtol=1e-5, atol=2e-5)


@torch.no_grad()
def test_but_distances_do_count() -> None:
    model, tokens_BT = random_model(), torch.tensor([[5, 9, 9, 7], [9, 5, 9, 7]])
    assert not model(tokens_BT)[0, -1].isclose(model(tokens_BT)[1, -1]).all()


def test_turning_neighbours_is_turning_halves_of_permuted_rows() -> None:
    """Meta's convention and Hugging Face's: q · k is the same (convert_llama_weights_to_hf.py, `permute`)."""
    heads, width, length = 4, 8, 12
    q_BTD, k_BTD = torch.randn(2, 1, length, heads * width, generator=torch.Generator().manual_seed(0))
    rotation = rotations(length, width, 10_000.0, torch.device("cpu"))

    def halves(x_BTD: Tensor) -> Tensor:
        rows_D = torch.arange(heads * width).view(heads, width // 2, 2).transpose(1, 2).flatten()
        first, second = x_BTD[..., rows_D].unflatten(-1, (heads, width)).chunk(2, -1)
        cos, sin = rotation
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)

    def scores(q_BTHK: Tensor, k_BTHK: Tensor) -> Tensor:
        return torch.einsum("bqhk,bshk->bhqs", q_BTHK, k_BTHK)

    mine = scores(*(rotate(x.unflatten(-1, (heads, width)), rotation) for x in (q_BTD, k_BTD)))
    torch.testing.assert_close(mine, scores(halves(q_BTD), halves(k_BTD)))
    assert not mine.isclose(scores(*(x.unflatten(-1, (heads, width)) for x in (q_BTD, k_BTD)))).all()


def test_positions_are_turned_in_fp32_whatever_is_computed_in() -> None:
    """At position 2,047 a bf16 angle would be off by up to four."""
    x_BTHK = torch.randn(1, 2_048, 2, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    found = rotate(x_BTHK, rotations(2_048, 16, 10_000.0, x_BTHK.device))
    wanted = reference.turned(x_BTHK[0].double(), 10_000.0)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found[0].double(), wanted, rtol=2**-8, atol=1e-3)


def test_norms_are_computed_in_fp32() -> None:
    """Of bf16 inputs they are the exact values, rounded once; steps in bf16 would put a third of them off."""
    x_ND = torch.randn(64, 512, generator=torch.Generator().manual_seed(0)).bfloat16()
    wanted_ND = x_ND.double() / x_ND.double().square().mean(-1, keepdim=True).add(1e-6).sqrt()
    found_ND = RMSNorm(512, 1e-6)(x_ND)
    assert found_ND.dtype == torch.bfloat16
    assert (found_ND != wanted_ND.bfloat16()).double().mean() < 0.001


def test_within_documents_each_has_the_losses_it_has_alone() -> None:
    model, tokens_BT, targets_BT = random_model(), rows(3, 12), rows(3, 12, seed=1)
    losses_BT = model(tokens_BT, targets_BT, DOCUMENTS)
    losses_BT.sum().backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    for b in range(3):
        for document in DOCUMENTS[b].unique():
            mine_T = DOCUMENTS[b] == document
            alone_BT = model(tokens_BT[b, mine_T].unsqueeze(0), targets_BT[b, mine_T].unsqueeze(0))
            alone_BT.sum().backward()
            torch.testing.assert_close(losses_BT[b, mine_T], alone_BT[0], rtol=1e-5, atol=2e-5)
    for name, p in model.named_parameters():
        torch.testing.assert_close(found[name], p.grad, rtol=1e-3, atol=2e-5, msg=name)
    across_BT = model(tokens_BT, targets_BT)
    assert torch.equal(across_BT[1], losses_BT[1])
    assert not across_BT[0, 5:].isclose(losses_BT[0, 5:]).any()


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_mask_of_blocks_lets_through_what_the_plain_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU's kernel is given, here computed without one; backward there is none on a CPU."""
    monkeypatch.setattr(model_module, "_flex_attention", lambda: flex_attention)
    documents_BT = DOCUMENTS.repeat_interleave(20, 1)  # 240 long: more than a block of 128
    blocks, plain = within_documents(OnGpu(documents_BT)), within_documents(documents_BT)
    assert isinstance(blocks, BlockMask)
    q_BHTK, k_BHTK, v_BHTK = attention_inputs(length=240)
    found_BHTK = attend(q_BHTK, k_BHTK, v_BHTK, blocks)
    torch.testing.assert_close(found_BHTK, attend(q_BHTK, k_BHTK, v_BHTK, plain), rtol=1e-5, atol=1e-5)
    assert blocks.to_dense().shape == (3, 1, 2, 2)
    assert blocks.to_dense()[:, 0, 0, 1].tolist() == [0, 0, 0]  # the future is skipped


def test_one_document_a_row_is_causal_attention() -> None:
    q_BHTK, k_BHTK, v_BHTK = attention_inputs()
    mask = within_documents(torch.zeros(3, 12, dtype=torch.int64))
    torch.testing.assert_close(attend(q_BHTK, k_BHTK, v_BHTK, mask), attend(q_BHTK, k_BHTK, v_BHTK, None))


def test_in_bf16_master_weights_and_gradients_stay_fp32() -> None:
    model, tokens_BT, targets_BT = random_model(), rows(3, 12), rows(3, 12, seed=1)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    exact_BT = model(tokens_BT, targets_BT)
    exact_BT.sum().backward()
    exact = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    model.dtype = torch.bfloat16
    seen: list[torch.dtype] = []
    model.layers[1].register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    losses_BT = model(tokens_BT, targets_BT)
    losses_BT.sum().backward()
    assert seen == [torch.bfloat16]
    assert losses_BT.dtype == torch.float32
    assert not torch.equal(losses_BT, exact_BT)
    torch.testing.assert_close(losses_BT, exact_BT, rtol=0.05, atol=0.1)
    for name, p in model.named_parameters():
        assert (p.dtype, p.grad.dtype) == (torch.float32, torch.float32)
        assert torch.equal(p, before[name])
        assert (p.grad - exact[name]).norm() < 0.06 * exact[name].norm(), name


def initialised(shape: Shape, seed: int) -> dict[str, Tensor]:
    model = Llama(shape)
    initialise(model, seed)
    return {name: p.detach() for name, p in model.named_parameters()}


def test_first_weights_have_the_deviations_they_should() -> None:
    shape = Shape(dim=128, heads=4, layers=8, vocab=1_000)
    for name, weight in initialised(shape, 0).items():
        if weight.ndim == 1:
            assert (weight == 1).all(), name
            continue
        std = 0.02 / math.sqrt(16) if name.split(".")[-2] in ("wo", "w2") else 0.02
        assert weight.std().item() == pytest.approx(std, rel=0.03), name
        assert abs(weight.mean().item()) < 5 * std / math.sqrt(weight.numel()), name
        assert weight.abs().max() > 3.3 * std, name  # not cut off


def test_the_seed_decides_the_first_weights() -> None:
    first, again, other = (initialised(SHAPE, seed) for seed in (0, 0, 1))
    matrices = [name for name in first if first[name].ndim > 1]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in matrices)
    assert not torch.equal(first["layers.0.attention.wq.weight"], first["layers.1.attention.wq.weight"])
    assert not torch.equal(first["layers.0.attention.wq.weight"], first["layers.0.attention.wk.weight"])


def test_a_run_begun_again_elsewhere_begins_with_these_weights() -> None:
    weights = initialised(SHAPE, 0)
    assert weights["layers.1.feed_forward.w2.weight"][0, :3].tolist() == pytest.approx(
        [-0.004163367, 0.012096054, 0.014131485], rel=1e-5
    )


def test_a_model_can_be_larger_without_changing_the_tensors_it_has() -> None:
    """Each tensor has a generator of its own: more layers leave the embedding as it is."""
    deeper = Shape(SHAPE.dim, SHAPE.heads, SHAPE.layers + 1, SHAPE.vocab)
    name = "layers.0.attention.wq.weight"
    assert torch.equal(initialised(SHAPE, 0)[name], initialised(deeper, 0)[name])


def test_given_weights_are_taken_as_they_are() -> None:
    given, model = dict(random_model(seed=5).named_parameters()), Llama(SHAPE)
    initialise(model, 0, {name: p.detach().bfloat16() for name, p in given.items()})
    for name, p in model.named_parameters():
        assert p.dtype == torch.float32
        assert torch.equal(p, given[name].bfloat16().float())
