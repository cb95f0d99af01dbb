"""`python -m trainer.evaluate`: score a run on held-out shards."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from tokenizer.shards import ShardError
from trainer.checkpoint.durable import write_json
from trainer.checkpoint.folder import read_state
from trainer.data import open_corpus
from trainer.errors import TrainerError
from trainer.evaluate.held_out import held_out
from trainer.evaluate.scores import bits_per_byte, table, unigram
from trainer.export.models import DTYPES, checkpoint_of, restore
from trainer.parallel import ranks


def main(argv: list[str] | None = None) -> int:
    """Score a run; returns the exit status: 0 done, 1 damaged shards, 2 asked wrongly."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.evaluate",
        description="Bits per byte of a model on each source's held-out shards, beside a unigram model's.",
        epilog="Several processes of torchrun share the work; each holds the whole model.",
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run of `python -m trainer`")
    parser.add_argument("--data", required=True, metavar="SHARDS", help="corpus of `llama-corpus mix`")
    parser.add_argument("--step", type=int, help="of the checkpoint (default: the last)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the scores as JSON")
    parser.add_argument("--device", help="cpu or cuda (default: a GPU where there is one)")
    parser.add_argument(
        "--dtype", choices=DTYPES, help="to compute in (default: bfloat16 on a GPU, else float32)"
    )
    parser.add_argument("--limit", type=int, metavar="TOKENS", help="of each source (default: all)")
    parser.add_argument("--rows", type=int, default=8, help="windows at a time (default: 8)")
    args = parser.parse_args(argv)
    if args.rows < 1:
        parser.error(f"--rows must be at least 1, not {args.rows}")
    try:
        _evaluate(args)
    except TrainerError as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 2
    except ShardError as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 1
    return 0


def _evaluate(args: argparse.Namespace) -> None:
    path = checkpoint_of(args.run, args.step)
    state = read_state(path)
    train = open_corpus(args.data)
    corpora = held_out(train)
    try:
        train.check_tokenizer(state["tokenizer_sha256"])
    except ShardError as error:
        raise TrainerError(f"{args.run} cannot be scored on these shards: {error}") from error
    if not corpora:
        raise TrainerError(f"{args.data} has no held-out sets: nothing to score")
    with ranks(args.device) as here:
        model = restore(path, here.device)
        model.dtype = DTYPES[args.dtype or ("bfloat16" if here.device.type == "cuda" else "float32")]
        scores = bits_per_byte(
            model,
            corpora,
            length=state["length"],
            rows=args.rows,
            device=here.device,
            limit=args.limit,
            rank=here.rank,
            world=here.world,
        )
        if not here.first:
            return
    baseline = unigram(train, corpora, vocab=model.shape.vocab, limit=args.limit)
    print(f"step {state['step']}")
    print(table(scores, baseline))
    if args.output:
        found = {"model": scores, "unigram": baseline}
        plain = {kind: {name: asdict(s) for name, s in some.items()} for kind, some in found.items()}
        write_json(args.output, {"step": state["step"], "limit": args.limit} | plain)


if __name__ == "__main__":
    sys.exit(main())
