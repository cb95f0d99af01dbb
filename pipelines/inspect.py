"""Subcommand inspect: documents of finished runs searched, shown, followed; a token traced back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tqdm import tqdm

from corpus.errors import CorruptPartError, UserError
from corpus.review.inspect import search
from corpus.review.inspect.follow import Step, follow
from corpus.review.inspect.query import Query, condition
from corpus.review.inspect.search import Match, NotFoundError
from corpus.review.runs import DECIDED, OpenedRun, open_runs
from pipelines import options
from pipelines.inspect_console import Console, show_matches, show_steps
from pipelines.inspect_document import show_document, show_token
from pipelines.inspect_shards import after_export, trace_back
from tokenizer.shards import ShardError

_EPILOG = """examples:
  llama-corpus inspect runs/sample/commoncrawl --rule perplexity --where "perplexity_v1>500" --random
  llama-corpus inspect runs/sample --domain example.com --rejected --columns lid_v1_score
  llama-corpus inspect runs/sample/github --id cc1c38 --show
  llama-corpus inspect runs/sample --id cc1c38 --follow
  llama-corpus inspect runs/sample/shards --shard 3 --position 12345
  llama-corpus inspect runs/sample/shards --sample 17 --length 2048 --seed 0

On a terminal the output is laid out for its width; into a pipe it is plain text (of a search one document a
line, its fields separated by tabs), with --json one JSON object a line.

Exit status 0: found. 1: nothing is found, or a file of a run is not as it was written. 2: asked wrongly."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "inspect",
        help="search the documents of runs, show one, follow it through all stages",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="folder of a run, or a folder of runs")
    found = parser.add_argument_group("which documents")
    found.add_argument("--id", metavar="HEX", default="", help="its id, or the beginning of it")
    found.add_argument(
        "--key", "--url", metavar="TEXT", default="",
        help="part of its URL, path, title or arXiv id; =TEXT: all of it",
    )  # fmt: skip
    found.add_argument("--domain", metavar="HOST", default="", help="of its URL, with all domains below")
    found.add_argument("--rule", metavar="REASON", default="", help="why it was rejected")
    decided = found.add_mutually_exclusive_group()
    decided.add_argument("--kept", action="store_true", help="it is in the corpus")
    decided.add_argument("--rejected", action="store_true", help="it is not")
    found.add_argument("--language", metavar="CODE", default="", help="such as en")
    found.add_argument("--bucket", metavar="NAME", default="", help="head, middle, tail or all")
    found.add_argument(
        "--where", metavar="CONDITION", action="append", default=[],
        help='a bound on a numeric column, such as "perplexity_v1>500"; several must all hold',
    )  # fmt: skip
    found.add_argument("--text", metavar="REGEX", default="", help="found in its text (syntax of RE2)")
    found.add_argument("--limit", metavar="N", type=_positive, default=20, help="show so many (default 20)")
    found.add_argument("--random", action="store_true", help="not the first ones but any, the same each time")
    found.add_argument("--columns", metavar="NAME,…", default="", help="show these columns too")
    one = parser.add_argument_group("one document, by --id")
    one.add_argument("--show", action="store_true", help="its columns, what it was held to, its text")
    one.add_argument("--follow", action="store_true", help="where it lies after each stage, to the shards")
    one.add_argument("--input-root", metavar="DIR", help="where the raw files lie now, if they were moved")
    one.add_argument("--lines", metavar="N", type=int, default=200, help="of the text (default 200; 0: all)")
    token = parser.add_argument_group("one token of a run of shards")
    token.add_argument("--shard", metavar="N", type=int, help="the shard's number")
    token.add_argument("--position", metavar="N", type=int, help="of the token in the shard")
    token.add_argument("--sample", metavar="N", type=int, help="the first token of this sample of the reader")
    token.add_argument(
        "--length", metavar="N", type=_positive, default=2048, help="of the sample (default 2048)"
    )
    token.add_argument("--seed", metavar="N", type=int, default=0, help="of the reader (default 0)")
    token.add_argument("--set", metavar="NAME", default="train", help="of shards (default train)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=_inspect)


def _inspect(args: argparse.Namespace, beam_args: list[str]) -> int:
    options.refuse_more(beam_args)
    console = Console(args.json)
    try:
        if args.sample is not None or args.shard is not None or args.position is not None:
            return _token(args, console)
        if (args.show or args.follow) and not args.id:
            raise UserError("--show and --follow are of one document: give its --id")
        runs = open_runs(args.runs)
        decided = [run for run in runs if run.kind in DECIDED]
        if not decided:
            kinds = ", ".join(sorted({run.kind for run in runs}))
            raise UserError(f"{args.runs[0]} holds runs of kind {kinds}, none with decisions on documents")
        if args.show or args.follow:
            return _one(args, runs, decided, console)
        return _search(args, decided, console)
    except NotFoundError as error:
        print(f"llama-corpus: {error}", file=sys.stderr)
        return 1
    except ShardError as error:
        raise CorruptPartError(str(error)) from error


def _query(args: argparse.Namespace) -> Query:
    return Query(
        id=args.id.lower(),
        key=args.key,
        domain=args.domain,
        rule=args.rule,
        kept=True if args.kept else False if args.rejected else None,
        language=args.language,
        bucket=args.bucket,
        where=tuple(map(condition, args.where)),
        text=args.text,
    )


def _search(args: argparse.Namespace, runs: Sequence[OpenedRun], console: Console) -> int:
    query = _query(args)
    columns = list(dict.fromkeys([*filter(None, args.columns.split(",")), *(c.column for c in query.where)]))
    fitting = search.fitting(runs, query, columns)
    found = (match for run in fitting for match in search.matches(run, query, _watched))
    chosen, more = (search.sampled if args.random else search.first)(found, args.limit)
    if not chosen:
        raise NotFoundError(search.not_found(runs, query))
    rows = search.rows_of(chosen, ["source", "key", "bytes", *columns])
    show_matches(console, chosen, rows, columns, more)
    return 0


def _one(
    args: argparse.Namespace, runs: Sequence[OpenedRun], decided: Sequence[OpenedRun], console: Console
) -> int:
    found = search.find(search.fitting(decided, _query(args), ()), _query(args), _watched)
    match = found[0]
    (row,) = search.rows_of([match], None)
    if args.show:
        show_document(console, found, row, args.input_root, args.lines)
    if args.follow:
        if args.show and not args.json:
            console.section("its way")
        show_steps(console, match.id, _steps(args, runs, match, row))
    return 0


def _steps(
    args: argparse.Namespace, runs: Sequence[OpenedRun], match: Match, row: dict[str, Any]
) -> Iterator[Step]:
    yield from follow(match, row, args.input_root)
    if row["kept"]:
        yield from after_export(runs, match, row)


def _token(args: argparse.Namespace, console: Console) -> int:
    if args.sample is not None and (args.shard is not None or args.position is not None):
        raise UserError("give --shard and --position, or --sample, not both")
    if args.sample is None and (args.shard is None or args.position is None):
        raise UserError("--shard and --position belong together")
    runs = open_runs(args.runs)
    shards = [run for run in runs if run.kind == "shards"]
    if len(shards) != 1:
        raise UserError(f"{' '.join(args.runs)}: give one run of shards, there are {len(shards)}")
    traced = trace_back(
        shards[0], runs, args.set, args.shard, args.position, args.sample, args.length, args.seed, _watched
    )
    show_token(console, traced, args.input_root)
    return 0


def _watched(things: Sequence[Any], what: str) -> Iterable[Any]:
    """Passes things on, with a bar on a terminal if they take longer than two seconds."""
    bar: Iterable[Any] = tqdm(things, desc=what, unit="part", disable=None, leave=False, delay=2)
    return bar


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value
