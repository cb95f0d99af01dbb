"""Subcommands across finished runs: cross-dedup, decontaminate."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace

from corpus import parts, recipe
from corpus.errors import UserError
from corpus.finished import read_runs
from corpus.manifests import write_manifest
from corpus.overlap import evaluations, finish, ngrams
from corpus.overlap.index import INDEX, write_index
from corpus.overlap.job import OverlapJob
from corpus.overlap.ngrams import Tables
from corpus.parts import PartSpec
from corpus.recipe import digest
from corpus.settings.cross import CrossDedup, Decontaminate
from pipelines import cross_console, options

_CROSS_EPILOG = """example:
  llama-corpus cross-dedup runs/wikipedia runs/c4 runs/commoncrawl --output runs/cross
      writes runs/cross/c4/removals.txt and runs/cross/commoncrawl/removals.txt: name each as a removal list
      in the recipe of its source, then `llama-corpus redecide` that run

Of a text that several runs have (case and white space do not count), the run whose source comes first in
the recipe's [cross_dedup] priority keeps it. Copies within one run are left to the source's own rules, and
nothing is looked for that is only nearly the same."""

_DECONTAMINATE_EPILOG = """examples:
  llama-corpus decontaminate runs/c4 runs/commoncrawl --evaluations evals/ --output runs/hits
      where 13 words of an evaluation stand in documents: found/*.parquet, report/report.parquet
  llama-corpus decontaminate runs/c4 --evaluations evals/gsm8k/test.jsonl --fields answer --output runs/gsm8k
  llama-corpus decontaminate runs/c4 --evaluations evals/ --ngram auto --remove --output runs/clean
      also runs/clean/c4/removals.txt, a removal list for the recipe (then `llama-corpus redecide runs/c4`),
      and runs/clean/c4/documents: what stays of the documents on it, to go with the rest of them

Evaluations are .jsonl, .csv and .tsv files, each maybe with .gz; in folders other files are left out."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands to the command line."""
    dedup = subparsers.add_parser(
        "cross-dedup",
        help="list the documents of runs that another source has too",
        epilog=_CROSS_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_common_options(dedup)
    dedup.set_defaults(run=_cross_dedup)

    clean = subparsers.add_parser(
        "decontaminate",
        help="find evaluations in the documents of runs, and remove them if asked",
        epilog=_DECONTAMINATE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_common_options(clean)
    clean.add_argument(
        "--evaluations",
        nargs="+",
        action="extend",
        required=True,
        metavar="PATH",
        help="files, globs, folders",
    )
    clean.add_argument(
        "--ngram", type=_ngram, metavar="N|auto", help="words of an n-gram (default: as the recipe; 13)"
    )
    clean.add_argument(
        "--fields",
        nargs="+",
        action="extend",
        metavar="FIELD",
        help="of evaluations that are searched for (default: as the recipe; every string)",
    )
    clean.add_argument(
        "--max-documents",
        type=_count,
        metavar="N",
        help="nothing is removed for n-grams in more documents than these (default: as the recipe; 10; "
        "0: no limit)",
    )
    clean.add_argument("--remove", action="store_true", help="write removal lists, and what stays")
    clean.set_defaults(run=_decontaminate)


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folders", nargs="+", metavar="RUN", help="folders of finished runs")
    parser.add_argument("--output", required=True, metavar="DIR", help="where everything is written")
    parser.add_argument("--recipe", metavar="R", help="a .toml file or a built-in name (default: llama1)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    options.add_engine_options(parser)


def _ngram(value: str) -> str | int:
    if value != "auto" and not (value.isdigit() and 1 <= int(value) <= 64):
        raise argparse.ArgumentTypeError(f"{value!r} is neither 'auto' nor a number from 1 to 64")
    return value if value == "auto" else int(value)


def _count(value: str) -> int:
    if not value.isdigit():
        raise argparse.ArgumentTypeError(f"{value!r} is no number")
    return int(value)


def _cross_dedup(args: argparse.Namespace, beam_args: list[str]) -> int:
    settings = recipe.load(args.recipe or "llama1").cross_dedup or CrossDedup()
    options.check_engine(args, args.output, beam_args)
    job = _job(args, settings, settings.priority)
    if len(job.runs) < 2:
        raise UserError("cross-dedup compares runs with each other: give two or more")
    if args.dry_run:
        cross_console.print_plan(job)
        return 0
    finish.begin(job, "cross-dedup")
    _run(job, args, beam_args)
    counters = finish.finish(job, "cross-dedup")
    cross_console.print_copies(job, counters)
    return 0


def _decontaminate(args: argparse.Namespace, beam_args: list[str]) -> int:
    chosen = recipe.load(args.recipe or "llama1")
    given = {name: getattr(args, name) for name in ("ngram", "fields", "max_documents")}
    settings = replace(
        chosen.decontaminate or Decontaminate(), **{k: v for k, v in given.items() if v is not None}
    )
    settings = replace(settings, remove=settings.remove or args.remove)
    options.check_engine(args, args.output, beam_args)
    job = _job(args, settings, (chosen.cross_dedup or CrossDedup()).priority)
    files = evaluations.find(args.evaluations)
    texts = ngrams.chosen(
        {file.name: evaluations.read(file, settings.evaluation_bytes) for file in files}, settings.fields
    )
    tables = ngrams.gather(texts, settings.ngram)
    if not tables.grams.num_rows:
        raise UserError("no text of the evaluations has as many words as an n-gram: give a smaller --ngram")
    if args.dry_run:
        cross_console.print_plan(job)
        cross_console.print_evaluations(tables)
        return 0
    identity = digest([[name, [asdict(text) for text in found]] for name, found in sorted(texts.items())])
    finish.begin(job, "decontaminate", identity)
    _write_index(job, tables, identity)
    _run(job, args, beam_args)
    counters = finish.finish(job, "decontaminate")
    cross_console.print_hits(job, tables, counters)
    return 0


def _job(
    args: argparse.Namespace, settings: CrossDedup | Decontaminate, priority: Sequence[str]
) -> OverlapJob:
    output = options.absolute(args.output)
    roots = [options.absolute(run) for run in args.run_folders]
    if output in roots:
        raise UserError(f"--output {args.output} is one of the runs: give another folder")
    return OverlapJob(output, read_runs(roots, priority), settings)


def _write_index(job: OverlapJob, tables: Tables, identity: str) -> None:
    """Make the part that the other stages read, here, where the evaluations are."""
    rule = job.decontaminate
    made_with = {"ngram": rule.ngram, "fields": rule.fields, "version": ngrams.VERSION}
    spec = PartSpec(INDEX, INDEX, made_with, (identity,))
    part = parts.commit_part(job.root, spec, lambda writer: write_index(writer, tables))
    write_manifest(job.root, INDEX, [part], {"settings": made_with})


def _run(job: OverlapJob, args: argparse.Namespace, beam_args: list[str]) -> None:
    from pipelines import stage_graph

    stages = job.stages()
    parts_of = {stage.name: len(stage.tasks(job)) for stage in stages}
    stage_graph.run(job, stages[-1].name, parts_of, args, beam_args)
