"""Subcommands that run the crawl filter or parts of it: crawl-filter, redecide, export."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from typing import Any

import orjson

from corpus import inputs, parts, recipe, storage, web
from corpus.build.job import source_of
from corpus.crawl import earlier, finish, job
from corpus.crawl.job import STAGES, CrawlJob
from corpus.errors import UserError
from corpus.inputs import Split
from corpus.manifests import read_manifest
from pipelines import build, console, options

_SAMPLE = "the built-in sample crawl"
_DECIDING = STAGES[STAGES.index("decide") :]

_EPILOG = """examples:
  llama-corpus crawl-filter --output runs/sample/commoncrawl
      the built-in sample crawl, by the sample recipe
  llama-corpus crawl-filter --input crawl/ --recipe my.toml --output runs/mine --workers 4
      every WET and WARC file below crawl/, on four processes
  llama-corpus crawl-filter --input @wet.paths.gz --recipe my.toml --output runs/mine --dry-run
      what would be done with the files of a list
  llama-corpus crawl-filter --input crawl/ --recipe my.toml --output runs/first --until annotate \\
      --without reference
      pages and scores to train a classifier on (llama-corpus train-classifier)
  llama-corpus crawl-filter --input cc:CC-MAIN-2020-05 --recipe my.toml --output runs/2020-05 \\
      --after runs/2019-30
      a later dump, without the paragraphs of an earlier one, of which no text is read again
      (scope "global", policy "keep-first")

Run the same command again to go on with a run that was stopped: finished parts are kept.
Options that are not listed here go to the engine (Beam)."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands to the command line."""
    filter_ = subparsers.add_parser(
        "crawl-filter",
        help="deduplicate, identify the language of, score and bucket WET or WARC files",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    options.add_input_options(filter_, _SAMPLE)
    filter_.add_argument(
        "--after",
        action="append",
        default=[],
        metavar="RUN",
        help="an earlier run whose pages come before these; give it again for more, in their order",
    )
    filter_.add_argument(
        "--without",
        choices=("perplexity", "reference"),
        action="append",
        default=[],
        help="leave out a block of the recipe, as when its model is still to be trained on this run",
    )
    filter_.add_argument(
        "--until",
        choices=STAGES,
        default=STAGES[-1],
        help="last stage to run; a finished run that is further stays so",
    )
    filter_.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    options.add_engine_options(filter_)
    filter_.set_defaults(run=_crawl_filter)

    redecide = subparsers.add_parser(
        "redecide",
        help="apply changed thresholds to a run, without annotating again",
        epilog="example:\n  llama-corpus redecide runs/mine --recipe stricter.toml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    redecide.add_argument("run_folder", metavar="RUN", help="folder of a run of crawl-filter or build")
    redecide.add_argument("--recipe", required=True, metavar="R", help="the recipe with the new thresholds")
    redecide.add_argument(
        "--until", choices=_DECIDING, default=STAGES[-1], help="decide: leave the documents unwritten"
    )
    options.add_engine_options(redecide)
    redecide.set_defaults(run=_redecide)

    export = subparsers.add_parser(
        "export",
        help="write the kept documents of a run that stopped before",
        epilog="example:\n  llama-corpus export runs/mine",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    export.add_argument("run_folder", metavar="RUN", help="folder of a run that has decisions")
    options.add_engine_options(export)
    export.set_defaults(run=_export)


def _crawl_filter(args: argparse.Namespace, beam_args: list[str]) -> int:
    chosen = recipe.load(args.recipe or "sample")
    left_out: dict[str, Any] = dict.fromkeys(args.without)
    chosen = replace(chosen, commoncrawl=replace(chosen.commoncrawl, **left_out))
    patterns, root = args.input, args.input_root
    if not patterns:
        root = str(resources.files("corpus.sample") / "commoncrawl")
        patterns = [root]
    web.configure(chosen.network)
    files = inputs.resolve(patterns, root)
    splits = inputs.plan_splits(files, chosen.commoncrawl.dedup)
    options.check_engine(args, args.output, beam_args)
    output = options.absolute(args.output)
    before = earlier.read_earlier(
        CrawlJob(output, chosen, {}), splits, [options.absolute(run) for run in args.after]
    )
    args.until = options.last_stage(output, STAGES, args.until)
    if args.dry_run:
        console.print_plan(CrawlJob(output, chosen, {}, before), splits, args.until)
        return 0
    if chosen.demonstration and args.input:
        print(
            f"NOTE: recipe {chosen.name!r} has models for demonstration only; its verdicts on your pages "
            "mean little.\n      Give --recipe with models of your own (see README, Your own crawl).",
            file=sys.stderr,
        )
    work = job.prepare(output, chosen, args.until, before)
    _run(work, splits, args, beam_args)
    return 0


def _redecide(args: argparse.Namespace, beam_args: list[str]) -> int:
    root = options.absolute(args.run_folder)
    if source := source_of(root):
        build.redecide(root, source, args, beam_args)
        return 0
    splits = _splits_of(root)
    options.check_engine(args, root, beam_args)
    work = job.prepare(root, recipe.load(args.recipe), earlier=earlier.saved(root))
    manifest, annotated = _annotated(root, work)
    settings = work.stage_settings("annotate")
    for name in ("models", "perplexity", "reference", "duplicates"):
        if settings.get(name) != manifest["settings"].get(name):
            raise UserError(
                f"{args.recipe} and {args.run_folder} differ in their {name}, which annotation used: run "
                "crawl-filter with this recipe into another --output"
            )
    _decide(work, splits, annotated, args, beam_args)
    return 0


def _export(args: argparse.Namespace, beam_args: list[str]) -> int:
    root = options.absolute(args.run_folder)
    splits = _splits_of(root)
    options.check_engine(args, root, beam_args)
    saved = orjson.loads(storage.read_bytes(storage.join(root, "recipe.json")))
    args.until = STAGES[-1]
    chosen = recipe.from_dict(saved, f"{args.run_folder}/recipe.json")
    work = job.prepare(root, chosen, earlier=earlier.saved(root))
    _decide(work, splits, _annotated(root, work)[1], args, beam_args)
    return 0


def _run(work: CrawlJob, splits: Sequence[Split], args: argparse.Namespace, beam_args: list[str]) -> None:
    from pipelines import crawl_filter, runners
    from pipelines.progress import Progress, StagePlan

    stages = job.stages_until(work.settings, args.until)
    options.refuse_other_settings(work.root, stages, work.stage_settings, _DECIDING)
    options.begin(work.root, stages, work.stage_settings, args, beam_args)
    names = finish.planned_names(work, splits)
    plan = [StagePlan(stage, len(names[stage])) for stage in stages]
    with Progress(work.root, plan):
        runners.run(
            lambda p, on_worker: crawl_filter.build(p, work, splits, args.until, on_worker),
            work.root,
            args.runner,
            args.workers,
            beam_args,
        )
    counters = finish.finish(work, splits, args.until)
    console.print_summary(work.root, counters, "page", work.recipe.name if work.recipe.demonstration else "")


def _decide(
    work: CrawlJob,
    splits: Sequence[Split],
    annotated: list[tuple[parts.Part, parts.Part | None]],
    args: argparse.Namespace,
    beam_args: list[str],
) -> None:
    from pipelines import crawl_filter, runners

    options.begin(work.root, _DECIDING, work.stage_settings, args, beam_args)
    if args.until != STAGES[-1]:
        _remove_stage(work.root, STAGES[-1])
    runners.run(
        lambda p, on_worker: crawl_filter.build_decide(p, work, annotated, args.until, on_worker),
        work.root,
        args.runner,
        args.workers,
        beam_args,
    )
    counters = finish.finish(work, splits, args.until)
    console.print_summary(work.root, counters, "page", work.recipe.name if work.recipe.demonstration else "")


def _remove_stage(root: str, stage: str) -> None:
    for part, _ in parts.records(root, stage):
        parts.remove_part(root, part)
    storage.remove(storage.join(root, stage, "manifest.json"))


def _splits_of(root: str) -> list[Split]:
    """The splits of an earlier run."""
    try:
        saved = orjson.loads(storage.read_bytes(storage.join(root, "inputs.json")))
    except FileNotFoundError as error:
        raise UserError(f"{root} is no finished crawl-filter run: it has no inputs.json") from error
    return [inputs.split_from_dict(s) for s in saved]


def _annotated(
    root: str, work: CrawlJob
) -> tuple[dict[str, Any], list[tuple[parts.Part, parts.Part | None]]]:
    """The manifest of annotate, and its parts, each with what is known of its pages' duplicates."""
    try:
        manifest, annotated = read_manifest(root, "annotate")
        if work.settings.duplicates is None or "duplicates" not in manifest["settings"]:
            return manifest, [(part, None) for part in annotated]
        found = {part.name: part for part in read_manifest(root, "duplicates")[1]}
    except FileNotFoundError as error:
        raise UserError(f"{root} has no annotated parts, or none compared: run crawl-filter first") from error
    return manifest, [(part, found[part.name]) for part in annotated]
