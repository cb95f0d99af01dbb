"""Subcommand build: documents of one source from its raw files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from importlib import resources

from corpus import inputs, recipe, registry, web
from corpus.build import export, extract, finish, job
from corpus.build.job import BuildJob
from corpus.errors import UserError
from corpus.stages import Stage
from pipelines import console, options

_EPILOG = """examples:
  llama-corpus build github --output runs/sample/github
      the built-in sample of the source, by the sample recipe
  llama-corpus build wikipedia --input dumps/ --recipe llama1 --output runs/wikipedia --workers 4
      every dump below dumps/, on four processes
  llama-corpus build stackexchange --input s3://bucket/dump/ --recipe my.toml --output runs/se --dry-run
      what would be done

Run the same command again to go on with a run that was stopped: finished parts are kept.
`llama-corpus redecide RUN --recipe R` applies changed thresholds without reading the raw files again.
Options that are not listed here go to the engine (Beam)."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    build = subparsers.add_parser(
        "build",
        help=f"documents of one of the other sources: {', '.join(registry.BUILDS)}",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    build.add_argument("source", choices=sorted(registry.BUILDS), metavar="SOURCE", help="which source")
    options.add_input_options(build, "the built-in sample of the source")
    build.add_argument(
        "--until",
        default=export.NAME,
        metavar="STAGE",
        help="last stage to run; a finished run that is further stays so",
    )
    build.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    options.add_engine_options(build)
    build.set_defaults(run=_build)


def _build(args: argparse.Namespace, beam_args: list[str]) -> int:
    chosen = recipe.load(args.recipe or "sample")
    source = registry.build_source(args.source)
    block = getattr(chosen, args.source)
    if block is None:
        raise UserError(f"recipe {chosen.name} has no block [{args.source}]: see corpus/recipes/llama1.toml")
    patterns, root = args.input, args.input_root
    if not patterns:
        root = str(resources.files("corpus.sample") / args.source)
        patterns = [root]
    web.configure(chosen.network)
    files = inputs.resolve(patterns, root)
    source.check_input(files, block)
    options.check_engine(args, args.output, beam_args)
    splits = job.plan_splits(files, source, chosen.build.split_bytes)
    output = options.absolute(args.output)
    planned = BuildJob(output, chosen, args.source, {})
    _check_stage(planned, args.until)
    args.until = options.last_stage(output, [stage.name for stage in planned.stages()], args.until)
    if args.dry_run:
        console.print_build_plan(planned, splits, args.until)
        return 0
    if chosen.demonstration and args.input and source.assets(block):
        print(f"NOTE: recipe {chosen.name!r} has models and lists for demonstration only.", file=sys.stderr)
    work = job.prepare(output, chosen, args.source)
    options.refuse_other_settings(output, _names(work, args.until), work.settings_of, _redecided(work))
    job.save_splits(work, splits)
    _run(work, len(splits), args, beam_args)
    return 0


def redecide(root: str, source: str, args: argparse.Namespace, beam_args: list[str]) -> None:
    """Apply changed thresholds to a build: what they do not shape stays as it is.

    Raises:
        UserError: the recipe shapes what was read, so that it must be read again.
    """
    options.check_engine(args, root, beam_args)
    work = job.prepare(root, recipe.load(args.recipe), source)
    kept = [stage for stage in _names(work, export.NAME) if stage not in _redecided(work)]
    options.refuse_other_settings(root, kept, work.settings_of)
    _run(work, len(work.splits()), args, beam_args)


def _run(work: BuildJob, splits: int, args: argparse.Namespace, beam_args: list[str]) -> None:
    from pipelines import stage_graph

    options.begin(work.root, _names(work, args.until), work.settings_of, args, beam_args)
    parts = {stage.name: splits if _by_split(stage) else 0 for stage in _until(work, args.until)}
    stage_graph.run(work, args.until, parts, args, beam_args)
    used = work.recipe.demonstration and work.model_hashes
    counters = finish.finish(work, args.until)
    console.print_summary(work.root, counters, "document", work.recipe.name if used else "")


def _by_split(stage: Stage) -> bool:
    return stage.tasks is extract.tasks or bool(stage.aligned)


def _redecided(work: BuildJob) -> list[str]:
    """The stages that a change of thresholds makes anew: all but those that read raw files."""
    return [stage.name for stage in work.stages() if stage.tasks is not extract.tasks]


def _until(work: BuildJob, until: str) -> Iterable[Stage]:
    stages = work.stages()
    return stages[: [stage.name for stage in stages].index(until) + 1]


def _names(work: BuildJob, until: str) -> list[str]:
    return [stage.name for stage in _until(work, until)]


def _check_stage(work: BuildJob, until: str) -> None:
    known = [stage.name for stage in work.stages()]
    if until not in known:
        raise UserError(f"--until {until}: {work.source_name} has the stages {', '.join(known)}")
