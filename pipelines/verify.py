"""Subcommand verify: hash every file of a run again, and name what is wrong."""

from __future__ import annotations

import argparse
import os
import posixpath

import orjson
from tqdm import tqdm

from corpus import parts, storage
from corpus.errors import CorruptPartError, UserError
from corpus.manifests import read_manifest
from corpus.recipe import digest
from pipelines import options

_EPILOG = """example:
  llama-corpus verify runs/sample/commoncrawl

Exit status 0: everything is as it was written. 1: something is not; every problem is named."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    verify = subparsers.add_parser(
        "verify",
        help="hash every file of a run again, and name what is wrong",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verify.add_argument("run_folder", metavar="RUN", help="folder of a run")
    verify.set_defaults(run=_verify)


def _verify(args: argparse.Namespace, beam_args: list[str]) -> int:
    options.refuse_more(beam_args)
    problems = find_problems(args.run_folder)
    for problem in problems:
        print(problem)
    if ahead := unlisted_parts(args.run_folder.rstrip("/")):
        stages = ", ".join(sorted({part.stage for part in ahead}))
        print(
            f"{args.run_folder}: parts of {stages} lie there that the run, cut off and then stopped before, "
            "does not vouch for"
        )
    print(f"{args.run_folder}: " + (f"{len(problems)} problems" if problems else "everything as written"))
    return 1 if problems else 0


def unlisted_parts(root: str) -> list[parts.Part]:
    """Committed parts of stages that the run's manifest does not list: of a run that was cut off further on.

    They are kept for the command that goes on from there, which checks what they were made from.
    """
    try:
        listed = orjson.loads(storage.read_bytes(storage.join(root, "manifest.json")))["stages"]
    except orjson.JSONDecodeError:  # a problem of its own
        return []
    found = storage.find(storage.join(root, "*", "*" + parts.RECORD_SUFFIX))
    stages = {posixpath.basename(posixpath.dirname(file.path)) for file in found} - set(listed)
    return [part for stage in sorted(stages) for part, _ in parts.records(root, stage)]


def find_problems(root: str) -> list[str]:
    """Everything in a run that is not as its manifests say.

    Checked: the run's manifest, each stage's manifest against it, each part's record and files (size,
    sha256), files of the run itself, and files that nothing owns.

    Raises:
        UserError: the folder holds no run.
    """
    root = root.rstrip("/")
    try:
        run = orjson.loads(storage.read_bytes(storage.join(root, "manifest.json")))
    except FileNotFoundError as error:
        raise UserError(
            f"{root} has no manifest.json: it is no run, or one that was cut off (run its command again)"
        ) from error
    except orjson.JSONDecodeError as error:
        return [f"{root}/manifest.json is not valid JSON: {error}"]
    problems: list[str] = []
    owned: set[str] = set()
    for stage, sha256 in run["stages"].items():
        problems += _check_stage(root, stage, sha256, owned)
    owned.update(file.path for part in unlisted_parts(root) for file in part.files)
    for path, sha256 in run.get("files", {}).items():
        owned.add(path)
        if problem := parts.check_file(root, parts.PartFile(path, 0, -1, sha256)):
            problems.append(problem)
    problems += [f"{root}/{path} belongs to no part" for path in _strays(root, set(run["stages"]), owned)]
    stats = orjson.loads(storage.read_bytes(storage.join(root, "stats.json")))
    if digest(stats) != run["stats_sha256"]:
        problems.append(f"{root}/stats.json is not what manifest.json says")
    return problems


def _check_stage(root: str, stage: str, sha256: str, owned: set[str]) -> list[str]:
    path = f"{root}/{stage}/manifest.json"
    wrong = parts.check_file(root, parts.PartFile(f"{stage}/manifest.json", 0, -1, sha256))
    try:
        _, stage_parts = read_manifest(root, stage)
    except FileNotFoundError:
        return [f"{path} is missing"]
    except CorruptPartError as error:
        return [str(error)]
    problems = [wrong] if wrong else []
    for part in tqdm(stage_parts, desc=stage, unit="part", disable=None, leave=False):
        try:
            record = parts.read_record(root, stage, part.name)
        except CorruptPartError as error:
            problems.append(str(error))
            record = None
        else:
            if record is None:
                problems.append(f"{root}/{stage}/{part.name}{parts.RECORD_SUFFIX} is missing")
            elif record[0] != part:
                problems.append(f"{root}/{stage}/{part.name}{parts.RECORD_SUFFIX} differs from the manifest")
        for file in part.files:
            owned.add(file.path)
            if problem := parts.check_file(root, file):
                problems.append(problem)
    return problems


def _strays(root: str, stages: set[str], owned: set[str]) -> list[str]:
    """Data files below the root that no part lists."""
    prefix = os.path.abspath(root) if storage.is_local(root) else root
    found = []
    for file in storage.find(prefix):
        path = file.path[len(prefix) :].lstrip("/")
        if path.endswith(".json") or path.startswith(tuple(f"{s}/manifest" for s in stages)):
            continue
        if path not in owned:
            found.append(path)
    return found
