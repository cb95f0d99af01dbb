"""Subcommand report: one page and a data card of what runs did."""

from __future__ import annotations

import argparse
import os
import posixpath
from collections.abc import Sequence

from corpus import storage
from corpus.errors import UserError
from corpus.review.runs import OpenedRun, open_runs
from pipelines import options

_EPILOG = """examples:
  llama-corpus report runs/sample              all runs of a folder on one page: runs/sample/report/
  llama-corpus report runs/sample/commoncrawl  one run: runs/sample/commoncrawl-report/
  llama-corpus report s3://bucket/corpus --output corpus-report

Written: index.html, one file that needs no network, and datasheet.md, a data card in which what only
a person can know is marked."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    report = subparsers.add_parser(
        "report",
        help="one page and a data card of what runs did: rules, documents, composition, time",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    report.add_argument("runs", metavar="RUN", nargs="+", help="a run, or a folder with several")
    report.add_argument(
        "--output", metavar="DIR", help="where to write (default: beside RUN, or in a folder of runs report/)"
    )
    report.set_defaults(run=_report)


def _report(args: argparse.Namespace, beam_args: list[str]) -> int:
    options.refuse_more(beam_args)
    runs = open_runs(args.runs)
    output = (args.output or _beside(args.runs, runs)).rstrip("/") or "/"
    _refuse_inside(output, runs)
    # Imported here, since plots and parsers take a second to load.
    from corpus.review.report import datasheet, page
    from corpus.review.report.gather import gather

    opened = {run.root for run in runs}
    folders = [root.rstrip("/") for root in args.runs if root.rstrip("/") not in opened]
    report = gather(_name(args.runs), runs, folders)
    # The card first: the page links to it.
    for name, text in (("datasheet.md", datasheet.write(report)), ("index.html", page.render(report))):
        storage.write_bytes(storage.join(output, name), text.encode())
    print(f"{storage.join(output, 'index.html')}: report on {len(runs)} run{'s' if len(runs) > 1 else ''}")
    print(f"{storage.join(output, 'datasheet.md')}: data card")
    return 0


def _name(roots: Sequence[str]) -> str:
    """What the report is called: as the folders given."""
    names = [posixpath.basename(_whole(root)) for root in roots]
    return ", ".join(names)


def _beside(roots: Sequence[str], runs: Sequence[OpenedRun]) -> str:
    """Where a report goes by itself: never into a run, whose files are all accounted for."""
    root = roots[0].rstrip("/")
    if len(roots) > 1:
        return "report"
    if not storage.is_local(root):
        return f"{posixpath.basename(root)}-report"
    return f"{_whole(root)}-report" if runs[0].root == root else storage.join(root, "report")


def _refuse_inside(output: str, runs: Sequence[OpenedRun]) -> None:
    for run in runs:
        if f"{_whole(output)}/".startswith(f"{_whole(run.root)}/"):
            raise UserError(
                f"--output {output} lies in the run {run.root}, whose files are all accounted for: "
                "give another folder"
            )


def _whole(path: str) -> str:
    return os.path.abspath(path) if storage.is_local(path) else path.rstrip("/")
