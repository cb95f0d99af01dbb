"""Subcommands tokenize and mix: kept documents of finished runs → tokens → shards of the mixture."""

from __future__ import annotations

import argparse

from corpus import recipe, storage
from corpus.errors import UserError
from corpus.finished import read_runs
from corpus.registry import BUILDS, SOURCES
from corpus.stages import StagedJob
from pipelines import options
from tokenizer import tokenized
from tokenizer.mix import finish as mix
from tokenizer.mix.job import part_tasks
from tokenizer.tokenized import TokenizeJob

_TOKENIZE = """examples:
  llama-corpus tokenize runs/wikipedia runs/books --tokenizer tokenizer.model --output runs/tokens
      the documents of several runs
  llama-corpus tokenize runs/2019-30 runs/2020-05 --tokenizer tokenizer.model --output runs/tokens --workers 2
      two runs of one source are tokenized one after the other

Run the same command again to go on with a run that was stopped: finished parts are kept.
Options that are not listed here go to the engine (Beam)."""
_MIX = """example:
  llama-corpus mix runs/sample/tokens --output runs/sample/shards
      the mixture of the recipe, as shards

Only this is done again for another mixture, into another --output."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands to the command line."""
    tokenize = subparsers.add_parser(
        "tokenize",
        help="encode the documents of finished runs, once",
        epilog=_TOKENIZE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    tokenize.add_argument("runs", nargs="+", metavar="RUN", help="folders of runs of crawl-filter and build")
    tokenize.add_argument("--tokenizer", required=True, metavar="FILE", help="a SentencePiece model")
    tokenize.add_argument("--output", required=True, metavar="DIR", help="where everything is written")
    tokenize.add_argument(
        "--part-bytes",
        type=int,
        default=tokenized.PART_BYTES,
        metavar="N",
        help=f"text of a part, about (default {tokenized.PART_BYTES})",
    )
    options.add_engine_options(tokenize)
    tokenize.set_defaults(run=_tokenize)

    mix_ = subparsers.add_parser(
        "mix",
        help="draw the mixture from tokens, into shards",
        epilog=_MIX,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    mix_.add_argument("tokens", metavar="TOKENS", help="folder of a run of tokenize")
    mix_.add_argument("--recipe", metavar="R", help="a .toml file or a built-in name (default: sample)")
    mix_.add_argument("--output", required=True, metavar="DIR", help="where the shards are written")
    mix_.add_argument("--dry-run", action="store_true", help="print the epochs of each source, and stop")
    options.add_engine_options(mix_)
    mix_.set_defaults(run=_mix)


def _tokenize(args: argparse.Namespace, beam_args: list[str]) -> int:
    options.check_engine(args, args.output, beam_args)
    runs = read_runs([options.absolute(run) for run in args.runs], [*SOURCES, *BUILDS])
    model = tokenized.read_model(args.tokenizer)
    root = options.absolute(args.output)
    job = TokenizeJob(root, runs, tokenized.sha256_of(model), args.part_bytes)
    options.refuse_other_settings(root, [tokenized.NAME], job.settings_of)
    storage.write_bytes(storage.join(root, tokenized.MODEL), model)
    _run(job, {tokenized.NAME: len(tokenized.tasks(job))}, args, beam_args)
    print(f"\n{'source':<16}{'documents':>12}{'tokens':>16}{'held out':>14}{'bytes/token':>13}")
    for source, counters in tokenized.finish(job).items():
        per_token = counters.get("bytes", 0) / max(counters.get("tokens", 0), 1)
        print(
            f"{source:<16}{counters.get('out', 0):>12,}{counters.get('tokens', 0):>16,}"
            f"{counters.get('held_out_tokens', 0):>14,}{per_token:>13.2f}"
        )
    return 0


def _mix(args: argparse.Namespace, beam_args: list[str]) -> int:
    options.check_engine(args, args.output, beam_args)
    chosen = recipe.load(args.recipe or "sample")
    if chosen.mixture is None:
        raise UserError(f"recipe {chosen.name} has no block [mixture]: see corpus/recipes/llama1.toml")
    root = options.absolute(args.output)
    job = mix.prepare(root, options.absolute(args.tokens), chosen.mixture)
    if args.dry_run:
        print(f"{'source':<16}{'weight':>8}{'tokens wanted':>18}{'unique':>18}{'epochs':>8}")
        for source, share in job.shares.items():
            weight = chosen.mixture.weights[source]
            print(f"{source:<16}{weight:>8.3f}{share.wanted:>18,}{share.unique:>18,}{share.epochs:>8.2f}")
        return 0
    names = [stage.name for stage in job.stages()]
    options.refuse_other_settings(root, names, job.settings_of)
    parts = len(part_tasks(job))
    counts = {"histogram": parts, "edges": parts, "draw": parts, "shards": sum(s.size for s in job.sets)}
    _run(job, counts, args, beam_args)
    _print_mixture(mix.finish(job))
    return 0


def _run(job: StagedJob, parts: dict[str, int], args: argparse.Namespace, beam_args: list[str]) -> None:
    from pipelines import stage_graph

    names = [stage.name for stage in job.stages()]
    options.begin(job.root, names, job.settings_of, args, beam_args)
    stage_graph.run(job, names[-1], {name: parts.get(name, 1) for name in names}, args, beam_args)


def _print_mixture(sources: dict[str, dict[str, float]]) -> None:
    print(f"\n{'source':<16}{'weight':>8}{'realised':>10}{'tokens':>16}{'epochs':>8}{'bytes/token':>13}")
    for name, row in sources.items():
        print(
            f"{name:<16}{row['weight']:>8.4f}{row['share']:>10.4f}{row['drawn']:>16,.0f}"
            f"{row['epochs']:>8.2f}{row['bytes_per_token']:>13.2f}"
        )
