"""The funnel of a run: from the records of its raw files to the documents kept, rule by rule.

In: the run's account. Out: `Step`s, of which each begins with what the one before left.
"""

from __future__ import annotations

from typing import NamedTuple

from corpus.review.report.rules import Rules
from corpus.review.runs import OpenedRun


class Step(NamedTuple):
    """What a rule took away.

    Attributes:
        name: of the rule, or ``bad``, ``merged``.
        says: it in words.
        removed, left: records.
        share: of all records that could be documents.
    """

    name: str
    says: str
    removed: int
    left: int
    share: float


def steps(run: OpenedRun, rules: Rules) -> list[Step]:
    """The steps of a run of a kind that decides."""
    counters = run.counters
    rejected = _by_reason(run, "rejected")
    taken = [("bad", "could not be read", counters["bad"])]
    taken += [(reason, rules.says(reason), rejected[reason]) for reason in rules.order(list(rejected))]
    taken += [("merged", "answers that became part of their question's document", counters["merged"])]
    left, found = counters["in"], []
    for name, says, removed in taken:
        if removed:
            left -= removed
            found.append(Step(name, says, removed, left, removed / counters["in"]))
    return found


def skipped(run: OpenedRun) -> list[tuple[str, int]]:
    """Records that are no document by nature, by kind, the most frequent first."""
    return sorted(_by_reason(run, "skipped").items(), key=lambda item: (-item[1], item[0]))


def _by_reason(run: OpenedRun, name: str) -> dict[str, int]:
    return {key.split("/", 1)[1]: n for key, n in run.counters.items() if key.startswith(name + "/")}
