"""`python -m tokenizer train`: a SentencePiece BPE model with LLaMA's settings, from documents of runs."""

from __future__ import annotations

import argparse
import sys

from corpus import recipe, storage
from corpus.errors import CorruptPartError, UserError
from corpus.finished import read_runs
from corpus.registry import BUILDS, SOURCES
from tokenizer.train import MODEL, train

_EPILOG = """examples:
  python -m tokenizer train runs/sample/commoncrawl runs/sample/wikipedia --output runs/sample/tokenizer
      by the sample recipe's mixture and size
  python -m tokenizer train runs/*/ --recipe llama1 --output tokenizer

The sample of text (tokenizer.sample_bytes of the recipe) goes to the folder for temporary files, $TMPDIR."""


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit status: 0 done, 1 failed, 2 asked wrongly."""
    parser = argparse.ArgumentParser(prog="python -m tokenizer", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train_ = subparsers.add_parser(
        "train",
        help="train a tokenizer on a sample of documents, by the weights of the mixture",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    train_.add_argument("runs", nargs="+", metavar="RUN", help="folders of runs of crawl-filter and build")
    train_.add_argument("--output", required=True, metavar="DIR", help="where the model is written")
    train_.add_argument("--recipe", metavar="R", help="a .toml file or a built-in name (default: sample)")
    args = parser.parse_args(argv)
    try:
        return _train(args)
    except UserError as error:
        print(f"tokenizer: {error}", file=sys.stderr)
        return 2
    except CorruptPartError as error:
        print(f"tokenizer: {error}", file=sys.stderr)
        return 1


def _train(args: argparse.Namespace) -> int:
    chosen = recipe.load(args.recipe or "sample")
    if chosen.mixture is None:
        raise UserError(f"recipe {chosen.name} has no block [mixture], whose weights the sample follows")
    runs = read_runs(args.runs, [*SOURCES, *BUILDS])
    sample = train(runs, chosen.mixture.weights, chosen.tokenizer, args.output)
    for source, size in sample.bytes.items():
        print(f"{source:<16}{sample.lines[source]:>12,} lines{size:>16,} bytes")
    print(f"{storage.join(args.output, MODEL)}: {chosen.tokenizer.vocab_size:,} pieces")
    return 0


if __name__ == "__main__":
    sys.exit(main())
