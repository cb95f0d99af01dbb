"""`python -m trainer.harness`: score an exported model by lm-evaluation-harness."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from trainer.checkpoint.durable import write_json
from trainer.errors import TrainerError
from trainer.harness.run import fitting, names, score, table

_EPILOG = """examples:
  python -m trainer.export runs/tiny --output exported
  python -m trainer.harness exported --data evals --output results.json
  python -m trainer.harness exported --data evals --tasks hellaswag mmlu --limit 100 --output results.json

evals/ holds hellaswag/*.jsonl, winogrande/*.jsonl, gsm8k/*.jsonl, mmlu/test/SUBJECT_test.csv,
truthfulqa/*.csv, crows_pairs/*.csv, winogender/templates.tsv and winogender/all_sentences.tsv."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 2 asked wrongly."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.harness",
        description="Score an exported model by lm-evaluation-harness on local files.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="Hugging Face folder, as python -m trainer.export makes it")
    add("--data", type=Path, required=True, metavar="FOLDER", help="with a folder an evaluation")
    add("--output", type=Path, required=True, metavar="FILE", help="JSON to write")
    add(
        "--tasks",
        nargs="+",
        metavar="NAME",
        help=f"(default: those it is long enough for of {', '.join(names())})",
    )
    add("--limit", type=int, metavar="N", help="documents of each task (default: all)")
    add("--batch", type=int, default=8, metavar="N", help="sequences at a time (default: 8)")
    add("--device", help="as torch names it (default: a GPU where there is one)")
    args = parser.parse_args(argv)
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = score(
            args.model,
            args.data,
            args.tasks or fitting(args.model),
            limit=args.limit,
            batch=args.batch,
            device=device,
        )
    except TrainerError as error:
        print(f"harness: {error}", file=sys.stderr)
        return 2
    write_json(args.output, found)
    print(table(found["tasks"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
