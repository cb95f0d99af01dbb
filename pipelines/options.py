"""Options that commands which run an engine share, and what is checked before they start one."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from corpus import storage
from corpus.errors import UserError

RUNNERS = ("local", "spark", "flink", "prism", "dataflow")
_SETTINGS = "settings.json"

StageSettings = Callable[[str], Mapping[str, Any]]


class NothingRun(Exception):
    """How a dry run of an engine ends: the graph was built and checked, and nothing was run."""


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add --runner and --workers."""
    parser.add_argument("--runner", choices=RUNNERS, default="local", help="engine (see README, Engines)")
    parser.add_argument(
        "--workers",
        type=_positive,
        default=1,
        metavar="N",
        help="local processes (default 1: a second costs some 5 s to start, and pays on minutes of work); "
        "on Flink tasks at once; other engines have flags of their own",
    )


def add_input_options(parser: argparse.ArgumentParser, sample: str) -> None:
    """Add --input, --input-root, --output and --recipe; `sample` says what is read without an input."""
    parser.add_argument(
        "--input",
        nargs="+",
        action="extend",
        metavar="PATH",
        help=f"files, globs, directories, or lists of paths (@FILE, *.paths[.gz]); default: {sample}",
    )
    parser.add_argument("--input-root", metavar="DIR", help="folder that names are made relative to")
    parser.add_argument("--output", required=True, metavar="DIR", help="where everything is written")
    parser.add_argument("--recipe", metavar="R", help="a .toml file or a built-in name (default: sample)")


def check_engine(args: argparse.Namespace, root: str, beam_args: list[str]) -> None:
    """Refuse options that neither we nor Beam know, and an engine that is not there, before any work.

    Args:
        args: as parsed, with the options of `add_engine_options`.
        root: folder or address that the run writes to.
        beam_args: further options, as on the command line.
    """
    from pipelines import runners
    from pipelines.engines import flags

    runners.check_beam_options(beam_args)
    if args.runner != "local":
        flags.complete(args.runner, root, args.workers, beam_args)


def refuse_more(more: list[str]) -> None:
    """Refuse options that a command without an engine does not know.

    Raises:
        UserError: naming them.
    """
    if more:
        raise UserError(f"unknown option: {' '.join(more)}")


def absolute(path: str) -> str:
    """A folder or address as every worker of this machine knows it."""
    return os.path.abspath(path) if storage.is_local(path) else path.rstrip("/")


def last_stage(root: str, stages: Sequence[str], until: str) -> str:
    """The stage to run to: `until`, or where a finished run has got to already, if that is further.

    Stopping before would leave files of later stages that the run's manifest no longer vouches for. Where
    nothing has changed nothing is done anew.

    Args:
        root: the run's folder.
        stages: of the run, in order.
        until: what the user asked for.
    """
    try:
        had = orjson.loads(storage.read_bytes(storage.join(root, "manifest.json")))["stages"]
    except (FileNotFoundError, orjson.JSONDecodeError):
        return until
    except OSError as error:
        raise UserError(f"output {root} cannot be read: {error}") from error
    last = max((stage for stage in (until, *had) if stage in stages), key=stages.index, default=until)
    if last != until:
        print(f"NOTE: {root} has got to {last} already: it is brought up to date to there.", file=sys.stderr)
    return last


def refuse_other_settings(
    root: str, stages: Iterable[str], settings: StageSettings, redecided: Sequence[str] = ()
) -> None:
    """Refuse to mix this run's parts with those that other settings made.

    Args:
        root: the run's folder.
        stages: to be run.
        settings: of each stage, as they are now.
        redecided: stages that `llama-corpus redecide` makes anew.
    """
    for stage in stages:
        had = _saved_settings(root, stage)
        now = orjson.loads(orjson.dumps(settings(stage)))  # as they are saved: JSON has no tuples
        if had is None or had == now:
            continue
        changed = sorted(k for k in {*had, *now} if had.get(k) != now.get(k))
        hint = (
            "use `llama-corpus redecide` to apply new thresholds"
            if stage in redecided
            else "use another --output, or delete this one"
        )
        raise UserError(
            f"{root} holds a run whose stage {stage} was made with other settings "
            f"({', '.join(changed)}): {hint}"
        )


def begin(
    root: str, stages: Iterable[str], settings: StageSettings, args: argparse.Namespace, beam_args: list[str]
) -> None:
    """Take the run's manifest away until it ends, and say before the first part what stages are made with.

    Raises:
        UserError: the output cannot be written.
    """
    from pipelines import runners

    if runners.is_dry_run(args.runner, beam_args):
        return
    try:
        storage.remove_temporary(root)
        storage.remove(storage.join(root, "manifest.json"))
        for stage in stages:
            data = orjson.dumps(settings(stage), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
            storage.write_bytes(storage.join(root, stage, _SETTINGS), data)
    except OSError as error:
        raise UserError(f"output {root} cannot be written: {error}") from error


def _saved_settings(root: str, stage: str) -> dict[str, Any] | None:
    try:
        saved: dict[str, Any] = orjson.loads(storage.read_bytes(storage.join(root, stage, _SETTINGS)))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"output {root} cannot be read: {error}") from error
    return saved


def _positive(value: str) -> int:
    if not value.isdigit() or int(value) == 0:
        raise argparse.ArgumentTypeError(f"{value!r} is no positive number")
    return int(value)
