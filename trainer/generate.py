"""Text samples of a model: prompts in, continuations out.

There is no cache of keys and values: each token costs a forward pass over prompt and continuation, so that n
tokens after a prompt of p cost as much as scoring n · (n + p). That is for looking at a few samples; to serve
a model, export it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import sentencepiece
import torch
from torch import Tensor, nn

from trainer.checkpoint.folder import read_state
from trainer.errors import TrainerError
from trainer.export.models import TOKENIZER, check_tokenizer, checkpoint_of, restore, tokenizer_of
from trainer.parallel import ranks

_EPILOG = """examples:
  python -m trainer.generate runs/tiny --prompt "The mill"
  python -m trainer.generate runs/tiny --step 200 --prompt "1, 2" --temperature 0
  python -m trainer.generate runs/tiny --prompt A --prompt B --tokens 9 --seed 1"""


@torch.no_grad()
def generate(
    model: nn.Module,
    prompts_ids: Sequence[Sequence[int]],
    tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
) -> list[list[int]]:
    """Continue prompts.

    Under FSDP all ranks call this with the same arguments, and all get the same ids.

    Args:
        model: gives logits [B, T, V] of ids [B, T].
        prompts_ids: of each prompt at least one id, the beginning mark as a rule.
        tokens: to add to each.
        temperature: what logits are divided by; 0 takes the likeliest token.
        top_p: draw among the likeliest tokens that together have this probability (llama_v1,
            llama/generation.py); 1 draws among all.
        seed: of the draws, which are made on the CPU and so are the same on any device.

    Returns:
        the ids added, without the prompt's.

    Raises:
        TrainerError: a prompt is empty, or temperature, top_p or tokens are out of range.
    """
    if not all(prompts_ids):
        raise TrainerError("a prompt has no tokens; give it the beginning mark at least")
    if temperature < 0 or not 0 < top_p <= 1 or tokens < 0:
        raise TrainerError(
            f"cannot draw {tokens} tokens with temperature {temperature} and top_p {top_p}: tokens and "
            "temperature must be at least 0, top_p above 0 and at most 1"
        )
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    lengths_B = torch.tensor([len(ids) for ids in prompts_ids])
    # One size from the first to the last token, so that a compiled model is compiled once; what stands behind
    # a row's end is not seen, attention being causal.
    ids_BT = torch.zeros(len(prompts_ids), int(lengths_B.max()) + tokens, dtype=torch.int64)
    for row_T, ids in zip(ids_BT, prompts_ids, strict=True):
        row_T[: len(ids)] = torch.tensor(ids)
    rows_B = torch.arange(len(prompts_ids))
    for step in range(tokens):
        logits_BTV = model(ids_BT.to(device))
        ends_B = lengths_B + step
        logits_BV = logits_BTV[rows_B.to(device), (ends_B - 1).to(device)].float().cpu()
        ids_BT[rows_B, ends_B] = sample(logits_BV, temperature, top_p, generator)
    return [
        row_T[length : length + tokens].tolist()
        for row_T, length in zip(ids_BT, lengths_B.tolist(), strict=True)
    ]


def sample(logits_BV: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> Tensor:
    """int64[B], one token of each row."""
    if temperature == 0:
        return logits_BV.argmax(-1)
    sorted_BV, order_BV = torch.softmax(logits_BV / temperature, -1).sort(
        dim=-1, descending=True, stable=True
    )
    before_BV = sorted_BV.cumsum(-1) - sorted_BV
    sorted_BV[before_BV > top_p] = 0.0
    picked_B1 = torch.multinomial(sorted_BV, 1, generator=generator)
    tokens_B: Tensor = order_BV.gather(-1, picked_B1).squeeze(-1)
    return tokens_B


def continue_texts(
    model: nn.Module,
    processor: sentencepiece.SentencePieceProcessor,
    prompts: Sequence[str],
    *,
    length: int,
    tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> list[str]:
    """Each prompt and what follows it, up to the end of the document; see `generate`.

    Raises:
        TrainerError: prompt and continuation are longer than the `length` of sequences in training.
    """
    ids = [[processor.bos_id(), *prompt] for prompt in processor.encode(list(prompts))]
    if (longest := max(map(len, ids)) + tokens) > length:
        raise TrainerError(
            f"prompt and continuation would have {longest:,} tokens, and the model was trained on sequences "
            f"of {length:,}; give a shorter one, or ask for fewer tokens"
        )
    texts: list[str] = []
    for prompt, added in zip(ids, generate(model, ids, tokens, temperature, top_p, seed), strict=True):
        end = added.index(processor.eos_id()) if processor.eos_id() in added else len(added)
        texts.append(processor.decode(prompt + added[:end]))
    return texts


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 2 asked wrongly."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.generate",
        description="Continue prompts with a checkpoint of a run.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="folder of a run, or of one of its checkpoints")
    add("--tokenizer", type=Path, metavar="FILE", help="the model's (default: the run's)")
    add("--prompt", action="append", required=True, metavar="TEXT", help="to continue; may be given again")
    add("--step", type=int, metavar="N", help="which checkpoint (default: the last)")
    add("--tokens", type=int, default=64, metavar="N", help="to add, at most (default: 64)")
    add("--temperature", type=float, default=0.8, help="0 takes the likeliest token (default: 0.8)")
    add("--top-p", type=float, default=0.95, help="probability of the tokens drawn among (default: 0.95)")
    add("--seed", type=int, default=0, help="of the draws (default: 0)")
    add("--device", help="cpu or cuda (default: a GPU where there is one)")
    args = parser.parse_args(argv)
    try:
        texts = _continue(args)
    except TrainerError as error:
        print(f"generate: {error}", file=sys.stderr)
        return 2
    print("\n\n".join(texts))
    return 0


def _continue(args: argparse.Namespace) -> list[str]:
    path = checkpoint_of(args.run, args.step)
    state = read_state(path)
    tokenizer = args.tokenizer or tokenizer_of(path)
    if tokenizer is None:
        raise TrainerError(f"{args.run} holds no {TOKENIZER}; give --tokenizer FILE")
    check_tokenizer(tokenizer, state["tokenizer_sha256"])
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    with ranks(args.device) as here:
        model = restore(path, here.device)
        return continue_texts(
            model,
            processor,
            args.prompt,
            length=state["length"],
            tokens=args.tokens,
            temperature=args.temperature,
            top_p=args.top_p,
            seed=args.seed,
        )


if __name__ == "__main__":
    sys.exit(main())
