"""A report as one HTML page: nothing is fetched, no script runs, documents are shown as nothing but text.

In: a `Report`. Out: the page. Equal runs give equal bytes, but for what their stages took.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup

from corpus.review.report import figures, words
from corpus.review.report.examples import Example
from corpus.review.report.gather import Report, RunReport
from corpus.review.visible import visible

_PLACES = 15
_BAD = 30
_KINDS = {
    "cross-dedup": "Documents with the same text in several runs: lists of those to be left out.",
    "decontaminate": "Documents that hold what evaluations of models ask.",
    "tokens": "The kept documents of the sources, encoded by the tokenizer.",
    "shards": "Tokens drawn from the sources by the mixture's weights, in the files that a trainer reads.",
}
_WORDS = ("count", "share", "number", "fixed", "scaled", "source")


@dataclass(frozen=True)
class Group:
    """Examples of one rule; of the kept documents without a rule."""

    title: str
    says: str
    of: int
    examples: list[Example]


@dataclass(frozen=True)
class Section:
    """What the page says of one run."""

    key: str
    title: str
    report: RunReport
    funnel: list[figures.Figure]
    plots: list[figures.Figure]
    times: list[figures.Figure]
    groups: list[Group]
    unread: list[str]
    places: str
    kept_places: list[tuple[str, int, int]]
    rejected_places: list[tuple[str, int, int]]
    bad: list[Any]


def render(report: Report) -> str:
    """The page."""
    sections = [_section(number, run) for number, run in enumerate(report.runs, 1)]
    tokens = _sources(report, "tokens")
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            sections=sections,
            decided=[s for s in sections if s.report.rules],
            fates=figures.fates(report),
            composition=figures.composition(report),
            tokens={name: counters["tokens"] for name, counters in tokens.items()},
            drawn={name: counters["drawn"] for name, counters in _sources(report, "shards").items()},
            demonstration=any(r.run.manifest.get("demonstration") for r in report.runs),
            kinds=_KINDS,
        )
    )


@functools.cache
def environment() -> jinja2.Environment:
    """Templates of this package; what goes into a page is escaped, an unknown name is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("corpus.review.report", "."),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({name: getattr(words, name) for name in _WORDS})
    made.filters["drawing"] = _drawing
    return made


def _drawing(figure: figures.Figure) -> Markup:
    """A plot with its name and what it shows, for those who do not see it."""
    title, says = f"{figure.id}-title", f"{figure.id}-says"
    named = Markup('<title id="{}">{}</title><desc id="{}">{}</desc>').format(
        title, figure.title, says, figure.says
    )
    begin, rest = figure.svg.split(">", 1)
    label = Markup(' role="img" aria-labelledby="{}" aria-describedby="{}">').format(title, says)
    return Markup(begin) + label + named + Markup(rest)  # the library escapes what it writes


def _sources(report: Report, kind: str) -> dict[str, Any]:
    """What the last run of a kind says of each source that one run here has to itself."""
    found = [r.run.stats.get("sources", {}) for r in report.runs if r.run.kind == kind]
    runs = Counter(r.run.source for r in report.runs if r.rules)
    return {name: said for name, said in (found[-1] if found else {}).items() if runs[name] == 1}


def _section(number: int, report: RunReport) -> Section:
    run, counted = report.run, report.documents
    key = f"run-{number}"
    places = "repositories" if run.source == "github" else "host names"
    kept = counted.kept_places.counts if counted else {}
    rejected = counted.rejected_places.counts if counted else {}
    most_kept = counted.kept_places.most(_PLACES) if counted else []
    most_rejected = counted.rejected_places.most(_PLACES) if counted else []
    return Section(
        key=key,
        title=report.title,
        report=report,
        funnel=figures.funnel(key, report) if report.rules else [],
        plots=figures.documents(key, report),
        times=figures.times(key, report.title, report.times),
        groups=_groups(report),
        unread=[s.name for s in report.steps if s.name not in ("bad", "merged", *report.examples)],
        places=places,
        kept_places=[(visible(n, lines=False), k, rejected.get(n, 0)) for n, k in most_kept],
        rejected_places=[(visible(n, lines=False), kept.get(n, 0), k) for n, k in most_rejected],
        bad=report.bad[:_BAD],
    )


def _groups(report: RunReport) -> list[Group]:
    if report.rules is None or report.documents is None:
        return []
    found = []
    if None in report.examples:
        says = "passed every rule"
        found.append(Group("kept", says, report.documents.kept, report.examples[None]))
    reasons = [reason for reason in report.examples if reason is not None]
    for reason in report.rules.order(reasons):
        of = report.run.counters[f"rejected/{reason}"]
        found.append(Group(reason, report.rules.says(reason), of, report.examples[reason]))
    return found
