"""A plan in the terminal: tables with every figure's ground; plain text where nobody looks."""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from corpus.review.plan.cost import HOUR
from corpus.review.plan.plan import Plan
from corpus.review.plan.runs import RunPlan

_LOG_WIDTH = 150
_DRIVERS = {
    "bytes_raw": "raw bytes",
    "kept_bytes": "bytes after dedup",
    "bytes": "bytes kept",
    "keys": "keys",
    "in": "rows",
    "tokens": "tokens",
}


def show(plan: Plan) -> None:
    """Print a plan."""
    console = Console(width=None if sys.stdout.isatty() else _LOG_WIDTH, highlight=False)
    console.print(f"[bold]Plan of {plan.recipe}[/bold], {plan.workers:,} workers\n")
    console.print(_volumes(plan))
    for run in plan.runs:
        console.print(_stages(run))
        console.print(_rates(plan, run))
        for note in run.notes:
            console.print(f"  assumed: {note}", markup=False)
        console.print()
    if plan.sources:
        console.print(_tokens(plan))
    console.print(_sums(plan))
    if plan.costs:
        console.print(_costs(plan))
    else:
        console.print("  no cost without prices: --price-core-hour, --price-gb-month, --price-egress-gb")
    for note in plan.notes:
        console.print(f"  assumed: {note}", markup=False)


def _table(title: str, left: int, *headers: str) -> Table:
    """A table whose columns from the one numbered `left` on are numbers."""
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for number, header in enumerate(headers):
        table.add_column(header, justify="right" if number >= left else "left", no_wrap=number >= left)
    return table


def _volumes(plan: Plan) -> Table:
    table = _table("What is read", 1, "run", "volume", "files", "splits", "scopes", "buckets", "kept text")
    table.add_column("from where the volume is", overflow="fold")
    for run in plan.runs:
        counts = (f"{n:,}" if n else "" for n in (run.files, run.splits, run.scopes, run.buckets))
        kept = decimal(round(run.kept_bytes)) if run.kept_bytes else ""
        table.add_row(run.label, decimal(round(run.volume)), *counts, kept, run.whence)
    return table


def _stages(run: RunPlan) -> Table:
    title = f"{run.label}: {hours(run.cpu_seconds)} of cores, {hours(run.wall_seconds)} of time"
    headers = ("stage", "parts", "cores", "time", "longest", "written", "exchanged", "stored", "memory")
    table = _table(title, 1, *headers)
    table.add_row("(start, end)", "", hours(run.start_seconds))
    stored = 0.0  # nothing is removed on the way
    for s in run.stages:
        stored += s.written
        seconds = (s.cpu_seconds + s.start_seconds, s.wall_seconds, s.longest_seconds)
        exchanged = decimal(round(s.exchanged)) if s.exchanged else ""
        sizes = (decimal(round(s.written)), exchanged, decimal(round(stored)), decimal(round(s.memory)))
        table.add_row(s.stage, f"{s.parts:,}", *map(hours, seconds), *sizes)
    return table


def _rates(plan: Plan, run: RunPlan) -> Table:
    table = _table(f"{run.label}: rates", 4, "stage", "grows with", "start", "measured on")
    for s in run.stages:
        drivers = ", ".join(
            f"{quantity(amount)} {_DRIVERS.get(name, name)} at {rate(per_unit, name)}"
            for name, (amount, per_unit) in s.units.items()
        )
        start = s.start_seconds / max(min(plan.workers, s.parts), 1)
        table.add_row(s.stage, drivers, hours(start), s.measured)
    return table


def _tokens(plan: Plan) -> Table:
    table = _table("What the mixture draws", 1, "source", "unique tokens", "drawn", "epochs")
    for s in plan.sources:
        table.add_row(s.source, quantity(s.unique), quantity(s.drawn), f"{s.epochs:.2f}")
    return table


def _sums(plan: Plan) -> Table:
    table = _table("In all, the runs one after the other", 1, "", "")
    table.show_header = False
    held = plan.workers * plan.wall_seconds
    rows = [
        ("cores at work", f"{plan.cpu_seconds / HOUR:,.2f} core-hours"),
        (f"time on {plan.workers:,} workers", hours(plan.wall_seconds)),
        ("cores held, those that wait too", f"{held / HOUR:,.2f} core-hours"),
        ("written, and stored at the end (nothing is removed on the way)", decimal(round(plan.written))),
        ("of it read by later commands", decimal(round(plan.kept))),
        ("exchanged between splits", decimal(round(plan.exchanged))),
        ("read of raw files", decimal(round(sum(r.read_bytes for r in plan.runs if r.files)))),
        ("memory of a worker at most", decimal(round(plan.memory))),
    ]
    for name, figure in rows:
        table.add_row(name, figure)
    return table


def _costs(plan: Plan) -> Table:
    table = _table("Cost at the prices given", 1, "", "amount", "price", "cost")
    for c in plan.costs:
        table.add_row(c.item, f"{c.amount:,.1f} {c.unit}", f"{c.price:g}", f"{c.cost:,.2f}")
    return table


def hours(seconds: float) -> str:
    """Seconds, from some of them on minutes, from an hour on hours."""
    if seconds < 100:
        return f"{seconds:.2f} s"
    return f"{seconds / 60:.1f} min" if seconds < HOUR else f"{seconds / HOUR:,.1f} h"


def quantity(number: float) -> str:
    """A count in short."""
    for power, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= power:
            return f"{number / power:.3g}{name}"
    return f"{number:.3g}"


def rate(per_unit: float, driver: str) -> str:
    """CPU seconds a unit, as units a second."""
    if not per_unit:
        return "no time"
    per_second = 1 / per_unit
    return f"{decimal(round(per_second))}/s" if "bytes" in driver else f"{quantity(per_second)}/s"
