"""Subcommand plan: what a larger run will take, by the rates of finished ones."""

from __future__ import annotations

import argparse

import orjson

from corpus import recipe
from corpus.errors import UserError
from corpus.review.plan.cost import Prices
from corpus.review.plan.measured import measure
from corpus.review.plan.plan import make_plan, plain
from corpus.review.plan.volumes import parse_volumes
from corpus.review.plan.wanted import Wanted
from corpus.review.runs import open_runs
from pipelines import options, plan_console
from tokenizer.tokenized import PART_BYTES

_EPILOG = """examples:
  llama-corpus crawl-filter --input some-files/ --recipe llama1 --output runs/first
  llama-corpus plan --run runs/first --input crawl/ --recipe llama1 --workers 16
      the same over a larger crawl, which is there
  llama-corpus plan --run runs/mine --workers 1000 --price-core-hour 0.04 --price-gb-month 0.02
      the corpus of the paper, by the runs in a folder: one of each source, of tokenize and of mix
  llama-corpus plan --run runs/first --duplicate-rate 0.7 --volume commoncrawl=9TB --dumps 1 --json
      one dump with more duplicates; every figure, as JSON

Measure on runs over some hundreds of MB, in files of the usual size, with the models that the recipe names:
what a process costs to start is told apart from what a byte costs, and of a few pages nothing else is seen.
Where the raw volumes are from is said in the plan, source by source; --volume says another."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    plan = subparsers.add_parser(
        "plan",
        help="say what a larger run will take: core-hours, wall time, storage, memory, cost",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    plan.add_argument(
        "--run",
        nargs="+",
        action="extend",
        default=[],
        dest="runs",
        metavar="RUN",
        help="finished runs to measure by, or folders of runs; one of each source, of tokenize and of mix",
    )
    plan.add_argument(
        "--recipe", default="llama1", metavar="R", help="of the corpus to come (default llama1)"
    )
    plan.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default 1)")
    plan.add_argument(
        "--volume",
        action="append",
        default=[],
        metavar="SOURCE=SIZE",
        help="raw bytes of a source, such as commoncrawl=42TB, where they are not the paper's",
    )
    plan.add_argument(
        "--dumps", type=int, default=5, metavar="N", help="of the crawl (default 5, the paper's)"
    )
    plan.add_argument(
        "--input",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="plan for these raw files instead, as crawl-filter and build read them; of one source",
    )
    plan.add_argument("--input-root", metavar="DIR", help="folder that names are made relative to")
    plan.add_argument(
        "--duplicate-rate",
        type=float,
        metavar="SHARE",
        help="share of the crawl's text that deduplication will take (default: as measured)",
    )
    for name, what in (
        ("core-hour", "a core for an hour"),
        ("gb-month", "a GB (10^9 bytes) stored for a month"),
        ("egress-gb", "a GB of raw files read"),
    ):
        plan.add_argument(
            f"--price-{name}", type=float, metavar="P", help=f"price of {what}; none is assumed"
        )
    plan.add_argument("--json", action="store_true", help="every figure, as JSON (seconds, bytes)")
    plan.set_defaults(run=_plan)


def _plan(args: argparse.Namespace, beam_args: list[str]) -> int:
    options.refuse_more(beam_args)
    wanted = Wanted(
        recipe=recipe.load(args.recipe),
        workers=args.workers,
        volumes=parse_volumes(args.volume),
        inputs=args.input,
        input_root=args.input_root,
        duplicates=args.duplicate_rate,
        dumps=args.dumps,
        part_bytes=PART_BYTES,
        prices=Prices(args.price_core_hour, args.price_gb_month, args.price_egress_gb),
    )
    wanted.check()
    if not args.runs:
        raise UserError(
            "no --run to measure by: make one on some hundreds of MB, such as `llama-corpus crawl-filter "
            "--input SOME-FILES --recipe R --output runs/first`, and give --run runs/first"
        )
    plan = make_plan([measure(run) for run in open_runs(args.runs)], wanted)
    if args.json:
        print(orjson.dumps(plain(plan), option=orjson.OPT_INDENT_2).decode())
    else:
        plan_console.show(plan)
    return 0
