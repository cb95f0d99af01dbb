"""Subcommand compare: what a changed threshold, model or input kept and dropped."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from rich.console import Console
from tqdm import tqdm

from corpus import storage
from corpus.errors import UserError
from corpus.parquet_sink import ParquetSink
from corpus.review.compare.composition import compare_composition
from corpus.review.compare.documents import compare_documents
from corpus.review.compare.output import CHANGED
from corpus.review.compare.runs import Matched, match
from corpus.review.compare.show import show
from corpus.review.runs import DECIDED
from corpus.review.visible import on_one_line
from pipelines import options

_LOG_WIDTH = 140
_EPILOG = """examples:
  cp -r runs/mine runs/stricter && llama-corpus redecide runs/stricter --recipe stricter.toml
  llama-corpus compare runs/mine runs/stricter
      what other thresholds keep and drop, with examples
  llama-corpus compare runs/2020-05 runs/2020-05-new-model --examples 10 --output changed.parquet
      the same pages by another model; every page whose fate changed, for your own queries
  llama-corpus compare runs/old runs/new
      two folders of runs, source by source, with their tokens and shards
  llama-corpus compare runs/old/shards runs/new/shards --json
      two mixtures: weights, tokens, epochs, bytes per token of each source

Documents are the same where their ids are. Where parts do not hold the same documents in the same order they
are sorted in temporary files, some 100 bytes a document and run, below $TMPDIR."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    compare = subparsers.add_parser(
        "compare",
        help="say what a changed threshold, model or input kept and dropped",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for side in "AB":
        compare.add_argument(
            f"run_{side.lower()}", metavar=f"RUN_{side}", help="folder of a run, or of several runs"
        )
    compare.add_argument(
        "--examples",
        type=_whole,
        default=3,
        metavar="N",
        help="documents shown of each change (default 3)",
    )
    compare.add_argument("--json", action="store_true", help="everything as one JSON object, for programs")
    compare.add_argument(
        "--output", metavar="FILE", help="write every document whose fate changed to a Parquet file"
    )
    compare.set_defaults(run=_compare)


def _compare(args: argparse.Namespace, beam_args: list[str]) -> int:
    options.refuse_more(beam_args)
    matched = match(args.run_a, args.run_b)
    if args.output and not args.output.endswith(".parquet"):
        raise UserError(f"--output {args.output}: give a name that ends in .parquet")
    if args.output and not any(a.kind in DECIDED for a, _ in matched.pairs):
        raise UserError("--output is of runs of documents: tokens and shards have no fates")
    found = []
    with _sink(args.output) as write:
        for a, b in matched.pairs:
            if a.kind not in DECIDED:
                found.append(compare_composition(a, b))
                continue
            rows = max(run.counters.get("kept", 0) + run.counters.get("rejected", 0) for run in (a, b))
            with tqdm(total=rows, unit=" documents", unit_scale=True, disable=None, leave=False) as bar:
                found.append(compare_documents(a, b, args.examples, write, bar.update))
    if args.json:
        json.dump({**_beside(matched), "runs": found}, sys.stdout, indent=1, allow_nan=False)
        print()
    else:
        _print(matched, found)
    return 0


@contextlib.contextmanager
def _sink(path: str | None) -> Iterator[Callable[[pa.RecordBatch], None] | None]:
    """Takes the documents that changed; the file appears when all are written."""
    if path is None:
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            f = stack.enter_context(storage.write(path))
        except OSError as error:
            raise UserError(f"--output {path} cannot be written: {error}") from error
        sink = ParquetSink(f, CHANGED)
        try:
            yield sink.write
            sink.close()
        except BaseException:
            sink.abandon()
            raise


def _print(matched: Matched, found: list[dict[str, Any]]) -> None:
    console = Console(highlight=False, soft_wrap=False, emoji=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, emoji=False, markup=False, width=_LOG_WIDTH)
    for comparison in found:
        show(console, comparison)
    for name, roots in _beside(matched).items():
        for root in roots:
            console.print(f"{on_one_line(root, 200)}: {_WHY[name]}")


_WHY = {
    "only_a": "RUN_A alone has such a run",
    "only_b": "RUN_B alone has such a run",
    "left_out": "runs of this kind are not compared",
}


def _beside(matched: Matched) -> dict[str, list[str]]:
    return {name: [run.root for run in getattr(matched, name)] for name in _WHY}


def _whole(value: str) -> int:
    if not value.isdigit():
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number")
    return int(value)
