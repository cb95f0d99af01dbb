"""Which runs are compared with which.

In: two folders or addresses, each of a run or of several. Out: pairs of runs of the same kind and source.
"""

from __future__ import annotations

from typing import NamedTuple

from corpus.errors import UserError
from corpus.review.compare.composition import MEASURES
from corpus.review.runs import DECIDED, OpenedRun, open_runs

COMPARED = (*DECIDED, *MEASURES)


class Matched(NamedTuple):
    """Pairs to compare, and what is in one folder only or of a kind that is not compared."""

    pairs: list[tuple[OpenedRun, OpenedRun]]
    only_a: list[OpenedRun]
    only_b: list[OpenedRun]
    left_out: list[OpenedRun]


def match(root_a: str, root_b: str) -> Matched:
    """Open what lies at two places, and pair it by kind and source.

    Raises:
        UserError: there is no run, it was cut off, is of an older version; or the two have nothing in common.
        CorruptPartError: a file of a run's account is not as it was written.
    """
    opened = [open_runs([root]) for root in (root_a, root_b)]
    a, b = (_by_subject(root, runs) for root, runs in zip((root_a, root_b), opened, strict=True))
    pairs = [(a[subject], b[subject]) for subject in a if subject in b]
    if not pairs:
        have = [", ".join(_subject_of(run) for run in runs) for runs in opened]
        raise UserError(
            f"nothing to compare: {root_a} has {have[0]}; {root_b} has {have[1]}. Give two runs of the same "
            f"kind and source, of the kinds {', '.join(COMPARED)}"
        )
    return Matched(
        pairs,
        [run for subject, run in a.items() if subject not in b],
        [run for subject, run in b.items() if subject not in a],
        [run for runs in opened for run in runs if run.kind not in COMPARED],
    )


def _by_subject(root: str, runs: list[OpenedRun]) -> dict[str, OpenedRun]:
    found: dict[str, OpenedRun] = {}
    for run in runs:
        if run.kind in COMPARED:
            if other := found.get(_subject_of(run)):
                raise UserError(
                    f"{root} has two runs of {_subject_of(run)} ({other.name}, {run.name}): give one of them"
                )
            found[_subject_of(run)] = run
    return found


def _subject_of(run: OpenedRun) -> str:
    return f"{run.kind} {run.source}".strip()
