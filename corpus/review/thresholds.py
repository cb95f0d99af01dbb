"""What a run held its documents to: the thresholds behind each reason, as people read them.

In: an opened run. Out: for a reason against documents, the columns that it looks at and their limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from corpus.review.runs import OpenedRun

# Where the settings of stage `decide` hold thresholds: of a crawl, of a build.
CHECKS = ("rules", "checks")


class Threshold(NamedTuple):
    """A column of annotated rows, and what its values must be for a document to be kept."""

    column: str
    limit: str


class Thresholds:
    """The thresholds of a run whose documents are decided."""

    def __init__(self, run: OpenedRun) -> None:
        self._decide = run.settings("decide")
        checks = [check for name in CHECKS for check in self._decide.get(name, ())]
        self._checks: dict[str, dict[str, Any]] = {check["reason"]: check for check in checks}
        self._min_chars = run.settings("index").get("min_chars") if "index" in run.stages else None

    def of(self, reason: str, language: str | None = None) -> tuple[Threshold, ...]:
        """The thresholds behind a reason; none where it rests on something else than a number.

        Args:
            reason: as decisions give it.
            language: of the document, where the threshold depends on it.
        """
        if check := self._checks.get(reason):
            return (Threshold(check["column"], limit_of(check)),)
        if "decide" not in self._decide:  # of a build
            return ()
        if reason == "language_score":
            return (Threshold("lid_v1_score", f"≥ {self._decide['min_score']:g}"),)
        if reason == "language":
            return (Threshold("language", "one of " + ", ".join(self._decide["languages"])),)
        if reason == "perplexity":
            return self._perplexity(language)
        if reason == "reference":
            return (Threshold("reference_v1", f"≥ {self._decide['decide']['min_reference']:g}"),)
        if reason == "short" and self._min_chars is not None:
            return (Threshold("characters", f"≥ {self._min_chars:,}"),)
        return ()

    def _perplexity(self, language: str | None) -> tuple[Threshold, ...]:
        kept = ", ".join(self._decide["decide"]["buckets"])
        cutoffs = self._decide["cutoffs"].get(language)
        if cutoffs is None:
            return (Threshold("perplexity_v1", f"none for {language}; kept: {kept}"),)
        head, middle = cutoffs["head"], cutoffs["middle"]
        return (Threshold("perplexity_v1", f"head < {head:g} ≤ middle < {middle:g} ≤ tail; kept: {kept}"),)


def passes(check: Mapping[str, Any], value: float | None) -> bool | None:
    """Whether a value keeps to a `corpus.rules.Check` as settings hold it; None where it was not measured."""
    if value is None:
        return None
    beyond = check["sign"] * (value - check["limit"])
    return bool(beyond < 0 if check["strict"] else beyond <= 0)


def limit_of(check: dict[str, Any]) -> str:
    """What a column must be, of a `corpus.rules.Check` as settings hold it."""
    sign = {(1, False): "≤", (1, True): "<", (-1, False): "≥", (-1, True): ">"}
    return f"{sign[check['sign'], check['strict']]} {check['limit']:g}"
