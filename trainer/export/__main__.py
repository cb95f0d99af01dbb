"""`python -m trainer.export`: write a checkpoint as a Hugging Face folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from trainer.errors import TrainerError
from trainer.export.models import DTYPES, checkpoint_of, export, tokenizer_of

_EPILOG = """examples:
  python -m trainer.export runs/tiny --output exported
  python -m trainer.export runs/7b --step 20000 --output exported/7b-20000 --dtype bfloat16

Then transformers.AutoModelForCausalLM.from_pretrained("exported") reads it, and python -m trainer.harness."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 2 asked wrongly."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.export",
        description="Write a checkpoint as a Hugging Face folder.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, or of one of its checkpoints")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument("--step", type=int, metavar="N", help="which checkpoint (default: the last)")
    parser.add_argument("--tokenizer", type=Path, metavar="FILE", help="the model's (default: the run's)")
    parser.add_argument(
        "--dtype", choices=DTYPES, default="bfloat16", help="of the weights (default: bfloat16)"
    )
    args = parser.parse_args(argv)
    try:
        checkpoint = checkpoint_of(args.run, args.step)
        tokenizer = args.tokenizer or tokenizer_of(checkpoint)
        export(checkpoint, args.output, tokenizer, DTYPES[args.dtype])
    except TrainerError as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    print(f"{args.output}: {checkpoint.name} in {args.dtype}")
    if tokenizer is None:
        print("without a tokenizer; --tokenizer FILE adds its files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
