"""All that a report says, gathered from runs: each once, in memory that does not grow with them.

In: opened runs. Out: a `Report` of plain data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from corpus.review.report import bad, documents, examples, funnel, mixture, removed, rules, stages, words
from corpus.review.runs import DECIDED, OpenedRun


@dataclass(frozen=True)
class RunReport:
    """One run.

    Attributes:
        run: it; rules: of a kind that decides.
        steps, skipped: its funnel, and records that are no document by nature.
        bad, bad_others: groups of unreadable records, and those in no group.
        documents, examples: None and empty where the run was stopped before it decided.
        removed: of the crawl alone.
    """

    run: OpenedRun
    times: list[stages.StageTime]
    rules: rules.Rules | None = None
    steps: list[funnel.Step] = field(default_factory=list)
    skipped: list[tuple[str, int]] = field(default_factory=list)
    bad: list[bad.BadGroup] = field(default_factory=list)
    bad_others: int = 0
    documents: documents.Documents | None = None
    examples: dict[str | None, list[examples.Example]] = field(default_factory=dict)
    removed: removed.Removed | None = None

    @property
    def title(self) -> str:
        """Its source or kind, and the name of its folder where that says more."""
        name = words.source(self.run.source) if self.run.source else self.run.kind.capitalize()
        return name if self.run.name in (self.run.source, self.run.kind) else f"{name} ({self.run.name})"


@dataclass(frozen=True)
class Report:
    """Runs in the order of the data's way; the composition beside the paper's; what does not fit together."""

    name: str
    runs: list[RunReport]
    mixture: list[mixture.SourceShare]
    notes: list[str]


def gather(name: str, runs: Sequence[OpenedRun], folders: Sequence[str] = ()) -> Report:
    """Read the runs.

    Args:
        name: of the report.
        runs: to be read.
        folders: in which runs that were cut off may lie beside them.

    Raises:
        CorruptPartError: a file of a run is not as it was written.
    """
    notes = [*mixture.cut_off_runs(folders), *mixture.other_runs(runs)]
    return Report(name, [_gather_run(run) for run in runs], mixture.compare_with_paper(runs), notes)


def _gather_run(run: OpenedRun) -> RunReport:
    times = stages.stage_times(run)
    if run.kind not in DECIDED:
        return RunReport(run, times)
    held_to = rules.rules_of(run)
    groups, others = bad.bad_groups(run)
    counted, shown, lost = None, {}, None
    if "decide" in run.stages:
        counted = documents.gather(run, held_to)
        shown = examples.read_examples(run, held_to, counted.chosen)
        lost = removed.most_removed(run) if run.kind == "crawl-filter" else None
    return RunReport(
        run,
        times,
        held_to,
        funnel.steps(run, held_to),
        funnel.skipped(run),
        groups,
        others,
        counted,
        shown,
        lost,
    )
